"""What a classifier says of pictures: the answers to several views as one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dmagnet.calibration.calibration import Calibration
from dmagnet.calibration.temperature import tempered
from dmagnet.calibration.views import disagreement
from dmagnet.errors import ConfigError

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What a classifier says of N pictures.

    Attributes
    ----------
    probabilities : (N, K) float32
        Of each class, calibrated where the weights were; rows sum to 1.
    ood : (N,) float32 or None
        How unlike the training galaxies each one is; None if the weights cannot say.
    disagreement : (N,) float32 or None
        Total-variation distance between the answers to two views, averaged over pairs,
        0 to 1; None with one view.
    """

    probabilities: Singles
    ood: Singles | None = None
    disagreement: Singles | None = None


def views_to_take(asked: int | None, calibration: Calibration | None) -> int:
    """Say over how many views to average.

    Parameters
    ----------
    asked : {1, 8} or None
        What somebody wants; None for what the weights are made for.
    calibration : Calibration or None
        Of the weights.

    Returns
    -------
    int
        As asked; else as the calibration was fitted; else 1.

    Raises
    ------
    ConfigError
        If it is neither 1 nor 8.
    """
    views = asked if asked is not None else calibration.views if calibration else 1
    if views not in (1, 8):
        raise ConfigError(f"views: expected 1 or 8, got {views}")
    return views


def judgement_of(
    views: npt.ArrayLike,
    scores: npt.ArrayLike | None = None,
    calibration: Calibration | None = None,
) -> Judgement:
    """Bring the answers to several views of the same pictures to one.

    Parameters
    ----------
    views : (V, N, K) float in [0, 1]
        Probabilities of each view as the network gives them.
    scores : (V, N) float, optional
        Out-of-distribution score of each view.
    calibration : Calibration, optional
        Its temperature acts on the average over views.

    Returns
    -------
    Judgement
        Of the N pictures; scores are averaged too.
    """
    each = np.asarray(views, np.float64)
    mean = each.mean(axis=0)
    if calibration is not None:
        mean = tempered(mean, calibration.temperature)
    return Judgement(
        mean.astype(np.float32),
        None if scores is None else np.asarray(scores).mean(axis=0, dtype=np.float32),
        disagreement(each) if len(each) > 1 else None,
    )
