"""Columns of a table by their meaning, and its rows."""
# ruff: noqa: PTH110, PTH111, PTH118
# There may be millions of paths: they stay text.

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dmagnet.errors import DataError
from dmagnet.pictures.opening import ImageError
from dmagnet.pictures.tables import names as called
from dmagnet.pictures.tables.coordinates import Place, System, places
from dmagnet.pictures.tables.opened import open_tables
from dmagnet.pictures.tables.text import BAD, Block, Table

BAND_COLUMN = re.compile(r"(?:path|file|filename)_(?!loc$)(\w+)")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True)
class Columns:
    """Columns of a table by their meaning; empty where there is none."""

    id: str = ""
    paths: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    ra: str = ""
    dec: str = ""
    units: dict[str, str] = field(default_factory=dict)
    frame: tuple[str, str] = ("", "")
    systems: tuple[str, str] = ("", "")
    packed: str = ""
    label: str = ""
    split: str = ""
    redshift: str = ""
    pxscale: str = ""
    votes: dict[str, str] = field(default_factory=dict)
    table: int = 0

    @property
    def wanted(self) -> list[str]:
        """List the columns to read."""
        names = [self.id, *self.paths, self.ra, self.dec, *self.systems]
        return list(dict.fromkeys(filter(None, names)))

    def lacking(self, needed: tuple[str, ...]) -> list[str]:
        """List what a table lacks."""
        images = bool(self.paths or self.packed)
        if not needed:
            return [] if images or self.ra else ["path"]
        there = vars(self) | {"path": images, "label": self.label or self.votes}
        return [name for name in needed if not there[name]]


class Row(NamedTuple):
    """One row of a table; there may be millions."""

    id: str = ""
    paths: tuple[str, ...] = ()
    ra: float = math.nan
    dec: float = math.nan
    doubt: str = ""
    fault: str = ""
    label: str = ""
    split: str = ""
    redshift: float = math.nan
    pxscale: float = math.nan
    votes: tuple[Any, ...] = ()


def find_columns(
    path: Path,
    table_id: str = "",
    needed: tuple[str, ...] = (),
    votes: tuple[str, ...] | None = None,
) -> Columns:
    """Find out which column of a table is what; votes only if some or () are wanted."""
    with open_tables(path) as tables:
        found = [_columns(t, k, table_id, votes) for k, t in enumerate(tables)]
        names = list(dict.fromkeys(name for table in tables for name in table.names))
    told = ", ".join(names[:20]) or "none"
    for columns in found:
        whole = not columns.lacking(needed) and len(columns.votes) >= len(votes or ())
        if whole and (columns.id or not table_id):
            return columns
    if votes and not any(len(columns.votes) == len(votes) for columns in found):
        raise DataError(
            f"{path}: expected columns of votes {', '.join(votes)}, found {told}"
        )
    if table_id and not any(columns.id for columns in found):
        raise DataError(f"{path}: expected a column {table_id!r}, found {told}")
    if not needed:
        raise DataError(f"{path}: expected a column path, or ra and dec; found {told}")
    lacks = min((c.lacking(needed) for c in found), key=len, default=needed)
    hint = "" if votes is None else "; or name columns of votes with --votes"
    raise DataError(
        f"{path}: expected columns {', '.join(needed)}; {', '.join(lacks)} missing, "
        f"found {told}{hint}"
    )


def _columns(
    table: Table, place: int, table_id: str, votes: tuple[str, ...] | None
) -> Columns:
    """Find out which column of one table is what."""
    names = table.names
    bands: dict[str, str] = {}
    for name in names:
        if found := BAND_COLUMN.fullmatch(name.lower()):
            bands.setdefault(found[1], name)
    ra, dec = called.positions(names, table.ucds)
    frame, systems = table.frames.get(ra, ("", "")), ("", "")
    if "2000" in ra or "icrs" in ra.lower():  # its name says it
        frame = ("", "")
    elif ra:
        system = called.first(names, called.SYSTEM)
        systems = system, called.first(names, called.EQUINOX)
    single, packed = called.first(names, called.PATH), ""
    if not single or single in table.packed:
        packed = next(iter(table.packed.values()), "")
    several = len(bands) > 1 and not single and not packed
    paths = tuple(bands.values()) if several else (single,) if single else ()
    if table_id:
        alike = [name for name in names if name.casefold() == table_id.casefold()]
        identity = table_id if table_id in alike else next(iter(alike), "")
    else:
        identity = called.first(names, called.ID)
    if packed:
        paths, (whole, _, part) = (), packed.rpartition(".")
        identity = identity or (f"{whole}.path" if part == "bytes" else "")
    if not ra:
        ra, dec, frame = called.elsewhere(names, short=not paths and not packed)
        frame = table.frames.get(ra, frame)
    labels: Any = {k: called.first(names, known) for k, known in called.LABELED.items()}
    return Columns(
        identity,
        paths,
        # named as the columns write them: one letter is kept in its case
        tuple(p[-len(b) :] for b, p in bands.items()) if several else (),
        *(ra, dec, table.units, frame, systems, packed),
        **labels,
        votes={} if votes is None else called.votes(names, votes),
        table=place,
    )


def read_rows(path: Path, columns: Columns, *, labeled: bool = False) -> Iterator[Row]:
    """Read a table from its start, in pieces; the labels too, if they are wanted."""
    told = [getattr(columns, key) for key in called.LABELED]
    votes = list(columns.votes.values())
    wanted = [*columns.wanted, *([*filter(None, told), *votes] if labeled else ())]
    with open_tables(path) as tables:
        for block in tables[columns.table].pieces(list(dict.fromkeys(wanted))):
            rows = _rows(block, columns)
            if not labeled:
                yield from rows
                continue
            empty = [None] * len(next(iter(block.values())))
            cells = zip(*(block.get(name, empty) for name in told + votes), strict=True)
            for row, (label, split, redshift, pxscale, *given) in zip(
                rows, cells, strict=True
            ):
                yield row._replace(
                    votes=tuple(given),
                    label=_text(label),
                    split=_text(split),
                    redshift=_number(redshift, "redshift"),
                    pxscale=_number(pxscale, "pxscale"),
                )


def _rows(block: Block, columns: Columns) -> Iterator[Row]:
    """Turn a block of columns into rows."""
    length = len(next(iter(block.values())))
    ids = block[columns.id] if columns.id else [""] * length
    paths = [block[name] for name in columns.paths]
    bad = block.get(BAD)
    for i, place in enumerate(_places(block, columns, length)):
        name = _text(ids[i])
        if bad and bad[i]:
            yield Row(name, fault=bad[i])
        else:
            files = tuple([_text(column[i]) for column in paths]) if paths else ()
            yield Row(name, files, *place)


def _number(cell: Any, name: str) -> float:
    """Read a number; NaN for an empty cell."""
    try:
        return math.nan if cell is None or cell == "" else float(cell)
    except (TypeError, ValueError) as error:
        raise DataError(f"column {name}: expected numbers, got {cell!r}") from error


def _text(value: Any) -> str:
    """Write a cell as a person would."""
    if isinstance(value, str):  # most are
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
