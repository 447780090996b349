"""Positions to a folder of cut-outs, each a file that says what it is, and a table.

A file that is there and was made of the same row with the same settings is done: so a
stopped run goes on, and a longer table needs only what is new.
"""

import csv
import hashlib
import io
import math
import re
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.table import Column, Table
from PIL import Image

from dmagnet import __version__
from dmagnet.classifying.catalog_run import Outcome
from dmagnet.classifying.table_columns import line as line_of
from dmagnet.config.checks import settled
from dmagnet.config.classify_config import SERVICE, CuttingConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.pictures.cutout import moved_wcs
from dmagnet.pictures.flags import NO_CLASS, Flag
from dmagnet.pictures.image import draw_planes, planes_hdu
from dmagnet.pictures.inputs.cutout_files import Shelf
from dmagnet.pictures.inputs.cutouts import fetched
from dmagnet.pictures.inputs.footprints import Tiles, is_blank, open_tiles
from dmagnet.pictures.inputs.item import Item, flagged
from dmagnet.pictures.inputs.listing import Listing, list_items, repeated
from dmagnet.pictures.inputs.reading import planes_of
from dmagnet.pictures.opening import BROKEN, ImageError, quiet
from dmagnet.pictures.planes import Planes
from dmagnet.pictures.sections import MOST
from dmagnet.storage.disk import beside, claimed, open_file, write_whole
from dmagnet.storage.environment import Announce, bars, counter

TABLE = "cutouts.ecsv"
TOGETHER = 20_000  # positions that are cut tile by tile
LONGEST = 100  # characters of a name
DIGITS = 9  # of a pixel scale
QUALITY = 95  # of JPEG
BLANK = 0.01  # share of pixels without a value that is worth a word
KEY = "CUTKEY"  # card of a cut-out: a fingerprint of its row and the settings
SUFFIXES = {"fits": ".fits", "jpeg": ".jpg"}
COLUMNS = {
    "id": (str, "", "Name of the row"),
    "ra": (float, "deg", "Right ascension, ICRS"),
    "dec": (float, "deg", "Declination, ICRS"),
    "path": (str, "", "The cut-out, beside this table; empty if there is none"),
    "pxscale": (float, "arcsec", "Size of its pixels"),
    "tile": (str, "", "Where it was cut or fetched from"),
    "flag": (
        np.int32,
        "",
        "Bits, see dmagnet.pictures.inputs.Flag; below 65536 no file",
    ),
    "reason": (str, "", "The flags in words"),
}
PATH = list(COLUMNS).index("path")


def write_cutouts(
    inputs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    config: CuttingConfig | None = None,
    announce: Announce | None = None,
    tell: Callable[[str], None] | None = None,
    **settings: Any,
) -> Outcome:
    """Cut positions out of tiles, or fetch them, in constant memory.

    Parameters
    ----------
    inputs : path or sequence of paths
        Tables with positions.
    out : path
        Folder for the cut-outs and their table, ``cutouts.ecsv``. What is there of the
        same rows and settings is not made again.
    config : CuttingConfig, optional
        Where the images come from, and what becomes of them.
    announce : callable, optional
        Called with a name and a total, returns what to call with the count done.
    tell : callable, optional
        Called with a line when the cut-out service makes us wait, and with none after.
    **settings
        Fields of ``config`` by name, in its place.

    Returns
    -------
    Outcome
        Where the table is, and how many rows have no cut-out.

    Raises
    ------
    ConfigError
        If the service sends JPEG and FITS is wanted.
    DataError
        If there is no cut-out at all (then there is no table), a tile cannot be used,
        something that dmagnet did not make lies in the way, or the disk refuses.
    """
    out = Path(out)
    config = settled(write_cutouts, config or CuttingConfig(), settings)
    cutout, source = config.cutout, config.source
    local = cutout.tiles != SERVICE
    if not local and config.format == "fits" and Shelf.of(cutout).suffix == ".jpg":
        raise ConfigError("expected FITS of the service, its address gives JPEG: add "
                          "--format jpeg")  # fmt: skip
    listing = list_items(inputs, source)
    listing.note_fetching(cutout)
    with claimed(out, TABLE):
        cutter = _Cutter(out, config, listing)
        count = counter(announce or bars(), "Cutting", len(listing))
        done, reasons = 0, Counter[str]()
        begun = (cutter.begun(each, number) for number, each in enumerate(listing))
        desk = {"source": source, "cache": config.cache, "progress": tell}
        with (
            beside(out / TABLE) as part,
            part.open("w", encoding="utf-8", newline="") as file,
            closing(fetched(begun, cutout, **desk)) as items,  # type: ignore[arg-type, type-var]
        ):
            file.write(_head())
            rows = csv.writer(file, lineterminator="\n")
            while block := list(islice(items, TOGETHER if local else 1)):
                made: dict[int, list[Any]] = {}
                for n in sorted(range(len(block)), key=lambda n: block[n].files):
                    made[n] = cutter.row(block[n], done + n)
                    count(done + len(made))
                for _, row in sorted(made.items()):
                    rows.writerow(row)
                    reasons.update([] if row[PATH] else [row[-1]])
                done += len(block)
            if reasons.total() == done:
                told = "; ".join(f"{why} ({n})" for why, n in reasons.most_common(3))
                raise DataError(f"none of {done} positions has a cut-out: {told}")
    why = dict(reasons.most_common())
    return Outcome(out / TABLE, done, reasons.total(), listing.notes, reasons=why)


