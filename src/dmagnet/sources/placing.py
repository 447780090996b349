"""Where on the sky the network's view of an input lies."""

from pathlib import Path

import numpy as np
from astropy.wcs import WCS

from dmagnet.config import SourceConfig
from dmagnet.images import (
    ImageError,
    Planes,
    crop_side,
    draw_planes,
    is_fits,
    read_planes,
)
from dmagnet.images.cutout import moved_wcs
from dmagnet.images.header import split_bands
from dmagnet.images.planes import stacked
from dmagnet.sources.framing import FRAME_ARCSEC, framed
from dmagnet.sources.reading import open_item
from dmagnet.sources.record import Item

DISTORTED = "its WCS has distortions, which a resized view cannot keep: dropped"

Box = tuple[float, float, float, float]


def view_wcs(
    item: Item,
    side: int,
    field: float,
    config: SourceConfig,
    *,
    radii: float | None = None,
) -> tuple[WCS | None, tuple[str, ...]]:
    """Give the WCS of the view that `dmagnet.sources.read_picture` made of an input.

    Parameters
    ----------
    item : Item
        An input that was read.
    side : int
        Of the view, in px.
    field : float
        As for `read_picture`.
    config : SourceConfig
        What the input does not say itself.
    radii : float, optional
        As for `read_picture`.

    Returns
    -------
    wcs : astropy.wcs.WCS or None
        Of the view's pixels as FITS counts them, from the bottom; None where the input
        is no FITS image or does not say.
    notes : tuple of str
        Why there is none, where there was one.
    """
    try:
        planes = _planes(item, config)
    except (ImageError, OSError):  # it went away since; the view itself is there
        return None, ()
    if planes is None or planes.wcs is None:
        return None, ()
    if planes.wcs.has_distortion:
        return None, (DISTORTED,)
    given = config.pixel_scale
    scale = planes.scale or (None if given is None else (given, given))
    height, width = planes.values.shape[1:]
    if radii is None:
        box = _plain_box((height, width), side, field, scale)
    else:
        rgb = draw_planes(planes)[0][::-1]
        pixels = np.ascontiguousarray(rgb * 255 + 0.5).astype(np.uint8)
        box = framed(pixels, side, field, scale, radii=radii).box
    left, top, wide, high = box
    below = height - top - high  # FITS counts rows from the bottom
    return moved_wcs(planes.wcs, (left, below), (side / wide, side / high)), ()


def _planes(item: Item, config: SourceConfig) -> Planes | None:
    """Read the planes of a FITS input; None for any other."""
    if item.kind == "bands":
        each = [
            read_planes(Path(file), hdu=config.hdu or None, mask=config.mask)
            for file in item.files
        ]
        return stacked(each, split_bands(item.key))
    if item.kind not in ("file", "member"):
        return None
    if not is_fits(Path(item.files[0] if item.kind == "file" else item.key)):
        return None
    with open_item(item) as file:
        return read_planes(
            file, hdu=config.hdu or None, bands=config.bands, mask=config.mask
        )


def _plain_box(
    shape: tuple[int, int],
    side: int,
    field: float,
    scale: tuple[float, float] | None,
) -> Box:
    """Say which part of an image, and of sky around it, a view of one angle shows."""
    height, width = shape
    if scale is None:
        crop = crop_side(min(height, width), field)
        return (width - crop) // 2, (height - crop) // 2, crop, crop
    (top, high), (left, wide) = (
        _part(length, field * FRAME_ARCSEC / step, side)
        for length, step in ((height, scale[1]), (width, scale[0]))
    )
    return left, top, wide, high


def _part(length: int, wanted: float, side: int) -> tuple[float, float]:
    """Return start and length in px of the image of one axis of a view."""
    kept = length
    if length > wanted:
        kept = max(1, length - 2 * round((length - wanted) / 2))
    drawn = min(side, max(1, round(side * length / wanted)))
    step = kept / drawn
    return (length - kept) // 2 - (side - drawn) // 2 * step, side * step
