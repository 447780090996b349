"""Confidence of the network against its accuracy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dmagnet.judging.sampling import checked
from dmagnet.storage.arrays import Floats, Ints
from dmagnet.storage.records import brief

NUM_BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence against accuracy, in bins of (nearly) equal mass.

    Attributes
    ----------
    confidence, accuracy : (bins,) float
        Means of each bin.
    low, high : (bins,) float
        95 % Wilson interval of the accuracy.
    count : (bins,) int
        Galaxies in each bin.
    """

    confidence: Floats
    accuracy: Floats
    low: Floats
    high: Floats
    count: Ints

    __repr__ = brief

    @property
    def ece(self) -> float:
        """Mean distance of accuracy from confidence, weighted by count.

        Returns
        -------
        float
            From 0 to 1.
        """
        gaps = np.abs(self.confidence - self.accuracy)
        return float(np.average(gaps, weights=self.count))


def reliability(
    labels: ArrayLike, probabilities: ArrayLike, num_bins: int = NUM_BINS
) -> Reliability:
    """Compare how sure the first guess is with how often it is right.

    Parameters
    ----------
    labels, probabilities : (N,) int, (N, K) float
        As of `score`.
    num_bins : int
        Largest number of bins, at least 1; galaxies of equal confidence share one.

    Returns
    -------
    Reliability
        The bins that hold a galaxy, from low to high confidence.

    Notes
    -----
    Bins of equal mass (Nguyen & O'Connor 2015, EMNLP, sec. 3): a good network is sure
    of most galaxies, and nine bins of ten of equal width would stand empty.
    """
    from scipy.stats import binomtest  # slow to load: not for classify

    truth, probs = checked(labels, probabilities)
    confidence = probs.max(axis=1)
    right = probs.argmax(axis=1) == truth
    bins = equal_mass_bins(confidence, num_bins)
    count, hits = np.bincount(bins), np.bincount(bins, weights=right)
    wilson = [
        binomtest(int(k), int(n)).proportion_ci(method="wilson")
        for k, n in zip(hits, count, strict=True)
    ]
    low, high = np.array([(each.low, each.high) for each in wilson]).T
    mean = np.bincount(bins, weights=confidence) / count
    return Reliability(mean, hits / count, low, high, count)


def equal_mass_bins(values: Floats, num_bins: int) -> Ints:
    """Sort values into bins of (nearly) equal numbers."""
    shares = np.arange(1, num_bins) / num_bins
    edges = np.quantile(values, shares, method="inverted_cdf")
    bins = np.searchsorted(edges, values, side="left")
    return np.unique(bins, return_inverse=True)[1]
