"""From rows to a table that astropy, TOPCAT and Aladin open, piece by piece."""

from collections.abc import Callable
from pathlib import Path

from dmagnet.classifying.qtable import Rows
from dmagnet.classifying.table_columns import About
from dmagnet.errors import ConfigError
from dmagnet.storage.disk import beside, says_so

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


def _writer(format_name: str) -> Callable[[Path, Rows, About], None]:
    """Load the writer of a format."""
    if format_name == "FITS":
        from dmagnet.classifying.fits_table import write_fits

        return write_fits
    if format_name == "VOTable":
        from dmagnet.classifying.votable_table import write_votable

        return write_votable
    if format_name == "Parquet":
        from dmagnet.classifying.parquet_table import write_parquet

        return write_parquet
    from dmagnet.classifying.text_table import write_csv, write_ecsv

    return write_ecsv if format_name == "ECSV" else write_csv
