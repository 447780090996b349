"""What an exported graph computes: class probabilities, and how unlike a galaxy."""

import torch
from torch import Tensor, nn

from dmagnet.calibration.calibration import Calibration
from dmagnet.calibration.space import FeatureSpace
from dmagnet.network.dmagnet import DMAGNet


class Distance(nn.Module):
    """The score of a `dmagnet.calibration.FeatureSpace`, in torch."""

    mean: Tensor
    axes: Tensor
    variances: Tensor

    def __init__(self, space: FeatureSpace) -> None:
        super().__init__()
        for name in ("mean", "axes", "variances"):
            values = torch.from_numpy(getattr(space, name).copy())
            self.register_buffer(name, values)
        self.noise = space.noise

    def forward(self, features: Tensor) -> Tensor:
        """Measure how far pictures lie from the galaxies."""
        off = features - self.mean
        along = off @ self.axes.T
        rest = off - along @ self.axes
        squares = (along.square() / self.variances).sum(1)
        squares = squares + rest.square().sum(1) / self.noise
        score: Tensor = (squares / features.shape[1]).sqrt()
        return score


class Judging(nn.Module):
    """A network that answers with probabilities, logits, and perhaps a warning."""

    def __init__(
        self, network: DMAGNet, calibration: Calibration | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.temperature = calibration.temperature if calibration else 1.0
        space = calibration.space if calibration else None
        self.distance = None if space is None else Distance(space)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Classify a batch."""
        pooled = self.network.features(images).mean(dim=(2, 3))
        logits: Tensor = self.network.head(pooled)
        answers = (logits / self.temperature).softmax(dim=1), logits
        return answers if self.distance is None else (*answers, self.distance(pooled))
