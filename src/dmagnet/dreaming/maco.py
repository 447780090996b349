"""Pictures from nothing but phases: galaxies' own amplitudes, arranged by a network."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmagnet.config.checks import settled
from dmagnet.config.dream_config import DreamConfig, MacoConfig
from dmagnet.dreaming.objectives import Objective
from dmagnet.dreaming.octaves import DreamFrame, check_images, resample
from dmagnet.dreaming.scorer import Scorer, check_gradient
from dmagnet.dreaming.statistics import (
    Statistics,
    decorrelate,
    magnitude_spectrum,
    recolor,
)
from dmagnet.dreaming.steps import even
from dmagnet.storage.records import brief

SMALLEST_VIEW = 64  # px; below, networks see mostly padding
MACO = MacoConfig()
MACO_STEPS = 8  # phases need that many times the steps of an octave


@dataclass(frozen=True, eq=False)
class MacoFrame(DreamFrame):
    """A picture after one step.

    Attributes
    ----------
    unclamped : (B, 3, H, W) Tensor
        The sum of the waves, before it is cut to [0, 1]: its spectrum is the galaxies'.
    importance : (B, H, W) Tensor
        Mean absolute gradient of each pixel over all steps so far: where the objective
        looked.
    """

    unclamped: Tensor
    importance: Tensor

    __repr__ = brief


def fourier_start(
    batch: int,
    height: int,
    width: int | None = None,
    *,
    seed: int = 0,
    statistics: Statistics | None = None,
) -> Tensor:
    """Draw noise that has the mean color, colors and spectrum of galaxies.

    The control that holds no galaxy: a dream that starts here owes nothing to one.

    Parameters
    ----------
    batch : int
        Images to draw.
    height : int
        In px.
    width : int, optional
        In px; as the height if not given.
    seed : int
        Of the phases; image i of a batch depends on the seed, i and the size alone.
    statistics : Statistics, optional
        Those of the package if not given.

    Returns
    -------
    (B, 3, H, W) float32 in [0, 1]
        Random waves.
    """
    size = (height, width or height)
    phases = _random_phases(batch, size, seed)
    return compose(phases, size, statistics).clamp(0, 1)


def compose(
    phases: Tensor, size: tuple[int, int], statistics: Statistics | None = None
) -> Tensor:
    """Add up waves of the galaxies' amplitudes."""
    magnitudes = magnitude_spectrum(*size, statistics).to(phases)
    waves = torch.polar(magnitudes.expand_as(phases), phases)
    colors: Tensor = torch.fft.irfft2(waves, s=size, norm="forward")
    return recolor(colors, statistics)


def _random_phases(batch: int, size: tuple[int, int], seed: int) -> Tensor:
    # Phases of a real image obey the symmetry that free random angles would break.
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(batch, 3, *size, generator=generator)
    phases: Tensor = torch.fft.rfft2(noise).angle()
    return phases


