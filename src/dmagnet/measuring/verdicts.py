"""Verdicts on the stated hypotheses: holds, contradicted, or undecided."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from dmagnet.errors import DataError
from dmagnet.measuring import trends
from dmagnet.measuring.hypotheses import HYPOTHESES, Hypothesis
from dmagnet.measuring.trends import Difference, holm

Verdict = Literal["holds", "contradicted", "undecided"]
ALPHA = 0.05
AS_WELL = 0.25  # of the effect: a control that is no further behind does as well


@dataclass(frozen=True, eq=False)
class Measured:
    """One measure of the same galaxies in a trained network and in its controls."""

    values: ArrayLike
    controls: Mapping[str, ArrayLike]


@dataclass(frozen=True)
class Result:
    """How a hypothesis fared.

    Attributes
    ----------
    hypothesis : Hypothesis
        As it was stated.
    value : float
        Spearman's rho, or the mean level.
    p_value, p_holm : float
        One-sided, in the stated direction; corrected for the table.
    controls : dict of str to Difference
        Against each control.
    n : int
        Galaxies.
    power : float
        Chance to find the stated effect at the level of Bonferroni, 0 to 1.
    verdict : {"holds", "contradicted", "undecided"}
        See `judge`.
    reason : str
        What contradicts it, or does not let it hold; empty if it holds.
    """

    hypothesis: Hypothesis
    value: float
    p_value: float
    p_holm: float
    controls: Mapping[str, Difference]
    n: int
    power: float
    verdict: Verdict
    reason: str

    @property
    def closest(self) -> tuple[str, Difference]:
        """The control that is least behind, and by how much."""
        sign = self.hypothesis.sign
        return min(self.controls.items(), key=lambda c: sign * c[1].difference)


def judge(
    measured: Mapping[str, Measured],
    hypotheses: Sequence[Hypothesis] = HYPOTHESES,
    *,
    seed: int = 0,
) -> list[Result]:
    """Test all hypotheses at once.

    Parameters
    ----------
    measured : mapping of str to Measured
        By the name of the measure.
    hypotheses : sequence of Hypothesis
        The table; the correction is for all of them.
    seed : int
        Of permutations and bootstrap.

    Returns
    -------
    list of Result
        In the order of the table.

    Raises
    ------
    DataError
        If a measure is missing, which would make the correction milder than stated, has
        no numbers or no control, or has not the shape that its hypothesis needs.

    Notes
    -----
    A prediction *holds* if its one-sided p is below 0.05 after Holm's correction, and
    the 95 % interval of the difference from every control is on the right side of zero.
    It is *contradicted* if the opposite passes the same test, or a control does as
    well: the whole interval is below a quarter of the stated effect. Else it is
    *undecided*; its power says how much that means.
    """
    if missing := {h.measure for h in hypotheses} - measured.keys():
        raise DataError(
            f"measures: expected {', '.join(sorted(missing))} too; leave "
            "hypotheses out of the table before looking, not after"
        )
    for h in hypotheses:
        known = measured[h.measure]
        for name, values in {"values": known.values, **known.controls}.items():
            if not np.isfinite(values).any():
                raise DataError(f"{h.measure}: expected numbers, got NaN only ({name})")
        if not known.controls:
            raise DataError(f"{h.measure}: expected a control or more, got none")
    tests = [_test(h, measured[h.measure], seed) for h in hypotheses]
    stated = holm([p for (p, _), _ in tests]).tolist()
    opposite = holm([p for (_, p), _ in tests]).tolist()
    results = []
    for i, (h, ((p, _), found)) in enumerate(zip(hypotheses, tests, strict=True)):
        first = next(iter(found.values()))
        verdict, reason = _verdict(h, stated[i], opposite[i], found)
        power = _power(h, measured[h.measure].values, ALPHA / len(hypotheses))
        results.append(
            Result(
                h, first.trained, p, stated[i], found, first.n, power, verdict, reason
            )
        )
    return results


def _test(
    h: Hypothesis, measured: Measured, seed: int
) -> tuple[tuple[float, float], dict[str, Difference]]:
    """Return p as stated and of the opposite, and the differences from controls."""
    values = np.asarray(measured.values)
    if h.kind == "level":
        p = trends.level_p_values(values, h.reference, seed=seed)
        compare = partial(trends.level_difference, values, seed=seed)
    else:
        test = depths_of(h, values.shape[-1]), values
        p = trends.trend_p_values(*test, pooled=h.pooled, seed=seed)
        compare = partial(trends.trend_difference, *test, pooled=h.pooled, seed=seed)
    found = {name: compare(control) for name, control in measured.controls.items()}
    return (p if h.sign > 0 else (p[1], p[0])), found


def depths_of(h: Hypothesis, num_layers: int) -> list[float]:
    """Return what a trend is a trend with."""
    depths = np.arange(num_layers, dtype=np.float64)
    if h.kind == "peak":
        depths = -np.abs(depths - depths.mean())
    return list(depths.tolist())


def _verdict(
    h: Hypothesis, stated: float, opposite: float, found: Mapping[str, Difference]
) -> tuple[Verdict, str]:
    if opposite < ALPHA:
        return "contradicted", "the opposite is so"
    ahead = {
        name: sorted(h.sign * end for end in each.interval)
        for name, each in found.items()
    }
    alike = [name for name, (_, high) in ahead.items() if high < AS_WELL * h.effect]
    if alike:
        return "contradicted", f"{' and '.join(alike)} as well"
    if stated >= ALPHA:
        return "undecided", "may be chance"
    unclear = [name for name, (low, _) in ahead.items() if not low > 0]
    if unclear:
        return "undecided", f"not clearly beyond {' and '.join(unclear)}"
    return "holds", ""


def _power(h: Hypothesis, values: ArrayLike, alpha: float) -> float:
    if h.kind == "level":
        return trends.level_power(values, h.effect, alpha)
    return trends.trend_power(depths_of(h, np.shape(values)[-1]), h.effect, alpha)
