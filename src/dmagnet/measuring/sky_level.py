"""The sky around a galaxy: its level, its scatter, and where it can be seen."""

import torch
import torch.nn.functional as F
from torch import Tensor

CLIP_SIGMA = 3.0
CLIP_ROUNDS = 10
BOXES_PX = (32, 16, 8, 4, 2)
STAMP_EXTENT, SMALLEST_STAMP_PX = 2.5, 48  # of statmorph's cutout


def clipped_sky(images: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:
    """Take the median and the scatter of the sky."""
    keep = keep | ~keep.any(dim=(1, 2), keepdim=True)
    values = images.where(keep, torch.inf).flatten(1).sort(dim=1).values
    low = torch.zeros_like(values[:, 0], dtype=torch.long)
    high = keep.sum(dim=(1, 2))
    # About a value near the sky: sums of squares then lose no digits.
    shifted = values - _median(values, low, high)[:, None]
    shifted = shifted.where(values.isfinite(), 0.0)
    sums = F.pad(torch.stack((shifted, shifted.square())).cumsum(dim=-1), (1, 0))

    def _moments() -> tuple[Tensor, Tensor]:
        ends = torch.stack((low, high), dim=1)
        mean, square = (
            s.gather(1, ends).diff(dim=1)[:, 0] / (high - low) for s in sums
        )
        return _median(values, low, high), (square - mean**2).clamp(min=0).sqrt()

    for _ in range(CLIP_ROUNDS):
        median, sigma = _moments()
        edge = CLIP_SIGMA * sigma
        first = torch.searchsorted(values, (median - edge)[:, None])[:, 0]
        last = torch.searchsorted(values, (median + edge)[:, None], right=True)[:, 0]
        first, last = first.maximum(low), last.minimum(high)
        if bool((first == low).all() and (last == high).all()):
            break
        low, high = first, last
    return _moments()


def _median(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return the median of each sorted row between two indices."""
    middle = torch.stack(((low + high - 1) // 2, (low + high) // 2), dim=1)
    return values.gather(1, middle).mean(dim=1)


def sky_boxes(galaxy: Tensor, others: Tensor) -> Tensor:
    """Choose one box of sky for each image, as statmorph does."""
    chosen = torch.zeros_like(galaxy)
    for i, source in enumerate(galaxy):
        rows, columns = _stamp(source)
        taken = (source | others[i])[rows, columns].float()[None]
        for side in BOXES_PX:
            if min(taken.shape[1:]) <= side:
                continue
            covered = F.max_pool2d(taken, side, stride=1)[0]
            free = (covered[:-1, :-1] == 0).nonzero()  # its search ends one px early
            if len(free):
                top, left = (
                    free[0] + free.new_tensor([rows.start, columns.start])
                ).cpu()
                chosen[i, top : top + side, left : left + side] = True
                break
    return chosen


def _stamp(galaxy: Tensor) -> tuple[slice, slice]:
    """Find the rows and columns that statmorph cuts out around a source."""
    places = [galaxy.any(dim=dim).nonzero()[:, 0].tolist() for dim in (1, 0)]
    if not places[0]:
        return slice(0, galaxy.shape[0]), slice(0, galaxy.shape[1])
    sides = [place[-1] + 1 - place[0] for place in places]
    half = max(int(max(sides) * STAMP_EXTENT / 2), SMALLEST_STAMP_PX // 2)
    middles = [place[0] + side // 2 for place, side in zip(places, sides, strict=True)]
    rows, columns = (slice(max(0, m - half), m + half) for m in middles)
    return rows, columns