def _symmetric(turns: Tensor, width: int) -> Tensor:
    """Keep phases those of a real image: in columns that mirror themselves."""
    ends = [0, width // 2] if width % 2 == 0 else [0]
    column = turns[..., ends]
    mirrored = column.flip(2).roll(1, dims=2)  # row k meets row -k
    turns = turns.clone()
    turns[..., ends] = (column - mirrored) / 2
    return turns


def _views(
    images: Tensor, num: int, boxes: tuple[float, float], side: int,
    generator: torch.Generator,
) -> Tensor:  # fmt: skip
    """Crop random square boxes of each image and resize them: (B, num, 3, s, s)."""
    batch, _, height, width = images.shape
    low, high = boxes
    drawn = torch.rand(3, batch, num, generator=generator).to(images)
    share = low + (high - low) * drawn[0]
    shorter = min(height, width)
    # Half extents and centers in grid_sample's units, where an image spans -1 to 1.
    half = share[..., None] * images.new_tensor([shorter / width, shorter / height])
    center = (2 * drawn[1:].permute(1, 2, 0) - 1) * (1 - half)
    theta = torch.cat([torch.diag_embed(half), center[..., None]], dim=-1)
    # Where the largest box has more pixels than the view, several make one.
    finer = max(1, math.ceil(high * shorter / side))
    fine = side * finer
    grid = F.affine_grid(
        theta.flatten(0, 1), [batch * num, 3, fine, fine], align_corners=False
    )
    grid = grid.view(batch, num * fine, fine, 2)
    views = F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    views = F.avg_pool2d(views, finer)
    return views.view(batch, 3, num, side, side).transpose(1, 2)


def maco_frames(
    model: nn.Module,
    objective: Objective,
    *,
    start: Tensor | None = None,
    statistics: Statistics | None = None,
    config: MacoConfig = MACO,
    **settings: Any,
) -> Iterator[MacoFrame]:
    """Find the phases that an objective wants, with the amplitudes of galaxies.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] in; it is copied and never touched.
    objective : Objective
        What to climb.
    start : (B, 3, H, W) Tensor in [0, 1], optional
        Images whose phases to start from, on any device; random phases if not given.
    statistics : Statistics, optional
        Amplitudes and colors; those of the package if not given.
    config : MacoConfig
        Size, steps, crops and the rest.
    **settings
        Fields of ``config`` by name, in its place: ``steps=64``...

    Yields
    ------
    MacoFrame
        One for each step; ``scores`` is the mean over the crops before the step.

    Raises
    ------
    DataError
        If `start` is no batch of images.
    ConfigError
        If the network has no such layer, if the objective has no gradient, or if a
        setting is out of range.

    Notes
    -----
    MACO (Fel et al. 2023, arXiv:2306.06805, section 3): the magnitude of each wave is
    fixed and only its phase climbs, by NAdam (Dozat 2016). Deviations: amplitudes and
    colors are those of galaxies instead of ImageNet's, as a mean over all directions;
    phases keep the symmetry of a real image, so that the amplitudes are exact; the
    picture is cut to [0, 1] instead of squeezed by a sigmoid, because the sky has a
    true black; boxes are larger, because a galaxy fills its frame, and drawn evenly
    between their limits all the time; crops average over the pixels they shrink;
    steps are 0.3 instead of 1, with which fine waves still wander after 100 steps.
    """
    config = settled(maco_frames, config, settings)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    if start is None:
        shape = (config.size, config.size)
        phases = _random_phases(config.batch, shape, config.seed).to(device)
    else:
        check_images(start)
        shape = (start.shape[2], start.shape[3])
        colors = decorrelate(start.float(), statistics)
        phases = torch.fft.rfft2(colors).angle().to(device)
    side = config.view or max(max(shape) // 2, SMALLEST_VIEW)
    picture = compose(phases, shape, statistics).clamp(0, 1)
    scorer = Scorer(model, objective, resample(picture, (side, side)))
    yield from _turned(scorer, phases, shape, statistics, replace(config, view=side))


def maco_dream(
    scorer: Scorer, images: Tensor, config: DreamConfig, seed: int | Sequence[int]
) -> Iterator[DreamFrame]:
    """Turn the phases of images with a network that is prepared already.

    Each image alone: rounding of a batch would grow into another picture.
    """
    seeds = seed if isinstance(seed, Sequence) else [seed] * len(images)
    each = [
        _turned_alone(scorer, image, config, own)
        for image, own in zip(torch.split(images, 1), seeds, strict=True)
    ]
    for frames in zip(*each, strict=True):
        yield DreamFrame(
            torch.cat([frame.images for frame in frames]),
            torch.cat([frame.scores for frame in frames]),
            octave=0, step=frames[0].step, octaves=1,
        )  # fmt: skip


def _turned_alone(
    scorer: Scorer, image: Tensor, config: DreamConfig, seed: int
) -> Iterator[MacoFrame]:
    """Turn the phases of one image (1, 3, H, W)."""
    size, smallest = (image.shape[2], image.shape[3]), scorer.smallest
    own = MacoConfig(
        steps=MACO_STEPS * config.steps, seed=seed, crops=config.views,
        boxes=(0.9, 1.0), view=max(smallest, max(size) // 2),
    )  # fmt: skip
    phases = torch.fft.rfft2(decorrelate(image.float())).angle()
    alone = Scorer(
        scorer.network, scorer.objective, image, own=False, smallest=smallest
    )
    return _turned(alone, phases, size, None, own)


def _turned(
    scorer: Scorer, phases: Tensor, shape: tuple[int, int],
    statistics: Statistics | None, config: MacoConfig,
) -> Iterator[MacoFrame]:  # fmt: skip
    """Climb in the phases."""
    side, generator = config.view or 0, torch.Generator().manual_seed(config.seed)
    turns = torch.zeros_like(phases, requires_grad=True)
    optimizer = torch.optim.NAdam([turns], lr=config.lr)
    importance = phases.new_zeros(len(phases), *shape)

    def _unclamped() -> Tensor:
        return compose(phases + _symmetric(turns, shape[1]), shape, statistics)

    for step in range(1, config.steps + 1):
        with torch.enable_grad():
            picture = _unclamped().clamp(0, 1)
            views = _views(picture, config.crops, config.boxes, side, generator)
        scores, slope = _climb(scorer, views, config.noise, generator)
        check_gradient(slope.flatten(1, 2), scorer.objective)
        (at_pixels,) = torch.autograd.grad(views, picture, slope, retain_graph=True)
        # NAdam does not mind the scale of a gradient, but its epsilon does.
        (turns.grad,) = torch.autograd.grad(picture, turns, -even(at_pixels))
        optimizer.step()
        strength = at_pixels.abs().mean(dim=1)
        importance = importance + (strength - importance) / step
        with torch.no_grad():
            now = _unclamped()
        yield MacoFrame(
            images=now.clamp(0, 1), scores=scores, octave=0, step=step, octaves=1,
            unclamped=now, importance=importance,
        )  # fmt: skip


def _climb(
    scorer: Scorer, views: Tensor, noise: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Score all views (B, n, 3, s, s), the same crop of all pictures at a time."""
    seen = views.detach()
    level = noise * torch.rand(views.shape[:2], generator=generator)
    grain = torch.randn(views.shape, generator=generator) * level[..., None, None, None]
    seen = (seen + grain.to(seen)).clamp(0, 1)
    pairs = [scorer.gradient(crop) for crop in seen.unbind(dim=1)]
    scores = torch.stack([score for score, _ in pairs]).mean(dim=0)
    return scores, torch.stack([slope for _, slope in pairs], dim=1) / len(pairs)
