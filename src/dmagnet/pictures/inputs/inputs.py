"""The forms an input can have, and the items that each holds."""
# ruff: noqa: PTH100, PTH110, PTH116, PTH118, PTH119, PTH120, PTH122, PTH207
# There may be millions of paths: they stay text.

import dataclasses
import glob
import math
import os
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from dmagnet.config.classify_config import SourceConfig
from dmagnet.errors import DataError
from dmagnet.pictures.faults import ImageError
from dmagnet.pictures.header import split_bands
from dmagnet.pictures.inputs.item import Flag, Item
from dmagnet.pictures.inputs.stacks import STACK_SUFFIXES, members, open_stack
from dmagnet.pictures.tables.columns import Columns
from dmagnet.pictures.tables.coordinates import valid_position
from dmagnet.pictures.tables.opened import BLOCK, is_table, why_not
from dmagnet.pictures.tables.rows import Row, file_of, read_rows

PICTURES = (
    ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm",
    ".jp2", ".avif",
)  # fmt: skip
FITS = tuple(
    f".{name}{packed}"
    for name in ("fits", "fit", "fts")
    for packed in ("", ".gz", ".fz", ".bz2")
)
IMAGES = PICTURES + FITS
INSIDE = "::"  # between a file and what is inside of it
NOTES = (".txt", ".dat")
DIGITS = 19  # a number of more is no row
BRACES = re.compile(r"\{([\w,\- ]+)\}")


def expanded(text: str) -> Iterator[tuple[str, str]]:
    """Tell the form of an input; a glob is what it names."""
    if os.path.exists(text):  # a name that no file can have does not exist either
        if word := why_not(Path(text)):
            raise DataError(f"{text}: expected images or a table, got {word}")
        yield _form(Path(text)), text
    elif INSIDE in text or "\0" in text:
        yield "file", text
    elif BRACES.search(text):
        yield "bands", text
    elif glob.has_magic(text):
        for name in sorted(glob.iglob(text, recursive=True)):
            # notes lie beside images: a text is a table only by its own name
            yield "file" if name.lower().endswith(NOTES) else _form(Path(name)), name
    else:
        yield "file", text  # reading it says that it is not there


def is_there(text: str) -> bool:
    """Tell whether an input names anything at all."""
    whole = text.partition(INSIDE)[0]
    if os.path.exists(text) or (whole != text and os.path.exists(whole)):
        return True
    if "\0" in text:
        return False
    if found := BRACES.search(text):
        bands = split_bands("grz" if found[1] == "band" else found[1])
        return any(is_there(BRACES.sub(band, text, count=1)) for band in bands)
    return glob.has_magic(text) and any(True for _ in glob.iglob(text, recursive=True))


def _form(path: Path) -> str:
    if path.is_dir():
        return "folder"
    name = path.name.lower()
    if name.endswith(".zip"):
        return "zip"
    if name.endswith(STACK_SUFFIXES):
        return "stack"
    return "table" if is_table(path) else "file"


def items_of(form: str, path: str, config: SourceConfig) -> Iterator[Item]:
    """Name the images of one input that is no table."""
    if form == "folder":
        return _of_folder(path)
    if form == "zip":
        return _of_zip(path)
    if form == "stack":
        return _of_stack(path, config)
    if form == "bands":
        return _of_bands(path, config)
    return iter([_of_name(path)])


def check_dataset(path: str, config: SourceConfig) -> None:
    """Raise if a whole stack has no images; one that is damaged becomes a row."""
    try:
        open_stack(os.path.abspath(path), config.dataset)
    except ImageError:
        return


def _stem(name: str) -> str:
    """Return a name without its suffix, however it is packed."""
    lower = name.lower()
    suffix = next((s for s in sorted(IMAGES, key=len)[::-1] if lower.endswith(s)), "")
    return name[: len(name) - len(suffix)] if suffix else os.path.splitext(name)[0]


def _of_name(path: str, identity: str = "") -> Item:
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
    file = os.path.abspath(whole)
    if not inside or os.path.exists(path):
        name = identity or _stem(os.path.basename(path))
        return Item(id=name, path=path, files=(os.path.abspath(path),))
    if key.isdecimal() and len(key) < DIGITS and not whole.lower().endswith(".zip"):
        stem = _stem(os.path.basename(whole))
        name = identity or f"{stem}/{key}"
        return Item(id=name, path=path, kind="row", files=(file,), row=int(key))
    name = identity or _stem(key)
    return Item(id=name, path=path, kind="member", files=(file,), key=key)


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
            yield dataclasses.replace(
                _of_name(path, relative), flag=Flag.UNREADABLE, reason=line
            )
        elif path.lower().endswith(IMAGES):
            yield _of_name(path, _stem(relative))


