"""What the head of a table says of its columns: units, and frames of positions."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import pyarrow as pa
from astropy.io import votable
from astropy.table import meta

from dmagnet.pictures.faults import BROKEN


@dataclass(frozen=True)
class Told:
    """What is said of the columns."""

    names: list[str] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    frames: dict[str, tuple[str, str]] = field(default_factory=dict)


def of_yaml(lines: Iterable[str]) -> Told:
    """Read what astropy writes into ECSV and Parquet."""
    try:
        head = meta.get_header_from_yaml([*lines])
    except meta.YamlParseError as error:
        raise ValueError("the head of the table cannot be read") from error
    told = Told([column["name"] for column in head["datatype"]])
    for column in head["datatype"]:
        if unit := str(column.get("unit") or ""):
            told.units[column["name"]] = unit
    packed = (head.get("meta") or {}).get("__serialized_columns__", {})
    for name, what in packed.items():
        if not isinstance(what, dict):
            continue
        if frame := what.get("frame"):
            place = str(frame), str(what.get("equinox", ""))
            parts = [each for each in told.names if each.startswith(f"{name}.")]
            told.frames.update(dict.fromkeys(parts, place))
    return told


def of_arrow(schema: pa.Schema) -> Told:
    """Read what astropy, TOPCAT and others write into Parquet."""
    told, known = Told(), schema.metadata or {}
    for column in schema:
        for key in (b"unit", b"units"):
            if unit := (column.metadata or {}).get(key):
                told.units[column.name] = unit.decode("utf-8", "replace").strip('"')
    try:
        if packed := known.get(b"table_meta_yaml"):
            return of_yaml(packed.decode().split("\n"))
        if packed := known.get(b"IVOA.VOTable-Parquet.content"):
            tree = votable.parse(BytesIO(packed), verify="ignore")
            return of_votable(tree, tree.get_first_table())
    except BROKEN:
        return told
    return told


def of_votable(tree: Any, table: Any) -> Told:
    """Read units and coordinate systems of a VOTable."""
    systems = {system.ID: system for system in tree.iter_coosys()}
    told = Told([each.name or each.ID for each in table.fields])
    for each in reversed(table.fields):
        name = each.name or each.ID
        if each.unit is not None:
            told.units[name] = str(each.unit)
        if system := systems.get(each.ref):
            told.frames[name] = str(system.system or ""), str(system.equinox or "")
    return told
