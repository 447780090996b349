"""The forms an input can have, and the items that each holds."""
# ruff: noqa: PTH100, PTH110, PTH112, PTH116, PTH118, PTH119, PTH120, PTH122, PTH207
# There may be millions of paths: they stay text.

import glob
import math
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatch
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from dmagnet.config.classify_config import SourceConfig
from dmagnet.errors import DataError
from dmagnet.pictures.flags import Flag
from dmagnet.pictures.header import split_bands
from dmagnet.pictures.inputs.archives import ARCHIVES, members
from dmagnet.pictures.inputs.item import Item, flagged
from dmagnet.pictures.inputs.stacks import STACK_SUFFIXES, open_stack
from dmagnet.pictures.opening import ImageError
from dmagnet.pictures.tables.columns import Columns, Row, file_of, read_rows
from dmagnet.pictures.tables.coordinates import valid_position
from dmagnet.pictures.tables.opened import BLOCK, COLUMNAR, is_table, why_not

PICTURES = (
    ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm",
    ".jp2", ".avif",
)  # fmt: skip
FITS = tuple(
    map("".join, product((".fits", ".fit", ".fts"), ("", ".gz", ".fz", ".bz2")))
)
IMAGES = PICTURES + FITS
INSIDE = "::"  # between a file and what is inside of it
NOTES = (".txt", ".dat")
HATS = ("hats.properties", "properties")  # one lies in a catalog of this form
DIGITS = 19  # a number of more is no row
BRACES = re.compile(r"\{([\w,\- ]+)\}")


def expanded(text: str) -> Iterator[tuple[str, str]]:
    """Return the form of an input; a glob is what it names."""
    if os.path.exists(text):  # a name that no file can have does not exist either
        if os.path.isdir(text) and (pieces := tables_in(text)):
            yield from (("table", piece) for piece in pieces)
            return
        form = _form(text)
        other = form == "file" and not text.lower().endswith(IMAGES)
        if other and (word := why_not(Path(text))):
            raise DataError(f"{text}: expected images or a table, got {word}")
        yield form, text
    elif INSIDE in text or "\0" in text:
        yield "file", text
    elif BRACES.search(text):
        yield "bands", text
    elif glob.has_magic(text):
        for name in sorted(glob.iglob(text, recursive=True)):
            # notes lie beside images: a text is a table only by its own name
            yield "file" if name.lower().endswith(NOTES) else _form(name), name
    else:
        yield "file", text  # reading it says that it is not there


def is_there(text: str) -> bool:
    """Return whether an input names anything at all."""
    whole = text.partition(INSIDE)[0]
    if os.path.exists(text) or (whole != text and os.path.exists(whole)):
        return True
    if "\0" in text:
        return False
    if found := BRACES.search(text):
        bands = split_bands("grz" if found[1] == "band" else found[1])
        return any(is_there(BRACES.sub(band, text, count=1)) for band in bands)
    return glob.has_magic(text) and any(True for _ in glob.iglob(text, recursive=True))


def _form(path: str) -> str:
    if os.path.isdir(path):
        return "folder"
    name = path.lower()
    if name.endswith(PICTURES):
        return "file"
    if name.endswith(ARCHIVES):
        return "archive"
    if name.endswith(STACK_SUFFIXES):
        return "stack"
    return "table" if is_table(Path(path)) else "file"


def items_of(form: str, path: str, config: SourceConfig) -> Iterator[Item]:
    """Name the images of one input that is no table."""
    try:
        match form:
            case "folder":
                yield from _of_folder(path)
            case "archive":
                for name, at in members(os.path.abspath(path), IMAGES):
                    yield item_of_member(path, name, at)
            case "stack":
                yield from _of_stack(path, config)
            case "bands":
                yield from _of_bands(path, config.bands)
            case _:
                yield item_of_name(path)
    except ImageError as error:
        yield refused(path, error)


