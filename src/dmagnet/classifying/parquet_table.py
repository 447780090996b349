"""Tables as Parquet, with the heads that astropy and TOPCAT look for."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import Table, meta
from pyarrow import parquet

from dmagnet.classifying.qtable import Rows, to_qtable
from dmagnet.classifying.table_columns import About, columns, schema
from dmagnet.classifying.votable_table import document

GROUP = 16_384  # rows that are in memory at a time, and read together later


def write_parquet(path: Path, rows: Rows, about: About) -> None:
    """Write a Parquet file."""
    form = schema(about.class_names).with_metadata(_metadata(rows, about))
    with parquet.ParquetWriter(path, form, compression="zstd") as writer:
        for group in _groups(rows()):
            writer.write_table(group.cast(form))


def _groups(rows: Iterator[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Put small batches together."""
    held: list[pa.RecordBatch] = []
    for batch in rows:
        held.append(batch)
        if sum(each.num_rows for each in held) >= GROUP:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _metadata(rows: Rows, about: About) -> dict[str, str]:
    """Say what astropy and TOPCAT want to know: units, UCDs, widths of text."""
    text = [c.name for c in columns(about.class_names) if c.type == pa.string()]
    widths = dict.fromkeys(text, 1)
    for batch in rows():
        for name in text:
            longest = pc.max(pc.utf8_length(batch[name])).as_py()
            widths[name] = max(widths[name], longest or 1)
    empty = Table(to_qtable((), about))
    return {
        "table_meta_yaml": "\n".join(meta.get_yaml_from_table(empty)),
        "IVOA.VOTable-Parquet.version": "1.0",
        "IVOA.VOTable-Parquet.content": document(about).replace("<TR/>", ""),
        **{f"table::len::{name}": str(width) for name, width in widths.items()},
    }
