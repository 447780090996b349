"""From a galaxy's parameters to its light on the sky, before the atmosphere.

Every function draws a batch at once: nanomaggies per square arcsec in g, r, z.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from dmagnet.simulator.dice import Dice
from dmagnet.simulator.grid import Grid, Pose
from dmagnet.simulator.profiles import edge_on_disc, exponential, ferrers_bar, sersic
from dmagnet.simulator.truth import AnyDisc, Arms, Discs, EdgeOns, Spheroids, pick

CENTER_PX = 8  # side of the central block that is oversampled
OVERSAMPLE = 7  # sub-pixels along each side of one
KNOTS = 36  # per galaxy; their brightness spans a factor of ten
PLANES = (slice(None), None, None)  # makes (N,) values (N, 1, 1), one a plane
# Extinction in g, r, z over that in g: the Legacy Surveys' 3.214, 2.165, 1.211.
EXTINCTION = (1.0, 0.674, 0.377)


def render_spheroids(galaxies: Spheroids, grid: Grid) -> Tensor:
    """Draw smooth galaxies."""
    light = sersic_image(
        galaxies.pose, galaxies.axis_ratio, galaxies.r_e, galaxies.n, grid
    )
    return light[:, None] * galaxies.flux[:, :, None, None]


def sersic_image(
    pose: Pose, axis_ratio: Tensor, r_e: Tensor, n: Tensor, grid: Grid
) -> Tensor:
    """Draw elliptical Sersic profiles of unit flux, with their cores integrated."""
    ratio = axis_ratio[PLANES]

    def light(x: Tensor, y: Tensor) -> Tensor:  # numpydoc ignore=GL08
        along, across = pose.along_across(x, y)
        radius_sq = along**2 + (across / ratio) ** 2
        return sersic(radius_sq, r_e[PLANES], n[PLANES]) / ratio

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
    disc = pick(galaxies, PLANES)
    h, bars = disc.scale_length, disc.bars
    x, y, radius, theta = _plane_coordinates(galaxies.pose, disc, grid)
    ridge, dust = _spiral(disc.arms, galaxies.arms.bumps, radius, theta)
    # The disc falls faster beyond its break.
    light = exponential(radius + 0.6 * (radius - disc.break_radius).clamp(min=0), h)
    # Light per area of the sky: an inclined disc shows more of it.
    light = light * ((1 - disc.bulge_share - bars.share) / disc.axis_ratio)
    # Discs grow from inside out: the young share rises from none in the center.
    young_share = 1.4 * disc.young_share * radius / (radius + 0.8 * h)
    smooth = light * (1 - young_share) * (1 + 0.45 * ridge)
    young = light * young_share * (1 + ridge).clamp(min=0.03)
    patchy = (galaxies.patchy > 0).nonzero()[:, 0]
    if len(patchy):
        scatter = disc.patchy[patchy]
        patches = scatter * _bumps(galaxies.arms.bumps[patchy], grid.size)
        young[patchy] *= (patches - 0.5 * scatter**2).exp()
        smooth[patchy] *= (0.4 * patches - 0.08 * scatter**2).exp()
    pose, shift = galaxies.pose, galaxies.bulge_shift
    pose = Pose(pose.x + shift[:, 0], pose.y + shift[:, 1], pose.angle)
    flattening = 0.5 + 0.5 * galaxies.axis_ratio
    bulge = sersic_image(pose, flattening, galaxies.bulge_r_e, galaxies.bulge_n, grid)
    old = disc.bulge_share * bulge
    barred = (galaxies.bars.share > 0).nonzero()[:, 0]
    if len(barred):
        some = pick(disc, barred)
        # A bar has swept up some of the disc's light.
        inner = 0.6 * some.bars.length
        gap = 1 - some.hole * (-0.5 * (radius[barred] / inner) ** 2).exp()
        smooth[barred] *= gap
        young[barred] *= gap
        old[barred] += _bar(some, x[barred], y[barred])
    _add_tides(smooth, galaxies, radius, theta)
    return _paint((old, smooth, young), galaxies, dust)


def render_edge_ons(galaxies: EdgeOns, grid: Grid) -> Tensor:
    """Draw disc galaxies seen from the side."""
    disc = pick(galaxies, PLANES)
    h, height = disc.scale_length, disc.scale_height
    axis = grid.axis()
    along, above = galaxies.pose.along_across(axis, axis)
    above = above - disc.warp * along * along.abs() / h
    far = along.abs()
    far = far + 1.3 * (far - disc.break_radius).clamp(min=0)
    young_share = disc.young_share * 1.4 * far / (far + 0.8 * h)
    disc_share = 1 - disc.bulge_share
    old = disc_share * (1 - young_share) * edge_on_disc(far, above, h, height)
    # Young stars form in a longer and thinner disc than the old ones.
    young = disc_share * young_share
    young = young * edge_on_disc(far, above, 1.25 * h, 0.75 * height)
    lane = (above - disc.dust_shift * height) / (0.4 * height)
    dust = disc.dust * (-0.5 * lane**2 - along.abs() / (1.4 * h)).exp()
    bulge = sersic_image(
        galaxies.pose,
        galaxies.bulge_axis_ratio,
        galaxies.bulge_r_e,
        galaxies.bulge_n,
        grid,
    )
    return _paint((disc.bulge_share * bulge, old, young), galaxies, dust)


def disc_knots(disc: Discs, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
    """Scatter star-forming regions along the arms of discs."""
    # Luminosities are log-normal, an approximation to the power law of H II regions
    # (Kennicutt, Edgar & Hodge 1989, ApJ 337, 761) above its faint end.
    arms = disc.arms
    start, end = arms.start[:, None], arms.end[:, None]
    # Sum of two exponentials: a disc's light grows with R before it falls.
    share = dice.uniform(1e-3, 1.0, KNOTS) * dice.uniform(1e-3, 1.0, KNOTS)
    radius = (start * 0.9 - share.log() * 0.8 * disc.scale_length[:, None]).minimum(end)
    number = arms.number[:, None]
    which = (dice.uniform(0.0, 1.0, KNOTS) * number).floor()
    scatter = (0.25 + 0.5 * arms.ragged[:, None]) * dice.noise(dice.num, KNOTS)
    ridge = (2 * math.pi * which - arms.phase[:, None] + scatter) / number
    theta = ridge + arms.winding[:, None] * radius.log()
    along = radius * theta.cos()
    across = radius * theta.sin() * disc.axis_ratio[:, None]
    x, y = _on_sky(disc, along, across)
    share = arms.knots * disc.young_share
    return x, y, _fluxes(share, disc, dice)


def edge_on_knots(disc: EdgeOns, dice: Dice) -> tuple[Tensor, Tensor, Tensor]:
    """Scatter star-forming regions along the plane of edge-on discs."""
    h, height = disc.scale_length[:, None], disc.scale_height[:, None]
    share = dice.uniform(1e-3, 1.0, KNOTS) * dice.uniform(1e-3, 1.0, KNOTS)
    radius = (-share.log() * h).minimum(0.9 * disc.break_radius[:, None])
    along = radius * dice.angle(KNOTS).cos()
    across = 0.25 * height * dice.noise(dice.num, KNOTS)
    across = across + disc.warp[:, None] * along * along.abs() / h
    x, y = _on_sky(disc, along, across)
    return x, y, _fluxes(disc.knots * disc.young_share, disc, dice)


def _on_sky(disc: AnyDisc, along: Tensor, across: Tensor) -> tuple[Tensor, Tensor]:
    pose = disc.pose
    cos, sin = pose.angle.cos()[:, None], pose.angle.sin()[:, None]
    x = pose.x[:, None] + cos * along - sin * across
    y = pose.y[:, None] + sin * along + cos * across
    return x, y


def _fluxes(share: Tensor, disc: AnyDisc, dice: Dice) -> Tensor:
    """Split a share of each galaxy's flux among its knots: (N, K, 3)."""
    bright = (0.8 * dice.noise(dice.num, KNOTS)).exp()
    bright = bright / bright.sum(dim=1, keepdim=True)
    young = disc.colors[:, :, 2]
    total: Tensor = share * disc.flux
    return (bright * total[:, None])[:, :, None] * young[:, None, :]


