"""Steps at random: what a dream looks like that asks no network."""

from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from dmagnet.config.dream_config import RedreamConfig
from dmagnet.dreaming.redream import Pass, pass_frames
from dmagnet.dreaming.scorer import Scorer
from dmagnet.storage.records import Arrays

STREAM = 2**32  # added to a seed: other numbers than those of the views


class RandomSteps(Scorer):
    """Scores as another `Scorer`, but its gradient is white noise.

    A dream with it takes the same steps, of the same size, in any direction.
    """

    def __init__(self, scorer: Scorer, seed: int) -> None:
        self.__dict__.update(scorer.__dict__)
        self.generator = torch.Generator().manual_seed(seed + STREAM)

    def gradient(self, images: Tensor, views: int = 1) -> tuple[Tensor, Tensor]:
        """Score images (views x B, 3, H, W), and draw a direction for each."""
        drawn = torch.randn(images.shape, generator=self.generator).to(images)
        return self.score(images[: len(images) // views]), drawn


def redream_residuals(scorer: Scorer, base: Tensor, config: RedreamConfig) -> Arrays:
    """Follow how much each pass of a re-dream changes, beside steps at random.

    ``dream`` and ``random steps``, (P, B) each: the first of P passes is NaN.
    """
    return {
        "dream": _residuals(scorer, base, config),
        "random steps": random_residuals(scorer, base, config),
    }


def random_residuals(
    scorer: Scorer, base: Tensor, config: RedreamConfig
) -> NDArray[Any]:
    """Follow how much each pass changes where no network is asked: (P, B)."""
    # Tiles would ask the network for their gradients.
    whole = replace(config, dream=replace(config.dream, tile=0))
    return _residuals(RandomSteps(scorer, config.dream.seed), base, whole)


def _residuals(scorer: Scorer, base: Tensor, config: RedreamConfig) -> NDArray[Any]:
    steps = pass_frames(scorer, base, config)
    passes = [step.residual for step in steps if isinstance(step, Pass)]
    return torch.stack(passes).cpu().numpy()
