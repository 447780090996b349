"""Files that are there whole or not at all, and a disk that refuses in one line."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from dmagnet.errors import DataError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def open_file(path: Path | str) -> BinaryIO:
    """Open a file to read it; what may never end is refused at once.

    Parameters
    ----------
    path : Path or str
        Its place.

    Returns
    -------
    BinaryIO
        At its beginning.

    Raises
    ------
    OSError
        If it is missing, not ours to read, a folder, or a pipe, socket or device.
    ValueError
        If the name cannot be that of a file (NUL in it).
    """
    mode = Path(path).stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(mode):
        line = "it is a pipe, socket or device, and no file"
        raise OSError(errno.EINVAL, line, str(path))
    # should a pipe take its place now, this does not wait for who writes into it
    waiting = getattr(os, "O_NONBLOCK", 0)
    return open(path, "rb", opener=lambda name, how: os.open(name, how | waiting))


def write_whole(path: Path, content: Any) -> None:
    """Write a file that is there whole or not at all.

    Parameters
    ----------
    path : Path
        Its place.
    content : bytes-like
        All of it.
    """
    with beside(path) as part:
        part.write_bytes(content)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Make a file beside its place, bring it to the disk, then rename it.

    Parameters
    ----------
    path : Path
        Its place; what is there already stays until the new one is whole.

    Yields
    ------
    Path
        Where to write.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        with suppress(OSError):  # it has its name now, or what failed is told instead
            part.unlink()


@contextmanager
def refusals_of_the_disk(path: Path) -> Iterator[None]:
    """Say in one line that something could not be written.

    Parameters
    ----------
    path : Path
        Where.

    Yields
    ------
    None
        While something is written.

    Raises
    ------
    DataError
        If the disk is full, or refuses for another reason.
    """
    try:
        yield
    except OSError as error:
        advice = (
            "make room and give the same command again: what is done is kept"
            if error.errno in FULL
            else "give another folder, or see why"
        )
        raise DataError(
            f"{path}: could not write ({error.strerror or error}); {advice}"
        ) from error
