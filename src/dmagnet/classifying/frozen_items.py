"""The list of inputs, frozen in a file: what a run began with, chunk by chunk."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

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


@dataclass(frozen=True)
class Frozen:
    """What was written to a list of inputs."""

    count: int
    fingerprint: str


def key_of(item: Item) -> bytes:
    """Fingerprint one input: where it is and what it is called."""
    parts = (item.id, item.path, item.kind, item.key, item.row, item.ra, item.dec)
    text = "\0".join(map(str, parts)).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=KEY_BYTES).digest()


def freeze(path: Path, items: Iterable[Item], chunk_size: int) -> Frozen:
    """Write a list of inputs, one record batch for each chunk."""
    digest, count = hashlib.sha256(), 0
    source = iter(items)
    with path.open("wb") as sink, pa.ipc.new_file(sink, FORM) as writer:
        while chunk := list(islice(source, chunk_size)):
            for item in chunk:
                digest.update(key_of(item))
            count += len(chunk)
            writer.write_batch(_to_arrow(chunk))
    return Frozen(count, digest.hexdigest())


def thaw(path: Path, chunk: int) -> list[Item]:
    """Read one chunk of a frozen list."""
    with pa.OSFile(str(path)) as file, pa.ipc.open_file(file) as reader:
        rows = reader.get_batch(chunk).to_pylist()
    return [
        Item(
            id=_text(row["id"]),
            path=_text(row["path"]),
            kind=row["kind"],
            files=tuple(map(_text, row["files"])),
            key=_text(row["key"]),
            row=row["row"],
            ra=row["ra"],
            dec=row["dec"],
            flag=Flag(row["flag"]),
            reason=_text(row["reason"]),
            shared=row.get("shared", False),
        )
        for row in rows
    ]


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


def _to_arrow(items: list[Item]) -> pa.RecordBatch:
    """Turn items into columns; the inverse of `thaw`."""
    values = {
        "id": [_bytes(item.id) for item in items],
        "path": [_bytes(item.path) for item in items],
        "key": [_bytes(item.key) for item in items],
        "reason": [_bytes(item.reason) for item in items],
        "kind": [item.kind for item in items],
        "files": [[*map(_bytes, item.files)] for item in items],
        "row": [item.row for item in items],
        "ra": [item.ra for item in items],
        "dec": [item.dec for item in items],
        "flag": [int(item.flag) for item in items],
        "shared": [item.shared for item in items],
    }
    arrays = [pa.array(values[column.name], column.type) for column in FORM]
    return pa.RecordBatch.from_arrays(arrays, schema=FORM)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
