"""Why this class: maps that are reasons, and tests whether they are.

The chapters, in order: `maps` (what the network itself says of places), `fill` (sky
where a pixel is taken away), `curves` (how the answer follows), `needed` (what the
class cannot do without), `borrowed` (captum's methods), `methods` (all of them by
name), `explanation` and `explanation_folder` (one galaxy, on disk), `explanations` (all
of it), `faithfulness` (do the maps name what the network needs?) and `randomized` (do
they depend on its weights?).
"""

from dmagnet.explaining.curves import Curves, insertion_deletion
from dmagnet.explaining.explanation import Explanation
from dmagnet.explaining.explanation_folder import (
    entry_of,
    maps_hdus,
    write_explanations,
)
from dmagnet.explaining.explanations import explain, explain_images
from dmagnet.explaining.faithfulness import Faithfulness, faithfulness
from dmagnet.explaining.fill import find_sky, sky_fill
from dmagnet.explaining.maps import evidence_maps, scale_weights
from dmagnet.explaining.methods import BORROWED, METHODS, OWN, attribute, maps_of
from dmagnet.explaining.randomized import Cascade, cascaded_randomization

__all__ = [
    "BORROWED",
    "METHODS",
    "OWN",
    "Cascade",
    "Curves",
    "Explanation",
    "Faithfulness",
    "attribute",
    "cascaded_randomization",
    "entry_of",
    "evidence_maps",
    "explain",
    "explain_images",
    "faithfulness",
    "find_sky",
    "insertion_deletion",
    "maps_hdus",
    "maps_of",
    "scale_weights",
    "sky_fill",
    "write_explanations",
]
