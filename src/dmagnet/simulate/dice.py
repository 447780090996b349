"""Seeded draws for a batch of galaxies."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Number = float | Tensor


class Dice:
    """Random numbers for `num` galaxies, from one generator.

    Parameters
    ----------
    generator : torch.Generator
        Source of all randomness; the draws are made where it lives.
    num : int
        Galaxies in the batch: each draw has this many rows.
    device : torch.device
        Where the draws are wanted.
    """

    def __init__(
        self, generator: torch.Generator, num: int, device: torch.device
    ) -> None:
        self.generator = generator
        self.num = num
        self.device = device

    def of(self, num: int) -> "Dice":
        """Return dice of another batch size on the same generator.

        Parameters
        ----------
        num : int
            Rows of each draw.

        Returns
        -------
        Dice
            The new dice.
        """
        return Dice(self.generator, num, self.device)

    def uniform(self, low: Number = 0.0, high: Number = 1.0, *shape: int) -> Tensor:
        """Draw evenly between two limits.

        Parameters
        ----------
        low, high : float or (num,) float
            The limits.
        *shape : int
            Further dimensions after the first.

        Returns
        -------
        (num, *shape) float
            The draws.
        """
        draws = torch.rand(
            self.num, *shape, generator=self.generator, device=self.generator.device
        ).to(self.device)
        return low + (high - low) * draws

    def normal(
        self, mean: Number, std: Number, low: float = -1e9, high: float = 1e9
    ) -> Tensor:
        """Draw from a normal distribution, clipped to limits.

        Parameters
        ----------
        mean, std : float or (num,) float
            Center and width.
        low, high : float
            Limits to clip to.

        Returns
        -------
        (num,) float
            The draws.
        """
        return (mean + std * self.noise(self.num)).clamp(low, high)

    def lognormal(
        self, median: Number, width: float, low: float = 0.0, high: float = 1e9
    ) -> Tensor:
        """Draw from a log-normal distribution, clipped to limits and to 3 sigma.

        Parameters
        ----------
        median : float or (num,) float
            Median of the draws.
        width : float
            Standard deviation of the natural logarithm.
        low, high : float
            Limits to clip to.

        Returns
        -------
        (num,) float
            The draws.
        """
        spread = self.normal(0.0, width, -3 * width, 3 * width).exp()
        return (median * spread).clamp(low, high)

    def noise(self, *shape: int) -> Tensor:
        """Draw standard normal numbers of any shape.

        Parameters
        ----------
        *shape : int
            The shape.

        Returns
        -------
        (*shape) float
            The draws.
        """
        return torch.randn(
            *shape, generator=self.generator, device=self.generator.device
        ).to(self.device)

    def angle(self, *shape: int) -> Tensor:
        """Draw angles in radians, evenly over the circle.

        Parameters
        ----------
        *shape : int
            Further dimensions after the first.

        Returns
        -------
        (num, *shape) float in [0, 2 pi)
            The draws.
        """
        return self.uniform(0.0, 2 * math.pi, *shape)

    def chance(self, probability: Number) -> Tensor:
        """Decide yes or no for each galaxy.

        Parameters
        ----------
        probability : float or (num,) float in [0, 1]
            Chance of a yes.

        Returns
        -------
        (num,) bool
            The decisions.
        """
        return self.uniform() < probability

    def sign(self) -> Tensor:
        """Toss a coin for each galaxy.

        Returns
        -------
        (num,) float in {-1, 1}
            The sides.
        """
        return torch.where(self.chance(0.5), 1.0, -1.0)

    def choice(self, values: Sequence[float], weights: Sequence[float]) -> Tensor:
        """Pick one of some values for each galaxy.

        Parameters
        ----------
        values : sequence of float
            What to pick from.
        weights : sequence of float
            Chance of each, adding up to one.

        Returns
        -------
        (num,) float
            The picks.
        """
        edges = torch.tensor(weights, device=self.device).cumsum(0)[:-1]
        picks = torch.bucketize(self.uniform(), edges, right=True)
        return torch.tensor(values, device=self.device)[picks]
