"""One input as the network wants to see it; whatever is wrong becomes a flag."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.wcs import WCS

from dmagnet.config.classify_config import SourceConfig
from dmagnet.errors import DataError
from dmagnet.pictures import raster
from dmagnet.pictures.astrometry import icrs_of
from dmagnet.pictures.bands import UNNAMED, filled, noise_of
from dmagnet.pictures.blanks import WHITE, fluxes, is_bytes
from dmagnet.pictures.cutout import from_array
from dmagnet.pictures.flags import NO_CLASS, Flag
from dmagnet.pictures.header import MAX_PLANES, SCALES, split_bands, too_many
from dmagnet.pictures.image import draw_planes, is_fits
from dmagnet.pictures.inputs import archives, framing, stacks
from dmagnet.pictures.inputs.item import Item, Picture, flagged
from dmagnet.pictures.npz import COLORS
from dmagnet.pictures.opening import ImageError, Note, refused
from dmagnet.pictures.planes import Planes, band_axis, read_planes, stacked
from dmagnet.pictures.sections import Around
from dmagnet.pictures.tables.opened import COLUMNAR
from dmagnet.storage.arrays import Pixels
from dmagnet.storage.disk import open_file

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
    least = (
        math.ceil(DRAFT * side / field) if radii is None else 2 * framing.NATIVE_SIDE
    )
    try:
        with refused("image", "an image"), raster.one_large_at_a_time():
            for frames in FRAMES:
                seen = _read(item, least, config, frames)
                _refuse_tiny(*seen.rgb.shape[:2])
                frame = framing.framed(seen.rgb, side, field, seen.scale, radii=radii)
                if frame.share >= framing.SMALL or not seen.more:
                    break
            item = _told(item, seen, frame)
            if raster.is_plain(frame.rgb):
                line = "expected an image, got one color everywhere"
                raise ImageError(line, Flag.NO_VALUES)
    except DataError as error:
        flag = error.fault if isinstance(error, ImageError) else Flag.UNREADABLE
        return Picture(
            flagged(item, flag, _short(error, (*item.files, item.key))), None
        )
    left, top, wide, high = frame.box
    below = len(seen.rgb) - top - high  # FITS counts rows from the bottom
    box = (left - seen.start[0], below - seen.start[1], wide, high)
    return Picture(item, frame.rgb, seen.wcs, box)


def native_side(item: Item, config: SourceConfig) -> int:
    """Return the side of the frame an image shows, in its own px; 0 if it has none."""
    try:
        with refused("image", "an image"), raster.one_large_at_a_time():
            seen = _read(item, raster.LARGE, config, FRAMES[0])
    except DataError:
        return 0
    height, width = seen.rgb.shape[:2]
    if seen.scale is None:
        return int(min(height, width))
    return max(1, round(framing.FRAME_ARCSEC / max(seen.scale)))


def _told(item: Item, seen: _Seen, frame: framing.Frame) -> Item:
    """Complete an item by what its file says."""
    notes, share = list(seen.notes), frame.share * seen.share
    if share < framing.SMALL:
        notes.append((Flag.SMALL_FIELD, framing.small_note(share)))
    if not frame.found and Flag.NEGATIVE_FLUX not in dict(notes):
        notes.append((Flag.NEGATIVE_FLUX, "nothing stands out of the sky"))
    item = replace(item, radius_px=frame.radius_px * seen.zoom)
    for doubt, text in notes:
        item = flagged(item, doubt, text)
    ra, dec = seen.center
    is_new = math.isnan(item.ra) and math.isfinite(ra + dec)
    return replace(item, ra=ra, dec=dec) if is_new else item


def _read(item: Item, least: int, config: SourceConfig, frames: int) -> _Seen:
    """Read an image around its position; a JPEG of no known scale at least so large."""
    around = Around(
        item.ra, item.dec, framing.FRAME_ARCSEC, frames, not item.shared,
        raster.LARGE // max(1, len(item.files)), _given(config),
    )  # fmt: skip
    if item.shared and math.isnan(item.ra):
        line = "expected a position, since other rows show other places of this image"
        raise ImageError(line, Flag.OUTSIDE_IMAGE)
    seen = _read_any(item, least, config, around)
    if item.shared and math.isnan(seen.center[0]):
        raise ImageError(
            "expected a WCS, since other rows show other positions of the same image; "
            "got none that can be used",
            Flag.OUTSIDE_IMAGE,
        )
    return seen


def _read_any(item: Item, least: int, config: SourceConfig, around: Around) -> _Seen:
    packed = item.kind == "row" and item.files[0].lower().endswith(COLUMNAR)
    if item.kind == "row" and not packed:
        return _row(item, config)
    is_mosaic = item.shared and is_fits(Path(item.key or item.files[0]))
    if item.kind == "bands" or is_mosaic:
        return _drawn(planes_of(item, config, around), config)
    path = item.files[0]
    if item.kind == "member":
        opened = archives.read_member(path, item.key, item.row)
    else:
        column = item.key or config.path
        opened = stacks.open_cell(path, item.row, column) if packed else open_file(path)
    with opened as file:
        head = file.read(16)
        file.seek(0)
        if not head:
            raise ImageError("expected an image, got an empty file")
        if _looks_like_fits(head, item.key or path):
            settings = _settings(config, around) | {"bands": config.bands}
            return _drawn(read_planes(file, **settings), config)
        known = config.pixel_scale is not None
        at_least = None if known else least
        rgb, zoom = raster.read_part(file, at_least=at_least, known_scale=known)
        return _Seen(rgb, _given(config), zoom=zoom)


def planes_of(item: Item, config: SourceConfig, around: Around | None) -> Planes:
    """Read the fluxes of FITS files around a place."""
    settings = _settings(config, around)
    if item.kind == "bands":
        return _planes_of_bands(item, settings)
    settings["bands"] = config.bands
    file = item.files[0]
    source = stacks.open_mosaic(file, item.key) if item.shared else Path(file)
    return read_planes(source, **settings)


def _settings(config: SourceConfig, around: Around | None) -> dict[str, Any]:
    return {"hdu": config.hdu or None, "mask": config.mask, "around": around}


def _looks_like_fits(head: bytes, name: str) -> bool:
    """Recognize FITS by its first bytes; a packed or damaged one by its name."""
    if head.startswith(b"SIMPLE"):
        return True
    pictures = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
    return not head.startswith(pictures) and is_fits(Path(name))


def _row(item: Item, config: SourceConfig) -> _Seen:
    """Read a row of a stack: a picture, or fluxes if it has values no picture has."""
    stack = stacks.open_stack(item.files[0], item.key or config.dataset)
    if not 0 <= item.row < len(stack):
        line = f"expected a row from 0 to {len(stack) - 1}, got {item.row}"
        raise ImageError(line, Flag.NOT_FOUND)
    (scale,) = stack.numbers("pxscale", range(item.row, item.row + 1))
    known = (scale, scale) if SCALES[0] <= scale <= SCALES[1] else _given(config)
    values, step = stacks.read_row(stack, item.row, known_scale=known is not None)
    bands = split_bands(config.bands)
    if values.dtype != np.uint8 and not bands and is_bytes(values):
        values = values.astype(np.float32) / np.float32(WHITE)
    cube = values[None]
    if values.ndim == 3:
        cube = np.moveaxis(values, band_axis(values.shape, len(bands)), 0)
    notes: tuple[Note, ...] = ()
    may_show = len(cube) in (1, *COLORS)
    if values.dtype not in (np.uint8, np.uint16) or not may_show:
        planes = _row_planes(cube, bands)
        # colors from 0 to 1; blank pixels do not count
        low, high = np.nanmin(planes.values), np.nanmax(planes.values)
        if bands or not may_show or low < 0 or high > 1:
            return _drawn(replace(planes, scale=known, step=step), config)
        flux, notes = filled(planes.values)
        cube, notes = flux[:, ::-1], (*planes.notes, *notes)
    colors = cube[0] if len(cube) == 1 else np.moveaxis(cube, 0, 2)
    try:
        rgb = from_array(colors, f"row {item.row}").rgb
    except DataError as error:
        raise ImageError(str(error), Flag.BAD_SHAPE) from error
    return _Seen(_bytes(rgb), known, notes=notes, zoom=step)


def _row_planes(cube: Any, bands: tuple[str, ...]) -> Planes:
    """Take a row of a stack, bands first, as fluxes; the bottom row comes first."""
    if len(cube) > MAX_PLANES:
        raise ImageError(too_many(len(cube)), Flag.BAD_SHAPE)
    if bands and len(bands) != len(cube):
        line = f"expected {len(bands)} bands, got {cube.shape}"
        raise ImageError(line, Flag.BAD_SHAPE)
    flux, notes = fluxes(cube[:, ::-1])
    if not np.isfinite(flux).any():
        raise ImageError("expected an image, got no value at all", Flag.NO_VALUES)
    return Planes(flux, bands, 1.0 if bands else None, notes=notes)


def _planes_of_bands(item: Item, settings: dict[str, Any]) -> Planes:
    """Read one file for each band, as one cube."""
    names = split_bands(item.key)
    planes: list[Planes] = []
    for name, file in zip(names, item.files, strict=True):
        try:
            source = stacks.open_mosaic(file) if item.shared else Path(file)
            planes.append(read_planes(source, **settings))
        except ImageError as error:
            lost = error.fault in (Flag.NOT_FOUND, Flag.NO_VALUES)
            fault = Flag.MISSING_BAND if lost else error.fault
            line = f"band {name}: {_short(error, (file,))}"
            raise ImageError(line, fault) from error
    return stacked(planes, names)


def _drawn(planes: Planes, config: SourceConfig) -> _Seen:
    """Draw fluxes, top row first, and say where they are on the sky."""
    height, width = planes.values.shape[1:]
    _refuse_tiny(height, width)
    rgb, drawn = draw_planes(planes)
    named = "; --bands names them"
    drawn = tuple((f, t + named if t.startswith(UNNAMED) else t) for f, t in drawn)
    notes = [*planes.notes, *drawn]
    if not planes.is_picture and _is_faint(planes):
        notes.append(
            (Flag.NEGATIVE_FLUX, "nothing is brighter than the noise of the sky")
        )
    center = (math.nan, math.nan)
    if planes.wcs is not None:
        center = icrs_of(planes.wcs, (width - 1) / 2, (height - 1) / 2)
        if math.isnan(center[0]) and Flag.BAD_WCS not in dict(planes.notes):
            line = "by its WCS the middle of the image is no place on the sky"
            notes.append((Flag.BAD_WCS, line))
    scale = planes.scale or _given(config)
    pixels, told = _bytes(rgb[::-1]), tuple(notes)
    seen = _Seen(pixels, scale, center, told, planes.wcs, zoom=planes.step)
    if (box := planes.box) is None:
        return seen
    pixels, start = framing.laid_on_sky(seen.rgb, box)
    return replace(seen, rgb=pixels, start=start, share=box.share, more=box.more)


def _is_faint(planes: Planes) -> bool:
    """Return whether an image is noise alone; the noise is that between neighbors."""
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
        for rows in raster.strips(*rgb.shape[:2])
    ]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _refuse_tiny(height: int, width: int) -> None:
    """Refuse fewer pixels than a galaxy needs."""
    if min(height, width) < framing.MIN_SIDE:
        least = f"at least {framing.MIN_SIDE} px a side"
        raise ImageError(f"expected {least}, got {width} x {height}", Flag.TOO_SMALL)


def _short(error: BaseException, files: tuple[str, ...]) -> str:
    """Return what is wrong in one line, without the path that stands beside it."""
    line = " ".join(str(error).split()) or type(error).__name__
    for name in (*files, "image"):
        line = line.removeprefix(f"{name}: ")
    return line
