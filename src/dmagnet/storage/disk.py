"""Files that are there whole or not at all, and a disk that refuses in one line."""

import errno
import functools
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from dmagnet.errors import DataError, DmagnetError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LOCK, MARK = ".dmagnet.lock", ".dmagnet"  # in folders that this package writes
DATA_DIR = "DMAGNET_DATA_DIR"  # environment variable: where data are kept
PART = ".dmagnet-part"  # ends the name of what is not finished
HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
NAME = 180  # characters of a name that are kept: file systems allow 255 bytes
DEPTH = 3  # folders above a file in which a mark counts
LOOK = 1 << 16  # bytes at either end of a file that say who made it
# How files begin that we write, and where they say so.
SAYS_SO = {
    b"id,path,ra,dec,class_index,class_name,family,": re.compile(b""),
    b"# %ECSV": re.compile(rb"^# .*\bdmagnet: ", re.MULTILINE),
    b"SIMPLE  =": re.compile(rb"DMAGNET = '"),
    b"<?xml": re.compile(rb'<PARAM [^>]*"about_dmagnet"'),
    b"PAR1": re.compile(rb"\bdmagnet: "),
    b"\x89PNG": re.compile(rb"Software\0dmagnet"),
    b"<!doctype html>": re.compile(rb'<meta name="generator" content="dmagnet'),
    b"---\n": re.compile(rb"^library_name: dmagnet$", re.MULTILINE),  # a model card
    b"\x08": re.compile(rb"\x0a\x07dmagnet"),  # ONNX: a key of its metadata
    b"": re.compile(rb"\A[^{]{8}\{\"__metadata__\":\{\"dmagnet\""),  # safetensors
}


def open_file(path: Path | str) -> BinaryIO:
    """Open a file to read it; what may never end is refused at once."""
    mode = Path(path).stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(mode):
        line = "it is a pipe, socket or device, and no file"
        raise OSError(errno.EINVAL, line, str(path))
    # should a pipe take its place now, this does not wait for who writes into it
    waiting = getattr(os, "O_NONBLOCK", 0)
    return open(path, "rb", opener=lambda name, how: os.open(name, how | waiting))


def data_folder() -> Path:
    """Return where data are kept when nobody says.

    Returns
    -------
    Path
        The environment variable ``DMAGNET_DATA_DIR``, else the user's cache folder.
    """
    import platformdirs

    return Path(os.environ.get(DATA_DIR) or platformdirs.user_cache_path("dmagnet"))


@contextmanager
def claimed(folder: Path, *names: str) -> Iterator[None]:
    """Hold a folder for one process; the system lets go of it when that dies."""
    from filelock import FileLock, Timeout  # `--help` needs none

    with refusals_of_the_disk(folder):
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            line = "another process is writing there; wait for it, or give another -o"
            raise DataError(f"{folder}: {line}") from error
    theirs: list[str] | None = None  # if this is the first time
    try:
        with refusals_of_the_disk(folder):
            if not folder.is_dir():  # what held it has just put it away
                raise FileNotFoundError(errno.ENOENT, "another process has removed it")
            mark = folder / MARK
            if not mark.is_file():
                theirs = _others(folder)
                text = json.dumps({"made by": "dmagnet", "not its own": theirs})
                write_whole(mark, text.encode("utf-8", "backslashreplace"))
            for name in names:
                make_way(folder / name)
        yield
    except DmagnetError:
        if theirs is not None and folder.is_dir() and theirs == _others(folder):
            with suppress(OSError):  # refused, nothing written: leave no trace
                (folder / MARK).unlink()
                (folder / LOCK).unlink()
                if new:
                    folder.rmdir()
        raise
    finally:
        lock.release()


def _others(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not is_own(name))  # noqa: PTH208


def refuse_others(folder: Path) -> None:
    """Refuse a folder that holds what this package did not write."""
    if _others(folder):
        line = "this folder holds other files; choose a new -o, nothing is overwritten"
        raise DataError(f"{folder}: {line}")


def is_own(name: str) -> bool:
    """Recognize the marks and unfinished files of this package by their names."""
    return name in (LOCK, MARK) or name.endswith(PART)


