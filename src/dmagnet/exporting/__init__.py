"""Networks out as ONNX, and in again without torch.

The chapters, in order: `onnx_header` (what a file says about itself), `runtime`
(onnxruntime and OpenVINO), and `onnx_export` (the only one that needs torch, loaded
when `export_onnx` is asked for).
"""

from typing import TYPE_CHECKING

from dmagnet import _lazily
from dmagnet.exporting.onnx_header import Header as Header
from dmagnet.exporting.runtime import OnnxClassifier as OnnxClassifier
from dmagnet.exporting.runtime import OpenVINOClassifier as OpenVINOClassifier
from dmagnet.exporting.runtime import open_exported as open_exported

if TYPE_CHECKING:
    from dmagnet.exporting.onnx_export import export_onnx as export_onnx

__getattr__ = _lazily(__name__)  # torch, when it is wanted
