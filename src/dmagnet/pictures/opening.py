"""The door of FITS files: numbers of headers are checked before astropy sees them.

astropy believes what a header says: a negative length leads it in circles, an absurd
one fills the memory, and a file that begins like an archive is unpacked without limit.
"""

import bz2
import contextlib
import csv
import errno
import functools
import gzip
import logging
import lzma
import math
import os
import re
import struct
import tarfile
import tempfile
import threading
import tokenize
import warnings
import weakref
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar, cast

from astropy.io import fits
from astropy.io.fits.hdu.compressed._compression import CfitsioException
from astropy.io.fits.verify import VerifyError
from PIL.Image import DecompressionBombError

from dmagnet.errors import DataError
from dmagnet.pictures.flags import Flag
from dmagnet.storage.disk import FULL, open_file

Kept = TypeVar("Kept")
Note = tuple[Flag, str]  # a doubt, and what a person should know of it

LONGEST = 160  # characters of what a library says

# What astropy, Pillow, h5py, NumPy, pyarrow and zipfile raise on damaged files, and
# what the system raises on names that it does not like.
BROKEN = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError,
    AssertionError, RuntimeError, EOFError, SyntaxError, Warning,
    struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError,
    tokenize.TokenError, csv.Error,
    DecompressionBombError, VerifyError,
    CfitsioException,  # nothing public stands above it
)  # fmt: skip


class ImageError(DataError):
    """An image that cannot be used.

    Parameters
    ----------
    message : str
        For a person: expected, got, what to do.
    fault : Flag
        For a program: of the row that it leaves without a class.
    """

    def __init__(self, message: str, fault: Flag = Flag.UNREADABLE) -> None:
        super().__init__(message)
        self.fault = fault


def in_short(error: BaseException) -> str:
    """Put the message of a library into one line."""
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, MemoryError):
        return "it does not fit into memory"
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__


@contextlib.contextmanager
def refused(name: object, expected: str) -> Iterator[None]:
    """Turn whatever a library raises on a file into an `ImageError`."""
    try:
        yield
    except DataError:
        raise
    except (FileNotFoundError, NotADirectoryError):
        line = f"{name}: expected {expected}, found nothing"
        raise ImageError(line, Flag.NOT_FOUND) from None
    except (MemoryError, *BROKEN) as error:
        told, number = in_short(error), getattr(error, "errno", None)
        if number in FULL:  # who writes what is read says so
            raise
        if number == errno.ENAMETOOLONG:
            raise ImageError(f"{name}: {told}", Flag.NOT_FOUND) from None
        fault = Flag.TOO_LARGE if isinstance(error, MemoryError) else Flag.UNREADABLE
        if not isinstance(error, MemoryError) and not number:
            told = f"got a damaged one ({told})"
        raise ImageError(f"{name}: expected {expected}, {told}", fault) from error


@contextlib.contextmanager
def named(name: object) -> Iterator[None]:
    """Begin what is refused of a file with its name."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{name}: {error}", error.fault) from error.__cause__


OPEN_FILES = 8  # a process keeps open
OPEN_MOSAICS = 48  # and of these, whose memory is their headers; of g, r, z 16 tiles
MAX_UNPACKED = 1 << 30  # bytes of a packed file, or of the member of a zip
KEPT = 1 << 26  # bytes of it that stay in memory; more goes to a temporary file
PIECE = 1 << 20  # bytes unpacked at a time

BLOCK, CARD = 2880, 80  # bytes (FITS Standard 4.0, 3.1 and 3.2)
MAX_HEADER = 1000 * BLOCK  # bytes: 36,000 cards
MAX_HDUS = 10_000
MAX_AXES = MAX_COLUMNS = 999  # FITS Standard 4.0, 4.4.1 and 7.3.1
MAX_EMPTY = 1 << 20  # rows without a byte
BITPIX = (8, 16, 32, 64, -32, -64)
END = b"END".ljust(CARD)
STRUCTURE = re.compile(
    rb" *(?:HIERARCH +)?(BITPIX|Z?NAXIS\d{0,3}|PCOUNT|GCOUNT|TFIELDS|THEAP|ZTILE\d{1,3}"
    rb") *= *('[^']*'|[^ /]*)",
    re.IGNORECASE,
)
PACKERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
ARCHIVES = (b"PK\3\4", b"\xfd7zXZ\0", b"\x1f\x9d")  # zip, xz, compress

_silence = threading.Lock()
_inside: list[contextlib.ExitStack] = []  # one entry for each thread within `quiet`


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep libraries silent about files that others wrote."""
    with _silence:
        stack = _inside[0] if _inside else contextlib.ExitStack()
        if not _inside:
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            log = logging.getLogger("astropy")
            stack.callback(setattr, log, "disabled", log.disabled)
            log.disabled = True
        _inside.append(stack)
    try:
        yield
    finally:
        with _silence:
            _inside.pop()
            if not _inside:
                stack.close()


