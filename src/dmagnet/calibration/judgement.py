"""Judgements of pictures: the answers to several views as one, and who gives them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from dmagnet.calibration.calibration import VIEWS, Calibration, tempered
from dmagnet.errors import ConfigError, DataError
from dmagnet.storage.arrays import Floats, Pixels, Singles
from dmagnet.storage.records import brief

Answers = tuple[Singles, Any]  # logits (B, K), and what else is seen (B, ...)
Forward = Callable[[Pixels], Answers]  # of (B, H, W, 3) pictures

BATCH = 32  # larger activations leave the cache of a CPU core


@dataclass(frozen=True, eq=False)
class Judgement:
    """The answer of a classifier to N pictures.

    Attributes
    ----------
    probabilities : (N, K) float32
        Of each class, calibrated where the weights were; rows sum to 1.
    ood : (N,) float32 or None
        How unlike the training galaxies each one is; None if the weights cannot say.
    disagreement : (N,) float32 or None
        Total-variation distance between the answers to two views, averaged over pairs,
        0 to 1; None with one view.
    features : (N, D) float32 or None
        Pooled behind LAM, averaged over views; None from an exported graph.
    """

    probabilities: Singles
    ood: Singles | None = None
    disagreement: Singles | None = None
    features: Singles | None = None

    __repr__ = brief


@dataclass(eq=False, kw_only=True)
class Classifier:
    """Pictures in, class probabilities out; many threads may call it at once.

    Attributes
    ----------
    class_names : tuple of str
        Names of the K outputs.
    image_size : int
        Side of the pictures, in px.
    field : float
        Share of the 67 arcsec frame that they show.
    radii : float or None
        Side in isophotal radii, if all galaxies are seen at one size.
    weights_hash : str
        SHA-256 of the weights.
    calibration : Calibration or None
        Its ``space`` is None where an exported graph holds it.
    ood_limit : float or None
        Score above which a galaxy is unlike those of the training.
    forward : callable
        The library that runs the network: a batch to logits, and to pooled features,
        or to their scores where an exported graph holds the space.
    num_features : int or None
        How many features are pooled; None where an exported graph keeps them.
    sides : tuple of int or None
        Smallest and largest side that training showed, in px, where that is known.
    views : {1, 2, 4, 8}
        Over how many views answers are averaged.
    batch_size : int
        Pictures at a time.
    within : callable
        What to enter while pictures are classified.
    """

    class_names: tuple[str, ...]
    image_size: int
    field: float
    radii: float | None
    weights_hash: str
    calibration: Calibration | None
    ood_limit: float | None
    forward: Forward
    num_features: int | None = None
    sides: tuple[int, int] | None = None
    views: int = 1
    batch_size: int = BATCH
    within: Callable[[], AbstractContextManager[None]] = nullcontext

    def probabilities(self, images: Pixels) -> Singles:
        """Classify pictures.

        Parameters
        ----------
        images : (N, S, S, 3) uint8
            Of side `image_size`; anything else is a DataError.

        Returns
        -------
        (N, K) float32
            Calibrated where the weights were; rows sum to 1.
        """
        return self.judge(images).probabilities

    def judge(
        self, images: Pixels, progress: Callable[[int], None] | None = None
    ) -> Judgement:
        """Classify pictures, and measure how far to trust the answers.

        Parameters
        ----------
        images : (N, S, S, 3) uint8
            Of side `image_size`; anything else is a DataError.
        progress : callable, optional
            Called with the number of pictures done.

        Returns
        -------
        Judgement
            Of the N pictures.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise DataError(
                "images: expected uint8 of shape (N, H, W, 3), got "
                f"{images.dtype} of shape {images.shape}"
            )
        if not len(images):
            return judgement_of(np.empty((self.views, 0, len(self.class_names))))
        with self.within():
            each, seen = look(
                self.forward, images, self.views, self.batch_size, progress
            )
        if self.num_features is None:
            return judgement_of(each, seen, self.calibration)
        space = self.calibration.space if self.calibration else None
        # After all views: BLAS threads that spin behind a call would take the cores
        # from the networks of other threads.
        scores = None if space is None else np.stack([*map(space.score, seen)])
        judgement = judgement_of(each, scores, self.calibration)
        return replace(judgement, features=seen.mean(axis=0))


def look(
    forward: Forward,
    images: Pixels,
    views: int = 1,
    batch_size: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> tuple[Floats, Any]:
    """Return probabilities (V, N, K) and what else each view shows (V, N, ...)."""
    views_to_take(views, None)
    logits, others = [], []
    for start in range(0, len(images), batch_size):
        batch = np.array(images[start : start + batch_size])
        answers = [forward(view) for view in islice(turns(batch), views)]
        logits.append([scores for scores, _ in answers])
        others.append([other for _, other in answers])
        if progress:
            progress(start + len(batch))
    each = softmax(np.concatenate(logits, axis=1, dtype=np.float64), axis=-1)
    known = others[0][0] is not None
    return each, np.concatenate(others, axis=1) if known else None


def turns(images: Pixels) -> Iterator[Pixels]:
    """Yield the eight flips and quarter turns of (B, H, W, 3) pictures."""
    pixels = np.ascontiguousarray(images).view("V3")  # moved as one, in a fifth of time
    for quarters in range(4):
        turned = np.rot90(pixels, quarters, axes=(1, 2))
        for view in (turned, turned[:, :, ::-1]):
            yield np.ascontiguousarray(view).view(np.uint8)


def views_to_take(asked: int | None, calibration: Calibration | None) -> int:
    """Choose over how many views to average: as asked, else as calibrated, else 1."""
    views = asked if asked is not None else calibration.views if calibration else 1
    if views not in VIEWS:
        raise ConfigError(f"views: expected 1, 2, 4 or 8, got {views}")
    return views


def judgement_of(
    views: npt.ArrayLike,
    scores: npt.ArrayLike | None = None,
    calibration: Calibration | None = None,
) -> Judgement:
    """Bring the answers to several views of the same pictures to one.

    Parameters
    ----------
    views : (V, N, K) float in [0, 1]
        Probabilities of each view as the network gives them.
    scores : (V, N) float, optional
        Out-of-distribution score of each view.
    calibration : Calibration, optional
        Its temperature acts on the average over views.

    Returns
    -------
    Judgement
        Of the N pictures; scores are averaged too.
    """
    each = np.asarray(views, np.float64)
    mean = each.mean(axis=0)
    if calibration is not None:
        mean = tempered(mean, calibration.temperature)
    return Judgement(
        mean.astype(np.float32),
        None if scores is None else np.asarray(scores).mean(axis=0, dtype=np.float32),
        disagreement(each) if len(each) > 1 else None,
    )


def disagreement(each: npt.ArrayLike) -> Singles:
    """Compare what the views of a galaxy say, two by two.

    Parameters
    ----------
    each : (V, N, K) float in [0, 1]
        Probabilities of each of V views, two or more, before the temperature.

    Returns
    -------
    (N,) float32 in [0, 1]
        Total-variation distance (half the sum of absolute differences) between two
        views, averaged over all pairs: the share of probability that moves when the
        galaxy is turned.
    """
    pairs = combinations(np.asarray(each, np.float64), 2)
    distances = [0.5 * np.abs(a - b).sum(axis=1) for a, b in pairs]
    return np.asarray(np.mean(distances, axis=0), np.float32)
