"""Random walks in place of dreams: the same octaves, jitter and steps, no network."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from dmagnet.config.dream_config import DreamConfig
from dmagnet.dreaming.objectives import Objective
from dmagnet.dreaming.octaves import DreamFrame, check_images, octave_frames
from dmagnet.dreaming.scorer import Scorer
from dmagnet.errors import ConfigError

STREAM = 2**32


class RandomDirection(Scorer):
    """Scores as a `Scorer`, but steps at random."""

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        start: Tensor,
        seed: int | Sequence[int],
        *,
        keep_spectrum: bool = False,
    ) -> None:
        super().__init__(model, objective, start)
        seeds = [seed] if isinstance(seed, int) else list(seed)
        if len(seeds) not in (1, len(start)):
            raise ConfigError(
                f"seed: expected one, or one for each of the {len(start)} images, got "
                f"{len(seeds)}"
            )
        self.keep_spectrum = keep_spectrum
        # Another stream than the jitter's, which starts from the same seed.
        self.generators = [torch.Generator().manual_seed(s + STREAM) for s in seeds]

    def gradient(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Score images, and draw a direction."""
        shape = images.shape[1:]
        noise = [torch.randn(shape, generator=g) for g in self.generators]
        drawn = torch.stack(noise).to(images).expand_as(images)
        if not self.keep_spectrum:
            return self.score(images), drawn
        scores, gradient = super().gradient(images)
        # One phase for all three colors, or else the colors of the gradient are lost.
        phase = torch.fft.rfft2(drawn[:, :1]).angle()
        waves = torch.polar(torch.ones_like(phase), phase) * torch.fft.rfft2(gradient)
        return scores, torch.fft.irfft2(waves, s=images.shape[2:])


def random_direction_frames(
    model: nn.Module,
    images: Tensor,
    objective: Objective,
    config: DreamConfig | None = None,
    *,
    seed: int | Sequence[int] | None = None,
    keep_spectrum: bool = False,
) -> Iterator[DreamFrame]:
    """Walk at random where a dream would climb: the same chain, the same step size."""
    config = dataclasses.replace(config or DreamConfig(), tile=0)
    check_images(images)
    seed = config.seed if seed is None else seed
    walker = RandomDirection(
        model, objective, images, seed, keep_spectrum=keep_spectrum
    )
    yield from octave_frames(walker, images, config, seed=seed)
