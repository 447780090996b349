"""A whole frame: the galaxy of a class, its company, the sky, and the picture."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from dmagnet.pictures.bands import legacy_rgb
from dmagnet.simulator import population, sky
from dmagnet.simulator.dice import Dice
from dmagnet.simulator.grid import PIXEL_ARCSEC, Grid, Pose
from dmagnet.simulator.render import (
    disc_knots,
    edge_on_knots,
    render_discs,
    render_edge_ons,
    render_spheroids,
)
from dmagnet.simulator.truth import pick

MARGIN_ARCSEC = 4.19  # 16 px of 256: the frame becomes 288 px, a fast length for FFTs
CACHED_PX = 2**18  # of one band: what a processor keeps close
MIN_GRID = 128  # coarser pixels than 0.52 arcsec would undersample the seeing
# Galaxy10's images carry the quantization tables of the first of these qualities.
QUALITIES, SHARES = (75.0, 85.0, 92.0), (0.85, 0.1, 0.05)
FINE_PX = 1.5  # of the survey's: larger pixels have averaged much of it away
QUARTERED, WHOLE = 2, 0  # 4:2:0 and 4:4:4, as Pillow counts them

Change = Callable[[Tensor, Any], Any]


def draw(
    labels: Tensor,
    *,
    image_size: int = 256,
    field: float = 1.0,
    generator: torch.Generator,
    change: Change | None = None,
) -> Tensor:
    """Draw galaxies as the Legacy Survey viewer shows them.

    Parameters
    ----------
    labels : (B,) int in {0, ..., 9}
        Class of each galaxy; see `dmagnet.classes`.
    image_size : int, from 32
        Side of the images in pixels.
    field : float in (0, 1]
        Share of the frame's 67 arcsec that the images show, around its center.
    generator : torch.Generator
        Source of all randomness.
    change : callable, optional
        Takes the labels and a record, and returns the record to draw: first the
        `Members` of all frames, then the `dmagnet.simulator.truth` record of all
        galaxies of each kind. All else, noise included, is as without it.

    Returns
    -------
    (B, 3, H, W) uint8
        Red, green, blue, after the viewer's JPEG compression.
    """
    flux = draw_flux(
        labels, image_size=image_size, field=field, generator=generator, change=change
    )
    pictures = (legacy_rgb(flux) * 255).round().to(torch.uint8)
    grid = Grid.of_frame(image_size, labels.device, field)
    return as_jpeg(pictures, grid, Dice(generator, len(labels), labels.device))


def draw_flux(
    labels: Tensor,
    *,
    image_size: int = 256,
    field: float = 1.0,
    generator: torch.Generator,
    change: Change | None = None,
) -> Tensor:
    """Draw galaxies as a survey's coadds hold them.

    Parameters
    ----------
    labels : (B,) int in {0, ..., 9}
        Class of each galaxy; see `dmagnet.classes`.
    image_size : int, from 32
        Side of the images in pixels.
    field : float in (0, 1]
        Share of the frame's 67 arcsec that the images show, around its center.
    generator : torch.Generator
        Source of all randomness; with one of the CPU the galaxies are the same on
        any device.
    change : callable, optional
        As of `draw`.

    Returns
    -------
    (B, 3, H, W) float32
        Nanomaggies in g, r, z per area of one survey pixel (0.262 arcsec squared):
        the surface brightness, and so the picture, is the same at any size.

    Notes
    -----
    Below 128 px a frame, it is drawn finer and averaged. The galaxy, knots, stars and
    neighbors are added up, blurred by one Moffat function per band, and get noise.
    """
    finer = math.ceil(MIN_GRID * field / image_size)
    grid = Grid.of_frame(image_size * finer, labels.device, field)
    dice = Dice(generator, len(labels), labels.device)
    light = light_of_galaxies(labels, grid, dice, change)
    # Light from beyond the frame is blurred into it: galaxies go on, stars are drawn.
    margin = margin_px(grid)
    light = F.pad(light, (margin,) * 4, mode="replicate")
    sky.add_neighbors(light, grid.wider(margin), dice)
    sky.add_stars(light, grid.wider(margin), dice)
    fwhm, beta = sky.draw_seeing(dice)
    inside = slice(margin, -margin)
    flux = torch.empty(len(labels), 3, grid.size, grid.size, device=labels.device)
    for part in _parts(labels, grid):
        blurred = sky.blur(light[part], fwhm[part] / grid.scale, beta[part])
        torch.mul(blurred[..., inside, inside], PIXEL_ARCSEC**2, out=flux[part])
    if finer > 1:
        flux = F.avg_pool2d(flux, finer)
    return sky.add_noise(flux, Grid.of_frame(image_size, labels.device, field), dice)


def margin_px(grid: Grid) -> int:
    """Return how far beyond the frame sources are drawn."""
    return math.ceil(MARGIN_ARCSEC / grid.scale)


def as_jpeg(images: Tensor, grid: Grid, dice: Dice) -> Tensor:
    """Write pictures as JPEG and read them again."""
    quality = dice.choice(QUALITIES, SHARES)
    coarse = grid.scale > FINE_PX * PIXEL_ARCSEC
    if coarse:
        quality = (100 + quality) / 2
    sampling = WHOLE if coarse else QUARTERED
    pictures = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    for picture, level in zip(pictures, quality.tolist(), strict=True):
        buffer = io.BytesIO()
        drawn = Image.fromarray(picture)
        drawn.save(buffer, "JPEG", quality=round(level), subsampling=sampling)
        picture[:] = np.asarray(Image.open(buffer))
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).to(images.device)


@dataclass(frozen=True)
class Members:
    """The galaxies of all frames: one each, and two where they merge."""

    owner: Tensor
    label: Tensor
    smooth: Tensor
    x: Tensor
    y: Tensor
    size: Tensor
    age: Tensor
    second: Tensor  # whether it is the companion of another
    companion: Tensor  # share of its light that it keeps if it is one

    def place(self, pose: Pose) -> Pose:
        """Move a centered pose to where the galaxies are."""
        return Pose(pose.x + self.x, pose.y + self.y, pose.angle)


def _members(labels: Tensor, dice: Dice) -> Members:
    """Cast the galaxies of each frame; a merger's primary is off center by a third."""
    merging = labels == population.MERGING
    owner = torch.arange(len(labels), device=labels.device)
    early, plain = dice.chance(0.35), dice.chance(0.6)
    apart, toward = dice.lognormal(5.9, 0.4, 2.6, 12.0), dice.angle()
    x, y = apart * toward.cos() * merging, apart * toward.sin() * merging
    lead = dice.uniform(0.0, 0.5)
    near = dice.lognormal(1.0, 0.2, 0.6, 1.6)  # how large the frame's galaxies appear
    age = dice.noise(dice.num)
    each = {
        "owner": (owner, owner),
        "label": (labels, labels),
        "smooth": (
            (labels >= population.ROUND) & (labels <= population.CIGAR) & plain
            | merging & early,
            early & dice.chance(0.8) | dice.chance(0.15),
        ),
        "x": (-lead * x, (1 - lead) * x),
        "y": (-lead * y, (1 - lead) * y),
        "size": (near, near * dice.uniform(0.65, 1.1)),
        # Galaxies that meet are alike in color.
        "age": (age, 0.8 * age + 0.6 * dice.noise(dice.num)),
        "second": (torch.zeros_like(merging), torch.ones_like(merging)),
        "companion": (torch.ones_like(near), torch.ones_like(near)),
    }
    return Members(
        **{name: torch.cat((a, b[merging])) for name, (a, b) in each.items()}
    )


