"""Many processes or machines: the chunks of a run as a data set of Ray.

This process lists the inputs, fetches cut-outs (so a service sees one polite client)
and writes the finished chunks; the workers read and classify. Chunks go out through an
`Inbox`, a few for each worker at a time, and come back in any order; their rows are
those of `dmagnet.classifying.local`, for it is the same function that makes them.
"""

import logging
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from dmagnet.calibration.judgement import Classifier
from dmagnet.classifying.local import Chunk, num_threads
from dmagnet.classifying.table_columns import about_of, schema
from dmagnet.classifying.worker import ERRORS, Inbox, Task, Worker
from dmagnet.config.classify_config import ClassifyConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.network.bundled import path_of
from dmagnet.storage.environment import environment, logging_at

TASKS_A_WORKER = 2  # one under way, one waiting
CHUNKS_AHEAD = 3  # for each worker; with fewer than tasks, they could wait for another
CHUNKS_A_LAP = 10_000  # of one execution: Ray keeps a record of each until it ends
STORE_BYTES = 256 << 20  # of a local Ray's object store; items and rows are small
CONNECT_S = 10  # seconds to wait for the machine of a cluster
QUIET = {"log_to_driver": False, "logging_level": logging.ERROR}
# What a local Ray reads as it begins.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # it tells nobody
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # the rest is for Ray's developers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a worker without a GPU: not a word
    "RAY_worker_niceness": "0",  # otherwise 15: behind all else on this machine
}


@dataclass(frozen=True)
class Crew:
    """Who works: so many workers, each with so many cores, perhaps a GPU."""

    workers: int
    threads: int
    gpus: int


def classify_on_cluster(
    chunks: Iterator[Chunk],
    total: int,
    classifier: Classifier,
    config: ClassifyConfig,
    weights: Path | str,
) -> Generator[tuple[int, pa.RecordBatch]]:
    """Read and classify chunks on a Ray cluster."""
    if not total:
        return
    with ExitStack() as stack:
        ray = stack.enter_context(_connected(config))
        place = path_of(weights)
        crew = crew_of(config, ray.cluster_resources(), place)
        inbox = stack.enter_context(_inbox(ray, crew))
        task = Task(
            place.absolute() if place == Path(weights) else str(weights),
            classifier.weights_hash,
            replace(config, device="gpu" if crew.gpus else "cpu"),
        )
        form = schema(about_of(config, classifier))
        sent: dict[int, int] = {}  # numbers of chunks under way, and their places
        numbered = enumerate(chunks)
        for first in range(0, total, CHUNKS_A_LAP):
            size = min(CHUNKS_A_LAP, total - first)
            to_send = islice(numbered, size)
            answers = _answers(ray, range(first, first + size), task, inbox, crew)
            with closing(answers):
                ahead = islice(to_send, CHUNKS_AHEAD * crew.workers)
                _send(ray, inbox, ahead, sent)
                for answer in answers:
                    if answer["number"] not in sent:
                        continue  # a repeated task
                    ray.get(inbox.drop.remote(sent.pop(answer["number"])))
                    yield answer["number"], _rows(answer, form)
                    _send(ray, inbox, islice(to_send, 1), sent)


