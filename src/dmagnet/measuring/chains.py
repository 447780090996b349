"""Resolution: re-dreams in a chain, dreams at other sizes; and random walks."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.config.dream_config import DreamConfig, RedreamConfig
from dmagnet.dreaming.layers import read
from dmagnet.dreaming.objectives import Energy, Objective
from dmagnet.dreaming.octaves import (
    DreamFrame,
    check_images,
    dream_frames,
    octave_frames,
    resample,
)
from dmagnet.dreaming.redream import Pass, redream_frames
from dmagnet.dreaming.scorer import Scorer
from dmagnet.errors import ConfigError
from dmagnet.measuring.controls import cascade
from dmagnet.measuring.representations import similarity

STREAM = 2**32  # added to a seed: other numbers than those of the jitter
SIDES = (0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0)  # of the galaxy's own


@dataclass(frozen=True, eq=False)
class ChainNumbers:
    """What a re-dream did in each of its passes."""

    sides: tuple[int, ...]
    residual: Tensor
    score: Tensor
    size: Tensor


def last_frame(
    model: nn.Module, images: Tensor, objective: Objective, config: DreamConfig
) -> Tensor:
    """Dream to the end."""
    for frame in dream_frames(model, images, objective, config):
        dream = frame.images
    return dream


@torch.no_grad()
def score_of(model: nn.Module, images: Tensor, objective: Objective) -> Tensor:
    """Score images without dreaming."""
    return objective(read(model, images, objective.layers))


def redream_numbers(
    model: nn.Module, base: Tensor, layer: str, config: RedreamConfig
) -> ChainNumbers:
    """Re-dream galaxies and follow the chain."""
    objective = Energy(layer)
    steps = redream_frames(model, base, objective, config)
    passes = [step for step in steps if isinstance(step, Pass)]
    home = [resample(p.detail, base.shape[2:]) for p in passes]
    return ChainNumbers(
        sides=tuple(p.side for p in passes),
        residual=torch.stack([p.residual for p in passes]),
        score=torch.stack(
            [score_of(model, (base + d).clamp(0, 1), objective) for d in home]
        ),
        size=torch.stack([d.square().mean(dim=(1, 2, 3)).sqrt() for d in home]),
    )


def commutator(
    model: nn.Module, base: Tensor, layer: str, config: DreamConfig, side: int
) -> Tensor:
    """Compare dreaming a smaller galaxy with shrinking a galaxy's dream."""
    small = resample(base, (side, side))
    octaves = replace(config, octaves=1)  # one scale each, so that only size differs
    below = last_frame(model, small, Energy(layer), octaves) - small
    above = last_frame(model, base, Energy(layer), octaves) - base
    shrunk = resample(above, (side, side))
    difference = (below - shrunk).flatten(1).norm(dim=1)
    relative: Tensor = difference / below.flatten(1).norm(dim=1)
    return relative


def response_curve(
    model: nn.Module, base: Tensor, dreams: Tensor, layer: str, sides: Sequence[int]
) -> Tensor:
    """Show galaxies and their dreams to the layer at other sizes."""
    objective = Energy(layer)
    rows = []
    for side in sides:
        size = (side, side)
        after = score_of(model, resample(dreams, size).clamp(0, 1), objective)
        before = score_of(model, resample(base, size).clamp(0, 1), objective)
        rows.append(after / before)
    return torch.stack(rows)


def chain_numbers(
    model: nn.Module,
    random: nn.Module,
    base: Tensor,
    layers: Sequence[str],
    *,
    config: DreamConfig,
    progress: Callable[[int], None],
) -> dict[str, NDArray[Any]]:
    """Follow re-dreams, and see dreams at other sizes, with two controls."""
    home = base.shape[2]
    sides = [round(home * share) for share in SIDES]
    numbers: defaultdict[str, list[Tensor]] = defaultdict(list)
    kinds = ("trained", model), ("random", random), ("walk", model)
    for done, ((kind, network), layer) in enumerate(product(kinds, layers), 1):
        if kind == "walk":
            walk = random_direction_frames(network, base, Energy(layer), config)
            for frame in walk:
                dreams = frame.images
        else:
            dreams = last_frame(network, base, Energy(layer), config)
            chain = redream_numbers(network, base, layer, RedreamConfig(dream=config))
            for name in ("residual", "score", "size"):
                numbers[f"{kind}_{name}"].append(getattr(chain, name))
            apart = commutator(network, base, layer, config, round(home / 1.4))
            numbers[f"{kind}_commutator"].append(apart)
        curve = response_curve(network, base, dreams, layer, sides)
        numbers[f"{kind}_response"].append(curve)
        progress(done)
    arrays = {name: torch.stack(rows).numpy() for name, rows in numbers.items()}
    return {**arrays, "sides": np.array(chain.sides), "response_sides": np.array(sides)}


def cascade_numbers(
    model: nn.Module,
    base: Tensor,
    layers: Sequence[str],
    *,
    fitting: Tensor,
    config: DreamConfig,
    progress: Callable[[int], None],
) -> dict[str, NDArray[Any]]:
    """Compare dreams with those of a network that forgets from the top down."""
    details = {n: last_frame(model, base, Energy(n), config) - base for n in layers}
    rows: defaultdict[str, list[Any]] = defaultdict(list)
    for name, forgetful in cascade(model, 0, fitting):
        alike = [
            similarity(
                details[layer],
                last_frame(forgetful, base, Energy(layer), config) - base,
            )
            for layer in layers
        ]
        rows["forgotten"].append(name)
        for measure in ("ssim", "cosine"):
            rows[measure].append(torch.stack([a[measure] for a in alike]).numpy())
        progress(len(rows["forgotten"]))
    return {name: np.array(values) for name, values in rows.items()}


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

    def gradient(self, images: Tensor, views: int = 1) -> tuple[Tensor, Tensor]:
        """Score images, and draw a direction."""
        shape = images.shape[1:]
        noise = [torch.randn(shape, generator=g) for g in self.generators]
        drawn = torch.stack(noise).to(images).expand_as(images)
        if not self.keep_spectrum:
            return self.score(images), drawn
        scores, gradient = super().gradient(images, views)
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
    config = config or DreamConfig()
    # Random directions need no views: their average is as random.
    config = replace(
        config, tile=0, views=1, rotate=0.0, rescale=0.0, shift=0.0, flip=False
    )
    check_images(images)
    seed = config.seed if seed is None else seed
    walker = RandomDirection(
        model, objective, images, seed, keep_spectrum=keep_spectrum
    )
    yield from octave_frames(walker, images, config, seed=seed)
