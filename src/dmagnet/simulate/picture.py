"""The picture of a frame as a survey's viewer sends it: a JPEG."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dmagnet.simulate.dice import Dice
from dmagnet.simulate.grid import PIXEL_ARCSEC, Grid

# Galaxy10's images carry the quantization tables of the first of these qualities.
QUALITIES, SHARES = (75.0, 85.0, 92.0), (0.85, 0.1, 0.05)
FINE_PX = 1.5  # of the survey's: larger pixels have averaged much of it away
QUARTERED, WHOLE = 2, 0  # 4:2:0 and 4:4:4, as Pillow counts them


def as_jpeg(images: Tensor, grid: Grid, dice: Dice) -> Tensor:
    """Write pictures as JPEG and read them again.

    Parameters
    ----------
    images : (B, 3, H, W) uint8
        Red, green, blue.
    grid : Grid
        The pixels.
    dice : Dice
        Source of randomness for B frames.

    Returns
    -------
    (B, 3, H, W) uint8
        The same with what a viewer's compression does to them.

    Notes
    -----
    Color is stored at half the resolution and coarser steps than brightness: the
    colored noise of single pixels, which the bands have each their own of, is lost, and
    what is left is soft blobs. Where the pixels are larger than one and a half of the
    survey's 0.262 arcsec, they stand for the mean of compressed ones: color is then
    kept at full resolution, and the steps are halved.
    """
    quality = dice.choice(QUALITIES, SHARES)
    coarse = grid.scale > FINE_PX * PIXEL_ARCSEC
    if coarse:
        quality = (100 + quality) / 2
    sampling = WHOLE if coarse else QUARTERED
    pictures = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    for picture, level in zip(pictures, quality.tolist(), strict=True):
        buffer = io.BytesIO()
        drawn = Image.fromarray(picture)
        drawn.save(buffer, "JPEG", quality=round(level), subsampling=sampling)
        picture[:] = np.asarray(Image.open(buffer))
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).to(images.device)
