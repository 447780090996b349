"""What resolution does to dreams: re-dreams in a chain, dreams at other sizes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.config import DreamConfig, RedreamConfig
from dmagnet.dreams import (
    Energy,
    Objective,
    Pass,
    dream_frames,
    read,
    redream_frames,
    resample,
)
from dmagnet.measures.controls import cascade
from dmagnet.measures.stability import similarity
from dmagnet.measures.walks import random_direction_frames

SIDES = (0.5, 0.71, 0.84, 1.0, 1.19, 1.41, 2.0)  # of the galaxy's own


@dataclass(frozen=True, eq=False)
class ChainNumbers:
    """What a re-dream did in each of its passes.

    Attributes
    ----------
    sides : tuple of int
        Side of each pass, in px.
    residual : (P, B) Tensor
        Change of the detail over the detail before; NaN in the first pass.
    score : (P, B) Tensor
        Of the galaxy plus the detail of each pass, both at the galaxy's own size.
    size : (P, B) Tensor
        Root mean square of the detail.
    """

    sides: tuple[int, ...]
    residual: Tensor
    score: Tensor
    size: Tensor


def last_frame(
    model: nn.Module, images: Tensor, objective: Objective, config: DreamConfig
) -> Tensor:
    """Dream to the end.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] in.
    images : (B, 3, H, W) float in [0, 1]
        Where to start.
    objective : Objective
        What to climb.
    config : DreamConfig
        How to dream.

    Returns
    -------
    (B, 3, H, W) Tensor in [0, 1]
        The dreams.
    """
    for frame in dream_frames(model, images, objective, config):
        dream = frame.images
    return dream


@torch.no_grad()
def score_of(model: nn.Module, images: Tensor, objective: Objective) -> Tensor:
    """Score images without dreaming.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode.
    images : (B, 3, H, W) float in [0, 1]
        Images.
    objective : Objective
        Needs no start.

    Returns
    -------
    (B,) Tensor
        Scores.
    """
    return objective(read(model, images, objective.layers))


def redream_numbers(
    model: nn.Module, base: Tensor, layer: str, config: RedreamConfig
) -> ChainNumbers:
    """Re-dream galaxies and follow the chain.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode.
    base : (B, 3, H, W) float in [0, 1]
        Galaxies.
    layer : str
        What to dream.
    config : RedreamConfig
        Schedule and dream.

    Returns
    -------
    ChainNumbers
        One row a pass.
    """
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
    """Compare dreaming a smaller galaxy with shrinking a galaxy's dream.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode.
    base : (B, 3, H, W) float in [0, 1]
        Square galaxies.
    layer : str
        What to dream.
    config : DreamConfig
        How to dream.
    side : int
        The smaller side, in px.

    Returns
    -------
    (B,) Tensor
        With P the resampling and D the detail that a dream adds: the norm of
        D(P x) - P(D x), over that of D(P x). 0 where scale does not matter; about the
        square root of 2 where the two have nothing in common and equal size.
    """
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
    """Show galaxies and their dreams to the layer at other sizes.

    Parameters
    ----------
    model : nn.Module
        In evaluation mode.
    base : (B, 3, H, W) float in [0, 1]
        Square galaxies.
    dreams : (B, 3, H, W) float in [0, 1]
        Their dreams.
    layer : str
        The layer that was dreamed.
    sides : sequence of int
        Sizes to look at, in px.

    Returns
    -------
    (R, B) Tensor
        Energy of the dream over that of the galaxy at each size: flat for a dream that
        works at every size, a peak for one that fits only its own.
    """
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
    """Follow re-dreams, and see dreams at other sizes, with two controls.

    Parameters
    ----------
    model : nn.Module
        The trained network.
    random : nn.Module
        A network with random weights.
    base : (B, 3, H, H) float in [0, 1]
        Galaxies.
    layers : sequence of str
        L layers.
    config : DreamConfig
        How to dream.
    progress : callable
        Called with the number of layers done so far, those of the controls included.

    Returns
    -------
    dict of str to ndarray
        ``sides`` (P,) of the re-dream; for KIND in trained, random (weights) and walk
        (the trained network, but steps in random directions of the same size):
        ``KIND_response`` (L, R, B) at ``response_sides``, ``KIND_commutator`` (L, B),
        and but for the walk ``KIND_residual``, ``KIND_score``, ``KIND_size``
        (L, P, B).
    """
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
    """Compare dreams with those of a network that forgets from the top down.

    Parameters
    ----------
    model : nn.Module
        The trained network.
    base : (B, 3, H, H) float in [0, 1]
        Galaxies.
    layers : sequence of str
        L layers to dream.
    fitting : (N, 3, H, H) float in [0, 1]
        Galaxies to which the norms of forgetful layers are fitted.
    config : DreamConfig
        How to dream.
    progress : callable
        Called with the number of layers forgotten so far.

    Returns
    -------
    dict of str to ndarray
        ``forgotten`` (K,) names from the top down; ``ssim`` and ``cosine`` (K, L, B)
        of the details with those of the trained network, 1 for the same dream.
    """
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
