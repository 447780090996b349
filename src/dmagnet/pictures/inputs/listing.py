"""Everything that was given, one item after another, without reading any of it."""

import dataclasses
import logging
import math
import os
import re
import shlex
from array import array
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from dmagnet.config.classify_config import SERVICE, CutoutConfig, SourceConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.pictures.flags import Flag
from dmagnet.pictures.inputs import forms
from dmagnet.pictures.inputs.item import Item, flagged
from dmagnet.pictures.inputs.stacks import open_stack
from dmagnet.pictures.opening import ImageError
from dmagnet.pictures.tables.columns import Columns, find_columns, named_columns
from dmagnet.pictures.tables.opened import is_table
from dmagnet.storage.arrays import Ints

log = logging.getLogger("dmagnet")  # notes; the command line prints them

NUMBERS = re.compile(r"[-+\d.:hdms'\"\u00b0]+([,;\s]+[-+\d.:hdms'\"\u00b0]+)*")
BRACKETS = frozenset("*?[]{}")  # of patterns
SHOWN = 3  # names of files in a line
SAME = 3  # decimals of degrees: positions within some arcsec are the same


class Listing:
    """All inputs, in a stable order; each iteration lists them anew.

    Parameters
    ----------
    inputs : sequence of str or Path
        Files, folders, globs, patterns of bands, tables.
    config : SourceConfig
        What the inputs do not say themselves.

    Attributes
    ----------
    notes : tuple of str
        What a person should know: what was passed over, and what was given twice.
    has_positions : bool
        Whether some items are positions, whose cut-outs have to be fetched.
    """

    def __init__(self, inputs: Sequence[str], config: SourceConfig) -> None:
        self.config = config
        self._inputs: list[tuple[str, str]] = []
        self._columns: dict[str, Columns] = {}
        self._refused: dict[str, DataError] = {}
        notes = []
        for text in inputs:
            found = list(forms.expanded(text))
            if not found:
                notes.append(f"{text}: nothing fits this pattern")
            self._inputs.extend(found)
        tables = any(form == "table" or forms.INSIDE in p for form, p in self._inputs)
        if self._inputs and not tables and (named := named_columns(config)):
            flag, column = next(iter(named.items()))
            line = f"expected a table with a column {column}, found none; leave it out"
            raise ConfigError(f"--{flag}: {line}")
        for form, path in self._inputs:
            try:
                if form == "table" and path not in self._columns:
                    self._columns[path] = find_columns(Path(path), config)
                if form == "stack":
                    with suppress(ImageError):  # one that is damaged becomes a row
                        open_stack(str(Path(path).absolute()), config.dataset)
            except DataError as error:
                self._refused[path] = error  # one among many: a row says so
                if len(self._refused) == len({path for _, path in self._inputs}):
                    raise
        self.has_positions = False
        self._scan(notes)
        self.notes = tuple(notes)

    def __len__(self) -> int:
        return self._length

    @property
    def paths(self) -> tuple[str, ...]:
        """Name the files and folders that were given, globs as what they name.

        Returns
        -------
        tuple of str
            In their order.
        """
        return tuple(path for _, path in self._inputs)

    def note_fetching(self, cutout: CutoutConfig | None) -> None:
        """Note how positions would be cut out of the FITS files beside them."""
        tiles = [
            path
            for form, path in self._inputs
            if form == "file" and path.lower().endswith(forms.FITS)
        ]
        asked = cutout is None or cutout.tiles == SERVICE
        if self.has_positions and tiles and asked:
            named = shlex.join(tiles) if len(tiles) <= SHOWN else f"{len(tiles)} files"
            line = f"to cut them out of {named}, name these behind --from"
            log.info("positions are fetched; %s, not among the inputs", line)

    def __iter__(self) -> Iterator[Item]:
        for listed in self._once():
            shared = bool(self._shared) and _image_of(listed) in self._shared
            item = dataclasses.replace(listed, shared=True) if shared else listed
            if hash(item.id) in self._twice:
                item = flagged(item, Flag.DUPLICATE_ID, "another row has the same id")
            yield item

    def _once(self) -> Iterator[Item]:
        """List what overlapping inputs name twice only once; rows of tables always."""
        seen: set[int] = set()
        self._overlaps = 0
        for form, path in self._inputs:
            if path in self._refused:
                items = iter([forms.refused(path, self._refused[path])])
            elif form == "table":
                yield from forms.items_of_table(path, self._columns[path])
                continue
            else:
                items = forms.items_of(form, path, self.config)
            if len(self._inputs) == 1:
                yield from items
                continue
            for item in items:
                if (key := _image_of(item)) in seen:
                    self._overlaps += 1
                else:
                    seen.add(key)
                    yield item

    def _scan(self, notes: list[str]) -> None:
        """Count the items; find ids that occur twice, and images at several places.

        8 bytes an item, and 16 more for one of a table with paths and positions.
        """
        ids, shown = array("q"), array("q")
        for item in self._once():
            ids.append(hash(item.id))
            self.has_positions |= item.kind == "position"
            shown.extend(_shown_at(item))
        self._length = len(ids)
        self._twice = repeated(np.frombuffer(ids, np.int64))
        self._shared = _at_several_places(np.frombuffer(shown, np.int64))
        if self._twice:
            num = len(self._twice)
            notes.append(f"{num} ids occur more than once: all rows are kept")
        if self._overlaps:
            notes.append(f"{self._overlaps} inputs were given twice: listed once")
        for form, path in self._inputs:
            if form == "folder" and (other := forms.others(path)):
                notes.append(f"{path}: {other} files that are no images passed over")


