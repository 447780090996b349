"""The door of HDF5 files: what they read from other files is refused."""

import contextlib
import math
import zlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import h5py

from dmagnet.pictures.opening import ImageError, refused
from dmagnet.storage.disk import open_file

MAX_CHUNK = 1 << 28  # bytes of one chunk, unpacked
EXPANDS = 1032  # times: more than that zlib cannot unpack out of a byte
SURE = MAX_CHUNK // EXPANDS  # bytes of a packed chunk that is small whatever it holds
# Filters that are part of HDF5 and h5py; others are libraries that a file would load.
DEFLATE, LZF = h5py.h5z.FILTER_DEFLATE, 32000
FILTERS = (
    DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32,
    h5py.h5z.FILTER_SZIP, h5py.h5z.FILTER_NBIT, h5py.h5z.FILTER_SCALEOFFSET, LZF,
)  # fmt: skip


@contextlib.contextmanager
def open_hdf5(path: Path | str, expected: str = "a whole HDF5 file") -> Iterator[Any]:
    """Open an HDF5 file of which nothing is known."""
    with refused(path, expected):
        open_file(path).close()  # h5py would wait for a pipe
        with h5py.File(path, "r") as file:
            yield file


def numbers_of(file: h5py.File, name: str) -> h5py.Dataset | None:
    """Find a data set of numbers that lie in this file."""
    link, place = None, file
    for part in name.strip("/").split("/"):
        if not isinstance(place, h5py.Group):
            return None
        link = place.get(part, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise ImageError(f"{file.filename}: {name!r} is a link to another place")
        place = place[part]
    if not isinstance(place, h5py.Dataset):
        return None
    filters = filters_of(place)
    if place.external or place.is_virtual:
        line = "has its values in other files; copy them into one"
    elif not set(filters) <= set(FILTERS) or filters.count(DEFLATE) > 1:
        line = f"is packed in an unusual way (filters {filters}); pack it with gzip"
    elif _chunk_bytes(place) > MAX_CHUNK:
        line = f"has chunks of more than {MAX_CHUNK >> 20} MB; store it in smaller ones"
    elif place.nbytes > EXPANDS * file.id.get_filesize():
        line = f"claims {place.shape} values, more than the file can hold"
    else:
        return place
    raise ImageError(f"{file.filename}: {name!r} {line}")


def filters_of(dataset: h5py.Dataset) -> list[int]:
    """List how the values of a data set are packed."""
    settings = dataset.id.get_create_plist()
    return [settings.get_filter(i)[0] for i in range(settings.get_nfilters())]


def _chunk_bytes(dataset: h5py.Dataset) -> int:
    return math.prod(dataset.chunks or ()) * int(dataset.dtype.itemsize)


def corners(dataset: h5py.Dataset, start: int, num: int) -> Iterator[tuple[int, ...]]:
    """List the chunks that hold some rows by their first elements."""
    height, *others = dataset.chunks
    rows = range(start - start % height, start + num, height)
    steps = zip(dataset.shape[1:], others, strict=True)
    yield from product(rows, *(range(0, n, step) for n, step in steps))


def inflated(dataset: h5py.Dataset, corner: tuple[int, ...]) -> bytes:
    """Unpack a chunk that is gzipped, no further than a chunk is long."""
    skipped, packed = dataset.id.read_direct_chunk(corner)
    size = _chunk_bytes(dataset)
    try:
        whole = packed if skipped else zlib.decompressobj().decompress(packed, size + 1)
    except zlib.error as error:
        raise OSError(f"chunk at {corner}: {error}") from error
    if len(whole) != size:
        raise OSError(f"chunk at {corner}: expected {size} bytes, got {len(whole)}")
    return whole


def check_chunks(dataset: h5py.Dataset, row: int) -> None:
    """Refuse chunks for which HDF5 would allocate memory without end."""
    if dataset.compression not in ("gzip", "lzf"):
        return
    for corner in corners(dataset, row, 1):
        if dataset.id.get_chunk_info_by_coord(corner).size > SURE:
            inflated(dataset, corner)
