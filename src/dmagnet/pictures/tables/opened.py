"""Tables of any form as blocks of columns, so that size does not matter."""

import contextlib
import functools
import io
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
from astropy.io import fits, votable
from astropy.io.ascii import read as read_text
from pyarrow import json as json_lines
from pyarrow import parquet

from dmagnet.errors import DataError
from dmagnet.pictures.npz import array_of, is_one_image, shapes_in
from dmagnet.pictures.opening import BROKEN, open_fits, quiet, refused, unpacked
from dmagnet.pictures.tables.names import PACKED, plain
from dmagnet.pictures.tables.text import (
    LONGEST,
    Block,
    Frames,
    Pieces,
    Table,
    of_yaml,
    text_table,
)
from dmagnet.storage.disk import open_file

BLOCK = 8192  # rows
CUBE = 3  # axes: planes, rows, columns
_NAMES = (".csv", ".ecsv", ".tsv", ".tab", ".txt", ".dat", ".tbl")
TEXT = tuple(map("".join, product(_NAMES, ("", ".gz", ".bz2", ".xz"))))
PARQUET = (".parquet", ".pq")
NPZ = (".npz",)
ARROW = (".arrow", ".feather")
COLUMNAR = PARQUET + ARROW  # may hold images
LINES = (".jsonl", ".ndjson")
VOTABLE = tuple(map("".join, product((".vot", ".votable", ".xml"), ("", ".gz"))))
FITS_TABLE = (".fits", ".fit", ".fits.gz", ".fit.gz")
SUFFIXES = TEXT + COLUMNAR + LINES + NPZ + VOTABLE + FITS_TABLE
NOT_READ = {
    (".xlsx", ".xls", ".ods", ".numbers"): "a spreadsheet: save it as CSV",
    (".json", ".orc", ".sqlite", ".db"): (
        "a table of a form that is not read: save it as CSV, Parquet, FITS or VOTable"
    ),
    (".pkl", ".pickle", ".pt", ".pth", ".joblib"): (
        "a pickle, which can run any program: save images as files or .npy, tables as "
        "CSV"
    ),
    (".mat",): "several arrays in one file: save them as .npz or HDF5",
}


@contextlib.contextmanager
def open_tables(path: Path) -> Iterator[list[Table]]:
    """Open the tables of a file of any form."""
    name = path.name.lower()
    if word := why_not(path):
        raise DataError(f"{path}: expected a table, got {word}")
    if not name.endswith(SUFFIXES):
        raise DataError(
            f"{path}: expected a table (.csv, .tsv, .txt, .ecsv, .fits, .vot, "
            f".parquet), got {path.suffix or 'no'} suffix"
        )
    with refused(path, "a whole table"), contextlib.ExitStack() as stack:
        if name.endswith(TEXT):
            yield [_ipac(path) or text_table(path, stack)]
        elif name.endswith(COLUMNAR + LINES):
            yield [_columnar(path, stack)]
        elif name.endswith(NPZ):
            yield _npz(path)
        else:
            yield (_votable if name.endswith(VOTABLE) else _fits)(path, stack)


def why_not(path: Path) -> str:
    """Return why a file is not read, and what to do."""
    name = path.name.lower()
    return next((word for ends, word in NOT_READ.items() if name.endswith(ends)), "")


def is_table(path: Path) -> bool:
    """Return whether a file is a table."""
    name = path.name.lower()
    if not name.endswith(FITS_TABLE):
        return name.endswith(SUFFIXES)
    try:
        with open_file(path) as file:
            if re.search(rb"NAXIS   = +[2-9] ", file.read(2880)):
                return False
        with open_fits(path) as hdus:
            images = [hdu.is_image and len(hdu.shape) > 1 for hdu in hdus]
            return any(map(_is_table, hdus)) and not any(images)
    except (DataError, *BROKEN):
        return False


def _is_table(hdu: Any) -> bool:
    return isinstance(hdu, fits.BinTableHDU | fits.TableHDU)


def _sliced(length: int, cells: Callable[[str, slice], list[Any]]) -> Pieces:
    """Divide columns, of which `cells` gives some rows by the column's name."""

    def _pieces(wanted: list[str]) -> Iterator[Block]:
        for start in range(0, length, BLOCK):
            rows = slice(start, min(start + BLOCK, length))
            block = {name: cells(name, rows) for name in wanted}
            yield block or {"": [None] * (rows.stop - start)}

    return _pieces


