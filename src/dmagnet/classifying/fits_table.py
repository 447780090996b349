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

from dmagnet.classifying.qtable import Rows
from dmagnet.classifying.table_columns import NO_INDEX, About, columns

BLOCK = 2880  # bytes, of which every FITS file is made
CODES = {pa.float64(): "D", pa.float32(): "E", pa.int16(): "I", pa.int32(): "J"}


def write_fits(path: Path, rows: Rows, about: About) -> None:
    r"""Write a FITS file with one binary table."""
    count, widths = _measure(rows, about)
    header = _header(about, count, widths)
    form = _dtype(about, widths)
    with path.open("wb") as file:
        file.write(fits.PrimaryHDU().header.tostring().encode("ascii"))
        file.write(header.tostring().encode("ascii"))
        for batch in rows():
            file.write(_to_numpy(batch, form).tobytes())
        file.write(bytes(-count * form.itemsize % BLOCK))


def _measure(rows: Rows, about: About) -> tuple[int, dict[str, int]]:
    """Count the rows, and find the longest text of each column."""
    text = [c.name for c in columns(about.class_names) if c.type == pa.string()]
    count, widths = 0, dict.fromkeys(text, 1)
    for batch in rows():
        count += batch.num_rows
        for name in text:
            widest = max(map(len, _ascii(batch[name])), default=0)
            widths[name] = max(widths[name], widest)
    return count, widths


def _header(about: About, count: int, widths: dict[str, int]) -> Any:
    """Make the table's header: types, units, UCDs, and what the table was made with."""
    form = columns(about.class_names)
    made = fits.BinTableHDU.from_columns(
        [
            fits.Column(
                name=column.name,
                format=CODES.get(column.type) or f"{widths[column.name]}A",
                unit=column.unit or None,
                null=NO_INDEX if column.type == pa.int16() else None,
            )
            for column in form
        ],
        nrows=0,
        name="GALAXIES",
    )
    header = made.header
    header["NAXIS2"] = count
    for i, column in enumerate(form, 1):
        header[f"TUCD{i}"] = column.ucd
        header[f"TCOMM{i}"] = column.description
    header["DMAGNET"] = about.version
    header["WEIGHTS"] = about.weights
    for i, name in enumerate(about.class_names):
        header[f"CLASS{i}"] = name
    header["SETTINGS"] = json.dumps(about.settings)
    return header


def _dtype(about: About, widths: dict[str, int]) -> np.dtype[Any]:
    """Give one row as bytes: big-endian, no gaps."""
    codes = {"D": ">f8", "E": ">f4", "I": ">i2", "J": ">i4"}
    return np.dtype(
        [
            (c.name, codes[CODES[c.type]] if c.type in CODES else f"S{widths[c.name]}")
            for c in columns(about.class_names)
        ]
    )


def _to_numpy(batch: pa.RecordBatch, form: np.dtype[Any]) -> Any:
    """Lay rows out as FITS wants them."""
    block = np.empty(batch.num_rows, form)
    for name, array in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_string(array.type):
            block[name] = _ascii(array)
        else:
            values = array.fill_null(NO_INDEX) if array.null_count else array
            block[name] = values.to_numpy(zero_copy_only=False)
    return block


def _ascii(array: pa.Array) -> list[bytes]:
    return [text.encode("ascii", "backslashreplace") for text in array.to_pylist()]
