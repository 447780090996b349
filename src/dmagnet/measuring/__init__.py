"""Dreams as measurements: what a network sees with depth, and what is mere shape."""

from typing import TYPE_CHECKING

from dmagnet import _lazily

if TYPE_CHECKING:
    from dmagnet.measuring.apertures import Aperture as Aperture
    from dmagnet.measuring.apertures import aperture_energy as aperture_energy
    from dmagnet.measuring.apertures import find_aperture as find_aperture
    from dmagnet.measuring.drawn import compare_details as compare_details
    from dmagnet.measuring.drawn import draw_pairs as draw_pairs
    from dmagnet.measuring.hypotheses import Hypothesis as Hypothesis
    from dmagnet.measuring.morphology import Morphology as Morphology
    from dmagnet.measuring.morphology import measure_morphology as measure_morphology
    from dmagnet.measuring.study import Study as Study
    from dmagnet.measuring.study_folder import measure as measure
    from dmagnet.measuring.verdicts import Result as Result
    from dmagnet.measuring.verdicts import judge as judge

__getattr__ = _lazily(__name__)  # to explain a galaxy takes apertures, not the study
