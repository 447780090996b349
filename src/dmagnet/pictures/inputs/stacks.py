"""Files of many images, and images of many galaxies; each is opened once a process."""

import bisect
import io
import itertools
import math
import mmap
import threading
import weakref
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import h5py
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from astropy.io import fits
from pyarrow import parquet

from dmagnet.errors import DataError
from dmagnet.pictures.flags import Flag
from dmagnet.pictures.hdf5 import check_chunks, numbers_of, open_hdf5
from dmagnet.pictures.inputs.archives import read_member
from dmagnet.pictures.npz import COLORS, array_of, is_one_image, shapes_in
from dmagnet.pictures.opening import (
    ImageError,
    KeptFits,
    in_short,
    kept_open,
    refused,
)
from dmagnet.pictures.raster import LARGE, MAX_PIXELS, part_of, take_turn
from dmagnet.pictures.tables.opened import ARROW, mapped, packed_columns, rank
from dmagnet.storage.disk import open_file

# Of images of the Multimodal Universe (Angeloudi et al. 2024), and the AB magnitude of
# one there: Legacy Surveys in nanomaggies, Hyper Suprime-Cam as its coadds.
PLANE, ZERO_POINTS = ("band", "flux", "scale"), {"DES": 22.5, "HSC": 27.0}
NIRCAM = {"F277W", "F356W", "F444W"}  # no other telescope has these
MAX_CHUNKS = 1 << 26  # bytes of unpacked HDF5 chunks kept for neighbors
STACK_SUFFIXES = (".h5", ".hdf5", ".hdf", ".npy")
STRIP = 256  # rows of pixels read at a time
CELLS = 8  # of Parquet read at a time; a row group may hold all of them
KEPT = 4  # such pieces are kept: readers side by side ask for neighbors


@dataclass(frozen=True, eq=False)
class Stack:
    """Images of an HDF5 or npy file, none of them read."""

    images: Any
    name: str = ""
    columns: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.images.shape[0])

    def numbers(self, column: str, rows: range) -> list[float]:
        """Read what is known of images beside their pixels."""
        found = self.columns.get(column)
        if found is None:
            return [float("nan")] * len(rows)
        return [float(value) for value in found[rows.start : rows.stop]]


def open_stack(path: str, dataset: str = "") -> Stack:
    """Open a file of images, or return it if this process has it open."""
    return kept_open(_stack_of, "a whole file of images", path, dataset)


def _stack_of(path: str, dataset: str) -> Stack:
    if path.lower().endswith(".npz"):
        shapes = shapes_in(path)
        several = [name for name, shape in shapes.items() if len(shape) > 2]
        images = array_of(path, dataset or next(iter(sorted(several, key=rank)), ""))
        images = images[None] if is_one_image(images.shape) else images
        scales = {"pxscale": images.shape[:1]}.items() & shapes.items()
        return Stack(images, columns={name: array_of(path, name) for name, _ in scales})
    if path.lower().endswith(".npy"):
        images = np.load(path, mmap_mode="r", allow_pickle=False)
        if is_one_image(images.shape):
            images = images[None]
        if _holds_images(images):
            return Stack(images)
        wanted = "images of shape (N, H, W, 3)"
        raise DataError(f"{path}: expected {wanted}, got {images.shape}")
    with open_hdf5(path, "a whole file of images") as file:
        name = _images_in(file, path, dataset)
        found = file[name]
        # Rows share chunks: what was unpacked for one is kept for the next.
        rows = found.chunks[0] if found.chunks else 1
        row_bytes = found.dtype.itemsize * math.prod(found.shape[1:])
        kept = min(MAX_CHUNKS, 2 * rows * row_bytes)
    again = h5py.File(path, rdcc_nbytes=max(kept, 1 << 20), rdcc_nslots=100_003)
    images = again[name]
    columns = {key: numbers_of(again, key) for key in ("ra", "dec", "pxscale")}
    fitting = {
        key: column
        for key, column in columns.items()
        if getattr(column, "shape", None) == images.shape[:1] and _is_number(column)
    }
    return Stack(images, name, fitting)


