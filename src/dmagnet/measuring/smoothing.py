"""Smoothing in which every image has its own width, and the clumps that it reveals."""

from collections.abc import Callable

import torch
from torch import Tensor

from dmagnet.measuring.photometry import Light, circle_overlap

TRUNCATE = 4.0  # sigma, where a Gaussian ends
BOX = 0.25  # Petrosian radii: side of the box, and the center that is left out
SMALLEST_BOX_PX = 2


def gaussian_smooth(images: Tensor, sigma: Tensor) -> Tensor:
    """Smooth each image with its own Gaussian; beyond the frame there is nothing."""
    s = sigma[:, None, None]
    reach = (TRUNCATE * s).round()

    def _gaussian(distance: Tensor) -> Tensor:
        return (
            (-0.5 * (distance / s).square()).exp().where(distance.abs() <= reach, 0.0)
        )

    farthest = float(reach.max())
    whole = torch.arange(-farthest, farthest + 1, dtype=s.dtype, device=s.device)
    norm = _gaussian(whole[None, None]).sum(dim=2, keepdim=True)
    return _separable(images, lambda distance: _gaussian(distance) / norm)


def box_smooth(images: Tensor, width: Tensor) -> Tensor:
    """Average each image over its own box; beyond the frame is its mirror image."""
    width = width[:, None, None]
    return _separable(
        images,
        lambda distance: ((width + 1) / 2 - distance.abs()).clamp(0, 1) / width,
        mirror=True,
    )


def _separable(
    images: Tensor, weights: Callable[[Tensor], Tensor], *, mirror: bool = False
) -> Tensor:
    """Smooth along both axes by one matrix each, one pair for every image."""
    for _ in range(2):
        side = images.shape[1]
        places = torch.arange(side, dtype=images.dtype, device=images.device)
        matrix = weights(places[:, None] - places)
        if mirror:
            mirrored = places[:, None] + places + 1
            matrix = matrix + weights(mirrored) + weights(mirrored - 2 * side)
        images = torch.bmm(matrix, images).mT
    return images


def clumps(light: Light, r_petro: Tensor) -> Tensor:
    """Show the light that stands out from its surroundings."""
    box = (BOX * r_petro).floor().clamp(min=1)
    return (light.values - box_smooth(light.values, box)).clamp(min=0)


def smoothness(
    light: Light, place: tuple[Tensor, Tensor], r_petro: Tensor,
    extent: float, noise: Tensor,
) -> Tensor:  # fmt: skip
    """Measure how much of the light is in clumps."""
    # Conselice (2003, ApJS 147, 1) in the form of Lotz et al. (2004, AJ 128, 163), eq.
    # 11, without the factor of ten. The center is left out, as being smooth there would
    # be a matter of resolution. The box has a middle also where it is even: that of
    # statmorph then lies half a pixel off, and finds clumps in every slope.
    size = light.planes.shape
    ring = circle_overlap(*place, extent * r_petro, size)
    ring = ring - circle_overlap(*place, BOX * r_petro, size)
    in_clumps = (ring * (clumps(light, r_petro) - noise[:, None, None])).sum(dim=(1, 2))
    total = (ring * light.values).sum(dim=(1, 2))
    measurable = (BOX * r_petro >= SMALLEST_BOX_PX) & (total > 0)
    return (in_clumps / total).where(measurable, torch.nan)
