"""Fit of guesses to labels: arrays in, numbers with intervals out."""

from dmagnet.judging.judged_record import ClassScore as ClassScore
from dmagnet.judging.judged_record import Metrics as Metrics
from dmagnet.judging.judged_record import read_metrics as read_metrics
from dmagnet.judging.judged_record import write_metrics as write_metrics
from dmagnet.judging.metrics import Trust as Trust
from dmagnet.judging.metrics import score as score
from dmagnet.judging.paired import Comparison as Comparison
from dmagnet.judging.paired import SeedComparison as SeedComparison
from dmagnet.judging.paired import compare as compare
from dmagnet.judging.paired import compare_seeds as compare_seeds
from dmagnet.judging.reliability import Reliability as Reliability
from dmagnet.judging.reliability import reliability as reliability
from dmagnet.judging.sampling import choose_examples as choose_examples
from dmagnet.judging.selective import RiskCoverage as RiskCoverage
from dmagnet.judging.selective import risk_coverage as risk_coverage
from dmagnet.judging.selective import separation as separation
