"""The page in the browser: drop a galaxy, see why, dream it; no science in here.

The chapters, in order: `questions` and `limits` (what is refused before anything reads
it), `uploads` (where files lie for a minute), `answers` and `sessions` (what is known
of one open page, and for how long), `readers` and `work` (galaxies in, answers out, by
functions of other chapters), `words` (the same as HTML), `downloads` (the same as
files), `handlers` (a click and what follows), `layout` (what stands where) and
`server` (all of it, listening).
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from dmagnet.errors import ConfigError

if TYPE_CHECKING:
    from dmagnet.app.server import Server, serving

__all__ = ["Server", "serving"]


def __getattr__(name: str) -> Any:
    """Load the server, and gradio with it, when it is wanted."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if find_spec("gradio") is None:  # said before anything heavy is loaded
        raise ConfigError(
            "the page needs gradio, which is not installed; pip install 'dmagnet[app]'"
        )
    from dmagnet.app import server

    return getattr(server, name)
