"""What classifies pictures, whichever library runs it."""

from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from dmagnet.calibrate import Calibration, Judgement
from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.weights import DEFAULT, path_of

Device = Literal["auto", "cpu", "gpu"]
BATCH = 32  # larger activations leave the cache of a CPU core


class Classifier(Protocol):
    """Pictures in, class probabilities out; many threads may call it at once."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name the outputs.

        Returns
        -------
        tuple of str
            The K classes.
        """
        ...

    @property
    def image_size(self) -> int:
        """Say how large pictures are.

        Returns
        -------
        int
            Side, in px.
        """
        ...

    @property
    def field(self) -> float:
        """Say how much sky they show.

        Returns
        -------
        float
            Share of the 67 arcsec frame.
        """
        ...

    @property
    def radii(self) -> float | None:
        """Say how wide pictures are, where all galaxies are seen at one size.

        Returns
        -------
        float or None
            Side in isophotal radii of the galaxy; None if pictures are as they are.
        """
        ...

    @property
    def calibration(self) -> Calibration | None:
        """Say how probabilities were calibrated.

        Returns
        -------
        Calibration or None
            Its ``space`` is None where an exported graph holds it.
        """
        ...

    @property
    def ood_limit(self) -> float | None:
        """Say above which score a galaxy is unlike those of the training.

        Returns
        -------
        float or None
            None if the weights cannot say.
        """
        ...

    @property
    def weights_hash(self) -> str:
        """Fingerprint the weights.

        Returns
        -------
        str
            SHA-256, in hexadecimal.
        """
        ...

    @property
    def views(self) -> int:
        """Say over how many views answers are averaged.

        Returns
        -------
        int
            1 or 8.
        """
        ...

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Classify pictures.

        Parameters
        ----------
        images : (N, S, S, 3) uint8
            Of side `image_size`.

        Returns
        -------
        (N, K) float32
            Calibrated where the weights were; rows sum to 1.
        """
        ...

    def judge(self, images: npt.NDArray[np.uint8]) -> Judgement:
        """Classify pictures, and say how far to trust it.

        Parameters
        ----------
        images : (N, S, S, 3) uint8
            Of side `image_size`.

        Returns
        -------
        Judgement
            Of the N pictures.
        """
        ...


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
    if weights.suffix == ".onnx":
        if device == "gpu":
            raise ConfigError(
                f"{weights}: ONNX weights run on the CPU; use --device cpu, or give "
                "the .safetensors file or the run folder"
            )
        from dmagnet.export.runtime import OnnxClassifier

        return OnnxClassifier(
            weights, views=views, batch_size=batch_size, threads=threads
        )
    if weights.suffix not in ("", ".safetensors") and not weights.is_dir():
        raise CheckpointError(
            f"{weights}: expected weights as .safetensors or .onnx, or a run folder"
        )
    try:
        from dmagnet.catalog.network import NetworkClassifier
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(
            f"{weights.name}: these weights need torch, which is not installed; "
            "pip install torch, or give --weights an .onnx file that 'dmagnet export' "
            "wrote"
        ) from error
    return NetworkClassifier(
        weights, views=views, batch_size=batch_size, device=device, threads=threads
    )
