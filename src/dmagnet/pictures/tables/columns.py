"""Which column of a table is what."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from dmagnet.errors import DataError
from dmagnet.pictures.tables import names as called
from dmagnet.pictures.tables.opened import Blocks, open_tables

BAND_COLUMN = re.compile(r"(?:path|file|filename)_(\w+)")


@dataclass(frozen=True)
class Columns:
    """Say which column of a table is what; empty where there is none."""

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
    table: int = 0

    @property
    def wanted(self) -> list[str]:
        """List the columns to read."""
        names = [self.id, *self.paths, self.ra, self.dec, *self.systems]
        return list(dict.fromkeys(name for name in names if name))


def find_columns(
    path: Path, table_id: str = "", needed: tuple[str, ...] = ()
) -> Columns:
    """Find out which column of a table is what."""
    with open_tables(path) as tables:
        found = [_columns(t, k, table_id) for k, t in enumerate(tables)]
        names = list(dict.fromkeys(name for table in tables for name in table.names))
    told = ", ".join(names[:20]) or "none"
    for columns in found:
        if table_id and not columns.id:
            continue
        if not lacking(columns, needed):
            return columns
    if table_id and not any(columns.id for columns in found):
        raise DataError(f"{path}: expected a column {table_id!r}, found {told}")
    if not needed:
        raise DataError(f"{path}: expected a column path, or ra and dec; found {told}")
    lacks = sorted((lacking(columns, needed) for columns in found), key=len)
    raise DataError(
        f"{path}: expected columns {', '.join(needed)}; "
        f"{', '.join(lacks[0] if lacks else needed)} missing, found {told}"
    )


def lacking(columns: Columns, needed: tuple[str, ...]) -> list[str]:
    """List what a table lacks."""
    images = bool(columns.paths or columns.packed)
    if not needed:
        return [] if images or columns.ra else ["path"]
    told = {"path": images, "ra": columns.ra, "dec": columns.dec}
    told |= {"label": columns.label, "split": columns.split}
    return [name for name in needed if not told[name]]


def _columns(table: Blocks, place: int, table_id: str) -> Columns:
    """Find out which column of one table is what."""
    names = table.names
    if table_id:
        alike = [name for name in names if name.casefold() == table_id.casefold()]
        identity = next((name for name in names if name == table_id), "")
        identity = identity or next(iter(alike), "")
    else:
        identity = called.first(names, called.ID)
    bands: dict[str, str] = {}
    for name in names:
        found = BAND_COLUMN.fullmatch(name.lower())
        if found and found[1] != "loc":
            bands.setdefault(found[1], name)
    ra, dec = called.positions(names, table.ucds)
    frame, systems = table.frames.get(ra, ("", "")), ("", "")
    if "2000" in ra or "icrs" in ra.lower():  # its name says it
        frame = ("", "")
    elif ra:
        systems = (
            called.first(names, called.SYSTEM),
            called.first(names, called.EQUINOX),
        )
    single = called.first(names, called.PATH)
    packed = ""
    if not single or single in table.packed:
        packed = next(iter(table.packed.values()), "")
    several = len(bands) > 1 and not single
    paths = tuple(bands.values()) if several else (single,) if single else ()
    if packed:
        paths, several = (), False
        whole, _, part = packed.rpartition(".")
        identity = identity or (f"{whole}.path" if part == "bytes" else "")
    if not ra:
        ra, dec, frame = called.elsewhere(names, short=not paths and not packed)
        frame = table.frames.get(ra, frame)
    return Columns(
        identity,
        paths,
        _band_names(tuple(bands), paths) if several else (),
        ra,
        dec,
        table.units,
        frame,
        systems,
        packed,
        label=called.first(names, called.LABEL),
        split=called.first(names, called.SPLIT),
        redshift=called.first(names, ("redshift",)),
        pxscale=called.first(names, ("pxscale",)),
        table=place,
    )


def _band_names(bands: tuple[str, ...], paths: tuple[str, ...]) -> tuple[str, ...]:
    """Name bands as the columns write them; one letter is kept in its case."""
    return tuple(path[-len(band) :] for band, path in zip(bands, paths, strict=True))
