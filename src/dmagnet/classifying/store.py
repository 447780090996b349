"""A run's inputs and finished rows, in a folder beside its table, safe from a kill.

A chunk is written beside its place, brought to the disk, then renamed: it is there
whole or not at all. Nothing here is pickled.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import compress, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dmagnet.classifying.table_columns import About
from dmagnet.config.checks import from_dict, typed
from dmagnet.errors import ConfigError, DataError
from dmagnet.pictures.flags import Flag
from dmagnet.pictures.inputs.item import Item
from dmagnet.storage.arrays import Bools
from dmagnet.storage.disk import (
    claimed,
    is_own,
    not_ours,
    refusals_of_the_disk,
    write_whole,
)
from dmagnet.storage.records import differences, json_record

FORMAT = 1
CHUNKS_A_FOLDER = 1000
HEAD = "run.json"
OWN = re.compile(r"run\.json|items-\d+\.arrow|\d{6}")  # what a store writes
Keys = npt.NDArray[np.bytes_]

KEY_BYTES = 16
# Names are bytes here: a path need not be valid Unicode.
FORM = pa.schema(
    [
        *((name, pa.binary()) for name in ("id", "path", "key", "reason")),
        ("kind", pa.string()),
        ("files", pa.list_(pa.binary())),
        ("row", pa.int64()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        ("flag", pa.int32()),
        ("shared", pa.bool_()),
    ]
)


@dataclass(frozen=True)
class ItemsPart:
    """Inputs that were listed at one time."""

    file: str
    first_chunk: int
    count: int


class ChunkStore:
    """A run's inputs and finished chunks; made by `open_store`."""

    def __init__(
        self, folder: Path, parts: tuple[ItemsPart, ...], chunk_size: int
    ) -> None:
        self.folder = folder
        self.parts = parts  # those of the first start, then those found later
        self.chunk_size = chunk_size  # the last of a part may have fewer
        self.notes: tuple[str, ...] = ()
        self.finished: tuple[int, int] | None = None  # rows, and those without a class

    @property
    def num_items(self) -> int:
        """Count the inputs."""
        return sum(part.count for part in self.parts)

    @property
    def num_chunks(self) -> int:
        """Count the chunks, done or not."""
        last = self.parts[-1]
        return last.first_chunk + -(-last.count // self.chunk_size)

    def missing(self) -> Iterator[int]:
        """Yield the numbers of the chunks to do, upwards."""
        if self.finished is not None:  # and killed while it was cleared away
            return
        for number in range(self.num_chunks):
            if not self._place(number).is_file():
                yield number

    def size(self, number: int) -> int:
        """Count the inputs of one chunk."""
        part = self._part_of(number)
        before = (number - part.first_chunk) * self.chunk_size
        return min(self.chunk_size, part.count - before)

    def items(self, number: int) -> list[Item]:
        """Read the inputs of one chunk, as they were listed."""
        part = self._part_of(number)
        return thaw(self.folder / part.file, number - part.first_chunk)

    def put(self, number: int, rows: pa.RecordBatch) -> None:
        """Keep the rows of one chunk for good."""
        assert rows.num_rows == self.size(number), "a row for each input"
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, rows.schema) as writer:
            writer.write_batch(rows)
        write_whole(self._place(number), sink.getvalue())

    def rows(self) -> Iterator[pa.RecordBatch]:
        """Read all rows, in the order of the inputs; a damaged chunk is removed."""
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
        """Note that the table is whole, and how many have no class; clear all away.

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
    folder: Path, about: About, listing: Iterable[Item], chunk_size: int
) -> Iterator[ChunkStore]:
    """Begin a run, or go on with it, while nobody else can.

    At the first start the inputs are frozen; later, new ones are added at the end, and
    those that have gone keep their place.
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
                store = ChunkStore(folder, (), chunk_size)
                listed = _append(store, listing)
                _write_head(store, about, listed)  # from now on it exists
        yield store


