"""Tables as text, however they are packed, encoded and divided."""

import bz2
import codecs
import contextlib
import csv
import gzip
import io
import itertools
import lzma
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from pyarrow import csv as arrow

from dmagnet.errors import DataError
from dmagnet.pictures.opening import quiet
from dmagnet.pictures.tables.coordinates import unit_of
from dmagnet.pictures.tables.heads import of_yaml
from dmagnet.pictures.tables.names import known, positions
from dmagnet.storage.disk import open_file

PIECE = 1 << 20  # bytes read at a time
LONGEST = 1 << 24  # bytes of a line
SHORT = 1 << 16  # bytes of one that may tell units
SHOWN = 60  # characters of a row in a message
NO_VALUE = ["", "nan", "NaN", "null", "NULL"]
PACKERS: dict[bytes, Any] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
WIDE = {  # how a file of several bytes a letter begins, with and without its mark
    rb"\xff\xfe\0\0|\0\0\xfe\xff": "utf-32",
    rb"\xff\xfe|\xfe\xff": "utf-16",
    rb"[^\0]\0[^\0]\0": "utf-16-le",
    rb"\0[^\0]\0[^\0]": "utf-16-be",
}
RULE = re.compile(rb"[-\s,;|]*--[-\s,;|]*")  # a line drawn below the header
SPACES = re.compile(rb'"[^"\n]*"|[ \t]+')
BAD = "\0bad"  # no column is called so: what is wrong with a row

Block = dict[str, list[Any]]


@dataclass(frozen=True)
class Head:
    """What stands above the rows of a table."""

    names: list[str]
    delimiter: str
    units: dict[str, str]
    frames: dict[str, tuple[str, str]] = field(default_factory=dict)
    exact: bool = False


@contextlib.contextmanager
def open_text(path: Path) -> Iterator[tuple[Head, Iterator[bytes]]]:
    """Open a table as text."""
    with contextlib.ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(open_file(path))
        start = file.read(6)
        file.seek(0)
        for magic, opened in PACKERS.items():
            if start.startswith(magic):
                file = stack.enter_context(opened(file))
        try:
            yield _head(path, _whole_lines(path, file))
        except csv.Error as error:
            raise DataError(f"{path}: expected a whole table: {error}") from error