def _images_in(file: h5py.File, path: str, dataset: str) -> str:
    """Find the data set with the images."""
    found: dict[str, Any] = {}

    def _visit(name: str, node: Any) -> None:
        if isinstance(node, h5py.Dataset) and node.shape is not None:
            found[name] = node

    file.visititems(_visit)
    fitting = [name for name, node in found.items() if _holds_images(node)]
    wanted = dataset.strip("/") or ("images" if "images" in fitting else "")
    if not wanted and len(fitting) == 1:
        wanted = fitting[0]
    if wanted in fitting:
        numbers_of(file, wanted)  # refuses what lies elsewhere
        return wanted
    told = ", ".join(f"{name} {found[name].shape}" for name in [*found][:8])
    asked = f"a data set {wanted!r}" if wanted else "one data set"
    raise DataError(
        f"{path}: expected {asked} of images (N, H, W, 3), found {told or 'none'}; "
        "name it with --dataset"
    )


def _is_number(array: Any) -> bool:
    return bool(array.dtype.kind in "uif")


def _holds_images(array: Any) -> bool:
    shape = array.shape
    return len(shape) in (3, 4) and _is_number(array) and min(shape[1:], default=0) > 0


def read_row(
    stack: Stack, row: int, *, known_scale: bool = False
) -> tuple[npt.NDArray[Any], int]:
    """Read one image, of a very large one what is needed."""
    shape = stack.images.shape[1:]
    if math.prod(shape) > MAX_PIXELS:
        most = f"{MAX_PIXELS / 1e6:.0f} million values in a row"
        raise ImageError(f"expected at most {most}, got {shape}", Flag.TOO_LARGE)
    take_turn(math.prod(shape))
    with refused(f"row {row}", "a whole image"):
        if isinstance(stack.images, h5py.Dataset):
            check_chunks(stack.images, row)
        image, step = _needed(stack.images, row, known_scale)
    if image.ndim == 3 and image.shape[2] not in COLORS and image.shape[0] in COLORS:
        image = image.transpose(1, 2, 0)
    return image, step


def _needed(images: Any, row: int, known_scale: bool) -> tuple[npt.NDArray[Any], int]:
    """Read a row; of a very large one a part, some rows of pixels at a time."""
    shape = images.shape[1:]
    first = int(len(shape) == 3 and shape[0] < shape[2])  # axis of the rows of pixels
    height, width = shape[first : first + 2]
    most = LARGE * height * width // math.prod(shape)
    part = part_of(height, width, most, known_scale=known_scale)
    if height * width <= most:
        return np.asarray(images[row]), 1
    before = (row, *(slice(None),) * first)
    every = (*before[1:], slice(None, None, part.step), slice(None, None, part.step))
    pieces = []
    for some in part.strips(STRIP):
        pieces.append(np.ascontiguousarray(images[(*before, *some)][every]))
        pages: Any = getattr(images, "base", None)
        if isinstance(pages, mmap.mmap):
            pages.madvise(mmap.MADV_DONTNEED)  # what was read is not needed again
    return np.concatenate(pieces, axis=first), part.step


def open_mosaic(path: str, member: str = "") -> KeptFits:
    """Open a FITS image on which several galaxies lie, once a process."""
    return kept_open(_mosaic_of, "a whole FITS file", path, member, mosaic=True)


def _mosaic_of(path: str, member: str) -> KeptFits:
    file = read_member(path, member) if member else open_file(path)
    return KeptFits(file, member or path)


def open_cell(path: str, row: int, column: str = "") -> IO[bytes]:
    """Open the image in a row of a Parquet file."""
    with refused(path, what := "a whole Parquet file"):
        cells = kept_open(_Cells, what, path, column)
        return cells.cell(row)


