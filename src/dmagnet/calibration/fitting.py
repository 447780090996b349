"""Fits on labeled galaxies: temperature, vector scaling, thresholds of sets."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp, softmax

from dmagnet.calibration.calibration import logs_of
from dmagnet.calibration.labels import Labeled
from dmagnet.errors import DataError
from dmagnet.storage.arrays import Bools, Floats

LEVELS = (0.90, 0.95)  # of the sets of classes
LOG_RANGE = (np.log(0.05), np.log(20.0))  # of temperatures, searched
NUM_STARTS = 25


def fit_temperature(parts: Sequence[Labeled]) -> float:
    """Find the temperature under which the labels are most likely.

    Parameters
    ----------
    parts : sequence of Labeled
        Sets of galaxies; each weighs the same however many it has.

    Returns
    -------
    float
        From 0.05 to 20.

    Notes
    -----
    The negative log-likelihood is convex in the inverse temperature where labels are
    classes; where they are groups, with summed probabilities, it need not be: hence
    the grid before Brent's method.
    """
    from scipy.optimize import minimize_scalar  # slow to load: not for classify

    tables = [_table(part) for part in parts]

    def _loss(log_temperature: float) -> float:
        beta = np.exp(-log_temperature)
        losses = [_nll(beta * logp, right, given) for logp, right, given in tables]
        return float(np.mean(losses))

    grid = np.linspace(*LOG_RANGE, NUM_STARTS)
    best = int(np.argmin([_loss(value) for value in grid]))
    around = grid[max(best - 1, 0)], grid[min(best + 1, NUM_STARTS - 1)]
    found = minimize_scalar(
        _loss, bounds=around, method="bounded", options={"xatol": 1e-7}
    )
    return float(np.exp(found.x))


def vector_scaled(
    probabilities: npt.ArrayLike, scale: npt.ArrayLike, shift: npt.ArrayLike
) -> Floats:
    """Scale and shift log-probabilities class by class, and normalize.

    Parameters
    ----------
    probabilities : (..., K) float in [0, 1]
        Each row adding up to 1.
    scale, shift : (K,) float
        As `fit_vector` finds them.

    Returns
    -------
    (..., K) float
        Each row adding up to 1; the order of classes may change.
    """
    each: Floats = softmax(
        logs_of(probabilities) * np.asarray(scale) + np.asarray(shift), axis=-1
    )
    return each


def fit_vector(
    parts: Sequence[Labeled], *, decay: float = 1e-3
) -> tuple[Floats, Floats]:
    """Find a scale and a shift of each class under which the labels are most likely.

    Parameters
    ----------
    parts : sequence of Labeled
        As of `fit_temperature`.
    decay : float
        Cost of the squared distance from doing nothing, where labels leave it open.

    Returns
    -------
    scale, shift : (K,) float
        For `vector_scaled`.

    Notes
    -----
    Vector scaling of Guo et al. 2017 (ICML, sec. 4.2), for comparison: its 2 K numbers
    follow the class shares of small validation sets, which other surveys do not share.
    """
    from scipy.optimize import minimize  # slow to load: not for classify

    tables = [_table(part) for part in parts]
    num = parts[0].probabilities.shape[1]
    nothing = np.concatenate([np.ones(num), np.zeros(num)])

    def _loss(values: Floats) -> tuple[float, Floats]:
        loss = decay * float(((values - nothing) ** 2).sum())
        slope = 2 * decay * (values - nothing)
        for logp, right, allowed in tables:
            scores = logp * values[:num] + values[num:]
            loss += _nll(scores, right, allowed) / len(tables)
            push = _within(scores, allowed) - _within(scores, right)
            push /= len(tables) * len(logp)
            slope[:num] += (push * logp).sum(axis=0)
            slope[num:] += push.sum(axis=0)
        return loss, slope

    found = minimize(_loss, nothing, jac=True, method="L-BFGS-B").x
    return found[:num], found[num:]


def _table(part: Labeled) -> tuple[Floats, Bools, Bools]:
    """Return log-probabilities, the right classes, and those that could be right."""
    member = part.member
    allowed: Bools = np.logical_or.reduce(member, axis=0)
    return logs_of(part.probabilities), member[part.labels], allowed


def _nll(scores: Floats, right: Bools, allowed: Bools) -> float:
    """Return the mean of -ln of what the right classes have among those allowed."""
    whole = logsumexp(np.where(allowed, scores, -np.inf), axis=1)
    part = logsumexp(np.where(right, scores, -np.inf), axis=1)
    return float((whole - part).mean())


def _within(scores: Floats, chosen: Bools) -> Floats:
    """Return the softmax over the chosen classes, 0 elsewhere."""
    return np.asarray(softmax(np.where(chosen, scores, -np.inf), axis=1), np.float64)


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
    labels, probabilities : array
        As of `conformal_threshold`.

    Returns
    -------
    tuple of float
        As of `conformal_threshold`.
    """
    low, high = (conformal_threshold(labels, probabilities, x) for x in LEVELS)
    return low, high
