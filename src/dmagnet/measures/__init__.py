"""Dreams as measurements: what a network sees with depth, and what is mere shape."""

from dmagnet.measures.apertures import Aperture, find_aperture
from dmagnet.measures.bench import layers_by_depth
from dmagnet.measures.energy import aperture_energy, rank_correlation
from dmagnet.measures.hypotheses import HYPOTHESES, Hypothesis
from dmagnet.measures.morphology import Morphology, measure_morphology
from dmagnet.measures.study import Study, run_study
from dmagnet.measures.verdicts import Measured, Result, judge

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
    "measure_morphology",
    "rank_correlation",
    "run_study",
]