def kept_open(
    opener: Callable[..., Kept], what: str, path: str, *more: str, mosaic: bool = False
) -> Kept:
    """Open a file, or return it if this process has this version of it open."""
    with refused(path, what):
        with open_file(path) as file:  # refuses what is no file
            status = os.fstat(file.fileno())
        keep = _kept_mosaic if mosaic else _kept
        version = status.st_mtime_ns, status.st_size
        return cast("Kept", keep(opener, path, *more, version=version))


def _open(opener: Callable[..., Any], *names: str, version: tuple[int, int]) -> Any:
    del version
    return opener(*names)


_kept = functools.lru_cache(OPEN_FILES)(_open)
_kept_mosaic = functools.lru_cache(OPEN_MOSAICS)(_open)


def name_of(source: Path | IO[bytes]) -> str:
    """Name a file in messages."""
    name = source if isinstance(source, Path) else getattr(source, "name", None)
    return str(name) if isinstance(name, Path | str) else "image"


def unpacking(file: IO[bytes]) -> IO[bytes]:
    """Return a file as it is within gzip, bzip2 or xz; nothing is unpacked yet."""
    start = file.read(6)
    file.seek(0)
    for magic, opened in PACKERS.items():
        if start.startswith(magic):
            return cast("IO[bytes]", opened(file))
    return file


def unpacked(file: IO[bytes], name: object = "image") -> IO[bytes]:
    """Unpack gzip and bzip2."""
    stream = unpacking(file)
    if not isinstance(stream, gzip.GzipFile | bz2.BZ2File):
        return file
    with stream:
        return spooled(stream, name)


def spooled(
    packed: IO[bytes], name: object = "image", most: int | None = None
) -> IO[bytes]:
    """Unpack a stream, and count while it comes."""
    most = most or MAX_UNPACKED
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(tempfile.SpooledTemporaryFile(KEPT))
        try:
            while piece := packed.read(PIECE):
                out.write(piece)
                if out.tell() > most:
                    room = f"{most >> 20} MB once unpacked"
                    line = f"{name}: expected at most {room}, got more"
                    raise ImageError(line, Flag.TOO_LARGE)
            out.seek(0)
        except OSError as error:
            if error.errno not in FULL:
                raise
            line = f"{name}: expected room in {tempfile.gettempdir()} to unpack it"
            raise ImageError(line, Flag.TOO_LARGE) from error
        stack.pop_all()  # whole: who asked for it closes it
        return cast("IO[bytes]", out)


@dataclass(eq=False)
class Hdus(Sequence[Any]):
    """The HDUs of an open FITS file, up to the first that is damaged."""

    all: fits.HDUList
    file: IO[bytes]
    num: int
    damage: str
    kept: bool = False
    skies: dict[int, Any] = field(default_factory=dict)
    # rows read of packed images, or all of one
    unpacked: dict[int, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: Any) -> Any:
        """Return an HDU as astropy knows it."""
        return self.all[range(self.num)[index]]


@contextlib.contextmanager
def open_fits(source: Path | IO[bytes], *, memmap: bool = False) -> Iterator[Hdus]:
    """Open a FITS file of which nothing is known."""
    name = name_of(source)
    with contextlib.ExitStack() as stack:
        stack.enter_context(refused(name, "a whole FITS file"))
        stack.enter_context(quiet())
        hdus = _opened(stack, source, name, memmap=memmap)
        with named(name):
            yield hdus


