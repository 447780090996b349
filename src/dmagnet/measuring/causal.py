"""Causal morphology: what one changed parameter of a galaxy does to the answer."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from dmagnet.config.train_config import TrainConfig
from dmagnet.errors import DataError
from dmagnet.judging.sampling import Interval, bootstrap_weights, interval_of
from dmagnet.measuring.trends import spearman_by_galaxy
from dmagnet.pictures.inputs.framing import framed
from dmagnet.simulator import draw, with_parameter
from dmagnet.simulator.scene import Change
from dmagnet.storage.arrays import Floats, Ints, Pixels

Verdict = Literal["monotone", "not monotone", "undecided"]

PIECE = 20  # galaxies drawn from one generator
NUM_BOOTSTRAP = 2000
ERROR = 0.05  # chance that a monotone response is called not monotone
NOTHING = 0.01  # of a probability: a step of less the other way is none


@dataclass(frozen=True)
class Concept:
    """One parameter of the simulator, in doses, and the classes that it decides.

    Attributes
    ----------
    name : str
        What an astronomer calls it, with the unit of the doses.
    parameter : str
        One of `dmagnet.simulator.parameter_names`.
    doses : tuple of float
        Rising.
    labels : tuple of int
        Classes of the galaxies that get them, in turn.
    rises, falls : tuple of int
        Classes whose probability together is to rise, or to fall, with the dose; where
        both are empty nothing is claimed.
    dosed : callable
        Makes the new values of the old ones and the dose; if not given they are the
        dose.
    """

    name: str
    parameter: str
    doses: tuple[float, ...]
    labels: tuple[int, ...]
    rises: tuple[int, ...] = ()
    falls: tuple[int, ...] = ()
    dosed: Callable[[Tensor, float], Tensor] = torch.full_like

    def change(self, dose: float) -> Change:
        """Return what `draw` takes for a dose."""
        return with_parameter(self.parameter, lambda old: self.dosed(old, dose))


def dosed_views(
    concept: Concept, num: int, config: TrainConfig, *, seed: int
) -> tuple[Pixels, Ints]:
    """Draw galaxies at every dose, as `classify` shows them to a network.

    Parameters
    ----------
    concept : Concept
        What is changed. All else is the same at all doses, noise included.
    num : int
        Galaxies, rounded up to whole pieces of 20.
    config : TrainConfig
        Side, field and radii of the network's view.
    seed : int
        The same seed and classes give the same galaxies.

    Returns
    -------
    views : (D, N, S, S, 3) uint8
        Each brought to its own size and brightness, where the network wants that: a
        change may change the framing too, as it does for a user.
    labels : (N,) int64
        Classes of which they were drawn.
    """
    labels = torch.tensor(concept.labels).repeat(-(-num // len(concept.labels)))
    labels = labels[: -(-num // PIECE) * PIECE]
    views = []
    for dose in concept.doses:
        pieces = _drawn(labels, concept.change(dose), seed)
        views.append([as_seen(frame, config) for frame in pieces])
    return np.array(views), labels.numpy()


def _drawn(labels: Tensor, change: Change, seed: int) -> Iterator[Pixels]:
    for number, kinds in enumerate(torch.split(labels, PIECE)):
        generator = torch.Generator().manual_seed(seed + number)
        frames = draw(kinds, generator=generator, change=change)
        yield from frames.permute(0, 2, 3, 1).numpy()


def as_seen(frame: Pixels, config: TrainConfig) -> Pixels:
    """Frame a picture as `classify` does for a network."""
    side = config.image_size
    return framed(frame, side, config.field, None, radii=config.radii).rgb


@dataclass(frozen=True, eq=False)
class Response:
    """How a probability follows the dose; intervals are of 95 %, over galaxies.

    Attributes
    ----------
    mean : (D,) float64
        Over the galaxies, dose by dose.
    low, high : (D,) float64
        Interval of each mean.
    effect, effect_interval : float, tuple of float
        Mean at the last dose less that at the first, galaxy by galaxy.
    rho, rho_interval : float, tuple of float
        Mean over galaxies of Spearman's correlation of dose and probability.
    verdict : str
        ``monotone`` if the interval of rho lies on the side that is claimed and no step
        of the mean goes the other way for sure, ``not monotone`` if one does,
        ``undecided`` otherwise.
    n : int
        Galaxies.
    """

    mean: Floats
    low: Floats
    high: Floats
    effect: float
    effect_interval: Interval
    rho: float
    rho_interval: Interval
    verdict: Verdict
    n: int


def response(
    doses: Sequence[float], values: ArrayLike, *, falls: bool = False, seed: int = 0
) -> Response:
    """Judge whether a probability rises, or falls, with the dose.

    Parameters
    ----------
    doses : sequence of float
        Three or more, rising.
    values : (D, N) float
        Probability of each galaxy at each dose.
    falls : bool
        Whether it is to fall.
    seed : int
        Of the bootstrap over galaxies.

    Returns
    -------
    Response
        With the verdict.

    Raises
    ------
    DataError
        If the values do not belong to these doses.

    Notes
    -----
    Galaxies are drawn with replacement, whole: all doses of one stay together. A step
    goes the other way for sure where its interval at the level 1 - 0.05 / (D - 1) lies
    there (Bonferroni), by 0.01 or more.
    """
    v = np.asarray(values, dtype=np.float64)
    if v.ndim != 2 or len(v) != len(doses) or not v.size:
        raise DataError(
            f"values: expected shape ({len(doses)}, N), a row for each dose, got "
            f"{v.shape}"
        )
    each = spearman_by_galaxy(doses, v.T)
    num = v.shape[1]
    drawn = np.concatenate(
        [
            w @ np.c_[v.T, each] / num
            for w in bootstrap_weights(num, NUM_BOOTSTRAP, seed)
        ]
    )
    curve, rho = drawn[:, :-1], drawn[:, -1]
    sign = -1 if falls else 1
    steps = sign * np.diff(curve, axis=1)
    highest = np.quantile(steps, 1 - ERROR / steps.shape[1] / 2, axis=0)
    verdict: Verdict = "undecided"
    if (highest < -NOTHING).any():
        verdict = "not monotone"
    elif min(interval_of(sign * rho)) > 0:
        verdict = "monotone"
    low, high = np.quantile(curve, (0.025, 0.975), axis=0)
    return Response(
        mean=v.mean(axis=1),
        low=low,
        high=high,
        effect=float((v[-1] - v[0]).mean()),
        effect_interval=interval_of(curve[:, -1] - curve[:, 0]),
        rho=float(each.mean()),
        rho_interval=interval_of(rho),
        verdict=verdict,
        n=num,
    )


def consistency(changes: ArrayLike, *, seed: int = 0) -> tuple[float, Interval]:
    """Measure whether one change moves all galaxies in one direction.

    Parameters
    ----------
    changes : (N, C) float
        What a layer says of each galaxy with a change, less what it says without.
    seed : int
        Of the bootstrap over galaxies.

    Returns
    -------
    mean, interval : float, tuple of float
        Mean cosine of the changes of two galaxies: 1 if all point one way, 0 if at
        random. A galaxy is never compared with itself, nor with its own copies.
    """
    x = np.asarray(changes, dtype=np.float64)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    unit = np.divide(x, length, out=np.zeros_like(x), where=length > 0)
    gram = unit @ unit.T
    np.fill_diagonal(gram, 0)

    def _mean(weights: Floats) -> Floats:
        pairs = weights.sum(axis=1) ** 2 - (weights**2).sum(axis=1)
        mean: Floats = np.einsum("dn,nm,dm->d", weights, gram, weights) / pairs
        return mean

    draws = [_mean(w) for w in bootstrap_weights(len(x), NUM_BOOTSTRAP, seed)]
    return float(_mean(np.ones((1, len(x))))[0]), interval_of(np.concatenate(draws))


def cross_talk(halves: Sequence[ArrayLike]) -> Floats:
    """Compare the directions of several concepts in one layer.

    Parameters
    ----------
    halves : sequence of (2, C) float
        For each concept the mean changes of two halves of its galaxies.

    Returns
    -------
    (M, M) float64
        Mean cosine of a half of one and a half of the other; on the diagonal that of
        both halves of one: what so few galaxies allow.
    """
    x = np.array(halves, dtype=np.float64)
    x /= np.linalg.norm(x, axis=2, keepdims=True)
    cosines: Floats = np.einsum("ahc,bgc->abhg", x, x)
    table: Floats = cosines.mean(axis=(2, 3))
    np.fill_diagonal(table, cosines.diagonal()[0, 1])
    return table
