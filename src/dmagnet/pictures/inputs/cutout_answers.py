"""What a cut-out service answered: an image, none there, or something else."""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from PIL import Image

from dmagnet.config.classify_config import CutoutConfig
from dmagnet.pictures.faults import BROKEN
from dmagnet.pictures.inputs.cutout_files import Failure
from dmagnet.pictures.inputs.item import Flag
from dmagnet.pictures.opening import quiet, sound_hdus

_CENTER = 4  # px around the position that say whether it was observed
_JPEG_NOISE = 2  # levels by which a blank JPEG may vary

Planes = npt.NDArray[np.generic]


class NotAnImageError(Exception):
    """The answer is not what was asked for; another attempt may bring it."""


def largest(config: CutoutConfig) -> int:
    """Return the most bytes that an image may have."""
    return len(config.bands) * config.size**2 * 8 + 2**20


def examine(body: bytes, config: CutoutConfig, suffix: str) -> Failure | None:
    """Check that an answer is the image that was asked for."""
    read: Callable[[bytes, CutoutConfig], Planes | Failure]
    read = _jpeg if suffix == ".jpg" else _fits
    planes = read(body, config)
    if isinstance(planes, Failure):
        return planes
    middle = config.size // 2
    center = slice(max(0, middle - _CENTER), middle + _CENTER)
    if suffix == ".jpg":
        spread = np.ptp(planes.astype(np.int16), axis=(-2, -1))
        blank = np.full(len(planes), bool(np.all(spread <= _JPEG_NOISE)))
        centered = blank
    else:
        seen = np.isfinite(planes) & (planes != 0)
        blank = ~seen.any(axis=(-2, -1))
        centered = ~seen[:, center, center].any(axis=(-2, -1))
    if blank.all():
        return Failure(Flag.OUTSIDE_SURVEY, f"{config.layer} has no image there")
    if centered.all():
        reason = f"{config.layer} ends before this place"
        return Failure(Flag.OUTSIDE_SURVEY, reason)
    if blank.any():
        missing = "".join(np.array(list(config.bands))[blank])
        return Failure(
            Flag.MISSING_BAND, f"{config.layer} has no {missing} image there"
        )
    return None


def _fits(body: bytes, config: CutoutConfig) -> Planes | Failure:
    """Read the planes of the first HDU; astropy would not mind a missing end."""
    file = io.BytesIO(body)
    if not body.startswith(b"SIMPLE  ="):
        raise NotAnImageError(f"expected FITS, got {_what(body)}")
    if not sound_hdus(file)[0]:
        raise NotAnImageError("a FITS file that is damaged or cut short")
    file.seek(0)
    try:
        header = fits.Header.fromfile(file)
        sides = [int(header[f"NAXIS{i}"]) for i in range(int(header["NAXIS"]), 0, -1)]
        bits = int(header["BITPIX"])
        dtype = np.dtype(f">{'f' if bits < 0 else 'i'}{abs(bits) // 8}")
        bands = str(header.get("BANDS", config.bands)).strip()
        overlap = bool(header.get("OVERLAP", True))
    except BROKEN as error:
        raise NotAnImageError("a FITS header that cannot be read") from error
    if not sides or not overlap:
        return Failure(Flag.OUTSIDE_SURVEY, f"{config.layer} has no image there")
    if bands != config.bands:  # what the service does with bands it does not know
        reason = f"{config.layer}: expected bands {config.bands}, got {bands}"
        return Failure(Flag.FETCH_FAILED, reason)
    expected = [len(config.bands), config.size, config.size]
    if sides != expected and sides != expected[len(config.bands) == 1 :]:
        got = " x ".join(str(side) for side in sides)
        raise NotAnImageError(f"expected {config.size} px, got {got}")
    count = int(np.prod(sides))
    return np.frombuffer(body, dtype, count, file.tell()).reshape(expected)


def _jpeg(body: bytes, config: CutoutConfig) -> Planes | Failure:
    """Decode; what is cut short fails here."""
    if not body.startswith(b"\xff\xd8\xff"):
        raise NotAnImageError(f"expected JPEG, got {_what(body)}")
    try:
        with quiet(), Image.open(io.BytesIO(body), formats=("JPEG",)) as image:
            if image.size != (config.size, config.size):
                got = f"{image.width} x {image.height}"
                raise NotAnImageError(f"expected {config.size} px, got {got}")
            return np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
    except (MemoryError, *BROKEN) as error:
        raise NotAnImageError("a JPEG that is damaged or cut short") from error


def _what(body: bytes) -> str:
    """Say briefly what came instead of an image."""
    start = body[:512].lstrip().lower()
    if not start:
        return "nothing"
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "a web page"
    text = body[:60].decode("latin-1").strip()
    plain = text.isascii() and text.isprintable()
    return f"the text {text!r}" if plain else "other bytes"