def others(folder: str) -> int:
    """Count the files of a folder that are no images."""
    files = (path for path, is_file in _walk(folder, set()) if is_file)
    return sum(1 for path in files if not path.lower().endswith(IMAGES))


def _of_zip(path: str) -> Iterator[Item]:
    file = os.path.abspath(path)
    try:
        names = members(file, IMAGES)
    except ImageError as error:
        yield refused(path, error)
        return
    for name in names:
        shown = f"{path}{INSIDE}{name}"
        yield Item(id=_stem(name), path=shown, kind="member", files=(file,), key=name)


def _of_stack(path: str, config: SourceConfig) -> Iterator[Item]:
    file = os.path.abspath(path)
    try:
        stack = open_stack(file, config.dataset)
    except ImageError as error:
        yield refused(path, error)
        return
    stem = _stem(os.path.basename(path))
    for start in range(0, len(stack), BLOCK):
        rows = range(start, min(start + BLOCK, len(stack)))
        columns = [stack.numbers(name, rows) for name in ("ra", "dec")]
        for row, *place in zip(rows, *columns, strict=True):
            ra, dec = valid_position(*place) or (math.nan, math.nan)
            yield Item(
                id=f"{stem}/{row}", path=f"{path}{INSIDE}{row}", kind="row",
                files=(file,), key=stack.name, row=row, ra=ra, dec=dec,
            )  # fmt: skip


def refused(path: str, error: DataError) -> Item:
    """Name a file of images that cannot be opened: one row says so."""
    missing = isinstance(error, ImageError) and error.fault == "missing"
    flag = Flag.NOT_FOUND if missing else Flag.UNREADABLE
    reason = " ".join(str(error).split()).removeprefix(f"{os.path.abspath(path)}: ")
    return dataclasses.replace(_of_name(path), flag=flag, reason=reason)


def _of_bands(pattern: str, config: SourceConfig) -> Iterator[Item]:
    """Name images of one file a band, those too that lack one."""
    found = BRACES.search(pattern)
    assert found is not None
    given = found[1] if found[1] != "band" else config.bands or "grz"
    bands = split_bands(given)
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
    folder = os.path.dirname(os.path.abspath(path))
    for number, row in enumerate(read_rows(Path(path), columns)):
        if columns.packed:
            yield _of_cell(row, number, path, columns)
        else:
            yield _of_row(row, number, folder, columns)


def _of_cell(row: Row, number: int, path: str, columns: Columns) -> Item:
    """Name an image that a Parquet file holds itself."""
    return Item(
        id=row.id or f"{_stem(os.path.basename(path))}/{number}",
        path=f"{path}{INSIDE}{number}", kind="row", files=(os.path.abspath(path),),
        key=columns.packed, row=number, ra=row.ra, dec=row.dec, reason=row.doubt,
    )  # fmt: skip


def _of_row(row: Row, number: int, folder: str, columns: Columns) -> Item:
    ra, dec, line = row.ra, row.dec, row.doubt
    identity = row.id or (str(number) if not columns.paths else "")
    if row.fault:
        name, flag = row.id or str(number), Flag.UNREADABLE
        return Item(id=name, path="", flag=flag, reason=row.fault)
    try:
        files = tuple(file_of(folder, p) if p else "" for p in row.paths)
    except ImageError as error:
        shown = ",".join(row.paths)
        name, flag = identity or shown, Flag.NOT_FOUND
        return Item(id=name, path=shown, ra=ra, dec=dec, flag=flag, reason=str(error))
    if columns.bands:
        shown = ",".join(row.paths)
        item = Item(
            id=identity or str(number), path=shown, kind="bands", files=files,
            key=",".join(columns.bands), ra=ra, dec=dec,
        )  # fmt: skip
    elif columns.paths and row.paths[0]:
        item = _of_name(files[0], identity)
        item = dataclasses.replace(item, path=row.paths[0], ra=ra, dec=dec)
    elif columns.paths:
        lacks = f"row {number} has no path"
        flag = Flag.NOT_FOUND
        item = Item(id=identity or str(number), path="", flag=flag, reason=lacks)
        item = dataclasses.replace(item, ra=ra, dec=dec)
    else:
        item = Item(id=identity, path="", kind="position", ra=ra, dec=dec)
        if math.isnan(ra):
            line = line or f"row {number} has no position"
            return dataclasses.replace(item, flag=Flag.BAD_POSITION, reason=line)
    if line:
        told = f"{item.reason}; {line}" if item.reason else line
        flag = item.flag | Flag.BAD_COORDINATE
        item = dataclasses.replace(item, flag=flag, reason=told)
    return item
