"""How well the guesses fit the labels: arrays in, numbers with intervals out."""

from dmagnet.judging.judged_record import (
    ClassScore,
    Metrics,
    read_metrics,
    write_metrics,
)
from dmagnet.judging.metrics import Trust, score
from dmagnet.judging.paired import Comparison, SeedComparison, compare, compare_seeds
from dmagnet.judging.reliability import Reliability, reliability
from dmagnet.judging.sampling import choose_examples
from dmagnet.judging.selective import RiskCoverage, risk_coverage, separation

__all__ = [
    "ClassScore",
    "Comparison",
    "Metrics",
    "Reliability",
    "RiskCoverage",
    "SeedComparison",
    "Trust",
    "choose_examples",
    "compare",
    "compare_seeds",
    "read_metrics",
    "reliability",
    "risk_coverage",
    "score",
    "separation",
    "write_metrics",
]
