"""Columns of a table by their meaning, and its rows."""
# ruff: noqa: PTH110, PTH111, PTH118
# There may be millions of paths: they stay text.

import difflib
import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple

from dmagnet.config.classify_config import ColumnsConfig
from dmagnet.errors import DataError
from dmagnet.pictures.opening import ImageError
from dmagnet.pictures.tables import names as called
from dmagnet.pictures.tables.coordinates import Place, System, places
from dmagnet.pictures.tables.opened import open_tables
from dmagnet.pictures.tables.text import BAD, Block, Table

GIVEN = tuple(field.name for field in fields(ColumnsConfig))
SHOWN = 20  # names of columns in a message
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
    reason: str = ""
    label: str = ""
    split: str = ""
    redshift: str = ""
    pxscale: str = ""
    votes: dict[str, str] = field(default_factory=dict)
    table: int = 0

    @property
    def wanted(self) -> list[str]:
        """List the columns to read."""
        names = [self.id, *self.paths, self.ra, self.dec, *self.systems, self.reason]
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
    reason: str = ""


def find_columns(
    path: Path,
    given: ColumnsConfig | None = None,
    needed: tuple[str, ...] = (),
    votes: tuple[str, ...] | None = None,
) -> Columns:
    """Find out which column of a table is what; votes only if some or () are wanted."""
    wish = named_columns(given) if given else {}
    with open_tables(path) as tables:
        names = list(dict.fromkeys(name for table in tables for name in table.names))
        told = [{k: _alike(t.names, name) for k, name in wish.items()} for t in tables]
        found = [
            _columns(tables[k], k, t, votes)
            for k, t in enumerate(told)
            if all(t.values())
        ]
    there = ", ".join(names[:SHOWN]) or "none"
    if len(names) > SHOWN:
        there += f" and {len(names) - SHOWN} more"
    for columns in found:
        whole = not columns.lacking(needed)
        if whole and len(columns.votes) >= len(votes or ()):
            return columns
    if told and not found:
        key = min(([k for k in t if not t[k]] for t in told), key=len)[0]
        near = difflib.get_close_matches(wish[key], names, n=1)
        meant = f"did you mean {near[0]!r}? " if near else ""
        line = f"expected a column {wish[key]!r} (--{key}); {meant}found {there}"
        raise DataError(f"{path}: {line}")
    if votes and not any(len(columns.votes) == len(votes) for columns in found):
        asked = ", ".join(votes)
        raise DataError(f"{path}: expected columns of votes {asked}, found {there}")
    if not needed:
        line = f"expected a column path, or ra and dec; found {there}"
        raise DataError(f"{path}: {line}; --path, --ra and --dec name others")
    lacks = min((c.lacking(needed) for c in found), key=len, default=needed)
    hint = "" if votes is None else ", or --votes NAMES which hold votes"
    raise DataError(
        f"{path}: expected columns {', '.join(needed)}; {', '.join(lacks)} missing, "
        f"found {there}; {' '.join(f'--{n} NAME' for n in lacks)} says which is meant"
        f"{hint}"
    )


def named_columns(given: ColumnsConfig) -> dict[str, str]:
    """Return the columns that a person named, by what is in them."""
    return {k: getattr(given, k) for k in GIVEN if getattr(given, k)}


def _alike(names: list[str], wanted: str) -> str:
    """Find a column by its name, in any case if there is none in this."""
    alike = [name for name in names if name.casefold() == wanted.casefold()]
    return wanted if wanted in alike else next(iter(alike), "")


def _columns(
    table: Table, place: int, given: dict[str, str], votes: tuple[str, ...] | None
) -> Columns:
    """Find out which column of one table is what."""
    names = table.names
    bands: dict[str, str] = {}
    for name in names:
        if found := BAND_COLUMN.fullmatch(name.lower()):
            bands.setdefault(found[1], name)
    single, packed = given.get("path") or called.first(names, called.PATH), ""
    first = single or next(iter(table.packed), "")
    if single or len(table.packed) == 1 or called.plain(first) in called.PACKED:
        packed = table.packed.get(first, "")  # of several, --path says which
    several = len(bands) > 1 and not single and not packed
    paths = tuple(bands.values()) if several else (single,) if single else ()
    identity = given.get("id") or called.first(names, called.ID)
    if packed:
        paths, (whole, _, part) = (), packed.rpartition(".")
        identity = identity or (f"{whole}.path" if part == "bytes" else "")
    told = (given["ra"], given["dec"]) if "ra" in given else ()
    ra, dec, frame, systems = _place(table, told, short=not paths and not packed)
    labels: Any = {k: called.first(names, known) for k, known in called.LABELED.items()}
    labels |= {"label": given["label"]} if "label" in given else {}
    return Columns(
        identity,
        paths,
        # named as the columns write them: one letter is kept in its case
        tuple(p[-len(b) :] for b, p in bands.items()) if several else (),
        *(ra, dec, table.units, frame, systems, packed),
        reason=called.first(names, called.REASON) if paths else "",
        **labels,
        votes={} if votes is None else called.votes(names, votes),
        table=place,
    )


def _place(
    table: Table, told: tuple[str, ...], *, short: bool
) -> tuple[str, str, tuple[str, str], tuple[str, str]]:
    """Find a position among columns, its frame, and columns that name it."""
    names, none = told or table.names, ("", "")
    ra, dec = called.positions(names, {} if told else table.ucds)
    if not ra:
        ra, dec, frame = called.elsewhere(names, short=short or bool(told))
        if ra or not told:
            return ra, dec, table.frames.get(ra, frame), none
        ra, dec = told
    if "2000" in ra or "icrs" in ra.lower():  # its name says it
        return ra, dec, none, none
    known = called.SYSTEM, called.EQUINOX
    system, equinox = (called.first(table.names, words) for words in known)
    return ra, dec, table.frames.get(ra, none), (system, equinox)


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
    why = block[columns.reason] if columns.reason else None
    bad = block.get(BAD)
    for i, place in enumerate(_places(block, columns, length)):
        name = _text(ids[i])
        if bad and bad[i]:
            yield Row(name, fault=bad[i])
        else:
            files = tuple([_text(column[i]) for column in paths]) if paths else ()
            row = Row(name, files, *place)
            yield row if why is None else row._replace(reason=_text(why[i]))


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
