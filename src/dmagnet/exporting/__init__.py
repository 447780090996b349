"""Networks out as ONNX, and in again without torch.

The chapters, in order: `onnx_header` (what a file says about itself), `onnx_classifier`
(images to probabilities, whatever runs the graph), `runtime` (onnxruntime and
OpenVINO), and `onnx_export` (the only one that needs torch, loaded when `export_onnx`
is asked for).
"""

from typing import Any

from dmagnet.exporting.onnx_header import Header
from dmagnet.exporting.runtime import OnnxClassifier, OpenVINOClassifier, open_exported

__all__ = [
    "Header",
    "OnnxClassifier",
    "OpenVINOClassifier",
    "export_onnx",
    "open_exported",
]


def __getattr__(name: str) -> Any:
    if name != "export_onnx":
        raise AttributeError(f"module 'dmagnet.exporting' has no attribute {name!r}")
    from dmagnet.exporting.onnx_export import export_onnx

    return export_onnx
