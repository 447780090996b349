"""Planes of flux out of a FITS file, with what its header says of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from dmagnet.pictures import header, sections
from dmagnet.pictures.astrometry import is_same_grid, pixels_on, regridded, sky_of
from dmagnet.pictures.blanks import fluxes, is_bytes
from dmagnet.pictures.cutout import moved_wcs
from dmagnet.pictures.flags import Flag
from dmagnet.pictures.opening import Hdus, ImageError, KeptFits, Note, open_fits
from dmagnet.pictures.sections import Around, Box
from dmagnet.storage.arrays import Singles
from dmagnet.storage.records import brief

RGB_BANDS = "RGB"  # what `rgb_hdu` puts into BANDS


@dataclass(frozen=True, eq=False)
class Planes:
    """An image of one band or more, as it lies in its file.

    Attributes
    ----------
    values : (B, H, W) float32
        Bottom row first; NaN where a pixel has no value.
    bands : tuple of str
        A name for each plane, or none.
    factor : float or None
        Nanomaggies a pixel of 0.262 arcsec for each unit; None if not known.
    wcs : astropy.wcs.WCS or None
        Celestial.
    scale : (float, float) or None
        Arcsec a pixel along columns and rows.
    telescope : str
        What the header calls it.
    notes : tuple of (str, str)
        Doubts so far.
    box : Box or None
        The part of the image that was asked for; `values` has those pixels of it that
        there are. None if it is the whole.
    step : int
        Every so many-th pixel was read, of a very large image of no known scale.
    """

    values: Singles
    bands: tuple[str, ...] = ()
    factor: float | None = None
    wcs: WCS | None = None
    scale: tuple[float, float] | None = None
    telescope: str = ""
    notes: tuple[Note, ...] = ()
    box: Box | None = None
    step: int = 1

    __repr__ = brief

    @property
    def is_picture(self) -> bool:
        """Whether these are red, green and blue in [0, 1], and no fluxes."""
        return "".join(self.bands) == RGB_BANDS and len(self.values) == 3


def read_planes(
    source: Path | IO[bytes] | KeptFits,
    *,
    hdu: int | str | None = None,
    bands: str = "",
    mask: str = "",
    around: Around | None = None,
) -> Planes:
    """Read the planes of a FITS image.

    Parameters
    ----------
    source : path, binary stream or KeptFits
        Plain or compressed (``.gz``, ``.bz2``, ``.fz``).
    hdu : int or str, optional
        Number or name of the extension; the first that holds an image if not given.
        Several between commas, ``g,r,z``, hold one band each.
    bands : str
        Names of the planes, ``grz`` or ``F606W,F814W``; the header's if not given.
    mask : str
        Number or name of an extension (H, W): where it is not zero, no pixel has a
        value.
    around : Around, optional
        Read no more than the part around this place, if the WCS finds it. The whole
        image may then be of any size.

    Returns
    -------
    Planes
        (H, W), (bands, H, W) or (H, W, bands) in the file.

    Raises
    ------
    ImageError
        If it is missing, damaged or holds no image, has more than `MAX_PIXELS` values,
        another shape, or no value at all, or if the place is not in it.
    """
    with source.hdus() if isinstance(source, KeptFits) else open_fits(source) as hdus:
        asked = _numbers(hdu)
        if around is not None:
            around = replace(around, most=around.most // len(asked))
        chosen = [_choose(hdus, one) for one in asked]
        names = header.split_bands(bands)
        if len(chosen) == 1:
            planes = _planes(chosen[0], names, hdus, around)
        else:
            each = [_planes(one, (), hdus, around) for one in chosen]
            pairs = zip(each, asked, strict=True)
            filters = (plane.bands[0] if plane.bands else one for plane, one in pairs)
            planes = stacked(each, names or tuple(map(str, filters)))
        if not mask:
            return planes
        hidden = _choose(hdus, _numbers(mask)[0])
        hidden = sections.cut(hidden, hdus, planes.box, False, planes.step)
        return _masked(planes, np.asarray(hidden.data))


def outline(
    mosaic: KeptFits, hdu: int | str | None = None
) -> tuple[tuple[str, ...], WCS | None, tuple[int, int]]:
    """Read bands, WCS and shape of an image, and none of its pixels."""
    with mosaic.hdus() as hdus:
        chosen = _choose(hdus, _numbers(hdu)[0])
        head = _head_of(chosen, (), hdus)
        bands = head.named or header.filter_of(head.cards)
        return bands, head.sky[0], head.size


def stacked(planes: Sequence[Planes], bands: tuple[str, ...]) -> Planes:
    """Lay images of one band each upon each other."""
    planes = _on_one_grid(planes, bands)
    shapes = {each.values.shape for each in planes}
    if len(shapes) > 1 or next(iter(shapes))[0] != 1 or len(bands) != len(planes):
        found = ", ".join(str(each.values.shape[1:]) for each in planes)
        raise ImageError(
            f"expected one plane of the same shape for each band ({','.join(bands)}), "
            f"got {found}",
            Flag.BAD_SHAPE,
        )
    factors = [each.factor for each in planes]
    known = all(factor is not None for factor in factors)
    values = [each.values[0] * np.float32(each.factor or 1) for each in planes]
    first = next((each for each in planes if each.wcs), planes[0])
    return replace(
        first,
        values=np.stack(values if known else [each.values[0] for each in planes]),
        bands=bands,
        factor=1.0 if known else None,
        notes=tuple(dict.fromkeys(note for each in planes for note in each.notes)),
    )


def _on_one_grid(planes: Sequence[Planes], bands: tuple[str, ...]) -> Sequence[Planes]:
    """Bring bands to one grid, where their WCS say that they have several."""
    placed = [each for each in planes if each.wcs is not None]
    single = all(len(each.values) == 1 for each in planes)
    if not placed or not single or len(bands) != len(planes):
        return planes
    lead = min(placed, key=_fineness)
    pairs = list(zip(planes, bands, strict=True))
    lost = ", ".join(band for each, band in pairs if each.wcs is None)
    aside = [band for each, band in pairs if each.wcs and not _lies_on(each, lead)]
    if aside and lost:
        line = f"expected a WCS in each band, as their grids differ; got none in {lost}"
        raise ImageError(line, Flag.MISSING_BAND)
    if not aside and not lost:
        return planes
    line = f"no WCS in {lost}: laid pixel by pixel on the other bands"
    if aside:
        line = f"{', '.join(aside)} brought to the grid of the other bands by the WCS"
    known = all(each.factor is not None for each in planes)
    first, *others = [
        _brought(each, lead, band, known) if band in aside else each
        for each, band in pairs
    ]
    return [replace(first, notes=(*first.notes, (Flag.OTHER_GRIDS, line))), *others]


def _lies_on(planes: Planes, lead: Planes) -> bool:
    shape = lead.values.shape
    return planes.values.shape == shape and is_same_grid(lead.wcs, planes.wcs, shape)


def _fineness(planes: Planes) -> tuple[float, int]:
    """Order grids: the finest pixels first, within some percent; then the smallest."""
    width, height = planes.scale or (1.0, 1.0)
    return round(math.log(width * height), 1), planes.values.size


def _brought(planes: Planes, lead: Planes, band: str, known_units: bool) -> Planes:
    """Bring one band to the grid of another."""
    height, width = lead.values.shape[1:]
    high, wide = planes.values.shape[1:]
    x, y = pixels_on(lead.wcs, (width - 1) / 2, (height - 1) / 2, planes.wcs)
    if not (-0.5 <= x <= wide - 0.5 and -0.5 <= y <= high - 0.5):
        line = f"band {band}: expected the same part of the sky, got another"
        raise ImageError(line, Flag.MISSING_BAND)
    values = regridded(planes.values[0], planes.wcs, lead.wcs, lead.values.shape)
    if not known_units and planes.scale and lead.scale:  # counts are those of a pixel
        values *= np.float32(math.prod(lead.scale) / math.prod(planes.scale))
    return replace(
        planes, values=values[None], wcs=lead.wcs, scale=lead.scale, box=lead.box
    )


def _numbers(hdu: int | str | None) -> list[int | str | None]:
    """Split what was asked for into extensions; digits are numbers."""
    if not isinstance(hdu, str):
        return [hdu]
    parts = [part.strip() for part in hdu.split(",")]
    return [int(part) if part.isdigit() else part or None for part in parts]


def _masked(planes: Planes, mask: npt.NDArray[Any]) -> Planes:
    """Take the values away that a mask hides."""
    shape = planes.values.shape[1:]
    if mask.shape != shape:
        line = f"expected a mask of shape {shape}, got {mask.shape}"
        raise ImageError(line, Flag.BAD_SHAPE)
    values = np.where(mask != 0, np.float32(np.nan), planes.values)
    _refuse_empty(values, "masked")
    return replace(planes, values=values)


def _refuse_empty(values: Singles, all_are: str) -> None:
    if not np.isfinite(values).any():
        line = f"expected an image, got no value at all (all {all_are})"
        raise ImageError(line, Flag.NO_VALUES)


def _choose(hdus: Hdus, asked: int | str | None) -> Any:
    """Pick the extension with the image; without one given read no further than it."""
    found = (
        hdu
        for number, hdu in enumerate(hdus)
        if (asked is None and _has_image(hdu))
        or asked == number
        or (isinstance(asked, str) and hdu.name.upper() == asked.upper())
    )
    chosen = next(found, None)
    if chosen is not None and _has_image(chosen):
        return chosen
    if chosen is not None:
        line = f"expected an image in HDU {asked!r}, found none"
    elif hdus.damage:
        raise ImageError(f"expected a whole FITS file, got {hdus.damage}")
    elif asked is None:
        kinds = ", ".join(type(hdu).__name__ for hdu in hdus)
        line = f"expected an image in some HDU, found {kinds}"
    else:
        line = f"no HDU {asked!r}; it has 0 to {len(hdus) - 1}"
    raise ImageError(line, Flag.NO_IMAGE)


def _has_image(hdu: Any) -> bool:
    return hdu.is_image and len(hdu.shape) >= 2 and 0 not in hdu.shape


class _Head(NamedTuple):
    """What a header says of an image: its bands, its sides, and its place."""

    cards: header.Cards
    named: tuple[str, ...]
    size: tuple[int, int]
    last: bool  # whether its bands are
    sky: tuple[WCS | None, tuple[float, float] | None, tuple[Note, ...]]


def _head_of(hdu: Any, bands: tuple[str, ...], hdus: Hdus) -> _Head:
    cards = header.cards_of(hdu.header, hdus[0].header, hdu.shape)
    named = bands or header.bands_of(cards)
    shape = tuple(n for n in hdu.shape[:-2] if n != 1) + hdu.shape[-2:]
    last = len(shape) == 3 and band_axis(shape, len(named)) == 2
    if id(hdu) not in hdus.skies:
        sections.refuse_bombs(hdu, hdus)
        hdus.skies[id(hdu)] = sky_of(hdu.header, None if hdus.damage else hdus.all)
    height, width = shape[:2] if last else shape[-2:]
    return _Head(cards, named, (height, width), last, hdus.skies[id(hdu)])


def _planes(
    hdu: Any, bands: tuple[str, ...], hdus: Hdus, around: Around | None
) -> Planes:
    """Bring an image to (planes, H, W), and read its header."""
    cards, named, size, last, (wcs, scale, notes) = _head_of(hdu, bands, hdus)
    sections.check_size(hdu.shape, wcs, around)
    count = math.prod(hdu.shape) // max(1, math.prod(size))
    box = sections.box_around(wcs, scale, size, around, count)
    step = 1 if box else sections.step_of(scale, size, around, count)
    part = sections.cut(hdu, hdus, box, last, step)
    values = np.asarray(part.data)
    blank = header.blank_of(
        part.header, values.dtype
    )  # astropy takes it away if it used it
    if box is not None and wcs is not None:
        inside = box.within(size)
        wcs = moved_wcs(wcs, (inside.columns.start, inside.rows.start))
    shape = tuple(n for n in values.shape[:-2] if n != 1) + values.shape[-2:]
    values = values.reshape(shape)
    if len(shape) == 2:
        values = values[None]
    elif last:
        values = np.moveaxis(values, 2, 0)
    line = ""
    if values.ndim == 3 and len(values) > header.MAX_PLANES:
        line = header.too_many(len(values))
    elif values.ndim != 3:
        form = "(H, W) or (bands, H, W)"
        line = f"expected an image of shape {form}, got {shape}; cut one out of it"
    elif named and len(named) != len(values):
        got = f"{len(values)} planes and BANDS={''.join(named)!r}"
        line = f"expected a plane for each band, got {got}; name them with --bands"
    if line:
        raise ImageError(line, Flag.BAD_SHAPE)
    if len(values) == 1 and not named:
        named = header.filter_of(cards)
    factor, telescope = (
        header.nanomaggies(cards, scale, named),
        header.telescope_of(cards),
    )
    flux, lost = fluxes(values, blank)
    flux = header.linear(flux, cards)
    picture = values.dtype == np.uint8 or (factor is None and is_bytes(values))
    if len(flux) == 3 and not named and picture:
        flux, named = flux / np.float32(255), tuple(RGB_BANDS)  # a picture, as FITS
    _refuse_empty(flux, "NaN")
    doubts = (*notes, *lost)
    return Planes(flux, named, factor, wcs, scale, telescope, doubts, box, step)


def band_axis(shape: tuple[int, ...], count: int) -> int:
    """Return the axis of an image that counts its bands."""
    if count in (shape[0], shape[2]):
        return 0 if shape[0] == count else 2
    return 2 if shape[2] < min(shape[0], shape[1]) else 0