def _plane_coordinates(
    pose: Pose, disc: Discs, grid: Grid
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Positions in the plane of the disc, with lopsided radii: x, y, R, theta."""
    axis = grid.axis()
    h = disc.scale_length
    x, across = pose.along_across(axis, axis)
    # A bow straightens far out, where it would leave the frame.
    across = across - disc.bow / h * x.clamp(-4 * h, 4 * h) ** 2
    y = across / disc.axis_ratio
    radius = (x**2 + y**2 + (0.3 * grid.scale) ** 2).sqrt()
    # Isophotes whose centers wander off with radius; none in the center itself.
    lean = x * disc.lopsided_angle.cos() + y * disc.lopsided_angle.sin()
    settle = radius / (radius + h)
    theta = torch.atan2(y, x) + disc.twist / h * radius
    return x, y, radius - disc.lopsided * lean * settle, theta


def _spiral(
    arms: Arms, bumps: Tensor, radius: Tensor, theta: Tensor
) -> tuple[Tensor, Tensor]:
    """Relative excess of light on the arms (mean zero), and their optical depth."""
    phase = arms.number * (theta - arms.winding * radius.log())
    astray = arms.ragged * _bumps(bumps, radius.shape[-1])
    phase = phase + arms.phase + astray
    sharpness = arms.sharpness
    mean = torch.special.i0e(sharpness)
    ridge = (sharpness * (phase.cos() - 1)).exp() / mean - 1
    reach = torch.sigmoid(radius * (8 / arms.start) - 8)
    reach = reach * torch.sigmoid(4 - radius * (4 / arms.end))
    one_sided = 1 + arms.uneven * (theta + arms.phase).cos()
    envelope = arms.strength * reach * one_sided
    ring = (radius - arms.start) / (0.18 * arms.start)
    excess = envelope * ridge + arms.ring * (-0.5 * ring**2).exp()
    # Lanes lie on the inner, trailing edge of an arm.
    lane = (3 * sharpness * ((phase + 0.9).cos() - 1)).exp()
    return excess, arms.dust * envelope * lane


def _bumps(bumps: Tensor, size: int) -> Tensor:
    """Random bumps of about 3 arcsec, with a scatter of one."""
    # Interpolation lowers the scatter of the bumps to three quarters.
    coarse = (bumps / 0.75)[:, None]
    return F.interpolate(coarse, (size, size), mode="bicubic")[:, 0]


def _bar(disc: Discs, x: Tensor, y: Tensor) -> Tensor:
    """Light of the bars, as a share of the galaxy's flux per square arcsec."""
    bars = disc.bars
    cos, sin = bars.angle.cos(), bars.angle.sin()
    along, across = cos * x + sin * y, cos * y - sin * x
    light = ferrers_bar(along, across, bars.length, bars.width, bars.boxiness)
    return bars.share / disc.axis_ratio * light


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


def _paint(layers: tuple[Tensor, ...], galaxies: AnyDisc, dust: Tensor) -> Tensor:
    """Add up layers (N, H, W) in their colors behind dust: (N, 3, H, W)."""
    stacked = torch.stack(layers, dim=1).flatten(2)
    painted = torch.bmm(galaxies.colors * galaxies.flux[:, None, None], stacked)
    dimmed = (-dust[:, None] * dust.new_tensor(EXTINCTION)[:, None, None]).exp()
    return painted.reshape(dimmed.shape) * dimmed


def _nearest(center: Tensor, grid: Grid, block: int) -> Tensor:
    """Return the indices (N, block) of the pixels around a center, in the frame."""
    index = (center / grid.scale + (grid.size - 1) / 2).round().long() - block // 2
    first = index.clamp(0, grid.size - block)
    return first[:, None] + torch.arange(block, device=grid.device)
