"""Tests of the stated hypotheses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from dmagnet.errors import DataError
from dmagnet.judging.sampling import Interval
from dmagnet.measuring.hypotheses import HYPOTHESES, Hypothesis
from dmagnet.measuring.trends import (
    Difference,
    difference_from_control,
    holm,
    level_difference,
    level_p_value,
    trend_p_value,
)

Verdict = Literal["holds", "holds also for random weights", "fails"]
ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class Measured:
    """One measure of the same galaxies in trained and in random networks."""

    values: ArrayLike
    control: ArrayLike


@dataclass(frozen=True)
class Result:
    """How a hypothesis fared."""

    hypothesis: Hypothesis
    value: float
    p_value: float
    p_holm: float
    control: float
    difference: float
    interval: Interval
    n: int
    networks: int
    controls: int
    verdict: Verdict


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
        no numbers, or has not the shape that its hypothesis needs.

    Notes
    -----
    A trend needs enough layers to be found at all: p is at least 2/L!, so that with the
    eighteen rows of the table seven layers can pass and five cannot. Of a peak, layers
    at the same distance from the middle are tied, and p is at least 8/5040 at seven.
    """
    if missing := {h.measure for h in hypotheses} - measured.keys():
        raise DataError(
            f"measures: expected {', '.join(sorted(missing))} too; leave "
            "hypotheses out of the table before looking, not after"
        )
    for h in hypotheses:
        for side in ("values", "control"):
            if not np.isfinite(getattr(measured[h.measure], side)).any():
                raise DataError(f"{h.measure}: expected numbers, got NaN only ({side})")
    tested = [_test(h, measured[h.measure], seed) for h in hypotheses]
    corrected = holm([p for p, _ in tested]).tolist()
    results = []
    for h, (p, found), p_holm in zip(hypotheses, tested, corrected, strict=True):
        right = (found.trained - h.reference) * h.sign > 0 and p_holm < ALPHA
        low, high = found.interval
        beyond = low > 0 if h.sign > 0 else high < 0
        verdict: Verdict = "fails"
        if right:
            verdict = "holds" if beyond else "holds also for random weights"
        numbers = measured[h.measure]
        results.append(
            Result(
                hypothesis=h,
                value=found.trained,
                p_value=p,
                p_holm=p_holm,
                control=found.control,
                difference=found.difference,
                interval=found.interval,
                n=found.n,
                networks=_num_networks(numbers.values, h),
                controls=_num_networks(numbers.control, h),
                verdict=verdict,
            )
        )
    return results


def _test(
    hypothesis: Hypothesis, measured: Measured, seed: int
) -> tuple[float, Difference]:
    """Return p, and the difference from random networks."""
    values, control = np.asarray(measured.values), np.asarray(measured.control)
    if hypothesis.kind == "level":
        p = level_p_value(values, hypothesis.reference, seed=seed)
        return p, level_difference(values, control, seed=seed)
    depths = np.arange(values.shape[-1], dtype=np.float64)
    if hypothesis.kind == "peak":
        depths = -np.abs(depths - depths.mean())
    pooled = hypothesis.pooled
    p = trend_p_value(depths, values, pooled=pooled, seed=seed)
    found = difference_from_control(depths, values, control, pooled=pooled, seed=seed)
    return p, found


def _num_networks(values: ArrayLike, hypothesis: Hypothesis) -> int:
    shape = np.shape(values)
    return shape[0] if len(shape) > (1 if hypothesis.kind == "level" else 2) else 1
