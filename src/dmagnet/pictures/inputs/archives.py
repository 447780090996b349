"""Files within a zip or tar, read in place; a packed tar is read in its order."""

import io
import tarfile
import threading
import weakref
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import IO, Any, Self

from dmagnet.pictures.flags import Flag
from dmagnet.pictures.opening import ImageError, kept_open, refused, spooled, unpacking
from dmagnet.storage.disk import open_file

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
ARCHIVES = (".zip", *TARS)
PASSED = 1 << 26  # bytes that are kept of what was passed over in a packed tar
MAX_NAME = 1 << 20  # bytes of a header that only holds a longer name
LONG_NAMES = (
    tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE,
)  # fmt: skip
END = (tarfile.EOFHeaderError, tarfile.EmptyHeaderError)  # type: ignore[attr-defined]
WHOLE = "a whole zip or tar"


def entries(path: str) -> Iterator[tuple[str, int]]:
    """List what is in an archive, folders with a bar, and where it is in a tar."""
    if path.lower().endswith(".zip"):
        yield from ((name, -1) for name in sorted(_zip(path).NameToInfo))  # once each
        return
    with refused(path, WHOLE), open_file(path) as file:
        for member in _headers(_opened(unpacking(file)), 0):
            if member.isreg() or member.isdir():
                yield _name(member) + "/" * member.isdir(), member.offset


def members(path: str, suffixes: Sequence[str]) -> Iterator[tuple[str, int]]:
    """List the images of an archive."""
    for name, at in entries(path):
        if not is_hidden(name) and name.lower().endswith(tuple(suffixes)):
            yield name, at


def is_hidden(name: str) -> bool:
    """Return whether a file is none of a person's, or lies in such a folder."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)


def read_member(path: str, name: str, at: int = -1) -> IO[bytes]:
    """Read one file of an archive; in a tar it is searched if its place is unknown."""
    if not path.lower().endswith(".zip"):
        tar = kept_open(_Tar, WHOLE, path)
        with refused(name, "a whole member of a tar"):
            return tar.read(name, at)
    archive = _zip(path)
    if name not in archive.NameToInfo:
        raise ImageError(f"{path}: no {name} in it", Flag.NOT_FOUND)
    with refused(name, "a whole member of a zip"), archive.open(name) as member:
        return spooled(member, name)


def _zip(path: str) -> zipfile.ZipFile:
    return kept_open(zipfile.ZipFile, WHOLE, path)


class _Tar:
    """A tar that stays open; threads take turns."""

    def __init__(self, path: str) -> None:
        file = open_file(path)
        weakref.finalize(self, file.close)
        stream = unpacking(file)
        self._path, self._tar = path, _opened(stream)
        self._is_packed = stream is not file  # to go back is to begin again
        self._next = 0  # where the header after the last one read begins
        self._passed: dict[int, bytes] = {}  # readers side by side ask for neighbors
        self._turn = threading.Lock()

    def read(self, name: str, at: int) -> IO[bytes]:
        """Read one file; of a packed tar, keep some that are passed over."""
        with self._turn:
            if at in self._passed:
                return io.BytesIO(self._passed[at])
            start = self._next if self._is_packed and at >= self._next else max(at, 0)
            for member in _headers(self._tar, start):
                self._next = self._tar.offset
                is_it = member.offset == at or (at < 0 and _name(member) == name)
                keep = self._is_packed and member.isreg() and member.size <= PASSED
                if keep:
                    self._keep(member)
                if is_it and keep:
                    return io.BytesIO(self._passed[member.offset])
                if is_it:
                    return spooled(self._content(member), name)
            raise ImageError(f"{self._path}: no {name} in it", Flag.NOT_FOUND)

    def _content(self, member: tarfile.TarInfo) -> IO[bytes]:
        content = self._tar.extractfile(member) if member.isreg() else None
        if content is None:
            raise ImageError("expected a file, got a link or folder", Flag.UNREADABLE)
        return content

    def _keep(self, member: tarfile.TarInfo) -> None:
        self._passed[member.offset] = self._content(member).read()
        while sum(map(len, self._passed.values())) > PASSED:
            del self._passed[next(iter(self._passed))]


def _opened(stream: IO[bytes]) -> tarfile.TarFile:
    return tarfile.TarFile(fileobj=stream, tarinfo=_TarHeader, errors="replace")


def _headers(tar: tarfile.TarFile, at: int) -> Iterator[tarfile.TarInfo]:
    """Read headers one by one; unlike tarfile itself, keep none of them."""
    stream: Any = tar.fileobj
    while True:
        if at != stream.tell():
            stream.seek(max(at - 1, 0))
            if at and not stream.read(1):
                raise tarfile.ReadError("unexpected end of data")
        try:
            member = tar.tarinfo.fromtarfile(tar)
        except END:
            return
        after = tar.offset
        yield member
        if after <= at:
            raise tarfile.ReadError("a member of negative length")
        at = after


class _TarHeader(tarfile.TarInfo):
    """A header that asks for no more memory than a long name needs."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read a header, and refuse an absurd one."""
        header = super().frombuf(buf, encoding, errors)
        if header.type in LONG_NAMES and not 0 <= header.size <= MAX_NAME:
            raise tarfile.ReadError(f"a name of {header.size} bytes")
        return header


def _name(member: tarfile.TarInfo) -> str:
    return member.name.removeprefix("./")
