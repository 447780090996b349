"""Images that a Parquet file holds as bytes, as on the Hugging Face hub."""

import bisect
import functools
import io
import itertools
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from pyarrow import parquet

from dmagnet.errors import DataError
from dmagnet.pictures.faults import ImageError, refused
from dmagnet.pictures.tables.opened import PARQUET, packed_columns
from dmagnet.storage.disk import open_file

OPEN_FILES = 8  # a process keeps open
ROWS = 8  # read at a time; a row group may hold all of them
KEPT = 4  # such pieces are kept: readers side by side ask for neighbors


def is_packed(path: str) -> bool:
    """Tell a file that may hold images as bytes."""
    return path.lower().endswith(PARQUET)


def open_cell(path: str, row: int) -> IO[bytes]:
    """Open the image in a row of a Parquet file."""
    with refused(path, "a whole Parquet file"):
        status = Path(path).stat()
        return _open(path, status.st_mtime_ns, status.st_size).cell(row)


@functools.lru_cache(OPEN_FILES)
def _open(path: str, mtime: int, size: int) -> "_Cells":  # noqa: ARG001
    return _Cells(path)


class _Cells:
    """The column of images of one file, read a few rows at a time."""

    def __init__(self, path: str) -> None:
        self._file = parquet.ParquetFile(
            open_file(path), buffer_size=1 << 20, pre_buffer=False
        )
        columns = packed_columns(self._file.schema_arrow)
        if not columns:
            raise DataError(f"{path}: expected a column of images as bytes, found none")
        self._name, self._place = next(iter(columns.items()))
        groups = range(self._file.num_row_groups)
        sizes = (self._file.metadata.row_group(group).num_rows for group in groups)
        self._starts = [0, *itertools.accumulate(sizes)]
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._at, self._end = 0, 0  # what comes next, and where its row group ends
        self._recent: deque[tuple[int, pa.Array]] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def cell(self, row: int) -> IO[bytes]:
        """Read the bytes of one image."""
        last = self._starts[-1] - 1
        if not 0 <= row <= last:
            line = f"expected a row from 0 to {last}, got {row}"
            raise ImageError(line, "missing")
        with self._lock:
            content = self._read(row)
        if not content:
            raise ImageError(f"row {row} has no image", "missing")
        return io.BytesIO(content)

    def _read(self, row: int) -> Any:
        for start, values in self._recent:
            if start <= row < start + len(values):
                return values[row - start].as_py()
        if not self._at <= row < self._end:
            group = bisect.bisect_right(self._starts, row) - 1
            self._at, self._end = self._starts[group : group + 2]
            self._batches = self._file.iter_batches(
                ROWS, row_groups=[group], columns=[self._place]
            )
        for batch in self._batches:
            values = batch.column(0)
            if self._place != self._name:
                values = values.field("bytes")
            self._recent.append((self._at, values))
            self._at += len(values)
            if row < self._at:
                return values[row - self._at + len(values)].as_py()
        raise ImageError(f"row {row} is not there", "damaged")
