"""Rotational asymmetry about the best center, and smoothness."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.measuring.photometry import Light, circle_overlap, pixel_offsets

FIRST_STEP_PX = 2.0
LAST_STEP_PX = 0.05
MOST_STEPS = 60
AROUND = tuple((i, j) for i in (-1.0, 0.0, 1.0) for j in (-1.0, 0.0, 1.0) if i or j)
MARGIN = 0.25  # of the circle: room for its center to move


def half_turn(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Turn each image by 180 degrees about its own center."""
    height, width = images.shape[-2:]
    columns = torch.arange(width, dtype=x.dtype, device=x.device)
    rows = torch.arange(height, dtype=y.dtype, device=y.device)
    # grid_sample counts from -1 to 1 over the outer edges of the frame.
    across = (2 * (2 * x[:, None] - columns) + 1) / width - 1
    down = (2 * (2 * y[:, None] - rows) + 1) / height - 1
    across = across[:, None, :].expand(-1, height, -1)
    grid = torch.stack((across, down[:, :, None].expand(-1, -1, width)), dim=-1)
    return F.grid_sample(images, grid.to(images.dtype), align_corners=False)


def asymmetry_about(
    light: Light, x: Tensor, y: Tensor, radius: Tensor, noise: Tensor
) -> Tensor:
    """Compare each galaxy with itself turned by 180 degrees."""
    # Conselice, Bershady & Jangren (2000, ApJ 529, 886) in the form of Lotz et al.
    # (2004, AJ 128, 163), eq. 10: sum of |I - I180| less that of as many pixels of sky,
    # over the sum of |I|.
    weight = circle_overlap(x, y, radius, light.planes.shape)
    return _asymmetry(light.planes, half_turn(light.planes, x, y), weight, noise)


def _asymmetry(planes: Tensor, turned: Tensor, weight: Tensor, noise: Tensor) -> Tensor:
    values, valid = planes.unbind(1)
    weight = (weight * valid * (turned[:, 1] > 0.5)).flatten(1)
    differences = (values - turned[:, 0]).abs_().sub_(noise[:, None, None])
    asymmetric: Tensor = torch.linalg.vecdot(weight, differences.flatten(1))
    total: Tensor = torch.linalg.vecdot(weight, values.abs().flatten(1))
    return asymmetric / total


def sky_asymmetry(images: Tensor, sky_mask: Tensor, sigma: Tensor) -> Tensor:
    """Return the asymmetry of the sky itself."""
    middle = [_middle(sky_mask.any(dim=dim)) for dim in (1, 2)]
    both = torch.stack((images, sky_mask.to(images.dtype)), dim=1)
    turned, opposite = half_turn(both, *middle).unbind(1)
    pairs = sky_mask & (opposite > 0.5)
    differences = ((images - turned).abs() * pairs).sum(dim=(1, 2))
    num = pairs.sum(dim=(1, 2))
    expected = sigma * 2 / torch.pi**0.5  # of two independent Gaussian pixels
    return torch.where(num > 0, differences / num.clamp(min=1), expected)


def _middle(occupied: Tensor) -> Tensor:
    first = occupied.int().argmax(dim=1)
    last = occupied.shape[1] - 1 - occupied.flip(1).int().argmax(dim=1)
    return (first + last).double() / 2


def most_symmetric_center(
    light: Light, x: Tensor, y: Tensor, radius: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Look for the center about which a galaxy is most symmetric."""
    # A walk to the best of the eight neighbors, in steps of 2 px that are halved where
    # no neighbor is better, down to 1/16 px. It ends in a minimum nearby, as in
    # Conselice et al. (2000).
    reach = float(radius.max()) * (1 + MARGIN) + FIRST_STEP_PX
    light, near_x, near_y = light.near(x, y, reach)
    # Single precision, and a circle with a soft edge, are enough to find the place.
    planes, radius, noise = light.planes.float(), radius.float(), noise.float()
    places = torch.stack((near_x, near_y)).float()
    around = places.new_tensor(AROUND).T

    def _tried(rows: Tensor, moved: Tensor) -> Tensor:
        distance = torch.hypot(*pixel_offsets(moved[0], moved[1], planes.shape))
        weight = (radius[rows, None, None] + 0.5 - distance).clamp_(0, 1)
        chosen = planes[rows]
        turned = half_turn(chosen, moved[0], moved[1])
        return _asymmetry(chosen, turned, weight, noise[rows])

    step = torch.full_like(radius, FIRST_STEP_PX)
    best = _tried(torch.arange(len(step), device=step.device), places)
    for _ in range(MOST_STEPS):
        rows = (step > LAST_STEP_PX).nonzero()[:, 0]
        if not len(rows):
            break
        moves = around[:, None] * step[rows, None]
        moved = (places[:, rows, None] + moves).flatten(1)
        found = _tried(rows.repeat_interleave(len(AROUND)), moved)
        lowest, which = found.reshape(-1, len(AROUND)).min(dim=1)
        better = lowest < best[rows]
        places[:, rows] += around[:, which] * (step[rows] * better)
        best[rows] = torch.where(better, lowest, best[rows])
        step[rows] = torch.where(better, step[rows], step[rows] / 2)
    return x - near_x + places[0], y - near_y + places[1]


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
