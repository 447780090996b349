"""Weights and what they mean in one file: safetensors, with JSON in its header.

No pickle is read or written here. A file says which network it holds, which
classes, how images were prepared, where it came from, and how sure to be of it.
"""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from dmagnet import __version__
from dmagnet.calibrate import Calibration, from_parts, to_parts
from dmagnet.calibrate.record import PREFIX
from dmagnet.config import TrainConfig, to_dict, train_config
from dmagnet.disk import beside
from dmagnet.errors import CheckpointError, ConfigError, DataError
from dmagnet.model import DMAGNet

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """A network with all that is needed to use it.

    Attributes
    ----------
    model : DMAGNet
        In evaluation mode, on the CPU.
    config : TrainConfig
        How it was trained; image size and field also hold for prediction.
    class_names : tuple of str
        Name of each output.
    provenance : dict
        Version, data hash, date and whatever the trainer recorded.
    weights_hash : str
        SHA-256 over names, shapes and bytes of the weights.
    calibration : Calibration or None
        What was fitted on labeled galaxies: temperature, conformal sets, the space of
        features; None where nothing was.
    """

    model: DMAGNet
    config: TrainConfig
    class_names: tuple[str, ...]
    provenance: dict[str, Any] = field(default_factory=dict)
    weights_hash: str = ""
    calibration: Calibration | None = None


def weights_hash(model: torch.nn.Module) -> str:
    """Fingerprint the weights of a network.

    Parameters
    ----------
    model : nn.Module
        Any network.

    Returns
    -------
    str
        SHA-256, in hexadecimal, over the names, shapes and bytes of its state.
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(value.shape)}{value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save(path: Path, checkpoint: Checkpoint) -> Path:
    """Write a network beside its place, then rename: never half a file.

    Parameters
    ----------
    path : Path
        Ends in ``.safetensors``.
    checkpoint : Checkpoint
        What to write; its hash is computed here.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CheckpointError
        If the disk refuses; an older file of that name stays whole.
    """
    path = Path(path)
    state = {
        name: value.detach().cpu().contiguous()
        for name, value in checkpoint.model.state_dict().items()
    }
    header = {
        "format": FORMAT,
        "dmagnet": __version__,
        "config": to_dict(checkpoint.config),
        "class_names": list(checkpoint.class_names),
        "provenance": checkpoint.provenance,
        "weights_hash": weights_hash(checkpoint.model),
    }
    if checkpoint.calibration is not None:
        header["calibration"], arrays = to_parts(checkpoint.calibration)
        state |= {name: torch.from_numpy(array) for name, array in arrays.items()}
    try:
        with beside(path, _is_ours) as part:
            save_file(state, part, metadata={"dmagnet": json.dumps(header)})
            part.chmod(0o644)  # safetensors makes it private
    except (DataError, SafetensorError) as error:
        raise CheckpointError(
            f"could not write the weights: {error}"
            if isinstance(error, DataError)
            else f"{path}: could not write the weights ({error})"
        ) from error
    return path


def _is_ours(path: Path) -> bool:
    """Tell weights of this package from any other file."""
    try:
        with safe_open(path, framework="pt") as file:
            return "dmagnet" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def load(path: Path) -> Checkpoint:
    """Read a network and check that it is whole.

    Parameters
    ----------
    path : Path
        A file that `save` wrote, or a run folder that holds one.

    Returns
    -------
    Checkpoint
        With the network in evaluation mode on the CPU.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, altered, or not one of ours.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "weights.safetensors"
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; expected a .safetensors file or a run folder "
            "that 'dmagnet train' finished"
        )
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get("dmagnet")
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({error}); copy or train it again"
        ) from error
    if text is None:
        raise CheckpointError(
            f"{path}: a safetensors file, but not of dmagnet; "
            "expected one that 'dmagnet train' wrote"
        )
    return _rebuild(path, json.loads(text), state)


def _rebuild(
    path: Path, header: dict[str, Any], state: dict[str, torch.Tensor]
) -> Checkpoint:
    """Make the network that a header describes and fill in its weights."""
    if header["format"] > FORMAT:
        raise CheckpointError(
            f"{path}: format {header['format']} is newer than this dmagnet "
            f"{__version__} reads ({FORMAT}); update dmagnet"
        )
    try:
        config = train_config(header["config"])
        names = tuple(header["class_names"])
    except (KeyError, TypeError, ConfigError) as error:
        raise CheckpointError(
            f"{path}: written by dmagnet {header.get('dmagnet')}, with settings that "
            f"this one, {__version__}, does not know ({error}); update dmagnet, or "
            "train it again"
        ) from error
    if len(names) != config.model.num_classes:
        raise CheckpointError(
            f"{path}: expected names of {config.model.num_classes} classes, got "
            f"{len(names)}; the file was altered: copy or train it again"
        )
    arrays = {
        name: state.pop(name).numpy() for name in list(state) if name.startswith(PREFIX)
    }
    model = DMAGNet(config.model).eval()
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        line = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path}: the weights do not fit the network it names ({line})"
        ) from error
    if weights_hash(model) != header["weights_hash"]:
        raise CheckpointError(
            f"{path}: the weights differ from their recorded hash; "
            "the file was altered: copy or train it again"
        )
    return Checkpoint(
        model=model,
        config=config,
        class_names=names,
        provenance=header["provenance"],
        weights_hash=header["weights_hash"],
        calibration=_calibration(path, header, arrays, model),
    )


def _calibration(
    path: Path,
    header: dict[str, Any],
    arrays: dict[str, Any],
    model: DMAGNet,
) -> Calibration | None:
    """Put the calibration together, and see that it fits the network."""
    try:
        found = from_parts(header.get("calibration"), arrays)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if found is None or found.space is None:
        return found
    width, needed = len(found.space.mean), model.head.in_features
    if width != needed:
        raise CheckpointError(
            f"{path}: calibration: expected a space of {needed} features, got {width}; "
            "it is that of another network: calibrate again"
        )
    return found
