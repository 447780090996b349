"""Which pixels are the galaxy, and which something else."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dmagnet.measuring.photometry import BIN_PX, RING_PX, Light, growth
from dmagnet.measuring.sky_level import clipped_sky
from dmagnet.measuring.smoothing import gaussian_smooth

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
    """Tell the sky from the galaxy in the middle and from what else is there."""
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
    galaxy = torch.from_numpy(np.stack([_central(image) for image in labels]))
    galaxy = galaxy.to(images.device)
    return Sources(galaxy, (sources > 0) & ~galaxy, sky, sky_sigma, sky_mask)


def _labels(above: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Give numbers to connected pixels, but not to the smallest groups."""
    labels: NDArray[np.int32]
    labels, _ = scipy.ndimage.label(above, structure=EIGHT)
    small = np.bincount(labels.ravel()) < SMALLEST_SOURCE_PX
    small[0] = True
    labels[small[labels]] = 0
    return labels


def _central(labels: NDArray[np.int32]) -> NDArray[np.bool_]:
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
