"""Pictures for the page: in an address, under a map, at a side that can be seen."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dmagnet import figures
from dmagnet.app.records import VIEW_PX, Bytes

QUALITY = 90  # of JPEGs: a dream's frame is 20 kB


def picture_of(rgb: Bytes) -> str:
    """Write a picture into an address, so that no file is needed.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        The picture.

    Returns
    -------
    str
        A ``data:`` address.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def laid_over(view: Bytes, values: NDArray[np.float32]) -> Bytes:
    """Lay a map over the picture that people see.

    Parameters
    ----------
    view : (H, H, 3) uint8
        The picture.
    values : (S, S) float32
        A map, above 0 for and below 0 against.

    Returns
    -------
    (H, H, 3) uint8
        Gray, colored where the map says something.
    """
    small = Image.fromarray(np.asarray(values, np.float32))
    large = small.resize(view.shape[1::-1], Image.Resampling.BICUBIC)
    return figures.overlay(view, np.asarray(large))


def enlarged(rgb: Bytes) -> Bytes:
    """Bring a small picture to the side that the page shows.

    Parameters
    ----------
    rgb : (H, H, 3) uint8
        Of any side.

    Returns
    -------
    (H, H, 3) uint8
        Of at least 256 px.
    """
    if len(rgb) >= VIEW_PX:
        return rgb
    large = Image.fromarray(rgb).resize((VIEW_PX, VIEW_PX), Image.Resampling.BICUBIC)
    return np.asarray(large)
