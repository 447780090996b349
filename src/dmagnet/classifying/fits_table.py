"""Tables as FITS: astropy makes the header, the rows follow in blocks.

A FITS table has to know its length and the width of every text column before the
first row, so the rows are walked through twice. Astropy's own writer wants all rows in
memory.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.io import fits

from dmagnet.classifying.table_columns import (
    CODE,
    NO_INDEX,
    TEXT,
    About,
    Rows,
    columns,
    is_vector,
    matrix,
    measured,
)

BLOCK = 2880  # bytes, of which every FITS file is made


def write_fits(path: Path, rows: Rows, about: About) -> None:
    """Write a FITS file with one binary table."""
    count, widths = measured(rows, about, lambda a: max(map(len, _ascii(a)), default=0))
    form = np.dtype(  # of one row: big-endian, no gaps
        [
            (c.name, f"S{widths[c.name]}" if c.type == TEXT else _big_endian(c.type))
            for c in columns(about)
        ]
    )
    with path.open("wb") as file:
        file.write(fits.PrimaryHDU().header.tostring().encode("ascii"))
        file.write(_header(about, count, form).tostring().encode("ascii"))
        for batch in rows():
            block = np.empty(batch.num_rows, form)
            for name, array in zip(batch.schema.names, batch.columns, strict=True):
                block[name] = _values(array)
            file.write(block.tobytes())
        file.write(bytes(-count * form.itemsize % BLOCK))


def _header(about: About, count: int, form: np.dtype[Any]) -> fits.Header:
    """Make the table's header: types, units, UCDs, and what the table was made with."""
    header = fits.BinTableHDU(np.empty(0, form), name="GALAXIES").header
    header["NAXIS2"] = count
    for i, column in enumerate(columns(about), 1):
        if column.unit:
            header[f"TUNIT{i}"] = column.unit
        if column.type == CODE:
            header[f"TNULL{i}"] = NO_INDEX
        header[f"TUCD{i}"] = column.ucd
        header[f"TCOMM{i}"] = column.description
    header["DMAGNET"] = about.version
    header["WEIGHTS"] = about.weights
    for i, name in enumerate(about.class_names):
        header[f"CLASS{i}"] = name
    header["SETTINGS"] = json.dumps(about.settings)
    return header


def _big_endian(kind: pa.DataType) -> Any:
    if is_vector(kind):
        return _big_endian(kind.value_type), (kind.list_size,)
    return np.dtype(kind.to_pandas_dtype()).newbyteorder(">")


def _values(array: pa.Array) -> Any:
    if array.type == TEXT:
        return _ascii(array)
    if is_vector(array.type):
        return matrix(array)
    filled = array.fill_null(NO_INDEX) if array.null_count else array
    return filled.to_numpy(zero_copy_only=False)


def _ascii(array: pa.Array) -> list[bytes]:
    return [text.encode("ascii", "backslashreplace") for text in array.to_pylist()]
