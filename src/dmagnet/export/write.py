"""Write a network as ONNX, and refuse to when it does not say what torch says."""

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.checkpoint import Checkpoint, weights_hash
from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.export.header import INPUT, KEY, LOGITS, PROBABILITIES, Header, sealed
from dmagnet.export.runtime import onnx_session
from dmagnet.model.folding import folded
from dmagnet.simulate import draw

TOLERANCE = 1e-4  # in probability, between torch and the file
MIN_OPSET = 18  # the oldest that torch writes
OTHER_SIDE = 72  # px more; no multiple of 16, so that every layer rounds


def export_onnx(
    checkpoint: Checkpoint, path: Path, *, opset: int | None = None
) -> Path:
    """Write a network for onnxruntime, OpenVINO and whatever else reads ONNX.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network and what it means.
    path : Path
        Ends in ``.onnx``; a file of that name is replaced when all is done.
    opset : int, optional
        Version of ONNX's operators, from 18; the one torch prefers if not given.

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
        If onnxruntime finds other probabilities than torch, or the disk refuses; an
        older file of that name stays whole.

    Notes
    -----
    Input ``images``, (B, 3, H, W) float32 in [0, 1], any B and any sides from 64 px;
    outputs ``probabilities`` and ``logits``, (B, K). Normalization is inside, and so
    is the temperature by which the logits are divided before the softmax: that of the
    checkpoint's provenance, 1 where it has none. Norms are folded into convolutions.
    Before a file gets its name, its probabilities are compared with torch's on
    simulated galaxies, at the side of the training and at another one.
    """
    path = Path(path)
    if path.suffix != ".onnx":
        raise ConfigError(f"{path}: expected a name that ends in .onnx")
    if opset is not None and opset < MIN_OPSET:
        raise ConfigError(f"opset: expected {MIN_OPSET} or later, got {opset}")
    content = _serialized(checkpoint.model, _header(checkpoint), opset)
    return write_checked(checkpoint, content, path)


def write_checked(checkpoint: Checkpoint, content: bytes, path: Path) -> Path:
    """Write an ONNX file if it says what its network says.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network.
    content : bytes
        The file.
    path : Path
        Its place; it is written beside and renamed.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    CheckpointError
        If onnxruntime finds other probabilities than torch, or the disk refuses; an
        older file of that name stays whole.
    """
    difference = largest_difference(checkpoint, content)
    if not difference <= TOLERANCE:  # NaN is not, either
        raise CheckpointError(
            f"{path}: expected torch's probabilities to {TOLERANCE:g}, onnxruntime's "
            f"differ by {difference:.1e}; not written: try another --opset, or "
            "another version of torch or onnxruntime"
        )
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        with suppress(OSError):  # the reason to tell is the first one
            part.unlink()
        raise CheckpointError(
            f"{path}: could not write the network ({error}); "
            "free some space or choose another folder"
        ) from error
    return path


def largest_difference(checkpoint: Checkpoint, content: bytes) -> float:
    """Compare an ONNX file with the network it was made from.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network.
    content : bytes
        The file.

    Returns
    -------
    float
        Largest difference of a probability between torch and onnxruntime over
        simulated galaxies of three classes, at the side of the training and at
        another; NaN if one of the two finds NaN.
    """
    session = onnx_session(content, "the exported network")
    network = WithProbabilities(checkpoint.model, _temperature(checkpoint)).eval()
    side, field = checkpoint.config.image_size, checkpoint.config.field
    worst = 0.0
    for size, labels in ((side, (2, 5)), (side + OTHER_SIDE, (9,))):
        generator = torch.Generator().manual_seed(0)
        drawn = draw(
            torch.tensor(labels), image_size=size, field=field, generator=generator
        )
        images = drawn.float() / 255
        with torch.inference_mode():
            expected: NDArray[np.float32] = network(images)[0].numpy()
        (found,) = session.run([PROBABILITIES], {INPUT: images.numpy()})
        worst = float(np.maximum(worst, np.abs(found - expected).max()))
    return worst


class WithProbabilities(nn.Module):
    """A network that answers with probabilities and logits.

    Parameters
    ----------
    network : nn.Module
        Images to logits.
    temperature : float
        By what the logits are divided before the softmax.
    """

    def __init__(self, network: nn.Module, temperature: float = 1.0) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify a batch.

        Parameters
        ----------
        images : (B, 3, H, W) float in [0, 1]
            Red, green, blue; sides from 64 px.

        Returns
        -------
        tuple of (B, K) float and (B, K) float
            Probabilities, and the logits as the network gave them.
        """
        logits: Tensor = self.network(images)
        return (logits / self.temperature).softmax(dim=1), logits


def _header(checkpoint: Checkpoint) -> Header:
    return Header(
        class_names=checkpoint.class_names,
        image_size=checkpoint.config.image_size,
        field=checkpoint.config.field,
        weights_hash=checkpoint.weights_hash or weights_hash(checkpoint.model),
        temperature=_temperature(checkpoint),
        provenance=checkpoint.provenance,
    )


def _temperature(checkpoint: Checkpoint) -> float:
    temperature = float(checkpoint.provenance.get("temperature", 1.0))
    if not (temperature > 0 and math.isfinite(temperature)):
        raise CheckpointError(
            f"temperature: expected a number above 0, got {temperature}; "
            "calibrate the network again"
        )
    return temperature


def _serialized(model: nn.Module, header: Header, opset: int | None) -> bytes:
    """Return the whole file."""
    try:
        import onnx
        import onnxscript  # noqa: F401 (what torch writes ONNX with)
    except ImportError as error:
        raise ConfigError(
            f"onnx and onnxscript are needed to export a network ({error}); "
            "pip install 'dmagnet[export]'"
        ) from error
    network = folded(model).to("cpu").to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    proto = _traced(WithProbabilities(network, header.temperature).eval(), opset)
    _strip(proto)
    proto.producer_version = header.dmagnet
    onnx.helper.set_model_props(proto, {KEY: header.to_json()})
    onnx.checker.check_model(proto, full_check=True)
    return sealed(proto.SerializeToString(deterministic=True))


def _traced(network: nn.Module, opset: int | None) -> Any:
    """Return the network as an ONNX model."""
    images = torch.zeros(2, 3, 128, 160)  # three different sizes: none is taken as one
    sizes = {0: "batch", 2: "height", 3: "width"}
    with _quiet():
        try:
            program = torch.onnx.export(
                network,
                (images,),
                dynamo=True,
                opset_version=opset,
                input_names=[INPUT],
                output_names=[PROBABILITIES, LOGITS],
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch from talking to its own developers."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    before = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        try:
            yield
        finally:
            for log, level in zip(logs, before, strict=True):
                log.setLevel(level)
