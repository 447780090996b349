"""Claims about the network, as tests that were written before any result.

DMAGNet was first described with four sentences about what its dreams show: "early
layers respond to local photometric patterns", "intermediate layers capture structured
motifs", "the final attention module focuses on globally coherent structure", and, from
these, "physically meaningful representations". Each is here one prediction or more,
with the sign it must have; `dmagnet.measuring.verdicts` tests them.

A prediction *holds* only if all three are so: the sign is right; p is below 0.05 after
Holm's correction over the whole table; and the trained network is beyond networks with
random weights, the 95 % interval of the difference on the right side of zero. What is
right and significant, but no more so than without learning, is a property of the
architecture. The rest fails, and is published as failed.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["trend", "peak", "level"]

EARLY = "early layers respond to local photometric patterns"
MIDDLE = "intermediate layers capture structured motifs"
FINAL = "the final attention module focuses on globally coherent structure"
PHYSICAL = "physically meaningful representations"

PARAMETERS = {
    "concentration": "concentration",
    "asymmetry": "asymmetry",
    "gini": "Gini coefficient",
    "m20": "M20",
    "ellipticity": "ellipticity",
}


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
        (N,) of one layer against the reference.
    sign : {1, -1}
        Of rho, or of the mean minus the reference.
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
    reference: float = 0.0
    pooled: bool = False


_SCORES = {"class": "the class (macro-F1)"}
_SCORES |= {name: f"{title} (R^2)" for name, title in PARAMETERS.items()}

HYPOTHESES = (
    Hypothesis(
        "reach-grows",
        EARLY,
        "The effective receptive field (radius with 68 % of the gradient energy, "
        "in Petrosian radii) grows with depth.",
        "reach68",
        "trend",
        1,
    ),
    Hypothesis(
        "detail-coarsens",
        EARLY,
        "The spectral centroid of what a dream adds to a galaxy falls with the "
        "depth of the dreamed layer.",
        "detail_centroid",
        "trend",
        -1,
    ),
    Hypothesis(
        "motifs-peak",
        MIDDLE,
        "The share of the modes m = 2 to 4 in what a dream adds inside the galaxy, "
        "from 0.2 to 1 Petrosian radius, is largest for layers of middle depth.",
        "detail_motifs",
        "peak",
        1,
    ),
    Hypothesis(
        "attention-on-galaxy",
        FINAL,
        "LAM's map of attention has more than its share of area inside one "
        "Petrosian radius: the ratio of the two shares is above 1.",
        "attention_inside",
        "level",
        1,
        reference=1.0,
    ),
    Hypothesis(
        "attention-reach",
        FINAL,
        "A unit of LAM sees the whole galaxy: 68 % of its gradient energy takes "
        "more than one Petrosian radius.",
        "attention_reach68",
        "level",
        1,
        reference=1.0,
    ),
    Hypothesis(
        "detail-coheres",
        FINAL,
        "The share of what a dream adds that varies more slowly than once per "
        "Petrosian radius rises with depth.",
        "detail_coherence",
        "trend",
        1,
    ),
    *(
        Hypothesis(
            f"probe-{key}-rises",
            PHYSICAL,
            f"A linear probe reads {what} better from deeper layers.",
            f"probe_{key}",
            "trend",
            1,
            pooled=True,
        )
        for key, what in _SCORES.items()
    ),
    *(
        Hypothesis(
            f"probe-{key}-beyond-chance",
            PHYSICAL,
            f"Behind LAM a linear probe reads {what} better than one fitted to "
            "shuffled values, and by more than in networks with random weights.",
            f"selectivity_{key}",
            "level",
            1,
        )
        for key, what in _SCORES.items()
    ),
)
