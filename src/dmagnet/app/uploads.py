"""Uploads: a marked folder that goes with its server, and is swept before."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PREFIX = "dmagnet-app-"
LOCK, MARK, FILES = "lock", "uploads of dmagnet app", "files"


@contextmanager
def uploads_folder() -> Iterator[Path]:
    """Make a folder for uploads, and remove those of servers that were killed."""
    for old in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        _clear(old)
    with tempfile.TemporaryDirectory(
        prefix=PREFIX, ignore_cleanup_errors=True
    ) as folder:
        path = Path(folder).resolve()
        with FileLock(path / LOCK):  # the system lets go of it, however we end
            (path / MARK).touch()  # only now: who finds it may ask for the lock
            (path / FILES).mkdir()
            yield path / FILES


def _clear(folder: Path) -> None:
    """Remove a folder that we made, marked, and whose server is gone."""
    with suppress(OSError, Timeout):
        known = folder.lstat()
        if not stat.S_ISDIR(known.st_mode) or not (folder / MARK).is_file():
            return
        if hasattr(os, "getuid") and known.st_uid != os.getuid():
            return
        with FileLock(folder / LOCK, timeout=0):
            (folder / MARK).unlink()
            shutil.rmtree(folder)


def sweep(folder: Path, keep_s: float) -> int:
    """Remove what people uploaded some time ago."""
    gone, oldest = 0, time.time() - keep_s
    for path in sorted(folder.rglob("*"), reverse=True):  # what is inside comes first
        try:
            if path.lstat().st_ctime > oldest:
                continue
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
                gone += 1
        except OSError:  # in use, not empty yet, or gone already: the next round
            continue
    return gone
