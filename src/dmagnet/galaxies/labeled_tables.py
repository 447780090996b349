"""Tables of labeled images: a class, one of several, or votes in each row."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dmagnet.classes import in_order
from dmagnet.config.classify_config import ColumnsConfig
from dmagnet.errors import DataError
from dmagnet.galaxies.galaxies import PART_CODES, PARTS, PLACES, meanings_of
from dmagnet.galaxies.labeled_files import NO_PART, LabeledListing
from dmagnet.galaxies.votes import ONE, most_voted, read_votes, to_number
from dmagnet.pictures.inputs.forms import INSIDE, item_of_row
from dmagnet.pictures.inputs.item import Item
from dmagnet.pictures.inputs.listing import mark_shared
from dmagnet.pictures.tables.columns import Columns, Row, find_columns, read_rows

NO_LABEL = ("", "nan", "none", "null", "--", "n/a")  # in lower case

Where = Callable[[int], str]  # a row, for a person


def list_tables(
    path: Path, tables: list[Path], given: ColumnsConfig, votes: tuple[str, ...]
) -> LabeledListing:
    """List one table, or the pieces of one (``train-00000-of-00002.parquet``)."""
    rows: list[Row] = []
    parts: list[int] = []
    skipped: list[str] = []
    notes: list[str] = []
    items: list[Item] = []
    ids: list[str] = []
    numbers: list[tuple[Path, int]] = []
    ballots: set[tuple[str, ...]] = set()
    for table in tables:
        # Pieces in several folders may be called alike.
        inner = table.parent.relative_to(path) if path.is_dir() else Path()
        within = f"{inner.as_posix()}/" if inner.name else ""
        columns, note = _columns_of(table, given, votes)
        has_ids = columns.id and columns.id != columns.packed.replace(".bytes", ".path")
        notes += note
        ballots.add(tuple(columns.votes))
        words = (re.split(r"[-_.]", table.name)[0], *reversed(inner.parts))
        told = [PART_CODES[w.lower()] for w in words if w.lower() in PART_CODES]
        named = told[0] if told else NO_PART
        names = str(table), str(table.absolute())
        for number, row in enumerate(read_rows(table, columns, labeled=True)):
            if row.fault:
                skipped.append(f"{table}: {row.fault}")
                continue
            item = item_of_row(row, number, names, columns)
            if not item.files and not item.path:
                raise DataError(f"{table}: expected a path in every row, {item.reason}")
            inside = f"{table.name}{INSIDE}{number}" if columns.packed else item.path
            items.append(replace(item, path=f"{within}{inside}"))
            ids.append((row.id if has_ids else "") or items[-1].path)
            rows.append(row)
            numbers.append((table, number))
            own = columns.split and (len(tables) == 1 or row.split)
            parts.append(spell_part(row.split) if own else named)
    if not rows:
        raise DataError(f"{path}: expected rows, found none")
    if len(ballots) > 1:
        raise DataError(f"{path}: expected the same columns of votes in all its tables")

    def _where(row: int) -> str:
        return f"{numbers[row][0]}: row {numbers[row][1]}"

    labeled, note = _labels_of(rows, ballots.pop(), _where)
    return LabeledListing(
        items=tuple(mark_shared(items)),
        parts=tuple(parts),
        notes=(*dict.fromkeys(notes), *note),
        skipped=tuple(skipped),
        places={
            name: np.array([getattr(row, name) for row in rows], np.float64)
            for name in PLACES
        }
        | {"ids": np.array(ids)},
        **labeled,
    )


def _labels_of(
    rows: Sequence[Row], classes: tuple[str, ...], where: Where
) -> tuple[dict[str, Any], list[str]]:
    """Read what rows are labeled as, by votes for these classes if there are some."""
    if not classes:
        labels, classes, sets = _read_labels([row.label for row in rows], where)
        return {"labels": labels, "class_names": classes, "label_sets": sets}, []
    votes = read_votes([row.votes for row in rows], classes, where)
    codes, sets = most_voted(votes)
    told = {"labels": tuple(codes.tolist()), "class_names": classes}
    kind = "counts" if votes.sum(1).max() > ONE else "fractions"
    note = f"labels are {kind} of votes for {', '.join(classes)}"
    return {**told, "label_sets": sets, "votes": votes}, [note]


def _columns_of(
    table: Path, given: ColumnsConfig, votes: tuple[str, ...]
) -> tuple[Columns, list[str]]:
    """Find the columns; votes are labels if they are wanted, or if nothing else is."""
    found = find_columns(table, given, ("path", "label"), votes)
    if votes or not found.label:
        ordered = in_order(found.votes)
        return replace(found, votes={name: found.votes[name] for name in ordered}), []
    told = ",".join(found.votes)
    left = [f"labels are those of {found.label}; --votes {told} learns from votes"]
    return replace(found, votes={}), left if told else []


def _read_labels(
    labels: Sequence[str], where: Where
) -> tuple[tuple[int, ...], tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Give classes their numbers, then labels that name several: ``Barred|Tight``."""
    _check_labels(labels, where)
    parts = {label: {p.strip() for p in label.split("|")} for label in set(labels)}
    names = in_order(set().union(*parts.values()))
    meant = {label: tuple(sorted(map(names.index, p))) for label, p in parts.items()}
    sets = tuple(sorted({some for some in meant.values() if len(some) > 1}))
    codes = {some: code for code, some in enumerate(meanings_of(len(names), sets))}
    return tuple(codes[meant[label]] for label in labels), names, sets


def _check_labels(labels: Sequence[str], where: Where) -> None:
    """Refuse fractions, and what stands for no label, which might be a class's name."""
    values = {label: to_number(label) for label in set(labels)}
    absent = {label for label in values if label.lower() in NO_LABEL}
    shares = {label for label, value in values.items() if 0 < value < 1}
    if any(value < 0 or value > 1 for value in values.values()):
        shares = set()  # Hubble types, say
    for row, label in enumerate(labels if absent or shares else ()):
        if label in absent:
            got = f"{label!r}, which no class can be called" if label else "none"
            line = f"expected a label, got {got}; leave the row out or give it a label"
            raise DataError(f"{where(row)}: {line}")
        if label in shares:
            raise DataError(
                f"{where(row)}: expected a class as label, got {label}; fractions of "
                "votes stand in one column for each class, <class>_fraction"
            )


def spell_part(value: str) -> int:
    """Read the name of a part."""
    try:
        return PART_CODES[value.strip().lower()]
    except KeyError:
        raise DataError(f"split: expected {', '.join(PARTS)}, got {value!r}") from None
