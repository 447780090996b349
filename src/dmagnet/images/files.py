"""JPEG, PNG, TIFF and whatever else Pillow knows, as 8-bit RGB."""

import math
import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from dmagnet.images.faults import ImageError

MAX_PIXELS = 89_478_485  # where Pillow starts to suspect a decompression bomb
WHITE_16_BIT = 65_535


def read_rgb(
    source: Path | IO[bytes], *, at_least: int | None = None
) -> npt.NDArray[np.uint8]:
    """Read an image file as 8-bit RGB.

    Any format Pillow knows; of several frames the first. The camera's orientation
    is applied, transparency is laid over black as the sky is, 16-bit grey is scaled
    to 8 bits.

    Parameters
    ----------
    source : path or binary stream
        A stream is read from where it stands and stays open.
    at_least : int, optional
        A JPEG may be decoded at a half, a quarter or an eighth of its size, which is
        fast, while its shorter side keeps this many px.

    Returns
    -------
    (H, W, 3) uint8
        Red, green, blue; row 0 is the top.

    Raises
    ------
    ImageError
        If there is no such file, if it is empty, damaged or no image, if it claims
        more than `MAX_PIXELS` pixels, or if its values have no defined white.
    """
    name = source if isinstance(source, Path) else getattr(source, "name", "image")
    try:
        with Image.open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ImageError(_too_large(name), "too large")
            if at_least is not None:
                image.draft(None, _larger(image.size, at_least))
            return _as_rgb(ImageOps.exif_transpose(image), str(name))
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(
            f"{name}: expected an image file, found nothing", "missing"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(_too_large(name), "too large") from None
    except _BROKEN_IMAGE as error:
        raise ImageError(
            f"{name}: expected an image (JPEG, PNG, TIFF...), got a file that is "
            + _what_is_wrong(error)
        ) from error


# What Pillow's decoders raise on damaged files.
_BROKEN_IMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError,
    OverflowError, struct.error, zlib.error,
)  # fmt: skip


def _larger(size: tuple[int, int], at_least: int) -> tuple[int, int]:
    """Return the smallest size of the same form whose shorter side is long enough."""
    share = at_least / max(1, min(size))
    width, height = (math.ceil(length * share) for length in size)
    return width, height


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "empty or of no known format"
    return f"damaged ({' '.join(str(error).split()) or type(error).__name__})"


def _too_large(name: object) -> str:
    return (
        f"{name}: expected at most {MAX_PIXELS / 1e6:.0f} million pixels, got more; "
        "crop or shrink the image first"
    )


def _as_rgb(image: Image.Image, name: str) -> npt.NDArray[np.uint8]:
    """Bring any of Pillow's modes to (H, W, 3) uint8."""
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.min() < 0 or values.max() > WHITE_16_BIT:
            raise ImageError(
                f"{name}: expected 8 or 16 bits a pixel, got values from "
                f"{values.min()} to {values.max()}; store fluxes as FITS"
            )
        grey = np.round(values / (WHITE_16_BIT / 255)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        raise ImageError(
            f"{name}: expected 8 or 16 bits a pixel, got floating point, which has "
            "no defined white; store fluxes as FITS"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return np.array(image.convert("RGB"))
