"""Rows as an astropy table in memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from dmagnet.classifying.table_columns import NO_INDEX, About, Column, columns

Rows = Callable[[], Iterator[pa.RecordBatch]]


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
