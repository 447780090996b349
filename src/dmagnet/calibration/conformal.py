"""Sets of classes that hold the right one as often as they promise."""

import numpy as np
import numpy.typing as npt

from dmagnet.calibration.labels import Flags
from dmagnet.errors import DataError

LEVELS = (0.90, 0.95)


def conformal_threshold(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, level: float
) -> float:
    """Find how probable a class must be to belong to a galaxy's set.

    Parameters
    ----------
    labels : (N,) int in 0 to K - 1
        The true classes of galaxies that trained nothing, one or more.
    probabilities : (N, K) float in [0, 1]
        Calibrated; of groups of classes where labels are groups.
    level : float
        Share of sets that are to hold the right class, above 0, below 1; anything else
        is a DataError.

    Returns
    -------
    float
        From 0 to 1; 0, so that all classes belong, where N is too small for more.

    Notes
    -----
    Split conformal prediction (Vovk, Gammerman & Shafer 2005) with the least ambiguous
    sets of Sadinle, Lei & Wasserman 2019 (JASA 114, 223): the nonconformity is
    1 - p(label), and its quantile of rank ceil((N + 1) level) makes the right class
    belong in at least ``level`` of new galaxies drawn like these, on average over the
    N, and in at most 1 / (N + 1) more without ties. It says nothing of single classes,
    nor of galaxies drawn otherwise.
    """
    truth, probs = np.asarray(labels), np.asarray(probabilities, np.float64)
    if not len(truth) or not 0 < level < 1:
        raise DataError(
            "conformal sets: expected one galaxy or more and a level between 0 and 1, "
            f"got {len(truth)} and {level}"
        )
    nonconformity = np.sort(1 - probs[np.arange(len(truth)), truth])
    # Without rounding, 0.9 * 10 would be 9.000000000000002 and its ceiling 10.
    rank = int(np.ceil(np.round((len(truth) + 1) * level, 9)))
    return float(1 - nonconformity[rank - 1]) if rank <= len(truth) else 0.0


def conformal_thresholds(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike
) -> tuple[float, float]:
    """Find the thresholds of the 90 and 95 % sets.

    Parameters
    ----------
    labels : (N,) int in 0 to K - 1
        The true classes of galaxies that trained nothing.
    probabilities : (N, K) float in [0, 1]
        Calibrated.

    Returns
    -------
    tuple of float
        See `conformal_threshold`.
    """
    low, high = (conformal_threshold(labels, probabilities, x) for x in LEVELS)
    return low, high


def prediction_sets(
    probabilities: npt.ArrayLike, threshold: float, *, never_empty: bool = True
) -> Flags:
    """List the classes that a galaxy may have.

    Parameters
    ----------
    probabilities : (N, K) float in [0, 1]
        Calibrated.
    threshold : float
        What `conformal_threshold` found.
    never_empty : bool
        Let the most probable class always belong.

    Returns
    -------
    (N, K) bool
        True for the classes in the set.

    Notes
    -----
    Where the network is right more often than the level asks, the sets of the theorem
    keep the promise by being empty for the galaxies it is least sure of. Nobody gains
    from that, so here the most probable class belongs to every set; coverage is then
    at least the accuracy.
    """
    probs = np.asarray(probabilities, np.float64)
    # A hair of slack: the galaxy that set the threshold belongs, in float32 as well.
    sets: Flags = probs >= threshold - 1e-6
    if never_empty:
        sets[np.arange(len(probs)), probs.argmax(axis=1)] = True
    return sets
