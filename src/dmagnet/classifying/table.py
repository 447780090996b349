"""From rows to a table that astropy, TOPCAT and Aladin open, piece by piece."""

import io
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from dmagnet.classifying.table_columns import (
    About,
    Rows,
    is_vector,
    matrix,
    schema,
    spelled,
    to_qtable,
)
from dmagnet.errors import ConfigError
from dmagnet.storage.disk import beside, says_so

SUFFIXES = {
    ".ecsv": "table.write_ecsv",
    ".csv": "table.write_csv",
    **dict.fromkeys((".fits", ".fit"), "fits_table.write_fits"),
    **dict.fromkeys((".vot", ".votable", ".xml"), "votable_table.write_votable"),
    ".parquet": "parquet_table.write_parquet",
}
FORMULA = r"^[=+\-@\t\r]"
NUMBER = r"^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$"


def check_name(path: Path) -> Path:
    """Refuse a name whose ending says no format, before any work is done."""
    path = Path(path)
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"{path}: expected a table's name that ends in {', '.join(SUFFIXES)}; "
            f"got {path.suffix or 'no ending'!r}"
        )
    return path


def write_table(path: Path, rows: Rows, about: About) -> Path:
    """Write a table in the format that its name says, in constant memory.

    Parameters
    ----------
    path : Path
        Ends in .ecsv, .csv, .fits, .vot or .parquet; there whole or not at all.
    rows : callable
        Gives the rows from the beginning, batch by batch, each time it is called.
    about : About
        What the table's head says.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigError
        If the ending is unknown.
    DataError
        If the disk refuses.
    """
    home, _, name = SUFFIXES[check_name(path).suffix.lower()].partition(".")
    write = getattr(import_module(f"dmagnet.classifying.{home}"), name)
    with beside(path, says_so) as part:
        write(part, rows, about)
    return path


def write_csv(path: Path, rows: Rows, about: About) -> None:
    """Write a CSV file; what is not known is left empty."""
    names = _flat(_no_rows(about), plain=True).schema.names
    with path.open("wb") as file:
        file.write(f"{','.join(names)}\n".encode())
        _append(file, rows, about, plain=True)


def write_ecsv(path: Path, rows: Rows, about: About) -> None:
    """Write an ECSV file: astropy writes the head, Arrow the rows."""
    head = io.StringIO()
    to_qtable((), about).write(head, format="ascii.ecsv", delimiter=",")
    with path.open("wb") as file:
        file.write(head.getvalue().encode())
        _append(file, rows, about)


def _append(file: IO[bytes], rows: Rows, about: About, *, plain: bool = False) -> None:
    """Write rows below a head; what is empty has no quotes around it."""
    form = _flat(_no_rows(about), plain=plain).schema
    options = csv.WriteOptions(include_header=False)
    with csv.CSVWriter(file, form, write_options=options) as writer:
        for batch in rows():
            cells = [_cells(each, plain) for each in _flat(batch, plain=plain).columns]
            writer.write_batch(pa.RecordBatch.from_arrays(cells, schema=form))


def _no_rows(about: About) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema(about))


def _flat(batch: pa.RecordBatch, *, plain: bool) -> pa.RecordBatch:
    """Bring vectors to the JSON that ECSV has, or to columns of numbers."""
    flat: dict[str, Any] = {}
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if not is_vector(array.type):
            flat[name] = array
        elif plain:
            flat |= {f"e{k}": pa.array(each) for k, each in enumerate(matrix(array).T)}
        else:
            text = spelled(array, ",")
            flat[name] = pc.binary_join_element_wise("[", text, "]", "")
    return pa.RecordBatch.from_pydict(flat)


def _cells(array: pa.Array, plain: bool) -> pa.Array:
    """Leave empty what is not known, and let no spreadsheet run text as a formula."""
    if plain and pa.types.is_floating(array.type):
        return pc.if_else(pc.is_nan(array), None, array)
    if not pa.types.is_string(array.type):
        return array
    if plain:
        formula = pc.and_not(
            pc.match_substring_regex(array, FORMULA),
            pc.match_substring_regex(array, NUMBER),
        )
        quoted = pc.binary_join_element_wise("'", array, "")
        array = pc.if_else(formula, quoted, array)
    return pc.if_else(pc.equal(array, ""), None, array)