def _columnar(path: Path, stack: contextlib.ExitStack) -> Table:
    """Open a table of Arrow's kind, read from where it lies but for lines of JSON."""
    opened, name = stack.enter_context(open_file(path)), path.name.lower()
    file: Any = None
    if name.endswith(PARQUET):
        file = stack.enter_context(parquet.ParquetFile(opened))
        schema, length = file.schema_arrow, file.metadata.num_rows
    else:
        options = json_lines.ReadOptions(block_size=LONGEST)
        is_json = name.endswith(LINES)
        whole = json_lines.read_json(opened, options) if is_json else mapped(path)
        schema, length = whole.schema, len(whole)
    classes = _class_names(schema.metadata or {})

    def _pieces(wanted: list[str]) -> Iterator[Block]:
        if not wanted:
            yield from _sliced(length, lambda *_: [])(wanted)
            return
        if file is not None:
            batches = file.iter_batches(BLOCK, columns=wanted)
        else:
            outer = [w if w in schema.names else w.rpartition(".")[0] for w in wanted]
            batches = whole.select([*dict.fromkeys(outer)]).to_batches(BLOCK)
        for batch in batches:
            block = {name: _column(batch, name).to_pylist() for name in wanted}
            for name in classes.keys() & block.keys():
                names = dict(enumerate(classes[name]))
                block[name] = [names.get(code) for code in block[name]]
            yield block

    with quiet():
        units, frames = _told(schema)
    packed = {} if name.endswith(LINES) else packed_columns(schema)  # JSON has no bytes
    return Table(schema.names, units, frames, packed=packed, pieces=_pieces)


def mapped(path: Path | str) -> pa.Table:
    """Map a file of Arrow: a stream, as `datasets` keeps it, or a file of Feather."""
    open_file(path).close()  # pyarrow would wait for a pipe
    source = pa.memory_map(os.fspath(path))
    is_file = source.read(6) == b"ARROW1"
    source.seek(0)
    opened = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
    table = opened.read_all()
    table.validate(full=True)  # wrong offsets would lead out of the file
    return table


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """Return a column, or one within a column: ``image.path``."""
    if name in batch.schema.names:
        return batch.column(name)
    whole, _, part = name.rpartition(".")
    return batch.column(whole).field(part)


def _told(schema: pa.Schema) -> tuple[dict[str, str], Frames]:
    """Read the units and frames that astropy, TOPCAT and others write into Parquet."""
    known, units = schema.metadata or {}, {}
    for column in schema:
        for key in (b"unit", b"units"):
            if unit := (column.metadata or {}).get(key):
                units[column.name] = unit.decode("utf-8", "replace").strip('"')
    try:
        if packed := known.get(b"table_meta_yaml"):
            return of_yaml(packed.decode().split("\n"))[1:]
        if packed := known.get(b"IVOA.VOTable-Parquet.content"):
            tree = votable.parse(io.BytesIO(packed), verify="ignore")
            table = _votable_table(tree, tree.get_first_table())
            return table.units, table.frames
    except BROKEN:
        pass
    return units, {}


def packed_columns(schema: pa.Schema) -> dict[str, str]:
    """Find the columns of a Parquet file that hold images, as bytes or as fluxes."""
    found: dict[str, str] = {}
    for column in schema:
        kind = column.type
        if _holds_fluxes(kind):
            found[column.name] = column.name
        elif pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            found[column.name] = f"{column.name}.bytes"
        elif kind in (pa.binary(), pa.large_binary()) and (
            plain(column.name) in PACKED[4:]  # a path or file may be text in binary
        ):
            found[column.name] = column.name
    return {name: found[name] for name in sorted(found, key=rank)}


def _holds_fluxes(kind: pa.DataType) -> bool:
    """Recognize images as the Multimodal Universe has them: planes, and their bands."""
    inner, outer = _within(kind)
    if not pa.types.is_struct(inner) or inner.get_field_index("band") < 0:
        return False
    place = inner.get_field_index("flux")  # of a spectrum, or over time: fewer axes
    return place >= 0 and outer + _within(inner.field(place).type)[1] == CUBE


def _within(kind: pa.DataType) -> tuple[pa.DataType, int]:
    """Return what lists of lists hold, and how deep it lies."""
    if isinstance(kind, pa.BaseExtensionType):  # arrays of Hugging Face
        return _within(kind.storage_type)
    forms = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if any(form(kind) for form in forms):
        inner, depth = _within(kind.value_type)
        return inner, depth + 1
    return kind, 0


def rank(name: str) -> int:
    """Rank a column of images by its name: the plainest first."""
    known = plain(name) in PACKED
    return PACKED.index(plain(name)) if known else len(PACKED)


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


