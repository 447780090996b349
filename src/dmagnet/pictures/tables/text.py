"""Tables as text, however they are packed, encoded and divided."""

import codecs
import contextlib
import csv
import io
import itertools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from astropy.table import meta
from pyarrow import csv as arrow

from dmagnet.errors import DataError
from dmagnet.pictures.opening import quiet, unpacking
from dmagnet.pictures.tables.coordinates import unit_of
from dmagnet.pictures.tables.names import known, positions
from dmagnet.storage.disk import open_file

PIECE = 1 << 20  # bytes read at a time
LONGEST = 1 << 24  # bytes of a line
SHORT = 1 << 16  # bytes of one that may tell units
SHOWN = 60  # characters of a row in a message
NO_VALUE = ["", "nan", "NaN", "null", "NULL"]
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
Pieces = Callable[[list[str]], Iterator[Block]]
Frames = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Table:
    """An open table: what it says of its columns, and blocks of those wanted."""

    names: list[str] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    frames: Frames = field(default_factory=dict)
    ucds: dict[str, str] = field(default_factory=dict)
    packed: dict[str, str] = field(default_factory=dict)
    pieces: Pieces = lambda _: iter(())


def text_table(path: Path, stack: contextlib.ExitStack) -> Table:
    """Open a table as text."""
    file = unpacking(stack.enter_context(open_file(path)))
    return _table(path, _whole_lines(path, stack.enter_context(file)))


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
    try:
        piece.decode()
    except UnicodeDecodeError:
        lines = piece.splitlines(keepends=True)
        if len(lines) > 1:
            return b"".join(map(_utf8, lines))
        return piece.decode("latin-1").encode()
    return piece


def _table(path: Path, pieces: Iterator[bytes]) -> Table:
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
    header = "" if line.startswith(b"#") else line.decode().rstrip("\r")
    if comments and comments[0].startswith("# %ECSV"):
        return _ecsv(comments, header, itertools.chain([rest], pieces))
    if path.name.lower().endswith((".ecsv", ".ecsv.gz")):
        raise DataError(f"{path}: expected a whole table, an ECSV begins with # %ECSV")
    above = comments[-1].lstrip("# \t") if comments else ""
    if not (header or above).strip():
        raise DataError(f"{path}: expected a whole table, found no line with columns")
    mark = _delimiter(header or above, rest.partition(b"\n")[0].decode())
    names, hashed = split_line(header, mark), split_line(above, mark)
    lines, units = rest.split(b"\n", 3), {}
    if known(hashed) > known(names) and (not header or len(hashed) == len(names)):
        names = hashed  # as np.savetxt and TOPCAT write it
        lines = [line, rest] if header else [rest]
    else:
        first = split_line(lines[0][:SHORT].decode(errors="replace"), mark)
        told = dict(zip(names, first, strict=False))
        ruled = len(lines) > 2 and RULE.fullmatch(lines[1])  # VizieR: units, a rule
        if len(lines) > 1 and (ruled or _are_units(told)):
            units, lines = told, lines[1:]
        if len(lines) > 1 and RULE.fullmatch(lines[0]):
            lines = lines[1:]
    below = _cleaned(itertools.chain([b"\n".join(lines)], pieces), mark)
    return Table(names, units, pieces=partial(_blocks, names, mark, below))


def _are_units(cells: dict[str, str]) -> bool:
    """Recognize a row of units by what stands below right ascension and declination."""
    try:
        units = [unit_of(cells.get(n, ""), hours=True) for n in positions(cells, {})]
    except ValueError:
        return False
    return None not in units


def _ecsv(comments: list[str], header: str, below: Iterator[bytes]) -> Table:
    """Take what an ECSV says of its columns, if it names those of the header."""
    with quiet():
        names, units, frames = of_yaml(line[2:] for line in comments[1:])
    comma = any(re.match(r"# delimiter: .,", line) for line in comments)
    mark = "," if comma else " "
    if (told := split_line(header, mark)) != names:
        line = f"columns {', '.join(told)}, the head names {', '.join(names)}"
        raise ValueError(line)
    blocks = partial(_blocks, names, mark, _uncommented(below))
    return Table(names, units, frames, pieces=blocks)


