"""One process: weights, and threads that each read a batch and classify it.

Pillow, torch and onnxruntime let go of Python's lock while they work, so reading in one
thread overlaps with the network in another, and each core has work of its own: one call
of the network uses one core, which beats sharing a call between cores.
"""

import os
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from dmagnet.calibration.judgement import BATCH, Classifier, Judgement
from dmagnet.classifying.table_columns import about_of, rows_of
from dmagnet.config.classify_config import DEFAULT, ClassifyConfig
from dmagnet.errors import CheckpointError, ConfigError, DataError
from dmagnet.network.bundled import path_of
from dmagnet.pictures.flags import NO_CLASS
from dmagnet.pictures.inputs.item import Item
from dmagnet.pictures.inputs.reading import read_picture
from dmagnet.storage.arrays import Singles
from dmagnet.storage.environment import loading

BATCHES_AHEAD = 3  # for each thread, so that none waits for the one that writes

Device = Literal["auto", "cpu", "gpu"]
Chunk = tuple[int, list[Item]]
Judged = dict[str, Singles]  # of what a `Judgement` holds, what a table needs
Batches = list[Future[tuple[list[Item], Judged]]]  # of a chunk, under way


@loading()
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
    views : {1, 2, 4, 8}, optional
        Flips and quarter turns to average over; as calibrated if not given.
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
    from dmagnet.network.blocks import folded
    from dmagnet.network.checkpoint import load

    checkpoint = load(weights)
    if device == "gpu" and not torch.cuda.is_available():
        raise ConfigError("device: expected a CUDA GPU, found none; use --device cpu")
    place = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    quick: Any = folded(checkpoint.model).to(place)  # nobody else has this one
    return classifier_of(replace(checkpoint, model=quick), **how)


def open_for(weights: Path | str, config: ClassifyConfig) -> Classifier:
    """Open weights as a run wants them: each of its threads calls with one core."""
    views, batch_size, device = config.views, config.batch_size, config.device
    classifier = open_classifier(
        weights, views=views, batch_size=batch_size, device=device, threads=1
    )
    if config.embeddings and classifier.num_features is None:
        raise ConfigError(
            f"{weights}: expected weights of torch for embeddings, got an exported "
            "graph, which keeps its features; give the .safetensors file or the run "
            "folder"
        )
    classifier.image_size = config.image_size or classifier.image_size
    return classifier


def num_threads(config: ClassifyConfig) -> int:
    """Return how many threads read and classify: one a core, if nobody says."""
    if config.threads is not None:
        return config.threads
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Threads:
    """Threads that read and classify the batches of chunks."""

    def __init__(
        self, num: int, classifier: Classifier, config: ClassifyConfig
    ) -> None:
        self.pool = ThreadPoolExecutor(num, thread_name_prefix="classify")
        self.classifier, self.config = classifier, config
        self.about = about_of(config, classifier)

    def begin(self, items: Sequence[Item]) -> Batches:
        """Hand out the batches of one chunk, whatever went before: none is shared."""
        size = self.config.batch_size
        starts = range(0, len(items), size)
        return [self.pool.submit(self._batch, items[i : i + size]) for i in starts]

    def finish(self, batches: Batches) -> pa.RecordBatch:
        """Collect the batches of one chunk into its rows, one for each input."""
        done = [batch.result() for batch in batches]
        items = [item for batch, _ in done for item in batch]
        if self.config.strict:
            for item in items:
                if item.flag & NO_CLASS:
                    raise DataError(f"{item.path}: {item.reason}")
        parts = [judged for _, judged in done]
        whole = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        return rows_of(items, Judgement(**whole), self.about)

    def _batch(self, items: Sequence[Item]) -> tuple[list[Item], Judged]:
        """Read one batch and classify those that are pictures; NaN elsewhere."""
        seer, source = self.classifier, self.config.source
        view = seer.image_size, seer.field
        pictures = [read_picture(i, *view, source, radii=seer.radii) for i in items]
        pixels = {i: p.rgb for i, p in enumerate(pictures) if p.rgb is not None}
        num = len(items)
        widths: dict[str, tuple[int, ...]] = {
            "probabilities": (len(seer.class_names),),
            "ood": (),
            "disagreement": (),
        }
        if self.config.embeddings:
            widths["features"] = (seer.num_features or 0,)
        answer = {
            name: np.full((num, *width), np.nan, np.float32)
            for name, width in widths.items()
        }
        if pixels:
            given = vars(seer.judge(np.stack([*pixels.values()])))
            for name, whole in answer.items():
                if given[name] is not None:
                    whole[[*pixels]] = given[name]
        return [picture.item for picture in pictures], answer


def classify_chunks(
    chunks: Iterable[Chunk], classifier: Classifier, config: ClassifyConfig
) -> Generator[tuple[int, pa.RecordBatch]]:
    """Read and classify chunk after chunk, a few batches ahead of what is asked for."""
    num = num_threads(config)
    threads = Threads(num, classifier, config)
    under_way: deque[tuple[int, Batches]] = deque()

    def _waiting() -> int:
        """Count the batches behind the first chunk that are not done yet."""
        later = list(under_way)[1:]
        return sum(not batch.done() for _, batches in later for batch in batches)

    def _first() -> tuple[int, pa.RecordBatch]:
        number, batches = under_way.popleft()
        return number, threads.finish(batches)

    try:
        for number, items in chunks:
            under_way.append((number, threads.begin(items)))
            while _waiting() > BATCHES_AHEAD * num:
                yield _first()
        while under_way:
            yield _first()
    finally:
        threads.pool.shutdown(cancel_futures=True)
