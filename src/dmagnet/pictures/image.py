"""Pictures from any file or array: FITS by its bands, others by their pixels."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from dmagnet.pictures.bands import draw, filled
from dmagnet.pictures.cutout import Cutout, from_array
from dmagnet.pictures.flags import Flag
from dmagnet.pictures.header import nanomaggies
from dmagnet.pictures.opening import Note, named
from dmagnet.pictures.planes import RGB_BANDS, Planes, read_planes
from dmagnet.pictures.raster import read_part
from dmagnet.storage.arrays import Singles
from dmagnet.storage.disk import open_file


def read_fits(path: Path, *, hdu: int | str | None = None, bands: str = "") -> Cutout:
    """Read a FITS image as RGB, with its place on the sky.

    Parameters
    ----------
    path : Path
        Plain or compressed (``.gz``, ``.bz2``, ``.fz``).
    hdu : int or str, optional
        Number or name of the extension; the first that holds an image if not given.
    bands : str
        Names of the planes, ``grz`` or ``F606W,F814W``; the header's if not given.

    Returns
    -------
    Cutout
        FITS counts rows from the bottom, the picture from the top. Pixels without a
        value (NaN, BLANK, infinite) are filled with sky, and a note says how many.

    Raises
    ------
    DataError
        If the file is missing, damaged or holds no image, if a band has no value at
        all, or if its shape is neither (H, W) nor one plane for each of its bands.

    Notes
    -----
    How fluxes become colors stands with `draw`, how their unit is found with
    `read_planes`. A cube that `rgb_hdu` wrote comes back as it was.
    """
    planes = read_planes(Path(path), hdu=hdu, bands=bands)
    with named(path):
        rgb, notes = draw_planes(planes)
    told = [text for doubt, text in (*planes.notes, *notes) if doubt != Flag.ONE_BAND]
    return Cutout(np.ascontiguousarray(rgb[::-1]), planes.wcs, tuple(told))


def draw_planes(planes: Planes) -> tuple[Singles, tuple[Note, ...]]:
    """Draw the planes of a FITS image.

    Parameters
    ----------
    planes : Planes
        As `read_planes` gives them.

    Returns
    -------
    (H, W, 3) float32 in [0, 1]
        Red, green, blue; bottom row first.
    tuple of (str, str)
        Doubts, and what was done.
    """
    if planes.is_picture:
        values, notes = filled(planes.values)
        return values.transpose(1, 2, 0).clip(0, 1), notes
    known = planes.factor is not None
    return draw(
        planes.values * np.float32(planes.factor or 1),
        planes.bands,
        known_units=known,
        telescope=planes.telescope,
    )


def rgb_hdu(cutout: Cutout, name: str = "PRIMARY") -> fits.ImageHDU:
    """Make a FITS cube of a picture, or of a detail, with its place on the sky.

    Parameters
    ----------
    cutout : Cutout
        Its ``rgb`` may hold any finite values.
    name : str
        Name of the extension; ``PRIMARY`` makes the first.

    Returns
    -------
    astropy.io.fits.ImageHDU or PrimaryHDU
        (3, H, W) float32, planes red, green, blue, bottom row first; `read_fits` gives
        the same picture back.
    """
    planes = np.ascontiguousarray(cutout.rgb.transpose(2, 0, 1)[:, ::-1])
    header = _sky_header(cutout.wcs)
    header["BANDS"] = (RGB_BANDS, "planes: red, green, blue in [0, 1]")
    if name == "PRIMARY":
        return fits.PrimaryHDU(planes, header)
    return fits.ImageHDU(planes, header, name=name)


def planes_hdu(planes: Planes) -> fits.PrimaryHDU:
    """Make a FITS cube of fluxes; `read_planes` gives the same fluxes back."""
    header, values = _sky_header(planes.wcs), planes.values
    if planes.telescope:
        header["TELESCOP"] = planes.telescope
    if len(planes.bands) == 1:
        header["FILTER"] = planes.bands[0]
    for number, band in enumerate(planes.bands if len(planes.bands) > 1 else ()):
        header[f"BAND{number}"] = (band, f"filter of plane {number + 1}")
    if planes.factor is not None:
        header["BUNIT"] = ("nanomaggy", "a pixel; AB magnitude 22.5")
        factor = nanomaggies({"BUNIT": "nanomaggy"}, planes.scale)
        values = values * np.float32(planes.factor / (factor or 1.0))
    return fits.PrimaryHDU(values, header)


def _sky_header(wcs: WCS | None) -> fits.Header:
    header = fits.Header()
    if wcs is not None:
        header.update(wcs.to_header(relax=True))
        for key in ("WCSAXES", "MJDREF"):  # a cube has three axes, and no date
            header.remove(key, ignore_missing=True)
    return header


FITS_SUFFIXES = tuple(
    map("".join, product((".fits", ".fit", ".fts", ".fz"), ("", ".gz", ".bz2")))
)
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
    """Return whether a file is FITS.

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
    if path.name.lower().endswith(FITS_SUFFIXES):
        return True
    try:
        with open_file(path) as file:
            return file.read(len(FITS_START)) == FITS_START
    except (OSError, ValueError):  # ValueError: NUL in its name
        return False
