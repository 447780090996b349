"""What a dream can climb: energy, channel, neuron, direction, class, attention.

Each scores every image of a batch from the activations of its layers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index

import torch
from torch import Tensor

from dmagnet.dreaming.compose import LocalObjective, Objective, Reader
from dmagnet.dreaming.layers import Activations
from dmagnet.dreaming.single import OneLayer, OneMap
from dmagnet.errors import ConfigError


@dataclass(frozen=True)
class Energy(OneMap):
    """Whatever a layer sees, more of it: half the mean square of its activations.

    The objective of Deep Dream (Mordvintsev, Olah & Tyka 2015), as a mean over
    channels and places instead of a sum, so that its size does not depend on the
    image's.

    Attributes
    ----------
    layer : str
        Name of the layer.
    """

    def _map(self, output: Tensor) -> Tensor:
        return 0.5 * output.square().mean(dim=1)


def _pick(layer: str, output: Tensor, channel: int | Sequence[int]) -> Tensor:
    """Pick one channel for all images, or one for each of them."""
    channels = output.shape[1]
    # Any integers: those of numpy and torch are what an argmax gives.
    wanted = list(channel) if isinstance(channel, Sequence) else [index(channel)]
    for one in wanted:
        if not 0 <= one < channels:
            raise ConfigError(
                f"layer {layer!r}: expected a channel from 0 to {channels - 1}, "
                f"got {one}"
            )
    if len(wanted) == 1:
        return output[:, wanted[0]]
    if len(wanted) != len(output):
        raise ConfigError(
            f"layer {layer!r}: expected one channel, or one for each of the "
            f"{len(output)} images, got {len(wanted)}"
        )
    # One element after the other: an index tensor would have to travel to a GPU.
    return torch.stack([image[one] for image, one in zip(output, wanted, strict=True)])


@dataclass(frozen=True)
class Channel(OneMap):
    """More of one channel, everywhere.

    Attributes
    ----------
    layer : str
        Name of the layer.
    channel : int or tuple of int
        One for all images, or one for each.
    """

    channel: int | tuple[int, ...]

    def _map(self, output: Tensor) -> Tensor:
        return _pick(self.layer, output, self.channel)


@dataclass(frozen=True)
class Neuron(OneLayer):
    """More of one channel at one place; dreamed without jitter, which would move it.

    Attributes
    ----------
    layer : str
        Name of the layer.
    channel : int or tuple of int
        One for all images, or one for each.
    place : tuple of float
        Down and right, as shares of the side from 0 to 1; the center if not given.
    """

    channel: int | tuple[int, ...]
    place: tuple[float, float] = (0.5, 0.5)

    def __post_init__(self) -> None:
        """Refuse places outside the image."""
        if not all(0 <= share <= 1 for share in self.place):
            raise ConfigError(
                f"place: expected shares of the sides from 0 to 1, got {self.place}"
            )

    @property
    def rolls(self) -> bool:
        """Say that it looks at one place of the image.

        Returns
        -------
        bool
            False.
        """
        return False

    def __call__(self, activations: Activations) -> Tensor:
        """Look at one place."""
        output = _pick(self.layer, self._output(activations), self.channel)
        row, column = (
            min(int(share * side), side - 1)
            for share, side in zip(self.place, output.shape[1:], strict=True)
        )
        return output[:, row, column]


@dataclass(frozen=True, eq=False)
class Direction(OneMap):
    """More of one direction in the space of a layer's channels.

    Attributes
    ----------
    layer : str
        Name of the layer.
    vector : (C,) Tensor
        The direction; its length does not matter.
    """

    vector: Tensor

    def __post_init__(self) -> None:
        """Refuse a direction that leads nowhere."""
        length = float(self.vector.float().norm())
        if not 0 < length < math.inf:
            raise ConfigError(
                f"layer {self.layer!r}: expected a direction of finite length above "
                f"0, got {length:g}"
            )

    def _map(self, output: Tensor) -> Tensor:
        vector = self.vector.to(output)
        if vector.shape != output.shape[1:2]:
            raise ConfigError(
                f"layer {self.layer!r}: expected a direction of {output.shape[1]} "
                f"numbers, got {tuple(vector.shape)}"
            )
        return torch.einsum("bchw,c->bhw", output, vector / vector.norm())


@dataclass(frozen=True)
class Logit(Objective):
    """More of one class, before the softmax.

    Attributes
    ----------
    class_index : int or tuple of int
        One for all images, or one for each.
    layer : str
        The layer that gives the scores.
    """

    class_index: int | tuple[int, ...]
    layer: str = "logits"

    @property
    def layers(self) -> tuple[str, ...]:
        """Name the layer.

        Returns
        -------
        tuple of str
            One name.
        """
        return (self.layer,)

    def __call__(self, activations: Activations) -> Tensor:
        """Read the score of the class."""
        output = activations[self.layer]
        if output.ndim != 2:
            raise ConfigError(
                f"layer {self.layer!r}: expected class scores (B, K), got "
                f"{tuple(output.shape)}; name the layer that gives them"
            )
        return _pick(self.layer, output, self.class_index)


@dataclass(frozen=True)
class Attention(LocalObjective):
    """More attention: by how much a module makes the features of places stronger.

    Attributes
    ----------
    layer : str
        The attention module.
    before : str
        The layer whose output goes into it.
    """

    layer: str = "lam"
    before: str = "stage4"

    @property
    def layers(self) -> tuple[str, ...]:
        """Name the layers.

        Returns
        -------
        tuple of str
            Before and behind.
        """
        return (self.before, self.layer)

    def bind(self, read: Reader, images: Tensor) -> "Attention":
        """Refuse a module that does nothing.

        Parameters
        ----------
        read : callable
            Images and layer names in, activations out.
        images : (B, 3, H, W) float in [0, 1]
            Where the dream starts.

        Returns
        -------
        Attention
            Itself.

        Raises
        ------
        ConfigError
            If the module passes on what it gets, or changes its shape.
        """
        seen = read(images[:1], self.layers)
        before, behind = seen[self.before], seen[self.layer]
        if before.ndim != 4 or before.shape != behind.shape:
            raise ConfigError(
                f"attention: expected maps of one shape from {self.before!r} and "
                f"{self.layer!r}, got {tuple(before.shape)} and {tuple(behind.shape)}"
            )
        if torch.equal(before, behind):
            # Its gradient would be zero but for rounding, which steps would blow up.
            raise ConfigError(
                f"{self.layer!r} passes on {self.before!r} unchanged: it has zero "
                "gradient, there is no attention to dream; train the network first"
            )
        return self

    def maps(self, activations: Activations) -> Tensor:
        """Score each place.

        Parameters
        ----------
        activations : mapping of str to Tensor
            Outputs of both layers.

        Returns
        -------
        (B, h, w) float
            Norm behind over norm before, the map that the evidence pages show.
        """
        before = activations[self.before].norm(dim=1).clamp(min=1e-9)
        ratio: Tensor = activations[self.layer].norm(dim=1) / before
        return ratio
