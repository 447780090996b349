"""The picture of a frame as a survey's viewer sends it: a JPEG."""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dmagnet.simulator.dice import Dice
from dmagnet.simulator.grid import PIXEL_ARCSEC, Grid

# Galaxy10's images carry the quantization tables of the first of these qualities.
QUALITIES, SHARES = (75.0, 85.0, 92.0), (0.85, 0.1, 0.05)
FINE_PX = 1.5  # of the survey's: larger pixels have averaged much of it away
QUARTERED, WHOLE = 2, 0  # 4:2:0 and 4:4:4, as Pillow counts them


def as_jpeg(images: Tensor, grid: Grid, dice: Dice) -> Tensor:
    """Write pictures as JPEG and read them again."""
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
