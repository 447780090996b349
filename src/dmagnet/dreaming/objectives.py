"""Objectives: what a dream climbs, one score per image from activations of some layers.

They compose: ``Energy("stage2") + 0.5 * Logit(3)``; ``-Energy("lam")`` walks down.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import index

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.dreaming.layers import Activations
from dmagnet.errors import ConfigError

Reader = Callable[[Tensor, Sequence[str]], Activations]


class Objective:
    """Base of all objectives: called with activations, scores each image of a batch.

    Attributes
    ----------
    layers : tuple of str
        The layers whose activations are scored.
    rolls : bool
        Whether it means the same where an image is rolled; False for what looks at one
        place, since jitter would move the image under it.
    """

    layers: tuple[str, ...]
    rolls: bool = True

    def __call__(self, activations: Activations) -> Tensor:
        """Score each image: (B,), higher is what a dream wants."""
        raise NotImplementedError

    def bind(self, read: Reader, images: Tensor) -> "Objective":  # noqa: ARG002
        """Look at the start images (B, 3, H, W) once, before the first step."""
        return self

    def __add__(self, other: "Objective") -> "Objective":
        return Sum((self, other), (1.0, 1.0))

    def __sub__(self, other: "Objective") -> "Objective":
        return Sum((self, other), (1.0, -1.0))

    def __mul__(self, weight: float) -> "Objective":
        return Sum((self,), (float(weight),))

    __rmul__ = __mul__

    def __neg__(self) -> "Objective":
        return self * -1.0


@dataclass(frozen=True)
class Sum(Objective):
    """A weighted sum of objectives."""

    terms: tuple[Objective, ...]
    weights: tuple[float, ...]  # one for each
    # Divide each term by its own size on the start image, so that the weights mean
    # something between layers of different strength.
    balance: bool = False
    starts: tuple[Tensor, ...] = ()  # those sizes, (B,) each; `bind` fills them in

    @property
    def layers(self) -> tuple[str, ...]:  # type: ignore[override]
        """The layers of all terms, each once."""
        return tuple(dict.fromkeys(n for term in self.terms for n in term.layers))

    @property
    def rolls(self) -> bool:  # type: ignore[override]
        """False where one of the terms looks at one place."""
        return all(term.rolls for term in self.terms)

    def bind(self, read: Reader, images: Tensor) -> Objective:
        """Bind each term and, to balance them, measure each on the start images."""
        terms = tuple(term.bind(read, images) for term in self.terms)
        starts: tuple[Tensor, ...] = ()
        if self.balance:
            seen = read(images, self.layers)
            starts = tuple(t(seen).detach().abs().clamp(min=1e-8) for t in terms)
        return replace(self, terms=terms, starts=starts)

    def __call__(self, activations: Activations) -> Tensor:
        """Add up the terms."""
        return self.add_up([term(activations) for term in self.terms])

    def add_up(self, scores: Sequence[Tensor]) -> Tensor:
        """Add up the scores of the terms."""
        if self.starts:
            scores = [s / start for s, start in zip(scores, self.starts, strict=True)]
        weighted = [w * s for w, s in zip(self.weights, scores, strict=True)]
        return sum(weighted[1:], weighted[0])


def balanced(
    terms: Sequence[Objective], weights: Sequence[float] | None = None
) -> Objective:
    """Dream several layers at once, each measured against its own start.

    Parameters
    ----------
    terms : sequence of Objective
        For example the energies of several layers.
    weights : sequence of float, optional
        1 for each if not given.

    Returns
    -------
    Objective
        The weighted sum of the terms, each over its size on the start image.

    Raises
    ------
    ConfigError
        If there is not one weight for each term.
    """
    if weights is not None and len(weights) != len(terms):
        raise ConfigError(
            f"weights: expected one for each of the {len(terms)} objectives, got "
            f"{len(weights)}"
        )
    return Sum(tuple(terms), tuple(weights or [1.0] * len(terms)), balance=True)


class LocalObjective(Objective):
    """A mean over places of a map (B, h, w); such scores can be added up from tiles."""

    def maps(self, activations: Activations) -> Tensor:
        """Score each place."""
        raise NotImplementedError

    def __call__(self, activations: Activations) -> Tensor:
        """Average over places."""
        return self.maps(activations).mean(dim=(1, 2))


def _pick(layer: str, output: Tensor, channel: int | Sequence[int]) -> Tensor:
    """Pick one channel for all images, or one for each of them."""
    channels = output.shape[1]
    # Any integers: those of numpy and torch are what an argmax gives.
    wanted = list(channel) if isinstance(channel, Sequence) else [index(channel)]
    for one in wanted:
        if not 0 <= one < channels:
            raise ConfigError(
                f"layer {layer!r}: expected a channel from 0 to "
                f"{channels - 1}, got {one}"
            )
    if len(wanted) == 1:
        return output[:, wanted[0]]
    if len(wanted) != len(output):
        raise ConfigError(
            f"layer {layer!r}: expected one channel, or one for each of the "
            f"{len(output)} images, got {len(wanted)}"
        )
    # One after the other: an index tensor would have to travel to a GPU.
    return torch.stack([image[i] for image, i in zip(output, wanted, strict=True)])


@dataclass(frozen=True)
class OneLayer(Objective):
    """Base of objectives on one layer."""

    layer: str

    @property
    def layers(self) -> tuple[str, ...]:  # type: ignore[override]
        """The layer."""
        return (self.layer,)

    def _output(self, activations: Activations) -> Tensor:
        """Return the layer's output with axes (B, C, h, w)."""
        output = activations[self.layer]
        if output.ndim == 2:  # a vector is a map of one place
            return output[..., None, None]
        if output.ndim == 3:  # tokens (B, N, C), as of a transformer, are N places
            return output.transpose(1, 2)[..., None]
        if output.ndim != 4:
            raise ConfigError(
                f"layer {self.layer!r}: expected maps (B, C, h, w), vectors (B, C) or "
                f"tokens (B, N, C), got {tuple(output.shape)}; choose another layer"
            )
        return output


