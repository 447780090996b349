"""The verb that gives a network away."""

from pathlib import Path

from tyro.conf import Positional

from dmagnet.cli.screen import Out, bars


def export(weights: Positional[Path], *, out: Out, opset: int | None = None) -> None:
    """Write a network as ONNX, for onnxruntime, OpenVINO and classifying without torch.

    Parameters
    ----------
    weights : Path
        A run folder, a .safetensors file, or s or xs.
    out : Path
        The .onnx file to write.
    opset : int
        Version of ONNX's operators, from 18; the one torch prefers if not given.
    """
    from dmagnet.exporting.onnx_export import export_onnx

    with bars() as bar:
        written = export_onnx(weights, out, opset=opset, announce=bar)
    print(written)
