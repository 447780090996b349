"""The record of a galaxy's page, as plain data."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dmagnet.explaining.explanation import DIGITS, Explanation, plain_row
from dmagnet.reporting.classical import Classical
from dmagnet.storage.arrays import Pixels, Singles
from dmagnet.storage.records import plain_json


@dataclass(frozen=True, eq=False)
class Dreamt:
    """A dream of one layer."""

    name: str  # in words, for example ``stage 2``
    rgb: Pixels  # (S, S, 3) after it was changed
    detail: Pixels  # (S, S, 3) what was added: orange brighter, blue darker
    probabilities: Singles | None = None  # of the dream's classes


@dataclass(frozen=True, eq=False)
class Neighbor:
    """A reference galaxy that the network finds alike."""

    id: str  # of the galaxy in its data set
    label: str
    distance: float  # of features, r.m.s. in standard deviations of the reference
    rgb: Pixels  # (S, S, 3) as the network sees it


@dataclass(frozen=True, eq=False, kw_only=True)
class Portrait:
    """All that is known of one galaxy.

    Attributes
    ----------
    name : str
        What its page is called; safe as the name of a file.
    explanation : Explanation
        Class, probabilities, sets, attention, scale weights.
    given : (H, W, 3) uint8 or None
        The picture before it is brought to the network's view; None where it is not
        at hand.
    box : tuple of float or None
        Left, top and side of the network's view in ``given``, as shares of its width.
    evidence : (K, S, S) float32
        For each class the evidence of each place, in the pixels of the network's view;
        a map adds up to the logit, or its mean over the views the weights ask for.
    attention : (S, S) float32 or None
        Factors of the Local Attention Module, 1 is neutral.
    dreams : tuple of Dreamt
        In order of depth.
    classical : Classical or None
        Morphology in numbers.
    neighbors : tuple of Neighbor
        The nearest first.
    votes : tuple of (str, int)
        Labels of the nearest galaxies, and how many have each, the most first.
    reference : str
        Which galaxies it was compared with, in one line.
    provenance : dict
        Plain values: version, weights, settings, date.
    """

    name: str
    explanation: Explanation
    given: Pixels | None = None
    box: tuple[float, float, float] | None = None
    evidence: Singles
    attention: Singles | None = None
    dreams: tuple[Dreamt, ...] = ()
    classical: Classical | None = None
    neighbors: tuple[Neighbor, ...] = ()
    votes: tuple[tuple[str, int], ...] = ()
    reference: str = ""
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def logits(self) -> Singles:
        """Add up the evidence.

        Returns
        -------
        (K,) float32
            The logit of each class, averaged over views.
        """
        return np.asarray(self.evidence.sum(axis=(1, 2)), np.float32)

    @property
    def order(self) -> list[int]:
        """Sort the classes.

        Returns
        -------
        list of int
            The most probable first.
        """
        return [int(k) for k in np.argsort(-self.explanation.probabilities)]

    @property
    def answer(self) -> int:
        """Name the class.

        Returns
        -------
        int
            The most probable.
        """
        return self.order[0]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers of the page as plain values.

        Returns
        -------
        dict
            For JSON; None for what is not known.
        """
        why = self.explanation
        answer = {
            "class_index": self.answer,
            "class_name": why.class_names[self.answer],
            "probabilities": why.probabilities,
            "logits": self.logits,
        }
        known = {
            "morphology": None if self.classical is None else self.classical.to_dict(),
            "neighbors": [
                {"id": n.id, "label": n.label, "distance": n.distance}
                for n in self.neighbors
            ],
            "votes": dict(self.votes),
        }
        row = {"name": self.name, **plain_row(why, answer)}
        row |= plain_json(known, DIGITS)
        return row