def crew_of(
    config: ClassifyConfig, resources: Mapping[str, float], weights: Path
) -> Crew:
    """Find who has room to work on a cluster."""
    cores, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    threads = config.cluster.threads_per_worker
    on_gpu = config.device == "gpu" or (
        config.device == "auto" and gpus > 0 and weights.suffix != ".onnx"
    )
    room = min(cores // threads, gpus) if on_gpu else cores // threads
    if room < 1:
        wanted = f"{threads} cores" + (" and a GPU" if on_gpu else "")
        raise ConfigError(
            f"--threads-per-worker: expected room for a worker with {wanted}, the "
            f"cluster has {cores} cores and {gpus} GPUs"
        )
    return Crew(config.cluster.workers or room, threads, int(on_gpu))


@contextmanager
def _connected(config: ClassifyConfig) -> Iterator[Any]:
    """Reach the cluster that is named, or begin one here; leave nothing behind."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ConfigError(
            f"--engine ray: Ray is needed ({error}); pip install 'dmagnet[survey]'"
        ) from error
    with ExitStack() as stack:
        stack.enter_context(logging_at(logging.ERROR, "ray.data"))
        if not ray.is_initialized():
            stack.enter_context(environment(ENVIRONMENT))
            address = config.cluster.ray_address or os.environ.get("RAY_ADDRESS")
            if address in (None, "", "local"):
                # Sockets of Ray have long names, which have to stay below 108 bytes.
                short = "/tmp" if Path("/tmp").is_dir() else None
                scratch = tempfile.TemporaryDirectory(
                    prefix="dmagnet-", dir=short, ignore_cleanup_errors=True
                )
                _begin(ray, config, stack.enter_context(scratch))
            else:
                _join(ray, address)
            stack.callback(ray.shutdown)
        yield ray


def _begin(ray: Any, config: ClassifyConfig, scratch: str) -> None:
    """Begin a Ray of this machine alone; its files go with it."""
    cores = (config.cluster.workers or 1) * config.cluster.threads_per_worker
    with _quietly():
        ray.init(
            address="local",
            num_cpus=max(cores, num_threads(config)),
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=scratch,
            **QUIET,
        )


def _join(ray: Any, address: str) -> None:
    """Reach a cluster that runs already."""
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdigit() and "://" not in address:
            # Ray itself would try for minutes.
            socket.create_connection((host, int(port)), CONNECT_S).close()
        with _quietly():
            ray.init(address=address, **QUIET)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        line = " ".join(str(error).split())[:160]
        raise ConfigError(
            f"--ray-address: expected a Ray cluster at {address!r}, could not join one "
            f"({line}); 'ray start --head' begins one, and one that wants a token "
            "needs RAY_AUTH_MODE=token here too"
        ) from error


@contextmanager
def _quietly() -> Iterator[None]:
    """Hold back what Ray's C++ prints as it begins, and its own answer to SIGTERM."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    kept = os.dup(2)  # errors of Ray are exceptions
    try:
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 2)
            yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        if main:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _inbox(ray: Any, crew: Crew) -> Iterator[Any]:
    """Keep an inbox on this machine."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    actor = ray.remote(Inbox).options(
        num_cpus=0,
        max_concurrency=1000 + crew.workers,
        scheduling_strategy=NodeAffinitySchedulingStrategy(here, soft=False),
    )
    inbox = actor.remote()
    try:
        yield inbox
    finally:
        ray.kill(inbox)


def _answers(
    ray: Any, places: range, task: Task, inbox: Any, crew: Crew
) -> Generator[dict[str, Any]]:
    """Let Ray Data keep the workers and give out the places of one lap."""
    data = ray.data
    settings = data.DataContext.get_current().copy()
    settings.enable_progress_bars = False
    settings.print_on_execution_start = False
    with data.DataContext.current(settings):
        todo = data.from_blocks([pa.table({"place": [place]}) for place in places])
    done = todo.map_batches(
        Worker,
        fn_constructor_args=(task, inbox),
        batch_size=None,
        batch_format="pyarrow",
        compute=data.ActorPoolStrategy(
            size=min(crew.workers, len(places)),
            max_tasks_in_flight_per_actor=TASKS_A_WORKER,
        ),
        num_cpus=crew.threads,
        num_gpus=crew.gpus,
    )
    bundles = done.iter_internal_ref_bundles()
    try:
        for bundle in bundles:
            for block in ray.get(bundle.block_refs):
                yield from block.to_pylist()
    except ray.exceptions.RayError as error:
        line = " ".join(str(error).split())[:300]
        raise DataError(
            f"the cluster gave up ({line}); what is done is kept: give the same "
            "command again, or --engine local to see which input it is"
        ) from error
    finally:
        del bundles  # ends an execution that was left early
        for thread in threading.enumerate():
            if thread.name.startswith("StreamingExecutor"):
                # Ray ends the process of a thread that finds its cluster gone.
                thread.join(timeout=30)


def _send(ray: Any, inbox: Any, numbered: Any, sent: dict[int, int]) -> None:
    """Put further chunks where the workers find them, in order."""
    for place, (number, items) in numbered:
        sent[number] = place
        ray.get(inbox.put.remote(place, (number, items)))


def _rows(answer: Mapping[str, Any], form: pa.Schema) -> pa.RecordBatch:
    """Open an answer; refuse that of a machine that does not see the same files."""
    if answer["error"]:
        raise ERRORS[answer["error"]](answer["message"])
    for file in map(os.fsdecode, answer["absent"]):
        if Path(file).exists():
            raise DataError(
                f"{answer['machine']}: {file} is not there, but it is where the run "
                "was started; put inputs, and cut-outs with --cache, where every "
                "machine has them"
            )
    return pa.ipc.read_record_batch(pa.py_buffer(answer["rows"]), form)
