"""Records of a page: galaxies and their maps, dreams, and how far a dream is."""

from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from PIL import Image
from torch import Tensor

from dmagnet.calibration.judgement import Judgement
from dmagnet.config.dream_config import DreamConfig
from dmagnet.dreaming.sheets import to_bytes
from dmagnet.dreaming.targets import Target
from dmagnet.figures.overlays import detail_picture, overlay
from dmagnet.pictures.cutout import moved_wcs
from dmagnet.pictures.inputs.item import Item
from dmagnet.storage.arrays import Pixels, Singles

VIEW_PX = 256  # side of what people see and dream; the network's own may be smaller


@dataclass(frozen=True, eq=False)
class Galaxy:
    """One galaxy of a page."""

    item: Item
    seen: Pixels
    view: Pixels
    wcs: WCS | None
    judgement: Judgement
    notes: tuple[str, ...] = ()

    @property
    def probabilities(self) -> Singles:
        """Give the probability of each class."""
        return np.asarray(self.judgement.probabilities[0], np.float32)

    def wcs_at(self, side: int) -> WCS | None:
        """Give the WCS of its view brought to another side."""
        return moved_wcs(self.wcs, (0.0, 0.0), (side / VIEW_PX, side / VIEW_PX))

    @property
    def thumbnail(self) -> Pixels:
        """Give a small picture of it."""
        return self.view[::4, ::4]

    @property
    def doubts(self) -> list[str]:
        """List what to know about it."""
        return [line for line in (self.item.reason, *self.notes) if line]


@dataclass(frozen=True, eq=False)
class DreamAnswer:
    """What a dream came to."""

    target: Target
    start: Tensor
    image: Tensor
    scores: tuple[float, float]
    before: Singles
    after: Singles
    config: DreamConfig
    share: float = 1.0
    # of a dreamed class: the other network, and what it thinks of it before and after
    judge: tuple[str, float, float] | None = None

    @property
    def galaxy(self) -> Pixels:
        """Give what it began with as a picture."""
        return to_bytes(self.start)

    @property
    def dream(self) -> Pixels:
        """Give the dream as a picture."""
        return to_bytes(self.image)

    @property
    def detail(self) -> Pixels:
        """Show what the dream added."""
        return detail_picture((self.image - self.start).cpu().numpy())


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a dream is."""

    target: Target
    number: int
    total: int
    share: float
    image: Tensor

    @property
    def dream(self) -> Pixels:
        """Give the dream so far as a picture."""
        return to_bytes(self.image)


def laid_over(view: Pixels, values: Singles) -> Pixels:
    """Lay a map over the picture that people see."""
    small = Image.fromarray(np.asarray(values, np.float32))
    large = small.resize(view.shape[1::-1], Image.Resampling.BICUBIC)
    return overlay(view, np.asarray(large))
