"""The sky, the galaxy in the middle of the frame, and other sources."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dmagnet.measuring.asymmetry import gaussian_smooth
from dmagnet.measuring.photometry import BIN_PX, RING_PX, Light, growth
from dmagnet.storage.arrays import Bools

DETECT_SIGMA = 1.5  # above the sky, after smoothing: as in statmorph's tutorial
DETECT_FWHM_PX = 3.0
FWHM_PER_SIGMA = 2.3548
SMALLEST_SOURCE_PX = 5
HALO_PX = 11  # side of the square by which sources grow before the sky is taken
GINI_SMOOTHING = 0.2  # sigma over the Petrosian radius (Lotz et al. 2004)
EIGHT = np.ones((3, 3), bool)  # neighbors touch also at corners


@dataclass(frozen=True, eq=False)
class Sources:
    """The sky, the galaxy in the middle, and its company."""

    galaxy: Tensor
    others: Tensor
    sky: Tensor
    sky_sigma: Tensor
    sky_mask: Tensor


def find_sources(images: Tensor) -> Sources:
    """Segment the sky, the galaxy in the middle, and other sources."""
    sigma = images.new_full((len(images),), DETECT_FWHM_PX / FWHM_PER_SIGMA)
    sky_mask = torch.ones_like(images, dtype=torch.bool)
    for _ in range(2):
        sky, sky_sigma = clipped_sky(images, sky_mask)
        smooth = gaussian_smooth(images - sky[:, None, None], sigma)
        above = smooth > (DETECT_SIGMA * sky_sigma)[:, None, None]
        labels = [_labels(image) for image in above.cpu().numpy()]
        sources = torch.from_numpy(np.stack(labels)).to(images.device)
        grown = (sources > 0).float()
        for halo in ((HALO_PX, 1), (1, HALO_PX)):
            padding = (halo[0] // 2, halo[1] // 2)
            grown = F.max_pool2d(grown, halo, stride=1, padding=padding)
        sky_mask = grown == 0
    galaxy = torch.from_numpy(np.stack([central(image) for image in labels]))
    galaxy = galaxy.to(images.device)
    return Sources(galaxy, (sources > 0) & ~galaxy, sky, sky_sigma, sky_mask)


def _labels(above: Bools) -> NDArray[np.int32]:
    """Give numbers to connected pixels, but not to the smallest groups."""
    labels: NDArray[np.int32]
    labels, _ = scipy.ndimage.label(above, structure=EIGHT)
    small = np.bincount(labels.ravel()) < SMALLEST_SOURCE_PX
    small[0] = True
    labels[small[labels]] = 0
    return labels


def central(labels: NDArray[np.int32]) -> Bools:
    """Choose the source nearest to the center."""
    rows, columns = np.nonzero(labels)
    if not len(rows):
        return labels > 0
    height, width = labels.shape
    squared = (rows - (height - 1) / 2) ** 2 + (columns - (width - 1) / 2) ** 2
    nearest = squared.argmin()
    return np.asarray(labels == labels[rows[nearest], columns[nearest]])


def petrosian_segmentation(
    light: Light, x: Tensor, y: Tensor, a_petro: Tensor, shape: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Choose the pixels that belong to a galaxy by their brightness."""
    # Lotz et al. (2004, AJ 128, 163): smoothed by a Gaussian of a fifth of the
    # Petrosian radius, a pixel must be as bright as the mean of the annulus at that
    # radius.
    smooth = gaussian_smooth(light.values, GINI_SMOOTHING * a_petro)
    whole = Light(torch.stack((smooth, torch.ones_like(smooth)), dim=1))
    a, light_in, area_in = growth(whole, x, y, shape)
    light_in, area_in = (
        _interpolate(a_petro + RING_PX / 2, len(a), sums)
        - _interpolate(a_petro - RING_PX / 2, len(a), sums)
        for sums in (light_in, area_in)
    )
    above = smooth >= (light_in / area_in)[:, None, None]
    kept, split = [], []
    peaks = smooth.flatten(1).argmax(dim=1).tolist()
    for image, peak in zip(above.cpu().numpy(), peaks, strict=True):
        labels, num = scipy.ndimage.label(image, structure=EIGHT)
        kept.append((labels == labels.ravel()[peak]) & image)
        split.append(num > 1)
    device = smooth.device
    return torch.from_numpy(np.stack(kept)).to(device), torch.tensor(split).to(device)


def _interpolate(edge: Tensor, num: int, sums: Tensor) -> Tensor:
    """Read a curve of growth between its bins."""
    place = (edge / BIN_PX).clamp(0, num - 1.001)[:, None]
    index = place.long()
    low, high = sums.gather(1, index), sums.gather(1, index + 1)
    return (low + (high - low) * (place - index))[:, 0]


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
