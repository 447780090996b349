"""Cut the middle out of frames, and bring it to a side."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image


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


def resize(
    images: npt.NDArray[np.uint8], side: int, field: float = 1.0
) -> npt.NDArray[np.uint8]:
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
    num, height, width = images.shape[:3]
    crop = crop_side(min(height, width), field)
    top, left = (height - crop) // 2, (width - crop) // 2
    out = np.empty((num, side, side, 3), np.uint8)
    for target, image in zip(out, images, strict=True):
        part = image[top : top + crop, left : left + crop]
        target[...] = part if crop == side else scaled(part, side)
    return out


def scaled(square: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """Bring one square picture to a side."""
    how = Image.Resampling.BILINEAR
    if square.dtype == np.uint8:
        picture = Image.fromarray(np.ascontiguousarray(square))
        return np.asarray(picture.resize((side, side), how))
    planes = np.ascontiguousarray(square.transpose(2, 0, 1), np.float32)
    each = [np.asarray(Image.fromarray(p).resize((side, side), how)) for p in planes]
    return np.stack(each, axis=2)
