"""Read Galaxy10-like HDF5 files, row by row of their chunks."""

import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from dmagnet.classes import NUM_CLASSES
from dmagnet.errors import DataError

SUFFIXES = (".h5", ".hdf5", ".hdf")
SDSS_SIDE = 69  # Galaxy10 SDSS, the older data set with other classes
SLAB_BYTES = 2**26  # read about this much at a time, in whole rows of chunks
POSITION_COLUMNS = ("ra", "dec", "redshift", "pxscale")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Catalog:
    """All of a Galaxy10 file but its pixels.

    Attributes
    ----------
    num, side : int
        Number of images and their side in px.
    labels : (N,) int64
        0 to 9.
    ra, dec : (N,) float64
        Degrees; NaN where unknown.
    redshift : (N,) float64
        NaN where unknown.
    pxscale : (N,) float64
        Arcseconds a pixel; NaN where unknown.
    notes : tuple of str
        What is odd about the file.
    """

    num: int
    side: int
    labels: npt.NDArray[np.int64]
    ra: Floats
    dec: Floats
    redshift: Floats
    pxscale: Floats
    notes: tuple[str, ...]


@contextmanager
def open_galaxy10(path: Path) -> Iterator[h5py.File]:
    """Open a file and turn what h5py says about damage into one line.

    Parameters
    ----------
    path : Path
        Galaxy10-like HDF5.

    Yields
    ------
    h5py.File
        Open for reading, its ``images`` and ``ans`` checked.

    Raises
    ------
    DataError
        If the file is missing, truncated, damaged, or not of this form.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: expected a Galaxy10 file, found nothing; get it with "
            "'dmagnet fetch'"
        )
    try:
        with h5py.File(path, "r") as file:
            _check(file, path)
            yield file
    except OSError as error:
        if error.errno is not None:  # the disk's or the caller's, not the format's
            raise
        reason = " ".join(str(error).split())
        raise DataError(
            f"{path}: expected a whole HDF5 file, got a damaged or truncated one "
            f"({reason}); fetch it again"
        ) from error


def _check(file: h5py.File, path: Path) -> None:
    """Refuse a file whose datasets are not those of Galaxy10."""
    for key in ("images", "ans"):
        if not isinstance(file.get(key), h5py.Dataset):
            raise DataError(
                f"{path}: expected datasets 'images' and 'ans', found "
                f"{', '.join(sorted(file)) or 'none'}"
            )
    images, labels = file["images"], file["ans"]
    shape = images.shape
    if len(shape) == 4 and shape[1:3] == (SDSS_SIDE, SDSS_SIDE):
        raise DataError(
            f"{path}: this is Galaxy10 SDSS ({SDSS_SIDE} px, other classes); get the "
            "DECaLS file with 'dmagnet fetch'"
        )
    if len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2] or 0 in shape:
        raise DataError(f"{path}: expected 'images' of shape (N, S, S, 3), got {shape}")
    if images.dtype != np.uint8:
        raise DataError(f"{path}: expected 'images' of uint8, got {images.dtype}")
    if labels.dtype.kind not in "iu":
        raise DataError(f"{path}: expected 'ans' of integers, got {labels.dtype}")
    for key in ("ans", *POSITION_COLUMNS):
        if key in file and file[key].shape != shape[:1]:
            raise DataError(
                f"{path}: expected {shape[0]} values in '{key}', one an image, got "
                f"shape {file[key].shape}"
            )


def read_catalog(path: Path) -> Catalog:
    """Read and check labels and positions of a Galaxy10-like file.

    Parameters
    ----------
    path : Path
        HDF5 with ``images`` and ``ans``; ``ra dec redshift pxscale`` may be missing.

    Returns
    -------
    Catalog
        In the order of the file.

    Raises
    ------
    DataError
        If the file is missing, damaged, of another form, or a label is not 0 to 9.
    """
    with open_galaxy10(path) as file:
        num, side = file["images"].shape[:2]
        labels = file["ans"][:].astype(np.int64)
        columns = {
            key: file[key][:].astype(np.float64)
            if key in file
            else np.full(num, np.nan)
            for key in POSITION_COLUMNS
        }
    wrong = np.flatnonzero((labels < 0) | (labels >= NUM_CLASSES))
    if len(wrong):
        raise DataError(
            f"{path}: expected labels 0 to {NUM_CLASSES - 1} in 'ans', got "
            f"{labels[wrong[0]]} in row {wrong[0]} ({len(wrong)} rows in all)"
        )
    notes: tuple[str, ...] = ()
    # The published coordinate table repeats the declination as the redshift.
    if np.isfinite(columns["dec"]).any() and np.array_equal(
        columns["redshift"], columns["dec"], equal_nan=True
    ):
        columns["redshift"] = np.full(num, np.nan)
        notes = ("redshift repeats dec in this file and is taken as unknown",)
    return Catalog(num, side, labels, **columns, notes=notes)


def slab_rows(images: h5py.Dataset) -> int:
    """Return how many images to read at a time so that no chunk is read twice.

    Parameters
    ----------
    images : h5py.Dataset
        (N, H, W, 3) uint8.

    Returns
    -------
    int
        A multiple of the height of a chunk, about `SLAB_BYTES` of pixels if that
        is higher than one chunk.
    """
    height = images.chunks[0] if images.chunks else 1
    row_bytes = height * int(np.prod(images.shape[1:]))
    return int(height * max(1, SLAB_BYTES // row_bytes))


def read_slabs(images: h5py.Dataset) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Read all images once, in order.

    Parameters
    ----------
    images : h5py.Dataset
        (N, H, W, 3) uint8.

    Yields
    ------
    tuple of int and (M, H, W, 3) uint8
        Row of the first image and the images; the next slab overwrites this one.

    Notes
    -----
    HDF5 unpacks on one core and scatters the published chunks, one color each, byte by
    byte. Chunks that are only gzipped are therefore unpacked here, in threads.
    """
    num, rows = len(images), slab_rows(images)
    buffer = np.empty((min(rows, num), *images.shape[1:]), np.uint8)
    direct = _only_gzipped(images)
    with ThreadPoolExecutor() as pool:
        for start in range(0, num, rows):
            slab = buffer[: min(rows, num - start)]
            if direct:
                unpack = partial(_unpack, images.id, images.chunks, slab, start)
                deque(pool.map(unpack, _corners(images, start, len(slab))), maxlen=0)
            else:
                images.read_direct(slab, np.s_[start : start + len(slab)])
            yield start, slab


