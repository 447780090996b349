"""The classifier that torch runs; loaded only when it is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dmagnet.calibration.judgement import Judgement, judgement_of, views_to_take
from dmagnet.classifying.classifier import BATCH, Device
from dmagnet.errors import ConfigError
from dmagnet.galaxies.augment import dihedral_views
from dmagnet.judging.predict import batches_of
from dmagnet.network.checkpoint import load
from dmagnet.network.folding import folded


class NetworkClassifier:
    """A trained network; see `dmagnet.classifying.Classifier`."""

    def __init__(
        self,
        weights: Path,
        *,
        views: int | None = None,
        batch_size: int = BATCH,
        device: Device = "auto",
        threads: int | None = None,
    ) -> None:
        checkpoint = load(weights)
        self.views = views_to_take(views, checkpoint.calibration)
        self.class_names = checkpoint.class_names
        self.image_size = checkpoint.config.image_size
        self.field = checkpoint.config.field
        self.radii = checkpoint.config.radii
        self.weights_hash = checkpoint.weights_hash
        self.device = _device(device)
        self.calibration = checkpoint.calibration
        self._space = self.calibration.space if self.calibration else None
        self._model: Any = folded(checkpoint.model).to(self.device)
        self._batch_size = batch_size
        self._threads = threads
        self._usual_threads = torch.get_num_threads()

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Classify pictures."""
        return self.judge(images).probabilities

    def judge(self, images: npt.NDArray[np.uint8]) -> Judgement:
        """Classify pictures, and say how far to trust it."""
        with self._some_threads():
            done = [
                self._look(batch)
                for batch in batches_of(images, self._batch_size, self.device)
            ]
        if not done:
            num_classes = len(self.class_names)
            return judgement_of(np.empty((self.views, 0, num_classes)))
        views = np.concatenate([probabilities for probabilities, _ in done], axis=1)
        scores = None
        if self._space is not None:
            features = np.concatenate([features for _, features in done], axis=1)
            scores = np.stack([self._space.score(each) for each in features])
        return judgement_of(views, scores, self.calibration)

    @torch.inference_mode()
    def _look(
        self, batch: torch.Tensor
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return probabilities (V, B, K) and pooled features (V, B, C) of each view."""
        seen = batch[None] if self.views == 1 else dihedral_views(batch)
        probabilities, features = [], []
        for view in seen:
            maps = self._model.features(
                view.contiguous(memory_format=torch.channels_last)
            )
            pooled = maps.mean(dim=(2, 3))
            features.append(pooled.float())
            probabilities.append(self._model.head(pooled).float().softmax(1))
        return (
            torch.stack(probabilities).cpu().numpy(),
            torch.stack(features).cpu().numpy(),
        )

    @property
    def ood_limit(self) -> float | None:
        """Say above which score a galaxy is unlike those of the training."""
        return None if self._space is None else self._space.limit

    @contextmanager
    def _some_threads(self) -> Iterator[None]:
        """Let torch use so many cores in this thread, and give them back."""
        if self._threads is None:
            yield
            return
        torch.set_num_threads(self._threads)
        try:
            yield
        finally:
            torch.set_num_threads(self._usual_threads)


def _device(wanted: Device) -> torch.device:
    if wanted == "gpu" and not torch.cuda.is_available():
        raise ConfigError("device: expected a CUDA GPU, found none; use --device cpu")
    gpu = wanted != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if gpu else "cpu")
