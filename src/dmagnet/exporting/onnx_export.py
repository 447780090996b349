"""A network as ONNX, not written where its answers are not those of torch."""

import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.calibration.calibration import ARRAYS
from dmagnet.calibration.space import distance
from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.exporting.onnx_header import (
    INPUT,
    KEY,
    LOGITS,
    OOD,
    PROBABILITIES,
    Header,
    sealed,
)
from dmagnet.exporting.runtime import cores, onnx_session
from dmagnet.network.blocks import folded, without_hooks
from dmagnet.network.bundled import load
from dmagnet.network.checkpoint import Checkpoint, weights_hash
from dmagnet.pictures.standard import standardize
from dmagnet.simulator.scene import draw
from dmagnet.storage.disk import beside, make_way, says_so
from dmagnet.storage.environment import Announce, bars, counter, logging_at

TOLERANCE = 1e-4  # in probability, between torch and the file
MIN_OPSET = 18  # the oldest that torch writes
OTHER_SIDE = 72  # px more; no multiple of 16, so that every layer rounds


def export_onnx(
    weights: Checkpoint | Path | str,
    path: Path | str,
    *,
    opset: int | None = None,
    announce: Announce | None = None,
) -> Path:
    """Write a network for onnxruntime, OpenVINO and whatever else reads ONNX.

    Parameters
    ----------
    weights : Checkpoint, path or str
        The network and what it means; or where it is: a run folder, a .safetensors
        file, or s or xs of the package.
    path : path
        Ends in ``.onnx``; a file of that name is replaced when all is done.
    opset : int, optional
        Version of ONNX's operators, from 18; the one torch prefers if not given.
    announce : callable, optional
        Called with the name of each stage, and no total; returns what is not called.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigError
        If the name has another ending, if torch cannot write this opset, or if the
        packages that write ONNX are not installed.
    CheckpointError
        If onnxruntime finds other answers than torch; an older file stays whole.
    DataError
        If the disk refuses, or a file is there that dmagnet did not make.

    Notes
    -----
    Input ``images``, (B, 3, H, W) float32 in [0, 1], any B and any sides from 64 px;
    outputs ``probabilities`` and ``logits``, (B, K), and ``ood``, (B,), where the
    checkpoint's calibration has a space. Normalization is inside, and so is the
    temperature by which the logits are divided before the softmax: that of the
    calibration, 1 without one. Norms are folded into convolutions. Before a file gets
    its name, its answers are compared with torch's on simulated galaxies, at the side
    of the training and at another one.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ConfigError(f"{path}: expected a name that ends in .onnx")
    if opset is not None and opset < MIN_OPSET:
        raise ConfigError(f"opset: expected {MIN_OPSET} or later, got {opset}")
    make_way(path, says_so)
    checkpoint = weights if isinstance(weights, Checkpoint) else load(weights)
    announce = announce or bars()
    counter(announce, "Exporting", None)
    content = _serialized(checkpoint, opset)
    counter(announce, "Comparing with torch", None)
    return write_checked(checkpoint, content, path)


def write_checked(checkpoint: Checkpoint, content: bytes, path: Path) -> Path:
    """Write an ONNX file if it says what its network says."""
    difference = largest_difference(checkpoint, content)
    if not difference <= TOLERANCE:  # NaN is not, either
        raise CheckpointError(
            f"{path}: expected torch's probabilities to {TOLERANCE:g}, onnxruntime's "
            f"differ by {difference:.1e}; not written: try another --opset, or "
            "another version of torch or onnxruntime"
        )
    with beside(path, says_so) as part:
        part.write_bytes(content)
    return path


def largest_difference(checkpoint: Checkpoint, content: bytes) -> float:
    """Compare an ONNX file with the network it was made from."""
    session = onnx_session(content, "the exported network", cores(None))
    network = Judging(checkpoint, checkpoint.model)
    names = [PROBABILITIES] if network.space is None else [PROBABILITIES, OOD]
    side = checkpoint.config.image_size
    worst = 0.0
    for size, labels in ((side, (2, 5)), (side + OTHER_SIDE, (9,))):
        images = _galaxies(checkpoint, size, labels)
        with torch.inference_mode():
            probs, _, *scores = (a.numpy() for a in network(torch.from_numpy(images)))
        found, *beside = session.run(names, {INPUT: images})
        off = [np.abs(found - probs).max()]
        off += [np.abs(b / s - 1).max() for b, s in zip(beside, scores, strict=True)]
        worst = float(np.max([worst, *off]))
    return worst


class Judging(nn.Module):
    """A network that answers with probabilities, logits, and perhaps a warning."""

    def __init__(self, checkpoint: Checkpoint, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network
        calibration = checkpoint.calibration
        self.temperature = calibration.temperature if calibration else 1.0
        self.space = calibration.space if calibration else None
        for name in ARRAYS if self.space else ():
            values = torch.from_numpy(getattr(self.space, name).copy())
            self.register_buffer(name, values)
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Classify a batch."""
        pooled = self.network.features(images).mean(dim=(2, 3))
        logits: Tensor = self.network.head(pooled)
        answers = (logits / self.temperature).softmax(dim=1), logits
        if self.space is None:
            return answers
        parts = {name: getattr(self, name) for name in ARRAYS}
        return *answers, distance(pooled, **parts, noise=self.space.noise)


