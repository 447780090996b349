"""JPEG, PNG, TIFF and whatever else Pillow knows, as 8-bit RGB."""

import base64
import contextlib
import io
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dmagnet.pictures.flags import Flag
from dmagnet.pictures.opening import ImageError, name_of, quiet, refused
from dmagnet.storage.arrays import Pixels
from dmagnet.storage.disk import open_file

LARGE = 1 << 24  # pixels of a picture, or values of fluxes, that are read as they are
ALONE = LARGE // 4  # from so many on, one thread at a time reads

_turn = threading.RLock()
_reader = threading.local()  # what gives the turns of a thread back, if it is within


@dataclass(frozen=True)
class Part:
    """Which pixels of an image are read."""

    rows: slice
    columns: slice
    step: int = 1

    @property
    def size(self) -> tuple[int, int]:
        """Return how many rows and columns are read."""
        rows, columns = self.rows, self.columns
        high = len(range(rows.start, rows.stop, self.step))
        return high, len(range(columns.start, columns.stop, self.step))

    def strips(self, most: int) -> Iterator[tuple[slice, slice]]:
        """Divide it into rows to read at a time, of whole steps, and their columns."""
        high = max(1, most // self.step) * self.step
        for start in range(self.rows.start, self.rows.stop, high):
            end = min(start + high, self.rows.stop)
            yield slice(start, end), slice(self.columns.start, self.columns.stop)


def part_of(height: int, width: int, most: int, *, known_scale: bool) -> Part:
    """Choose the part of an image that is read."""
    if height * width <= most:
        return Part(slice(0, height), slice(0, width))
    side = math.isqrt(most)
    if known_scale or min(height, width) <= side:
        rows = min(height, max(side, most // width))
        return Part(_around(height, rows), _around(width, most // rows))
    return thinned(height, width, -(-min(height, width) // side))


def thinned(height: int, width: int, step: int) -> Part:
    """Take every so many-th pixel of the central square of an image."""
    if step <= 1:
        return Part(slice(0, height), slice(0, width))
    square = min(height, width)
    return Part(_around(height, square, step), _around(width, square, step), step)


def is_plain(rgb: Pixels) -> bool:
    """Return whether all is one color; a few pixels suffice to see that it is not."""
    few = rgb[::16, ::16]
    return bool((few == few[0, 0]).all() and (rgb == rgb[0, 0]).all())


def _around(length: int, wanted: int, step: int = 1) -> slice:
    """Cut the same from both ends; of each step the pixel in its middle."""
    num = (length - 2 * -(-(length - wanted) // 2)) // step
    start = (length - num * step) // 2
    return slice(start + step // 2, start + num * step, step)


def block_means(strip: Pixels, step: int) -> Pixels:
    """Shrink a picture by a whole number."""
    height, width, colors = strip.shape
    rows = strip.reshape(height // step, step, width, colors).sum(1, dtype=np.uint32)
    sums = rows.reshape(height // step, width // step, step, colors).sum(2)
    return np.asarray((sums + step**2 // 2) // step**2, np.uint8)


def strips(height: int, width: int) -> Iterator[slice]:
    """Divide an image into strips; one that is not large is one strip."""
    high = max(1, ALONE // 4 // max(1, width))
    for start in range(0, height, high):
        yield slice(start, min(start + high, height))


@contextlib.contextmanager
def one_large_at_a_time() -> Iterator[None]:
    """Let other threads wait with large images until this one is done."""
    try:
        with contextlib.ExitStack() as _reader.turns:
            yield
    finally:
        _reader.turns = None


def take_turn(pixels: int) -> None:
    """Wait until no other thread reads a large image, before reading one."""
    if pixels > ALONE and (turns := getattr(_reader, "turns", None)):
        turns.enter_context(_turn)


# Pillow knows more, some of which start other programs (EPS) or read other files.
FORMATS = (
    "JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF",
)  # fmt: skip
MAX_PIXELS = 89_478_485  # where Pillow starts to suspect a decompression bomb
# Pixels of formats whose decoders need 9 to 18 bytes for each: 600 MB at most.
HEAVY = {"AVIF": 60_000_000, "WEBP": 36_000_000, "JPEG2000": 30_000_000}
WHITE_16_BIT = 65_535
ORIENTATION = 0x0112  # tag of EXIF
STRIP = 64  # rows converted at a time


def read_rgb(
    source: Path | IO[bytes], *, at_least: int | None = None, name: str = ""
) -> Pixels:
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
    return read_part(source, at_least=at_least, name=name)[0]


def read_part(
    source: Path | IO[bytes],
    *,
    at_least: int | None = None,
    known_scale: bool = False,
    name: str = "",
) -> tuple[Pixels, float]:
    """Read an image file as 8-bit RGB, of a very large one what is needed."""
    name = name or name_of(source)
    with contextlib.ExitStack() as stack:
        stack.enter_context(refused(name, "an image (JPEG, PNG, TIFF...)"))
        stack.enter_context(quiet())
        if isinstance(source, Path):
            source = stack.enter_context(open_file(source))
        image = stack.enter_context(_opened(source, name))
        width, zoom = image.width, 1.0
        if at_least and (drafted := image.draft(None, _larger(image.size, at_least))):
            zoom = width / drafted[1][2]
        take_turn(image.width * image.height)
        part = part_of(image.height, image.width, LARGE, known_scale=known_scale)
        rgb = _oriented(_as_rgb(image, part, name), image.getexif())
        return rgb, zoom * part.step


def _opened(source: IO[bytes], name: str) -> Image.Image:
    """Open a file whose form and size are fit to be read."""
    try:
        image = Image.open(source, formats=FORMATS)
    except Image.DecompressionBombError:
        raise ImageError(_too_large(name, MAX_PIXELS), Flag.TOO_LARGE) from None
    except UnidentifiedImageError:
        line = "got a file that is empty or of no known format"
        line = f"expected an image (JPEG, PNG, TIFF...), {line}"
        raise ImageError(f"{name}: {line}") from None
    most = HEAVY.get(image.format or "", MAX_PIXELS)
    if image.width * image.height > most:
        image.close()
        raise ImageError(_too_large(name, most), Flag.TOO_LARGE)
    return image


def _larger(size: tuple[int, int], at_least: int) -> tuple[int, int]:
    """Return the smallest size of the same form whose shorter side is long enough."""
    share = at_least / max(1, min(size))
    width, height = (math.ceil(length * share) for length in size)
    return width, height


def _too_large(name: str, most: int) -> str:
    return (
        f"{name}: expected at most {most / 1e6:.0f} million pixels, got more; "
        "crop or shrink the image first"
    )


def _oriented(rgb: Pixels, exif: Image.Exif) -> Pixels:
    """Turn a picture as the camera was held."""
    if exif.get(ORIENTATION, 1) == 1:
        return rgb
    picture = Image.fromarray(rgb)
    picture.getexif()[ORIENTATION] = exif[ORIENTATION]
    ImageOps.exif_transpose(picture, in_place=True)
    return np.array(picture)


def _as_rgb(image: Image.Image, part: Part, name: str) -> Pixels:
    """Bring any of Pillow's modes to (H, W, 3) uint8, a large one in strips."""
    if image.width * image.height <= LARGE:
        return _converted(image, name)
    (high, wide), step = part.size, part.step
    left, top = part.columns.start - step // 2, part.rows.start - step // 2
    out = np.empty((high, wide, 3), np.uint8)
    for start in range(0, high, STRIP):
        end = min(start + STRIP, high)
        box = (left, top + start * step, left + wide * step, top + end * step)
        out[start:end] = block_means(_converted(image.crop(box), name), step)
    return out


def _converted(image: Image.Image, name: str) -> Pixels:
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


def as_address(rgb: Pixels, quality: int = 90) -> str:
    """Write a picture into an address, as a JPEG, so that a page needs no file."""
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    picture.save(buffer, "JPEG", quality=quality, optimize=True)
    return address_of(buffer.getvalue(), "jpeg")


def address_of(content: bytes, kind: str) -> str:
    """Write a picture's file into an address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