def write_whole(path: Path, content: Any) -> None:
    """Write a file that is there whole or not at all."""
    with beside(path) as part:
        part.write_bytes(content)


@contextmanager
def beside(path: Path, is_ours: Callable[[Path], bool] | None = None) -> Iterator[Path]:
    """Make a file beside its place, bring it to the disk, then rename it."""
    with refusals_of_the_disk(path):
        place = make_way(path, is_ours)
        part = part_of(place)
        try:
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            with suppress(OSError):  # what was private stays so
                shutil.copymode(place, part)
            part.replace(place)
        finally:
            with suppress(OSError):  # it has its name now, or what failed is told
                part.unlink()


def make_way(path: Path, is_ours: Callable[[Path], bool] | None = None) -> Path:
    """Refuse early what `beside` would refuse after the work."""
    with refusals_of_the_disk(path):
        place = Path(os.path.realpath(path)) if path.is_symlink() else path
        if place.is_symlink():
            raise OSError(errno.ELOOP, "a link that leads to itself")
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file")
        if place.exists() and not (is_ours or made_here)(place):
            raise DataError(
                f"{path}: is there already and was not made by dmagnet, so it is left "
                "alone; give another -o, or move it away"
            )
    return place


def part_of(place: Path) -> Path:
    """Name an unfinished file or folder; those of processes that died are removed."""
    _sweep(place.parent, os.getpid())
    mark = f"{HOST}-{os.getpid()}-{secrets.token_hex(4)}"
    return place.with_name(f".{place.name[:NAME]}.{mark}{PART}")


@functools.lru_cache  # once: there may be many files in a folder
def _sweep(folder: Path, _process: int) -> None:
    """Remove what processes of this machine that died left unfinished in a folder."""
    for left in folder.glob(f".*.{HOST}-*{PART}"):
        if _lives(left.name.rpartition(f".{HOST}-")[2].partition("-")[0]):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            with suppress(OSError):
                left.unlink()


def made_here(path: Path) -> bool:
    """Return whether dmagnet made a file."""
    for folder in [*path.absolute().parents][:DEPTH]:
        if (folder / MARK).is_file():
            first = path.absolute().relative_to(folder).parts[0]
            return first not in not_ours(folder) or says_so(path)
    return says_so(path)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_replacing(out: Path, *inputs: Path | str) -> None:
    """Refuse to write where something is read."""
    for each in inputs:
        try:
            same = os.path.samefile(out, each)  # noqa: PTH121
        except (OSError, ValueError):  # one of them is not there
            continue
        if same:
            line = "is to be read, and would be written over; give another -o"
            raise DataError(f"{out}: {line}")


def not_ours(folder: Path) -> Sequence[str]:
    """List what was in a folder before this package held it."""
    try:
        names: Sequence[str] = json.loads((folder / MARK).read_text())["not its own"]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return names


def says_so(path: Path) -> bool:
    """Return whether a file says that dmagnet made it."""
    try:
        with open_file(path) as file:
            head = file.read(LOOK)
            file.seek(-min(LOOK, file.seek(0, os.SEEK_END)), os.SEEK_END)
            tail = file.read()
    except OSError:
        return False
    return any(
        head.startswith(start) and mark.search(head + tail)
        for start, mark in SAYS_SO.items()
    )


def _lives(pid: str) -> bool:
    """Return whether a process is there; on Windows nobody may ask."""
    if os.name != "posix" or not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except (OSError, OverflowError) as error:
        return not isinstance(error, ProcessLookupError)
    return True


@contextmanager
def refusals_of_the_disk(path: Path) -> Iterator[None]:
    """Refuse in one line what could not be written."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        if error.errno in FULL:
            advice = "make room and give the same command again: what is done is kept"
        elif error.errno in (errno.EEXIST, errno.ENOTDIR):
            reason = "Not a directory"
            advice = "a file lies where a folder is needed: give another -o"
        else:
            advice = "give another -o, or see why"
        raise DataError(f"{path}: could not write ({reason}); {advice}") from error