class _Cutter:
    """Names cut-outs, makes them, and knows those that are made."""

    def __init__(self, out: Path, config: CuttingConfig, listing: Listing) -> None:
        self.out, self.config = out, config
        self.tiles: Tiles | None = None
        if config.cutout.tiles != SERVICE:
            self.tiles = open_tiles(config.cutout, config.source)
        asked = ("tiles", "url", "layer", "bands", "pixel_scale", "size")
        cutout = [getattr(config.cutout, name) for name in asked]
        self.settings = repr((config.format, config.source, cutout)).encode()
        names = array("q", (hash(_plain(item.id).casefold()) for item in listing))
        self.twice = repeated(np.frombuffer(names, np.int64))

    def path(self, item: Item, number: int) -> Path:
        """Name the file of a row: after its id, and its number if others are alike."""
        name = _plain(item.id)
        if hash(name.casefold()) in self.twice:
            name = f"{name}@{number}"
        return self.out / f"{name}{SUFFIXES[self.config.format]}"

    def begun(self, item: Item, number: int) -> Item:
        """Take the position of any row; with its file, if that is made already."""
        if math.isfinite(item.ra + item.dec):
            bare = Item(id=item.id, path="", kind="position", ra=item.ra, dec=item.dec)
            twice = item.flag & Flag.DUPLICATE_ID
            item = (
                flagged(bare, twice, "another row has the same id") if twice else bare
            )
        elif not item.flag & NO_CLASS:
            line = "expected a position (columns ra and dec), got none"
            item = flagged(item, Flag.BAD_POSITION, line)
        path = self.path(item, number)
        head = _header_in(path)
        if item.flag & NO_CLASS or head is None or head.get(KEY) != self._key(item):
            return item
        return replace(
            item,
            kind="file",
            files=(str(path),),
            path=_text(head["TILE"]),
            flag=Flag(head["FLAG"]),
            reason=_text(head["REASON"]),
        )

    def row(self, item: Item, number: int) -> list[Any]:
        """Make the file of a row, if it is not made yet; what the table says of it."""
        path, scale = self.path(item, number), math.nan
        if item.files == (str(path),):
            head = _header_in(path)
            scale = head["PXSCALE"] if head else math.nan
        elif not item.flag & NO_CLASS:
            try:
                item, scale = self._made(item, path)
            except ImageError as error:
                line = " ".join(str(error).split())
                item = flagged(item, error.fault, line)
        name = "" if item.flag & NO_CLASS else path.name
        ends = line_of(item.path), int(item.flag), line_of(item.reason)
        return [line_of(item.id), item.ra, item.dec, name, scale, *ends]

    def _key(self, item: Item) -> str:
        """Fingerprint what a file is made of."""
        place = repr((item.id, item.ra, item.dec)).encode("utf-8", "surrogateescape")
        return hashlib.sha256(self.settings + place).hexdigest()[:16]

    def _made(self, item: Item, path: Path) -> tuple[Item, float]:
        """Write one cut-out; return the item with its doubts, and the pixel scale."""
        key, cutout = self._key(item), self.config.cutout
        if item.files[0].endswith(".jpg"):  # of the service, as it sent it
            write_whole(path, Path(item.files[0]).read_bytes())
            return item, cutout.pixel_scale
        around = self.tiles.around(item) if self.tiles else None
        planes = planes_of(item, self.config.source, around)
        if self.tiles:
            planes = _padded(planes, cutout.size * cutout.pixel_scale)
            if is_blank(planes, item):
                line = "the tile has no values at this place"
                return flagged(item, Flag.OUTSIDE_SURVEY, line), math.nan
        for doubt, text in planes.notes:
            item = flagged(item, doubt, text)
        if (share := float(np.isnan(planes.values).mean())) > BLANK:
            line = f"{100 * share:.0f} % of the cut-out has no values"
            item = flagged(item, Flag.SMALL_FIELD, line)
        scale = round(float(np.mean(planes.scale or (math.nan,))), DIGITS)
        hdu = planes_hdu(planes)
        hdu.header.update(
            OBJECT=_ascii(item.id), RA=item.ra, DEC=item.dec, PXSCALE=scale,
            TILE=_ascii(item.path), FLAG=int(item.flag), REASON=_ascii(item.reason),
            DMAGNET=__version__,
        )  # fmt: skip
        hdu.header[KEY] = (key, "of this row and the settings")
        buffer = io.BytesIO()
        if self.config.format == "fits":
            hdu.writeto(buffer)
        else:
            rgb, _ = draw_planes(planes)
            pixels = np.ascontiguousarray(rgb[::-1] * 255 + 0.5).astype(np.uint8)
            words = hdu.header.tostring(sep="\n").encode()
            image = Image.fromarray(pixels)
            image.save(buffer, "JPEG", quality=QUALITY, comment=words)
        write_whole(path, buffer.getvalue())
        return item, scale


