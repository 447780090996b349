"""Read Galaxy10-like HDF5 files, row by row of their chunks."""

import math
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dmagnet.classes import NUM_CLASSES
from dmagnet.errors import DataError
from dmagnet.galaxies.galaxies import PLACES
from dmagnet.pictures import hdf5
from dmagnet.pictures.raster import is_plain
from dmagnet.storage.arrays import Bools, Ints, Pixels

SUFFIXES = (".h5", ".hdf5", ".hdf")
SDSS_SIDE = 69  # Galaxy10 SDSS, the older data set with other classes
SLAB_BYTES = 2**26  # read about this much at a time, in whole rows of chunks
MOST_NAMED = 10  # rows in a note

Corner = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Catalog:
    """All of a Galaxy10 file but its pixels; `places` are the columns `PLACES`."""

    num: int
    side: int
    labels: Ints
    places: dict[str, Any]  # (N,) float64
    notes: tuple[str, ...]


@contextmanager
def open_galaxy10(path: Path) -> Iterator[h5py.File]:
    """Open a file and turn what h5py says about damage into one line."""
    if not path.exists():
        line = "expected a Galaxy10 file, found nothing; get it with 'dmagnet fetch'"
        raise DataError(f"{path}: {line}")
    with hdf5.open_hdf5(path) as file:
        _check(file, path)
        yield file


def _check(file: h5py.File, path: Path) -> None:
    """Refuse a file whose datasets are not those of Galaxy10."""
    found = {key: hdf5.numbers_of(file, key) for key in ("images", "ans", *PLACES)}
    images, labels = found["images"], found["ans"]
    if images is None or labels is None:
        raise DataError(
            f"{path}: expected datasets 'images' and 'ans', found "
            f"{', '.join(sorted(file)) or 'none'}"
        )
    shape = images.shape
    known = {key: c.shape for key, c in found.items() if c is not None}
    unlike = [key for key in known if key != "images" and known[key] != shape[:1]]
    if len(shape) == 4 and shape[1:3] == (SDSS_SIDE, SDSS_SIDE):
        line = f"this is Galaxy10 SDSS ({SDSS_SIDE} px, other classes); get the "
        line += "DECaLS file with 'dmagnet fetch'"
    elif len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2] or 0 in shape:
        line = f"expected 'images' of shape (N, S, S, 3), got {shape}"
    elif images.dtype != np.uint8:
        line = f"expected 'images' of uint8, got {images.dtype}"
    elif labels.dtype.kind not in "iu":
        line = f"expected 'ans' of integers, got {labels.dtype}"
    elif unlike:
        line = f"expected {shape[0]} values in '{unlike[0]}', one an image, got shape "
        line += str(known[unlike[0]])
    else:
        return
    raise DataError(f"{path}: {line}")


def read_catalog(path: Path) -> Catalog:
    """Read and check labels and positions of a Galaxy10-like file."""
    with open_galaxy10(path) as file:
        num, side = file["images"].shape[:2]
        labels = file["ans"][:].astype(np.int64)
        columns = dict.fromkeys(PLACES, np.full(num, np.nan))
        columns |= {k: file[k][:].astype(np.float64) for k in PLACES if k in file}
    wrong = np.flatnonzero((labels < 0) | (labels >= NUM_CLASSES))
    if len(wrong):
        raise DataError(
            f"{path}: expected labels 0 to {NUM_CLASSES - 1} in 'ans', got "
            f"{labels[wrong[0]]} in row {wrong[0]} ({len(wrong)} rows in all)"
        )
    # The published coordinate table repeats the declination as the redshift.
    repeated = np.isfinite(columns["dec"]).any() and np.array_equal(
        columns["redshift"], columns["dec"], equal_nan=True
    )
    if not repeated:
        return Catalog(num, side, labels, columns, ())
    columns["redshift"] = np.full(num, np.nan)
    note = "redshift repeats dec in this file and is taken as unknown"
    return Catalog(num, side, labels, columns, (note,))


def not_plain(images: Pixels) -> Bools:
    """Tell which images (N, H, W, 3) show something: three published ones are black."""
    return np.array([not is_plain(image) for image in images])


def note_on_plain(path: Path, shown: Bools) -> tuple[str, ...]:
    """Say which rows of a file are left out, if any; refuse one without others."""
    rows = np.flatnonzero(~shown)
    if not shown.any():
        raise DataError(f"{path}: expected images, each is of one color everywhere")
    if not len(rows):
        return ()
    some = ", ".join(map(str, rows[:MOST_NAMED])) + ", ..." * (len(rows) > MOST_NAMED)
    return (f"{len(rows)} images of one color show nothing, left out: rows {some}",)


def slab_rows(images: h5py.Dataset) -> int:
    """Return how many images to read at a time so that no chunk is read twice."""
    height = images.chunks[0] if images.chunks else 1
    row_bytes = height * math.prod(images.shape[1:])
    return int(height * max(1, SLAB_BYTES // row_bytes))


def read_slabs(images: h5py.Dataset) -> Iterator[tuple[int, Pixels]]:
    """Read all images once, in order."""
    num, rows = len(images), slab_rows(images)
    buffer = np.empty((min(rows, num), *images.shape[1:]), np.uint8)
    direct = images.chunks is not None and hdf5.filters_of(images) == [hdf5.DEFLATE]
    with ThreadPoolExecutor() as pool:
        for start in range(0, num, rows):
            slab = buffer[: min(rows, num - start)]
            if direct:
                unpack = partial(_unpack, images, slab, start)
                deque(
                    pool.map(unpack, hdf5.corners(images, start, len(slab))), maxlen=0
                )
            else:
                images.read_direct(slab, np.s_[start : start + len(slab)])
            yield start, slab


def _unpack(images: h5py.Dataset, slab: Pixels, start: int, corner: Corner) -> None:
    """Copy one chunk to its place in a slab; those at an edge reach beyond it."""
    block = np.frombuffer(hdf5.inflated(images, corner), np.uint8).reshape(
        images.chunks
    )
    first = (corner[0] - start, *corner[1:])
    steps = zip(first, images.chunks, strict=True)
    place = slab[tuple(slice(a, a + n) for a, n in steps)]
    place[...] = block[tuple(slice(n) for n in place.shape)]
