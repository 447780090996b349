"""Known networks to stand beside DMAGNet, from timm, behind the same interface."""

import torch
import torchvision_stub  # noqa: F401 (first, so that timm can be imported)
from torch import Tensor, nn

from dmagnet.config import ModelConfig
from dmagnet.network import GALAXY10_MEAN, GALAXY10_STD, DMAGNet

# One switch of the network each; all else as in size s or xs.
ABLATIONS = {
    "no-lam": {"lam": False},
    "one-scale": {"dilations": (1,)},
    "mean-fusion": {"fusion": "mean"},
    "dilations-123": {"dilations": (1, 2, 3)},
    "half-width": {"reduction": 2},
}


class Normalized(nn.Module):
    """A network with its own normalization, so that it takes images in [0, 1].

    Parameters
    ----------
    network : nn.Module
        Normalized images to logits.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(GALAXY10_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(GALAXY10_STD).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, K) logits of (B, 3, H, W) images in [0, 1]."""
        logits: Tensor = self.network((images - self.mean) / self.std)
        return logits


def build(name: str, num_classes: int) -> nn.Module:
    """Make a network by name.

    Parameters
    ----------
    name : str
        ``xs``, ``s``, ``b``, one of them with an ablation as ``xs:no-lam``, or a
        name of timm such as ``resnet18``.
    num_classes : int
        Outputs.

    Returns
    -------
    nn.Module
        Randomly initialized; images in [0, 1] to logits.
    """
    size, _, ablation = name.partition(":")
    if size in ("xs", "s", "b"):
        changes = ABLATIONS[ablation] if ablation else {}
        config = ModelConfig(size=size, num_classes=num_classes, **changes)
        return DMAGNet(config)
    import timm

    return Normalized(timm.create_model(name, num_classes=num_classes))