def mark_shared(items: Sequence[Item]) -> list[Item]:
    """Mark the rows of a table that show one image at several positions."""
    shown = [pair for item in items for pair in _shown_at(item)]
    shared = _at_several_places(np.array(shown, np.int64))
    if not shared:
        return list(items)
    return [dataclasses.replace(i, shared=_image_of(i) in shared) for i in items]


def _shown_at(item: Item) -> tuple[int, ...]:
    """Hash an image and its position, or nothing where one of them is not there."""
    placed = math.isfinite(item.ra + item.dec) or item.flag & Flag.BAD_COORDINATE
    if not item.files or not placed:
        return ()
    return _image_of(item), hash((round(item.ra, SAME), round(item.dec, SAME)))


def _at_several_places(shown: Ints) -> frozenset[int]:
    return repeated(np.unique(shown.reshape(-1, 2), axis=0)[:, 0])


def repeated(values: Ints) -> frozenset[int]:
    """Return the values that occur more than once."""
    known, counts = np.unique(values, return_counts=True)
    return frozenset(known[counts > 1].tolist())


def _image_of(item: Item) -> int:
    return hash((item.files, item.key, item.row))


def refuse_absent(inputs: Sequence[str]) -> None:
    """Refuse inputs that are not there, before anything is begun.

    Parameters
    ----------
    inputs : sequence of str
        As a person gave them.

    Raises
    ------
    DataError
        If one of them names nothing.
    """
    absent = [text for text in inputs if not forms.is_there(text)]
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        hint = "; positions go into a table with columns id, ra, dec"
        raise DataError(
            f"{absent[0]}{more}: expected images, found nothing of that name; check "
            f"the path, nothing was begun{hint if _is_place(absent[0]) else ''}"
        )


def _is_place(text: str) -> bool:
    """Return whether a text looks like numbers or the name of a galaxy, not a path."""
    path = Path(text)
    named = text[:1].isupper() and not any(map(str.isalpha, path.suffix))
    bare = path.name == text and named and not BRACKETS & set(text)
    numbers = NUMBERS.fullmatch(text.strip()) is not None
    return any(map(str.isdigit, text)) and (bare or numbers)


def list_items(
    inputs: Sequence[str | Path] | str | Path, config: SourceConfig | None = None
) -> Listing:
    """List whatever an astronomer has.

    Parameters
    ----------
    inputs : sequence of str or Path
        Images, folders, globs (``**`` for any depth), zips, tars, stacks, one FITS
        file a band (``*_{band}.fits``, ``*_{g,r,z}.fits``), tables of paths or of
        positions, and single images of zips and stacks (``a.zip::b.jpg``,
        ``a.h5::17``).
    config : SourceConfig, optional
        What the inputs do not say themselves.

    Returns
    -------
    Listing
        Items in the order of the inputs, sorted within each; nothing of them is read
        but tables, and memory does not grow with their number but for 8 bytes an item
        and the names in the largest folder.

    Raises
    ------
    DataError
        If there is no input at all, a table lacks its columns, or an HDF5 file the
        images.
    """
    given = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    texts = [os.fspath(each) for each in given]
    if not texts:
        raise DataError("expected images, got none; name files, folders or tables")
    if not any(map(forms.is_there, texts)):
        refuse_absent(texts)
    listing = Listing(texts, config or SourceConfig())
    if not len(listing):
        if all(forms.is_there(text) and is_table(Path(text)) for text in texts):
            line = "expected a table with rows, it has none below its header"
            raise DataError(f"{texts[0]}: {line}")
        line = (
            f"expected images ({', '.join(forms.PICTURES[:5])}, .fits...), found none"
        )
        raise DataError(f"{', '.join(texts[:3])}: {line}")
    return listing
