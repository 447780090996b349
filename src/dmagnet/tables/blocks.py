"""Tables of any form as blocks of columns, so that size does not matter."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from astropy.io import fits
from astropy.table import Table
from pyarrow import csv, parquet

from dmagnet.disk import open_file
from dmagnet.errors import DataError
from dmagnet.images.faults import BROKEN
from dmagnet.images.opening import open_fits, quiet

BLOCK = 8192  # rows
TEXT = (".csv", ".ecsv")
PARQUET = (".parquet", ".pq")
VOTABLE = (".vot", ".votable", ".xml")
FITS_TABLE = (".fits", ".fit", ".fits.gz", ".fit.gz")
NO_VALUE = ["", "nan", "NaN", "null", "NULL"]

Block = dict[str, list[Any]]


@dataclass(frozen=True)
class Blocks:
    """An open table.

    Attributes
    ----------
    names : list of str
        Its columns, as they are written.
    pieces : iterable of dict
        Column to cells; a cell is text, a number or None.
    units : dict of str to str
        Of the columns that have one.
    """

    names: list[str]
    pieces: Iterable[Block]
    units: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def open_blocks(path: Path, wanted: list[str] | None = None) -> Iterator[Blocks]:
    """Open a table of any form.

    Parameters
    ----------
    path : Path
        CSV, ECSV, Parquet and FITS are read a block at a time, VOTable as a whole.
    wanted : list of str, optional
        Columns to read; all if not given.

    Yields
    ------
    Blocks
        While the file is open.

    Raises
    ------
    DataError
        If the table is missing or damaged, also while its blocks are read.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a table, found nothing")
    name = path.name.lower()
    if name.endswith(TEXT):
        opened = _text(path, wanted)
    elif name.endswith(PARQUET):
        opened = _parquet(path, wanted)
    elif name.endswith(VOTABLE):
        opened = _votable(path, wanted)
    else:
        opened = _fits(path, wanted)
    try:
        with opened as blocks:
            yield blocks
    except DataError:
        raise
    except BROKEN as error:  # pyarrow's errors are of these too
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise DataError(f"{path}: expected a whole table: {reason}") from error


def is_table(path: Path) -> bool:
    """Tell whether a file is a table.

    Parameters
    ----------
    path : Path
        Any file.

    Returns
    -------
    bool
        By its suffix; a FITS file with a table and without an image is one.
    """
    name = path.name.lower()
    if name.endswith(TEXT + PARQUET + VOTABLE):
        return True
    if not name.endswith(FITS_TABLE):
        return False
    try:
        with open_file(path) as file:
            if re.search(rb"NAXIS   = +[2-9] ", file.read(2880)):
                return False
        with open_fits(path) as hdus:
            tables = [isinstance(hdu, fits.BinTableHDU) for hdu in hdus]
            images = [hdu.is_image and len(hdu.shape) > 1 for hdu in hdus]
            return any(tables) and not any(images)
    except BROKEN:
        return False


@contextlib.contextmanager
def _text(path: Path, wanted: list[str] | None) -> Iterator[Blocks]:
    skipped, delimiter, units = _text_header(path)
    with csv.open_csv(
        path,
        csv.ReadOptions(skip_rows=skipped, block_size=1 << 20, use_threads=False),
        csv.ParseOptions(delimiter=delimiter),
        csv.ConvertOptions(
            # as text: numbers keep their digits, and no block has types of its own
            column_types={name: pa.string() for name in wanted or ()},
            include_columns=wanted,
            strings_can_be_null=True,
            null_values=NO_VALUE,
        ),
    ) as reader:
        pieces = (batch.to_pydict() for batch in reader)
        yield Blocks(list(reader.schema.names), pieces, units)


def _text_header(path: Path) -> tuple[int, str, dict[str, str]]:
    """Count comment lines; find the delimiter, and the units of an ECSV."""
    comments: list[str] = []
    names = ""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        for line in file:
            if not line.startswith("#"):
                names = line
                break
            comments.append(line.rstrip("\n"))
    if not path.name.lower().endswith(".ecsv"):
        return len(comments), ";" if ";" in names and "," not in names else ",", {}
    with quiet():
        table = Table.read([*comments, names], format="ascii.ecsv")
    comma = any(re.match(r"# delimiter: .,", line) for line in comments)
    return len(comments), "," if comma else " ", _units(table)


def _units(table: Table) -> dict[str, str]:
    return {name: str(table[name].unit or "") for name in table.colnames}


@contextlib.contextmanager
def _parquet(path: Path, wanted: list[str] | None) -> Iterator[Blocks]:
    with parquet.ParquetFile(path) as file:
        batches = file.iter_batches(BLOCK, columns=wanted)
        pieces = (batch.to_pydict() for batch in batches)
        yield Blocks(list(file.schema_arrow.names), pieces)


@contextlib.contextmanager
def _votable(path: Path, wanted: list[str] | None) -> Iterator[Blocks]:
    with quiet():
        table = Table.read(path, format="votable")

    def _pieces() -> Iterator[Block]:
        for start in range(0, len(table), BLOCK):
            piece = table[start : start + BLOCK]
            yield {name: piece[name].tolist() for name in wanted or table.colnames}

    yield Blocks(list(table.colnames), _pieces(), _units(table))


@contextlib.contextmanager
def _fits(path: Path, wanted: list[str] | None) -> Iterator[Blocks]:
    with open_fits(path, memmap=True) as hdus:
        tables = [hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU)]
        if not tables:
            raise DataError(f"{path}: expected a table, found no table HDU")
        columns = tables[0].columns
        nulls = {c.name: c.null for c in columns if c.null not in (None, "")}

        def _pieces() -> Iterator[Block]:
            data = tables[0].data
            for start in range(0, len(data), BLOCK):
                piece = data[start : start + BLOCK]
                block = {n: piece[n].tolist() for n in wanted or columns.names}
                for name in nulls.keys() & block.keys():
                    null = nulls[name]
                    block[name] = [None if v == null else v for v in block[name]]
                yield block

        yield Blocks(list(columns.names), _pieces(), {c.name: c.unit for c in columns})
