"""Labels and answers that say less than the classes do: "one of these"."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dmagnet.classes import CLASSES, FAMILIES
from dmagnet.errors import DataError
from dmagnet.storage.arrays import Bools, Floats, Ints
from dmagnet.storage.records import brief

Groups = tuple[tuple[int, ...], ...]

CLASS, FAMILY, NONE = 0, 1, 2  # levels of an answer


@dataclass(frozen=True, eq=False)
class Labeled:
    """Probabilities of galaxies whose label is known, perhaps coarsely.

    Attributes
    ----------
    probabilities : (N, K) float in [0, 1]
        Of each class, each row adding up to 1.
    labels : (N,) int in 0 to G - 1
        Which group is the right one.
    groups : tuple of tuple of int
        The classes of each of the G groups, none in two; empty where each class is a
        group.
    """

    probabilities: Floats
    labels: Ints
    groups: Groups = ()

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse labels that are no groups, and a class in two groups."""
        shape = np.shape(self.probabilities)
        if len(shape) != 2 or not shape[0] or np.shape(self.labels) != shape[:1]:
            raise DataError(
                "labeled galaxies: expected probabilities (N, K) and N labels, got "
                f"{shape} and {np.shape(self.labels)}; give one row per galaxy"
            )
        num, low, high = len(self.member), np.min(self.labels), np.max(self.labels)
        if low < 0 or high >= num:
            raise DataError(
                f"labels: expected 0 to {num - 1}, got {low} to {high}; a label is the "
                "index of its group"
            )

    @property
    def member(self) -> Bools:
        """Which class is in which group.

        Returns
        -------
        (G, K) bool
            The identity where each class is a group.
        """
        return _member(self.groups, self.probabilities.shape[1])


def grouped(probabilities: npt.ArrayLike, groups: Sequence[Sequence[int]]) -> Floats:
    """Sum probabilities over groups of classes.

    Parameters
    ----------
    probabilities : (N, K) float in [0, 1]
        Of each class, each row adding up to 1.
    groups : sequence of sequence of int
        The classes of each group, none in two (else a DataError), perhaps not all.

    Returns
    -------
    (N, G) float
        Of each group, given that one of them is right: rows add up to 1. A row that
        gives all groups nothing is even.
    """
    probs = np.asarray(probabilities, np.float64)
    sums: Floats = probs @ _member(groups, probs.shape[1]).T
    whole = sums.sum(axis=1, keepdims=True)
    even = np.full_like(sums, 1 / sums.shape[1])
    return np.asarray(np.divide(sums, whole, out=even, where=whole > 0), np.float64)


def to_groups(sets: Bools, groups: Sequence[Sequence[int]]) -> Bools:
    """Turn sets of classes into sets of groups.

    Parameters
    ----------
    sets : (N, K) bool
        The classes in the set of each galaxy.
    groups : sequence of sequence of int
        The classes of each group, none in two (else a DataError).

    Returns
    -------
    (N, G) bool
        The groups with a class in the set.
    """
    member = _member(groups, sets.shape[1]).astype(np.int64)
    return sets.astype(np.int64) @ member.T > 0


