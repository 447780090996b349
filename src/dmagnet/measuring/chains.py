"""What resolution does to dreams: re-dreams in a chain, dreams at other sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.config.dream_config import DreamConfig, RedreamConfig
from dmagnet.dreaming.layers import read
from dmagnet.dreaming.objectives import Energy, Objective
from dmagnet.dreaming.octaves import dream_frames, resample
from dmagnet.dreaming.redream import Pass, redream_frames
from dmagnet.measuring.controls import cascade
from dmagnet.measuring.stability import similarity
from dmagnet.measuring.walks import random_direction_frames

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
    numbers: dict[str, list[Tensor]] = {}
    done = 0
    for kind, network in (("trained", model), ("random", random), ("walk", model)):
        for layer in layers:
            if kind == "walk":
                for frame in random_direction_frames(
                    network, base, Energy(layer), config
                ):
                    dreams = frame.images
            else:
                dreams = last_frame(network, base, Energy(layer), config)
                chain = redream_numbers(
                    network, base, layer, RedreamConfig(dream=config)
                )
                for name in ("residual", "score", "size"):
                    numbers.setdefault(f"{kind}_{name}", []).append(
                        getattr(chain, name)
                    )
                numbers.setdefault(f"{kind}_commutator", []).append(
                    commutator(network, base, layer, config, round(home / 1.4))
                )
            curve = response_curve(network, base, dreams, layer, sides)
            numbers.setdefault(f"{kind}_response", []).append(curve)
            done += 1
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
    forgotten, ssim, cosine = [], [], []
    for name, forgetful in cascade(model, 0, fitting):
        alike = [
            similarity(
                details[layer],
                last_frame(forgetful, base, Energy(layer), config) - base,
            )
            for layer in layers
        ]
        forgotten.append(name)
        ssim.append(torch.stack([a["ssim"] for a in alike]))
        cosine.append(torch.stack([a["cosine"] for a in alike]))
        progress(len(forgotten))
    return {
        "forgotten": np.array(forgotten),
        "ssim": torch.stack(ssim).numpy(),
        "cosine": torch.stack(cosine).numpy(),
    }
