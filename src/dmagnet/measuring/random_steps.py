"""Steps at random: what a dream looks like that asks no network."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from dmagnet.config.dream_config import DreamConfig, RedreamConfig
from dmagnet.dreaming.objectives import Objective
from dmagnet.dreaming.octaves import DreamFrame, check_images, octave_frames
from dmagnet.dreaming.redream import Pass, pass_frames
from dmagnet.dreaming.scorer import Scorer
from dmagnet.storage.records import Arrays

STREAM = 2**32  # added to a seed: other numbers than those of the jitter


class RandomSteps(Scorer):
    """Scores as a `Scorer`, but its gradient is white noise, whatever the image."""

    def __init__(
        self, model: nn.Module, objective: Objective, start: Tensor, seed: int
    ) -> None:
        super().__init__(model, objective, start)
        self.generator = torch.Generator().manual_seed(seed + STREAM)

    def gradient(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Score images, and draw a direction for each."""
        drawn = torch.randn(images.shape, generator=self.generator)
        return self.score(images), drawn.to(images)


def random_frames(
    model: nn.Module,
    images: Tensor,
    objective: Objective,
    config: DreamConfig | None = None,
    *,
    seed: int | Sequence[int] | None = None,
) -> Iterator[DreamFrame]:
    """Walk at random where a dream would climb: the same chain, the same step size."""
    config = replace(config or DreamConfig(), tile=0)
    check_images(images)
    own = config.seed if seed is None else seed
    first = own if isinstance(own, int) else own[0]
    walker = RandomSteps(model, objective, images, first)
    yield from octave_frames(walker, images, config, seed=own)


def redream_residuals(
    model: nn.Module, base: Tensor, objective: Objective, config: RedreamConfig
) -> Arrays:
    """Follow how much each pass of a re-dream changes, beside steps at random.

    ``dream`` and ``random steps``, (P, B) each: the first of P passes is NaN.
    """
    found = {}
    for name, scorer in (
        ("dream", Scorer(model, objective, base)),
        ("random steps", RandomSteps(model, objective, base, config.dream.seed)),
    ):
        steps = pass_frames(scorer, base, config)
        passes = [step.residual for step in steps if isinstance(step, Pass)]
        found[name] = torch.stack(passes).numpy()
    return found
