"""Classify with an exported network: onnxruntime or OpenVINO, numpy, and no torch."""

import errno
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dmagnet.calibration.calibration import Calibration
from dmagnet.calibration.judgement import BATCH, Answers, Classifier, views_to_take
from dmagnet.errors import CheckpointError, ConfigError, DataError
from dmagnet.exporting.onnx_header import (
    INPUT,
    KEY,
    LOGITS,
    OOD,
    Header,
    metadata_of,
    read_header,
)
from dmagnet.storage.arrays import Pixels, Singles
from dmagnet.storage.environment import environment

Runtime = Literal["onnxruntime", "openvino"]
Precision = Literal["fp32", "bf16"]
Run = Callable[[Singles], Answers]  # of (B, 3, H, W) pictures in [0, 1]
Refusals = tuple[type[Exception], ...]

# Of a call of the graph, however many are asked for: larger activations leave the
# cache of a core (256 px, onnxruntime: 8 images 112/s, 16 images 90/s).
CALL_PIXELS, CALL_IMAGES = 2**19, 8
MIN_SIDE = 64  # of an image, in px
# As they are imported, both would give this machine an id and call home. That of
# OpenVINO knows no other word for no (openvino_telemetry, OptInChecker).
_QUIET = {"ORT_DISABLE_TELEMETRY": "1", "CI": "true"}


