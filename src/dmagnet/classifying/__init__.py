"""Any number of inputs to a table, in one process or on many machines."""

from dmagnet.classifying.catalog_run import Outcome, classify, write_catalog
from dmagnet.classifying.classifier import Classifier, Device
from dmagnet.classifying.engines import open_classifier
from dmagnet.classifying.local import classify_chunk, classify_chunks
from dmagnet.classifying.qtable import to_qtable
from dmagnet.classifying.store import ChunkStore, open_store
from dmagnet.classifying.table import check_name, write_table
from dmagnet.classifying.table_columns import (
    About,
    Column,
    columns,
    rows_of,
    schema,
    settings_of,
    without_class,
)

__all__ = [
    "About",
    "ChunkStore",
    "Classifier",
    "Column",
    "Device",
    "Outcome",
    "check_name",
    "classify",
    "classify_chunk",
    "classify_chunks",
    "columns",
    "open_classifier",
    "open_store",
    "rows_of",
    "schema",
    "settings_of",
    "to_qtable",
    "without_class",
    "write_catalog",
    "write_table",
]
