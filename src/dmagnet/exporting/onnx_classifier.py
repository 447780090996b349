"""What classifies with an exported network, whatever runs the graph; numpy only."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from dmagnet.calibration.calibration import Calibration
from dmagnet.calibration.judgement import Judgement, judgement_of, views_to_take
from dmagnet.errors import DataError
from dmagnet.exporting.onnx_header import Header

Floats = NDArray[np.float32]

BATCH = 16
# Of a call of the graph, however many are asked for: larger activations leave the
# cache of a core (256 px, onnxruntime: 8 images 112/s, 16 images 90/s).
CALL_PIXELS, CALL_IMAGES = 2**19, 8
MIN_SIDE = 64  # of an image, in px


class ExportedClassifier:
    """A network from an ONNX file; its two kinds differ in what runs the graph."""

    def __init__(
        self,
        header: Header,
        forward: Callable[[Floats], tuple[Floats, Floats | None]],
        *,
        views: int | None,
        batch_size: int,
    ) -> None:
        self.header = header
        self.views = views_to_take(views, self.calibration)
        self._forward = forward
        self._batch_size = batch_size

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name the outputs."""
        return self.header.class_names

    @property
    def image_size(self) -> int:
        """Side of the images the network was trained on."""
        return self.header.image_size

    @property
    def field(self) -> float:
        """Share of the 67 arcsec frame that the network sees."""
        return self.header.field

    @property
    def radii(self) -> float | None:
        """Side of the images, where all galaxies are seen at one size."""
        return self.header.radii

    @property
    def calibration(self) -> Calibration | None:
        """Temperature and thresholds of the sets."""
        header = self.header
        if header.thresholds is None:
            return None
        return Calibration(
            header.temperature,
            header.thresholds,
            provenance=header.calibration,
            views=header.views,
        )

    @property
    def ood_limit(self) -> float | None:
        """Score above which a galaxy is unlike those of the training."""
        return self.header.ood_limit

    @property
    def weights_hash(self) -> str:
        """Fingerprint of the weights the file was made from."""
        return self.header.weights_hash

    def probabilities(self, images: NDArray[np.uint8]) -> Floats:
        """Classify a stack of images."""
        return self.judge(images).probabilities

    def judge(self, images: NDArray[np.uint8]) -> Judgement:
        """Classify a stack of images, and say how far to trust it."""
        shape = images.shape
        if images.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3:
            raise DataError(
                "images: expected uint8 of shape (N, H, W, 3), got "
                f"{images.dtype} of shape {shape}"
            )
        if min(shape[1:3]) < MIN_SIDE:
            raise DataError(
                f"images: expected sides from {MIN_SIDE} px, got {shape[1]}x{shape[2]}"
            )
        views = np.empty((self.views, len(images), len(self.class_names)), np.float32)
        scores = np.empty(views.shape[:2], np.float32)
        fitting = min(max(CALL_PIXELS // (shape[1] * shape[2]), 1), CALL_IMAGES)
        step = min(self._batch_size, fitting)
        for start in range(0, len(images), step):
            stop = start + step
            pixels = _planes(np.asarray(images[start:stop]))
            for view, seen in enumerate(_views(pixels, self.views)):
                logits, ood = self._forward(seen)
                views[view, start:stop] = softmax(logits, axis=1)
                scores[view, start:stop] = np.nan if ood is None else ood
        has_scores = len(images) > 0 and not np.isnan(scores).any()
        return judgement_of(views, scores if has_scores else None, self.calibration)


def _planes(images: NDArray[np.uint8]) -> Floats:
    """Bring (B, H, W, 3) uint8 to (B, 3, H, W) float32 in [0, 1]."""
    b, height, width, _ = images.shape
    planes = np.empty((b, 3, height, width), np.float32)
    np.divide(images.transpose(0, 3, 1, 2), np.float32(255), out=planes)
    return planes


def _views(planes: Floats, views: int) -> Iterator[Floats]:
    """Yield the images, or their eight flips and quarter turns."""
    if views == 1:
        yield planes
        return
    for turns in range(4):
        turned = np.rot90(planes, turns, axes=(2, 3))
        yield np.ascontiguousarray(turned)
        yield np.ascontiguousarray(turned[..., ::-1])
