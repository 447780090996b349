"""Rows of tables, and what each points at."""
# ruff: noqa: PTH110, PTH111, PTH118
# There may be millions of paths: they stay text.

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from dmagnet.errors import DataError
from dmagnet.pictures.faults import ImageError
from dmagnet.pictures.tables.columns import Columns
from dmagnet.pictures.tables.coordinates import Place, System, places
from dmagnet.pictures.tables.opened import open_tables
from dmagnet.pictures.tables.text import BAD, Block

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


class Row(NamedTuple):
    """One row of a table; there may be millions."""

    id: str = ""
    paths: tuple[str, ...] = ()
    ra: float = math.nan
    dec: float = math.nan
    doubt: str = ""
    fault: str = ""


class LabeledRow(NamedTuple):
    """One row of a table of labeled galaxies: a `Row`, and more."""

    id: str
    paths: tuple[str, ...]
    ra: float
    dec: float
    doubt: str
    fault: str
    label: str
    split: str
    redshift: float
    pxscale: float


def read_rows(path: Path, columns: Columns) -> Iterator[Row]:
    """Read a table from its start, in pieces."""
    with open_tables(path) as tables:
        for block in tables[columns.table].pieces(columns.wanted):
            yield from _rows(block, columns)


def read_labeled(path: Path, columns: Columns) -> Iterator[LabeledRow]:
    """Read a table of labeled galaxies from its start, in pieces."""
    told = [columns.label, columns.split, columns.redshift, columns.pxscale]
    wanted = list(dict.fromkeys([*columns.wanted, *filter(None, told)]))
    with open_tables(path) as tables:
        for block in tables[columns.table].pieces(wanted):
            empty = [None] * len(next(iter(block.values())))
            cells = zip(*(block.get(name, empty) for name in told), strict=True)
            for row, cell in zip(_rows(block, columns), cells, strict=True):
                yield LabeledRow(
                    *row,
                    label=_text(cell[0]),
                    split=_text(cell[1]),
                    redshift=_number(cell[2], "redshift"),
                    pxscale=_number(cell[3], "pxscale"),
                )


def _rows(block: Block, columns: Columns) -> Iterator[Row]:
    """Turn a block of columns into rows."""
    length = len(next(iter(block.values())))
    ids = block[columns.id] if columns.id else [""] * length
    paths = [block[name] for name in columns.paths]
    where = _places(block, columns, length)
    bad = block.get(BAD)
    for i, (ra, dec, doubt) in enumerate(where):
        name = _text(ids[i])
        if bad and bad[i]:
            yield Row(name, fault=bad[i])
            continue
        files = tuple([_text(column[i]) for column in paths]) if paths else ()
        yield Row(name, files, ra, dec, doubt)


def _number(cell: Any, name: str) -> float:
    """Read a number; NaN for an empty cell."""
    try:
        return math.nan if cell is None or cell == "" else float(cell)
    except (TypeError, ValueError) as error:
        raise DataError(f"column {name}: expected numbers, got {cell!r}") from error


def _text(value: Any) -> str:
    """Write a cell as a person would."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        value = int(value) if value.is_integer() else value
    if value is None or isinstance(value, list | tuple | dict):
        return ""
    return str(value).strip()


def _places(block: Block, columns: Columns, length: int) -> list[Place]:
    """Read the positions of a block."""
    if not columns.ra:
        return [Place()] * length
    names = columns.ra, columns.dec
    units = columns.units.get(names[0]) or "", columns.units.get(names[1]) or ""
    if not any(columns.systems):
        system = System(names, units, *columns.frame)
        return places(block[names[0]], block[names[1]], system)
    told = [
        [_text(cell) or whole for cell in block[name]] if name else [whole] * length
        for name, whole in zip(columns.systems, columns.frame, strict=True)
    ]
    pairs, found = list(zip(*told, strict=True)), [Place()] * length
    for pair in set(pairs):
        rows = [i for i in range(length) if pairs[i] == pair]
        ra, dec = ([block[name][i] for i in rows] for name in names)
        read = places(ra, dec, System(names, units, *pair))
        for i, place in zip(rows, read, strict=True):
            found[i] = place
    return found


def file_of(folder: str, cell: str) -> str:
    """Find the file that a cell of a table names."""
    if ADDRESS.match(cell):
        raise ImageError("an address is not fetched: download it, name the file")
    name = os.path.expanduser(cell) if cell.startswith("~/") else cell
    path = os.path.join(folder, name)
    if "\\" in name and "\0" not in name and not os.path.exists(path):
        path = os.path.join(folder, name.replace("\\", "/"))
    return path