@lru_cache(1024)  # rows of one file share it
def _stem(name: str) -> str:
    """Return a name without its suffix, however it is packed."""
    lower = name.lower()
    fitting = [suffix for suffix in IMAGES if lower.endswith(suffix)]
    if not fitting:
        return os.path.splitext(name)[0]
    return name[: -len(max(fitting, key=len))]


def item_of_name(path: str, identity: str = "") -> Item:
    """Name one file, or one image inside of a file."""
    try:
        path.encode()
    except UnicodeEncodeError:  # no table could hold it
        shown = path.encode("utf-8", "replace").decode()
        line = "its name is no UTF-8: rename it"
        return Item(id=shown, path=shown, flag=Flag.UNREADABLE, reason=line)
    if "\0" in path:
        line = "no file can have this name (NUL)"
        return Item(id=path, path=path, flag=Flag.NOT_FOUND, reason=line)
    whole, inside, key = path.partition(INSIDE)
    if not inside or os.path.exists(path):
        name = identity or _stem(os.path.basename(path))
        return Item(id=name, path=path, files=(os.path.abspath(path),))
    if key.isdecimal() and len(key) < DIGITS and not whole.lower().endswith(ARCHIVES):
        return _item_of_cell(whole, os.path.abspath(whole), int(key), identity)
    return item_of_member(whole, key, identity=identity)


def item_of_member(path: str, name: str, at: int = -1, *, identity: str = "") -> Item:
    """Name one file of an archive."""
    return Item(
        id=identity or _stem(name), path=f"{path}{INSIDE}{name}", kind="member",
        files=(os.path.abspath(path),), key=name, row=at,
    )  # fmt: skip


def _item_of_cell(
    path: str, file: str, row: int, identity: str = "", **known: Any
) -> Item:
    """Name one image of a stack, or of a table that holds images."""
    identity = identity or f"{_stem(os.path.basename(path))}/{row}"
    shown = f"{path}{INSIDE}{row}"
    return Item(id=identity, path=shown, kind="row", files=(file,), row=row, **known)