def _galaxies(
    checkpoint: Checkpoint, side: int, labels: tuple[int, ...]
) -> NDArray[Any]:
    """Draw galaxies as the network sees them, (B, 3, S, S) in [0, 1]."""
    config = checkpoint.config
    drawn = draw(
        torch.tensor(labels),
        image_size=side,
        field=config.field if config.radii is None else 1.0,
        generator=torch.Generator().manual_seed(0),
    )
    images = drawn.permute(0, 2, 3, 1).numpy()
    if config.radii is not None:
        images = np.stack([standardize(i, side, config.radii) for i in images])
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) / np.float32(255)


def _header(checkpoint: Checkpoint) -> Header:
    config, calibration = checkpoint.config, checkpoint.calibration
    trust: dict[str, Any] = {}
    if calibration is not None:
        trust = {
            n: getattr(calibration, n) for n in ("temperature", "thresholds", "views")
        }
        trust["calibration"] = calibration.provenance
        if calibration.space is not None:
            limit = calibration.space.limit
            trust |= {"has_ood": True, "ood_limit": limit if limit < math.inf else None}
    return Header(
        class_names=checkpoint.class_names,
        image_size=config.image_size,
        sides=config.sides,
        field=config.field,
        radii=config.radii,
        weights_hash=checkpoint.weights_hash or weights_hash(checkpoint.model),
        provenance=checkpoint.provenance,
        **trust,
    )


def _serialized(checkpoint: Checkpoint, opset: int | None) -> bytes:
    """Return the whole file."""
    try:
        import onnx
        import onnxscript  # noqa: F401 (what torch writes ONNX with)
    except ImportError as error:
        raise ConfigError(
            f"onnx and onnxscript are needed to export a network ({error}); "
            "pip install 'dmagnet[export]'"
        ) from error
    header = _header(checkpoint)
    network: Any = folded(without_hooks(checkpoint.model)).to("cpu")
    network = network.to(memory_format=torch.contiguous_format)
    proto = _traced(Judging(checkpoint, network), opset)
    _strip(proto)
    proto.producer_version = header.dmagnet
    onnx.helper.set_model_props(proto, {KEY: header.to_json()})
    onnx.checker.check_model(proto, full_check=True)
    return sealed(proto.SerializeToString(deterministic=True))


def _traced(network: Judging, opset: int | None) -> Any:
    """Return the network as an ONNX model."""
    images = torch.zeros(2, 3, 128, 160)  # three different sizes: none is taken as one
    sizes = {0: "batch", 2: "height", 3: "width"}
    outputs = [PROBABILITIES, LOGITS] + [OOD] * (network.space is not None)
    with (
        # torch talks to its own developers
        logging_at(logging.CRITICAL, "torch.onnx", "onnxscript"),
        warnings.catch_warnings(action="ignore"),
    ):
        try:
            program = torch.onnx.export(
                network,
                (images,),
                dynamo=True,
                opset_version=opset,
                input_names=[INPUT],
                output_names=outputs,
                dynamic_shapes={INPUT: sizes},
                verbose=False,
            )
        except (torch.onnx.OnnxExporterError, ValueError) as error:
            line = " ".join(str(error).split())[:160]
            raise ConfigError(
                f"torch {torch.__version__} cannot write this network as ONNX "
                f"(opset {opset or 'not given'}): {line}"
            ) from error
    assert program is not None  # what export returns with dynamo=True
    proto = program.model_proto
    written = next(entry.version for entry in proto.opset_import if not entry.domain)
    if opset not in (None, written):  # torch warns and writes another
        raise ConfigError(
            f"opset: torch {torch.__version__} writes {written}, not {opset}; "
            "leave --opset out"
        )
    return proto


def _strip(proto: Any) -> None:
    """Remove how it came about: torch notes folders of whoever exports it."""
    graph = proto.graph
    values = (*graph.input, *graph.output, *graph.initializer, *graph.value_info)
    for entry in (graph, *graph.node, *values):
        entry.ClearField("metadata_props")
        entry.ClearField("doc_string")
    proto.ClearField("metadata_props")
