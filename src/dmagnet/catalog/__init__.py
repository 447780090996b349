"""What classifies, what a run has done so far, and tables astronomers can open."""

from dmagnet.catalog.classifier import Classifier, Device, open_classifier
from dmagnet.catalog.rows import (
    About,
    Column,
    columns,
    rows_of,
    schema,
    settings_of,
    without_class,
)
from dmagnet.catalog.store import ChunkStore, open_store
from dmagnet.catalog.table import check_name, to_qtable, write_table

__all__ = [
    "About",
    "ChunkStore",
    "Classifier",
    "Column",
    "Device",
    "check_name",
    "columns",
    "open_classifier",
    "open_store",
    "rows_of",
    "schema",
    "settings_of",
    "to_qtable",
    "without_class",
    "write_table",
]
