"""The one door for pictures: a path or an array in, a cut-out comes back."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dmagnet.pictures.cutout import Cutout, from_array
from dmagnet.pictures.fits_image import read_fits
from dmagnet.pictures.raster import read_part
from dmagnet.storage.disk import open_file

FITS_SUFFIXES = (".fits", ".fit", ".fts", ".fz")
PACKED_SUFFIXES = (".gz", ".bz2")
FITS_START = b"SIMPLE  ="  # the first card of every FITS file


def read_image(source: Path | str | npt.NDArray[Any]) -> Cutout:
    """Read a picture from any form it comes in.

    Parameters
    ----------
    source : path or array
        FITS (by its name or its first bytes), anything Pillow knows (JPEG, PNG,
        TIFF...), or an array as `from_array` takes it.

    Returns
    -------
    Cutout
        With a WCS where a FITS file has one.

    Raises
    ------
    DataError
        If it is missing, damaged, or no image.
    """
    if isinstance(source, np.ndarray):
        return from_array(source)
    path = Path(source)
    if is_fits(path):
        return read_fits(path)
    rgb, zoom = read_part(path)
    cutout = from_array(rgb, str(path))
    if zoom == 1:
        return cutout
    return replace(cutout, notes=(f"very large: shrunk by {zoom:g} to be read",))


def is_fits(path: Path) -> bool:
    """Tell whether a file is FITS.

    Parameters
    ----------
    path : Path
        Any file, or none.

    Returns
    -------
    bool
        True by its suffix (``.fits``, ``.fit``, ``.fts``, ``.fz``, compressed or not)
        or by its first bytes.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in PACKED_SUFFIXES:
        suffixes.pop()
    if suffixes and suffixes[-1] in FITS_SUFFIXES:
        return True
    try:
        with open_file(path) as file:
            return file.read(len(FITS_START)) == FITS_START
    except (OSError, ValueError):  # ValueError: NUL in its name
        return False