def _walk(folder: str, seen: set[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """List the files below a folder, sorted; those it may not list are the others."""
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return  # a link that leads back
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            names = sorted((e.name, _is_folder(e)) for e in entries if e.name[0] != ".")
    except FileNotFoundError:
        return  # it went away
    except OSError:
        yield folder, False
        return
    for name, is_folder in names:
        path = os.path.join(folder, name)
        if is_folder:
            yield from _walk(path, seen)
        else:
            yield path, True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _of_folder(folder: str) -> Iterator[Item]:
    for path, is_file in _walk(folder, set()):
        relative = os.path.relpath(path, folder).replace(os.sep, "/")
        if not is_file:
            line = "a folder that cannot be listed"
            yield flagged(item_of_name(path, relative), Flag.UNREADABLE, line)
        elif path.lower().endswith(IMAGES):
            yield item_of_name(path, _stem(relative))


def others(folder: str) -> int:
    """Count the files of a folder that are no images."""
    files = (path for path, is_file in _walk(folder, set()) if is_file)
    return sum(not path.lower().endswith(IMAGES) for path in files)


def tables_in(folder: str) -> list[str]:
    """List the pieces of a folder that is a table: of HATS, or of Hugging Face."""
    inner = os.path.join(folder, "dataset")
    marks = (os.path.join(folder, name) for name in HATS)
    hats = os.path.isdir(inner) and any(map(os.path.exists, marks))
    pieces = []
    for path, is_file in _walk(inner if hats else folder, set()):
        name = os.path.basename(path).lower()
        if not hats and name.endswith(IMAGES):
            return []
        # a thumbnail repeats rows, and so do what `datasets` keeps of its work
        again = f"{os.sep}Npix=" not in path if hats else name.startswith("cache-")
        if is_file and not again and name.endswith(COLUMNAR):
            pieces.append(path)
    return pieces


def _of_stack(path: str, config: SourceConfig) -> Iterator[Item]:
    file = os.path.abspath(path)
    stack = open_stack(file, config.dataset)
    for start in range(0, len(stack), BLOCK):
        rows = range(start, min(start + BLOCK, len(stack)))
        columns = [stack.numbers(name, rows) for name in ("ra", "dec")]
        for row, *place in zip(rows, *columns, strict=True):
            ra, dec = valid_position(*place) or (math.nan, math.nan)
            yield _item_of_cell(path, file, row, key=stack.name, ra=ra, dec=dec)


def refused(path: str, error: DataError) -> Item:
    """Name a file of images that cannot be opened: one row says so."""
    missing = isinstance(error, ImageError) and error.fault == Flag.NOT_FOUND
    flag = Flag.NOT_FOUND if missing else Flag.UNREADABLE
    reason = " ".join(str(error).split()).removeprefix(f"{os.path.abspath(path)}: ")
    return replace(item_of_name(path), flag=flag, reason=reason)


def _of_bands(pattern: str, given: str) -> Iterator[Item]:
    """Name images of one file a band, those too that lack one."""
    found = BRACES.search(pattern)
    assert found is not None
    bands = split_bands(found[1] if found[1] != "band" else given or "grz")
    before, after = pattern[: found.start()], pattern[found.end() :]
    places = set()
    for band in bands:
        pattern = before + band + after
        magic = glob.has_magic(pattern)
        for name in glob.iglob(pattern, recursive=True) if magic else [pattern]:
            places.add(_around(name, before, band, after))
    for start, end in sorted(places):
        shown = f"{start}{{{','.join(bands)}}}{end}"
        files = tuple(os.path.abspath(f"{start}{band}{end}") for band in bands)
        name = _stem(os.path.basename(start + end)).strip("_-. ") or "image"
        yield Item(id=name, path=shown, kind="bands", files=files, key=",".join(bands))


def _around(name: str, before: str, band: str, after: str) -> tuple[str, str]:
    """Return what stands before and after the band in a name that a glob found."""
    spots = [found.start() for found in re.finditer(re.escape(band), name)][::-1]
    parts = [(name[:spot], name[spot + len(band) :]) for spot in spots]
    fitting = [p for p in parts if fnmatch(p[0], before) and fnmatch(p[1], after)]
    return (fitting or parts)[0]


def items_of_table(path: str, columns: Columns) -> Iterator[Item]:
    """Name what the rows of a table point at."""
    file = os.path.abspath(path)
    for number, row in enumerate(read_rows(Path(path), columns)):
        yield item_of_row(row, number, (path, file), columns)


def item_of_row(
    row: Row, number: int, table: tuple[str, str], columns: Columns
) -> Item:
    """Name what a row of a table (as given, as found) points at: files, a place."""
    (path, file), shown = table, ",".join(row.paths)
    name, ra, dec = row.id or str(number), row.ra, row.dec
    if columns.packed:
        known = {"key": columns.packed, "ra": ra, "dec": dec, "reason": row.doubt}
        return _item_of_cell(path, file, number, row.id, **known)
    if row.fault:
        return Item(id=name, path="", flag=Flag.UNREADABLE, reason=row.fault)
    try:
        files = tuple(file_of(os.path.dirname(file), p) if p else "" for p in row.paths)
    except ImageError as error:
        item = Item(id=row.id or shown, path=shown, ra=ra, dec=dec)
        return flagged(item, Flag.NOT_FOUND, str(error))
    if columns.bands:
        key = ",".join(columns.bands)
        item = Item(
            id=name, path=shown, kind="bands", files=files, key=key, ra=ra, dec=dec
        )
    elif not columns.paths:
        item = Item(id=name, path="", kind="position", ra=ra, dec=dec)
        if math.isnan(ra):
            line = row.doubt or f"row {number} has no position"
            return flagged(item, Flag.BAD_POSITION, line)
    elif shown:
        item = replace(item_of_name(files[0], row.id), path=shown, ra=ra, dec=dec)
    else:
        line = row.reason or f"row {number} has no path"
        item = flagged(Item(id=name, path="", ra=ra, dec=dec), Flag.NOT_FOUND, line)
    return flagged(item, Flag.BAD_COORDINATE, row.doubt) if row.doubt else item