def _only_gzipped(images: h5py.Dataset) -> bool:
    settings = images.id.get_create_plist()
    return (
        images.chunks is not None
        and settings.get_nfilters() == 1
        and settings.get_filter(0)[0] == h5py.h5z.FILTER_DEFLATE
    )


def _corners(images: h5py.Dataset, start: int, num: int) -> Iterator[tuple[int, ...]]:
    """List the chunks that hold some of these rows by their first elements."""
    sizes = (num, *images.shape[1:])
    starts = (range(0, n, step) for n, step in zip(sizes, images.chunks, strict=True))
    for row, *rest in product(*starts):
        yield (start + row, *rest)


def _unpack(
    dataset: h5py.h5d.DatasetID,
    chunk: tuple[int, ...],
    slab: npt.NDArray[np.uint8],
    start: int,
    corner: tuple[int, ...],
) -> None:
    """Copy one chunk to its place in a slab; those at an edge reach beyond it."""
    skipped_filters, packed = dataset.read_direct_chunk(corner)
    try:
        plain = packed if skipped_filters else zlib.decompress(packed)
        block = np.frombuffer(plain, np.uint8).reshape(chunk)
    except (zlib.error, ValueError) as error:
        raise OSError(f"chunk at {corner}: {error}") from error
    first = (corner[0] - start, *corner[1:])
    place = slab[tuple(slice(a, a + n) for a, n in zip(first, chunk, strict=True))]
    place[...] = block[tuple(slice(n) for n in place.shape)]
