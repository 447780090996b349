"""Sky where a pixel is taken away: black would be something that no survey shows."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.measuring.segments import find_sources

FEWEST = 16  # px of sky below which the rim of the picture stands for it
WIDEST = 2.0  # px, sigma of the smoothest sky
NEAREST = 1e-3  # least correlation of neighbors
LEAST = 0.25  # px, sigma: less than a hundredth goes to a neighbor


@dataclass(frozen=True, eq=False)
class Sky:
    """The sky of pictures."""

    level: Tensor
    galaxy: Tensor
    free: Tensor


def find_sky(images: Tensor) -> Sky:
    """Find the galaxy in the middle, and the sky around it.

    Parameters
    ----------
    images : (B, 3, S, S) float in [0, 1]
        Pictures.

    Returns
    -------
    Sky
        By `dmagnet.measuring.segments.find_sources`, on the mean of the colors. Where
        sources leave less than 16 px, the rim of the picture is taken for sky.
    """
    sources = find_sources(images.mean(dim=1))
    free = sources.sky_mask.clone()
    few = free.flatten(1).sum(dim=1) < FEWEST
    rim = torch.zeros_like(free[0])
    rim[[0, -1]] = True
    rim[:, [0, -1]] = True
    free[few] = rim
    level = torch.stack(
        [
            image[:, mask].median(dim=1).values
            for image, mask in zip(images, free, strict=True)
        ]
    )
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
        noise = _spread_out(noise, _smoothness(image - sky.level[i], free))
        drawn.append(noise)
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
