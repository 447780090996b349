"""Comparison of two networks, paired over the same galaxies, and over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dmagnet.errors import DataError
from dmagnet.judging.sampling import Interval, bootstrap_weights, checked, interval_of
from dmagnet.storage.arrays import Bools


@dataclass(frozen=True)
class Comparison:
    """Accuracy of A minus accuracy of B on the same galaxies.

    Attributes
    ----------
    difference, interval : float, tuple of float
        From -1 to 1, above 0 where A is better, with its 95 % bootstrap interval.
    p_value : float
        Two-sided exact McNemar test of equal accuracy.
    only_a, only_b, n : int
        Galaxies that only A, only B named right, and all.
    """

    difference: float
    interval: Interval
    p_value: float
    only_a: int
    only_b: int
    n: int


@dataclass(frozen=True)
class SeedComparison:
    """Mean accuracy of A's runs minus that of B's, run by run.

    Attributes
    ----------
    difference, interval : float, tuple of float
        Mean over the pairs of runs, with its 95 % bootstrap interval over runs and
        galaxies.
    per_seed : tuple of float
        The difference of each pair of runs.
    n : int
        Number of galaxies.
    """

    difference: float
    interval: Interval
    per_seed: tuple[float, ...]
    n: int


def compare(
    labels: ArrayLike,
    probs_a: ArrayLike,
    probs_b: ArrayLike,
    *,
    num_bootstrap: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two classifiers on the same galaxies.

    Parameters
    ----------
    labels : (N,) int in 0 to K - 1
        The true classes.
    probs_a, probs_b : (N, K) float in [0, 1]
        What each says of the same galaxies in the same order.
    num_bootstrap, seed : int
        Draws over galaxies, at least 1, and their seed.

    Returns
    -------
    Comparison
        The difference with its interval and the test.

    Notes
    -----
    McNemar (1947, Psychometrika 12, 153) in its exact, binomial form.
    """
    from scipy.stats import binomtest  # slow to load: not for classify

    a, b = _right_by_run(labels, [probs_a, probs_b])
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    paired = compare_seeds(
        labels, [probs_a], [probs_b], num_bootstrap=num_bootstrap, seed=seed
    )
    differing = only_a + only_b
    p_value = float(binomtest(only_a, differing).pvalue) if differing else 1.0
    return Comparison(
        paired.difference, paired.interval, p_value, only_a, only_b, paired.n
    )


def compare_seeds(
    labels: ArrayLike,
    probs_a: Sequence[ArrayLike],
    probs_b: Sequence[ArrayLike],
    *,
    num_bootstrap: int = 10_000,
    seed: int = 0,
) -> SeedComparison:
    """Compare two recipes that were each trained with the same several seeds.

    Parameters
    ----------
    labels : (N,) int
        The true classes.
    probs_a, probs_b : sequence of (N, K) float in [0, 1]
        One array per run; run i of A and run i of B had the same seed.
    num_bootstrap, seed : int
        Draws over runs and galaxies, at least 1, and their seed.

    Returns
    -------
    SeedComparison
        The mean difference with its interval.

    Notes
    -----
    Runs and galaxies are both resampled (the pigeonhole bootstrap of Owen 2007, Ann.
    Appl. Stat. 1, 386): the interval covers new seeds and galaxies; it tends to be too
    wide in galaxies and, with S runs, too narrow by sqrt(1 - 1/S) in seeds.
    """
    if len(probs_a) != len(probs_b) or not len(probs_a):
        raise DataError(
            f"runs: expected as many of A as of B, at least one, got {len(probs_a)} "
            f"and {len(probs_b)}; pair them by seed"
        )
    a, b = _right_by_run(labels, probs_a), _right_by_run(labels, probs_b)
    gain = a.astype(np.float64) - b  # (S, N) in -1, 0, 1
    num_runs, n = gain.shape
    runs = np.random.default_rng([seed, 1]).multinomial(
        num_runs, np.full(num_runs, 1 / num_runs), size=num_bootstrap
    )
    start, parts = 0, []
    for galaxies in bootstrap_weights(n, num_bootstrap, seed):  # (draws, N)
        chosen = runs[start : start + len(galaxies)] @ gain
        parts.append((chosen * galaxies).sum(axis=1) / (num_runs * n))
        start += len(galaxies)
    return SeedComparison(
        difference=float(gain.mean()),
        interval=interval_of(np.concatenate(parts)),
        per_seed=tuple(gain.mean(axis=1).tolist()),
        n=n,
    )


def _right_by_run(labels: ArrayLike, runs: Sequence[ArrayLike]) -> Bools:
    """Return whether each run (row) names each galaxy (column) right."""
    tables = [checked(labels, probabilities) for probabilities in runs]
    return np.array([probs.argmax(axis=1) == truth for truth, probs in tables])
