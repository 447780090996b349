"""JPEG, PNG, TIFF and whatever else Pillow knows, as 8-bit RGB."""

import contextlib
import math
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from dmagnet.disk import open_file
from dmagnet.images.faults import ImageError, refused
from dmagnet.images.opening import name_of, quiet

# Pillow knows more, some of which start other programs (EPS) or read other files.
FORMATS = (
    "JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF",
)  # fmt: skip
MAX_PIXELS = 89_478_485  # where Pillow starts to suspect a decompression bomb
WHITE_16_BIT = 65_535


def read_rgb(
    source: Path | IO[bytes], *, at_least: int | None = None, name: str = ""
) -> npt.NDArray[np.uint8]:
    """Read an image file as 8-bit RGB.

    Any of `FORMATS`; of several frames the first. The camera's orientation
    is applied, transparency is laid over black as the sky is, 16-bit grey is scaled
    to 8 bits.

    Parameters
    ----------
    source : path or binary stream
        A stream is read from where it stands and stays open.
    at_least : int, optional
        A JPEG may be decoded at a half, a quarter or an eighth of its size, which is
        fast, while its shorter side keeps this many px.
    name : str
        For messages; that of the file if not given.

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
    name = name or name_of(source)
    with contextlib.ExitStack() as stack:
        stack.enter_context(refused(name, "an image (JPEG, PNG, TIFF...)"))
        stack.enter_context(quiet())
        if isinstance(source, Path):
            source = stack.enter_context(open_file(source))
        try:
            image = stack.enter_context(Image.open(source, formats=FORMATS))
        except Image.DecompressionBombError:
            raise ImageError(_too_large(name), "too large") from None
        except UnidentifiedImageError:
            line = "got a file that is empty or of no known format"
            raise ImageError(
                f"{name}: expected an image (JPEG, PNG, TIFF...), {line}"
            ) from None
        if image.width * image.height > MAX_PIXELS:
            raise ImageError(_too_large(name), "too large")
        if at_least is not None:
            image.draft(None, _larger(image.size, at_least))
        return _as_rgb(ImageOps.exif_transpose(image), str(name))


def _larger(size: tuple[int, int], at_least: int) -> tuple[int, int]:
    """Return the smallest size of the same form whose shorter side is long enough."""
    share = at_least / max(1, min(size))
    width, height = (math.ceil(length * share) for length in size)
    return width, height


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
