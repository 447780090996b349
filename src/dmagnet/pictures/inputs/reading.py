"""One input as the network wants to see it; whatever is wrong becomes a flag."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.wcs import WCS

from dmagnet.config.classify_config import SourceConfig
from dmagnet.errors import DataError
from dmagnet.pictures.astrometry import icrs_of
from dmagnet.pictures.bands import filled, noise_of
from dmagnet.pictures.blanks import WHITE, fluxes, is_bytes
from dmagnet.pictures.cutout import from_array
from dmagnet.pictures.faults import Doubt, Fault, ImageError, Note, refused
from dmagnet.pictures.fits_image import draw_planes
from dmagnet.pictures.front import is_fits
from dmagnet.pictures.header import MAX_PLANES, SCALES, split_bands
from dmagnet.pictures.inputs.framing import (
    FRAME_ARCSEC,
    MIN_SIDE,
    NATIVE_SIDE,
    SMALL,
    Frame,
    framed,
    laid_on_sky,
    small_note,
)
from dmagnet.pictures.inputs.item import NO_CLASS, Flag, Item, Picture, Pixels, flagged
from dmagnet.pictures.inputs.stacks import (
    COLORS,
    is_packed,
    open_cell,
    open_mosaic,
    open_stack,
    read_member,
    read_row,
)
from dmagnet.pictures.large import LARGE, one_large_at_a_time, strips
from dmagnet.pictures.planes import Planes, band_axis, read_planes, stacked
from dmagnet.pictures.raster import read_part
from dmagnet.pictures.sections import Around
from dmagnet.storage.disk import open_file

FAULTS: dict[Fault, Flag] = {
    "missing": Flag.NOT_FOUND,
    "damaged": Flag.UNREADABLE,
    "too large": Flag.TOO_LARGE,
    "too small": Flag.TOO_SMALL,
    "no image": Flag.NO_IMAGE,
    "shape": Flag.BAD_SHAPE,
    "no band": Flag.MISSING_BAND,
    "no values": Flag.NO_VALUES,
    "outside": Flag.OUTSIDE_IMAGE,
}
DOUBTS: dict[Doubt, Flag] = {
    "nan": Flag.SOME_NAN,
    "faint": Flag.NEGATIVE_FLUX,
    "wcs": Flag.BAD_WCS,
    "small field": Flag.SMALL_FIELD,
    "one band": Flag.ONE_BAND,
    "other bands": Flag.OTHER_BANDS,
    "no units": Flag.NO_UNITS,
    "grids": Flag.OTHER_GRIDS,
}
FRAMES = (1, 2, 4)  # so many wide is the part of a mosaic, as the galaxy asks for
FAINT_SIGMAS = 6.0  # a million pixels of noise reach 5
DRAFT = 4  # times the wanted side that a JPEG decoded smaller must have left


@dataclass(frozen=True, eq=False)
class _Seen:
    """An image, what its file says of it, and how many px of the file make one."""

    rgb: Pixels
    scale: tuple[float, float] | None = None
    center: tuple[float, float] = (math.nan, math.nan)
    notes: tuple[Note, ...] = ()
    wcs: WCS | None = None
    start: tuple[int, int] = (0, 0)  # columns and rows of sky left and below
    share: float = 1.0  # of its side without sky that was added
    more: bool = False  # whether its file has more of it
    zoom: float = 1.0


def read_picture(
    item: Item,
    side: int,
    field: float,
    config: SourceConfig,
    *,
    radii: float | None = None,
) -> Picture:
    """Read one input.

    Parameters
    ----------
    item : Item
        As `list_items` names it.
    side : int
        Of the image the network sees, in px.
    field : float
        Share of the side of a frame of 67.07 arcsec that it sees.
    config : SourceConfig
        What the inputs do not say themselves.
    radii : float, optional
        Side of the image in isophotal radii, for a network that sees all galaxies at
        one size and one brightness; ``field`` does not count then.

    Returns
    -------
    Picture
        Without an image where a flag says why, and never an exception for what a file
        holds. The item is completed by the position in a FITS header, by the radius,
        by flags and reasons.

    Notes
    -----
    An image whose pixel scale is known (WCS, ``pxscale`` of a stack, or the setting) is
    cut to the angle on the sky that the network was trained on, or sky is laid around
    it; one of unknown scale is taken for a frame of 67 arcsec. Fluxes are drawn first
    and the picture is resized, as the images of the training data were. `framed` says
    how a view of one size is cut.
    """
    if item.flag & NO_CLASS:
        return Picture(item, None)
    if item.kind == "position":
        line = "its cut-out was not fetched"
        return Picture(flagged(item, Flag.FETCH_FAILED, line), None)
    least = math.ceil(DRAFT * side / field) if radii is None else 2 * NATIVE_SIDE
    try:
        with refused("image", "an image"), one_large_at_a_time():
            for frames in FRAMES:
                seen = _read(item, least, config, frames)
                if min(seen.rgb.shape[:2]) < MIN_SIDE:
                    raise ImageError(_too_small(seen.rgb.shape[:2]), "too small")
                frame = framed(seen.rgb, side, field, seen.scale, radii=radii)
                if frame.share >= SMALL or not seen.more:
                    break
            item = _told(item, seen, frame)
            if _is_plain(frame.rgb):
                line = "expected an image, got one color everywhere"
                raise ImageError(line, "no values")
    except DataError as error:
        flag = FAULTS[error.fault] if isinstance(error, ImageError) else Flag.UNREADABLE
        return Picture(flagged(item, flag, _short(error, item)), None)
    left, top, wide, high = frame.box
    below = len(seen.rgb) - top - high  # FITS counts rows from the bottom
    box = (left - seen.start[0], below - seen.start[1], wide, high)
    return Picture(item, frame.rgb, seen.wcs, box)


def _is_plain(rgb: Pixels) -> bool:
    """Tell one color everywhere; a few pixels are enough to see that it is not."""
    few = rgb[::16, ::16]
    return bool((few == few[0, 0]).all() and (rgb == rgb[0, 0]).all())


def _told(item: Item, seen: _Seen, frame: Frame) -> Item:
    """Complete an item by what its file says."""
    notes, share = list(seen.notes), frame.share * seen.share
    if share < SMALL:
        notes.append(("small field", small_note(share)))
    if not frame.found and "faint" not in dict(notes):
        notes.append(("faint", "nothing stands out of the sky"))
    item = dataclasses.replace(item, radius_px=frame.radius_px * seen.zoom)
    for doubt, text in notes:
        item = flagged(item, DOUBTS[doubt], text)
    if math.isnan(item.ra) and math.isfinite(seen.center[0] + seen.center[1]):
        item = dataclasses.replace(item, ra=seen.center[0], dec=seen.center[1])
    return item


def _read(item: Item, least: int, config: SourceConfig, frames: int) -> _Seen:
    """Read an image around its position; a JPEG of no known scale at least so large."""
    around = Around(
        item.ra, item.dec, FRAME_ARCSEC, frames, not item.shared,
        LARGE // max(1, len(item.files)), _given(config),
    )  # fmt: skip
    if item.shared and math.isnan(item.ra):
        line = "expected a position, since other rows show other places of this image"
        raise ImageError(line, "outside")
    seen = _read_any(item, least, config, around)
    if item.shared and math.isnan(seen.center[0]):
        raise ImageError(
            "expected a WCS, since other rows show other positions of the same image; "
            "got none that can be used",
            "outside",
        )
    return seen


def _read_any(item: Item, least: int, config: SourceConfig, around: Around) -> _Seen:
    if item.kind == "bands":
        return _drawn(_planes_of_bands(item, config, around))
    if item.kind == "row" and not is_packed(item.files[0]):
        return _row(item, config)
    settings = _settings(config, around)
    if item.shared and is_fits(Path(item.key or item.files[0])):
        mosaic = open_mosaic(item.files[0], item.key)
        return _drawn(read_planes(mosaic, bands=config.bands, **settings), config)
    with open_item(item) as file:
        head = file.read(16)
        file.seek(0)
        if not head:
            raise ImageError("expected an image, got an empty file")
        if _looks_like_fits(head, item.key or item.files[0]):
            planes = read_planes(file, bands=config.bands, **settings)
            return _drawn(planes, config)
        known = config.pixel_scale is not None
        rgb, zoom = read_part(
            file, at_least=None if known else least, known_scale=known
        )
        return _Seen(rgb, _given(config), zoom=zoom)


def _settings(config: SourceConfig, around: Around) -> dict[str, Any]:
    return {"hdu": config.hdu or None, "mask": config.mask, "around": around}


def open_item(item: Item) -> IO[bytes]:
    """Open a file of its own, or one in a zip."""
    if item.kind == "member":
        return read_member(item.files[0], item.key)
    if item.kind == "row":
        return open_cell(item.files[0], item.row)
    return open_file(item.files[0])


def _looks_like_fits(head: bytes, name: str) -> bool:
    """Tell FITS by its first bytes; a packed or damaged one by its name."""
    if head.startswith(b"SIMPLE"):
        return True
    pictures = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
    return not head.startswith(pictures) and is_fits(Path(name))


def _row(item: Item, config: SourceConfig) -> _Seen:
    """Read a row of a stack: a picture, or fluxes if it has values no picture has."""
    stack = open_stack(item.files[0], item.key or config.dataset)
    if not 0 <= item.row < len(stack):
        line = f"expected a row from 0 to {len(stack) - 1}, got {item.row}"
        raise ImageError(line, "missing")
    (scale,) = stack.numbers("pxscale", range(item.row, item.row + 1))
    known = (scale, scale) if SCALES[0] <= scale <= SCALES[1] else _given(config)
    values, step = read_row(stack, item.row, known_scale=known is not None)
    bands = split_bands(config.bands)
    if values.dtype != np.uint8 and not bands and is_bytes(values):
        values = values.astype(np.float32) / np.float32(WHITE)
    cube = values[None]
    if values.ndim == 3:
        cube = np.moveaxis(values, band_axis(values.shape, len(bands)), 0)
    notes: tuple[Note, ...] = ()
    if values.dtype not in (np.uint8, np.uint16) or len(cube) not in (1, *COLORS):
        planes = _row_planes(cube, bands)
        if bands or len(cube) not in (1, *COLORS) or not _is_picture(planes.values):
            return _drawn(dataclasses.replace(planes, scale=known, step=step))
        flux, notes = filled(planes.values)
        cube, notes = flux[:, ::-1], (*planes.notes, *notes)
    colors = cube[0] if len(cube) == 1 else np.moveaxis(cube, 0, 2)
    try:
        rgb = from_array(colors, f"row {item.row}").rgb
    except DataError as error:
        raise ImageError(str(error), "shape") from error
    return _Seen(_bytes(rgb), known, notes=notes, zoom=step)


def _row_planes(cube: Any, bands: tuple[str, ...]) -> Planes:
    """Take a row of a stack, bands first, as fluxes; the bottom row comes first."""
    if len(cube) > MAX_PLANES or (bands and len(bands) != len(cube)):
        wanted = len(bands) or f"at most {MAX_PLANES}"
        raise ImageError(f"expected {wanted} bands, got {cube.shape}", "shape")
    flux, notes = fluxes(cube[:, ::-1])
    if not np.isfinite(flux).any():
        raise ImageError("expected an image, got no value at all", "no values")
    return Planes(flux, bands, 1.0 if bands else None, notes=notes)


def _is_picture(planes: Any) -> bool:
    """Tell colors from 0 to 1 from fluxes: pixels without a value do not count."""
    return bool(np.nanmin(planes) >= 0 and np.nanmax(planes) <= 1)


def _planes_of_bands(item: Item, config: SourceConfig, around: Around) -> Planes:
    """Read one file for each band, as one cube."""
    names = split_bands(item.key)
    planes: list[Planes] = []
    for name, file in zip(names, item.files, strict=True):
        try:
            source = open_mosaic(file) if item.shared else Path(file)
            each = read_planes(source, **_settings(config, around))
        except ImageError as error:
            fault = (
                "no band" if error.fault in ("missing", "no values") else error.fault
            )
            raise ImageError(f"band {name}: {_short(error, file)}", fault) from error
        planes.append(each)
    return stacked(planes, names)


def _drawn(planes: Planes, config: SourceConfig | None = None) -> _Seen:
    """Draw fluxes, top row first, and say where they are on the sky."""
    smallest = min(planes.values.shape[1:])
    if smallest < MIN_SIDE:
        raise ImageError(_too_small(planes.values.shape[1:]), "too small")
    rgb, notes = draw_planes(planes)
    if not planes.is_picture and _is_faint(planes):
        line = "nothing is brighter than the noise of the sky"
        notes = (*notes, ("faint", line))
    center = (math.nan, math.nan)
    if planes.wcs is not None:
        height, width = planes.values.shape[1:]
        center = icrs_of(planes.wcs, (width - 1) / 2, (height - 1) / 2)
        if math.isnan(center[0]) and "wcs" not in dict(planes.notes):
            line = "by its WCS the middle of the image is no place on the sky"
            notes = (*notes, ("wcs", line))
    scale = planes.scale or (_given(config) if config else None)
    pixels, box, start = _bytes(rgb[::-1]), planes.box, (0, 0)
    if box is not None:
        pixels, start = laid_on_sky(pixels, box)
    return _Seen(
        pixels, scale, center, (*planes.notes, *notes), planes.wcs, start,
        box.share if box else 1.0, box is not None and box.more, planes.step,
    )  # fmt: skip


def _is_faint(planes: Planes) -> bool:
    """Tell an image of noise alone; the noise is that between neighbors."""
    flux = planes.values
    if planes.factor is not None and len(flux) > 1 and np.nanmax(flux) <= 0:
        return True
    for plane in flux:
        known = plane[np.isfinite(plane)]
        above = known.max() - np.median(known) if known.size else 0.0
        if above > FAINT_SIGMAS * noise_of(plane):
            return False
    return True


def _given(config: SourceConfig) -> tuple[float, float] | None:
    scale = config.pixel_scale
    return None if scale is None else (scale, scale)


def _bytes(rgb: Any) -> Pixels:
    """Bring colors in [0, 1] to bytes, a large picture in strips."""
    parts = [
        np.ascontiguousarray(rgb[rows] * 255 + 0.5).astype(np.uint8)
        for rows in strips(*rgb.shape[:2])
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _too_small(shape: tuple[int, ...]) -> str:
    return f"expected at least {MIN_SIDE} px a side, got {shape[1]} x {shape[0]}"


def _short(error: BaseException, item: Item | str) -> str:
    """Say what is wrong in one line, without the path that stands beside it."""
    line = " ".join(str(error).split()) or type(error).__name__
    files = (item,) if isinstance(item, str) else item.files
    for name in (*files, "image"):
        line = line.removeprefix(f"{name}: ")
    return line
