"""What `causal.py` changes in simulated galaxies: concepts, and mere nuisances."""

import math

import torch

from dmagnet.measuring.causal import Concept
from dmagnet.simulator.population import LOOSE, TIGHT

SPIRALS = (TIGHT, LOOSE)
ALL = tuple(range(10))

# Doses span what the simulator draws (`dmagnet.simulator.population`): bars hold 0.14
# to 0.45 of the light, arms of tight and loose spirals have pitches of 7 to 42 degrees
# and strengths up to 1.25, bulges of edge-on discs 0 to 0.6, discs lean by 0 to 0.5.
CONCEPTS = (
    Concept("bar share", "bars.share", (0.0, 0.07, 0.14, 0.21, 0.28, 0.35), (5,), (5,)),
    Concept(
        "pitch, degrees", "arms.winding", (8, 12, 16, 20, 26, 34), SPIRALS, (7,), (6,),
        lambda old, dose: old.sign() / math.tan(math.radians(dose)),
    ),
    Concept(
        "arm strength", "arms.strength", (0.0, 0.25, 0.5, 0.75, 1.0, 1.25), SPIRALS,
        SPIRALS,
    ),
    Concept("number of arms", "arms.number", (1, 2, 3, 4, 5), SPIRALS),
    Concept(
        "bulge share", "bulge_share", (0.0, 0.05, 0.1, 0.2, 0.3, 0.4), (9,), (9,), (8,)
    ),
    Concept(
        "lopsidedness", "lopsided", (0.0, 0.1, 0.2, 0.3, 0.4, 0.5), SPIRALS, (0,)
    ),
    Concept(
        "companion's light", "companion", (0.0, 0.1, 0.25, 0.5, 0.75, 1.0), (1,), (1,)
    ),
    Concept(
        "flattening", "axis_ratio", (0.0, 0.15, 0.3, 0.45, 0.6, 0.75), (2,), (4,), (2,),
        lambda old, dose: torch.full_like(old, 1 - dose),
    ),
)  # fmt: skip
# Size changes what is resolved and how far above the noise: not only a nuisance.
NUISANCES = (
    Concept(
        "brightness, times", "flux", (0.5, 0.7, 1.0, 1.4, 2.0), ALL,
        dosed=lambda old, dose: old * dose,
    ),
    Concept(
        "turn, degrees", "pose.angle", (0, 15, 30, 45, 60, 90), ALL,
        dosed=lambda old, dose: old + math.radians(dose),
    ),
    Concept(
        "shift, arcsec", "pose.x", (0.0, 0.5, 1.0, 1.5, 2.0), ALL,
        dosed=lambda old, dose: old + dose,
    ),
    Concept(
        "size, times", "size", (0.5, 0.7, 1.0, 1.4, 2.0), ALL[:8],
        dosed=lambda old, dose: old * dose,
    ),
)  # fmt: skip
