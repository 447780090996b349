"""Tables as VOTable: astropy makes the head, with UCDs and units; the rows follow."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io.votable import from_table
from astropy.io.votable.tree import CooSys, Param
from astropy.table import Table

from dmagnet.classifying.qtable import Rows
from dmagnet.classifying.table_columns import About, columns

END_OF_CELL = "</TD><TD>"


def write_votable(path: Path, rows: Rows, about: About) -> None:
    """Write a VOTable with plain rows (TABLEDATA)."""
    head, tail = document(about).split("<TR/>")
    with path.open("wb") as file:
        file.write(head.encode())
        for batch in rows():
            cells = [_cells(array) for array in batch.columns]
            joined = pc.binary_join_element_wise(*cells, END_OF_CELL)
            for row in joined.to_pylist():
                file.write(f"<TR><TD>{row}</TD></TR>\n".encode())
        file.write(tail.encode())


def document(about: About) -> str:
    """Write the document around the rows."""
    form = columns(about.class_names)
    empty = Table({c.name: np.zeros(1, _code(c.type)) for c in form})
    file = from_table(empty)
    system = CooSys(ID="icrs", system="ICRS")
    file.resources[0].coordinate_systems.append(system)
    table = file.get_first_table()
    table.name = "galaxies"
    table.description = "Galaxies classified by dmagnet"
    for field, column in zip(table.fields, form, strict=True):
        field.ucd, field.description = column.ucd, column.description
        if column.unit:
            field.unit, field.ref = column.unit, system.ID
        if column.type == pa.string():
            field.arraysize = "*"
    table.params.extend(_params(file, about))
    xml = io.BytesIO()
    file.to_xml(xml, tabledata_format="tabledata")
    text = xml.getvalue().decode()
    first, last = text.index("<TR>"), text.rindex("</TR>") + len("</TR>")
    return f"{text[:first]}<TR/>{text[last:]}"


def _params(file: Any, about: About) -> list[Any]:
    """Say what the table was made with."""
    values = {
        "dmagnet": (about.version, "meta.version;meta.software"),
        "weights": (about.weights, "meta.checksum"),
        "class_names": (json.dumps(list(about.class_names)), "meta.note"),
        "settings": (json.dumps(about.settings), "meta.note"),
    }
    return [
        Param(
            file,
            ID=f"about_{name}",
            name=name,
            datatype="unicodeChar",
            arraysize="*",
            value=value,
            ucd=ucd,
        )
        for name, (value, ucd) in values.items()
    ]


def _code(kind: pa.DataType) -> str:
    return "U1" if kind == pa.string() else np.dtype(kind.to_pandas_dtype()).str


def _cells(array: pa.Array) -> pa.Array:
    """Write a column as text; what is not known is empty."""
    if pa.types.is_string(array.type):
        for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            array = pc.replace_substring(array, sign, entity)
        return array
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    return array.cast(pa.string()).fill_null("")
