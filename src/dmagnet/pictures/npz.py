"""Arrays of an .npz file, each mapped from where it was unpacked; no pickle is read."""

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from dmagnet.errors import DataError
from dmagnet.pictures.opening import spooled

Shape = tuple[int, ...]
MAX_ARRAY = 1 << 34  # bytes of one array, unpacked onto the disk
COLORS = (3, 4)  # an axis of this length is that of colors


def shapes_in(path: Path | str) -> dict[str, Shape]:
    """List the arrays of a file."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                shape, _, kind = _header(member, name)
            size = math.prod(shape) * (1 if kind.hasobject else max(kind.itemsize, 1))
            if min(shape, default=0) < 0 or size > archive.getinfo(name).file_size:
                raise ValueError(f"{name} is shorter than its header says")
            found[name.removesuffix(".npy")] = shape
    return found


def array_of(path: Path | str, name: str) -> npt.NDArray[Any]:
    """Map one array of a file."""
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as member:
        unpacked: Any = spooled(member, name, MAX_ARRAY)
    with unpacked as file:  # the map keeps what it needs
        shape, is_fortran, kind = _header(file, name)
        if kind.hasobject:
            raise DataError(f"{path}: expected numbers or text in {name}, got a pickle")
        order: Any = "F" if is_fortran else "C"
        return np.memmap(file, kind, "r", file.tell(), shape, order)


def _header(file: IO[bytes], name: str) -> tuple[Shape, bool, np.dtype[Any]]:
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    reader = readers.get(npy.read_magic(file))
    if reader is None:
        raise ValueError(f"{name} is of an unknown version of .npy")
    return reader(file)


def is_one_image(shape: Shape) -> bool:
    """Return whether this is one image: grey, or with its colors last or first."""
    if len(shape) != 3:
        return len(shape) == 2
    return shape[2] in COLORS or (shape[0] in COLORS and shape[1] == shape[2])