def of_yaml(lines: Iterable[str]) -> tuple[list[str], dict[str, str], Frames]:
    """Read the names, units and frames that astropy writes into ECSV and Parquet."""
    try:
        head = meta.get_header_from_yaml([*lines])
    except meta.YamlParseError as error:
        raise ValueError("the head of the table cannot be read") from error
    names = [column["name"] for column in head["datatype"]]
    told = {c["name"]: str(c.get("unit") or "") for c in head["datatype"]}
    units = {name: unit for name, unit in told.items() if unit}
    frames: Frames = {}
    packed = (head.get("meta") or {}).get("__serialized_columns__", {})
    for name, what in packed.items():
        if isinstance(what, dict) and (frame := what.get("frame")):
            place = str(frame), str(what.get("equinox", ""))
            parts = [each for each in names if each.startswith(f"{name}.")]
            frames.update(dict.fromkeys(parts, place))
    return names, units, frames


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


def _uncommented(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Leave comments out; within quotes are none."""
    quotes = 0
    for piece in pieces:
        lines = [piece]
        if piece.startswith(b"#") or b"\n#" in piece:
            lines = piece.splitlines(keepends=True)
        kept = []
        for line in lines:
            if quotes % 2 or not line.startswith(b"#"):
                quotes += line.count(b'"')
                kept.append(line)
        yield b"".join(kept)


def _cleaned(pieces: Iterator[bytes], mark: str) -> Iterator[bytes]:
    """Leave out what Arrow does not know: comments, and spaces around cells."""
    spaced = f'{mark} "'.encode()
    for lines in _uncommented(pieces):
        if mark == " ":
            bare = SPACES.sub(lambda m: m[0] if m[0][:1] == b'"' else b" ", lines)
            yield re.sub(rb"(?m)^ +| +(?=\r?$)", b"", bare)
        else:
            yield lines.replace(spaced, spaced.replace(b" ", b""))


def _blocks(
    names: list[str], mark: str, lines: Iterator[bytes], wanted: list[str]
) -> Iterator[Block]:
    """Read the rows of a table, a block at a time; bad ones keep their places."""
    lines = (piece for piece in lines if piece.strip())
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
        bad.append((row.number - 1, next(iter(split_line(row.text, mark)), ""), line))
        return "skip"

    places = {name: str(names.index(name)) for name in wanted}
    first = next((name for name, place in places.items() if place == "0"), "")
    at = 0
    reader = _opened(itertools.chain([start], lines), len(names), mark, places, _skip)
    for batch in reader:
        cells = batch.to_pydict()
        block = {name: cells[place] for name, place in places.items()}
        size = len(batch)
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
        cells, told = [cell for _, cell, _ in bad], [line for *_, line in bad]
        empty = {name: [None] * len(bad) for name in wanted if name != first}
        yield empty | ({first: cells} if first else {}) | {BAD: told}


def _opened(
    lines: Iterator[bytes], count: int, mark: str, places: dict[str, str], skip: Any
) -> Iterator[pa.RecordBatch]:
    """Open lines with Arrow; columns are called by their numbers."""
    columns = list(dict.fromkeys(places.values()))
    names = [str(k) for k in range(count)]
    try:
        reader = arrow.open_csv(
            _Stream(lines),
            arrow.ReadOptions(column_names=names, block_size=PIECE, use_threads=False),
            arrow.ParseOptions(
                delimiter=mark, newlines_in_values=True, invalid_row_handler=skip
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
        yield from reader


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file, for Arrow."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def readable(self) -> bool:
        """Return True, unlike what `io.RawIOBase` answers."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read what comes next."""
        piece = self._rest or next(self._pieces, b"")
        size = len(piece) if size < 0 else size
        self._rest = piece[size:]
        return piece[:size]
