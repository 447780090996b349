"""Uncertainty fitted on labels: probabilities, sets of classes and a warning.

The chapters, in order: `labels` (coarse labels, coarse answers), `space` (pictures
unlike those the network knows), `calibration` (what was fitted, beside the weights),
`fitting` (temperature and thresholds of sets) and `judgement` (a network's views of a
picture brought to one answer).
NumPy, SciPy and scikit-learn only: arrays in, arrays out.
"""

from dmagnet.calibration.calibration import Calibration as Calibration
from dmagnet.calibration.calibration import from_parts as from_parts
from dmagnet.calibration.calibration import prediction_sets as prediction_sets
from dmagnet.calibration.calibration import tempered as tempered
from dmagnet.calibration.calibration import to_parts as to_parts
from dmagnet.calibration.fitting import conformal_threshold as conformal_threshold
from dmagnet.calibration.fitting import conformal_thresholds as conformal_thresholds
from dmagnet.calibration.fitting import fit_temperature as fit_temperature
from dmagnet.calibration.fitting import fit_vector as fit_vector
from dmagnet.calibration.fitting import vector_scaled as vector_scaled
from dmagnet.calibration.judgement import Judgement as Judgement
from dmagnet.calibration.judgement import disagreement as disagreement
from dmagnet.calibration.judgement import judgement_of as judgement_of
from dmagnet.calibration.labels import Answer as Answer
from dmagnet.calibration.labels import Labeled as Labeled
from dmagnet.calibration.labels import fallback as fallback
from dmagnet.calibration.labels import family_members as family_members
from dmagnet.calibration.labels import family_sums as family_sums
from dmagnet.calibration.labels import grouped as grouped
from dmagnet.calibration.labels import label_groups as label_groups
from dmagnet.calibration.labels import to_groups as to_groups
from dmagnet.calibration.space import FeatureSpace as FeatureSpace
from dmagnet.calibration.space import fit_space as fit_space