@dataclass(frozen=True)
class OneMap(OneLayer, LocalObjective):
    """Base of local objectives on one layer."""

    def maps(self, activations: Activations) -> Tensor:
        """Score each place."""
        return self._map(self._output(activations))

    def _map(self, output: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class Energy(OneMap):
    """Whatever a layer sees, more of it: half the mean square of its activations.

    That of Deep Dream (Mordvintsev, Olah & Tyka 2015), as a mean over channels and
    places instead of a sum, so that its size does not depend on the image's.

    Attributes
    ----------
    layer : str
        Name of the layer.
    """

    def _map(self, output: Tensor) -> Tensor:
        return 0.5 * output.square().mean(dim=1)


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
    rolls = False

    def __post_init__(self) -> None:
        """Refuse places outside the image."""
        if not all(0 <= share <= 1 for share in self.place):
            raise ConfigError(
                f"place: expected shares of the sides from 0 to 1, got {self.place}"
            )

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
    def layers(self) -> tuple[str, ...]:  # type: ignore[override]
        """The layer."""
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
class LogOdds(Logit):
    """More of one class than of all others: log p / (1 - p), which never levels off."""

    def __call__(self, activations: Activations) -> Tensor:
        """Set the score of the class against the softened largest of the others."""
        output, own = activations[self.layer], torch.as_tensor(self.class_index)
        own = F.one_hot(own, output.shape[1]).bool().to(output.device)
        others = output.masked_fill(own, -math.inf)
        return super().__call__(activations) - others.logsumexp(dim=1)


@dataclass(frozen=True)
class Attention(LocalObjective):
    """More attention: the mean square of a module's factors.

    LAM shares out a fixed sum: what can grow is how much of it single places draw.

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
    def layers(self) -> tuple[str, ...]:  # type: ignore[override]
        """Before and behind."""
        return (self.before, self.layer)

    def bind(self, read: Reader, images: Tensor) -> "Attention":
        """Refuse a module that passes on what it gets, or changes its shape."""
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
        """Divide the norm behind by the norm before, and square it."""
        before = activations[self.before].norm(dim=1).clamp(min=1e-9)
        factors: Tensor = activations[self.layer].norm(dim=1) / before
        return factors.square()
