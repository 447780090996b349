"""From a galaxy's parameters to its light on the sky, before the atmosphere.

Every function draws a batch at once: nanomaggies per square arcsec in g, r, z.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dmagnet.simulator.grid import Grid, Pose
from dmagnet.simulator.profiles import edge_on_disc, exponential, ferrers_bar, sersic
from dmagnet.simulator.truth import Arms, Discs, EdgeOns, Spheroids, pick

CENTER_PX = 8  # side of the central block that is oversampled
OVERSAMPLE = 7
# Extinction in g, r, z over that in g: the Legacy Surveys' 3.214, 2.165, 1.211.
EXTINCTION = (1.0, 0.674, 0.377)


def render_spheroids(galaxies: Spheroids, grid: Grid) -> Tensor:
    """Draw smooth galaxies."""
    light = sersic_image(
        galaxies.pose, galaxies.axis_ratio, galaxies.r_e, galaxies.n, grid
    )
    return light[:, None] * _column(galaxies.flux)


def sersic_image(
    pose: Pose, axis_ratio: Tensor, r_e: Tensor, n: Tensor, grid: Grid
) -> Tensor:
    """Draw elliptical Sersic profiles of unit flux, with their cores integrated."""

    def light(x: Tensor, y: Tensor) -> Tensor:  # numpydoc ignore=GL08
        along, across = pose.along_across(x, y)
        radius_sq = along**2 + (across / _plane(axis_ratio)) ** 2
        return sersic(radius_sq, _plane(r_e), _plane(n)) / _plane(axis_ratio)

    axis = grid.axis()
    image = light(axis, axis)
    block = min(CENTER_PX, grid.size)
    columns, rows = (_nearest(c, grid, block) for c in (pose.x, pose.y))
    parts = torch.arange(OVERSAMPLE, device=grid.device)
    steps = ((parts + 0.5) / OVERSAMPLE - 0.5) * grid.scale
    fine = light(
        (axis[columns][:, :, None] + steps).flatten(1),
        (axis[rows][:, :, None] + steps).flatten(1),
    )
    which = torch.arange(len(r_e), device=grid.device)[:, None, None]
    image[which, rows[:, :, None], columns[:, None, :]] = F.avg_pool2d(fine, OVERSAMPLE)
    return image


def render_discs(galaxies: Discs, grid: Grid) -> Tensor:
    """Draw disc galaxies seen from above or at an angle."""
    disc = galaxies
    h = _plane(disc.scale_length)
    x, y, radius, theta = _plane_coordinates(disc, grid)
    ridge, dust = _spiral(disc.arms, radius, theta)
    light = exponential(_broken(radius, disc.break_radius, 0.6), h)
    # Light per area of the sky: an inclined disc shows more of it.
    light = light * _plane((1 - disc.bulge_share - disc.bars.share) / disc.axis_ratio)
    # Discs grow from inside out: the young share rises from none in the center.
    young_share = _plane(1.4 * disc.young_share) * radius / (radius + 0.8 * h)
    smooth = light * (1 - young_share) * (1 + 0.45 * ridge)
    young = light * young_share * (1 + ridge).clamp(min=0.03)
    patchy = (disc.patchy > 0).nonzero()[:, 0]
    if len(patchy):
        some = pick(disc, patchy)
        patches = _plane(some.patchy) * _bumps(some.arms.bumps, grid.size)
        young[patchy] *= (patches - 0.5 * _plane(some.patchy) ** 2).exp()
        smooth[patchy] *= (0.4 * patches - 0.08 * _plane(some.patchy) ** 2).exp()
    pose = Pose(
        disc.pose.x + disc.bulge_shift[:, 0],
        disc.pose.y + disc.bulge_shift[:, 1],
        disc.pose.angle,
    )
    flattening = 0.5 + 0.5 * disc.axis_ratio
    bulge = sersic_image(pose, flattening, disc.bulge_r_e, disc.bulge_n, grid)
    old = _plane(disc.bulge_share) * bulge
    barred = (disc.bars.share > 0).nonzero()[:, 0]
    if len(barred):
        some = pick(disc, barred)
        gap = 1 - _hole(some, radius[barred])
        smooth[barred] *= gap
        young[barred] *= gap
        old[barred] += _bar(some, x[barred], y[barred])
    _add_tides(smooth, disc, radius, theta)
    return _paint((old, smooth, young), disc.colors, disc.flux) * _extinction(dust)


def render_edge_ons(galaxies: EdgeOns, grid: Grid) -> Tensor:
    """Draw disc galaxies seen from the side."""
    disc = galaxies
    h, height = _plane(disc.scale_length), _plane(disc.scale_height)
    axis = grid.axis()
    along, above = disc.pose.along_across(axis, axis)
    above = above - _plane(disc.warp) * along * along.abs() / h
    far = _broken(along.abs(), disc.break_radius, 1.3)
    young_share = _plane(disc.young_share) * 1.4 * far / (far + 0.8 * h)
    disc_share = _plane(1 - disc.bulge_share)
    old = disc_share * (1 - young_share) * edge_on_disc(far, above, h, height)
    # Young stars form in a longer and thinner disc than the old ones.
    young = disc_share * young_share
    young = young * edge_on_disc(far, above, 1.25 * h, 0.75 * height)
    lane = (above - _plane(disc.dust_shift) * height) / (0.4 * height)
    dust = _plane(disc.dust) * (-0.5 * lane**2 - along.abs() / (1.4 * h)).exp()
    bulge = sersic_image(
        disc.pose, disc.bulge_axis_ratio, disc.bulge_r_e, disc.bulge_n, grid
    )
    old_center = _plane(disc.bulge_share) * bulge
    painted = _paint((old_center, old, young), disc.colors, disc.flux)
    return painted * _extinction(dust)


def _plane_coordinates(
    disc: Discs, grid: Grid
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Positions in the plane of the disc, with lopsided radii: x, y, R, theta."""
    axis = grid.axis()
    x, across = disc.pose.along_across(axis, axis)
    # A bow straightens far out, where it would leave the frame.
    reach = 4 * _plane(disc.scale_length)
    across = across - _plane(disc.bow / disc.scale_length) * x.clamp(-reach, reach) ** 2
    y = across / _plane(disc.axis_ratio)
    radius = (x**2 + y**2 + (0.3 * grid.scale) ** 2).sqrt()
    toward = _plane(disc.lopsided_angle)
    # Isophotes whose centers wander off with radius; none in the center itself.
    lean = x * toward.cos() + y * toward.sin()
    settle = radius / (radius + _plane(disc.scale_length))
    theta = torch.atan2(y, x) + _plane(disc.twist / disc.scale_length) * radius
    return x, y, radius - _plane(disc.lopsided) * lean * settle, theta


