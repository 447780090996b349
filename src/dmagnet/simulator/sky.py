"""Stars, neighbors, seeing and noise: all between a galaxy and its picture."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dmagnet.simulator.dice import Dice
from dmagnet.simulator.grid import PIXEL_ARCSEC, Grid, Pose
from dmagnet.simulator.population import bands, nanomaggies
from dmagnet.simulator.profiles import exponential, moffat_kernel

# Median seeing in g, r, z of DECaLS (Dey et al. 2019, AJ 157, 168), and the noise of
# a pixel of 0.262 arcsec in nanomaggies: with it the sky of the pictures has the level
# and the grain, color by color, of Galaxy10's.
SEEING_ARCSEC = (1.29, 1.18, 1.11)
NOISE = (0.0024, 0.0042, 0.0070)
# Resampling a coadd mixes neighbors: weights of a pixel's next and next but one. The
# second is negative, as in the Lanczos kernels that surveys resample with.
MIXING = (0.22, -0.07)
STAMP_ARCSEC = 9.0  # side of a neighbor's picture


@dataclass(frozen=True)
class Crowd:
    """Sources that lie over a frame by chance."""

    per_arcmin2: float
    slope: float  # their counts rise as 10^(slope r)
    brightest: float  # magnitude in r, as the next
    faintest: float
    inner_arcsec: float = 0.0  # so far from the middle none is brighter than the next
    brightest_inside: float = 0.0


# At high galactic latitude; about four stars a frame.
STARS = Crowd(3.2, 0.25, 15.0, 23.0, 12.0, 18.5)
# Counts of galaxies: Tyson (1988, AJ 96, 1). None bright enough for a merger lies in
# the middle.
NEIGHBORS = Crowd(14.0, 0.35, 18.5, 24.0, 8.0, 21.0)
# Smaller than the seeing. 56 of both kinds a frame, real ones have 54: docs/log.md.
FAINT = Crowd(40.0, 0.35, 22.8, 25.0)


def blur(images: Tensor, fwhm_px: Tensor, beta: Tensor) -> Tensor:
    """Convolve images with Moffat point-spread functions; flux is kept."""
    kernel = torch.fft.rfft2(moffat_kernel(fwhm_px, beta, images.shape[-1]))
    # The kernel is even, so its transform is real.
    spectrum = torch.fft.rfft2(images) * kernel.real
    blurred: Tensor = torch.fft.irfft2(spectrum, s=images.shape[-2:])
    return blurred


def draw_seeing(dice: Dice) -> tuple[Tensor, Tensor]:
    """Draw the seeing of each frame and band."""
    median = torch.tensor(SEEING_ARCSEC, device=dice.device)
    night = dice.lognormal(1.0, 0.10, 0.8, 1.4)[:, None]
    band = 1 + 0.05 * dice.noise(dice.num, 3).clamp(-2, 2)
    beta = dice.normal(3.2, 0.4, 2.5, 4.5)[:, None].expand(-1, 3)
    return median * night * band, beta


def add_points(
    images: Tensor, owner: Tensor, x: Tensor, y: Tensor, flux: Tensor, *, grid: Grid
) -> None:
    """Add point sources in place; each is shared among its four nearest pixels."""
    column, row = (c / grid.scale + (grid.size - 1) / 2 for c in (x, y))
    owner = owner.view(-1, *(1,) * (x.ndim - 1)).expand_as(x)
    left, top = column.floor(), row.floor()
    for dx in (0, 1):
        for dy in (0, 1):
            weight = (1 - (column - left - dx).abs()) * (1 - (row - top - dy).abs())
            at_x, at_y = (left + dx).long(), (top + dy).long()
            inside = (at_x >= 0) & (at_x < grid.size) & (at_y >= 0) & (at_y < grid.size)
            light = flux * (weight / grid.scale**2)[..., None]
            pixel = (owner[inside], at_y[inside], at_x[inside])
            images.permute(0, 2, 3, 1).index_put_(pixel, light[inside], accumulate=True)


def add_stars(images: Tensor, grid: Grid, dice: Dice) -> None:
    """Add foreground stars in place."""
    # Colors of red dwarfs and of bluer turn-off stars on the stellar locus (Covey et
    # al. 2007, AJ 134, 2398).
    owner, star, x, y, magnitude = _scattered(STARS, grid, dice)
    dwarf = star.chance(0.55)
    magnitude = torch.where(dwarf, magnitude.clamp(min=17.0), magnitude)
    g_r = torch.where(dwarf, star.normal(1.4, 0.12), star.normal(0.45, 0.18))
    r_z = torch.where(dwarf, star.uniform(0.9, 2.0), 0.55 * g_r)
    flux = nanomaggies(magnitude)[:, None] * bands(g_r, r_z)
    add_points(images, owner, x, y, flux, grid=grid)


def add_neighbors(images: Tensor, grid: Grid, dice: Dice) -> None:
    """Add small background galaxies in place: faint exponential discs, and points."""
    owner, field, x, y, magnitude = _scattered(FAINT, grid, dice)
    g_r = field.normal(0.8, 0.5, -0.1, 1.9)
    r_z = 0.6 * g_r + field.normal(0.2, 0.2)
    flux = nanomaggies(magnitude)[:, None] * bands(g_r, r_z)
    add_points(images, owner, x, y, flux, grid=grid)
    owner, field, x, y, magnitude = _scattered(NEIGHBORS, grid, dice)
    # Sizes shrink with magnitude.
    h = field.lognormal(0.38 * 10 ** (0.07 * (22.5 - magnitude)), 0.35, 0.12, 1.4)
    ratio, angle = field.uniform(0.3, 1.0), field.angle()
    g_r = field.normal(0.85, 0.4, 0.1, 1.8)
    r_z = 0.6 * g_r + field.normal(0.15, 0.12)
    flux = nanomaggies(magnitude)[:, None] * bands(g_r, r_z)

    side = math.ceil(STAMP_ARCSEC / grid.scale) | 1
    steps = torch.arange(side, device=grid.device) - side // 2
    columns, rows = (
        (c / grid.scale + (grid.size - 1) / 2).round().long()[:, None] + steps
        for c in (x, y)
    )
    axis = (steps * grid.scale).float().expand(len(owner), -1)
    nowhere = torch.zeros_like(x)
    along, across = Pose(nowhere, nowhere, angle).along_across(axis, axis)
    radius = (along**2 + (across / ratio[:, None, None]) ** 2).sqrt()
    light = exponential(radius, h[:, None, None].clamp(min=0.5 * grid.scale))
    light = light / (light.sum(dim=(1, 2), keepdim=True) * grid.scale**2)
    last = grid.size - 1
    light = light * (rows == rows.clamp(0, last))[:, :, None]
    light = light * (columns == columns.clamp(0, last))[:, None, :]
    rows, columns = rows.clamp(0, last), columns.clamp(0, last)
    pixel = owner[:, None, None] * 3 * grid.size**2
    pixel = pixel + rows[:, :, None] * grid.size + columns[:, None, :]
    for band in range(3):
        images.view(-1).index_add_(
            0,
            (pixel + band * grid.size**2).flatten(),
            (light * flux[:, band, None, None]).flatten(),
        )


def add_noise(images: Tensor, grid: Grid, dice: Dice) -> Tensor:
    """Add the noise of the night sky."""
    pixels = grid.scale / PIXEL_ARCSEC
    sigma = torch.tensor(NOISE, device=grid.device) * dice.lognormal(1.0, 0.18)[:, None]
    sigma = sigma * (1 + 0.1 * dice.noise(dice.num, 3).clamp(-2, 2))
    coarse = pixels >= 1.5
    size = grid.size if pixels >= 1 else round(grid.size * pixels)
    noise = dice.noise(dice.num, 3, size, size)
    if coarse:
        # The mean of k pixels sees the correlation at a lag as (1 - lag / k) of it.
        shares = (2 * r * max(0.0, 1 - lag / pixels) for lag, r in _correlations())
        sigma = sigma / pixels * (1 + sum(shares))
    else:
        noise = _mixed(_mixed(noise).mT).mT
    if size != grid.size:
        noise = F.interpolate(noise, (grid.size, grid.size), mode="bilinear")
    return images + noise.mul_(sigma[:, :, None, None])


def _taps() -> tuple[float, ...]:
    """Return weights of a pixel and of its neighbors that keep the variance."""
    norm = (1 + 2 * sum(weight**2 for weight in MIXING)) ** 0.5
    return tuple(weight / norm for weight in (*MIXING[::-1], 1.0, *MIXING))


def _correlations() -> list[tuple[int, float]]:
    """Correlate the mixed noise with itself at lags of one pixel and more."""
    taps = _taps()
    return [
        (lag, sum(a * b for a, b in zip(taps, taps[lag:], strict=False)))
        for lag in range(1, len(taps))
    ]


def _mixed(noise: Tensor) -> Tensor:
    """Mix neighbors along the last axis."""
    taps, width = _taps(), noise.shape[-1]
    padded = F.pad(noise, (2, 2, 0, 0), mode="circular")
    mixed = taps[2] * noise
    for lag in (1, 2):
        near = padded[..., 2 - lag : 2 - lag + width]
        near = near + padded[..., 2 + lag : 2 + lag + width]
        mixed.add_(near, alpha=taps[2 + lag])
    return mixed


def _scattered(
    crowd: Crowd, grid: Grid, dice: Dice
) -> tuple[Tensor, Dice, Tensor, Tensor, Tensor]:
    """Scatter sources: their frames, dice for them, x and y in arcsec, magnitude."""
    owner = _owners(crowd.per_arcmin2 * grid.area_arcmin2, dice)
    each = dice.of(len(owner))
    half = grid.scale * grid.size / 2
    x, y = each.uniform(-half, half), each.uniform(-half, half)
    # The inverse of the cumulative counts.
    low, high = (10 ** (crowd.slope * m) for m in (crowd.brightest, crowd.faintest))
    magnitude = each.uniform(low, high).log10() / crowd.slope
    middle = x.hypot(y) < crowd.inner_arcsec
    dimmed = magnitude.clamp(min=crowd.brightest_inside)
    return owner, each, x, y, torch.where(middle, dimmed, magnitude)


def _owners(mean: float, dice: Dice) -> Tensor:
    """Draw a Poisson number for each frame and list the frame of each source."""
    # Quantiles of a Poisson law by inversion: torch.poisson knows no device-free seed.
    counts = torch.arange(int(mean + 6 * mean**0.5) + 6, device=dice.device)
    log_mass = counts * math.log(mean) - mean - torch.lgamma(counts + 1.0)
    crowd = torch.bucketize(dice.uniform(), log_mass.exp().cumsum(0), right=True)
    frames = torch.arange(dice.num, device=dice.device)
    return frames.repeat_interleave(crowd)