def _whole_lines(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    """Read a file in pieces that end where a line ends, in UTF-8."""
    start = file.read(4)
    file.seek(0)
    wide = next((e for form, e in WIDE.items() if re.match(form, start, re.DOTALL)), "")
    decoder = codecs.getincrementaldecoder(wide)("replace") if wide else None
    rest = b""
    for number in itertools.count():
        piece = file.read(PIECE)
        if not piece:
            break
        if decoder:
            piece = decoder.decode(piece).encode()
        rest += piece if number else piece.removeprefix(codecs.BOM_UTF8)
        cut = rest.rfind(b"\n") + 1
        if not cut and len(rest) > LONGEST:
            raise DataError(f"{path}: expected lines of text, got one without an end")
        if cut:
            yield _utf8(rest[:cut])
            rest = rest[cut:]
    if rest:
        ends = b"\n" if b"\n" in rest else b"\r"  # an old Mac's
        yield _utf8(rest.replace(ends, b"\n").rstrip(b"\n") + b"\n")


def _utf8(piece: bytes) -> bytes:
    """Take lines that are no UTF-8 for Latin-1."""
    if piece.isascii():
        return piece
    try:
        piece.decode()
    except UnicodeDecodeError:
        return b"".join(map(_line_utf8, piece.splitlines(keepends=True)))
    return piece


def _line_utf8(line: bytes) -> bytes:
    try:
        line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1").encode()
    return line


def _head(path: Path, pieces: Iterator[bytes]) -> tuple[Head, Iterator[bytes]]:
    """Find the header among comments, and what divides the columns."""
    comments: list[str] = []
    line, rest = b"", b""
    for piece in pieces:
        rest = piece
        while rest and (not line.strip() or line.startswith(b"#")):
            line, _, rest = rest.partition(b"\n")
            if line.startswith(b"#"):
                comments.append(line.decode().rstrip())
        if line.strip() and not line.startswith(b"#"):
            break
    below = itertools.chain([rest], pieces)
    header = "" if line.startswith(b"#") else line.decode().rstrip("\r")
    if comments and comments[0].startswith("# %ECSV"):
        return _ecsv_head(comments, header), below
    if path.name.lower().endswith((".ecsv", ".ecsv.gz")):
        raise DataError(f"{path}: expected a whole table, an ECSV begins with # %ECSV")
    above = comments[-1].lstrip("# \t") if comments else ""
    if not (header or above).strip():
        raise DataError(f"{path}: expected a whole table, found no line with columns")
    delimiter = _delimiter(header or above, rest.partition(b"\n")[0].decode())
    names, hashed = split_line(header, delimiter), split_line(above, delimiter)
    if known(hashed) > known(names) and (not header or len(hashed) == len(names)):
        names = hashed  # as np.savetxt and TOPCAT write it
        below = itertools.chain([line + b"\n" if header else b"", rest], pieces)
        return Head(names, delimiter, {}), below
    lines, units = rest.split(b"\n", 3), {}
    first = split_line(lines[0][:SHORT].decode(errors="replace"), delimiter)
    told = dict(zip(names, first, strict=False))
    ruled = len(lines) > 2 and RULE.fullmatch(lines[1])  # VizieR: units, then a rule
    if len(lines) > 1 and (ruled or _are_units(told)):
        units, lines = told, lines[1:]
    if len(lines) > 1 and RULE.fullmatch(lines[0]):
        lines = lines[1:]
    return Head(names, delimiter, units), itertools.chain([b"\n".join(lines)], pieces)


def _are_units(cells: dict[str, str]) -> bool:
    """Tell a row of units, by what stands below right ascension and declination."""
    try:
        units = [unit_of(cells.get(n, ""), hours=True) for n in positions(cells, {})]
    except ValueError:
        return False
    return None not in units


def _ecsv_head(comments: list[str], header: str) -> Head:
    with quiet():
        told = of_yaml(line[2:] for line in comments[1:])
    comma = any(re.match(r"# delimiter: .,", line) for line in comments)
    mark = "," if comma else " "
    if (names := split_line(header, mark)) != told.names:
        line = f"columns {', '.join(names)}, the head names {', '.join(told.names)}"
        raise ValueError(line)
    return Head(told.names, mark, told.units, told.frames, exact=True)


def _delimiter(header: str, below: str) -> str:
    """Find what divides a header; spaces only if they divide the next line as well."""
    bare = re.sub(r'"[^"]*"', "", header)
    found = max("\t,;|", key=bare.count)
    if bare.count(found):
        return found
    count = len(split_line(header, " "))
    same = not below.strip() or len(split_line(below, " ")) == count
    return " " if count > 1 and same else ","


def split_line(line: str, delimiter: str) -> list[str]:
    """Split one line of a table."""
    if delimiter == " ":
        line = line.replace("\t", " ").strip()
    cells = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
    return [cell.strip() for cell in next(cells, [])]


def text_blocks(
    head: Head, below: Iterator[bytes], wanted: list[str]
) -> Iterator[Block]:
    """Read the rows of a table, a block at a time."""
    lines = (piece for piece in _cleaned(head, below) if piece.strip())
    start = next(lines, b"")
    if not start:
        return
    bad: deque[tuple[int, str, str]] = deque()

    def _skip(row: arrow.InvalidRow) -> str:
        shown = row.text if len(row.text) < SHOWN else row.text[:SHOWN] + "..."
        line = (
            f"row {row.number - 1} has {row.actual_columns} cells, expected "
            f"{row.expected_columns}: {shown!r}"
        )
        cells = split_line(row.text, head.delimiter)
        bad.append((row.number - 1, cells[0] if cells else "", line))
        return "skip"

    places = {name: str(head.names.index(name)) for name in wanted}
    first = next((name for name, place in places.items() if place == "0"), "")
    at = 0
    for block in _arrow_blocks(head, itertools.chain([start], lines), places, _skip):
        size = len(block[wanted[0]])
        while bad and bad[0][0] <= at + size:
            number, cell, line = bad.popleft()
            told = block.setdefault(BAD, [""] * size)
            for name, column in block.items():
                column.insert(number - at, None if name != first else cell)
            told[number - at] = line
            size += 1
        at += size
        yield block
    if bad:
        block = {name: [None] * len(bad) for name in wanted}
        if first:
            block[first] = [cell for _, cell, _ in bad]
        yield {**block, BAD: [line for _, _, line in bad]}


def _arrow_blocks(
    head: Head, lines: Iterator[bytes], places: dict[str, str], skip: Any
) -> Iterator[Block]:
    columns = list(dict.fromkeys(places.values()))
    try:
        reader = arrow.open_csv(
            _Stream(lines),
            arrow.ReadOptions(
                column_names=[str(k) for k in range(len(head.names))],
                block_size=PIECE,
                use_threads=False,
            ),
            arrow.ParseOptions(
                delimiter=head.delimiter,
                newlines_in_values=True,
                invalid_row_handler=skip,
            ),
            arrow.ConvertOptions(
                # as text: numbers keep their digits, and no block has its own types
                column_types=dict.fromkeys(columns, pa.string()),
                include_columns=columns,
                strings_can_be_null=True,
                null_values=NO_VALUE,
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" in str(error):  # no row has the right length
            return
        raise
    with reader:
        for batch in reader:
            cells = batch.to_pydict()
            yield {name: cells[place] for name, place in places.items()}


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file, for Arrow."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read what comes next."""
        piece = self._rest or next(self._pieces, b"")
        if size < 0:
            size = len(piece)
        self._rest = piece[size:]
        return piece[:size] if self._rest else piece


def _cleaned(head: Head, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Leave comments out, and what else Arrow does not know."""
    quotes = 0
    spaced = f'{head.delimiter} "'.encode()
    for piece in pieces:
        lines = piece
        if piece.startswith(b"#") or b"\n#" in piece:
            kept = []
            for line in piece.splitlines(keepends=True):
                if quotes % 2 or not line.startswith(b"#"):  # not within quotes
                    quotes += line.count(b'"')
                    kept.append(line)
            lines = b"".join(kept)
        else:
            quotes += piece.count(b'"')
        if head.delimiter == " " and not head.exact:
            lines = SPACES.sub(lambda m: m[0] if m[0][:1] == b'"' else b" ", lines)
            lines = re.sub(rb"(?m)^ +| +(?=\r?$)", b"", lines)
        elif spaced in lines and not head.exact:
            lines = lines.replace(spaced, spaced.replace(b" ", b""))
        yield lines
