"""One process: weights, and threads that each read a batch and classify it.

Pillow, torch and onnxruntime let go of Python's lock while they work, so reading in one
thread overlaps with the network in another, and each core has work of its own: one call
of the network uses one core, which beats sharing a call between cores.
"""

import os
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from dmagnet.calibration.judgement import BATCH, Classifier, Judgement
from dmagnet.classifying.table_columns import about_of, rows_of
from dmagnet.config.classify_config import ClassifyConfig, SourceConfig
from dmagnet.errors import CheckpointError, ConfigError, DataError
from dmagnet.network.bundled import DEFAULT, path_of
from dmagnet.pictures.inputs.item import NO_CLASS, Item
from dmagnet.pictures.inputs.reading import read_picture

BATCHES_AHEAD = 3  # for each thread, so that none waits for the one that writes

Device = Literal["auto", "cpu", "gpu"]
Chunk = tuple[int, list[Item]]
Batches = list[Future[tuple[list[Item], Judgement]]]  # of a chunk, under way


def open_classifier(
    weights: Path | str | None = None,
    *,
    views: int | None = None,
    batch_size: int = BATCH,
    device: Device = "auto",
    threads: int | None = None,
) -> Classifier:
    """Open weights of either form.

    Parameters
    ----------
    weights : path or str, optional
        ``s`` or ``xs`` for the weights of the package; an ``.onnx`` file, which needs
        no torch; a ``.safetensors`` file or a run folder. ``s`` if not given.
    views : {1, 8}, optional
        Average over one look or all eight flips and quarter turns; if not given, as
        the calibration was fitted, and one look without any.
    batch_size : int
        Images at a time.
    device : {"auto", "cpu", "gpu"}
        Where a network of torch runs. ONNX runs on the CPU.
    threads : int, optional
        Cores for one call; what the library likes if not given.

    Returns
    -------
    Classifier
        Ready to use.

    Raises
    ------
    CheckpointError
        If the file is missing, damaged or of another kind.
    ConfigError
        If there is no such device, or no torch for weights that need it.
    """
    weights = path_of(DEFAULT if weights is None else weights)
    how: dict[str, Any] = {"views": views, "batch_size": batch_size, "threads": threads}
    if weights.suffix == ".onnx":
        if device == "gpu":
            raise ConfigError(
                f"{weights}: ONNX weights run on the CPU; use --device cpu, or give "
                "the .safetensors file or the run folder"
            )
        from dmagnet.exporting.runtime import OnnxClassifier

        return OnnxClassifier(weights, **how)
    if weights.suffix not in ("", ".safetensors") and not weights.is_dir():
        raise CheckpointError(
            f"{weights}: expected weights as .safetensors or .onnx, or a run folder"
        )
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ConfigError(
            f"{weights.name}: these weights need torch, which is not installed; "
            "pip install torch, or give --weights an .onnx file that 'dmagnet export' "
            "wrote"
        ) from error
    from dmagnet.judging.predict import classifier_of
    from dmagnet.network.checkpoint import load
    from dmagnet.network.folding import folded

    checkpoint = load(weights)
    if device == "gpu" and not torch.cuda.is_available():
        raise ConfigError("device: expected a CUDA GPU, found none; use --device cpu")
    place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    quick: Any = folded(checkpoint.model).to(place)
    return classifier_of(replace(checkpoint, model=quick), **how)


def open_for(weights: Path | str, config: ClassifyConfig) -> Classifier:
    """Open weights as a run wants them: each of its threads calls with one core."""
    views, batch_size, device = config.views, config.batch_size, config.device
    return open_classifier(
        weights, views=views, batch_size=batch_size, device=device, threads=1
    )


def num_threads(config: ClassifyConfig) -> int:
    """Return how many threads read and classify: one a core, if nobody says."""
    if config.threads is not None:
        return config.threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def classify_chunk(
    items: Sequence[Item],
    classifier: Classifier,
    config: ClassifyConfig,
    pool: Executor,
) -> pa.RecordBatch:
    """Read and classify the inputs of one chunk, a row for each, in order.

    The same inputs give the same rows, whatever went before: batches begin anew with
    each chunk.
    """
    return _finish(_begin(items, classifier, config, pool), classifier, config)


def classify_chunks(
    chunks: Iterable[Chunk], classifier: Classifier, config: ClassifyConfig
) -> Generator[tuple[int, pa.RecordBatch]]:
    """Read and classify chunk after chunk, a few batches ahead of what is asked for."""
    threads = num_threads(config)
    under_way: deque[tuple[int, Batches]] = deque()

    def _first() -> tuple[int, pa.RecordBatch]:
        number, batches = under_way.popleft()
        return number, _finish(batches, classifier, config)

    pool = ThreadPoolExecutor(threads, thread_name_prefix="classify")
    try:
        for number, items in chunks:
            under_way.append((number, _begin(items, classifier, config, pool)))
            while _waiting(under_way) > BATCHES_AHEAD * threads:
                yield _first()
        while under_way:
            yield _first()
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(
    items: Sequence[Item],
    classifier: Classifier,
    config: ClassifyConfig,
    pool: Executor,
) -> Batches:
    """Hand out the batches of one chunk."""
    size = config.batch_size
    return [
        pool.submit(_classify_batch, items[i : i + size], classifier, config.source)
        for i in range(0, len(items), size)
    ]


def _waiting(under_way: Iterable[tuple[int, Batches]]) -> int:
    """Count the batches behind the first chunk that are not done yet."""
    later = list(under_way)[1:]
    return sum(not batch.done() for _, batches in later for batch in batches)


def _finish(
    batches: Batches, classifier: Classifier, config: ClassifyConfig
) -> pa.RecordBatch:
    """Collect the batches of one chunk into its rows."""
    done = [batch.result() for batch in batches]
    items = [item for batch, _ in done for item in batch]
    if config.strict:
        for item in items:
            if item.flag & NO_CLASS:
                raise DataError(f"{item.path}: {item.reason}")
    parts = [vars(judgement) for _, judgement in done]
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return rows_of(items, Judgement(**whole), about_of(config, classifier))


def _classify_batch(
    items: Sequence[Item], classifier: Classifier, source: SourceConfig
) -> tuple[list[Item], Judgement]:
    """Read one batch of inputs and classify those that are pictures; NaN elsewhere."""
    side, field, radii = classifier.image_size, classifier.field, classifier.radii
    pictures = [read_picture(item, side, field, source, radii=radii) for item in items]
    pixels = {i: p.rgb for i, p in enumerate(pictures) if p.rgb is not None}
    num = len(items)
    shapes = ((num, len(classifier.class_names)), (num,), (num,))
    answer = Judgement(*(np.full(shape, np.nan, np.float32) for shape in shapes))
    if pixels:
        given = vars(classifier.judge(np.stack([*pixels.values()])))
        for name, whole in vars(answer).items():
            if given[name] is not None:
                whole[[*pixels]] = given[name]
    return [picture.item for picture in pictures], answer
