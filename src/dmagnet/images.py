"""Pictures: RGB as the Legacy Survey viewer draws it, and image files read as RGB."""

import struct
import zlib
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from dmagnet.errors import DataError

# Planes red, green, blue are z, r, g; the factors are per nanomaggy, from the
# viewer's map for g, r, z (Legacy Surveys, `dr2_rgb`).
GRZ_SCALES = {"g": 6.0, "r": 3.4, "z": 2.2}
SOFTENING = 20.0  # Q of Lupton et al. (2004, PASP 116, 133)
PEDESTAL = 0.03  # keeps sky noise visible on both sides of zero

MAX_PIXELS = 89_478_485  # where Pillow starts to suspect a decompression bomb
WHITE_16_BIT = 65_535
RESIZE_PIXELS = 2**23  # pixels resized at a time: 100 MB as float32


def legacy_rgb(flux: Tensor) -> Tensor:
    """Draw g, r, z fluxes as the Legacy Survey viewer does.

    Parameters
    ----------
    flux : (..., 3, H, W) float
        Nanomaggies per pixel in the order g, r, z.

    Returns
    -------
    (..., 3, H, W) float in [0, 1]
        Red, green, blue.

    Notes
    -----
    The arcsinh stretch of Lupton et al. (2004), eq. 1-2, on the mean of the scaled
    bands, with the viewer's constants and its clipping of each color on its own.
    """
    scales = flux.new_tensor([GRZ_SCALES[band] for band in "grz"])
    scaled = flux * scales[:, None, None] + PEDESTAL
    intensity = scaled.clamp(min=0).mean(dim=-3, keepdim=True)
    stretched = torch.asinh(SOFTENING * intensity) / SOFTENING**0.5
    rgb: Tensor = scaled * stretched / intensity.clamp(min=1e-6)
    return rgb.flip(-3).clamp(0, 1)


def read_rgb(source: Path | IO[bytes]) -> npt.NDArray[np.uint8]:
    """Read an image file as 8-bit RGB.

    Any format Pillow knows; of several frames the first. The camera's orientation
    is applied, transparency is laid over black as the sky is, 16-bit grey is scaled
    to 8 bits.

    Parameters
    ----------
    source : path or binary stream
        A stream is read from where it stands and stays open.

    Returns
    -------
    (H, W, 3) uint8
        Red, green, blue; row 0 is the top.

    Raises
    ------
    DataError
        If there is no such file, if it is empty, damaged or no image, if it claims
        more than `MAX_PIXELS` pixels, or if its values have no defined white.
    """
    name = source if isinstance(source, Path) else getattr(source, "name", "image")
    try:
        with Image.open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(_too_large(name))
            return _as_rgb(ImageOps.exif_transpose(image), str(name))
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{name}: expected an image file, found nothing") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(_too_large(name)) from None
    except _BROKEN_IMAGE as error:
        raise DataError(
            f"{name}: expected an image (JPEG, PNG, TIFF...), got a file that is "
            + _what_is_wrong(error)
        ) from error


# What Pillow's decoders raise on damaged files.
_BROKEN_IMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError,
    OverflowError, struct.error, zlib.error,
)  # fmt: skip


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
            raise DataError(
                f"{name}: expected 8 or 16 bits a pixel, got values from "
                f"{values.min()} to {values.max()}; store fluxes as FITS"
            )
        grey = np.round(values / (WHITE_16_BIT / 255)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode == "F":
        raise DataError(
            f"{name}: expected 8 or 16 bits a pixel, got floating point, which has "
            "no defined white; store fluxes as FITS"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return np.array(image.convert("RGB"))


def crop_side(frame: int, field: float) -> int:
    """Return the side of the central crop of a frame.

    Parameters
    ----------
    frame : int
        Side of the whole frame in px; of an oblong one the shorter.
    field : float
        Share of the side to keep, 0 to 1.

    Returns
    -------
    int
        Side in px. Equal margins go off both ends, so the center stays the center.
    """
    return max(1, frame - 2 * round(frame * (1 - field) / 2))


def resize(
    images: npt.NDArray[np.uint8], side: int, field: float = 1.0
) -> npt.NDArray[np.uint8]:
    """Crop images around their center and resize them.

    Parameters
    ----------
    images : (N, H, W, 3) uint8
        An array or a memory map; read in pieces.
    side : int
        Side of the result in px.
    field : float
        Central share of the shorter side to keep, 0 to 1.

    Returns
    -------
    (N, side, side, 3) uint8
        A new array. Where the crop has this side already its pixels are unchanged.

    Notes
    -----
    Bilinear with antialiasing: shrinking averages over all pixels a new one covers.
    """
    num, height, width = images.shape[:3]
    crop = crop_side(min(height, width), field)
    top, left = (height - crop) // 2, (width - crop) // 2
    out = np.empty((num, side, side, 3), np.uint8)
    rows = max(1, RESIZE_PIXELS // (crop * crop))
    for start in range(0, num, rows):
        part = images[start : start + rows, top : top + crop, left : left + crop]
        if crop != side:
            batch = torch.from_numpy(part.astype(np.float32)).permute(0, 3, 1, 2)
            batch = F.interpolate(batch, (side, side), mode="bilinear", antialias=True)
            part = batch.round_().clamp_(0, 255).permute(0, 2, 3, 1).byte().numpy()
        out[start : start + rows] = part
    return out
