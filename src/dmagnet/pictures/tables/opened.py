"""Tables of any form as blocks of columns, so that size does not matter."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from astropy.io import fits, votable
from pyarrow import parquet

from dmagnet.errors import DataError
from dmagnet.pictures.faults import BROKEN, in_short
from dmagnet.pictures.opening import open_fits, quiet, unpacked
from dmagnet.pictures.tables.heads import of_arrow, of_votable
from dmagnet.pictures.tables.names import PACKED, plain
from dmagnet.pictures.tables.text import Block, open_text, text_blocks
from dmagnet.storage.disk import open_file

BLOCK = 8192  # rows
_PACKERS = ("", ".gz", ".bz2", ".xz")
TEXT = tuple(
    suffix + packed
    for suffix in (".csv", ".ecsv", ".tsv", ".tab", ".txt", ".dat")
    for packed in _PACKERS
)
PARQUET = (".parquet", ".pq")
VOTABLE = tuple(s + p for s in (".vot", ".votable", ".xml") for p in ("", ".gz"))
FITS_TABLE = (".fits", ".fit", ".fits.gz", ".fit.gz")
SUFFIXES = TEXT + PARQUET + VOTABLE + FITS_TABLE
NOT_READ = {
    (".xlsx", ".xls", ".ods", ".numbers"): "a spreadsheet: save it as CSV",
    (".json", ".jsonl", ".tbl", ".feather", ".arrow", ".orc", ".sqlite", ".db"): (
        "a table of a form that is not read: save it as CSV, Parquet, FITS or VOTable"
    ),
    (".pkl", ".pickle", ".pt", ".pth", ".joblib"): (
        "a pickle, which can run any program: save images as files or .npy, tables as "
        "CSV"
    ),
    (".npz", ".mat"): "several arrays in one file: save its images as one .npy or HDF5",
}


@dataclass(frozen=True)
class Blocks:
    """An open table."""

    names: list[str]
    pieces: Callable[[list[str]], Iterator[Block]]
    units: dict[str, str] = field(default_factory=dict)
    frames: dict[str, tuple[str, str]] = field(default_factory=dict)
    ucds: dict[str, str] = field(default_factory=dict)
    packed: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def open_tables(path: Path) -> Iterator[list[Blocks]]:
    """Open the tables of a file of any form."""
    name = path.name.lower()
    if word := why_not(path):
        raise DataError(f"{path}: expected a table, got {word}")
    if name.endswith(TEXT):
        opened = _text(path)
    elif name.endswith(PARQUET):
        opened = _parquet(path)
    elif name.endswith(VOTABLE):
        opened = _votable(path)
    elif name.endswith(FITS_TABLE):
        opened = _fits(path)
    else:
        raise DataError(
            f"{path}: expected a table (.csv, .tsv, .txt, .ecsv, .fits, .vot, "
            f".parquet), got {path.suffix or 'no'} suffix"
        )
    try:
        with opened as tables:
            yield tables
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: expected a table, found nothing") from None
    except (MemoryError, *BROKEN) as error:  # pyarrow's errors are of these too
        line = f"{path}: expected a whole table: {in_short(error)}"
        raise DataError(line) from error


def why_not(path: Path) -> str:
    """Say why a file is not read, and what to do."""
    name = path.name.lower()
    return next((word for ends, word in NOT_READ.items() if name.endswith(ends)), "")


def is_table(path: Path) -> bool:
    """Tell whether a file is a table."""
    name = path.name.lower()
    if name.endswith(TEXT + PARQUET + VOTABLE):
        return True
    if not name.endswith(FITS_TABLE):
        return False
    try:
        with open_file(path) as file:
            if re.search(rb"NAXIS   = +[2-9] ", file.read(2880)):
                return False
        with open_fits(path) as hdus:
            tables = [isinstance(hdu, fits.BinTableHDU | fits.TableHDU) for hdu in hdus]
            images = [hdu.is_image and len(hdu.shape) > 1 for hdu in hdus]
            return any(tables) and not any(images)
    except (DataError, *BROKEN):
        return False


@contextlib.contextmanager
def _text(path: Path) -> Iterator[list[Blocks]]:
    with open_text(path) as (head, below):

        def _pieces(wanted: list[str]) -> Iterator[Block]:
            return text_blocks(head, below, wanted)

        yield [Blocks(head.names, _pieces, head.units, head.frames)]


@contextlib.contextmanager
def _parquet(path: Path) -> Iterator[list[Blocks]]:
    with open_file(path) as opened, parquet.ParquetFile(opened) as file:
        schema = file.schema_arrow
        classes = _class_names(schema.metadata or {})

        def _pieces(wanted: list[str]) -> Iterator[Block]:
            if not wanted:
                total = file.metadata.num_rows
                for start in range(0, total, BLOCK):
                    yield {"": [None] * min(BLOCK, total - start)}
                return
            for batch in file.iter_batches(BLOCK, columns=wanted):
                block = {name: _column(batch, name).to_pylist() for name in wanted}
                for name in classes.keys() & block.keys():
                    names = dict(enumerate(classes[name]))
                    block[name] = [names.get(code) for code in block[name]]
                yield block

        with quiet():
            told, packed = of_arrow(schema), packed_columns(schema)
        names = list(schema.names)
        yield [Blocks(names, _pieces, told.units, told.frames, packed=packed)]


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column, or one within a column: ``image.path``."""
    if name in batch.schema.names:
        return batch.column(name)
    whole, _, part = name.rpartition(".")
    return batch.column(whole).field(part)


