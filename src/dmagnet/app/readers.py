"""Files are read beside the page, by processes that may hang, burst or crash."""

import dataclasses
import faulthandler
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from astropy.io.fits import Header
from astropy.wcs import WCS
from numpy.typing import NDArray

from dmagnet.config.classify_config import SourceConfig
from dmagnet.errors import DataError
from dmagnet.pictures.flags import Flag
from dmagnet.pictures.inputs import forms
from dmagnet.pictures.inputs.archives import ARCHIVES
from dmagnet.pictures.inputs.item import Item, flagged
from dmagnet.pictures.inputs.reading import read_picture
from dmagnet.pictures.tables.columns import find_columns
from dmagnet.pictures.tables.opened import is_table

READ_S = 20.0  # for one file
READ_BYTES = 1 << 30  # of memory for one file, beside the reader's own
GRACE_S = 10.0  # a reader whose page is gone ends by itself so much later

Reader = subprocess.Popen[bytes]
Pixels = list[NDArray[np.uint8]]
Read = tuple[Item, Pixels, WCS | None, tuple[str, ...]]
Answer = tuple[list[Item], Pixels, WCS | None, tuple[str, ...]]


class Readers:
    """Processes that read files; one that does not answer is ended and replaced."""

    def __init__(
        self,
        num: int,
        sides: tuple[int, int],
        view: tuple[float, float | None],
        scratch: Path,
        *,
        limit_s: float = READ_S,
    ) -> None:
        self._sides, self._limit_s = sides, limit_s
        self._told = json.dumps([sides, view, limit_s + GRACE_S])
        folders = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self._environment = os.environ | folders | threads
        self._changing, self._closed = threading.Lock(), False
        self._all: set[Reader] = set()
        self._ready: queue.SimpleQueue[Reader] = queue.SimpleQueue()
        for _ in range(num):
            self._begin()

    def _begin(self) -> None:
        """Start a reader; it ends when the page does, however that ends."""
        with self._changing:
            if self._closed:
                return
            reader = subprocess.Popen(
                [sys.executable, "-P", "-m", "dmagnet.app.readers", self._told],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, env=self._environment,
                start_new_session=True,  # Ctrl-C is for the page alone
            )  # fmt: skip
            self._all.add(reader)
            self._ready.put(reader)

    def _end(self, reader: Reader) -> None:
        reader.kill()
        with suppress(OSError), reader:  # a question may stick in its pipe
            pass
        self._all.discard(reader)

    def close(self) -> None:
        """End all of them, also one that reads."""
        with self._changing:
            self._closed = True
        for reader in [*self._all]:
            self._end(reader)

    def listed(self, item: Item, most: int) -> list[Item]:
        """List what a file holds, one more than so many at most."""
        found, *_ = self._answered(item, most)
        if not found:
            line = "expected images or rows with ra and dec, found none"
            raise DataError(f"{item.path}: {line}")
        return found

    def read(self, item: Item) -> Read:
        """Read one input."""
        (found,), seen, wcs, notes = self._answered(item, 0)
        if not seen:
            raise DataError(f"{_name(item)}: {found.reason}")
        return found, seen, wcs, notes

    def _answered(self, item: Item, most: int) -> Answer:
        """Let a reader answer; one that does not in time is replaced."""
        reader, slow = self._ready.get(), threading.Event()
        while reader.poll() is not None:  # the system ended it since
            self._end(reader)
            self._begin()
            reader = self._ready.get()

        def _late() -> None:
            slow.set()
            reader.kill()

        timer = threading.Timer(self._limit_s, _late)
        timer.start()
        found = _asked(reader, item, most, self._sides)
        timer.cancel()
        timer.join()
        if found is None or slow.is_set():
            self._end(reader)
            self._begin()
        else:
            self._ready.put(reader)
        if found is None:
            line = f" in {self._limit_s:g} s" if slow.is_set() else ""
            raise DataError(
                f"{_name(item)}: expected an image, got one that could not be "
                f"read{line}; convert it to PNG or plain FITS"
            )
        return found


