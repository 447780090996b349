"""How sure to be: probabilities, sets of classes and a warning, fitted on labels.

The chapters, in order: `labels` (probabilities of coarse labels), `temperature` (how
peaked probabilities are), `conformal` (sets that hold the right class so often),
`fallback` (a coarser answer that is sure enough), `views` (how far views disagree),
`space` (pictures unlike those the network knows), `calibration` (all of it, beside
the weights) and `judgement` (views brought to one answer). NumPy, SciPy and
scikit-learn only: arrays in, arrays out.
"""

from dmagnet.calibration.calibration import Calibration, from_parts, to_parts
from dmagnet.calibration.conformal import (
    LEVELS,
    conformal_threshold,
    conformal_thresholds,
    prediction_sets,
)
from dmagnet.calibration.fallback import Answer, fallback, family_members, family_sums
from dmagnet.calibration.judgement import Judgement, judgement_of, views_to_take
from dmagnet.calibration.labels import Labeled, grouped, label_groups, to_groups
from dmagnet.calibration.space import FeatureSpace, fit_space
from dmagnet.calibration.temperature import (
    fit_temperature,
    fit_vector,
    tempered,
    vector_scaled,
)
from dmagnet.calibration.views import disagreement

__all__ = [
    "LEVELS",
    "Answer",
    "Calibration",
    "FeatureSpace",
    "Judgement",
    "Labeled",
    "conformal_threshold",
    "conformal_thresholds",
    "disagreement",
    "fallback",
    "family_members",
    "family_sums",
    "fit_space",
    "fit_temperature",
    "fit_vector",
    "from_parts",
    "grouped",
    "judgement_of",
    "label_groups",
    "prediction_sets",
    "tempered",
    "to_groups",
    "to_parts",
    "vector_scaled",
    "views_to_take",
]
