"""Find the weights in the package by name, and make sure that they are those."""

import atexit
import hashlib
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmagnet import __version__
from dmagnet.config.checks import from_dict, typed
from dmagnet.errors import CheckpointError
from dmagnet.storage.records import as_written, plain_object

if TYPE_CHECKING:  # a name becomes a path without torch
    from dmagnet.network.checkpoint import Checkpoint

BUNDLED = ("s", "xs")
DEFAULT = "s"
ALIASES = {"bundled": DEFAULT}
INDEX = "index.json"
CARD = "MODEL_CARD.md"
FORMAT = 1  # of the index


def load(name_or_path: str | Path = DEFAULT) -> "Checkpoint":
    """Load weights: those of the package by name, others by path.

    Parameters
    ----------
    name_or_path : str or Path
        ``s`` (the same as ``bundled``) or ``xs`` for the weights in the package; else
        a run folder or a ``.safetensors`` file. A folder that has such a name is
        reached by a `Path` or as ``./s``.

    Returns
    -------
    Checkpoint
        With the network in evaluation mode on the CPU, in float32.

    Raises
    ------
    CheckpointError
        If the file is missing, truncated, altered, of a newer format, not one of
        ours, or another than the index of the package says.

    Notes
    -----
    The package stores weight matrices in half precision, which the network computes
    with as float32: the model card says by how much that moves the probabilities.

    Examples
    --------
    >>> checkpoint = load("xs")
    >>> checkpoint.class_names[0]
    'Disturbed'
    """
    from dmagnet.network.checkpoint import load as load_file

    name = _bundled_name(name_or_path)
    if name is None:
        return load_file(Path(name_or_path))
    path = bundled_path(name)
    return check_network(load_file(path), path, entry_of(package(), name))


def path_of(name_or_path: str | Path) -> Path:
    """Turn what a person may give for weights into a path.

    Parameters
    ----------
    name_or_path : str or Path
        As for `load`.

    Returns
    -------
    Path
        Of the checked file in the package, or what was given.

    Raises
    ------
    CheckpointError
        If the file in the package is missing, truncated or altered.
    """
    name = _bundled_name(name_or_path)
    return Path(name_or_path) if name is None else bundled_path(name)


@cache
def bundled_path(name: str) -> Path:
    """Find weights of the package on the disk; they are checked once a process.

    Parameters
    ----------
    name : str
        ``s``, ``xs`` or ``bundled``.

    Returns
    -------
    Path
        A ``.safetensors`` file. Where the package is a zip it is a temporary copy,
        which lasts as long as the process.

    Raises
    ------
    CheckpointError
        If there are no such weights, or their file is missing, truncated or altered.
    """
    return checked(package(), ALIASES.get(name, name))


def model_card() -> str:
    """Read the card that comes with the weights.

    Returns
    -------
    str
        Markdown: data, recipe, scores, domain, limits, licenses.

    Raises
    ------
    CheckpointError
        If it is missing.
    """
    card = package() / CARD
    if not card.is_file():
        raise CheckpointError(f"{CARD}: missing from the package; reinstall dmagnet")
    return card.read_text(encoding="utf-8")


def package() -> Traversable:
    """Return the folder of the weights, also where the package is a zip."""
    return resources.files("dmagnet.network")


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """What an entry of the list must have."""

    file: str
    bytes: int
    sha256: str
    weights_hash: str
    size: str
    class_names: list[str]


def entry_of(folder: Traversable, name: str) -> dict[str, Any]:
    """Look up what the index says of one file."""
    again = "reinstall dmagnet"
    index = folder / INDEX
    if not index.is_file():
        raise CheckpointError(f"{index}: the package lists no weights; {again}")
    what = "the list of weights of the package"
    with as_written(str(index), what, again, error=CheckpointError):
        content = plain_object(index.read_bytes())
        version = content["format"]
        entries = typed(dict[str, Any], content["weights"], "weights")
    if version != FORMAT:
        raise CheckpointError(
            f"{index}: expected a list of weights of format {FORMAT}, got {version}; "
            f"this is dmagnet {__version__}: {again}, so that code and weights match"
        )
    if name not in entries:
        raise CheckpointError(
            f"no weights {name!r} in the package; expected {', '.join(entries)}, or a "
            "run folder or .safetensors file"
        )
    with as_written(str(index), what, again, error=CheckpointError):
        from_dict(_Entry, entries[name], more=True)
        entry: dict[str, Any] = entries[name]
    return entry


def checked(folder: Traversable, name: str) -> Path:
    """Compare one file with the index, byte for byte, and return where it is."""
    entry = entry_of(folder, name)
    file = folder / entry["file"]
    if not file.is_file():
        raise CheckpointError(f"{file}: missing from the package; reinstall dmagnet")
    content = file.read_bytes()
    if len(content) < entry["bytes"]:
        raise CheckpointError(
            f"{file}: truncated: expected {entry['bytes']} bytes, got {len(content)}; "
            "reinstall dmagnet"
        )
    digest = hashlib.sha256(content).hexdigest()
    if digest != entry["sha256"]:
        raise CheckpointError(
            f"{file}: altered: expected SHA-256 {entry['sha256'][:12]}..., got "
            f"{digest[:12]}...; reinstall dmagnet"
        )
    if isinstance(file, Path):
        return file
    kept = ExitStack()  # out of a zip: a copy that is deleted when Python ends
    atexit.register(kept.close)
    return kept.enter_context(resources.as_file(file))


def check_network(
    checkpoint: "Checkpoint", path: Path, entry: dict[str, Any]
) -> "Checkpoint":
    """Make sure that a file holds the network that the index promises."""
    found = {
        "size": checkpoint.config.model.size,
        "class_names": list(checkpoint.class_names),
        "weights_hash": checkpoint.weights_hash,
    }
    for key, value in found.items():
        if value != entry[key]:
            raise CheckpointError(
                f"{path}: expected {key} {_short(entry[key])} as {INDEX} says, got "
                f"{_short(value)}; reinstall dmagnet"
            )
    return checkpoint


def _bundled_name(name_or_path: str | Path) -> str | None:
    """Tell a name from a path; a `Path` that exists is no name."""
    name = ALIASES.get(str(name_or_path), str(name_or_path))
    if name not in BUNDLED or (
        isinstance(name_or_path, Path) and name_or_path.exists()
    ):
        return None
    return name


def _short(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
