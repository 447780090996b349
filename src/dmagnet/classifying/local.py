"""One process: threads that each read a batch of pictures and classify it.

Pillow, torch and onnxruntime let go of Python's lock while they work, so reading in one
thread overlaps with the network in another, and each core has work of its own: one call
of the network uses one core, which beats sharing a call between cores.
"""

import os
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dmagnet.calibration.judgement import Judgement
from dmagnet.classifying.classifier import Classifier
from dmagnet.classifying.table_columns import rows_of
from dmagnet.config.classify_config import ClassifyConfig, SourceConfig
from dmagnet.errors import DataError
from dmagnet.pictures.inputs.item import NO_CLASS, Item
from dmagnet.pictures.inputs.reading import read_picture

BATCHES_AHEAD = 3  # for each thread, so that none waits for the one that writes

Chunk = tuple[int, list[Item]]
Floats = npt.NDArray[np.float32]
Classified = tuple[list[Item], Judgement]


def num_threads(config: ClassifyConfig) -> int:
    """Say how many threads to read and classify with."""
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
    """Read and classify the inputs of one chunk.

    Parameters
    ----------
    items : sequence of Item
        The inputs; positions are files by now.
    classifier : Classifier
        What classifies.
    config : ClassifyConfig
        How to read, and how many pictures to a batch.
    pool : Executor
        Threads that do it, a batch each.

    Returns
    -------
    pa.RecordBatch
        A row for each input, in order. The same inputs give the same rows, whatever
        went before: batches begin anew with each chunk.

    Raises
    ------
    DataError
        If an input has no class and ``config.strict`` is set.
    """
    return _finish(_begin(items, classifier, config, pool), classifier, config)


def classify_chunks(
    chunks: Iterable[Chunk], classifier: Classifier, config: ClassifyConfig
) -> Generator[tuple[int, pa.RecordBatch]]:
    """Read and classify chunk after chunk, a few batches ahead of what is asked for.

    Parameters
    ----------
    chunks : iterable of (int, list of Item)
        Their numbers and inputs; taken as they are needed.
    classifier : Classifier
        What classifies.
    config : ClassifyConfig
        How.

    Yields
    ------
    int
        Number of a chunk.
    pa.RecordBatch
        Its rows.

    Raises
    ------
    DataError
        As `classify_chunk`.
    """
    threads = num_threads(config)
    under_way: deque[tuple[int, list[Future[Classified]]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="classify")
    try:
        for number, items in chunks:
            under_way.append((number, _begin(items, classifier, config, pool)))
            while _waiting(under_way) > BATCHES_AHEAD * threads:
                yield _first(under_way, classifier, config)
        while under_way:
            yield _first(under_way, classifier, config)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(
    items: Sequence[Item],
    classifier: Classifier,
    config: ClassifyConfig,
    pool: Executor,
) -> list[Future[Classified]]:
    """Hand out the batches of one chunk."""
    size = config.batch_size
    return [
        pool.submit(_classify_batch, items[i : i + size], classifier, config.source)
        for i in range(0, len(items), size)
    ]


def _first(
    under_way: deque[tuple[int, list[Future[Classified]]]],
    classifier: Classifier,
    config: ClassifyConfig,
) -> tuple[int, pa.RecordBatch]:
    """Wait for the chunk that was begun first."""
    number, batches = under_way.popleft()
    return number, _finish(batches, classifier, config)


def _waiting(under_way: Iterable[tuple[int, list[Future[Classified]]]]) -> int:
    """Count the batches behind the first chunk that are not done yet."""
    later = list(under_way)[1:]
    return sum(not batch.done() for _, batches in later for batch in batches)


def _finish(
    batches: Sequence[Future[Classified]],
    classifier: Classifier,
    config: ClassifyConfig,
) -> pa.RecordBatch:
    """Collect the batches of one chunk into its rows."""
    done = [batch.result() for batch in batches]
    items = [item for batch, _ in done for item in batch]
    if config.strict:
        for item in items:
            if item.flag & NO_CLASS:
                raise DataError(f"{item.path}: {item.reason}")
    calibration = classifier.calibration
    return rows_of(
        items,
        _joined([judgement for _, judgement in done]),
        class_names=classifier.class_names,
        weights=classifier.weights_hash,
        thresholds=None if calibration is None else calibration.thresholds,
        ood_limit=classifier.ood_limit,
    )


def _classify_batch(
    items: Sequence[Item], classifier: Classifier, source: SourceConfig
) -> Classified:
    """Read one batch of inputs and classify those that are pictures."""
    side, field, radii = classifier.image_size, classifier.field, classifier.radii
    pictures = [read_picture(item, side, field, source, radii=radii) for item in items]
    seen = [i for i, picture in enumerate(pictures) if picture.rgb is not None]
    num, num_classes = len(items), len(classifier.class_names)
    answer = Judgement(
        _unknown(num, num_classes), ood=_unknown(num), disagreement=_unknown(num)
    )
    if seen:
        images = np.stack([p.rgb for p in pictures if p.rgb is not None])
        given = classifier.judge(images)
        for name, whole in vars(answer).items():
            part = getattr(given, name)
            if part is not None:
                whole[seen] = part
    return [picture.item for picture in pictures], answer


def _unknown(*shape: int) -> Floats:
    return np.full(shape, np.nan, np.float32)


def _joined(parts: Sequence[Judgement]) -> Judgement:
    """Put judgements of which each holds all arrays one after the other."""
    return Judgement(
        **{name: np.concatenate([vars(part)[name] for part in parts])
           for name in vars(parts[0])}
    )  # fmt: skip
