"""What classifies pictures, whichever library runs it."""

from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from dmagnet.calibration.calibration import Calibration
from dmagnet.calibration.judgement import Judgement

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
