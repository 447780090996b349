"""Dreams as measurements: what a network sees with depth, and what is mere shape."""

from dmagnet.measuring.apertures import Aperture, find_aperture
from dmagnet.measuring.energy import aperture_energy
from dmagnet.measuring.hypotheses import HYPOTHESES, Hypothesis
from dmagnet.measuring.morphology import Morphology, measure_morphology
from dmagnet.measuring.study import Study
from dmagnet.measuring.study_folder import measure
from dmagnet.measuring.verdicts import judge

__all__ = [
    "HYPOTHESES",
    "Aperture",
    "Hypothesis",
    "Morphology",
    "Study",
    "aperture_energy",
    "find_aperture",
    "judge",
    "measure",
    "measure_morphology",
]
