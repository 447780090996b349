"""From rows to a table that astropy, TOPCAT and Aladin open, piece by piece."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dmagnet.catalog.rows import NO_INDEX, About, Column, columns
from dmagnet.disk import beside, says_so
from dmagnet.errors import ConfigError

Rows = Callable[[], Iterator[pa.RecordBatch]]

SUFFIXES = {
    ".ecsv": "ECSV",
    ".csv": "CSV",
    ".fits": "FITS",
    ".fit": "FITS",
    ".vot": "VOTable",
    ".votable": "VOTable",
    ".xml": "VOTable",
    ".parquet": "Parquet",
}


def check_name(path: Path) -> Path:
    """Refuse a name whose ending says no format, before any work is done.

    Parameters
    ----------
    path : Path
        Of a table to write.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    ConfigError
        If the ending is unknown.
    """
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
    DataError
        If the disk refuses.
    """
    write = _writer(SUFFIXES[check_name(path).suffix.lower()])
    with beside(path, says_so) as part:
        write(part, rows, about)
    return path


def to_qtable(rows: Iterable[pa.RecordBatch], about: About) -> Any:
    """Make an astropy table in memory.

    Parameters
    ----------
    rows : iterable of pa.RecordBatch
        All of them.
    about : About
        Becomes its ``meta``.

    Returns
    -------
    QTable
        Positions in degrees; ``class_index`` and ``ood_flag`` are masked where they
        are not known.
    """
    from astropy.table import QTable

    batches, form = list(rows), columns(about.class_names)
    whole = pa.Table.from_batches(
        batches, pa.schema([(column.name, column.type) for column in form])
    )
    table = QTable(meta=about.to_dict())
    for column in form:
        table[column.name] = _in_memory(column, whole[column.name])
        table[column.name].info.description = column.description
        table[column.name].info.meta = {"ucd": column.ucd}
    return table


def _in_memory(column: Column, values: pa.ChunkedArray) -> Any:
    """Turn one column into what a QTable holds."""
    from astropy.table import MaskedColumn

    if column.unit:
        import astropy.units as u

        return values.to_numpy() * u.Unit(column.unit)
    if column.type == pa.string():
        return np.array(values.to_pylist(), str)
    if column.type == pa.int16():
        filled = values.fill_null(NO_INDEX).to_numpy()
        mask = values.is_null().to_numpy()
        return MaskedColumn(filled, mask=mask, fill_value=NO_INDEX)
    return values.to_numpy()


def _writer(format_name: str) -> Callable[[Path, Rows, About], None]:
    """Load the writer of a format."""
    if format_name == "FITS":
        from dmagnet.catalog.fits import write_fits

        return write_fits
    if format_name == "VOTable":
        from dmagnet.catalog.votable import write_votable

        return write_votable
    if format_name == "Parquet":
        from dmagnet.catalog.parquet import write_parquet

        return write_parquet
    from dmagnet.catalog.text import write_csv, write_ecsv

    return write_ecsv if format_name == "ECSV" else write_csv
