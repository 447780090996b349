"""How well the guesses fit the labels: arrays in, numbers with intervals out."""

from dmagnet.evaluate.calibration import Reliability, reliability
from dmagnet.evaluate.metrics import (
    ClassScore,
    Metrics,
    read_metrics,
    score,
    write_metrics,
)
from dmagnet.evaluate.paired import Comparison, SeedComparison, compare, compare_seeds
from dmagnet.evaluate.sampling import choose_examples

__all__ = [
    "ClassScore",
    "Comparison",
    "Metrics",
    "Reliability",
    "SeedComparison",
    "choose_examples",
    "compare",
    "compare_seeds",
    "read_metrics",
    "reliability",
    "score",
    "write_metrics",
]