class _Cells:
    """A column of images of one file, read a few rows at a time."""

    def __init__(self, path: str, column: str) -> None:
        self._mapped: pa.Table | None = None
        if path.lower().endswith(ARROW):
            self._mapped = mapped(path)
            schema, sizes = self._mapped.schema, [len(self._mapped)]
        else:
            opened = open_file(path)
            weakref.finalize(self, opened.close)  # also where it is no Parquet file
            self._file = parquet.ParquetFile(
                opened, buffer_size=1 << 20, pre_buffer=False
            )
            schema, about = self._file.schema_arrow, self._file.metadata
            groups = range(self._file.num_row_groups)
            sizes = [about.row_group(group).num_rows for group in groups]
        columns = packed_columns(schema)
        if not columns:
            raise DataError(f"{path}: expected a column of images, found none")
        named = (each for each in columns.items() if column in each)
        self._name, self._place = next(named, next(iter(columns.items())))
        self._starts = [0, *itertools.accumulate(sizes)]
        self._batches: Iterator[pa.RecordBatch] = iter(())
        self._at, self._end = 0, 0  # what comes next, and where its row group ends
        self._recent: deque[tuple[int, pa.Array]] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def cell(self, row: int) -> IO[bytes]:
        """Read the bytes of one image."""
        if not 0 <= row < self._starts[-1]:
            line = f"expected a row from 0 to {self._starts[-1] - 1}, got {row}"
            raise ImageError(line, Flag.NOT_FOUND)
        with self._lock:
            content = self._read(row)
        if not content:
            raise ImageError(f"row {row} has no image", Flag.NOT_FOUND)
        return io.BytesIO(content if isinstance(content, bytes) else _cube(content))

    def _read(self, row: int) -> Any:
        if self._mapped is not None:
            found = self._mapped.column(self._name)[row].as_py()
            return found if self._place == self._name else (found or {}).get("bytes")
        for start, values in self._recent:
            if start <= row < start + len(values):
                return values[row - start].as_py()
        if not self._at <= row < self._end:
            group = bisect.bisect_right(self._starts, row) - 1
            self._at, self._end = self._starts[group : group + 2]
            self._batches = self._file.iter_batches(
                CELLS, row_groups=[group], columns=[self._place]
            )
        for batch in self._batches:
            values = batch.column(0)
            if self._place != self._name:
                values = values.field("bytes")
            self._recent.append((self._at, values))
            self._at += len(values)
            if row < self._at:
                return values[row - self._at + len(values)].as_py()
        raise ImageError(f"row {row} is not there", Flag.UNREADABLE)


def _cube(cell: dict[str, Any] | list[dict[str, Any]]) -> bytes:
    """Write planes and their bands as a FITS file; its rows run from the bottom too."""
    out = io.BytesIO()
    try:
        if isinstance(cell, dict):  # a list of each, rather than a list of planes
            scales = cell.get("scale")
            if not isinstance(cell["band"], list):
                raise TypeError(f"one band, {cell['band']}")
            if not isinstance(scales, list):
                scales = [scales] * len(cell["band"])
            rows = zip(cell["band"], cell["flux"], scales, strict=True)
            cell = [dict(zip(PLANE, row, strict=True)) for row in rows]
        image = fits.PrimaryHDU(np.array([p["flux"] for p in cell], np.float32))
        bands = ["".join(filter(str.isprintable, plane["band"])) for plane in cell]
        surveys = {band.rpartition("-")[0].upper() for band in bands}
        scales = {plane.get("scale") or 0.0 for plane in cell}
    except (ValueError, TypeError, LookupError) as error:
        line = f"expected planes of one size, each with its band ({in_short(error)})"
        raise ImageError(line, Flag.BAD_SHAPE) from error
    named = {
        f"BAND{i}": b.encode("ascii", "ignore").decode() for i, b in enumerate(bands)
    }
    image.header.update(named)
    if len(surveys) == 1 and (zero := ZERO_POINTS.get(*surveys)):
        image.header["MAGZERO"] = zero
    if "JWST" in surveys or NIRCAM & set(map(str.upper, bands)):
        image.header["TELESCOP"] = "JWST"  # whose F277W is 2770 nm
    for scale in scales:
        if len(scales) == 1 and isinstance(scale, int | float) and 0 < scale < math.inf:
            image.header["PIXSCALE"] = scale  # arcsec
    image.writeto(out)
    return out.getvalue()
