"""The same galaxy with and without what makes its class: exact counterfactuals."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from dmagnet.pictures.bands import legacy_rgb
from dmagnet.simulator.dice import Dice
from dmagnet.simulator.grid import PIXEL_ARCSEC, Grid
from dmagnet.simulator.scene import Change, add_galaxies
from dmagnet.simulator.truth import Discs

BARRED, TIGHT, LOOSE = 5, 6, 7
FAINTEST = 0.035  # of white: where pictures.standard takes a galaxy to end
LEAST_SHARE = 0.15  # of the light at a place that a bar or arms must have added
SMEARED_PX = 5  # side of the box that stands for the seeing
LEAST_PX = 40  # of 256 x 256; where less was added, the whole galaxy counts


def without_bars(labels: Tensor, galaxies: Any) -> Any:
    """Take the bars away: the disc keeps their light, and goes on below them.

    Parameters
    ----------
    labels : (N,) int Tensor
        Class of each galaxy.
    galaxies : Discs or another record
        Of `dmagnet.simulator.truth`.

    Returns
    -------
    Discs or another record
        Those of class 5 without a bar, all others as they were.
    """
    if not isinstance(galaxies, Discs):
        return galaxies
    kept = (labels != BARRED).float()
    return replace(
        galaxies, bars=replace(galaxies.bars, share=galaxies.bars.share * kept)
    )


def without_arms(labels: Tensor, galaxies: Any) -> Any:
    """Take arms, their ring, knots and dust away from spirals without a bar.

    Parameters
    ----------
    labels, galaxies : (N,) int Tensor, Discs or another record
        As of `without_bars`.

    Returns
    -------
    Discs or another record
        Those of the classes 6 and 7 without arms, all others as they were.
    """
    if not isinstance(galaxies, Discs):
        return galaxies
    kept = ((labels != TIGHT) & (labels != LOOSE)).float()
    arms = galaxies.arms
    names = ("strength", "ring", "knots", "dust")
    return replace(
        galaxies,
        arms=replace(arms, **{name: getattr(arms, name) * kept for name in names}),
    )


def class_masks(
    labels: Tensor,
    *,
    image_size: int = 256,
    field: float = 1.0,
    generator: torch.Generator,
) -> Tensor:
    """Draw where galaxies show their class.

    Parameters
    ----------
    labels : (B,) int in {0, ..., 9}
        Class of each galaxy; see `dmagnet.classes`.
    image_size : int, from 128
        Side of the images in pixels.
    field : float in (0, 1]
        As of `draw`.
    generator : torch.Generator
        As it is before `draw` draws these galaxies; it is not moved on.

    Returns
    -------
    (B, H, W) float32 in [0, 1]
        For bars and arms the share of the light that they add, at its largest 1; for
        all others 1 on the galaxy. Neighbors and stars are no part of it.

    Notes
    -----
    From the light before the atmosphere, with and without bar or arms, each smeared
    over 5 px.
    """
    state = generator.get_state()
    grid = Grid.of_frame(image_size, labels.device, field)

    def _light(change: Change | None) -> Tensor:
        generator.set_state(state)
        light = torch.zeros(len(labels), 3, grid.size, grid.size, device=labels.device)
        dice = Dice(generator, len(labels), labels.device)
        add_galaxies(light, labels, grid, dice, change)
        return light * PIXEL_ARCSEC**2

    whole = _light(None)
    plain = _light(lambda kinds, some: without_arms(kinds, without_bars(kinds, some)))
    generator.set_state(state)
    above = legacy_rgb(whole) - legacy_rgb(torch.zeros_like(whole[:1]))
    own = (_smeared(above) > FAINTEST).float()
    ratio = _smeared(plain) / _smeared(whole).clamp(min=1e-9)
    added = (1 - ratio).clamp(0, 1) * own
    added = added * (added > LEAST_SHARE)
    special = (labels >= BARRED) & (labels <= LOOSE)
    special &= (added > 0).sum(dim=(1, 2)) >= LEAST_PX * (image_size / 256) ** 2
    peak = added.amax(dim=(1, 2), keepdim=True).clamp(min=1e-9)
    return torch.where(special[:, None, None], added / peak, own)


def _smeared(light: Tensor) -> Tensor:
    """Average over colors and a few pixels: (B, H, W)."""
    mean = light.mean(dim=1, keepdim=True)
    return F.avg_pool2d(mean, SMEARED_PX, 1, SMEARED_PX // 2)[:, 0]
