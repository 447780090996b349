"""Tables with embeddings: read again, and searched for galaxies that are alike."""

import json
import shlex
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from dmagnet.calibration.space import nearest as nearest_rows
from dmagnet.classifying.table_columns import VECTOR
from dmagnet.errors import ConfigError, DataError
from dmagnet.storage.arrays import Singles

FORMS = {
    ".parquet": "parquet",
    **dict.fromkeys((".fits", ".fit"), "fits"),
    ".ecsv": "ascii.ecsv",
}
NUM_NEAREST = 10


def check_form(path: Path, *, given: bool = True) -> None:
    """Refuse a table, given or to be written, that would not give its vectors back."""
    if path.suffix.lower() in FORMS:
        return
    line = (
        f"{path}: expected a table of embeddings, which ends in {', '.join(FORMS)}; "
        f"got {path.suffix or 'no ending'!r}"
    )
    first = f"dmagnet embed {shlex.quote(str(path))} -o galaxies.parquet"
    raise ConfigError(f"{line}; write one first: {first}" if given else line)


def read_embeddings(path: Path) -> Any:
    """Read a table that `embed` wrote, as an astropy QTable in memory."""
    from astropy.table import QTable

    check_form(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table = QTable.read(path, format=FORMS[path.suffix.lower()])
    except (OSError, ValueError, TypeError, LookupError, NotImplementedError) as error:
        line = " ".join(str(error).split())[:160]
        raise DataError(
            f"{path}: expected a table that 'dmagnet embed' wrote, could not read it "
            f"({line})"
        ) from error
    table.convert_bytestring_to_unicode()  # text of FITS
    vectors_of(table, str(path))
    return table


def vectors_of(table: Any, name: str = "table") -> Singles:
    """Return the embeddings (N, D) of a table; NaN in rows without a class."""
    if VECTOR not in table.colnames or np.ndim(table[VECTOR]) != 2:
        raise DataError(
            f"{name}: expected a column {VECTOR!r} of vectors, found none; make it "
            "with 'dmagnet embed', or 'dmagnet classify --embeddings'"
        )
    vectors = np.ma.filled(np.ma.asarray(table[VECTOR]), np.nan)
    return np.asarray(vectors, np.float32)


def head_of(table: Any, name: str) -> Any:
    """Return what the head of a table says, in whichever format it was."""
    short = {"settings": "SETTINGS", "weights": "WEIGHTS"}[name]  # of FITS
    if name in table.meta:
        return table.meta[name]
    text = table.meta.get(short, "{}")
    return json.loads(text) if name == "settings" else text


def nearest(table: Any, to: Any, *, num: int = NUM_NEAREST) -> Any:
    """Find the galaxies of a table that the network finds most alike.

    Parameters
    ----------
    table : QTable
        With embeddings: from `dmagnet.classify` with ``embeddings=True``, or read from
        a table that ``dmagnet embed`` wrote.
    to : str, int or (D,) float
        A galaxy of the table by its id or row, which is not listed itself; or the
        embedding of another.
    num : int
        How many, from 1; fewer where the table has not so many.

    Returns
    -------
    QTable
        Their rows, the nearest first, with a column ``distance``: root mean square
        over the features, in standard deviations of the table.

    Raises
    ------
    DataError
        If the table has no embeddings, or no embedded galaxy ``to``.

    Examples
    --------
    >>> from astropy.table import QTable
    >>> table = QTable({"id": ["a", "b", "c"], "embedding": [[0.0, 1], [4, 1], [1, 1]]})
    >>> nearest(table, "a")["id"].tolist()
    ['c', 'b']
    """
    vectors = vectors_of(table)
    known = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    row = None
    if isinstance(to, str):
        ids = np.flatnonzero(np.asarray(table["id"]) == to)
        if not len(ids):
            raise DataError(f"{to}: expected the id of a galaxy of the table")
        row = int(ids[0])
    elif np.ndim(to) == 0:
        row = int(to)
    wanted = vectors[row] if row is not None else np.asarray(to, np.float32)
    if wanted.shape != vectors.shape[1:] or not np.isfinite(wanted).all():
        raise DataError(
            f"{to if row is not None else 'vector'}: expected an embedding of "
            f"{vectors.shape[1]} numbers, found none; rows without a class have none"
        )
    if not len(known):
        raise DataError("table: expected rows with an embedding, found none")
    distances, rows = nearest_rows(vectors[known], wanted[None], num + 1)
    others = known[rows[0]] != row
    found = table[known[rows[0]][others][:num]]
    found["distance"] = distances[0][others][:num]
    return found
