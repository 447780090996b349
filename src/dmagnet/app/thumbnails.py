"""Pictures for the page: in an address, under a map, at a side that can be seen."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dmagnet.app.answers import VIEW_PX, Bytes
from dmagnet.figures import overlays


def laid_over(view: Bytes, values: NDArray[np.float32]) -> Bytes:
    """Lay a map over the picture that people see."""
    small = Image.fromarray(np.asarray(values, np.float32))
    large = small.resize(view.shape[1::-1], Image.Resampling.BICUBIC)
    return overlays.overlay(view, np.asarray(large))


def enlarged(rgb: Bytes) -> Bytes:
    """Bring a small picture to the side that the page shows."""
    if len(rgb) >= VIEW_PX:
        return rgb
    large = Image.fromarray(rgb).resize((VIEW_PX, VIEW_PX), Image.Resampling.BICUBIC)
    return np.asarray(large)
