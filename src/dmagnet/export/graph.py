"""What an exported graph computes: class probabilities, and how unlike a galaxy."""

import torch
from torch import Tensor, nn

from dmagnet.calibrate import Calibration, FeatureSpace
from dmagnet.model import DMAGNet


class Distance(nn.Module):
    """The score of a `dmagnet.calibrate.FeatureSpace`, in torch.

    Parameters
    ----------
    space : FeatureSpace
        Fitted on pooled features.
    """

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
        """Measure how far pictures lie from the galaxies.

        Parameters
        ----------
        features : (B, D) float
            Pooled behind LAM.

        Returns
        -------
        (B,) float
            As `FeatureSpace.score`.
        """
        off = features - self.mean
        along = off @ self.axes.T
        rest = off - along @ self.axes
        squares = (along.square() / self.variances).sum(1)
        squares = squares + rest.square().sum(1) / self.noise
        score: Tensor = (squares / features.shape[1]).sqrt()
        return score


class Judging(nn.Module):
    """A network that answers with probabilities, logits, and perhaps a warning.

    Parameters
    ----------
    network : DMAGNet
        Images to logits.
    calibration : Calibration, optional
        Its temperature divides the logits before the softmax, its space gives the
        out-of-distribution score.
    """

    def __init__(
        self, network: DMAGNet, calibration: Calibration | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.temperature = calibration.temperature if calibration else 1.0
        space = calibration.space if calibration else None
        self.distance = None if space is None else Distance(space)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Classify a batch.

        Parameters
        ----------
        images : (B, 3, H, W) float in [0, 1]
            Red, green, blue; sides from 64 px.

        Returns
        -------
        tuple of (B, K) float, (B, K) float and perhaps (B,) float
            Probabilities, the logits as the network gave them, and the score if there
            is a space.
        """
        pooled = self.network.features(images).mean(dim=(2, 3))
        logits: Tensor = self.network.head(pooled)
        answers = (logits / self.temperature).softmax(dim=1), logits
        return answers if self.distance is None else (*answers, self.distance(pooled))