def packed_columns(schema: pa.Schema) -> dict[str, str]:
    """Find the columns of a Parquet file that hold images as bytes."""
    found: dict[str, str] = {}
    for column in schema:
        kind = column.type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            found[column.name] = f"{column.name}.bytes"
        elif _is_binary(kind) and plain(column.name) in PACKED[4:]:
            found[column.name] = column.name  # a path or file may be text in binary
    ranks = {name: rank for rank, name in enumerate(PACKED)}
    return dict(
        sorted(found.items(), key=lambda c: ranks.get(plain(c[0]), len(PACKED)))
    )


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Read the names that Hugging Face keeps of labels that are numbers."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {
            name: [str(each) for each in feature["names"]]
            for name, feature in features.items()
            if isinstance(feature, dict) and isinstance(feature.get("names"), list)
        }
    except (ValueError, LookupError, TypeError, AttributeError):
        return {}


@contextlib.contextmanager
def _votable(path: Path) -> Iterator[list[Blocks]]:
    with contextlib.ExitStack() as stack:
        stack.enter_context(quiet())
        file = unpacked(stack.enter_context(open_file(path)), path)
        stack.callback(file.close)
        if re.search(rb"<(\w+:)?STREAM\b[^>]*\bhref\s*=", content := file.read()):
            raise DataError(
                f"{path}: expected a whole table, its values are in another file "
                "(STREAM href); save it with the values inside"
            )
        del content
        file.seek(0)
        tree = votable.parse(file, verify="ignore")
        yield [_votable_blocks(tree, table) for table in tree.iter_tables()]


def _votable_blocks(tree: Any, source: Any) -> Blocks:
    """Take one table of a VOTable by the names of its fields, not by machine ids."""
    fields = {f.name or f.ID: f for f in reversed(source.fields)}
    told = of_votable(tree, source)

    def _pieces(wanted: list[str]) -> Iterator[Block]:
        values = source.array  # masked
        for start in range(0, len(values), BLOCK):
            piece = values[start : start + BLOCK]
            yield {name: piece[fields[name].ID].tolist() for name in wanted}

    ucds = {name: f.ucd for name, f in fields.items() if f.ucd}
    return Blocks(told.names, _pieces, told.units, told.frames, ucds)


@contextlib.contextmanager
def _fits(path: Path) -> Iterator[list[Blocks]]:
    with open_fits(path, memmap=True) as hdus:
        tables = [h for h in hdus if isinstance(h, fits.BinTableHDU | fits.TableHDU)]
        if not tables:
            raise DataError(f"{path}: expected a table, found no table HDU")
        yield [_fits_blocks(hdu) for hdu in tables]


def _fits_blocks(hdu: Any) -> Blocks:
    for k in range(1, int(hdu.header["TFIELDS"]) + 1):
        if not str(hdu.header.get(f"TTYPE{k}", "")).strip():
            hdu.header[f"TTYPE{k}"] = f"column {k}"  # astropy wants one
    columns = list(hdu.columns)
    names = [c.name for c in columns]
    places = {name: k for k, name in reversed(list(enumerate(names)))}

    def _pieces(wanted: list[str]) -> Iterator[Block]:
        data = hdu.data
        for start in range(0, 0 if data is None else len(data), BLOCK):
            piece = data[start : start + BLOCK]
            block: Block = {}
            for name in wanted:
                cells = piece.field(places[name])
                if cells.ndim == 2 and cells.shape[1] == 1:
                    cells = cells[:, 0]
                block[name] = _without_null(cells.tolist(), columns[places[name]])
            yield block

    units = {name: str(columns[k].unit or "") for name, k in places.items()}
    ucds = {name: str(hdu.header.get(f"TUCD{k + 1}", "")) for name, k in places.items()}
    system = str(hdu.header.get("RADESYS", hdu.header.get("RADECSYS", "")))
    frame = system, str(hdu.header.get("EQUINOX", ""))
    frames = dict.fromkeys(names, frame) if any(frame) else {}
    return Blocks(names, _pieces, units, frames, ucds)


def _without_null(cells: list[Any], column: Any) -> list[Any]:
    """Leave out what the header calls no value (TNULL, before it is scaled)."""
    null = column.null
    if null in (None, ""):
        return cells
    if column.bscale not in (None, "", 1) or column.bzero not in (None, "", 0):
        scale, zero = column.bscale or 1, column.bzero or 0
        null = null * scale + zero
    return [None if cell == null else cell for cell in cells]
