"""Interpretable galaxy morphology: DMAGNet and a Deep Dream that measures."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

# Loaded when first asked for: `import dmagnet` must not cost seconds of torch.
_PUBLIC = {
    "DMAGNet": "dmagnet.model",
    "classify": "dmagnet.survey",
    "dream": "dmagnet.dreams.run",
    "explain": "dmagnet.evidence",
    "fit": "dmagnet.train",
    "load": "dmagnet.weights",
    "load_galaxies": "dmagnet.data",
    "measure": "dmagnet.gallery",
    "recipe": "dmagnet.recipes",
    "redream": "dmagnet.dreams.run",
}

__all__ = [
    "DMAGNet",
    "__version__",
    "classify",
    "dream",
    "explain",
    "fit",
    "load",
    "load_galaxies",
    "measure",
    "recipe",
    "redream",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'dmagnet' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)
