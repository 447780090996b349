"""Take away what a map names, or give it: how the network's answer follows."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.explaining.fill import sky_fill

STEPS = 32  # looks on the way from the whole picture to nothing but sky
AT_ONCE = 64  # pictures

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curves:
    """What the network says while pixels go and come, the most important first.

    Attributes
    ----------
    shares : (looks,) float
        Of the pixels that were changed, 0 to 1.
    deletion : (N, looks) float
        Probability of the class while sky replaces the picture.
    insertion : (N, looks) float
        The same while the picture replaces sky.
    """

    shares: Floats
    deletion: Floats
    insertion: Floats

    @property
    def deletion_auc(self) -> Floats:
        """Area under the deletion curve.

        Returns
        -------
        (N,) float in [0, 1]
            Low where the map names early what the class needs.
        """
        return np.asarray(np.trapezoid(self.deletion, self.shares, axis=1))

    @property
    def insertion_auc(self) -> Floats:
        """Area under the insertion curve.

        Returns
        -------
        (N,) float in [0, 1]
            High where the map names early what is enough for the class.
        """
        return np.asarray(np.trapezoid(self.insertion, self.shares, axis=1))


@torch.inference_mode()
def insertion_deletion(
    model: nn.Module,
    images: Tensor,
    maps: NDArray[np.floating],
    targets: NDArray[np.integer],
    *,
    against: NDArray[np.integer] | None = None,
    fill: Tensor | None = None,
    steps: int = STEPS,
    seed: int = 0,
) -> Curves:
    """Replace pixels by sky, and sky by pixels, in the order of a map.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] to logits, in evaluation mode.
    images : (N, 3, S, S) float in [0, 1]
        Pictures.
    maps : (N, S, S) float
        Importance; the largest goes first, the order of equals is by lot.
    targets : (N,) int
        Whose probability is followed.
    against : (N,) int, optional
        Follow the probability of ``targets`` among these two alone; -1 among all.
    fill : (N, 3, S, S) Tensor, optional
        What replaces pixels; `sky_fill` if not given.
    steps : int
        On the way; they are short in the beginning, where the curves are steep: after
        step k it is the share (k / steps)^2.
    seed : int
        Of the fill and of the order of equals.

    Returns
    -------
    Curves
        Both curves of each picture.

    Notes
    -----
    Petsiuk et al. (2018, BMVC, section 3.3). Deviation: pixels give way to noise like
    that of the picture's own sky, not to gray or blur, in both directions; steps are
    not equal, the areas are those of trapezoids.
    """
    num, side = len(images), images.shape[2]
    fill = sky_fill(images, seed=seed) if fill is None else fill
    ranks = torch.from_numpy(_ranks(maps, seed)).view(num, 1, side, side)
    counts = np.unique(
        (np.linspace(0, 1, steps + 1) ** 2 * side**2).round().astype(int)
    )
    found = np.empty((2, num, len(counts)))
    others = np.full(num, -1) if against is None else np.asarray(against)
    device = images.device
    classes = [torch.from_numpy(each.astype(np.int64)) for each in (targets, others)]
    for start in range(0, num, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        order = ranks[part].to(device)
        chosen = [each[part].to(device) for each in classes]
        for k, count in enumerate(counts.tolist()):
            for way, (top, below) in enumerate(((fill, images), (images, fill))):
                mixed = torch.where(order < count, top[part], below[part])
                picked = log_probability(model(mixed), *chosen).exp()
                found[way, part, k] = picked.double().cpu().numpy()
    return Curves(counts / (side * side), found[0], found[1])


def log_probability(logits: Tensor, targets: Tensor, against: Tensor) -> Tensor:
    """Say how probable classes are, among all or between two."""
    score = logits.gather(1, targets[:, None])[:, 0]
    other = logits.gather(1, against.clamp(min=0)[:, None])[:, 0]
    among_all = logits.log_softmax(dim=1).gather(1, targets[:, None])[:, 0]
    between = nn.functional.logsigmoid(score - other)
    return torch.where(against >= 0, between, among_all)


def _ranks(maps: NDArray[np.floating], seed: int) -> NDArray[np.int64]:
    """Return the place of each pixel in the order of its map, 0 the first."""
    flat = np.asarray(maps, np.float64).reshape(len(maps), -1)
    lot = np.random.default_rng(seed).random(flat.shape)
    rank = np.empty(flat.shape, np.int64)
    for i, values in enumerate(flat):
        rank[i, np.lexsort((lot[i], -values))] = np.arange(flat.shape[1])
    return rank
