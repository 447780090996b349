"""What a dream leaves behind: images, scores and class probabilities along the way."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dmagnet.config.dream_config import DreamConfig, RedreamConfig
from dmagnet.dreaming.targets import Target
from dmagnet.pictures.cutout import Cutout

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Moment:
    """What was known after one step.

    Attributes
    ----------
    octave : int
        From 0, the coarsest.
    step : int
        From 1; 0 where there are no steps.
    size : tuple of int
        Height and width of the octave, in px.
    scores : (B,) ndarray
        Of the images before the step, rolled as the engine saw them.
    probabilities : (B, K) ndarray or None
        Class probabilities of the images after the step, at the octave's size.
    """

    octave: int
    step: int
    size: tuple[int, int]
    scores: Floats
    probabilities: Floats | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Dreamed:
    """What dreams and re-dreams have in common."""

    images: Tensor
    start: Tensor
    cutouts: tuple[Cutout, ...]
    target: Target
    scores: Floats
    probabilities: Floats | None
    class_names: tuple[str, ...]
    provenance: dict[str, Any]

    @property
    def detail(self) -> Tensor:
        """Say what the dream added."""
        return self.images - self.start


@dataclass(frozen=True, eq=False, kw_only=True)
class Dream(Dreamed):
    """Dreams of one target, and how they came about.

    Attributes
    ----------
    config : DreamConfig
        How it was dreamed.
    trace : tuple of Moment
        Step after step.
    """

    config: DreamConfig
    trace: tuple[Moment, ...]


@dataclass(frozen=True, eq=False)
class PassRecord:
    """One pass of a re-dream.

    Attributes
    ----------
    number : int
        From 0.
    side : int
        Larger side at which it dreamed, in px.
    images : (B, 3, h, w) Tensor in [0, 1]
        The dreams at that side.
    scores : (B,) ndarray
        Of those images.
    residual : (B,) ndarray
        Change of the detail over the detail before; NaN in the first pass.
    probabilities : (B, K) ndarray or None
        Class probabilities of those images.
    """

    number: int
    side: int
    images: Tensor
    scores: Floats
    residual: Floats
    probabilities: Floats | None


@dataclass(frozen=True, eq=False, kw_only=True)
class Redream(Dreamed):
    """Re-dreams of one target, pass by pass.

    Attributes
    ----------
    config : RedreamConfig
        How it was dreamed.
    passes : tuple of PassRecord
        Pass after pass.
    """

    config: RedreamConfig
    passes: tuple[PassRecord, ...]