def _opened(
    stack: contextlib.ExitStack, source: Path | IO[bytes], name: str, *, memmap: bool
) -> Hdus:
    """Open a FITS file; the stack closes what was opened for it."""
    if isinstance(source, Path):
        source = stack.enter_context(open_file(source))
    file = unpacked(source, name)
    if file is not source:
        stack.callback(file.close)
    count, damage = sound_hdus(file)
    if not count:
        raise ImageError(f"{name}: expected a whole FITS file, got {damage}")
    file.seek(0)
    hdus = stack.enter_context(fits.open(file, memmap=memmap))
    return Hdus(hdus, file, count, damage)


class KeptFits:
    """A FITS file that stays open until nobody needs it; threads take turns."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.name, self._turn = name, threading.Lock()
        with contextlib.ExitStack() as stack:
            stack.enter_context(file)
            with refused(name, "a whole FITS file"), quiet():
                self._hdus = _opened(stack, file, name, memmap=False)
            self._hdus.kept = True
            if hasattr(self._hdus.file, "rollover"):  # unpacked: on the disk
                self._hdus.file.rollover()
            weakref.finalize(self, stack.pop_all().close)

    @contextlib.contextmanager
    def hdus(self) -> Iterator[Hdus]:
        """Lend the HDUs to one thread at a time."""
        whole = refused(self.name, "a whole FITS file")
        with whole, self._turn, quiet(), named(self.name):
            yield self._hdus


def sound_hdus(file: IO[bytes]) -> tuple[int, str]:
    """Count the HDUs that can be read, by what their headers say of their size."""
    size = file.seek(0, 2)
    at = count = 0
    while at < size and count < MAX_HDUS:
        file.seek(at)
        try:
            header = _header(file, b"XTENSION" if count else b"SIMPLE")
            if header is None:
                break
            needed = at + len(header) + _data_bytes(header)
        except ValueError as error:
            return count, str(error)
        if needed > size:
            return count, f"{size} bytes of at least {needed}; copy it again"
        at = -(-needed // BLOCK) * BLOCK
        count += 1
    return count, "" if count else "an empty file"


def _header(file: IO[bytes], first: bytes) -> bytes | None:
    """Read one header; None for what lies behind the last HDU."""
    header = block = file.read(BLOCK)
    if not header.startswith(first):
        if first == b"XTENSION":
            return None
        kind = "an archive" if header.startswith(ARCHIVES) else "something else"
        raise ValueError(f"{kind} (it does not begin with SIMPLE)")
    while END not in (block[at : at + CARD] for at in range(0, len(block), CARD)):
        block = file.read(BLOCK)
        if len(block) < BLOCK or len(header) >= MAX_HEADER:
            raise ValueError("a header without an end")
        header += block
    return header


def _data_bytes(header: bytes) -> int:
    """Count the bytes of data behind a header; raise if its numbers are absurd."""
    numbers: dict[str, int] = {}
    for at in range(0, len(header), CARD):
        if found := STRUCTURE.match(header, at, at + CARD):
            key, text = found[1].decode().upper(), found[2].decode("latin-1")
            if key in numbers:
                raise ValueError(f"{key} twice in a header")
            if not re.fullmatch(r"[+-]?\d{1,18}", text):
                raise ValueError(f"{key} = {text}")
            numbers[key] = int(text)
            least = 1 if key.startswith("ZTILE") else 0
            if numbers[key] < least and key != "BITPIX":
                raise ValueError(f"{key} = {text}")
    if numbers.get("BITPIX") not in BITPIX:
        raise ValueError(f"BITPIX = {numbers.get('BITPIX', 'nothing')}")
    _shape(numbers, "ZNAXIS")
    if numbers.get("TFIELDS", 0) > MAX_COLUMNS:
        raise ValueError(f"TFIELDS = {numbers['TFIELDS']}")
    if not (shape := _shape(numbers, "NAXIS")):
        return 0
    if 0 in shape and max(shape) > MAX_EMPTY:
        raise ValueError(f"{max(shape)} rows of nothing")
    values = numbers.get("GCOUNT", 1) * (numbers.get("PCOUNT", 0) + math.prod(shape))
    return abs(numbers["BITPIX"]) // 8 * values


def _shape(numbers: dict[str, int], key: str) -> list[int]:
    """Return the lengths of the axes that a header tells of."""
    count = numbers.get(key, 0)
    names = [f"{key}{i + 1}" for i in range(min(count, MAX_AXES + 1))]
    if count > MAX_AXES or not numbers.keys() >= set(names):
        raise ValueError(f"{key} = {count}, and not all their lengths")
    return [numbers[name] for name in names]
