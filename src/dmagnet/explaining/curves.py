"""Take away what a map names, or give it: how the network's answer follows."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.measuring.segments import find_sources
from dmagnet.storage.arrays import Floats, Ints
from dmagnet.storage.records import brief

FEWEST = 16  # px of sky below which the rim of the picture stands for it
WIDEST = 2.0  # px, sigma of the smoothest sky
NEAREST = 1e-3  # least correlation of neighbors
LEAST = 0.25  # px, sigma: less than a hundredth goes to a neighbor
STEPS = 32  # looks on the way from the whole picture to nothing but sky
AT_ONCE = 64  # pictures


@dataclass(frozen=True, eq=False)
class Sky:
    """The sky of pictures."""

    level: Tensor
    galaxy: Tensor
    free: Tensor


def find_sky(images: Tensor) -> Sky:
    """Find the galaxy in the middle and its sky: where that is hardly any, the rim."""
    sources = find_sources(images.mean(dim=1))
    free = sources.sky_mask.clone()
    few = free.flatten(1).sum(dim=1) < FEWEST
    rim = torch.zeros_like(free[0])
    rim[[0, -1]] = True
    rim[:, [0, -1]] = True
    free[few] = rim
    both = zip(images, free, strict=True)
    level = torch.stack([image[:, mask].median(dim=1).values for image, mask in both])
    return Sky(level[:, :, None, None], sources.galaxy, free)


def sky_fill(images: Tensor, *, seed: int, sky: Sky | None = None) -> Tensor:
    """Draw pictures of nothing but the sky of each picture.

    Parameters
    ----------
    images : (B, 3, S, S) float in [0, 1]
        Pictures.
    seed : int
        Of the noise. The fill of a picture does not depend on those beside it.
    sky : Sky, optional
        What `find_sky` says of them, where that is known.

    Returns
    -------
    (B, 3, S, S) float in [0, 1]
        Noise with the level, the scatter, the colors and the smoothness of the
        picture's own sky.

    Notes
    -----
    Colors of sky pixels are drawn with replacement, which keeps their scatter and how
    it goes together; a Gaussian then makes neighbors as alike as they are in the
    picture's sky, and the scatter is restored. Black pixels, the usual fill, would be
    a hole no telescope sees, and the network would judge the holes.
    """
    sky = sky or find_sky(images)
    side = images.shape[2]
    drawn = []
    for i, (image, free) in enumerate(zip(images, sky.free, strict=True)):
        generator = torch.Generator().manual_seed(seed)
        values = image[:, free] - sky.level[i, :, :, 0]  # (3, n)
        # Bright wings and unseen faint sources are no noise.
        spread = 1.4826 * values.abs().median(dim=1, keepdim=True).values
        calm = (values.abs() <= 3 * spread.clamp(min=1e-4)).all(dim=0)
        values = values[:, calm] if int(calm.sum()) >= FEWEST else values
        chosen = torch.randint(values.shape[1], (side * side,), generator=generator)
        noise = values[:, chosen.to(values.device)].view(3, side, side)
        drawn.append(_spread_out(noise, _smoothness(image - sky.level[i], free)))
    return (sky.level + torch.stack(drawn)).clamp(0, 1)


def _smoothness(above: Tensor, free: Tensor) -> float:
    """Return the sigma in px of a Gaussian that makes white noise as smooth as sky."""
    both = free[:, 1:] & free[:, :-1]
    left, right = above[:, :, 1:][:, both], above[:, :, :-1][:, both]
    scatter = (left.square().mean() + right.square().mean()) / 2
    if not both.any() or scatter <= 0:
        return 0.0
    alike = float(((left * right).mean() / scatter).clamp(NEAREST, 0.98))
    # White noise behind a Gaussian: neighbors correlate as exp(-1 / (4 sigma^2)).
    return min(WIDEST, math.sqrt(-1 / (4 * math.log(alike))))


def _spread_out(noise: Tensor, sigma: float) -> Tensor:
    """Smooth noise (3, S, S) and restore its scatter."""
    smooth = smoothed(noise, sigma)
    scatter = [each.std(dim=(1, 2), keepdim=True) for each in (noise, smooth)]
    above = smooth - smooth.mean(dim=(1, 2), keepdim=True)
    scale = scatter[0] / scatter[1].clamp(min=1e-9)
    return noise.mean(dim=(1, 2), keepdim=True) + above * scale


def smoothed(maps: Tensor, sigma: float) -> Tensor:
    """Smooth maps by a Gaussian; their edges are each other's neighbors."""
    if sigma < LEAST:
        return maps
    reach = min(math.ceil(3 * sigma), maps.shape[1])
    steps = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-(steps**2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    padded = F.pad(maps[:, None], (reach,) * 4, mode="circular")
    across = F.conv2d(padded, kernel.view(1, 1, 1, -1))
    return F.conv2d(across, kernel.view(1, 1, -1, 1))[:, 0]


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

    __repr__ = brief

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
    others = np.full(num, -1) if against is None else against
    classes = torch.from_numpy(np.stack([targets, others], axis=1).astype(np.int64))
    for start in range(0, num, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        order, chosen = (each[part].to(images.device) for each in (ranks, classes))
        for k, count in enumerate(counts.tolist()):
            for way, (top, below) in enumerate(((fill, images), (images, fill))):
                mixed = torch.where(order < count, top[part], below[part])
                picked = log_probability(model(mixed), chosen).exp()
                found[way, part, k] = picked.double().cpu().numpy()
    return Curves(counts / (side * side), found[0], found[1])


def log_probability(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the probability of classes (B, 2), among all or between two."""
    among_all = logits.log_softmax(dim=1).gather(1, classes[:, :1])[:, 0]
    between = F.logsigmoid(lead(logits, classes))
    return torch.where(classes[:, 1] >= 0, between, among_all)


def lead(scores: Tensor, classes: Tensor) -> Tensor:
    """Return scores (B, K, ...) of classes less those they are held against, or none.

    Of `classes` (B, 2) the second is -1 where there is none.
    """
    rows = torch.arange(len(scores), device=scores.device)
    own, other = scores[rows, classes[:, 0]], scores[rows, classes[:, 1].clamp(min=0)]
    held = (classes[:, 1] >= 0).view(-1, *(1,) * (own.ndim - 1))
    return own - other * held


def _ranks(maps: NDArray[np.floating], seed: int) -> Ints:
    """Return the place of each pixel in the order of its map, 0 the first."""
    flat = np.asarray(maps, np.float64).reshape(len(maps), -1)
    lot = np.random.default_rng(seed).random(flat.shape)
    rank = np.empty(flat.shape, np.int64)
    for i, values in enumerate(flat):
        rank[i, np.lexsort((lot[i], -values))] = np.arange(flat.shape[1])
    return rank
