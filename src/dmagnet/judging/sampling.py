"""Checks of labels and probabilities, and draws: bootstrap, intervals, examples."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from dmagnet.errors import ConfigError, DataError
from dmagnet.storage.arrays import Floats, Ints

Interval = tuple[float, float]

NOWHERE: Interval = (float("nan"), float("nan"))
LEVELS = (0.025, 0.975)
# Rows come from half-precision softmaxes too: 0.4 % off is rounding, 1 % is not.
SUM_TOLERANCE = 0.005
DRAWS_AT_ONCE = 4_000_000  # galaxies x draws held in memory, 32 MB a table


def checked(labels: ArrayLike, probabilities: ArrayLike) -> tuple[Ints, Floats]:
    """Return labels and probabilities as arrays, or say what is wrong with them."""
    truth, probs = np.asarray(labels), np.asarray(probabilities)
    if probs.ndim != 2 or probs.shape[0] == 0 or probs.shape[1] < 2:
        raise DataError(
            "probabilities: expected shape (N, K) with N of 1 or more and K of 2 or "
            f"more, got {probs.shape}; give one row per galaxy"
        )
    if truth.shape != probs.shape[:1] or truth.dtype.kind not in "iu":
        raise DataError(
            f"labels: expected {probs.shape[0]} integers, one per row of "
            f"probabilities, got {truth.dtype} of shape {truth.shape}"
        )
    if truth.min() < 0 or truth.max() >= probs.shape[1]:
        raise DataError(
            f"labels: expected 0 to {probs.shape[1] - 1}, got {truth.min()} to "
            f"{truth.max()}; number the classes in the order of the columns"
        )
    if probs.dtype.kind not in "fiu" or not np.isfinite(probs).all():
        raise DataError(
            "probabilities: expected finite numbers, got NaN, infinity or no numbers; "
            "leave out the galaxies that could not be classified"
        )
    probs = probs.astype(np.float64)
    worst = np.abs(probs.sum(axis=1) - 1).max()
    if worst > SUM_TOLERANCE or probs.min() < 0:
        raise DataError(
            "probabilities: expected rows from 0 to 1 that add up to 1, got values "
            f"down to {probs.min():.4g} and a row {worst:.4g} off; apply softmax first"
        )
    return truth.astype(np.int64), probs


def bootstrap_weights(n: int, num_draws: int, seed: int) -> Iterator[Floats]:
    """Draw n of n galaxies with replacement, again and again."""
    if num_draws < 1:
        raise ConfigError(f"num_bootstrap: expected 1 or more, got {num_draws}")
    rng = np.random.default_rng(seed)
    step = max(1, DRAWS_AT_ONCE // n)
    for start in range(0, num_draws, step):
        count = min(step, num_draws - start)
        picks = rng.integers(n, size=(count, n)) + n * np.arange(count)[:, None]
        weights = np.bincount(picks.ravel(), minlength=count * n).reshape(count, n)
        yield weights.astype(np.float64)


def interval_of(draws: Floats) -> Interval:
    """Return the 95 % percentile interval of bootstrap draws."""
    known = draws[np.isfinite(draws)]
    if not known.size:
        return NOWHERE
    low, high = np.quantile(known, LEVELS)
    return float(low), float(high)


def choose_examples(
    labels: ArrayLike, probabilities: ArrayLike, *, num: int = 10, seed: int = 0
) -> tuple[Ints, Ints]:
    """Choose galaxies to show: some named right, and the surest mistakes.

    Parameters
    ----------
    labels, probabilities : (N,) int, (N, K) float
        As of `score`.
    num : int
        At most so many of each kind.
    seed : int
        Of the choice among those named right.

    Returns
    -------
    right : (at most num,) int
        Drawn by lot, the classes taking turns: an honest sample and no best-of.
    wrong : (at most num,) int
        The mistakes with the highest confidence, highest first.
    """
    truth, probs = checked(labels, probabilities)
    guesses, confidence = probs.argmax(axis=1), probs.max(axis=1)
    hits = np.random.default_rng(seed).permutation(np.flatnonzero(guesses == truth))
    order = np.argsort(truth[hits], kind="stable")
    ranked = truth[hits][order]
    turn = np.arange(len(hits)) - np.searchsorted(ranked, ranked)  # 0 = class's first
    right = hits[order][np.lexsort((ranked, turn))][:num]
    misses = np.flatnonzero(guesses != truth)
    wrong = misses[np.argsort(-confidence[misses], kind="stable")][:num]
    return right, wrong
