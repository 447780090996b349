"""Rows of tables: which column is what, and what a row points at."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmagnet.errors import DataError
from dmagnet.tables.blocks import Block, open_blocks
from dmagnet.tables.coordinates import Place, System, places

ID_NAMES = (
    "id", "name", "objid", "object_id", "objname", "obj_id", "source_id", "sourceid",
    "iauname", "galaxy_id", "ls_id", "targetid", "dr7objid", "dr8objid", "specobjid",
    "object",
)  # fmt: skip
PATH_NAMES = ("path", "file", "filename", "file_name", "filepath", "image", "file_loc")
RA_NAMES = (
    "ra", "raj2000", "ra_icrs", "_raj2000", "ra_deg", "radeg", "target_ra",
    "alpha_j2000", "ramean", "raj2000_deg",
)  # fmt: skip
DEC_NAMES = (
    "dec", "dej2000", "decj2000", "de_icrs", "dec_icrs", "_dej2000", "dec_deg",
    "decdeg", "target_dec", "delta_j2000", "decmean", "de",
)  # fmt: skip
BAND_COLUMN = re.compile(r"(?:path|file|filename)_(\w+)")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a table.

    Attributes
    ----------
    id : str
        Empty if the table does not say.
    paths : tuple of str
        One image, one for each band, or none.
    ra, dec : float
        Degrees, ICRS; NaN if not known.
    doubt : str
        Why the position is none; empty if there is no doubt.
    """

    id: str = ""
    paths: tuple[str, ...] = ()
    ra: float = math.nan
    dec: float = math.nan
    doubt: str = ""


@dataclass(frozen=True)
class Columns:
    """Say which column of a table is what; empty where there is none."""

    id: str = ""
    paths: tuple[str, ...] = ()
    bands: tuple[str, ...] = ()
    ra: str = ""
    dec: str = ""
    units: dict[str, str] = field(default_factory=dict)

    @property
    def wanted(self) -> list[str]:
        """List the columns to read.

        Returns
        -------
        list of str
            Without repeats.
        """
        names = [self.id, *self.paths, self.ra, self.dec]
        return list(dict.fromkeys(name for name in names if name))


def read_rows(path: Path, columns: Columns) -> Iterator[Row]:
    """Read a table from its start, in pieces.

    Parameters
    ----------
    path : Path
        CSV, ECSV, Parquet and FITS are read in blocks; VOTable as a whole.
    columns : Columns
        As `find_columns` found them.

    Yields
    ------
    Row
        In the order of the table.

    Raises
    ------
    DataError
        If the table is damaged.
    """
    with open_blocks(path, columns.wanted) as blocks:
        for piece in blocks.pieces:
            yield from _rows(piece, columns)


def find_columns(path: Path, table_id: str = "") -> Columns:
    """Find out which column of a table is what.

    Parameters
    ----------
    path : Path
        The table.
    table_id : str
        Column that names its rows; one of `ID_NAMES` if not given.

    Returns
    -------
    Columns
        At least paths, or right ascension and declination.

    Raises
    ------
    DataError
        If the table is missing or damaged, or such columns are not there.
    """
    with open_blocks(path) as blocks:
        names, units = blocks.names, blocks.units
    lower: dict[str, str] = {}
    for name in names:
        lower.setdefault(name.lower(), name)

    def _first(known: Sequence[str]) -> str:
        return next((lower[name] for name in known if name in lower), "")

    identity = _first([table_id.lower()] if table_id else ID_NAMES)
    if table_id and not identity:
        raise DataError(
            f"{path}: expected a column {table_id!r}, found {', '.join(names)}"
        )
    bands = {
        found[1]: lower[name]
        for name in lower
        if (found := BAND_COLUMN.fullmatch(name)) and found[1] != "loc"
    }
    ra, dec, single = _first(RA_NAMES), _first(DEC_NAMES), _first(PATH_NAMES)
    if not (ra and dec):
        ra = dec = ""
    several = len(bands) > 1 and not single
    paths = tuple(bands.values()) if several else (single,) if single else ()
    if not paths and not ra:
        raise DataError(
            f"{path}: expected a column path, or ra and dec; found "
            f"{', '.join(names[:20]) or 'none'}"
        )
    named = _band_names(tuple(bands), paths) if several else ()
    return Columns(identity, paths, named, ra, dec, units)


def _band_names(bands: tuple[str, ...], paths: tuple[str, ...]) -> tuple[str, ...]:
    """Name bands as the columns write them; one letter is kept in its case."""
    return tuple(path[-len(band) :] for band, path in zip(bands, paths, strict=True))


def _rows(block: Block, columns: Columns) -> Iterator[Row]:
    """Turn a block of columns into rows."""
    length = len(next(iter(block.values())))
    ids = block[columns.id] if columns.id else [""] * length
    paths = [block[name] for name in columns.paths]
    where = _places(block, columns, length)
    for i in range(length):
        yield Row(
            id=_text(ids[i]),
            paths=tuple(_text(column[i]) for column in paths),
            ra=where[i].ra,
            dec=where[i].dec,
            doubt=where[i].doubt,
        )


def _text(value: Any) -> str:
    """Write a cell as a person would."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        value = int(value) if value.is_integer() else value
    return "" if value is None else str(value).strip()


def _places(block: Block, columns: Columns, length: int) -> list[Place]:
    """Read the positions of a block."""
    if not columns.ra:
        return [Place()] * length
    names = columns.ra, columns.dec
    units = columns.units.get(names[0]) or "", columns.units.get(names[1]) or ""
    return places(block[names[0]], block[names[1]], System(names, units))
