"""Tables as astronomers keep them: CSV, ECSV, FITS, VOTable, Parquet."""

from pathlib import Path

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.table import MaskedColumn, Table

from dmagnet.errors import DataError

FORMATS = {
    ".csv": "ascii.csv",
    ".ecsv": "ascii.ecsv",
    ".fits": "fits",
    ".fit": "fits",
    ".vot": "votable",
    ".xml": "votable",
    ".parquet": "parquet",
}


def read_table(path: Path, *, required: tuple[str, ...] = ()) -> Table:
    """Read a table and give its columns lower-case names.

    Parameters
    ----------
    path : Path
        The suffix tells the format, one of `FORMATS`.
    required : tuple of str
        Columns that must be there, in lower case.

    Returns
    -------
    astropy.table.Table
        At least one row.

    Raises
    ------
    DataError
        If the file is missing, damaged or of another format, has no rows, lacks a
        column, or two of its names differ only in case.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise DataError(
            f"{path}: expected a table ({', '.join(FORMATS)}), "
            f"got {suffix or 'no'} suffix"
        )
    if not path.is_file():
        raise DataError(f"{path}: expected a table, found nothing")
    try:
        if suffix == ".parquet":
            table = _read_parquet(path)
        else:
            table = Table.read(path, format=FORMATS[suffix])
    except (OSError, ValueError, IndexError, TypeError, KeyError) as error:
        # astropy's readers raise subclasses of these; so does pyarrow
        reason = " ".join(str(error).split())[:200]
        raise DataError(
            f"{path}: expected a {FORMATS[suffix]} table: {reason}"
        ) from error
    table.convert_bytestring_to_unicode()
    lower = [name.lower() for name in table.colnames]
    if len(set(lower)) < len(lower):
        raise DataError(
            f"{path}: expected names that differ by more than case: {lower}"
        )
    table.rename_columns(table.colnames, lower)
    if missing := [name for name in required if name not in lower]:
        raise DataError(
            f"{path}: expected columns {', '.join(required)}; "
            f"{', '.join(missing)} missing, found {', '.join(lower)}"
        )
    if not len(table):
        raise DataError(f"{path}: expected rows, found none")
    return table


def _read_parquet(path: Path) -> Table:
    """Read Parquet without pandas, which astropy's own reader asks for."""
    from pyarrow.parquet import read_table as read_arrow

    arrow = read_arrow(path)
    columns = {}
    for name, column in zip(arrow.column_names, arrow.columns, strict=True):
        present = column.drop_null()
        filler = present[0].as_py() if len(present) else np.nan
        values = [filler if value is None else value for value in column.to_pylist()]
        columns[name] = MaskedColumn(values, mask=column.is_null().to_numpy())
    return Table(columns)


def float_column(table: Table, name: str) -> npt.NDArray[np.float64]:
    """Return a column as plain floats.

    Parameters
    ----------
    table : astropy.table.Table
        As `read_table` returns it.
    name : str
        Column; angles with a unit come back in degrees.

    Returns
    -------
    (N,) float64
        NaN where the cell is empty or the column is not there.

    Raises
    ------
    DataError
        If the values are no numbers.
    """
    if name not in table.colnames:
        return np.full(len(table), np.nan)
    column = table[name]
    try:
        values = np.ma.filled(np.ma.asarray(column, np.float64), np.nan)
    except ValueError as error:
        raise DataError(f"column {name}: expected numbers, got {error}") from error
    unit = getattr(column, "unit", None)
    if unit is not None and unit.is_equivalent(u.deg):
        values = values * unit.to(u.deg)
    return np.asarray(values, np.float64)