def _padded(planes: Planes, angle: float) -> Planes:
    """Bring a part to the side that was asked for; NaN beyond its tile."""
    box = planes.box
    if box is None or planes.scale is None:
        return planes
    width, height = (max(1, round(angle / step)) for step in planes.scale)
    if width * height > MOST:
        line = (
            f"expected at most {MOST / 1e6:.0f} million pixels, got {width} x {height}"
        )
        raise ImageError(f"{line}; ask for a smaller --cutout.size", Flag.TOO_LARGE)
    left = box.left - (width - box.width) // 2
    low = box.bottom - (height - box.height) // 2
    x, y = max(0, box.left) - left, max(0, box.bottom) - low
    high, wide = planes.values.shape[1:]
    around = (0, 0), (y, height - high - y), (x, width - wide - x)
    if not np.any(around):
        return planes
    values = np.pad(planes.values, around, constant_values=np.nan)
    wcs = moved_wcs(planes.wcs, (-x, -y))
    return replace(planes, values=values, wcs=wcs)


def _plain(name: str) -> str:
    """Make a name fit for a file."""
    return re.sub(r"[^\w.+-]+", "_", name).lstrip(".-")[:LONGEST] or "_"


def _header_in(path: Path) -> fits.Header | None:
    """Read what a cut-out says of itself; None if it is not there or says nothing."""
    try:
        with quiet(), open_file(path) as file:
            if path.suffix == ".fits":
                return fits.Header.fromfile(file)
            with Image.open(file, formats=("JPEG",)) as image:
                return fits.Header.fromstring(image.info["comment"].decode(), sep="\n")
    except BROKEN:
        return None


def _ascii(text: str) -> str:
    """Write any text as FITS allows it."""
    return line_of(text).encode("unicode_escape").decode()


def _text(card: str) -> str:
    return card.encode().decode("unicode_escape")


def _head() -> str:
    """Write the head of the table, as astropy does."""
    table, head = Table(meta={"dmagnet": __version__}), io.StringIO()
    for name, (kind, unit, description) in COLUMNS.items():
        table[name] = Column([], dtype=kind, unit=unit or None, description=description)
    table.write(head, format="ascii.ecsv", delimiter=",")
    return head.getvalue()