class Exported(Classifier):
    """A network from an ONNX file; its two kinds differ in what runs the graph."""

    def __init__(
        self,
        path: Path,
        *,
        views: int | None = None,
        batch_size: int = BATCH,
        threads: int | None = None,
        precision: Precision = "fp32",
    ) -> None:
        path = Path(path)
        content, header = _read(path)
        self.header, self.threads, self.precision = header, cores(threads), precision
        run, refusals = self._made_ready(content, str(path))
        self._try(run, refusals, path)
        calibration = header.thresholds and Calibration(
            header.temperature,
            header.thresholds,
            provenance=header.calibration,
            views=header.views,
        )
        fitting = min(max(CALL_PIXELS // header.image_size**2, 1), CALL_IMAGES)

        def _forward(images: Pixels) -> Answers:
            b, height, width, _ = images.shape
            if min(height, width) < MIN_SIDE:
                raise DataError(
                    f"images: expected sides from {MIN_SIDE} px, got {height}x{width}"
                )
            planes = np.empty((b, 3, height, width), np.float32)
            np.divide(images.transpose(0, 3, 1, 2), np.float32(255), out=planes)
            return run(planes)

        known = ("class_names", "image_size", "sides", "field", "radii", "ood_limit")
        super().__init__(
            **{name: getattr(header, name) for name in (*known, "weights_hash")},
            calibration=calibration,
            forward=_forward,
            views=views_to_take(views, calibration),
            batch_size=min(batch_size, fitting),
        )

    def _made_ready(self, content: bytes, name: str) -> tuple[Run, Refusals]:
        """Return what runs the graph, and what it raises where it cannot."""
        raise NotImplementedError

    def _try(self, run: Run, refusals: Refusals, path: Path) -> None:
        """Ask the graph once, to refuse one that does not do what it says."""
        try:
            logits, ood = run(np.zeros((2, 3, MIN_SIDE, MIN_SIDE), np.float32))
        except refusals as error:
            raise CheckpointError(_not_run(path, error)) from error
        num, scores = len(self.header.class_names), (2,) if self.header.has_ood else ()
        shapes = np.shape(logits), () if ood is None else np.shape(ood)
        if shapes != ((2, num), scores):
            raise CheckpointError(
                f"{path}: expected {LOGITS} of {num} classes, got shapes {shapes} for "
                "2 images; export the network again"
            )


class OnnxClassifier(Exported):
    """A network that onnxruntime runs, on the CPU; arguments as of `open_exported`."""

    def _made_ready(self, content: bytes, name: str) -> tuple[Run, Refusals]:
        if self.precision != "fp32":
            raise ConfigError(
                f"precision: onnxruntime computes in fp32, got {self.precision}; take "
                "openvino"
            )
        session = onnx_session(content, name, self.threads)
        outputs = [LOGITS, OOD] if self.header.has_ood else [LOGITS]

        def _run(pixels: Singles) -> Answers:
            logits, *ood = session.run(outputs, {INPUT: pixels})
            return logits, ood[0] if ood else None

        return _run, _refusals()


class OpenVINOClassifier(Exported):
    """A network that OpenVINO runs, on the CPU; arguments as of `open_exported`."""

    def _made_ready(self, content: bytes, name: str) -> tuple[Run, Refusals]:
        core = _imported("openvino", "OpenVINO", "openvino").Core()
        settings: dict[str, Any] = {
            # On a processor with bf16, OpenVINO would take that unasked.
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[self.precision],
            "INFERENCE_NUM_THREADS": self.threads,
        }
        try:
            network = core.compile_model(core.read_model(content), "CPU", settings)
        except RuntimeError as error:
            raise CheckpointError(_not_run(name, error)) from error

        def _run(pixels: Singles) -> Answers:
            # A request of its own, since one request serves one thread at a time.
            found = network.create_infer_request().infer({INPUT: pixels})
            ood = np.array(found[OOD], np.float32) if self.header.has_ood else None
            return np.array(found[LOGITS], np.float32), ood

        return _run, (RuntimeError,)


def open_exported(
    path: Path,
    *,
    runtime: Runtime = "onnxruntime",
    views: int | None = None,
    batch_size: int = BATCH,
    threads: int | None = None,
    precision: Precision = "fp32",
) -> Exported:
    """Open an exported network.

    Parameters
    ----------
    path : Path
        A file that `dmagnet.exporting.export_onnx` wrote.
    runtime : {"onnxruntime", "openvino"}
        What runs it.
    views : {1, 2, 4, 8}, optional
        Flips and quarter turns to average over; as calibrated if not given.
    batch_size : int
        Images at a time; fewer where the cache of a core would overflow.
    threads : int, optional
        Threads for one batch. As OMP_NUM_THREADS says if not given, and one a core
        if that is not set.
    precision : {"fp32", "bf16"}
        Of OpenVINO; onnxruntime computes in fp32. bf16 changes probabilities in the
        third digit, on processors that have it.

    Returns
    -------
    Exported
        A classifier, with the file's `Header` as its ``header``.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, altered, or not one of ours.
    ConfigError
        If the runtime is not installed, or cannot compute in this precision.
    """
    kinds = {"onnxruntime": OnnxClassifier, "openvino": OpenVINOClassifier}
    if runtime not in kinds:
        raise ConfigError(f"runtime: expected onnxruntime or openvino, got {runtime!r}")
    return kinds[runtime](
        path, views=views, batch_size=batch_size, threads=threads, precision=precision
    )


def onnx_session(content: bytes, name: str, threads: int) -> Any:
    """Make onnxruntime ready to run a graph."""
    onnxruntime = _imported("onnxruntime", "onnxruntime", "export")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what it refuses is told below, once
    try:
        return onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
    except _refusals() as error:
        raise CheckpointError(_not_run(name, error)) from error


def _imported(module: str, what: str, extra: str) -> Any:
    """Import what runs graphs, which tells nobody about it."""
    try:
        with environment(_QUIET):
            return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"{what} is needed to run an exported network ({error}); "
            f"pip install 'dmagnet[{extra}]'"
        ) from error


def _refusals() -> Refusals:
    """List what onnxruntime raises; ValueError for names that are not there."""
    from onnxruntime.capi import onnxruntime_pybind11_state as states

    names = (
        *("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf"),
        *("NotImplemented", "RuntimeException", "EPFail"),
    )
    return (ValueError, *(getattr(states, name) for name in names))


def _read(path: Path) -> tuple[bytes, Header]:
    """Read a file and check that it is whole, ours, and nothing but itself."""
    try:
        if path.exists() and not path.is_file():
            raise IsADirectoryError(errno.EISDIR, "no file")
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise CheckpointError(
            f"{path}: expected an .onnx file that 'dmagnet export' wrote, found "
            f"nothing to read ({getattr(error, 'strerror', error)})"
        ) from error
    text = metadata_of(content, str(path)).get(KEY)
    return content, read_header(text, content, str(path))


def _not_run(path: Path | str, error: Exception) -> str:
    line = " ".join(str(error).split())[:160]
    return (
        f"{path}: the graph cannot be run ({line}); export it again, or update what "
        "runs it"
    )


def cores(wanted: int | None) -> int:
    """Return how many threads a batch may use; 0 lets the library choose."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return wanted or (int(given) if given.isdigit() else 0)
