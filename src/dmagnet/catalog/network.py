"""The classifier that torch runs; loaded only when it is asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from dmagnet.catalog.classifier import BATCH, Device
from dmagnet.checkpoint import load
from dmagnet.errors import ConfigError
from dmagnet.model.folding import folded
from dmagnet.predict import batches_of, probabilities_of


class NetworkClassifier:
    """A trained network; see `dmagnet.catalog.Classifier`.

    Parameters
    ----------
    weights : Path
        A .safetensors file or a run folder.
    views : {1, 8}
        See `dmagnet.predict.probabilities_of`.
    batch_size : int
        Images at a time.
    device : {"auto", "cpu", "gpu"}
        A GPU if there is one, or as said.
    threads : int, optional
        Cores for one call; torch's own number if not given.
    """

    def __init__(
        self,
        weights: Path,
        *,
        views: int = 1,
        batch_size: int = BATCH,
        device: Device = "auto",
        threads: int | None = None,
    ) -> None:
        if views not in (1, 8):
            raise ConfigError(f"views: expected 1 or 8, got {views}")
        checkpoint = load(weights)
        self.class_names = checkpoint.class_names
        self.image_size = checkpoint.config.image_size
        self.field = checkpoint.config.field
        self.weights_hash = checkpoint.weights_hash
        self.device = _device(device)
        self._model = folded(checkpoint.model).to(self.device)
        self._views = views
        self._batch_size = batch_size
        self._threads = threads
        self._usual_threads = torch.get_num_threads()

    def probabilities(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Classify pictures.

        Parameters
        ----------
        images : (N, S, S, 3) uint8
            Of side ``image_size``.

        Returns
        -------
        (N, K) float32
            Rows sum to 1.
        """
        with self._some_threads():
            done = [
                probabilities_of(self._model, batch, views=self._views).cpu()
                for batch in batches_of(images, self._batch_size, self.device)
            ]
        if not done:
            return np.empty((0, len(self.class_names)), np.float32)
        each: npt.NDArray[np.float32] = torch.cat(done).numpy()
        return each

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
