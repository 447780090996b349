"""A part of a FITS image around a place on the sky; the rest of it is not read."""

import math
import tempfile
import weakref
import zlib
from dataclasses import dataclass
from types import SimpleNamespace
from typing import IO, Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from dmagnet.pictures.astrometry import pixel_of
from dmagnet.pictures.flags import Flag
from dmagnet.pictures.opening import Hdus, ImageError
from dmagnet.pictures.raster import LARGE as VALUES
from dmagnet.pictures.raster import MAX_PIXELS, Part, part_of, take_turn, thinned
from dmagnet.storage.disk import FULL

IN_THE_MIDDLE = 2.0  # px: so near to the middle the image was cut for its galaxy
LARGE = 1 << 22  # px of a plane: of a larger image never all is drawn
MOST = 1 << 23  # px of a plane that a part may have
STRIP = 512  # rows unpacked at a time
SCALING = ("BSCALE", "BZERO", "BLANK")
DEFLATED = 1032  # times its packed size is the most that zlib unpacks
TILE = 1 << 28  # bytes of one, unpacked


@dataclass(frozen=True)
class Around:
    """A place to look at, and how much sky."""

    ra: float
    dec: float
    frame: float
    frames: int = 1
    alone: bool = True
    most: int = VALUES
    scale: tuple[float, float] | None = None


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels around a place; it may reach beyond its image."""

    left: int
    bottom: int
    width: int
    height: int
    share: float = 1.0
    more: bool = False

    def within(self, shape: tuple[int, ...]) -> Part:
        """Return which pixels of the image it holds."""
        return Part(
            slice(max(0, self.bottom), min(shape[-2], self.bottom + self.height)),
            slice(max(0, self.left), min(shape[-1], self.left + self.width)),
        )


def box_around(
    wcs: WCS | None,
    scale: tuple[float, float] | None,
    shape: tuple[int, ...],
    around: Around | None,
    planes: int = 1,
) -> Box | None:
    """Find the part of an image to look at."""
    if around is None or (scale := scale or around.scale) is None:
        return None
    pixel = None
    if wcs is not None and not math.isnan(around.ra + around.dec):
        pixel = pixel_of(wcs, around.ra, around.dec)
    if pixel is None and planes * math.prod(shape) <= around.most:
        return None
    pixel = pixel or ((shape[-1] - 1) / 2, (shape[-2] - 1) / 2)
    sides, step = np.array([shape[-1], shape[-2]]), np.array(scale)
    before = np.array(pixel) + 0.5
    if not ((before >= 0) & (before <= sides)).all():
        raise ImageError("the position does not lie in the image", Flag.OUTSIDE_IMAGE)
    off = float(np.abs(before - sides / 2).max())
    if around.alone and off <= IN_THE_MIDDLE and sides.prod() <= LARGE:
        return None
    nearest = 2 * float((np.minimum(before, sides - before) * step).min())
    farthest = 2 * float((np.maximum(before, sides - before) * step).max())
    most = math.sqrt(min(MOST, VALUES // planes) * step.prod())
    wanted = min(around.frames * around.frame, most)
    angle = max(min(wanted, nearest), min(around.frame, farthest, most))
    size = np.maximum(1, np.round(angle / step))
    left, bottom = np.round(before - size / 2)
    share = min(1.0, nearest / angle)
    more = min(nearest, most) > angle
    return Box(int(left), int(bottom), int(size[0]), int(size[1]), share, more)


def check_size(shape: tuple[int, ...], wcs: WCS | None, around: Around | None) -> None:
    """Refuse an image of which too much would have to be read."""
    if around and wcs is not None and not math.isnan(around.ra + around.dec):
        return  # the part around the position is read, and nothing else
    most = VALUES if around is None else MAX_PIXELS
    if math.prod(shape) > most:
        raise ImageError(
            f"expected at most {most / 1e6:.0f} million pixels, got {shape}; make a "
            "cut-out first",
            Flag.TOO_LARGE,
        )


def step_of(
    scale: tuple[float, float] | None,
    shape: tuple[int, ...],
    around: Around | None,
    planes: int,
) -> int:
    """Choose the pixels that are read of a large image of no known scale."""
    if around is None or scale is not None or around.scale is not None:
        return 1
    most = max(1, around.most // max(1, planes))
    return part_of(shape[-2], shape[-1], most, known_scale=False).step


def cut(
    hdu: Any, hdus: Hdus, box: Box | None, bands_last: bool = False, step: int = 1
) -> Any:
    """Read a part of an image, and nothing of the rest."""
    last = hdu.shape[-1:] if bands_last else ()
    *planes, height, width = hdu.shape[: len(hdu.shape) - len(last)]
    part = thinned(height, width, step)
    if box is not None:
        part = box.within((height, width))
    shape, is_packed = (*planes, *part.size, *last), isinstance(hdu, fits.CompImageHDU)
    take_turn(math.prod(shape))
    if math.prod(shape) > 2 * VALUES:
        line = f"expected an image of usual form, got {shape}; make a cut-out first"
        raise ImageError(line, Flag.TOO_LARGE)
    if box is None and step == 1 and not hdus.kept:
        return hdu
    source: tuple[IO[bytes], int, Any] | None = None
    if not is_packed:
        form = np.dtype(fits.BITPIX2DTYPE[hdu.header["BITPIX"]]).newbyteorder(">")
        source = hdus.file, hdu.fileinfo()["datLoc"], form
    else:
        source = _unpacked(hdu, hdus, part.size[0], height, len(planes))
    if source is None:
        first = tuple(slice(n) for n in planes)
        every = (*first, slice(None, None, step), slice(None, None, step))
        pieces = [
            np.ascontiguousarray(hdu.section[(*first, *some)][every])
            for some in part.strips(STRIP)
        ]
        data = np.concatenate(pieces, axis=len(planes))
        return SimpleNamespace(data=data, header=hdu.header)
    file, start, kind = source
    size, columns = kind.itemsize * math.prod(last), part.columns
    data = np.empty(shape, kind)
    for plane, out in enumerate(data.reshape(-1, *shape[len(planes) :])):
        for number, row in enumerate(range(height)[part.rows]):
            at = (plane * height + row) * width + columns.start
            file.seek(start + at * size)
            read = file.read((columns.stop - columns.start) * size)
            out[number] = np.frombuffer(read, kind).reshape(-1, *last)[::step]
    scaling = {key: hdu.header[key] for key in SCALING if key in hdu.header}
    if not is_packed:  # what is unpacked is scaled already
        data = _scaled(data, scaling)
    return SimpleNamespace(data=data, header=hdu.header)


def _unpacked(
    hdu: Any, hdus: Hdus, rows: int, height: int, axis: int
) -> tuple[IO[bytes], int, Any] | None:
    """Unpack a packed image to the disk, once its parts together are as large as it."""
    if not hdus.kept:
        return None
    found: Any = hdus.unpacked.get(id(hdu), 0)
    if isinstance(found, tuple):
        return found
    if found + rows <= height:
        hdus.unpacked[id(hdu)] = found + rows
        return None
    file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the image)
    try:
        weakref.finalize(hdus, file.close)
        for plane in np.ndindex(hdu.shape[:axis]):
            for first in range(0, height, STRIP):
                strip = np.asarray(hdu.section[(*plane, slice(first, first + STRIP))])
                file.write(strip.tobytes())
    except OSError as error:
        file.close()
        if error.errno not in FULL:
            raise
        line = f"expected room in {tempfile.gettempdir()} to unpack it"
        raise ImageError(line, Flag.TOO_LARGE) from error
    unpacked = hdus.unpacked[id(hdu)] = file, 0, strip.dtype
    return unpacked


def refuse_bombs(hdu: Any, hdus: Hdus) -> None:
    """Refuse a packed image with a tile that unpacks to far more than an image."""
    most = TILE // DEFLATED
    packed = isinstance(hdu, fits.CompImageHDU)
    if not packed or hdu.fileinfo()["datSpan"] <= most:
        return
    hdus.file.seek(0)  # to be open further on, it is not closed here
    tables = fits.open(hdus.file, disable_image_compression=True)
    bare = tables[next(i for i, each in enumerate(hdus) if each is hdu)]
    for column in bare.columns:
        if column.format.lstrip("01")[0] not in "PQ":
            continue
        for cell in bare.data[column.name]:
            content = bytes(np.asarray(cell)) if len(cell) > most else b""
            if content.startswith(b"\x1f\x8b"):
                unpacker = zlib.decompressobj(wbits=31)
                unpacker.decompress(content, TILE)
                if unpacker.unconsumed_tail:
                    line = "expected tiles of an image, got one that unpacks to more"
                    raise ImageError(line, Flag.TOO_LARGE)


def _scaled(data: Any, scaling: dict[str, Any]) -> Any:
    """Let astropy scale values, which it does to a file only."""
    if not scaling:
        return data
    header = fits.PrimaryHDU(data).header
    header.update(scaling)
    whole = header.tostring().encode("ascii") + data.tobytes()
    return np.asarray(fits.PrimaryHDU.fromstring(whole).data)
