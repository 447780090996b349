"""Tables as VOTable: astropy makes the head, with UCDs and units; the rows follow."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from astropy.io.votable import from_table
from astropy.io.votable.tree import CooSys, Param
from astropy.table import Table

from dmagnet.classifying.table_columns import (
    TEXT,
    About,
    Rows,
    columns,
    is_vector,
    spelled,
    to_qtable,
)

END_OF_CELL = "</TD><TD>"


def write_votable(path: Path, rows: Rows, about: About) -> None:
    """Write a VOTable with plain rows (TABLEDATA)."""
    head, tail = document(about)
    with path.open("wb") as file:
        file.write(head.encode())
        for batch in rows():
            cells = [_cells(array) for array in batch.columns]
            joined = pc.binary_join_element_wise(*cells, END_OF_CELL)
            for row in joined.to_pylist():
                file.write(f"<TR><TD>{row}</TD></TR>\n".encode())
        file.write(tail.encode())


def document(about: About) -> tuple[str, str]:
    """Write the document before and behind the rows."""
    one = Table(to_qtable((), about))
    one.add_row()
    file = from_table(one)
    system = CooSys(ID="icrs", system="ICRS")
    file.resources[0].coordinate_systems.append(system)
    table = file.get_first_table()
    table.name = "galaxies"
    table.description = "Galaxies classified by dmagnet"
    for field, column in zip(table.fields, columns(about), strict=True):
        if column.unit:
            field.ref = system.ID
        if column.type == TEXT:
            field.arraysize = "*"
    made_with = {
        "dmagnet": (about.version, "meta.version;meta.software"),
        "weights": (about.weights, "meta.checksum"),
        "class_names": (json.dumps(list(about.class_names)), "meta.note"),
        "settings": (json.dumps(about.settings), "meta.note"),
    }
    for name, (value, ucd) in made_with.items():
        told = {"ID": f"about_{name}", "name": name, "value": value, "ucd": ucd}
        table.params.append(Param(file, **told, datatype="unicodeChar", arraysize="*"))
    xml = io.BytesIO()
    file.to_xml(xml, tabledata_format="tabledata")
    text = xml.getvalue().decode()
    return text[: text.index("<TR>")], text[text.rindex("</TR>") + len("</TR>") :]


def _cells(array: pa.Array) -> pa.Array:
    """Write a column as text; what is not known is empty."""
    if pa.types.is_string(array.type):
        for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
            array = pc.replace_substring(array, sign, entity)
        return array
    if is_vector(array.type):
        return spelled(array, " ")
    if pa.types.is_floating(array.type):
        array = pc.if_else(pc.is_nan(array), None, array)
    return array.cast(pa.string()).fill_null("")