def _go_on(
    folder: Path, about: About, listing: Iterable[Item], chunk_size: int
) -> ChunkStore | None:
    """Open a store that is there already; None if there is none."""
    head_file = folder / HEAD
    if not head_file.is_file():
        return None
    what, advice = "a run that dmagnet began", f"remove {folder.name} to begin anew"
    with json_record(head_file, what, advice) as head:
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
    for name, old, new in differences(before, about.to_dict()):
        raise ConfigError(
            f"{folder}: began with {name} = {old}, now it is {new}; give the same "
            "again, another -o, or remove that folder to begin anew"
        )
    store = ChunkStore(folder, parts, chunk_size)
    store.finished = finished
    now, keys = fingerprint(listing)
    if finished is not None:
        if now != listed:
            raise ConfigError(
                f"{folder}: belongs to a table of other inputs that is whole; give "
                "another -o, or remove that folder"
            )
        return store
    left = sum(1 for _ in store.missing())
    notes = [f"going on: {store.num_chunks - left} of {store.num_chunks} chunks done"]
    if now != listed:
        files = [folder / part.file for part in parts]
        is_new, gone = new_among(keys, fingerprint(all_items(files))[1])
        if is_new.any():
            _append(store, compress(listing, is_new))
        _write_head(store, about, now)
        notes.append(
            f"the inputs changed since the first start: {int(is_new.sum())} new ones "
            f"at the end, {gone} not there any more"
        )
    store.notes = tuple(notes)
    return store


def _append(store: ChunkStore, items: Iterable[Item]) -> str:
    """Freeze inputs as further chunks, and return their fingerprint."""
    name = f"items-{len(store.parts)}.arrow"
    count, listed = freeze(store.folder / name, items, store.chunk_size)
    first = store.num_chunks if store.parts else 0
    store.parts = (*store.parts, ItemsPart(name, first, count))
    return listed


def _write_head(store: ChunkStore, about: About, listed: str) -> None:
    head = {
        "format": FORMAT,
        "about": about.to_dict(),
        "fingerprint": listed,
        "parts": [asdict(part) for part in store.parts],
    }
    write_whole(store.folder / HEAD, json.dumps(head, indent=1).encode())


def key_of(item: Item) -> bytes:
    """Fingerprint one input: where it is and what it is called."""
    parts = (item.id, item.path, item.kind, item.key, item.row, item.ra, item.dec)
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=KEY_BYTES).digest()


def freeze(path: Path, items: Iterable[Item], chunk_size: int) -> tuple[int, str]:
    """Write a list of inputs, a record batch for each chunk; count and fingerprint."""
    digest, count, source = hashlib.sha256(), 0, iter(items)
    with path.open("wb") as sink, pa.ipc.new_file(sink, FORM) as writer:
        while chunk := list(islice(source, chunk_size)):
            for item in chunk:
                digest.update(key_of(item))
            count += len(chunk)
            stored = ([_stored(getattr(i, f.name)) for i in chunk] for f in FORM)
            arrays = [pa.array(c, f.type) for c, f in zip(stored, FORM, strict=True)]
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=FORM))
    return count, digest.hexdigest()


def thaw(path: Path, chunk: int) -> list[Item]:
    """Read one chunk of a frozen list."""
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
        rows = reader.get_batch(chunk).to_pylist()
    flags = [Flag(row.pop("flag")) for row in rows]
    given = ({name: _given(value) for name, value in row.items()} for row in rows)
    return [Item(**row, flag=flag) for row, flag in zip(given, flags, strict=True)]


def fingerprint(items: Iterable[Item]) -> tuple[str, Keys]:
    """Fingerprint a list of inputs without writing it."""
    keys = b"".join(map(key_of, items))
    return hashlib.sha256(keys).hexdigest(), np.frombuffer(keys, "S16")


def new_among(keys: Keys, known: Keys) -> tuple[Bools, int]:
    """Compare two lists of inputs."""
    both, index = np.unique(np.concatenate([known, keys]), return_inverse=True)
    then = np.bincount(index[: len(known)], minlength=len(both))
    now = np.bincount(index[len(known) :], minlength=len(both))
    mine = index[len(known) :]
    order = np.argsort(mine, kind="stable")
    first = np.concatenate([[0], np.cumsum(now)[:-1]])
    rank = np.empty(len(mine), np.int64)
    rank[order] = np.arange(len(mine)) - first[mine[order]]
    return rank >= then[mine], int(np.maximum(then - now, 0).sum())


def all_items(paths: Iterable[Path]) -> Iterator[Item]:
    """Read frozen lists from end to end."""
    for path in paths:
        with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
            chunks = reader.num_record_batches
        for chunk in range(chunks):
            yield from thaw(path, chunk)


def _stored(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_stored(each) for each in value]
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _given(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_given(each) for each in value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return value
