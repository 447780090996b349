"""The finest answer that is sure enough: a class, else its family, else none."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dmagnet.calibration.labels import Floats, Groups, Ints
from dmagnet.classes import CLASSES, FAMILIES
from dmagnet.errors import DataError

CLASS, FAMILY, NONE = 0, 1, 2  # levels of an answer


@dataclass(frozen=True, eq=False)
class Answer:
    """What can be said of each galaxy with a wanted confidence.

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
        Of the classes of Galaxy10 DECaLS, each row adding up to 1.

    Returns
    -------
    (N, 4) float
        Irregular, smooth, face-on disc, edge-on; rows add up to 1.

    Raises
    ------
    DataError
        If there are not ten columns: other classes have no families.
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

    Raises
    ------
    DataError
        If there are not ten columns, or the confidence is no share.

    Notes
    -----
    The rule of Deng et al. 2012 (CVPR, "Hedging your bets") with a fixed confidence.
    The family need not be that of the likeliest class: two likely barred and loose
    spirals outweigh one likelier merger.
    """
    if not 0 < confidence <= 1:
        raise DataError(f"confidence: expected above 0 to 1, got {confidence}")
    families = family_sums(probabilities)
    classes = np.asarray(probabilities, np.float64)
    by_level = (classes, families)
    top = np.stack([each.max(axis=1) for each in by_level])
    best = np.stack([each.argmax(axis=1) for each in by_level])
    sure = top >= confidence
    level = np.where(sure[CLASS], CLASS, np.where(sure[FAMILY], FAMILY, NONE))
    shown = np.minimum(level, FAMILY)[None]
    index = np.take_along_axis(best, shown, axis=0)[0]
    return Answer(
        level=level,
        index=np.where(level == NONE, -1, index),
        confidence=np.take_along_axis(top, shown, axis=0)[0],
    )
