"""Files that are there whole or not at all, and a disk that refuses in one line."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dmagnet.errors import DataError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


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
