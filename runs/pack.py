"""Make a file for the package from a run: half precision, and its line in the index."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dmagnet import __version__
from dmagnet.config.checks import to_dict
from dmagnet.errors import CheckpointError
from dmagnet.network.bundled import BUNDLED, CARD, INDEX
from dmagnet.network.checkpoint import Checkpoint, load, save, weights_hash
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.storage.disk import beside

HALF = torch.float16


def rounded(checkpoint: Checkpoint, dtype: torch.dtype = HALF) -> Checkpoint:
    """Round the weight matrices of a network to what half precision can hold.

    Parameters
    ----------
    checkpoint : Checkpoint
        Left as it is.
    dtype : torch.dtype
        ``float16`` or ``bfloat16``.

    Returns
    -------
    Checkpoint
        A copy in float32 whose matrices (all with two or more axes) are rounded;
        biases, norms and their statistics are not: they are few, and their range is
        wide.

    Raises
    ------
    CheckpointError
        If a weight is too large for the type.
    """
    matrices = matrices_of(checkpoint.model)
    state = {
        name: value.to(dtype).to(value.dtype) if name in matrices else value
        for name, value in checkpoint.model.state_dict().items()
    }
    lost = [name for name, value in state.items() if not value.isfinite().all()]
    if lost:
        raise CheckpointError(
            f"{lost[0]}: a weight is not finite in {dtype}; train it again, or keep "
            "float32"
        )
    model = DMAGNet(checkpoint.model.config)
    model.load_state_dict(state)
    return replace(checkpoint, model=model.eval())


def save_half(
    path: Path, checkpoint: Checkpoint, dtype: torch.dtype = HALF
) -> Checkpoint:
    """Write a network with its matrices in half precision.

    Parameters
    ----------
    path : Path
        Ends in ``.safetensors``; `dmagnet.checkpoint.load` reads it.
    checkpoint : Checkpoint
        Left as it is.
    dtype : torch.dtype
        ``float16`` or ``bfloat16``.

    Returns
    -------
    Checkpoint
        What `dmagnet.checkpoint.load` gives of it: the hash in the header is that of
        the network so loaded.

    Raises
    ------
    CheckpointError
        If a weight is too large for the type, or the disk refuses.
    """
    save(path, rounded(checkpoint, dtype))
    matrices = matrices_of(checkpoint.model)
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        tensors = {
            name: file.get_tensor(name).to(dtype if name in matrices else None)
            for name in file.keys()  # noqa: SIM118
        }
    with beside(path) as part:
        save_file(tensors, part, metadata=header)
        part.chmod(0o644)  # safetensors makes it private
    return load(path)


def add_to_package(
    folder: Path, name: str, checkpoint: Checkpoint, **measured: Any
) -> dict[str, Any]:
    """Write a file for the package, and its line in the index.

    Parameters
    ----------
    folder : Path
        ``src/dmagnet/weights`` of a checkout.
    name : str
        ``s`` or ``xs``; the network must be of that size.
    checkpoint : Checkpoint
        The network in float32, with its calibration.
    **measured : Any
        What was measured of the rounding; goes into the line.

    Returns
    -------
    dict
        The line.

    Raises
    ------
    CheckpointError
        If the size is another, a weight is too large, or the disk refuses.
    """
    if name not in BUNDLED or name != checkpoint.config.model.size:
        raise CheckpointError(
            f"--name: expected the size of the network ({', '.join(BUNDLED)}), got "
            f"{name} for size {checkpoint.config.model.size}"
        )
    path = folder / f"dmagnet-{name}.safetensors"
    told = checkpoint.provenance
    # Where the files lay is of one machine, and nobody else's business.
    names = (Path(part).name for part in str(told.get("data", "")).split(" + "))
    told = told | {"data": " + ".join(dict.fromkeys(names))}
    loaded = save_half(path, replace(checkpoint, provenance=told))
    content = path.read_bytes()
    entry = {
        "file": path.name,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "weights_hash": loaded.weights_hash,
        "float32_hash": weights_hash(checkpoint.model),  # before rounding
        "size": loaded.config.model.size,
        "class_names": list(loaded.class_names),
        "image_size": loaded.config.image_size,
        "radii": to_dict(loaded.config).get("radii"),
        "stored_as": str(HALF).removeprefix("torch."),
        "version": __version__,
        "date": datetime.now(UTC).date().isoformat(),
        "card": CARD,
        **measured,
    }
    index = folder / INDEX
    content_before = json.loads(index.read_text()) if index.exists() else {}
    lines = {**content_before.get("weights", {}), name: entry}
    ordered = {key: lines[key] for key in BUNDLED if key in lines}
    text = json.dumps({"format": 1, "weights": ordered}, indent=1)
    with beside(index, lambda _: True) as part:
        part.write_text(f"{text}\n", encoding="utf-8")
    return entry


def matrices_of(model: torch.nn.Module) -> set[str]:
    """Name the weights that are worth storing in fewer bits.

    Parameters
    ----------
    model : nn.Module
        Any network.

    Returns
    -------
    set of str
        Its parameters with two or more axes: kernels and the last layer.
    """
    return {name for name, value in model.named_parameters() if value.ndim >= 2}