def _broken(radius: Tensor, break_radius: Tensor, steeper: float) -> Tensor:
    """Stretch radii beyond the break, so that the light falls faster there."""
    return radius + steeper * (radius - _plane(break_radius)).clamp(min=0)


def _spiral(arms: Arms, radius: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
    """Relative excess of light on the arms (mean zero), and their optical depth."""
    phase = _plane(arms.number) * (theta - _plane(arms.winding) * radius.log())
    astray = _plane(arms.ragged) * _bumps(arms.bumps, radius.shape[-1])
    phase = phase + _plane(arms.phase) + astray
    sharpness = _plane(arms.sharpness)
    mean = torch.special.i0e(sharpness)
    ridge = (sharpness * (phase.cos() - 1)).exp() / mean - 1
    start, end = _plane(arms.start), _plane(arms.end)
    reach = torch.sigmoid(radius * (8 / start) - 8)
    reach = reach * torch.sigmoid(4 - radius * (4 / end))
    one_sided = 1 + _plane(arms.uneven) * (theta + _plane(arms.phase)).cos()
    envelope = _plane(arms.strength) * reach * one_sided
    ring = (radius - start) / (0.18 * start)
    excess = envelope * ridge + _plane(arms.ring) * (-0.5 * ring**2).exp()
    # Lanes lie on the inner, trailing edge of an arm.
    lane = (3 * sharpness * ((phase + 0.9).cos() - 1)).exp()
    return excess, _plane(arms.dust) * envelope * lane


def _bumps(bumps: Tensor, size: int) -> Tensor:
    """Random bumps of about 3 arcsec, with a scatter of one."""
    # Interpolation lowers the scatter of the bumps to three quarters.
    coarse = (bumps / 0.75)[:, None]
    return F.interpolate(coarse, (size, size), mode="bicubic")[:, 0]


def _hole(disc: Discs, radius: Tensor) -> Tensor:
    """Share of the disc's light that a bar has swept up."""
    inner = _plane(0.6 * disc.bars.length)
    return _plane(disc.hole) * (-0.5 * (radius / inner) ** 2).exp()


def _bar(disc: Discs, x: Tensor, y: Tensor) -> Tensor:
    """Light of the bars, as a share of the galaxy's flux per square arcsec."""
    bars = disc.bars
    cos, sin = _plane(bars.angle.cos()), _plane(bars.angle.sin())
    light = ferrers_bar(
        cos * x + sin * y,
        cos * y - sin * x,
        _plane(bars.length),
        _plane(bars.width),
        _plane(bars.boxiness),
    )
    return _plane(bars.share / disc.axis_ratio) * light


def _add_tides(light: Tensor, disc: Discs, radius: Tensor, theta: Tensor) -> None:
    """Add streams and arcs to a layer of shares of the galaxies' flux, in place."""
    for galaxy, feature in disc.tides.share.nonzero().tolist():
        tide = pick(disc.tides, (galaxy, feature))
        r = radius[galaxy]
        phase = theta[galaxy] - tide.angle - tide.winding * (r / tide.radius).log()
        ridge = tide.sharpness * (phase.cos() - 1)
        across = (r - tide.radius) / tide.width
        area = (2 * math.pi) ** 1.5 * tide.radius * tide.width
        area = area * torch.special.i0e(tide.sharpness) * disc.axis_ratio[galaxy]
        light[galaxy] += tide.share / area * (ridge - 0.5 * across**2).exp()


def _paint(layers: tuple[Tensor, ...], colors: Tensor, flux: Tensor) -> Tensor:
    """Add up layers (N, H, W), each in its color (N, 3, K): (N, 3, H, W)."""
    stacked = torch.stack(layers, dim=1).flatten(2)
    painted = torch.bmm(colors * flux[:, None, None], stacked)
    return painted.reshape(*painted.shape[:2], *layers[0].shape[-2:])


def _extinction(depth: Tensor) -> Tensor:
    """Dim an optical depth in g (N, H, W) as it dims each band."""
    return (-depth[:, None] * depth.new_tensor(EXTINCTION)[:, None, None]).exp()


def _nearest(center: Tensor, grid: Grid, block: int) -> Tensor:
    """Return the indices (N, block) of the pixels around a center, in the frame."""
    index = (center / grid.scale + (grid.size - 1) / 2).round().long() - block // 2
    first = index.clamp(0, grid.size - block)
    return first[:, None] + torch.arange(block, device=grid.device)


def _plane(values: Tensor) -> Tensor:
    return values[:, None, None]


def _column(values: Tensor) -> Tensor:
    return values[:, :, None, None]
