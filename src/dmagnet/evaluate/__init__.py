"""How well the guesses fit the labels: arrays in, numbers with intervals out."""

from dmagnet.evaluate.calibration import Reliability, reliability
from dmagnet.evaluate.metrics import Trust, score
from dmagnet.evaluate.paired import Comparison, SeedComparison, compare, compare_seeds
from dmagnet.evaluate.record import ClassScore, Metrics, read_metrics, write_metrics
from dmagnet.evaluate.sampling import choose_examples
from dmagnet.evaluate.selective import RiskCoverage, risk_coverage, separation

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
