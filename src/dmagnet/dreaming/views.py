"""Random views of images, over which a dream averages its gradient."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import index

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.config.dream_config import DreamConfig


class Views:
    """Random rolls, rotations, mirrors, scales, shifts and noise, undone in gradients.

    The same for every image of a batch, or one stream for each. An image that is seen
    many ways keeps only what the network finds in all of them (Olah, Mordvintsev &
    Schubert 2017); galaxies have no upright, so any rotation is as good.
    """

    def __init__(
        self, seed: int | Sequence[int], config: DreamConfig, *, still: bool = False
    ) -> None:
        seeds = seed if isinstance(seed, Sequence) else [index(seed)]
        self.generators = [torch.Generator().manual_seed(s) for s in seeds]
        self.config = config
        self.jitter = 0.0 if still else config.jitter
        self.warps = not still and bool(
            config.rotate or config.rescale or config.shift or config.flip
        )
        # Without anything random, all views are one.
        self.num = config.views if self.warps or config.noise or self.jitter else 1

    def draw(self, images: Tensor) -> "Iterator[_View]":
        """Draw the views of the next step, one after the other."""
        height, width = images.shape[2:]
        most = (round(height * self.jitter), round(width * self.jitter))
        for _ in range(self.num):
            yield _View(
                [(_uniform(most[0], g), _uniform(most[1], g)) for g in self.generators],
                self._matrices() if self.warps else None,
                self._noise(images) if self.config.noise else None,
            )

    def _matrices(self) -> Tensor:
        """Draw affine maps (n, 2, 3) from places in a view to places in the image."""
        config = self.config
        drawn = torch.stack([torch.rand(5, generator=g) for g in self.generators])
        turn, grow, down, right = (2 * drawn[:, :4] - 1).unbind(dim=1)
        angle = turn * math.radians(config.rotate)
        side = 1 + grow * config.rescale
        mirror = torch.where(drawn[:, 4] < 0.5, -1.0, 1.0) if config.flip else 1.0
        cos, sin = side * angle.cos(), side * angle.sin()
        rows = (cos * mirror, -sin, right * config.shift,
                sin * mirror, cos, down * config.shift)  # fmt: skip
        return torch.stack(rows, dim=1).view(-1, 2, 3)

    def _noise(self, images: Tensor) -> Tensor:
        shape = images.shape[1:]
        grain = [torch.randn(shape, generator=g) for g in self.generators]
        return torch.stack(grain).to(images) * self.config.noise


def _uniform(most: int, generator: torch.Generator) -> int:
    return int(torch.randint(-most, most + 1, (), generator=generator))


@dataclass(frozen=True, eq=False)
class _View:
    """One way to look at a batch; what is random is drawn already."""

    rolls: list[tuple[int, int]]
    matrices: Tensor | None
    noise: Tensor | None

    def __call__(self, images: Tensor) -> Tensor:
        """Look at images; gradients find their way back."""
        seen = _roll(images, self.rolls)
        if self.matrices is not None:
            seen = warp(seen, self.matrices)
        return seen if self.noise is None else seen + self.noise


def warp(images: Tensor, matrices: Tensor) -> Tensor:
    """Look at images through affine maps (1 or B, 2, 3), mirrored beyond the frame."""
    maps = matrices.to(images).expand(len(images), 2, 3)
    height, width = images.shape[2:]
    if height != width:  # rotate in pixels, not in shares of unlike sides
        ratio = width / height
        scale = maps.new_tensor([[1, 1 / ratio, 1], [ratio, 1, 1]])
        maps = maps * scale
    grid = F.affine_grid(maps, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _roll(images: Tensor, shifts: list[tuple[int, int]]) -> Tensor:
    if not any(map(any, shifts)):
        return images
    if len(shifts) == 1:
        return images.roll(shifts[0], (2, 3))
    rolled = [
        image.roll(shift, (1, 2)) for image, shift in zip(images, shifts, strict=True)
    ]
    return torch.stack(rolled)
