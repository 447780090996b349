"""Dreams as measurements: what a network sees with depth, and what is mere shape."""

from dmagnet.measuring.apertures import Aperture, find_aperture
from dmagnet.measuring.bench import layers_by_depth
from dmagnet.measuring.energy import aperture_energy, rank_correlation
from dmagnet.measuring.hypotheses import HYPOTHESES, Hypothesis
from dmagnet.measuring.morphology import Morphology, measure_morphology
from dmagnet.measuring.study import Study, run_study
from dmagnet.measuring.study_folder import measure, write_study
from dmagnet.measuring.verdicts import Measured, Result, judge

__all__ = [
    "HYPOTHESES",
    "Aperture",
    "Hypothesis",
    "Measured",
    "Morphology",
    "Result",
    "Study",
    "aperture_energy",
    "find_aperture",
    "judge",
    "layers_by_depth",
    "measure",
    "measure_morphology",
    "rank_correlation",
    "run_study",
    "write_study",
]