def light_of_galaxies(
    labels: Tensor, grid: Grid, dice: Dice, change: Change | None = None
) -> Tensor:
    """Draw the galaxies of all frames: (B, 3, H, W) nanomaggies per square arcsec."""
    light = torch.zeros(len(labels), 3, grid.size, grid.size, device=labels.device)
    everyone = _members(labels, dice)
    if change is not None:
        everyone = change(everyone.label, everyone)
    edge_on = everyone.label >= population.THIN
    smooth = everyone.smooth
    kinds: tuple[tuple[Tensor, Any, Any, Any], ...] = (
        (smooth, population.draw_spheroids, render_spheroids, None),
        (~smooth & ~edge_on, population.draw_discs, render_discs, disc_knots),
        (edge_on, population.draw_edge_ons, render_edge_ons, edge_on_knots),
    )
    for chosen, draw_kind, render, knots in kinds:
        some = pick(everyone, chosen)
        own = dice.of(len(some.owner))
        galaxies = draw_kind(some.label, some.size, own, some.age)
        galaxies = replace(galaxies, pose=some.place(galaxies.pose))
        if change is not None:
            galaxies = change(some.label, galaxies)
        kept = torch.where(some.second, some.companion, 1.0)
        bands = (1,) * (galaxies.flux.ndim - 1)  # (N,) or (N, 3)
        galaxies = replace(galaxies, flux=galaxies.flux * kept.view(-1, *bands))
        for part in _parts(some.owner, grid):
            light.index_add_(0, some.owner[part], render(pick(galaxies, part), grid))
        if knots:
            sky.add_points(light, some.owner, *knots(galaxies, own), grid=grid)
    return light


def _parts(rows: Tensor, grid: Grid) -> list[slice]:
    """Cut a batch so that an image per row fits into a processor's cache."""
    step = max(1, CACHED_PX // grid.size**2) if rows.device.type == "cpu" else len(rows)
    return [slice(i, i + step) for i in range(0, len(rows), max(step, 1))]
