"""Objectives that look at another image: be like a guide, be unlike each other."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.dreaming.layers import Activations
from dmagnet.dreaming.objectives import OneLayer, OneMap, Reader
from dmagnet.errors import ConfigError

GUIDE_PAIRS = 2**24  # of a place of an image and one of the guide, at a time: 64 MB


@dataclass(frozen=True, eq=False)
class Guide(OneMap):
    """See in the image what is in a guide: each place goes to its best match there.

    The guided dream of Mordvintsev et al. (2015): every place of the layer is pulled
    to the one place of the guide with the largest dot product.

    Attributes
    ----------
    layer : str
        Name of the layer.
    image : (3, H, W) Tensor in [0, 1]
        The guide.
    places : (P, C) Tensor
        What the layer says of the guide; `bind` fills it in.
    """

    image: Tensor
    places: Tensor | None = None

    def bind(self, read: Reader, images: Tensor) -> "Guide":
        """Read the guide; refuse what is no finite image of three colors."""
        if self.image.shape[:-2] != (3,) or not bool(self.image.isfinite().all()):
            raise ConfigError(
                "guide: expected a finite image of shape (3, H, W), got "
                f"{tuple(self.image.shape)}; fill NaN, drop alpha"
            )
        output = self._output(read(self.image[None].to(images), (self.layer,)))
        return replace(self, places=output[0].flatten(1).t().contiguous())

    def _map(self, output: Tensor) -> Tensor:
        assert self.places is not None  # the engine binds objectives
        features = output.flatten(2).transpose(1, 2)  # (B, hw, C)
        at_once = max(GUIDE_PAIRS // (len(features) * len(self.places)), 1)
        best = [
            self.places[(part.detach() @ self.places.t()).argmax(dim=2)]
            for part in torch.split(features, at_once, dim=1)
        ]
        matches = (features * torch.cat(best, dim=1)).sum(dim=2)
        return matches.view(len(output), *output.shape[2:])


@dataclass(frozen=True)
class Diversity(OneLayer):
    """Be unlike the other images of the batch.

    Minus the mean cosine between the Gram matrices of an image and of the others
    (Olah, Mordvintsev & Schubert 2017). The one objective that couples a batch.

    Attributes
    ----------
    layer : str
        Name of the layer.
    """

    def __call__(self, activations: Activations) -> Tensor:
        """Compare each image with all others."""
        features = self._output(activations).flatten(2)
        if len(features) < 2:
            raise ConfigError("diversity: expected two or more images, got one")
        gram = F.normalize((features @ features.transpose(1, 2)).flatten(1), dim=1)
        cosine = gram @ gram.t()
        return -(cosine.sum(dim=1) - cosine.diagonal()) / (len(gram) - 1)
