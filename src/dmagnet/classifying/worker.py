"""Actors on the machines of a cluster: one hands out chunks, many work."""

import asyncio
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from dmagnet import __version__
from dmagnet.classifying.local import Chunk, Threads, open_for
from dmagnet.config.classify_config import ClassifyConfig
from dmagnet.errors import CheckpointError, ConfigError, DataError, DmagnetError
from dmagnet.pictures.flags import NO_CLASS
from dmagnet.pictures.inputs.item import Item

ANSWER = pa.schema(
    [
        ("number", pa.int64()),
        ("rows", pa.large_binary()),
        ("absent", pa.list_(pa.binary())),
        *((name, pa.string()) for name in ("error", "message", "machine")),
    ]
)
TRIES = 5  # of a chunk; one that kills every worker must end
DONE_BEFORE = -1  # number in the answer to a task that was repeated needlessly
ERRORS: Mapping[str, type[DmagnetError]] = {
    error.__name__: error for error in (CheckpointError, ConfigError, DataError)
}


@dataclass(frozen=True)
class Task:
    """All that a worker needs to know."""

    weights: Path | str
    weights_hash: str
    config: ClassifyConfig
    version: str = __version__


class Inbox:
    """An actor that holds the chunks to do; a few at a time, so memory is constant."""

    def __init__(self) -> None:
        self._chunks: dict[int, Chunk] = {}
        self._tries: dict[int, int] = {}
        self._next = 0
        self._arrived = asyncio.Condition()

    async def put(self, place: int, chunk: Chunk) -> None:
        """Take in the next chunk."""
        async with self._arrived:
            self._chunks[place] = chunk
            self._next = place + 1
            self._arrived.notify_all()

    async def get(self, place: int) -> tuple[Chunk, int] | None:
        """Give out a chunk, as soon as it is there."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: place < self._next)
        if place not in self._chunks:
            return None
        before = self._tries.get(place, 0)
        self._tries[place] = before + 1
        return self._chunks[place], before

    async def drop(self, place: int) -> None:
        """Forget a chunk whose rows have arrived."""
        self._chunks.pop(place, None)
        self._tries.pop(place, None)


class Worker:
    """An actor that holds the network; Ray Data keeps as many as asked for."""

    def __init__(self, task: Task, inbox: Any) -> None:
        self._inbox, config = inbox, task.config
        self._trouble: DmagnetError | None = None
        try:
            num = config.cluster.threads_per_worker
            self._threads = Threads(num, _opened(task), config)
        except DmagnetError as error:
            self._trouble = error

    def __call__(self, places: pa.Table) -> pa.Table:
        """Do the chunks at some places."""
        answers = [self._answer(place) for place in places["place"].to_pylist()]
        return pa.Table.from_pylist(answers, ANSWER)

    def _answer(self, place: int) -> dict[str, Any]:
        """Classify one chunk; an error for the user travels as words."""
        import ray

        given = ray.get(self._inbox.get.remote(place))
        answer = {"number": DONE_BEFORE, "machine": socket.gethostname()}
        if given is None:
            return answer
        (answer["number"], items), before = given
        try:
            if self._trouble is not None:
                raise self._trouble
            if before >= TRIES:
                raise DataError(
                    f"{TRIES} workers died over the inputs from {items[0].path} to "
                    f"{items[-1].path}; what is done is kept: give the same command "
                    "again, with --engine local if it stays so"
                )
            rows = self._threads.finish(self._threads.begin(items))
        except DmagnetError as error:
            return answer | {"error": type(error).__name__, "message": str(error)}
        packed = rows.serialize().to_pybytes()
        return answer | {"rows": packed, "absent": _absent(items, rows)}


def _absent(items: Sequence[Item], rows: pa.RecordBatch) -> list[bytes]:
    """Name the files of rows without a class that this machine does not have."""
    files = [
        file
        for item, flag in zip(items, rows["flag"].to_pylist(), strict=True)
        if flag & NO_CLASS and not item.flag & NO_CLASS
        for file in item.files
    ]
    return [os.fsencode(file) for file in files if not Path(file).exists()]


def _opened(task: Task) -> Any:
    """Open the network, and compare it with that of where the run was started."""
    here = socket.gethostname()
    if task.version != __version__:
        raise ConfigError(
            f"{here}: expected dmagnet {task.version} as where the run was started, "
            f"found {__version__}; install the same version on every machine"
        )
    classifier = open_for(task.weights, task.config)
    if classifier.weights_hash != task.weights_hash:
        raise CheckpointError(
            f"{here}: {task.weights} holds other weights than where the run was started"
        )
    return classifier
