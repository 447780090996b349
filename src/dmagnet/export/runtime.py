"""Classify with an exported network: onnxruntime or OpenVINO, numpy, and no torch."""

import os
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.export.classifier import BATCH, ExportedClassifier, Floats
from dmagnet.export.header import INPUT, KEY, LOGITS, OOD, Header, read_header

Runtime = Literal["onnxruntime", "openvino"]
Precision = Literal["fp32", "bf16"]


class OnnxClassifier(ExportedClassifier):
    """A network that onnxruntime runs, on the CPU.

    Parameters
    ----------
    path : Path
        A file that `dmagnet.export.export_onnx` wrote.
    views : {1, 8}, optional
        See `ExportedClassifier`.
    batch_size : int
        Images at a time.
    threads : int, optional
        Threads for one batch. As OMP_NUM_THREADS says if not given, and one a core
        if that is not set.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, altered, or not one of ours.
    ConfigError
        If onnxruntime is not installed.
    """

    def __init__(
        self,
        path: Path,
        *,
        views: int | None = None,
        batch_size: int = BATCH,
        threads: int | None = None,
    ) -> None:
        content = _content(Path(path))
        session = onnx_session(content, str(path), threads)
        header = _header(session, content, str(path))

        outputs = [LOGITS, OOD] if header.has_ood else [LOGITS]

        def _forward(pixels: Floats) -> tuple[Floats, Floats | None]:
            found = session.run(outputs, {INPUT: pixels})
            return found[0], found[1] if header.has_ood else None

        super().__init__(header, _forward, views=views, batch_size=batch_size)


class OpenVINOClassifier(ExportedClassifier):
    """A network that OpenVINO runs, on the CPU.

    Parameters
    ----------
    path : Path
        A file that `dmagnet.export.export_onnx` wrote.
    views : {1, 8}, optional
        See `ExportedClassifier`.
    batch_size : int
        Images at a time.
    threads : int, optional
        As for `OnnxClassifier`.
    precision : {"fp32", "bf16"}
        What the network computes in. bf16 changes probabilities in the third digit,
        and takes a processor that has it; others compute in fp32 nevertheless.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, altered, or not one of ours.
    ConfigError
        If OpenVINO is not installed.
    """

    def __init__(
        self,
        path: Path,
        *,
        views: int | None = None,
        batch_size: int = BATCH,
        threads: int | None = None,
        precision: Precision = "fp32",
    ) -> None:
        try:
            import onnx
            import openvino
            from google.protobuf.message import DecodeError
        except ImportError as error:
            raise ConfigError(_missing("OpenVINO", error, "openvino")) from error
        content = _content(Path(path))
        try:
            properties = onnx.load_model_from_string(content).metadata_props
        except DecodeError as error:
            raise CheckpointError(_damaged(str(path), error)) from error
        texts = {entry.key: entry.value for entry in properties}
        header = read_header(texts.get(KEY), content, str(path))
        settings: dict[str, Any] = {
            # On a processor with bf16, OpenVINO would take that unasked.
            "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
            "INFERENCE_NUM_THREADS": _threads(threads),
        }
        core = openvino.Core()
        network = core.compile_model(core.read_model(content), "CPU", settings)

        def _forward(pixels: Floats) -> tuple[Floats, Floats | None]:
            # A request of its own, since one request serves one thread at a time.
            found = network.create_infer_request().infer({INPUT: pixels})
            ood = np.array(found[OOD], np.float32) if header.has_ood else None
            return np.array(found[LOGITS], np.float32), ood

        super().__init__(header, _forward, views=views, batch_size=batch_size)


def open_exported(
    path: Path,
    *,
    runtime: Runtime = "onnxruntime",
    views: int | None = None,
    batch_size: int = BATCH,
    threads: int | None = None,
    precision: Precision = "fp32",
) -> ExportedClassifier:
    """Open an exported network.

    Parameters
    ----------
    path : Path
        A file that `dmagnet.export.export_onnx` wrote.
    runtime : {"onnxruntime", "openvino"}
        What runs it.
    views : {1, 8}, optional
        See `ExportedClassifier`.
    batch_size : int
        Images at a time.
    threads : int, optional
        As for `OnnxClassifier`.
    precision : {"fp32", "bf16"}
        Of OpenVINO; onnxruntime computes in fp32.

    Returns
    -------
    ExportedClassifier
        Ready to classify.

    Raises
    ------
    ConfigError
        If the runtime is not installed, or cannot compute in this precision.
    """
    if runtime == "openvino":
        return OpenVINOClassifier(
            path,
            views=views,
            batch_size=batch_size,
            threads=threads,
            precision=precision,
        )
    if runtime != "onnxruntime":
        raise ConfigError(f"runtime: expected onnxruntime or openvino, got {runtime!r}")
    if precision != "fp32":
        raise ConfigError(
            f"precision: onnxruntime computes in fp32, got {precision}; take openvino"
        )
    return OnnxClassifier(path, views=views, batch_size=batch_size, threads=threads)


def onnx_session(content: bytes, name: str, threads: int | None = None) -> Any:
    """Make onnxruntime ready to run a graph.

    Parameters
    ----------
    content : bytes
        An ONNX file.
    name : str
        For messages.
    threads : int, optional
        As for `OnnxClassifier`.

    Returns
    -------
    onnxruntime.InferenceSession
        On the CPU.

    Raises
    ------
    CheckpointError
        If the file is damaged.
    ConfigError
        If onnxruntime is not installed.
    """
    try:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as states
    except ImportError as error:
        raise ConfigError(_missing("onnxruntime", error, "export")) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _threads(threads)
    options.log_severity_level = 3  # errors: what a person can act on
    try:
        return onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
    except (
        states.Fail, states.InvalidGraph, states.InvalidProtobuf,
        states.NotImplemented, states.InvalidArgument,
    ) as error:  # fmt: skip
        raise CheckpointError(_damaged(name, error)) from error


def _header(session: Any, content: bytes, name: str) -> Header:
    text = session.get_modelmeta().custom_metadata_map.get(KEY)
    return read_header(text, content, name)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path}: expected an .onnx file that 'dmagnet export' wrote, found "
            f"nothing to read ({error.strerror})"
        ) from error


def _damaged(name: str, error: Exception) -> str:
    line = " ".join(str(error).split())[:160]
    return f"{name}: not a whole ONNX file ({line}); copy or export it again"


def _missing(what: str, error: ImportError, extra: str) -> str:
    return (
        f"{what} is needed to run an exported network ({error}); "
        f"pip install 'dmagnet[{extra}]'"
    )


def _threads(wanted: int | None) -> int:
    """Return how many threads a batch may use; 0 lets the library choose."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return wanted or (int(given) if given.isdigit() else 0)
