"""What a run has done so far, in a folder beside its table, safe from being killed.

A chunk is written beside its place, brought to the disk, then renamed: it is there
whole or not at all. Nothing here is pickled.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import compress
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from dmagnet.classifying.frozen_items import (
    all_items,
    fingerprint,
    freeze,
    new_among,
    thaw,
)
from dmagnet.classifying.table_columns import About
from dmagnet.config.checks import from_dict, typed
from dmagnet.errors import ConfigError, DataError
from dmagnet.pictures.inputs.item import Item
from dmagnet.storage.disk import (
    claimed,
    is_own,
    not_ours,
    refusals_of_the_disk,
    write_whole,
)
from dmagnet.storage.records import as_written, read_json

FORMAT = 1
CHUNKS_A_FOLDER = 1000
HEAD = "run.json"
OWN = re.compile(r"run\.json|items-\d+\.arrow|\d{6}")  # what a store writes


class Items(Protocol):
    """A list of inputs that can be walked through again."""

    def __iter__(self) -> Iterator[Item]:
        """Begin anew."""
        ...


@dataclass(frozen=True)
class ItemsPart:
    """Inputs that were listed at one time."""

    file: str
    first_chunk: int
    count: int


class ChunkStore:
    """A run's inputs and finished chunks; made by `open_store`.

    Parameters
    ----------
    folder : Path
        Where it is.
    parts : tuple of ItemsPart
        The inputs of the first start, then those that were found later.
    chunk_size : int
        Inputs a chunk; the last of a part may have fewer.

    Attributes
    ----------
    notes : tuple of str
        What a person should know: the run goes on, or its inputs changed.
    """

    def __init__(
        self, folder: Path, parts: tuple[ItemsPart, ...], chunk_size: int
    ) -> None:
        self.folder = folder
        self.parts = parts
        self.chunk_size = chunk_size
        self.notes: tuple[str, ...] = ()
        self.finished: tuple[int, int] | None = None  # rows, and those without a class

    @property
    def num_items(self) -> int:
        """Count the inputs.

        Returns
        -------
        int
            Those of all parts.
        """
        return sum(part.count for part in self.parts)

    @property
    def num_chunks(self) -> int:
        """Count the chunks.

        Returns
        -------
        int
            Done or not.
        """
        last = self.parts[-1]
        return last.first_chunk + -(-last.count // self.chunk_size)

    def missing(self) -> Iterator[int]:
        """Find what is still to do.

        Yields
        ------
        int
            Numbers of chunks, upwards.
        """
        if self.finished is not None:  # and killed while it was cleared away
            return
        for number in range(self.num_chunks):
            if not self._place(number).is_file():
                yield number

    def size(self, number: int) -> int:
        """Count the inputs of one chunk.

        Parameters
        ----------
        number : int
            The chunk.

        Returns
        -------
        int
            Inputs in it.
        """
        part = self._part_of(number)
        before = (number - part.first_chunk) * self.chunk_size
        return min(self.chunk_size, part.count - before)

    def items(self, number: int) -> list[Item]:
        """Read the inputs of one chunk, as they were listed.

        Parameters
        ----------
        number : int
            The chunk.

        Returns
        -------
        list of Item
            In order.
        """
        part = self._part_of(number)
        return thaw(self.folder / part.file, number - part.first_chunk)

    def put(self, number: int, rows: pa.RecordBatch) -> None:
        """Keep the rows of one chunk for good.

        Parameters
        ----------
        number : int
            The chunk.
        rows : pa.RecordBatch
            One for each of its inputs, in order.

        Raises
        ------
        DataError
            If the disk refuses; what is done already stays.
        """
        assert rows.num_rows == self.size(number), "a row for each input"
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, rows.schema) as writer:
            writer.write_batch(rows)
        place = self._place(number)
        write_whole(place, sink.getvalue())

    def rows(self) -> Iterator[pa.RecordBatch]:
        """Read all rows, chunk by chunk.

        Yields
        ------
        pa.RecordBatch
            In the order of the inputs.

        Raises
        ------
        DataError
            If a chunk was damaged; it is removed, so that the run can do it again.
        """
        for number in range(self.num_chunks):
            place = self._place(number)
            try:
                with pa.OSFile(str(place)) as file, pa.ipc.open_file(file) as reader:
                    rows = reader.read_all()
            except (OSError, pa.ArrowInvalid) as error:
                place.unlink(missing_ok=True)
                raise DataError(
                    f"{place}: this piece of the run is damaged ({error}); it was "
                    "removed: give the same command again"
                ) from error
            yield from rows.combine_chunks().to_batches()

    def finish(self, missing: int) -> None:
        """Note that the table is whole, and clear the store away.

        Parameters
        ----------
        missing : int
            Rows without a class.

        Notes
        -----
        If it is killed in between, the same command sees the note and does the rest.
        """
        head = json.loads((self.folder / HEAD).read_text())
        head["finished"] = [self.num_items, missing]
        write_whole(self.folder / HEAD, json.dumps(head, indent=1).encode())
        self.remove()

    def remove(self) -> None:
        """Clear away what this store wrote, its head last, and its folder if empty."""
        own = [one for one in self.folder.iterdir() if OWN.fullmatch(one.name)]
        for one in sorted(own, key=lambda one: one.name == HEAD):
            shutil.rmtree(one) if one.is_dir() else one.unlink()
        rest = list(self.folder.iterdir())
        if all(is_own(one.name) for one in rest):
            for one in rest:
                one.unlink()
            self.folder.rmdir()

    def _place(self, number: int) -> Path:
        shelf, rest = divmod(number, CHUNKS_A_FOLDER)
        return self.folder / f"{shelf:06d}" / f"{rest:03d}.arrow"

    def _part_of(self, number: int) -> ItemsPart:
        return next(p for p in reversed(self.parts) if p.first_chunk <= number)


@contextmanager
def open_store(
    folder: Path, about: About, listing: Items, chunk_size: int
) -> Iterator[ChunkStore]:
    """Begin a run, or go on with it; nobody else can meanwhile.

    Parameters
    ----------
    folder : Path
        Beside the table.
    about : About
        What decides the rows; a store of something else is refused.
    listing : Listing
        The inputs of now. At the first start they are frozen; later, new ones are
        added at the end, and those that have gone keep their place.
    chunk_size : int
        Inputs a chunk.

    Yields
    ------
    ChunkStore
        While it is locked.

    Raises
    ------
    ConfigError
        If it belongs to another run.
    DataError
        If another process writes there, it holds other files, or the disk refuses.
    """
    with claimed(folder):
        if strange := not_ours(folder):
            raise DataError(
                f"{folder}: expected room for an unfinished run, found {strange[0]}, "
                "which dmagnet did not make; give another -o, or move it away"
            )
        with refusals_of_the_disk(folder):
            store = _go_on(folder, about, listing, chunk_size)
            if store is None:
                file = "items-0.arrow"
                count, listed = freeze(folder / file, listing, chunk_size)
                parts = (ItemsPart(file, 0, count),)
                _write_head(folder, about, parts, listed)  # from now on it exists
                store = ChunkStore(folder, parts, chunk_size)
        yield store


def _go_on(
    folder: Path, about: About, listing: Items, chunk_size: int
) -> ChunkStore | None:
    """Open a store that is there already; None if there is none."""
    head_file = folder / HEAD
    if not head_file.is_file():
        return None
    what, advice = "a run that dmagnet began", f"remove {folder.name} to begin anew"
    head = read_json(head_file, what, advice)
    with as_written(head_file, what, advice):
        parts = tuple(from_dict(ItemsPart, part) for part in head["parts"])
        if not parts or any(
            part.file != f"items-{number}.arrow"
            or min(part.first_chunk, part.count) < 0
            for number, part in enumerate(parts)
        ):
            raise ValueError("lists of inputs that are none")
        before = typed(dict[str, Any], head["about"], "about")
        listed = typed(str, head["fingerprint"], "fingerprint")
        finished = typed(tuple[int, int] | None, head.get("finished"), "finished")
    _compare(folder, before, about.to_dict())
    store = ChunkStore(folder, parts, chunk_size)
    if finished is not None:
        if fingerprint(listing)[0] != listed:
            raise ConfigError(
                f"{folder}: belongs to a table of other inputs that is whole; give "
                "another -o, or remove that folder"
            )
        store.finished = finished
        return store
    left = sum(1 for _ in store.missing())
    notes = [f"going on: {store.num_chunks - left} of {store.num_chunks} chunks done"]
    print_now, keys = fingerprint(listing)
    if print_now != listed:
        files = [folder / part.file for part in parts]
        is_new, gone = new_among(keys, fingerprint(all_items(files))[1])
        if is_new.any():
            store.parts = _append(folder, store, compress(listing, is_new))
        _write_head(folder, about, store.parts, print_now)
        notes.append(
            f"the inputs changed since the first start: {int(is_new.sum())} new ones "
            f"at the end, {gone} not there any more"
        )
    store.notes = tuple(notes)
    return store


def _append(
    folder: Path, store: ChunkStore, items: Iterator[Item]
) -> tuple[ItemsPart, ...]:
    """Freeze inputs that were found later, as further chunks."""
    name = f"items-{len(store.parts)}.arrow"
    count, _ = freeze(folder / name, items, store.chunk_size)
    return (*store.parts, ItemsPart(name, store.num_chunks, count))


def _write_head(
    folder: Path, about: About, parts: tuple[ItemsPart, ...], listed: str
) -> None:
    head = {
        "format": FORMAT,
        "about": about.to_dict(),
        "fingerprint": listed,
        "parts": [asdict(part) for part in parts],
    }
    write_whole(folder / HEAD, json.dumps(head, indent=1).encode())


def _compare(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with other weights or settings."""
    for name, (old, new) in _differences(before, now).items():
        raise ConfigError(
            f"{folder}: began with {name} = {old}, now it is {new}; give the same "
            "again, another -o, or remove that folder to begin anew"
        )


def _differences(
    before: dict[str, Any], now: dict[str, Any], prefix: str = ""
) -> dict[str, tuple[Any, Any]]:
    """List where two dictionaries differ, with dotted names."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in {**before, **now}:
        old, new = before.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found |= _differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found[f"{prefix}{name}"] = (old, new)
    return found
