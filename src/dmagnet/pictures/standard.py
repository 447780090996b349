"""One size and one brightness for every galaxy: what surveys differ in, taken out."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from dmagnet.storage.arrays import Pixels, Singles
from dmagnet.storage.records import brief


def crop_side(frame: int, field: float) -> int:
    """Return the side of the central crop of a frame.

    Parameters
    ----------
    frame : int
        Side of the whole frame in px; of an oblong one the shorter.
    field : float
        Share of the side to keep, 0 to 1.

    Returns
    -------
    int
        Side in px. Equal margins go off both ends, so the center stays the center.
    """
    return max(1, frame - 2 * round(frame * (1 - field) / 2))


def resize(images: Pixels, side: int, field: float = 1.0) -> Pixels:
    """Crop images around their center and resize them.

    Parameters
    ----------
    images : (N, H, W, 3) uint8
        An array or a memory map; read in pieces.
    side : int
        Side of the result in px.
    field : float
        Central share of the shorter side to keep, 0 to 1.

    Returns
    -------
    (N, side, side, 3) uint8
        A new array. Where the crop has this side already its pixels are unchanged.

    Notes
    -----
    Pillow's bilinear with antialiasing: shrinking averages over all pixels a new one
    covers.
    """
    crop = crop_side(min(images.shape[1:3]), field)
    out = np.empty((len(images), side, side, 3), np.uint8)
    for target, image in zip(out, images, strict=True):
        part = central(image, crop, crop)
        target[...] = part if crop == side else scaled(part, side)
    return out


def central(image: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[Any]:
    """Cut a picture to a size around its center."""
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    return image[top : top + rows, left : left + columns]


def scaled(
    image: npt.NDArray[Any], rows: int, columns: int | None = None
) -> npt.NDArray[Any]:
    """Bring one picture to a size; without columns it becomes a square."""
    size, how = (columns or rows, rows), Image.Resampling.BILINEAR
    if image.dtype == np.uint8:
        picture = Image.fromarray(np.ascontiguousarray(image))
        return np.asarray(picture.resize(size, how))
    planes = np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)
    each = [np.asarray(Image.fromarray(plane).resize(size, how)) for plane in planes]
    return np.stack(each, axis=2)


RADII = 3.0  # side of a view, in isophotal radii

_COARSE = 128  # px of the side on which a galaxy is measured
_SMOOTHING = 0.75  # px of those: noise goes, an edge-on disc stays
_DETECTION = 3.0  # standard deviations of the smoothed sky
_FAINTEST = 0.035  # of white: fainter is sky in any survey
_OUTSKIRTS = 0.06  # of the peak, for galaxies far above their sky
_EDGE = 0.97  # share of the galaxy's pixels within its radius
_RADIUS_RANGE = (0.03, 0.5)  # of the image's side
_NO_GALAXY = (0.15, 0.05)  # radius of the side and brightness where nothing is found
# This quantile of the galaxy's pixels is drawn this bright.
_BRIGHT, _WHITE = 0.95, 0.65
_GAINS = (0.5, 4.0)
CONTRAST, SKY = 0.85, 0.1  # of the standard picture
_MAX_NOISE = 0.03  # of white, where sky is laid around the image
_FADING = 0.1  # of the picture's side: over so much its mirrored light fades out


@dataclass(frozen=True, eq=False)
class Extent:
    """Where the galaxy in the middle of a picture ends, and how bright it is.

    Attributes
    ----------
    sky : (3,) float32
        Median of the rim, color by color, 0 to 1.
    noise : float
        Standard deviation of the sky at the scale of measuring, 0 to 1.
    radius : float
        Isophotal radius in px of the picture, measured along the longest axis.
    bright : float
        Brightness above the sky that 95 % of the galaxy's pixels stay below, 0 to 1.
    found : bool
        Whether anything stands out of the sky; if not, radius is a default.
    """

    sky: Singles
    noise: float
    radius: float
    bright: float
    found: bool

    __repr__ = brief

    @property
    def gain(self) -> float:
        """What its light above the sky is multiplied by for the standard picture."""
        return float(np.clip(_WHITE / max(self.bright, 1e-3), *_GAINS))


def find_extent(rgb: Pixels) -> Extent:
    """Measure the galaxy in the middle of a picture.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        With the galaxy at its center and sky along most of its rim.

    Returns
    -------
    Extent
        Of the connected region above the sky that is nearest to the center.

    Notes
    -----
    The isophote is the largest of 3 standard deviations of the smoothed sky, 3.5 % of
    white and 6 % of the galaxy's peak, found on the picture at 128 px. The radius holds
    97 % of the region's pixels, so that a thin tail or a neighbor's bridge adds little.
    """
    square = _square(rgb)
    side = len(square)
    num = min(side, _COARSE)
    shrunk = Image.fromarray(square).resize((num, num), Image.Resampling.BOX)
    small: Singles = np.asarray(shrunk, np.float32) / np.float32(255)
    rim = np.ones((num, num), bool)
    edge = max(1, num // 16)
    rim[edge:-edge, edge:-edge] = False
    sky = np.median(small[rim], axis=0).astype(np.float32)
    above = (small - sky).mean(2)
    smooth = ndimage.gaussian_filter(above, _SMOOTHING * num / _COARSE)
    noise = 1.4826 * np.median(np.abs(smooth[rim] - np.median(smooth[rim])))
    center, core = num // 2, max(1, num // 16)
    middle = slice(center - core, center + core + 1)
    peak = float(smooth[middle, middle].max())
    isophote = max(_DETECTION * noise, _FAINTEST, _OUTSKIRTS * peak)
    regions, count = ndimage.label(smooth > isophote)
    if not count:
        share, bright = _NO_GALAXY
        return Extent(sky, float(noise), share * side, max(peak, bright), False)
    rows, columns = np.nonzero(regions)
    distance = np.hypot(rows - center, columns - center)
    region = regions[rows, columns]
    own = region == region[distance.argmin()]
    radius = float(np.quantile(distance[own], _EDGE)) * side / num
    bright = float(np.quantile(above[rows[own], columns[own]], _BRIGHT))
    low, high = _RADIUS_RANGE
    return Extent(
        sky, float(noise), float(np.clip(radius, low * side, high * side)), bright, True
    )


def standardize(
    rgb: Pixels, side: int, radii: float = RADII, *, extent: Extent | None = None
) -> Pixels:
    """Bring the galaxy in the middle of a picture to one size and one brightness.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        With the galaxy at its center; of an oblong picture the central square counts.
    side : int
        Of the result, in px.
    radii : float
        Side of the result in isophotal radii of the galaxy.
    extent : Extent, optional
        What `find_extent` says of this picture, where that is known already.

    Returns
    -------
    (side, side, 3) uint8
        The sky, subtracted color by color, is at 10 % of white; the galaxy's bright
        parts are near 65 %. Colors keep their ratios above the sky. Beyond the picture
        its light goes on mirrored and fades within a tenth of its side into noise like
        the sky's, the same each time.

    Notes
    -----
    Pixel scale, distance, sky level and exposure drop out; shape, relative color and
    what surrounds the galaxy stay. Bilinear, with antialiasing where it shrinks.
    """
    extent = extent or find_extent(rgb)
    square = _square(rgb)
    light = (square.astype(np.float32) / 255 - extent.sky) * np.float32(extent.gain)
    half = radii * extent.radius / 2
    light = _surrounded(light, _margin(half, len(square)))
    planes = [_middle(light[..., color], half, side) for color in range(3)]
    drawn = np.stack(planes, axis=2) * CONTRAST + SKY
    return (drawn.clip(0, 1) * 255).round().astype(np.uint8)


def standardize_mask(mask: Pixels, side: int, radii: float, extent: Extent) -> Pixels:
    """Bring a mask (H, W) of a square picture to its view by `standardize`."""
    half = radii * extent.radius / 2
    whole: Pixels = _middle(np.pad(mask, _margin(half, len(mask))), half, side)
    return whole


def _margin(half: float, side: int) -> int:
    """Return how far a view reaches beyond a picture, in whole px."""
    return max(0, int(np.ceil(half - side / 2)))


def _middle(plane: Any, half: float, side: int) -> Any:
    """Cut the middle out of a square plane and resize it."""
    center = len(plane) / 2
    box = (center - half, center - half, center + half, center + half)
    picture = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR, box=box))


def _square(rgb: Pixels) -> Pixels:
    """Cut the central square out."""
    side = min(rgb.shape[:2])
    return np.ascontiguousarray(central(rgb, side, side))


def _surrounded(light: Any, margin: int) -> Any:
    """Go on beyond the picture: mirrored light that fades into noise.

    A companion on the rim would be cut by a hard edge, which is a shape to learn.
    """
    if not margin:
        return light
    side = len(light) + 2 * margin
    sigma = min(float(np.std(light[: max(1, len(light) // 32)])), _MAX_NOISE)
    noise = np.random.default_rng(0).standard_normal((side, side, 3), np.float32)
    fading = max(1.0, _FADING * len(light))
    beyond = np.abs(np.arange(side) - (side - 1) / 2) - len(light) / 2
    share = np.cos(np.pi / 2 * (beyond / fading).clip(0, 1))
    kept = (share[:, None] * share[None, :])[..., None].astype(np.float32)
    mirrored = np.pad(light, ((margin, margin), (margin, margin), (0, 0)), "symmetric")
    # Shares of a circle: the noise is as strong half-way as on either side.
    return kept * mirrored + np.sqrt(1 - kept**2) * np.float32(sigma) * noise
