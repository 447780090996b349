"""Records of a page: galaxies, dreams, and how far a dream is."""

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import NDArray
from torch import Tensor

from dmagnet.calibration.judgement import Judgement
from dmagnet.config.dream_config import DreamConfig
from dmagnet.dreaming.targets import Target
from dmagnet.pictures.inputs.item import Item

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

VIEW_PX = 256  # side of what people see and dream; the network's own may be smaller


@dataclass(frozen=True, eq=False)
class Galaxy:
    """One galaxy of a page."""

    item: Item
    seen: Bytes
    view: Bytes
    wcs: WCS | None
    judgement: Judgement
    notes: tuple[str, ...] = ()

    @property
    def probabilities(self) -> Floats:
        """Give the probability of each class."""
        first: Floats = self.judgement.probabilities[0]
        return first


@dataclass(frozen=True, eq=False)
class DreamAnswer:
    """What a dream came to."""

    target: Target
    start: Tensor
    image: Tensor
    scores: tuple[float, float]
    before: Floats | None
    after: Floats | None
    config: DreamConfig
    share: float = 1.0
    # of a dreamed class: the other network, and what it thinks of it before and after
    judge: tuple[str, float, float] | None = None


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a dream is."""

    target: Target
    number: int
    total: int
    share: float
    image: Tensor
