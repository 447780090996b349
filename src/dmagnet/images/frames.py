"""Cut the middle out of frames, and bring it to a side."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

RESIZE_PIXELS = 2**23  # pixels resized at a time: 100 MB as float32


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
    Bilinear with antialiasing: shrinking averages over all pixels a new one covers.
    """
    num, height, width = images.shape[:3]
    crop = crop_side(min(height, width), field)
    top, left = (height - crop) // 2, (width - crop) // 2
    out = np.empty((num, side, side, 3), np.uint8)
    rows = max(1, RESIZE_PIXELS // (crop * crop))
    for start in range(0, num, rows):
        part = images[start : start + rows, top : top + crop, left : left + crop]
        if crop != side:
            batch = torch.from_numpy(part.astype(np.float32)).permute(0, 3, 1, 2)
            batch = F.interpolate(batch, (side, side), mode="bilinear", antialias=True)
            part = batch.round_().clamp_(0, 255).permute(0, 2, 3, 1).byte().numpy()
        out[start : start + rows] = part
    return out
