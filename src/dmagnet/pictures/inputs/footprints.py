"""Footprints of mosaics and tiles: which one a position is to be cut out of.

Of a tile nothing is kept but where it lies, so there may be any number.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.wcs import WCS

from dmagnet.config.classify_config import CutoutConfig, SourceConfig
from dmagnet.errors import DataError
from dmagnet.pictures.astrometry import icrs_of, pixel_of, regridded
from dmagnet.pictures.bands import noise_of, wavelength
from dmagnet.pictures.flags import NO_CLASS, Flag
from dmagnet.pictures.header import split_bands
from dmagnet.pictures.image import is_fits
from dmagnet.pictures.inputs.cutout_files import Failure, place
from dmagnet.pictures.inputs.item import Item, flagged
from dmagnet.pictures.inputs.listing import list_items, refuse_absent
from dmagnet.pictures.inputs.reading import planes_of
from dmagnet.pictures.inputs.stacks import open_mosaic
from dmagnet.pictures.opening import ImageError
from dmagnet.pictures.planes import Planes, outline
from dmagnet.pictures.sections import Around
from dmagnet.storage.arrays import Floats

Files = tuple[tuple[str, str, str], ...]  # path, how it was named, its band

CENTER = 4  # px around a position that say whether its tile was observed there
KNOWN = 256  # tiles whose WCS is kept
SLACK = 1.02  # of the way from the middle of a tile to its farthest corner
SIGMAS, SHARE = 5.0, 0.01  # so many pixels differ by more only if the tiles do
ENOUGH = 64  # pixels that tell
ROUNDING = 1e-5  # of the brightest pixel, in images without noise


@dataclass(frozen=True)
class Tile:
    """One FITS image; its band if it has one with a name, and others hold the rest."""

    file: str
    shown: str
    band: str = ""


def open_tiles(config: CutoutConfig, source: SourceConfig) -> "Tiles":
    """Read where the tiles lie, or return the last that were, if they are the same."""
    refuse_absent(config.tiles)
    files = tuple(_files(config.tiles))
    paths = [Path(file) for file, _, _ in files]
    times = tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in paths)
    return _tiles(config, source, files, times)


@lru_cache(1)
def _tiles(
    config: CutoutConfig, source: SourceConfig, files: Files, times: tuple[int, ...]
) -> "Tiles":
    del times
    return Tiles(config, source, files)


class Tiles:
    """Footprints of many FITS images; made by `open_tiles`."""

    def __init__(
        self, config: CutoutConfig, source: SourceConfig, files: Files
    ) -> None:
        self._angle, self._source = config.size * config.pixel_scale, source
        self._wcs_of = lru_cache(KNOWN)(self._outline)
        letters = {wavelength(letter): letter for letter in config.bands}
        self._tiles: list[Tile] = []
        rows: list[tuple[float, ...]] = []
        for file, shown, told in files:
            bands, wcs, shape = outline(open_mosaic(file), source.hdu or None)
            if wcs is None or not math.isfinite(sum(middle := _middle(wcs, shape))):
                line = "expected a FITS image with a WCS, it does not say where it lies"
                raise DataError(f"{shown}: {line}; leave it out")
            band = told or (bands[0] if len(bands) == 1 else "")
            band = letters.get(wavelength(band), band)
            self._tiles.append(Tile(file, shown, band))
            rows.append((*_vector(*middle), _reach(wcs, shape, middle)))
        if not rows:
            raise DataError(f"{config.tiles[0]}: expected FITS images, found none")
        self._middles, self._reach = np.array(rows)[:, :3], np.array(rows)[:, 3]
        there = dict.fromkeys(tile.band for tile in self._tiles if tile.band)
        self._bands = [letter for letter in config.bands if letter in there]
        self._bands = self._bands or sorted(there, key=wavelength)

    def located(self, item: Item) -> Item:
        """Tell a position the files in which it lies deepest, or why there are none."""
        if item.kind != "position" or item.flag & NO_CLASS:
            return item
        if isinstance(where := place(item.ra, item.dec), Failure):
            return flagged(item, where.flag, where.reason)
        inside = self._inside(item.ra, item.dec)
        chosen = {"": [tile for tile in inside if not tile.band]}
        if not chosen[""]:
            chosen = {b: [t for t in inside if t.band == b] for b in self._bands}
        if not any(chosen.values()):
            return flagged(item, Flag.OUTSIDE_SURVEY, "outside all tiles")
        if lost := [band for band, tiles in chosen.items() if not tiles]:
            line = f"outside all tiles of band {', '.join(lost)}"
            return flagged(item, Flag.MISSING_BAND, line)
        best: list[Tile] = []
        for tiles in chosen.values():
            tile, other = self._picked(tiles, item)
            best.append(tile)
            if other:
                line = f"{other.shown} shows something else there than {tile.shown}"
                item = flagged(item, Flag.TILES_DISAGREE, line)
        return replace(
            item,
            kind="file" if len(best) == 1 else "bands",
            path=",".join(tile.shown for tile in best),
            files=tuple(tile.file for tile in best),
            key="" if len(best) == 1 else ",".join(chosen),
            shared=True,
        )

    def around(self, item: Item) -> Around:
        """Say how much sky to cut out."""
        return Around(item.ra, item.dec, self._angle, alone=False)

    def _outline(self, file: str) -> Any:
        return outline(open_mosaic(file), self._source.hdu or None)[1:]

    def _inside(self, ra: float, dec: float) -> list[Tile]:
        """List the tiles that have a place, the one first whose edge is farthest."""
        near = np.flatnonzero(self._middles @ _vector(ra, dec) >= self._reach)
        found = []
        for number in near.tolist():
            wcs, (height, width) = self._wcs_of(self._tiles[number].file)
            x, y = pixel_of(wcs, ra, dec) or (math.nan, math.nan)
            inside = min(x + 0.5, width - 0.5 - x), min(y + 0.5, height - 0.5 - y)
            steps = np.linalg.norm(wcs.pixel_scale_matrix, axis=0)  # degrees
            depth = min(inside * steps)
            if min(inside) >= 0 and math.isfinite(depth):
                found.append((-depth, number))
        return [self._tiles[number] for _, number in sorted(found)]

    def _picked(self, tiles: Sequence[Tile], item: Item) -> tuple[Tile, Tile | None]:
        """Pick the first tile that was observed there, and another that disagrees."""
        seen: list[tuple[Tile, Planes]] = []
        for tile in tiles if len(tiles) > 1 else ():
            if (planes := self._seen(tile, item)) is not None:
                seen.append((tile, planes))
            if len(seen) == 2:
                (first, one), (second, other) = seen
                return first, second if differ(one, other) else None
        return (seen[0][0] if seen else tiles[0]), None

    def _seen(self, tile: Tile, item: Item) -> Planes | None:
        """Read a place on one of several tiles; None if it is blank or damaged."""
        single = replace(item, kind="file", files=(tile.file,), shared=True)
        try:
            planes = planes_of(single, self._source, self.around(item))
        except ImageError:
            return None
        return None if is_blank(planes, item) else planes


def is_blank(planes: Planes, item: Item) -> bool:
    """Return whether an image has no value around a place."""
    pixel = None if planes.wcs is None else pixel_of(planes.wcs, item.ra, item.dec)
    if pixel is None or not math.isfinite(sum(pixel)):
        return False
    left, low = (max(0, round(p) - CENTER) for p in pixel)
    part = planes.values[:, low : low + 2 * CENTER, left : left + 2 * CENTER]
    return not (np.isfinite(part) & (part != 0)).any()


def differ(one: Planes, other: Planes) -> bool:
    """Return whether two images of one place differ by more than their noise."""
    known = None not in (one.factor, other.factor)
    units = [np.float32(each.factor if known else 1) for each in (one, other)]
    for plane, beside in zip(one.values, other.values, strict=False):
        there = regridded(beside, other.wcs, one.wcs, plane.shape)
        off = plane * units[0] - there * units[1]
        off = off[np.isfinite(off)]
        if off.size < ENOUGH:
            continue
        noise = math.hypot(noise_of(plane) * units[0], noise_of(beside) * units[1])
        noise = max(noise, ROUNDING * float(np.nanmax(np.abs(plane)) * units[0]))
        if abs(np.median(off)) > noise or (abs(off) > SIGMAS * noise).mean() > SHARE:
            return True
    return False


def _files(given: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """List FITS files, how they were named, and their band if that says it."""
    for item in list_items(given):
        if item.flag & NO_CLASS:
            raise DataError(f"{item.path}: {item.reason}")
        if item.kind not in ("file", "bands"):
            name = item.path or ", ".join(given)
            raise DataError(f"{name}: expected FITS images with a WCS, got others")
        bands = split_bands(item.key) if item.kind == "bands" else ("",)
        for file, band in zip(item.files, bands, strict=True):
            if is_fits(Path(file)):
                yield file, item.path if not band else file, band


def _middle(wcs: WCS, shape: tuple[int, int]) -> tuple[float, float]:
    return icrs_of(wcs, (shape[1] - 1) / 2, (shape[0] - 1) / 2)


def _reach(wcs: WCS, shape: tuple[int, int], middle: tuple[float, float]) -> float:
    """Return the cosine of the angle within which the places of a tile lie."""
    height, width = shape
    corners = [(x, y) for x in (-0.5, width - 0.5) for y in (-0.5, height - 0.5)]
    places = np.array([_vector(*icrs_of(wcs, *corner)) for corner in corners])
    farthest = float((places @ _vector(*middle)).min())  # NaN: beyond the sky
    angle = math.acos(max(-1.0, farthest)) if math.isfinite(farthest) else math.pi
    return math.cos(min(math.pi, SLACK * angle))


def _vector(ra: float, dec: float) -> Floats:
    """Return the direction of a place."""
    a, d = math.radians(ra), math.radians(dec)
    return np.array([math.cos(d) * math.cos(a), math.cos(d) * math.sin(a), math.sin(d)])
