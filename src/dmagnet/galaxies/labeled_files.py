"""Labeled image files of folders and archives, read as `classify` reads them."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from dmagnet.classes import in_order
from dmagnet.config.classify_config import SourceConfig
from dmagnet.errors import DataError
from dmagnet.galaxies.galaxies import PART_CODES
from dmagnet.pictures.flags import NO_CLASS, Flag
from dmagnet.pictures.inputs.archives import is_hidden
from dmagnet.pictures.inputs.forms import IMAGES
from dmagnet.pictures.inputs.item import Item, Picture
from dmagnet.pictures.inputs.reading import native_side
from dmagnet.storage.arrays import Ints, Pixels, Singles

SIZE_SAMPLE = 50  # images that tell the most common side
BATCH = 256  # files decoded ahead of the one being stored

NO_PART = -1


@dataclass(frozen=True)
class LabeledListing:
    """Labeled image files before any is read."""

    items: tuple[Item, ...]
    labels: tuple[int, ...]
    parts: tuple[int, ...]
    class_names: tuple[str, ...]
    notes: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    label_sets: tuple[tuple[int, ...], ...] = ()
    places: dict[str, npt.NDArray[Any]] = field(default_factory=dict)  # and ids
    votes: Singles | None = None


def names_in(root: Path) -> list[str]:
    """List a folder with all below it, folders with a bar; links are followed once."""
    found, seen = [], set()
    for here, inner, files in os.walk(root, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            inner.clear()
            continue
        seen.add(real)
        base = Path(here).relative_to(root)
        found += [(base / name).as_posix() for name in files]
        found += [f"{(base / name).as_posix()}/" for name in inner]
    return sorted(found)


def list_classes(
    source: str, names: Iterable[str], item_of: Callable[[str], Item]
) -> LabeledListing:
    """Understand ``<split>/<class>/*.jpg`` or ``<class>/*.jpg``; folders have a bar."""
    shown = [name for name in dict.fromkeys(names) if not is_hidden(name)]
    visible = [PurePosixPath(name) for name in shown if not name.endswith("/")]
    folders = {PurePosixPath(name) for name in shown if name.endswith("/")}
    folders.update(folder for path in visible for folder in path.parents)
    images = [path for path in visible if path.name.lower().endswith(IMAGES)]
    expected = f"{source}: expected images in folders named after their classes, found"
    if not images:
        known = ", ".join(IMAGES[:4])
        found = f"{len(visible)} files and no image ({known}, .fits...)"
        raise DataError(f"{expected} {found}")
    depth = _wrapping(images)
    tops = {path.parts[depth].lower() for path in images if len(path.parts) > depth + 2}
    split = not tops.isdisjoint(PART_CODES)
    rows = [row for path in images if (row := _place(path, depth, split))]
    if not rows:
        raise DataError(f"{expected} {len(images)} images outside such folders")
    classes = {name for _, name, _ in rows}
    # a folder may be a class without images: `_check_classes` names it
    inside = (folder / "_" for folder in folders)
    classes |= {row[1] for path in inside if (row := _place(path, depth, split))}
    class_names = in_order(classes)
    _check_classes(source, class_names, rows)
    notes = []
    if ignored := len(images) - len(rows):
        notes.append(f"{ignored} images outside class folders were left aside")
    if other := len(visible) - len(images):
        notes.append(f"{other} files that are no images were left aside")
    stems = Counter(str(PurePosixPath(path).with_suffix("")) for path, _, _ in rows)
    if twice := sum(num > 1 for num in stems.values()):
        notes.append(
            f"{twice} names occur with several suffixes (a.jpg, a.fits): a galaxy may "
            "stand on both sides of the split"
        )
    return LabeledListing(
        tuple(replace(item_of(path), path=path) for path, _, _ in rows),
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
        line = f"expected two or more class folders, found {class_names[0]!r}"
        raise DataError(f"{source}: {line}")
    learned = {name for _, name, part in rows if part in (NO_PART, 0)}
    if learned and (empty := [name for name in class_names if name not in learned]):
        where = "in its train part" if rows[0][2] != NO_PART else "in it"
        raise DataError(
            f"{source}: expected images of every class, found none {where} of "
            f"{', '.join(empty)}; add images or remove the folder"
        )


def common_side(items: Sequence[Item], config: SourceConfig) -> int:
    """Find the side most images have, from a sample."""
    step = max(1, len(items) // SIZE_SAMPLE)
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda item: native_side(item, config), items[::step])
    sides = Counter(filter(None, found))  # what cannot be read the reader names
    if not sides:
        line = f"expected images, could read none; the first is {items[0].path}"
        raise DataError(line)
    return sides.most_common(1)[0][0]


def read_images(
    items: Sequence[Item], read: Callable[[Item], Picture], side: int, strict: bool
) -> tuple[Pixels, Ints, list[Item], tuple[str, ...]]:
    """Read many images, a few at a time; which were read, and which were not."""
    images = np.empty((len(items), side, side, 3), np.uint8)
    rows: list[int] = []
    kept: list[Item] = []
    skipped: list[str] = []
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(items), BATCH):
            batch = pool.map(read, items[start : start + BATCH])
            for row, picture in enumerate(batch, start):
                if picture.rgb is not None:
                    images[len(rows)] = picture.rgb
                    rows.append(row)
                    kept.append(picture.item)
                    continue
                skipped.append(f"{items[row].path}: {picture.item.reason}")
                if strict:
                    raise DataError(skipped[-1])
    if not rows:
        raise DataError(f"none of {len(items)} images could be read; {skipped[0]}")
    return images[: len(rows)], np.array(rows, np.int64), kept, tuple(skipped)


def doubts(items: Sequence[Item]) -> tuple[str, ...]:
    """Say of each flag how many images have it, and why the first does."""
    notes = []
    for flag in Flag:
        if flag > NO_CLASS and (found := [i for i in items if i.flag & flag]):
            one = found[0]
            line = f"{len(found)} of {len(items)} images have the flag {flag.name}"
            notes.append(f"{line}, as {one.path}: {one.reason}")
    return tuple(notes)
