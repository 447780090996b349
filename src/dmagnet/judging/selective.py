"""Does accuracy rise with confidence? Risk against coverage."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from dmagnet.errors import DataError
from dmagnet.judging.sampling import Interval, bootstrap_weights, checked, interval_of
from dmagnet.storage.arrays import Floats
from dmagnet.storage.records import brief

NUM_COVERAGES = 20
CURVE = ("coverage", "risk", "low", "high")


@dataclass(frozen=True, eq=False)
class RiskCoverage:
    """Share of wrong names among the galaxies the network is surest of.

    Attributes
    ----------
    coverage : (M,) float in (0, 1]
        Share of galaxies that are named, the surest first.
    risk, low, high : (M,) float
        Share of them named wrong, with its 95 % bootstrap interval.
    aurc, interval : float, tuple of float
        Area under the curve of all galaxies, which is the mean risk over all
        coverages, with its 95 % bootstrap interval.
    """

    coverage: Floats
    risk: Floats
    low: Floats
    high: Floats
    aurc: float
    interval: Interval

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse columns of different lengths, and no rows."""
        shapes = {np.shape(getattr(self, name)) for name in CURVE}
        if len(shapes) != 1 or len(self.coverage) == 0:
            raise DataError(f"risk: expected columns of one length, got {shapes}")

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON.

        Returns
        -------
        dict
            The curve and its area.
        """
        curve = {name: getattr(self, name).tolist() for name in CURVE}
        return curve | {"aurc": self.aurc, "interval": list(self.interval)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RiskCoverage":
        """Read back what `to_dict` gave.

        Parameters
        ----------
        values : mapping
            As loaded from JSON.

        Returns
        -------
        RiskCoverage
            The same curve.
        """
        curve = {name: np.array(values[name], np.float64) for name in CURVE}
        low, high = values["interval"]
        return cls(**curve, aurc=values["aurc"], interval=(low, high))


def risk_coverage(
    labels: ArrayLike,
    probabilities: ArrayLike,
    *,
    num_bootstrap: int = 1000,
    seed: int = 0,
) -> RiskCoverage:
    """Name only the galaxies the network is surest of, and count the mistakes.

    Parameters
    ----------
    labels, probabilities : (N,) int, (N, K) float
        As of `score`.
    num_bootstrap, seed : int
        Draws of the bootstrap over galaxies, at least 1, and their seed.

    Returns
    -------
    RiskCoverage
        At up to 20 coverages, and the area under the curve of all N.

    Notes
    -----
    Geifman & El-Yaniv 2017 (NeurIPS), confidence being the probability of the first
    guess. Galaxies of equal confidence are named together, in whatever order they come.
    """
    truth, probs = checked(labels, probabilities)
    confidence = probs.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    wrong = (probs.argmax(axis=1) != truth)[order].astype(np.float64)
    # The place of the last galaxy that is as sure as this one.
    last = np.searchsorted(-confidence[order], -confidence[order], side="right") - 1
    n = len(truth)
    shown = np.unique(np.ceil(np.arange(1, NUM_COVERAGES + 1) / NUM_COVERAGES * n))
    places = np.unique(last[shown.astype(int) - 1])

    risk, area = _curve(np.ones((1, n)), wrong, last)
    draws = [
        _curve(weights[:, order], wrong, last)
        for weights in bootstrap_weights(n, num_bootstrap, seed)
    ]
    spread = np.concatenate([each[:, places] for each, _ in draws])
    ends = np.array([interval_of(column) for column in spread.T])
    return RiskCoverage(
        coverage=(places + 1) / n,
        risk=risk[0, places],
        low=ends[:, 0],
        high=ends[:, 1],
        aurc=float(area[0]),
        interval=interval_of(np.concatenate([each for _, each in draws])),
    )


def separation(
    inside: ArrayLike, outside: ArrayLike, *, num_bootstrap: int = 1000, seed: int = 0
) -> tuple[float, Interval]:
    """Measure how well a score separates impostors from galaxies.

    Parameters
    ----------
    inside : (N,) float
        Scores of galaxies, finite.
    outside : (M,) float
        Scores of what is no galaxy, finite, higher where the score does its work.
    num_bootstrap, seed : int
        Draws of the bootstrap over both, at least 1, and their seed.

    Returns
    -------
    auroc : float
        Area under the ROC curve: the chance that an impostor scores higher.
    interval : tuple of float
        95 % bootstrap interval.
    """
    low, high = np.asarray(inside, np.float64), np.asarray(outside, np.float64)
    if not low.size or not high.size or not np.isfinite([*low, *high]).all():
        raise DataError(
            f"scores: expected finite ones of both kinds, got {low.size} of galaxies "
            f"and {high.size} of impostors; leave out what has none"
        )
    from sklearn.metrics import roc_auc_score  # a second to load: not for classify

    scores, kind = np.concatenate([low, high]), np.repeat([0, 1], [low.size, high.size])
    order = np.argsort(scores, kind="stable")
    ranked, impostor = scores[order], kind[order] == 1
    ends = [np.searchsorted(ranked, ranked, side=side) for side in ("left", "right")]
    inner = bootstrap_weights(low.size, num_bootstrap, seed)
    outer = bootstrap_weights(high.size, num_bootstrap, seed + 1)
    weights = np.hstack([np.concatenate([*inner]), np.concatenate([*outer])])[:, order]
    # Galaxies below each score; those that tie count half.
    sums = np.pad(np.cumsum(weights * ~impostor, axis=1), ((0, 0), (1, 0)))
    below = (sums[:, ends[0]] + sums[:, ends[1]]) / 2
    draws = (weights * impostor * below).sum(axis=1) / (low.size * high.size)
    return float(roc_auc_score(kind, scores)), interval_of(draws)


def _curve(weights: Floats, wrong: Floats, last: Floats) -> tuple[Floats, Floats]:
    """Return the risk at each place (D, N) and its mean (D,), surest first."""
    named = np.cumsum(weights, axis=1)[:, last]
    mistakes = np.cumsum(weights * wrong, axis=1)[:, last]
    risk = np.divide(mistakes, named, out=np.zeros_like(named), where=named > 0)
    return risk, (risk * weights).sum(axis=1) / weights.sum(axis=1)
