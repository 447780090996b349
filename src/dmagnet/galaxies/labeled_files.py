"""Read many labeled image files, of a folder, an archive or a table."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image

from dmagnet.config.classify_config import ColumnsConfig
from dmagnet.errors import DataError
from dmagnet.galaxies.galaxies import PART_CODES, PARTS
from dmagnet.pictures.inputs.forms import PICTURES
from dmagnet.pictures.inputs.stacks import open_cell
from dmagnet.pictures.opening import BROKEN, quiet, refused
from dmagnet.pictures.raster import is_plain, one_large_at_a_time, read_rgb
from dmagnet.pictures.tables.columns import Row, file_of, find_columns, read_rows
from dmagnet.storage.disk import open_file

SIZE_SAMPLE = 200  # files whose headers tell the most common side
BATCH = 256  # files decoded ahead of the one being stored

Opener = Callable[[str], IO[bytes]]
Pixels = npt.NDArray[np.uint8]
Bring = Callable[[Pixels], Pixels]  # one picture to the form of all
NO_PART = -1
NO_LABEL = ("", "nan", "none", "null", "--", "n/a")  # in lower case


@dataclass(frozen=True)
class LabeledListing:
    """Labeled image files before any is read."""

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    parts: tuple[int, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    label_sets: tuple[tuple[int, ...], ...] = ()


def natural_key(name: str) -> tuple[float, str]:
    """Order names by a number in front, then by the alphabet."""
    match = re.match(r"\d+", name)
    return (float(match[0]) if match else np.inf, name)


def walk_folder(root: Path) -> tuple[list[str], list[str]]:
    """List a folder with all below it, symbolic links followed once."""
    files, folders = [], []
    seen = set()
    for here, inner, names in os.walk(root, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        base = Path(here).relative_to(root)
        files += [(base / name).as_posix() for name in names]
        folders += [(base / name).as_posix() for name in inner]
    return sorted(files), sorted(folders)


def walk_archive(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """List the files of an archive in their order, and its folders."""
    files, folders = [], set()
    for name in dict.fromkeys(names):
        if name.endswith("/"):
            folders.add(name.rstrip("/"))
        else:
            files.append(name)
            folders |= set(map(str, PurePosixPath(name).parents))
    return files, sorted(folders - {"."})


def list_classes(source: str, files: list[str], folders: list[str]) -> LabeledListing:
    """Understand ``<split>/<class>/*.jpg`` or ``<class>/*.jpg``."""
    visible = [PurePosixPath(path) for path in files if not _hidden(path)]
    images = [path for path in visible if path.suffix.lower() in PICTURES]
    if not images:
        raise DataError(
            f"{source}: expected images in folders named after their classes, found "
            f"{len(visible)} files and no image ({', '.join(PICTURES[:4])}...)"
        )
    depth = _wrapping(images)
    tops = {path.parts[depth].lower() for path in images if len(path.parts) > depth + 2}
    split = not tops.isdisjoint(PART_CODES)
    rows = [row for path in images if (row := _place(path, depth, split))]
    if not rows:
        raise DataError(
            f"{source}: expected images in folders named after their classes, found "
            f"{len(images)} images outside such folders"
        )
    names = {name for _, name, _ in rows}
    # a folder may be a class without images: `_check_classes` names it
    inside = (PurePosixPath(name) / "_" for name in folders if not _hidden(name))
    names |= {row[1] for path in inside if (row := _place(path, depth, split))}
    class_names = tuple(sorted(names, key=natural_key))
    _check_classes(source, class_names, rows)
    notes = []
    if ignored := len(images) - len(rows):
        notes.append(f"{ignored} images outside class folders were left aside")
    if other := len(visible) - len(images):
        notes.append(f"{other} files that are no images were left aside")
    return LabeledListing(
        tuple(path for path, _, _ in rows),
        tuple(class_names.index(name) for _, name, _ in rows),
        tuple(part for _, _, part in rows),
        class_names,
        tuple(notes),
    )


def _place(path: PurePosixPath, depth: int, split: bool) -> tuple[str, str, int] | None:
    """Return an image's path, class and part; None outside class folders."""
    inner = path.parts[depth:]
    part = NO_PART
    if split:
        part = PART_CODES.get(inner[0].lower(), NO_PART) if inner else NO_PART
        inner = inner[1:] if part != NO_PART else ()
    return (path.as_posix(), inner[0], part) if len(inner) > 1 else None


def _hidden(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return "__MACOSX" in parts or any(part.startswith(".") for part in parts)


def _wrapping(images: list[PurePosixPath]) -> int:
    """Count the folders that only wrap everything else."""
    depth = 0
    while True:
        tops = {path.parts[depth] for path in images}
        shortest = min(len(path.parts) for path in images)
        if len(tops) > 1 or shortest < depth + 3 or tops.pop().lower() in PART_CODES:
            return depth
        depth += 1


def _check_classes(
    source: str, class_names: tuple[str, ...], rows: list[tuple[str, str, int]]
) -> None:
    """Refuse a class that could never be learned."""
    if len(class_names) < 2:
        raise DataError(
            f"{source}: expected two or more class folders, found {class_names[0]!r}"
        )
    learned = {name for _, name, part in rows if part in (NO_PART, 0)}
    if learned and (empty := [name for name in class_names if name not in learned]):
        where = "in its train part" if rows[0][2] != NO_PART else "in it"
        raise DataError(
            f"{source}: expected images of every class, found none {where} of "
            f"{', '.join(empty)}; add images or remove the folder"
        )


def common_side(paths: Sequence[str], open_file: Opener) -> int:
    """Find the side most images have, from the headers of a sample."""
    step = max(1, len(paths) // SIZE_SAMPLE)
    sides: Counter[int] = Counter()
    for path in paths[::step]:
        try:
            with open_file(path) as stream, quiet(), Image.open(stream) as image:
                sides[min(image.size)] += 1
        except (MemoryError, *BROKEN):
            continue  # the reader names it
    if not sides:
        raise DataError(f"expected images, could read none; the first is {paths[0]}")
    return sides.most_common(1)[0][0]


def read_images(
    paths: Sequence[str], open_file: Opener, bring: Bring, side: int, strict: bool
) -> tuple[Pixels, npt.NDArray[np.int64], tuple[str, ...]]:
    """Decode many files and bring them to one form, a few at a time."""
    images = np.empty((len(paths), side, side, 3), np.uint8)
    kept: list[int] = []
    skipped: list[str] = []
    read = partial(_read_or_reason, open_file, bring)
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), BATCH):
            batch = pool.map(read, paths[start : start + BATCH])
            for index, image in enumerate(batch, start):
                if not isinstance(image, str):
                    images[len(kept)] = image
                    kept.append(index)
                elif strict:
                    raise DataError(image)
                else:
                    skipped.append(image)
    if not kept:
        raise DataError(f"none of {len(paths)} images could be read; {skipped[0]}")
    return images[: len(kept)], np.array(kept, np.int64), tuple(skipped)


def _read_or_reason(open_file: Opener, bring: Bring, path: str) -> Pixels | str:
    """Return the image, or one line on why there is none."""
    try:
        with (
            refused(path, "an image file"),
            one_large_at_a_time(),
            open_file(path) as stream,
        ):
            rgb = read_rgb(stream, name=path)
            if is_plain(rgb):
                return f"{path}: expected an image, got one color everywhere"
            return bring(rgb)
    except DataError as error:
        return str(error)


def spell_part(value: str) -> int:
    """Read the name of a part."""
    try:
        return PART_CODES[value.strip().lower()]
    except KeyError:
        raise DataError(f"split: expected {', '.join(PARTS)}, got {value!r}") from None


def list_tables(
    path: Path, tables: list[Path], given: ColumnsConfig | None, *, strict: bool
) -> tuple[LabeledListing, Opener, list[Row]]:
    """List one table, or the pieces of one (``train-00000-of-00002.parquet``)."""
    rows: list[Row] = []
    parts: list[int] = []
    paths: list[str] = []
    skipped: list[str] = []
    openers: dict[str, Callable[[], IO[bytes]]] = {}
    for table in tables:
        # Pieces in several folders may be called alike.
        inner = table.parent.relative_to(path) if path.is_dir() else Path()
        within = f"{inner.as_posix()}/" if inner.name else ""
        columns = find_columns(table, given, ("path", "label"))
        has_ids = columns.id and columns.id != columns.packed.replace(".bytes", ".path")
        words = (re.split(r"[-_.]", table.name)[0], *reversed(inner.parts))
        told = [PART_CODES[w.lower()] for w in words if w.lower() in PART_CODES]
        named = told[0] if told else NO_PART
        for number, row in enumerate(read_rows(table, columns, labeled=True)):
            if row.fault:
                skipped.append(f"{table}: {row.fault}")
                continue
            _check_label(table, number, row.label)
            name, image = _image_of(table, number, row, columns.packed)
            openers[name := f"{within}{name}"] = image
            paths.append(name)
            rows.append(row._replace(id=(row.id if has_ids else "") or name))
            own = columns.split and (len(tables) == 1 or row.split)
            parts.append(spell_part(row.split) if own else named)
    if strict and skipped:
        raise DataError(skipped[0])
    if not rows:
        raise DataError(f"{path}: expected rows, found none")
    labels, names, sets = _read_labels([row.label for row in rows])
    listing = LabeledListing(
        paths=tuple(paths),
        labels=labels,
        parts=tuple(parts),
        class_names=names,
        label_sets=sets,
        skipped=tuple(skipped),
    )
    return listing, lambda name: openers[name](), rows


def _image_of(
    table: Path, number: int, row: Row, packed: str
) -> tuple[str, Callable[[], IO[bytes]]]:
    """Return the name of a row's image, and what opens it."""
    if packed:
        return f"{table.name}::{number}", partial(open_cell, str(table), number, packed)
    if not row.paths or not row.paths[0]:
        raise DataError(f"{table}: expected a path in every row, row {number} has none")
    return row.paths[0], lambda: open_file(file_of(str(table.parent), row.paths[0]))


def _check_label(table: Path, number: int, label: str) -> None:
    """Refuse what stands for no label: text cannot tell a class of such a name."""
    if label.lower() in NO_LABEL:
        got = f"{label!r}, which no class can be called" if label else "none"
        raise DataError(
            f"{table}: expected a label in every row, row {number} has {got}; "
            "leave the row out or give it a label"
        )


def _read_labels(
    labels: list[str],
) -> tuple[tuple[int, ...], tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """Give classes their numbers, then labels that name several: ``Barred|Tight``."""
    each = [frozenset(part.strip() for part in label.split("|")) for label in labels]
    names = tuple(sorted(frozenset().union(*each), key=natural_key))
    coarse = sorted({tuple(sorted(map(names.index, s))) for s in each if len(s) > 1})
    codes = {frozenset([name]): k for k, name in enumerate(names)}
    for code, members in enumerate(coarse, len(names)):
        codes[frozenset(names[k] for k in members)] = code
    return tuple(codes[one] for one in each), names, tuple(coarse)