def _name(item: Item) -> str:
    """Call an input as a person does, never by where it lies on this machine."""
    unnamed = "://" in item.path or item.shared  # a place on the sky
    return item.id if unnamed else item.path or item.id


def _asked(
    reader: Reader, item: Item, most: int, sides: tuple[int, int]
) -> Answer | None:
    """Let a reader list or read; None if it ends before it answers."""
    to, back = reader.stdin, reader.stdout
    assert to is not None
    assert back is not None
    with suppress(OSError, ValueError):  # it ended
        to.write(json.dumps([dataclasses.asdict(item), most]).encode() + b"\n")
        to.flush()
        told = json.loads(back.readline())
        seen = [
            np.frombuffer(back.read(3 * side**2), np.uint8).reshape(side, side, 3)
            for side in sides
            if told["seen"]
        ]
        card = told["wcs"]
        wcs = None if card is None else WCS(Header.fromstring(card), fix=False)
        return [*map(_item, told["items"])], seen, wcs, tuple(told["notes"])
    return None


def _item(known: dict[str, Any]) -> Item:
    files, flag = tuple(known["files"]), Flag(known["flag"])
    return Item(**known | {"files": files, "flag": flag})


def _held(item: Item) -> Iterator[Item]:
    """List the images of a zip or tar, the places of a table, or the file itself.

    A row of a table names no file: those of this machine are nobody's to choose.
    """
    (path,) = item.files
    if path.lower().endswith(ARCHIVES):
        yield from forms.items_of("archive", path, SourceConfig())
    elif not is_table(Path(path)):
        yield item
    else:
        for row in forms.items_of_table(path, find_columns(Path(path))):
            faulty = row.flag == Flag.UNREADABLE and not row.files
            if faulty or row.kind == "position" or row.files == (path,):
                yield row
            else:
                yield Item(id=row.id, path="", kind="position", ra=row.ra, dec=row.dec)


def _listed(item: Item, most: int) -> list[Item]:
    """List what a file holds, by the names that people know."""
    (path,) = item.files
    try:
        found = [*islice(_held(item), most + 1)]
    except DataError as error:
        reason = str(error).removeprefix(f"{path}: ")
        found = [flagged(item, Flag.UNREADABLE, reason)]
    return [replace(each, path=each.path.replace(path, item.path)) for each in found]


def _answer(
    item: Item, most: int, sides: list[int], view: list[Any], back: IO[bytes]
) -> None:
    """List what one input holds, or read it, and say so."""
    field, radii = view
    config = SourceConfig()
    seen = [
        read_picture(item, side, field, config, radii=radii)
        for side in sides
        if not most
    ]
    items = _listed(item, most) if most else [seen[0].item]
    pictures = [each.rgb for each in seen if each.rgb is not None]
    whole = len(pictures) == len(sides)
    wcs, notes = None, tuple[str, ...]()
    if whole:
        wcs, notes = seen[-1].view_wcs()
    told = {
        "items": [*map(dataclasses.asdict, items)],
        "seen": whole,
        "wcs": None if wcs is None else wcs.to_header_string(relax=True),
        "notes": notes,
    }
    back.write(json.dumps(told).encode() + b"\n")
    for rgb in pictures if whole else ():
        back.write(rgb.tobytes())
    back.flush()


def _limited() -> None:
    """Take no more memory than one file may need; leave no dump of it behind."""
    if sys.platform == "linux":  # elsewhere the system does not hold to it
        import resource

        own = int(Path("/proc/self/statm").read_text().split()[0])
        most = own * resource.getpagesize() + READ_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # unpacked beside it
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Read what the page names, line by line, until it is gone."""
    sides, view, limit_s = json.loads(sys.argv[1])
    back = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a decoder prints is no answer
    _limited()
    for line in sys.stdin.buffer:
        faulthandler.dump_traceback_later(limit_s, exit=True)
        known, most = json.loads(line)
        _answer(_item(known), most, sides, view, back)
        faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main()
