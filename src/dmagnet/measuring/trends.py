"""Trends with depth and levels: one-sided tests, controls, and power."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, permutation_test, rankdata

from dmagnet.errors import DataError
from dmagnet.judging.sampling import Interval, bootstrap_weights, interval_of
from dmagnet.storage.arrays import Floats

NUM_ORDERINGS = 50_000
NUM_FLIPS = 20_000
NUM_BOOTSTRAP = 2000
NUM_POWER = 20_000
TIE = 1e-9  # two correlations that differ by less are equal


@dataclass(frozen=True)
class Difference:
    """A trained network against others, paired by galaxy."""

    trained: float
    control: float
    interval: Interval  # of the difference
    n: int

    @property
    def difference(self) -> float:
        """Return how much more the trained network has."""
        return self.trained - self.control


def spearman_by_galaxy(depths: ArrayLike, values: ArrayLike) -> Floats:
    """Correlate the ranks of depth and of a measure, galaxy by galaxy."""
    order, z = _checked(depths, values)
    return standard_ranks(z) @ order


def _checked(depths: ArrayLike, values: ArrayLike) -> tuple[Floats, Floats]:
    """Return the standardized ranks of the depths, and the values."""
    d, v = np.asarray(depths, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if d.ndim != 1 or len(d) < 3 or np.ptp(d) == 0 or not np.isfinite(d).all():
        raise DataError(f"depths: expected three or more that differ, got {d.tolist()}")
    if v.ndim < 2 or v.shape[-1] != len(d) or not v.size:
        raise DataError(
            f"values: expected shape (N, {len(d)}), a row per galaxy and a column per "
            f"layer, got {v.shape}"
        )
    return standard_ranks(d), v


def standard_ranks(values: NDArray[np.floating]) -> Floats:
    """Return ranks along the last axis with mean 0 and length 1, or all 0 if tied."""
    ranks = rankdata(values, axis=-1, nan_policy="propagate")
    ranks = ranks - ranks.mean(axis=-1, keepdims=True)
    length = np.linalg.norm(ranks, axis=-1, keepdims=True)
    unit: Floats = np.divide(ranks, length, out=ranks * 1.0, where=length > 0)
    return unit


def trend_p_values(
    depths: ArrayLike, values: ArrayLike, *, pooled: bool = False, seed: int = 0
) -> tuple[float, float]:
    """Test a rise with depth against chance, and a fall."""
    # Galaxies share the layers, and what is odd about a layer is odd for all galaxies:
    # as many galaxies as one likes are no evidence for a trend over three layers. So
    # the layers are permuted, for all galaxies and networks together: 50,000 orderings
    # by lot, with one added to both counts (Phipson & Smyth 2010).
    order, v = _checked(depths, values)
    (v,) = _complete(_stacked(v))
    ranks = standard_ranks(v.mean(axis=1) if pooled else v)
    center = ranks.reshape(-1, len(order)).mean(axis=0)
    drawn = _orderings(order, NUM_ORDERINGS, seed) @ center
    rise, fall = (
        (int((s * drawn >= s * (order @ center) - TIE).sum()) + 1) / (len(drawn) + 1)
        for s in (1, -1)
    )
    return rise, fall


def _orderings(order: Floats, num: int, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.permuted(np.tile(order, (num, 1)), axis=1)


def _stacked(values: ArrayLike, *, per_galaxy: int = 2) -> Floats:
    """Return values with a first axis of networks, also where there is only one."""
    v = np.asarray(values, dtype=np.float64)
    if v.ndim not in (per_galaxy, per_galaxy + 1) or not v.size:
        raise DataError(
            f"values: expected {per_galaxy} axes, or one more for several networks, "
            f"got shape {v.shape}"
        )
    return v if v.ndim == per_galaxy + 1 else v[None]


def _complete(*tables: Floats) -> list[Floats]:
    """Keep the galaxies, second axis, that have all their values in all tables."""
    if len({table.shape[1] for table in tables}) > 1:
        raise DataError(
            "values and control: expected the same galaxies, got "
            f"{' and '.join(str(table.shape[1]) for table in tables)}"
        )
    good = np.logical_and.reduce(
        [
            np.isfinite(np.moveaxis(t, 1, 0)).reshape(t.shape[1], -1).all(1)
            for t in tables
        ]
    )
    if not good.any():
        raise DataError(
            "values: expected a galaxy with all its values in all networks, got none"
        )
    return [table[:, good] for table in tables]


def trend_difference(
    depths: ArrayLike, values: ArrayLike, control: ArrayLike, *,
    pooled: bool = False, seed: int = 0,
) -> Difference:  # fmt: skip
    """Compare the trend in a trained network with that in others."""
    # Galaxies and networks are both resampled (the pigeonhole bootstrap of Owen 2007,
    # Ann. Appl. Stat. 1, 386), the same galaxies in both. With R networks the interval
    # is too narrow by sqrt(1 - 1/R) in networks: with one it does not cover another at
    # all.
    order, v = _checked(depths, values)
    _, c = _checked(depths, control)
    v, c = _complete(_stacked(v), _stacked(c))
    if not pooled:
        return _paired(standard_ranks(v) @ order, standard_ranks(c) @ order, seed)
    trained, other = (standard_ranks(t.mean(axis=1)) @ order for t in (v, c))
    draws = [  # (draws, networks): the rho of the mean over the drawn galaxies
        [(standard_ranks(weights @ t) @ order).T for t in (v, c)]
        for weights in bootstrap_weights(v.shape[1], NUM_BOOTSTRAP, seed)
    ]
    picked = [
        (by_draw * _network_weights(by_draw.shape[1], seed + k)).sum(axis=1)
        for k, by_draw in enumerate(map(np.concatenate, zip(*draws, strict=True)))
    ]
    interval = interval_of(picked[0] - picked[1])
    return Difference(float(trained.mean()), float(other.mean()), interval, v.shape[1])


def level_difference(
    values: ArrayLike, control: ArrayLike, *, seed: int = 0
) -> Difference:
    """Compare a measure of one layer in a trained network with others."""
    v, c = _complete(_stacked(values, per_galaxy=1), _stacked(control, per_galaxy=1))
    return _paired(v, c, seed)


def _paired(values: Floats, control: Floats, seed: int) -> Difference:
    """Resample networks (S, and R) and galaxies N of two tables (S, N) and (R, N)."""
    n = values.shape[1]
    networks = [
        _network_weights(len(t), seed + k) for k, t in enumerate((values, control))
    ]
    start, draws = 0, []
    for weights in bootstrap_weights(n, NUM_BOOTSTRAP, seed):
        rows = slice(start, start + len(weights))
        gain = networks[0][rows] @ values - networks[1][rows] @ control
        draws.append((gain * weights).sum(axis=1) / n)
        start += len(weights)
    interval = interval_of(np.concatenate(draws))
    return Difference(float(values.mean()), float(control.mean()), interval, n)


def _network_weights(num: int, seed: int) -> Floats:
    """Draw networks with replacement: weights (D, num) that sum to 1."""
    counts = np.random.default_rng([seed, 1]).multinomial(
        num, np.full(num, 1 / num), size=NUM_BOOTSTRAP
    )
    return counts / num


def level_p_values(
    values: ArrayLike, reference: float, *, seed: int = 0
) -> tuple[float, float]:
    """Test whether the mean of a measure is above a reference, and below."""
    (v,) = _complete(_stacked(values, per_galaxy=1))
    above, below = (
        float(
            permutation_test(
                (v.mean(axis=0) - reference,),
                np.mean,
                permutation_type="samples",
                alternative=side,
                n_resamples=NUM_FLIPS,
                batch=max(1, 4_000_000 // v.shape[1]),
                rng=np.random.default_rng(seed),
            ).pvalue
        )
        for side in ("greater", "less")
    )
    return above, below


def holm(p_values: ArrayLike) -> Floats:
    """Correct p values for the number of tests."""
    # Holm (1979, Scand. J. Stat. 6, 65).
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(stepped).clip(max=1)
    return adjusted


def trend_power(depths: ArrayLike, rho: float, alpha: float, *, seed: int = 0) -> float:
    """Compute the chance that a one-sided test at alpha finds a true trend."""
    # Layers are drawn from a normal law whose rank correlation with depth is rho
    # (Pearson's is 2 sin(pi rho / 6)), and tested as the measures are.
    order = standard_ranks(np.asarray(depths, dtype=np.float64))
    rng = np.random.default_rng(seed)
    chance = np.sort(_orderings(order, NUM_POWER, seed) @ order)
    r = 2 * math.sin(math.pi * rho / 6)
    noise = rng.standard_normal((NUM_POWER, len(order)))
    drawn = r * order * math.sqrt(len(order)) + math.sqrt(1 - r**2) * noise
    found = standard_ranks(drawn) @ order
    at_least = len(chance) - np.searchsorted(chance, found - TIE)
    return float(((at_least + 1) / (len(chance) + 1) < alpha).mean())


def level_power(values: ArrayLike, effect: float, alpha: float) -> float:
    """Compute the chance that a one-sided test at alpha finds a true departure."""
    (v,) = _complete(_stacked(values, per_galaxy=1))
    spread = v.mean(axis=0).std(ddof=1) / math.sqrt(v.shape[1])
    return float(norm.cdf(effect / max(spread, 1e-12) - norm.isf(alpha)))
