"""Find the weights in the package by name, and make sure that they are those."""

import atexit
import hashlib
from contextlib import ExitStack
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmagnet.config.checks import typed
from dmagnet.config.classify_config import DEFAULT
from dmagnet.errors import CheckpointError
from dmagnet.storage.records import as_written, plain_object

if TYPE_CHECKING:  # a name becomes a path without torch
    from dmagnet.network.checkpoint import Checkpoint

BUNDLED = ("s", "xs")
ALIASES = {"bundled": DEFAULT}
INDEX = "index.json"
CARD = "MODEL_CARD.md"
AGAIN = "reinstall dmagnet"


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
    return load_file(bundled_path(name))


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


def entry_of(folder: Traversable, name: str) -> dict[str, Any]:
    """Look up what the index says of one file."""
    index, what = folder / INDEX, "the list of bundled weights"
    with as_written(str(index), what, AGAIN, error=CheckpointError):
        entries = typed(
            dict[str, dict[str, Any]], plain_object(index.read_bytes())["weights"], ""
        )
    if name not in entries:
        raise CheckpointError(
            f"no weights {name!r} in the package; expected {', '.join(entries)}, or a "
            "run folder or .safetensors file"
        )
    entry: dict[str, Any] = entries[name]
    return entry


def checked(folder: Traversable, name: str) -> Path:
    """Compare one file with the index, byte for byte, and return where it is."""
    entry = entry_of(folder, name)
    with as_written(
        str(folder / INDEX), "an index of files", AGAIN, error=CheckpointError
    ):
        file, known = folder / entry["file"], entry["sha256"]
    with as_written(str(file), "bundled weights", AGAIN, error=CheckpointError):
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if digest != known:
        raise CheckpointError(
            f"{file}: altered or truncated: expected SHA-256 {known[:12]}..., got "
            f"{digest[:12]}...; {AGAIN}"
        )
    if isinstance(file, Path):
        return file
    kept = ExitStack()  # out of a zip: a copy that is deleted when Python ends
    atexit.register(kept.close)
    return kept.enter_context(resources.as_file(file))


def _bundled_name(name_or_path: str | Path) -> str | None:
    """Return the name of bundled weights, if it is one; an existing `Path` is none."""
    name = ALIASES.get(str(name_or_path), str(name_or_path))
    if name not in BUNDLED or (
        isinstance(name_or_path, Path) and name_or_path.exists()
    ):
        return None
    return name
