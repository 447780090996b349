"""The part of the sky that the network expects, out of whatever was given."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from dmagnet.images import crop_side
from dmagnet.sources.record import Pixels

FRAME_ARCSEC = 256 * 0.262  # side of the frames the networks are trained on
SMALL = 0.98  # share of the expected sky below which the image is called small
MIN_SIDE = 8  # px of the shorter side: below there is no galaxy to see


@dataclass(frozen=True)
class Frame:
    """How an image was laid into the frame.

    Attributes
    ----------
    rgb : (S, S, 3) uint8
        As the network wants it.
    share : float
        Of the expected side that the image covers; above 1 it was cut.
    """

    rgb: Pixels
    share: float


def framed(
    rgb: Pixels,
    side: int,
    field: float,
    scale: tuple[float, float] | None,
) -> Frame:
    """Cut the middle out of an image, or lay sky around it, and resize.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        The image.
    side : int
        Of the result, in px.
    field : float
        Share of the side of a frame of 67.07 arcsec that the network sees.
    scale : (float, float) or None
        Arcsec a pixel along columns and rows; None takes the central square for a
        whole frame.

    Returns
    -------
    Frame
        Bilinear, with antialiasing where it shrinks. Sky is the median of the outermost
        pixels, color by color.
    """
    height, width = rgb.shape[:2]
    if scale is None:
        crop = crop_side(min(height, width), field)
        return Frame(_resized(_middle(rgb, crop, crop), side, side), 1.0)
    rows, columns = (field * FRAME_ARCSEC / step for step in (scale[1], scale[0]))
    share = min(height / rows, width / columns)
    part = _middle(rgb, _cut(height, rows), _cut(width, columns))
    # What is missing is added at the end: a tiny image has room for millions of pixels.
    high = min(side, max(1, round(side * height / rows)))
    wide = min(side, max(1, round(side * width / columns)))
    small = _resized(part, high, wide)
    if high == wide == side:
        return Frame(small, share)
    edge = [rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]]
    out = np.empty((side, side, 3), np.uint8)
    out[:] = np.median(np.concatenate(edge), axis=0).round()
    top, left = (side - high) // 2, (side - wide) // 2
    out[top : top + high, left : left + wide] = small
    return Frame(out, share)


def _cut(length: int, expected: float) -> int:
    """Return the pixels to keep of a side: equal margins go off both ends."""
    if length <= expected:
        return length
    return max(1, length - 2 * round((length - expected) / 2))


def _middle(rgb: Pixels, rows: int, columns: int) -> Pixels:
    """Cut to a size around the center."""
    top, left = (rgb.shape[0] - rows) // 2, (rgb.shape[1] - columns) // 2
    return rgb[top : top + rows, left : left + columns]


def _resized(rgb: Pixels, rows: int, columns: int) -> Pixels:
    """Bring a picture to a size, pixels of any form."""
    if rgb.shape[:2] == (rows, columns):
        return np.ascontiguousarray(rgb)
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(picture.resize((columns, rows), Image.Resampling.BILINEAR))
