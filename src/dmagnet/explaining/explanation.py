"""One galaxy and all the reasons for its class."""

from dataclasses import dataclass, field

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray

from dmagnet.pictures.inputs.item import Item, Picture

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why the network gave a galaxy its class.

    Attributes
    ----------
    item : Item
        Which input it is, with flags and reasons.
    picture : Picture
        The input as the network sees it.
    rgb : (S, S, 3) uint8
        The pixels of ``picture``.
    class_names : tuple of str
        The K classes.
    probabilities : (K,) float32
        Calibrated where the weights were.
    set90, set95 : tuple of int
        Classes of the conformal sets; empty without a calibration.
    ood : float or None
        How unlike the galaxies of training it is; None if the weights cannot say.
    ood_flag : bool or None
        Whether that is above the limit of the weights.
    target : int
        The class that is explained.
    against : int or None
        The class it is held against.
    maps : dict of str to (S, S) float32
        By method; see `dmagnet.explaining.attribute`.
    scale_weights : dict of str to (branches,) float32
        For each DMA block, how much it listens to each of its scales.
    wcs : astropy.wcs.WCS or None
        Of the pixels of ``rgb``, as FITS counts them from the bottom; None where the
        input does not say.
    notes : tuple of str
        What to know about it.
    """

    item: Item
    picture: Picture
    rgb: NDArray[np.uint8]
    class_names: tuple[str, ...]
    probabilities: Floats
    set90: tuple[int, ...]
    set95: tuple[int, ...]
    ood: float | None
    ood_flag: bool | None
    target: int
    against: int | None
    maps: dict[str, Floats]
    scale_weights: dict[str, Floats]
    wcs: WCS | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def class_name(self) -> str:
        """Name of the class that is explained.

        Returns
        -------
        str
            As the weights spell it.
        """
        return self.class_names[self.target]

    @property
    def question(self) -> str:
        """What the maps answer, in words.

        Returns
        -------
        str
            ``why Merging`` or ``why Merging rather than Disturbed``.
        """
        words = f"why {self.class_name}"
        if self.against is not None:
            words += f" rather than {self.class_names[self.against]}"
        return words
