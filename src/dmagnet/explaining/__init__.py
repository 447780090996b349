"""Why this class: maps that are reasons, and tests whether they are.

The chapters, in order: `maps` (what the network itself says of places), `curves` (how
the answer follows when pixels become sky), `needed` (what the class cannot do without),
`borrowed` (captum's methods), `methods` (all of them by name), `explanation` (one
galaxy, and its files), `explanations` (all of it), `faithfulness` (do the maps name
what the network needs?) and `randomized` (do they depend on its weights?).
"""

from dmagnet.explaining.curves import Curves as Curves
from dmagnet.explaining.curves import insertion_deletion as insertion_deletion
from dmagnet.explaining.curves import sky_fill as sky_fill
from dmagnet.explaining.explanation import Explanation as Explanation
from dmagnet.explaining.explanation import maps_hdus as maps_hdus
from dmagnet.explaining.explanation import (
    write_explanations as write_explanations,
)
from dmagnet.explaining.explanations import explain as explain
from dmagnet.explaining.explanations import explain_images as explain_images
from dmagnet.explaining.faithfulness import Faithfulness as Faithfulness
from dmagnet.explaining.faithfulness import faithfulness as faithfulness
from dmagnet.explaining.maps import evidence_maps as evidence_maps
from dmagnet.explaining.maps import scale_weights as scale_weights
from dmagnet.explaining.methods import METHODS as METHODS
from dmagnet.explaining.methods import attribute as attribute
from dmagnet.explaining.randomized import Cascade as Cascade
from dmagnet.explaining.randomized import (
    cascaded_randomization as cascaded_randomization,
)
