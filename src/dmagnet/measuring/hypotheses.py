"""Claims about the network, as tests that were written before any result.

DMAGNet was first described with four sentences about what its dreams show: "early
layers respond to local photometric patterns", "intermediate layers capture structured
motifs", "the final attention module focuses on globally coherent structure", and, from
these, "physically meaningful representations". A fifth claim is that re-dreams
converge. Each is here one prediction or more, stated on 2026-11-28 before the numbers
(docs/science.md); `dmagnet.measuring.verdicts` tests them.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["trend", "peak", "level"]

EARLY = "early layers respond to local photometric patterns"
MIDDLE = "intermediate layers capture structured motifs"
FINAL = "the final attention module focuses on globally coherent structure"
PHYSICAL = "physically meaningful representations"
REDREAMS = "re-dreams converge"

PARAMETERS = {
    "concentration": "concentration",
    "asymmetry": "asymmetry",
    "gini": "Gini coefficient",
    "m20": "M20",
    "ellipticity": "ellipticity",
}
RHO = 0.8  # a trend that one sees in a plot of 16 points without being told


@dataclass(frozen=True)
class Hypothesis:
    """One prediction, stated before it is tested.

    Attributes
    ----------
    name : str
        Short and unique.
    claim : str
        The sentence that it tests.
    prediction : str
        What must come out, in plain words.
    measure : str
        Key of the measured values.
    kind : {"trend", "peak", "level"}
        "trend": values (N, L) by layer, Spearman's rho with depth. "peak": the same
        with minus the distance from the middle layer instead of depth. "level": values
        (N,) against the reference.
    sign : {1, -1}
        Of rho, or of the mean minus the reference.
    effect : float
        The effect for which the power is stated: a true rho, or a departure from the
        reference. A control within a quarter of it does as well.
    reference : float
        For a level: what chance gives.
    pooled : bool
        The rho of the mean over galaxies, for scores that a single galaxy has not.
    """

    name: str
    claim: str
    prediction: str
    measure: str
    kind: Kind
    sign: Literal[1, -1]
    effect: float = RHO
    reference: float = 0.0
    pooled: bool = False


_SCORES = {"class": "the class (macro-F1)"}
_SCORES |= {name: f"{title} (R^2)" for name, title in PARAMETERS.items()}

HYPOTHESES = (
    Hypothesis(
        "detail-local", EARLY,
        "The share of a dream's detail that a linear function of the 5 x 5 px of the "
        "galaxy at that place predicts (R^2) falls with the depth of the dreamed "
        "layer.",
        "detail_local", "trend", -1,
    ),
    Hypothesis(
        "detail-coarsens", EARLY,
        "The spectral centroid of what a dream adds to a galaxy falls with the "
        "depth of the dreamed layer.",
        "detail_centroid", "trend", -1,
    ),
    Hypothesis(
        "motifs-peak", MIDDLE,
        "The share of the modes m = 2 to 4 in what a dream adds inside the galaxy, "
        "from 0.2 to 1 Petrosian radius, is largest for layers of middle depth.",
        "detail_motifs", "peak", 1,
    ),
    Hypothesis(
        "motifs-beyond-light", MIDDLE,
        "In the middle third of the layers that share is larger than in the galaxy's "
        "own light.",
        "motifs_beyond_light", "level", 1, 0.05,
    ),
    Hypothesis(
        "attention-on-galaxy", FINAL,
        "LAM's map of attention has more than its share of area inside one "
        "Petrosian radius: the ratio of the two shares is above 1.",
        "attention_inside", "level", 1, 0.1, 1.0,
    ),
    Hypothesis(
        "detail-coheres", FINAL,
        "The share of what a dream adds that varies more slowly than once per "
        "Petrosian radius rises with depth.",
        "detail_coherence", "trend", 1,
    ),
    *(
        Hypothesis(
            f"probe-{key}-rises", PHYSICAL,
            f"A linear probe reads {what} better from deeper layers.",
            f"probe_{key}", "trend", 1, pooled=True,
        )
        for key, what in _SCORES.items()
    ),
    *(
        Hypothesis(
            f"probe-{key}-beyond-light", PHYSICAL,
            f"Behind LAM a linear probe reads {what} better than one fitted to "
            "shuffled values, and by more than from the light in rings alone.",
            f"selectivity_{key}", "level", 1, 0.1,
        )
        for key, what in _SCORES.items()
    ),
    Hypothesis(
        "redream-settles", REDREAMS,
        "The last pass of a re-dream of LAM changes the detail by a smaller share of "
        "itself than the last pass of steps at random does.",
        "redream_settles", "level", 1, 0.1,
    ),
)  # fmt: skip
