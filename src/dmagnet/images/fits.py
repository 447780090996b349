"""FITS images as RGB: g, r, z as the Legacy Survey viewer draws them, one as grey."""

import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.io.fits.verify import VerifyError
from astropy.stats import sigma_clipped_stats
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS, WcsError

from dmagnet.errors import DataError
from dmagnet.images.cutout import Cutout
from dmagnet.images.files import MAX_PIXELS
from dmagnet.images.rgb import legacy_rgb

Floats = npt.NDArray[np.float32]

BLACK_SIGMAS = 2.0  # sky noise stays visible on both sides of the sky
WHITE_SHARE = 0.998  # of the pixels are below white: a galaxy's core may saturate
SOFTENING = 0.1  # of white: arcsinh is linear below, logarithmic above
RGB_BANDS = "RGB"  # what `rgb_hdu` puts into BANDS

# What astropy raises on damaged files, compressed ones included.
_BROKEN = (
    OSError, ValueError, TypeError, KeyError, IndexError, EOFError, zlib.error,
    VerifyError,
)  # fmt: skip


def read_fits(path: Path, *, hdu: int | str | None = None) -> Cutout:
    """Read a FITS image as RGB, with its place on the sky.

    Parameters
    ----------
    path : Path
        Plain or compressed (``.gz``, ``.bz2``, ``.fz``).
    hdu : int or str, optional
        Number or name of the extension; the first that holds an image if not given.

    Returns
    -------
    Cutout
        FITS counts rows from the bottom, the picture from the top. Pixels without a
        value (NaN, BLANK, infinite) are filled with sky, and a note says how many.

    Raises
    ------
    DataError
        If the file is missing, damaged or holds no image, if the image has no value at
        all, or if its shape is neither (H, W) nor one plane for each of its bands.

    Notes
    -----
    A cube holds nanomaggies, as the cut-out service of the Legacy Surveys gives them:
    the planes named g, r and z in the card ``BANDS`` (g, r, z in order if there is no
    card) are drawn by `legacy_rgb`. One band is drawn in grey by an arcsinh stretch
    from two standard deviations below the sky (the sigma-clipped median) to the
    brightest 0.2 %.
    A cube that `rgb_hdu` wrote comes back as it was.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path}: expected a FITS image, found nothing")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AstropyWarning)  # of headers others wrote
            with fits.open(path, memmap=False) as hdus:
                chosen = _choose(hdus, path, hdu)
                header = chosen.header.copy()
                planes = _planes(chosen, path)
                wcs = _celestial(header)
    except DataError:
        raise
    except _BROKEN as error:
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(
            f"{path}: expected a whole FITS file ({reason}); copy it again"
        ) from error
    rgb, notes = _draw(planes, str(header.get("BANDS", "")).strip(), path)
    return Cutout(np.ascontiguousarray(rgb[::-1]), wcs, notes)


def _choose(hdus: fits.HDUList, path: Path, hdu: int | str | None) -> Any:
    """Pick the extension with the image."""
    images = [h for h in hdus if h.is_image and len(h.shape) >= 2 and 0 not in h.shape]
    if hdu is None:
        if not images:
            kinds = ", ".join(type(h).__name__ for h in hdus)
            raise DataError(f"{path}: expected an image in some HDU, found {kinds}")
        return images[0]
    try:
        chosen = hdus[hdu]
    except (KeyError, IndexError):
        raise DataError(
            f"{path}: no HDU {hdu!r}; it has 0 to {len(hdus) - 1}"
        ) from None
    if chosen not in images:
        raise DataError(f"{path}: expected an image in HDU {hdu!r}, found none")
    return chosen


def _planes(hdu: Any, path: Path) -> Floats:
    """Read an image as (planes, H, W), bottom row first."""
    shape = tuple(n for n in hdu.shape[:-2] if n != 1) + tuple(hdu.shape[-2:])
    if len(shape) not in (2, 3):
        raise DataError(
            f"{path}: expected an image of shape (H, W) or (bands, H, W), got "
            f"{hdu.shape}; cut one out of it"
        )
    if shape[-1] * shape[-2] > MAX_PIXELS:
        raise DataError(
            f"{path}: expected at most {MAX_PIXELS / 1e6:.0f} million pixels, got "
            f"{shape}; make a cut-out first"
        )
    values = np.asarray(hdu.data, np.float32).reshape(-1, *shape[-2:])
    if not np.isfinite(values).any(axis=(1, 2)).all():
        raise DataError(
            f"{path}: expected an image, got a band without any value (all NaN)"
        )
    return values


def _celestial(header: fits.Header) -> WCS | None:
    """Read the WCS, if it says where on the sky the image is."""
    try:
        wcs = WCS(header, naxis=2)
    except (WcsError, ValueError, KeyError):
        return None
    return wcs if wcs.has_celestial else None


def _draw(planes: Floats, bands: str, path: Path) -> tuple[Floats, tuple[str, ...]]:
    """Turn planes into (H, W, 3), bottom row first, with notes."""
    notes = []
    if missing := int((~np.isfinite(planes)).sum()):
        notes.append(f"{missing} pixels without a value (NaN) were filled with sky")
    if len(planes) == 1:
        grey = _grey(planes[0])
        return np.repeat(grey[..., None], 3, axis=2), tuple(notes)
    flux = np.nan_to_num(planes, nan=0.0, posinf=0.0, neginf=0.0)
    if bands == RGB_BANDS and len(planes) == 3:
        return flux.transpose(1, 2, 0).clip(0, 1), tuple(notes)
    if not bands and len(planes) == 3:
        notes.append("no card BANDS: the planes were taken as g, r, z in nanomaggies")
        bands = "grz"
    if len(bands) != len(planes) or not set("grz") <= set(bands):
        raise DataError(
            f"{path}: expected one band, or a cube with planes g, r and z named in the "
            f"card BANDS, got {len(planes)} planes and BANDS={bands!r}"
        )
    picked = flux[[bands.index(band) for band in "grz"]]
    return legacy_rgb(picked).transpose(1, 2, 0), tuple(notes)


def _grey(flux: Floats) -> Floats:
    """Stretch one band to [0, 1]: sky dark, a galaxy's outskirts visible."""
    known = flux[np.isfinite(flux)]
    _, sky, sigma = sigma_clipped_stats(known)
    black = sky - BLACK_SIGMAS * sigma
    white = np.quantile(known, WHITE_SHARE)
    if white <= black:  # a constant image
        return np.zeros_like(flux)
    filled = np.where(np.isfinite(flux), flux, sky)
    share = ((filled - black) / (white - black)).clip(0, 1)
    grey: Floats = np.arcsinh(share / SOFTENING) / np.arcsinh(1 / SOFTENING)
    return grey.astype(np.float32)


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
    header = fits.Header()
    if cutout.wcs is not None:
        header.update(cutout.wcs.to_header(relax=True))
        for key in ("WCSAXES", "MJDREF"):  # the cube has three axes, and no date
            header.remove(key, ignore_missing=True)
    header["BANDS"] = (RGB_BANDS, "planes: red, green, blue in [0, 1]")
    if name == "PRIMARY":
        return fits.PrimaryHDU(planes, header)
    return fits.ImageHDU(planes, header, name=name)
