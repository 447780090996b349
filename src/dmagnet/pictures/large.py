"""Images of more pixels than memory has room for: the part of them that is read."""

import contextlib
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LARGE = 1 << 24  # pixels of a picture, or values of fluxes, that are read as they are
ALONE = LARGE // 4  # from so many on, one thread at a time reads

_turn = threading.Lock()
_reader = threading.local()  # whether a thread is within, and has the turn


@dataclass(frozen=True)
class Part:
    """Which pixels of an image are read."""

    rows: slice
    columns: slice
    step: int = 1


def part_of(height: int, width: int, most: int, *, known_scale: bool) -> Part:
    """Choose the part of an image that is read."""
    if height * width <= most:
        return Part(slice(0, height), slice(0, width))
    side = math.isqrt(most)
    if known_scale or min(height, width) <= side:
        rows = min(height, max(side, most // width))
        return Part(_around(height, rows), _around(width, most // rows))
    return thinned(height, width, -(-min(height, width) // side))


def thinned(height: int, width: int, step: int) -> Part:
    """Take every so many-th pixel of the central square of an image."""
    if step <= 1:
        return Part(slice(0, height), slice(0, width))
    square = min(height, width)
    return Part(_around(height, square, step), _around(width, square, step), step)


def _around(length: int, wanted: int, step: int = 1) -> slice:
    """Cut the same from both ends; of each step the pixel in its middle."""
    num = (length - 2 * -(-(length - wanted) // 2)) // step
    start = (length - num * step) // 2
    return slice(start + step // 2, start + num * step, step)


def block_means(strip: npt.NDArray[np.uint8], step: int) -> npt.NDArray[np.uint8]:
    """Shrink a picture by a whole number."""
    height, width, colors = strip.shape
    rows = strip.reshape(height // step, step, width, colors).sum(1, dtype=np.uint32)
    sums = rows.reshape(height // step, width // step, step, colors).sum(2)
    means: npt.NDArray[np.uint8] = ((sums + step**2 // 2) // step**2).astype(np.uint8)
    return means


def strips(height: int, width: int) -> Iterator[slice]:
    """Divide an image into strips; one that is not large is one strip."""
    high = max(1, ALONE // 4 // max(1, width))
    for start in range(0, height, high):
        yield slice(start, min(start + high, height))


@contextlib.contextmanager
def one_large_at_a_time() -> Iterator[None]:
    """Let other threads wait with large images until this one is done."""
    _reader.inside = True
    try:
        yield
    finally:
        _reader.inside = False
        if getattr(_reader, "has_turn", False):
            _reader.has_turn = False
            _turn.release()


def take_turn(pixels: int) -> None:
    """Wait until no other thread reads a large image, before reading one."""
    inside, has = (getattr(_reader, k, False) for k in ("inside", "has_turn"))
    if pixels > ALONE and inside and not has:
        _turn.acquire()
        _reader.has_turn = True
