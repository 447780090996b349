"""Networks and pictures for tests of dreams: small, random, nothing trivial."""

import torch
from torch import nn

from dmagnet.config import ModelConfig
from dmagnet.network import DMAGNet


def shake_norms(model):
    """Give batch norms statistics and weights as training would: none is trivial."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.normal_(module.bias, std=0.1)
    return model.eval()


def dmagnet_xs(seed=0):
    """The smallest DMAGNet with random weights and a LAM gate that does something."""
    torch.manual_seed(seed)
    network = shake_norms(DMAGNet(ModelConfig(size="xs", num_classes=5)))
    nn.init.normal_(network.lam.gate[-1].weight)
    return network


def conv(channels_in, channels_out, stride=2):
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class Foreign(nn.Module):
    """A network of somebody else: ReLU, attributes in no order, no layer names."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(16, 4)
        self.early = conv(3, 8)
        self.late = conv(8, 16)
        self.gate = nn.Sequential(nn.Conv2d(16, 16, 1), nn.Sigmoid())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.unused = nn.Identity()

    def forward(self, images):
        late = self.late(self.early(images - 0.2))
        return self.head(self.pool(late * self.gate(late)).flatten(1))


def foreign(seed=0):
    torch.manual_seed(seed)
    return shake_norms(Foreign())


def galaxies(num=1, size=(64, 64), seed=0):
    """Noisy blobs on a dark sky, all different."""
    generator = torch.Generator().manual_seed(seed)
    y, x = (torch.linspace(-1, 1, side) for side in size)
    scale = 0.2 + 0.2 * torch.rand(num, 3, 1, 1, generator=generator)
    blob = torch.exp(-(y[:, None] ** 2 + 2 * x**2) / scale**2)
    noise = torch.rand(num, 3, *size, generator=generator)
    return 0.1 + 0.6 * blob + 0.1 * noise


def last(frames):
    """Run a dream to its end."""
    for frame in frames:
        end = frame
    return end
