"""One grid of pixels for images that lie differently on the sky."""

from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS, WCSCOMPARE_ANCILLARY
from astropy.wcs.utils import pixel_to_pixel
from scipy.ndimage import map_coordinates

from dmagnet.pictures.faults import BROKEN
from dmagnet.pictures.opening import quiet

Floats = npt.NDArray[np.float32]

SAME = 0.1  # px that corners of one grid may lie apart
KNOTS = 65  # a side, where the way between two grids is worked out; linear in between
PIECE = 1 << 20  # pixels resampled at a time
NOWHERE = -1e6  # px


def pixels_on(wcs: WCS, x: Any, y: Any, other: WCS) -> tuple[Any, Any]:
    """Say where pixels of one image lie in another."""
    try:
        with quiet():
            there = pixel_to_pixel(wcs, other, x, y)
            if not other.has_distortion:
                return there[0], there[1]
            # Polynomials of distortion bring places far away into the image.
            back = pixel_to_pixel(other, wcs, *there)
    except BROKEN:
        return np.full(np.shape(x), np.nan), np.full(np.shape(y), np.nan)
    missed = ~(np.hypot(back[0] - x, back[1] - y) < 1)
    return np.where(missed, np.nan, there[0]), np.where(missed, np.nan, there[1])


def is_same_grid(wcs: WCS, other: WCS, shape: tuple[int, ...]) -> bool:
    """Tell whether the pixels of two images of one shape lie on the same sky."""
    plain = not (wcs.has_distortion or other.has_distortion)
    frames = [(each.wcs.radesys, str(each.wcs.equinox)) for each in (wcs, other)]
    if (
        plain
        and frames[0] == frames[1]
        and wcs.wcs.compare(other.wcs, WCSCOMPARE_ANCILLARY)
    ):
        return True
    height, width = shape[-2:]
    x = np.array([0, width - 1, 0, width - 1], float)
    y = np.array([0, 0, height - 1, height - 1], float)
    there = pixels_on(wcs, x, y, other)
    return bool((np.hypot(there[0] - x, there[1] - y) <= SAME).all())


def regridded(plane: Floats, wcs: WCS, onto: WCS, shape: tuple[int, ...]) -> Floats:
    """Bring an image to the grid of another."""
    height, width = shape[-2:]
    rows = np.linspace(0, height - 1, min(height, KNOTS))
    columns = np.linspace(0, width - 1, min(width, KNOTS))
    knots = pixels_on(onto, *np.meshgrid(columns, rows), wcs)
    out = np.empty((height, width), np.float32)
    across = np.linspace(0, len(columns) - 1, width)
    down = np.linspace(0, len(rows) - 1, height)
    step = max(1, PIECE // width)
    for top in range(0, height, step):
        part = np.meshgrid(down[top : top + step], across, indexing="ij")
        x, y = (
            np.nan_to_num(map_coordinates(axis, part, order=1), nan=NOWHERE)
            for axis in knots
        )
        values = map_coordinates(plane, [y, x], order=1, mode="nearest")
        high, wide = plane.shape
        inside = (x >= -0.5) & (x <= wide - 0.5) & (y >= -0.5) & (y <= high - 0.5)
        out[top : top + step] = np.where(inside, values, np.nan)
    return out
