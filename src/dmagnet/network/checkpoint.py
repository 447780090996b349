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
from dmagnet.calibration.calibration import PREFIX, Calibration, from_parts, to_parts
from dmagnet.config.checks import from_dict, to_dict
from dmagnet.config.train_config import TrainConfig
from dmagnet.errors import CheckpointError, ConfigError, DataError
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.storage.disk import beside
from dmagnet.storage.records import as_written, plain_object

FORMAT = 2  # 1: LAM with strides, features at a sixteenth of the side
WEIGHTS = "weights.safetensors"  # in the folder of a run
WANTED = "a .safetensors file or a run folder that 'dmagnet train' finished"


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
    """Recognize weights of this package."""
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
    try:
        if path.is_dir():
            path = path / WEIGHTS
        _refuse_others(path)
        with safe_open(path, framework="pt") as file:
            header = _header(path, (file.metadata() or {}).get("dmagnet"))
            model = _empty(path, header, file)
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror or error}); expected {WANTED}"
        ) from error
    except (SafetensorError, AttributeError) as error:
        # AttributeError: numbers of a kind that this torch does not have
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({error}); copy or train it again"
        ) from error
    return _filled(path, header, model, state)


def _refuse_others(path: Path) -> None:
    """Name which other thing a path is, before anything opens it."""
    if not path.is_file():
        found = "not a file" if path.exists() else "no such file"
        raise CheckpointError(f"{path}: {found}; expected {WANTED}")
    with path.open("rb") as file:
        start = file.read(2)
    if start in (b"PK", *(bytes((0x80, protocol)) for protocol in range(2, 6))):
        raise CheckpointError(
            f"{path}: a pickle or a zip, as torch.save writes it, which may run code "
            f"and is never opened; expected {WANTED}"
        )
    if path.suffix == ".onnx":
        raise CheckpointError(
            f"{path}: an exported network can only classify; here expected {WANTED}"
        )


@dataclass(frozen=True, kw_only=True)
class _Header:
    """What a file says about itself."""

    format: int
    config: TrainConfig
    class_names: tuple[str, ...]
    provenance: dict[str, Any]
    weights_hash: str
    dmagnet: str = ""
    calibration: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse names that do not fit the outputs."""
        wanted, names = self.config.model.num_classes, self.class_names
        if len(names) != wanted or len(set(names)) != wanted:
            raise ConfigError(
                f"expected names of {wanted} classes, got {len(names)}, "
                f"{len(set(names))} of them different"
            )


def _header(path: Path, text: str | None) -> _Header:
    """Read the header of a file, before its weights."""
    if text is None:
        raise CheckpointError(
            f"{path}: a safetensors file, but not of dmagnet; "
            "expected one that 'dmagnet train' wrote"
        )
    expected = f"settings that this dmagnet, {__version__}, knows"
    advice = "copy or train it again"
    with as_written(
        path, expected, f"update dmagnet, or {advice}", error=CheckpointError
    ):
        values = plain_object(text)
        if isinstance(values.get("format"), int) and values["format"] > FORMAT:
            raise CheckpointError(
                f"{path}: format {values['format']} is newer than this dmagnet "
                f"{__version__} reads ({FORMAT}); update dmagnet"
            )
        if values.get("format") == 1:
            raise CheckpointError(
                f"{path}: expected weights of format {FORMAT}, got those of an older "
                f"network (dmagnet {values.get('dmagnet', 'unknown')!s:.20}); train it "
                "again, or use the dmagnet that made them"
            )
        return from_dict(_Header, values)


def _empty(path: Path, header: _Header, file: Any) -> DMAGNet:
    """Make the network that a file names, if it fits, before memory is taken."""
    with torch.device("meta"):
        model = DMAGNet(header.config.model).eval()
    expected = {name: list(v.shape) for name, v in model.state_dict().items()}
    found = {
        name: file.get_slice(name).get_shape()
        for name in file.keys()  # noqa: SIM118
        if not name.startswith(PREFIX)
    }
    for name in sorted({**expected, **found}):
        if expected.get(name) != found.get(name):
            raise CheckpointError(
                f"{path}: the weights do not fit the network it names ({name:.60}: "
                f"expected {expected.get(name, 'none')}, got "
                f"{found.get(name, 'none')}); copy or train it again"
            )
    return model


def _filled(
    path: Path, header: _Header, model: DMAGNet, state: dict[str, torch.Tensor]
) -> Checkpoint:
    """Fill the weights of a file into the network it names."""
    arrays = {name: state.pop(name) for name in list(state) if name.startswith(PREFIX)}
    for name, value in {**state, **arrays}.items():
        if value.is_complex() or not value.isfinite().all():
            raise CheckpointError(
                f"{path}: expected finite real numbers, got others in {name}; the "
                "training went astray or the file was altered: train it again, with "
                "a smaller --lr, or copy it again"
            )
    kinds = {name: value.dtype for name, value in model.state_dict().items()}
    # Copied, so that nothing reads from the file any more, which may be replaced.
    own = {name: value.to(kinds[name], copy=True) for name, value in state.items()}
    model.load_state_dict(own, assign=True)
    if weights_hash(model) != header.weights_hash:
        raise CheckpointError(
            f"{path}: the weights differ from their recorded hash; "
            "the file was altered: copy or train it again"
        )
    return Checkpoint(
        model=model,
        config=header.config,
        class_names=header.class_names,
        provenance=header.provenance,
        weights_hash=header.weights_hash,
        calibration=_calibration(path, header.calibration, arrays, model),
    )


def _calibration(
    path: Path,
    header: dict[str, Any] | None,
    arrays: dict[str, torch.Tensor],
    model: DMAGNet,
) -> Calibration | None:
    """Put the calibration together, and see that it fits the network."""
    try:
        found = from_parts(header, {k: v.float().numpy() for k, v in arrays.items()})
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