def _npz(path: Path) -> list[Table]:
    """Take arrays of one length as a table; those of more axes are images."""
    open_file(path).close()  # refuses what is no file
    shapes = {name: shape for name, shape in shapes_in(path).items() if shape}
    array = functools.cache(partial(array_of, path))
    tables: dict[int, list[str]] = {}
    for name, shape in shapes.items():
        length = 1 if len(shape) > 2 and is_one_image(shape) else shape[0]
        tables.setdefault(length, []).append(name)

    def _cells(name: str, rows: slice, length: int) -> Any:
        return array(name).reshape(length)[rows].tolist()

    return [
        Table(
            [name for name in names if math.prod(shapes[name]) == length]
            + (images := [name for name in names if len(shapes[name]) > 2]),
            packed={name: name for name in sorted(images, key=rank)},
            pieces=_sliced(length, partial(_cells, length=length)),
        )
        for length, names in tables.items()
    ]


def _ipac(path: Path) -> Table | None:
    """Read a table of IPAC, whole; None for another text of that name."""
    if ".tbl" not in path.name.lower():
        return None
    with quiet(), open_file(path) as file, unpacked(file, path) as text:
        content = text.read().decode("utf-8", "replace")
        if not content.startswith(("\\", "|")):
            return None
        found = read_text(content.splitlines(), format="ipac", guess=False)
    told = {k: v["value"] for k, v in found.meta.get("keywords", {}).items()}
    frame = str(told.get("RADESYS", "")), str(told.get("EQUINOX", ""))
    return Table(
        found.colnames,
        {name: str(found[name].unit or "") for name in found.colnames},
        dict.fromkeys(found.colnames, frame) if any(frame) else {},
        pieces=_sliced(len(found), lambda name, rows: found[name][rows].tolist()),
    )


def _votable(path: Path, stack: contextlib.ExitStack) -> list[Table]:
    stack.enter_context(quiet())
    file = unpacked(stack.enter_context(open_file(path)), path)
    stack.callback(file.close)
    if re.search(rb"<(\w+:)?STREAM\b[^>]*\bhref\s*=", file.read()):
        raise DataError(
            f"{path}: expected a whole table, its values are in another file "
            "(STREAM href); save it with the values inside"
        )
    file.seek(0)
    tree = votable.parse(file, verify="ignore")
    return [_votable_table(tree, table) for table in tree.iter_tables()]


def _votable_table(tree: Any, source: Any) -> Table:
    """Take one table of a VOTable by the names of its fields, not by machine ids."""
    names = [each.name or each.ID for each in source.fields]
    fields = dict(zip(names[::-1], source.fields[::-1], strict=True))
    systems = {system.ID: system for system in tree.iter_coosys()}
    refs = {name: systems[f.ref] for name, f in fields.items() if f.ref in systems}
    return Table(
        names,
        {name: str(f.unit) for name, f in fields.items() if f.unit is not None},
        {n: (str(s.system or ""), str(s.equinox or "")) for n, s in refs.items()},
        {name: f.ucd for name, f in fields.items() if f.ucd},
        pieces=_sliced(
            len(source.array),
            lambda name, rows: source.array[rows][fields[name].ID].tolist(),
        ),
    )


def _fits(path: Path, stack: contextlib.ExitStack) -> list[Table]:
    hdus = stack.enter_context(open_fits(path, memmap=True))
    if tables := [_fits_table(hdu) for hdu in hdus if _is_table(hdu)]:
        return tables
    raise DataError(f"{path}: expected a table, found no table HDU")


def _fits_table(hdu: Any) -> Table:
    header = hdu.header
    for k in range(1, int(header["TFIELDS"]) + 1):
        if not str(header.get(f"TTYPE{k}", "")).strip():
            header[f"TTYPE{k}"] = f"column {k}"  # astropy wants one
    columns = list(hdu.columns)
    names = [c.name for c in columns]
    places = {name: k for k, name in reversed(list(enumerate(names)))}

    def _cells(name: str, rows: slice) -> list[Any]:
        cells = hdu.data[rows].field(places[name])
        if cells.ndim == 2 and cells.shape[1] == 1:
            cells = cells[:, 0]
        return _without_null(cells.tolist(), columns[places[name]])

    system = str(header.get("RADESYS", header.get("RADECSYS", "")))
    frame = system, str(header.get("EQUINOX", ""))
    return Table(
        names,
        {name: str(columns[k].unit or "") for name, k in places.items()},
        dict.fromkeys(names, frame) if any(frame) else {},
        {name: str(header.get(f"TUCD{k + 1}", "")) for name, k in places.items()},
        pieces=_sliced(int(header["NAXIS2"]), _cells),
    )


def _without_null(cells: list[Any], column: Any) -> list[Any]:
    """Leave out what the header calls no value (TNULL, before it is scaled)."""
    null = column.null
    if null in (None, ""):
        return cells
    if column.bscale not in (None, "", 1) or column.bzero not in (None, "", 0):
        null = null * (column.bscale or 1) + (column.bzero or 0)
    return [None if cell == null else cell for cell in cells]
