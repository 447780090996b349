"""Seeded draws for a batch of galaxies."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Number = float | Tensor


class Dice:
    """Random numbers for `num` galaxies, from one generator."""

    def __init__(
        self, generator: torch.Generator, num: int, device: torch.device
    ) -> None:
        self.generator = generator
        self.num = num
        self.device = device

    def of(self, num: int) -> "Dice":
        """Return dice of another batch size on the same generator."""
        return Dice(self.generator, num, self.device)

    def uniform(self, low: Number = 0.0, high: Number = 1.0, *shape: int) -> Tensor:
        """Draw evenly between two limits."""
        draws = torch.rand(
            self.num, *shape, generator=self.generator, device=self.generator.device
        ).to(self.device)
        return low + (high - low) * draws

    def normal(
        self, mean: Number, std: Number, low: float = -1e9, high: float = 1e9
    ) -> Tensor:
        """Draw from a normal distribution, clipped to limits."""
        return (mean + std * self.noise(self.num)).clamp(low, high)

    def lognormal(
        self, median: Number, width: float, low: float = 0.0, high: float = 1e9
    ) -> Tensor:
        """Draw from a log-normal distribution, clipped to limits and to 3 sigma."""
        spread = self.normal(0.0, width, -3 * width, 3 * width).exp()
        return (median * spread).clamp(low, high)

    def noise(self, *shape: int) -> Tensor:
        """Draw standard normal numbers of any shape."""
        return torch.randn(
            *shape, generator=self.generator, device=self.generator.device
        ).to(self.device)

    def angle(self, *shape: int) -> Tensor:
        """Draw angles in radians, evenly over the circle."""
        return self.uniform(0.0, 2 * math.pi, *shape)

    def chance(self, probability: Number) -> Tensor:
        """Decide yes or no for each galaxy."""
        return self.uniform() < probability

    def sign(self) -> Tensor:
        """Toss a coin for each galaxy."""
        return torch.where(self.chance(0.5), 1.0, -1.0)

    def choice(self, values: Sequence[float], weights: Sequence[float]) -> Tensor:
        """Pick one of some values for each galaxy."""
        edges = torch.tensor(weights, device=self.device).cumsum(0)[:-1]
        picks = torch.bucketize(self.uniform(), edges, right=True)
        return torch.tensor(values, device=self.device)[picks]
