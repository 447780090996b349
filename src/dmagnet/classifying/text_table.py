"""Tables as text: CSV, and ECSV, whose head keeps types, units and settings."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from dmagnet.classifying.qtable import Rows, to_qtable
from dmagnet.classifying.table_columns import About, schema

FORMULA = r"^[=+\-@\t\r]"
NUMBER = r"^[+-]?[0-9.]+([eE][+-]?[0-9]+)?$"


def write_csv(path: Path, rows: Rows, about: About) -> None:
    """Write a CSV file; what is not known is left empty."""
    form = schema(about.class_names)
    with path.open("wb") as file:
        file.write(f"{','.join(form.names)}\n".encode())
        _append(file, form, (_harmless(_without_nan(batch)) for batch in rows()))


def write_ecsv(path: Path, rows: Rows, about: About) -> None:
    """Write an ECSV file: astropy writes the head, Arrow the rows."""
    head = io.StringIO()
    empty = to_qtable((), about)
    empty.write(head, format="ascii.ecsv", delimiter=",")
    with path.open("wb") as file:
        file.write(head.getvalue().encode())
        _append(file, schema(about.class_names), rows())


def _append(file: IO[bytes], form: pa.Schema, rows: Iterator[pa.RecordBatch]) -> None:
    """Write rows below a head."""
    options = csv.WriteOptions(include_header=False)
    with csv.CSVWriter(file, form, write_options=options) as writer:
        for batch in rows:
            writer.write_batch(_without_empty(batch))


def _without_nan(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Turn NaN into null, which text leaves empty."""
    arrays = [
        pc.if_else(pc.is_nan(array), None, array)
        if pa.types.is_floating(array.type)
        else array
        for array in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def _harmless(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Put an apostrophe before text that a spreadsheet would run as a formula."""
    arrays = []
    for array in batch.columns:
        if pa.types.is_string(array.type):
            formula = pc.and_not(
                pc.match_substring_regex(array, FORMULA),
                pc.match_substring_regex(array, NUMBER),
            )
            marked = pc.binary_join_element_wise("'", array, "")
            array = pc.if_else(formula, marked, array)  # noqa: PLW2901
        arrays.append(array)
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def _without_empty(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Turn empty strings into null, so that no pair of quotes stands for nothing."""
    arrays = [
        pc.if_else(pc.equal(array, ""), None, array)
        if pa.types.is_string(array.type)
        else array
        for array in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)
