"""Tables as Parquet, with the heads that astropy and TOPCAT look for."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from astropy.table import Table, meta
from pyarrow import parquet

from dmagnet.classifying.table_columns import About, Rows, measured, schema, to_qtable
from dmagnet.classifying.votable_table import document

GROUP = 16_384  # rows that are in memory at a time, and read together later


def write_parquet(path: Path, rows: Rows, about: About) -> None:
    """Write a Parquet file; small batches are put together."""
    form = schema(about).with_metadata(_metadata(rows, about))
    held: list[pa.RecordBatch] = []
    with parquet.ParquetWriter(path, form, compression="zstd") as writer:
        for batch in rows():
            held.append(batch)
            if sum(each.num_rows for each in held) >= GROUP:
                writer.write_table(pa.Table.from_batches(held).cast(form))
                held = []
        if held:
            writer.write_table(pa.Table.from_batches(held).cast(form))


def _metadata(rows: Rows, about: About) -> dict[str, str]:
    """Return what astropy and TOPCAT want to know: units, UCDs, widths of text."""
    _, widths = measured(rows, about, lambda a: pc.max(pc.utf8_length(a)).as_py() or 1)
    empty = Table(to_qtable((), about))
    return {
        "table_meta_yaml": "\n".join(meta.get_yaml_from_table(empty)),
        "IVOA.VOTable-Parquet.version": "1.0",
        "IVOA.VOTable-Parquet.content": "".join(document(about)),
        **{f"table::len::{name}": str(width) for name, width in widths.items()},
    }
