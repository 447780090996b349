"""The measures of an evaluation, and the file they lie in."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dmagnet.config.checks import from_dict
from dmagnet.errors import DataError
from dmagnet.judging.sampling import NOWHERE, Interval
from dmagnet.judging.selective import RiskCoverage
from dmagnet.storage.arrays import Ints
from dmagnet.storage.records import brief, json_record, plain_json, write_json

MEASURES = ("accuracy", "balanced_accuracy", "macro_f1", "top2", "nll", "brier", "ece")
# Newer than files of earlier versions, and not known of every network.
TRUST = (
    *("aurc", "coverage90", "coverage95", "set_size90", "set_size95"),
    *("disagreement", "ood_share"),
)
SCALARS = (*MEASURES, *TRUST)
NAN = float("nan")


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class.

    Attributes
    ----------
    name : str
        The class.
    correct, support : int
        Galaxies of the class that were named right, and all galaxies of it.
    precision, recall : float
        ``correct`` as a share of the galaxies given this name, and of ``support``.
    f1 : float
        Harmonic mean of both; each is NaN where it would divide by 0.
    f1_interval : tuple of float
        95 % bootstrap interval of ``f1``.
    """

    name: str
    correct: int
    support: int
    precision: float
    recall: float
    f1: float
    f1_interval: Interval = NOWHERE


@dataclass(frozen=True, eq=False)
class Metrics:
    """Fit of guesses to labels.

    Attributes
    ----------
    n : int
        Number of galaxies.
    accuracy, top2 : float
        Share whose label is the first guess, and one of the first two.
    balanced_accuracy, macro_f1 : float
        Means of the classes' recall and F1, over the classes that have a galaxy.
    nll, brier : float
        Mean of -ln p(label), and of the squared distance to the one-hot label (0 to 2).
    ece : float
        Expected calibration error of the first guess, in bins of equal mass.
    per_class : tuple of ClassScore
        One entry per class, in the order of ``class_names``.
    confusion : (K, K) int
        Counts; row is the label, column the guess.
    class_names : tuple of str
        The K names.
    intervals : dict
        95 % bootstrap interval of each number above and below.
    aurc : float
        Mean risk over all coverages: how well confidence sorts right from wrong.
    coverage90, coverage95, set_size90, set_size95 : float
        Share of conformal sets that hold the label, and the mean number of classes in
        them; NaN without calibration.
    disagreement, ood_share : float
        Mean total-variation distance between views, and share of galaxies flagged as
        unlike those of training; NaN where unknown.
    risk : RiskCoverage or None
        Risk at every coverage, for the curve.
    """

    n: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    top2: float
    nll: float
    brier: float
    ece: float
    per_class: tuple[ClassScore, ...]
    confusion: Ints
    class_names: tuple[str, ...]
    intervals: dict[str, Interval]
    aurc: float = NAN
    coverage90: float = NAN
    coverage95: float = NAN
    set_size90: float = NAN
    set_size95: float = NAN
    disagreement: float = NAN
    ood_share: float = NAN
    risk: RiskCoverage | None = field(default=None, repr=False)

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse numbers that do not belong together."""
        num = len(self.class_names)
        if not num == len(self.per_class) > 0 or self.confusion.shape != (num, num):
            raise DataError(
                f"metrics: expected scores and counts of {num} classes, got "
                f"{len(self.per_class)} and {self.confusion.shape}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with null for what is not a number.

        Returns
        -------
        dict
            The fields by name; the curve as ``risk_coverage``.
        """
        values = plain_json(asdict(self))
        others = ("per_class", "confusion", "class_names", "intervals")
        found = {name: values[name] for name in ("n", *SCALARS, *others)}
        return found | {"risk_coverage": values["risk"]}


def write_metrics(
    path: Path, metrics: Metrics, provenance: dict[str, Any] | None = None
) -> Path:
    """Write metrics as JSON, first beside its name and then under it.

    Parameters
    ----------
    path : Path
        By custom ``metrics.json``.
    metrics : Metrics
        What `score` returned.
    provenance : dict, optional
        Plain values that say where the numbers come from, stored by that name.

    Returns
    -------
    Path
        The file written.
    """
    content = metrics.to_dict()
    if provenance is not None:
        content["provenance"] = provenance
    write_json(path, content)
    return path


def read_metrics(path: Path) -> Metrics:
    """Read back what `write_metrics` wrote.

    Parameters
    ----------
    path : Path
        The JSON file; other keys are left aside.

    Returns
    -------
    Metrics
        The same numbers.

    Raises
    ------
    DataError
        If there is no such file, or it is not such a file.
    """
    expected, advice = "the metrics of 'dmagnet evaluate'", "evaluate the weights again"
    with json_record(path, expected, advice) as content:
        curve = content.pop("risk_coverage", None)
        told = dict.fromkeys(TRUST, NAN) | nan_for_null(content)
        intervals = dict.fromkeys(TRUST, NOWHERE) | told["intervals"]
        told["intervals"] = {name: tuple(intervals[name]) for name in SCALARS}
        told["per_class"] = [
            from_dict(ClassScore, entry) for entry in told["per_class"]
        ]
        told["confusion"] = np.array(content["confusion"], dtype=np.int64)
        told["risk"] = None if curve is None else RiskCoverage.from_dict(curve)
        return from_dict(Metrics, told, more=True)


def nan_for_null(value: Any) -> Any:
    """Turn null back into NaN, at any depth."""
    if isinstance(value, dict):
        return {name: nan_for_null(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [nan_for_null(entry) for entry in value]
    return NAN if value is None else value