def label_groups(
    labels: npt.ArrayLike, label_sets: Sequence[Sequence[int]], num_classes: int
) -> tuple[Groups, Ints]:
    """Find the groups that labels stand for.

    Parameters
    ----------
    labels : (N,) int
        0 to K - 1 is that class; K + j is one of the classes in ``label_sets[j]``.
    label_sets : sequence of sequence of int
        Coarse labels.
    num_classes : int
        K.

    Returns
    -------
    groups : tuple of tuple of int
        What occurs as a label, in the order of its first class.
    indices : (N,) int64
        The group of each galaxy.

    Raises
    ------
    DataError
        If two labels that occur share a class: what is right then depends on who asked.
    """
    truth = np.asarray(labels)
    rows = [*((k,) for k in range(num_classes)), *(tuple(s) for s in label_sets)]
    occurring = sorted(np.unique(truth).tolist(), key=lambda code: rows[code])
    groups = tuple(tuple(rows[code]) for code in occurring)
    _member(groups, num_classes)
    place = {code: i for i, code in enumerate(occurring)}
    return groups, np.array([place[code] for code in truth.tolist()], np.int64)


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer about each galaxy that a wanted confidence allows.

    Attributes
    ----------
    level : (N,) int
        0 a class, 1 a family, 2 neither.
    index : (N,) int
        Of the class, or of the family in `dmagnet.classes.FAMILIES`; -1 for neither.
    confidence : (N,) float
        Probability of the answer; of the likeliest family where there is none.
    """

    level: Ints
    index: Ints
    confidence: Floats

    __repr__ = brief


def family_members() -> Groups:
    """List the classes of each family.

    Returns
    -------
    tuple of tuple of int
        In the order of `dmagnet.classes.FAMILIES`.
    """
    return tuple(
        tuple(entry.index for entry in CLASSES if entry.family == family)
        for family in FAMILIES
    )


def family_sums(probabilities: npt.ArrayLike) -> Floats:
    """Add the ten classes' probabilities family by family.

    Parameters
    ----------
    probabilities : (N, 10) float in [0, 1]
        Of the classes of Galaxy10 DECaLS, each row adding up to 1; others have no
        families, a DataError.

    Returns
    -------
    (N, 4) float
        Irregular, smooth, face-on disc, edge-on; rows add up to 1.
    """
    probs = np.asarray(probabilities, np.float64)
    if probs.ndim != 2 or probs.shape[1] != len(CLASSES):
        raise DataError(
            f"families: expected probabilities of the {len(CLASSES)} classes of "
            f"Galaxy10 DECaLS, got shape {probs.shape}; other classes have none"
        )
    return np.stack([probs[:, list(k)].sum(axis=1) for k in family_members()], axis=1)


def fallback(probabilities: npt.ArrayLike, confidence: float) -> Answer:
    """Answer as finely as a wanted confidence allows.

    Parameters
    ----------
    probabilities : (N, 10) float in [0, 1]
        Calibrated, of the classes of Galaxy10 DECaLS.
    confidence : float
        Smallest probability of an answer, above 0 to 1.

    Returns
    -------
    Answer
        The likeliest class where it is probable enough; else the likeliest family
        where that is; else neither.

    Notes
    -----
    The rule of Deng et al. 2012 (CVPR, "Hedging your bets") with a fixed confidence.
    The family need not be that of the likeliest class: two likely barred and loose
    spirals outweigh one likelier merger.
    """
    if not 0 < confidence <= 1:
        raise DataError(f"confidence: expected above 0 to 1, got {confidence}")
    by_level = np.asarray(probabilities, np.float64), family_sums(probabilities)
    top = np.stack([each.max(axis=1) for each in by_level])
    best = np.stack([each.argmax(axis=1) for each in by_level])
    level = np.where(top >= confidence, [[CLASS], [FAMILY]], NONE).min(axis=0)
    shown, row = np.minimum(level, FAMILY), np.arange(len(level))
    index = np.where(level == NONE, -1, best[shown, row])
    return Answer(level=level, index=index, confidence=top[shown, row])


def _member(groups: Sequence[Sequence[int]], num_classes: int) -> Bools:
    """Return which class (column) is in which group (row)."""
    if not groups:
        return np.eye(num_classes, dtype=bool)
    member = np.array([np.isin(np.arange(num_classes), group) for group in groups])
    if (
        not all(groups)
        or member.sum() != sum(map(len, groups))
        or (member.sum(axis=0) > 1).any()
    ):
        raise DataError(
            f"groups: expected groups of the classes 0 to {num_classes - 1} that share "
            f"none, got {', '.join(str(tuple(group)) for group in groups)}; leave out "
            "or join those that overlap"
        )
    return member
