"""Open weights with whichever library runs them."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from dmagnet.calibration.judgement import BATCH, Classifier
from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.network.bundled import DEFAULT, path_of

Device = Literal["auto", "cpu", "gpu"]


def open_classifier(
    weights: Path | str | None = None,
    *,
    views: int | None = None,
    batch_size: int = BATCH,
    device: Device = "auto",
    threads: int | None = None,
) -> Classifier:
    """Open weights of either form.

    Parameters
    ----------
    weights : path or str, optional
        ``s`` or ``xs`` for the weights of the package; an ``.onnx`` file, which needs
        no torch; a ``.safetensors`` file or a run folder. ``s`` if not given.
    views : {1, 8}, optional
        Average over one look or all eight flips and quarter turns; if not given, as
        the calibration was fitted, and one look without any.
    batch_size : int
        Images at a time.
    device : {"auto", "cpu", "gpu"}
        Where a network of torch runs. ONNX runs on the CPU.
    threads : int, optional
        Cores for one call; what the library likes if not given.

    Returns
    -------
    Classifier
        Ready to use.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or of another kind.
    ConfigError
        If there is no such device, or no torch for weights that need it.
    """
    weights = path_of(DEFAULT if weights is None else weights)
    how: dict[str, Any] = {"views": views, "batch_size": batch_size, "threads": threads}
    if weights.suffix == ".onnx":
        if device == "gpu":
            raise ConfigError(
                f"{weights}: ONNX weights run on the CPU; use --device cpu, or give "
                "the .safetensors file or the run folder"
            )
        from dmagnet.exporting.runtime import OnnxClassifier

        return OnnxClassifier(weights, **how)
    if weights.suffix not in ("", ".safetensors") and not weights.is_dir():
        raise CheckpointError(
            f"{weights}: expected weights as .safetensors or .onnx, or a run folder"
        )
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(
            f"{weights.name}: these weights need torch, which is not installed; "
            "pip install torch, or give --weights an .onnx file that 'dmagnet export' "
            "wrote"
        ) from error
    from dmagnet.judging.predict import classifier_of
    from dmagnet.network.checkpoint import load
    from dmagnet.network.folding import folded

    checkpoint = load(weights)
    if device == "gpu" and not torch.cuda.is_available():
        raise ConfigError("device: expected a CUDA GPU, found none; use --device cpu")
    place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    quick: Any = folded(checkpoint.model).to(place)
    return classifier_of(replace(checkpoint, model=quick), **how)
