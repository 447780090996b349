"""The columns that say how far to trust a class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dmagnet.calibration.conformal import prediction_sets
from dmagnet.calibration.judgement import Judgement
from dmagnet.classes import CLASSES, FAMILIES

Floats = npt.NDArray[np.floating[Any]]

DIGITS = 6  # decimals of a probability, so that text and binary say the same
BETWEEN = "|"  # the classes of a set
SETS = {"set90": 90, "set95": 95}
# Columns with the summed probability of each family; names that need no quotes.
SUMS = dict(zip(("irregular", "smooth", "disc", "edge_on"), FAMILIES, strict=True))


def confidence_columns(
    judgement: Judgement,
    class_names: Sequence[str],
    *,
    thresholds: Sequence[float] | None = None,
    ood_limit: float | None = None,
) -> dict[str, Any]:
    """Say how far to trust each row."""
    probabilities = rounded(judgement.probabilities)
    num = len(probabilities)
    ood = _single(judgement.ood, num)
    known = np.isfinite(ood) & (ood_limit is not None)
    unlike = np.where(known, ood > np.float32(ood_limit or 0), 0)
    return {
        "disagreement": _single(judgement.disagreement, num),
        **_sums(probabilities, [*map(family_of, class_names)]),
        **_sets(probabilities, thresholds),
        "ood": ood,
        "ood_flag": pa.array(unlike.astype(np.int16), pa.int16(), mask=~known),
    }


def rounded(values: Floats) -> npt.NDArray[np.float64]:
    """Round as all tables do."""
    doubles: npt.NDArray[np.float64] = values.astype(np.float64)
    return doubles.round(DIGITS)


def family_of(name: str) -> str:
    """Find the family of a class by its name."""
    families = {
        _plain(spelling): entry.family
        for entry in CLASSES
        for spelling in (entry.name, entry.slug)
    }
    return families.get(_plain(name), "")


def _plain(name: str) -> str:
    plain = "".join(filter(str.isalnum, name)).casefold()
    return plain.removesuffix("galaxies").removesuffix("galaxy")


def _single(values: Floats | None, num: int) -> npt.NDArray[np.float32]:
    """Round a column; NaN where nobody can say."""
    if values is None:
        return np.full(num, np.nan, np.float32)
    return rounded(values).astype(np.float32)


def _sums(probabilities: Floats, families: Sequence[str]) -> dict[str, Floats]:
    """Add up each family; NaN where some class belongs to none, or a family is not."""
    unknown = np.full(len(probabilities), np.nan, np.float32)
    if set(families) != set(FAMILIES):
        return dict.fromkeys(SUMS, unknown)
    return {
        name: _single(
            probabilities[:, [k for k, f in enumerate(families) if f == family]].sum(1),
            len(probabilities),
        )
        for name, family in SUMS.items()
    }


def _sets(
    probabilities: Floats, thresholds: Sequence[float] | None
) -> dict[str, list[str]]:
    """Name the classes of each conformal set, most probable first."""
    if thresholds is None:
        return {name: [""] * len(probabilities) for name in SETS}
    order = np.argsort(-probabilities, axis=1, kind="stable")
    known = [bool(np.isfinite(row).all()) for row in probabilities]
    return {
        name: [
            BETWEEN.join(str(k) for k in ranked if inside[k]) if seen else ""
            for ranked, inside, seen in zip(
                order, prediction_sets(probabilities, threshold), known, strict=True
            )
        ]
        for name, threshold in zip(SETS, thresholds, strict=True)
    }
