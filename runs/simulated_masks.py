"""Where simulated galaxies show their class: masks for training and for its tests."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dmagnet.config import SimulateConfig
from dmagnet.pictures import legacy_rgb
from dmagnet.simulator import simulate_chunks
from dmagnet.simulator.datasets import CHUNK, chunk_seed
from dmagnet.simulator.grid import Grid
from dmagnet.simulator.pairs import ARMS, FAINTEST, LEAST_SHARE, scene_light
from dmagnet.simulator.population import BARRED, LOOSE, TIGHT
from dmagnet.simulator.truth import Discs, get, put

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
    return put(galaxies, "bars.share", galaxies.bars.share * kept)


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
    for name in ARMS:
        galaxies = put(galaxies, name, get(galaxies, name) * kept)
    return galaxies


def class_masks(
    labels: Tensor,
    *,
    image_size: int = 256,
    field: float = 1.0,
    generator: torch.Generator,
) -> Tensor:
    """Draw where galaxies show their class: (B, H, W) in [0, 1].

    For bars and arms the share of the light that they add, at its largest 1, of the
    light before the atmosphere smeared over 5 px; for all others 1 on the galaxy. The
    generator is as it is before `draw` draws these galaxies, and is not moved on.
    """
    grid = Grid.of_frame(image_size, labels.device, field)
    whole = scene_light(labels, grid, generator)
    plain = scene_light(labels, grid, generator, without_bars, without_arms)
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


def simulate_masked(
    config: SimulateConfig, *, start: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Draw the images and labels of `simulate_chunks`, and masks from 0 to 255."""
    pieces = simulate_chunks(config, start=start)
    for chunk, (images, labels) in enumerate(pieces, start // CHUNK):
        first = chunk * CHUNK
        generator = torch.Generator().manual_seed(chunk_seed(config.seed, chunk))
        masks = class_masks(
            torch.arange(first, first + CHUNK) % 10, image_size=config.image_size,
            field=config.field, generator=generator,
        )  # fmt: skip
        wanted = masks[max(start - first, 0) : start + config.num - first]
        yield images, labels, (wanted * 255).round().to(torch.uint8).numpy()
