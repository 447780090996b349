"""The list of inputs that a run began with, frozen in a file chunk by chunk."""

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dmagnet.pictures.inputs.item import Flag, Item

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


def new_among(keys: Keys, known: Keys) -> tuple[npt.NDArray[np.bool_], int]:
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
