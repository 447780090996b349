"""What a page knows: galaxies, dreams, and how far a dream is."""

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from torch import Tensor

from dmagnet.calibrate import Judgement
from dmagnet.config import DreamConfig
from dmagnet.dreams import Target
from dmagnet.sources import Item

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

VIEW_PX = 256  # side of what people see and dream; the network's own may be smaller


@dataclass(frozen=True, eq=False)
class Galaxy:
    """One galaxy of a page.

    Attributes
    ----------
    item : Item
        What it is called, where it is, and doubts.
    seen : (S, S, 3) uint8
        As the network sees it.
    view : (256, 256, 3) uint8
        The same part of the sky, for people and for dreams.
    wcs : WCS or None
        Of ``view``; None where the file does not say.
    judgement : Judgement
        Of this one picture.
    notes : tuple of str
        What else to know about it.
    """

    item: Item
    seen: Bytes
    view: Bytes
    wcs: WCS | None
    judgement: Judgement
    notes: tuple[str, ...] = ()

    @property
    def probabilities(self) -> Floats:
        """Give the probability of each class.

        Returns
        -------
        (K,) float32
            Calibrated where the weights were.
        """
        first: Floats = self.judgement.probabilities[0]
        return first


@dataclass(frozen=True, eq=False)
class Dreamed:
    """What a dream came to.

    Attributes
    ----------
    target : Target
        What was dreamed.
    start, image : (3, S, S) Tensor in [0, 1]
        The galaxy, and the dream.
    scores : (float, float)
        Of the target, in the galaxy and in the dream.
    before, after : (K,) float32 or None
        Class probabilities of both.
    config : DreamConfig
        How it was dreamed.
    share : float
        Of all steps that were done; below 1 where it was canceled.
    """

    target: Target
    start: Tensor
    image: Tensor
    scores: tuple[float, float]
    before: Floats | None
    after: Floats | None
    config: DreamConfig
    share: float = 1.0


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a dream is.

    Attributes
    ----------
    target : Target
        What is dreamed.
    number, total : int
        Which of the targets, from 0, and how many.
    share : float
        Of all steps of this target that are done, 0 to 1.
    image : (3, h, w) Tensor in [0, 1]
        What there is by now.
    """

    target: Target
    number: int
    total: int
    share: float
    image: Tensor
