"""Star-forming regions: the blue beads along the arms of a disc."""

import math

from torch import Tensor

from dmagnet.simulator.dice import Dice
from dmagnet.simulator.truth import Discs, EdgeOns

KNOTS = 36  # per galaxy; their brightness spans a factor of ten


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


def _on_sky(
    disc: Discs | EdgeOns, along: Tensor, across: Tensor
) -> tuple[Tensor, Tensor]:
    pose = disc.pose
    cos, sin = pose.angle.cos()[:, None], pose.angle.sin()[:, None]
    x = pose.x[:, None] + cos * along - sin * across
    y = pose.y[:, None] + sin * along + cos * across
    return x, y


def _fluxes(share: Tensor, disc: Discs | EdgeOns, dice: Dice) -> Tensor:
    """Split a share of each galaxy's flux among its knots: (N, K, 3)."""
    bright = (0.8 * dice.noise(dice.num, KNOTS)).exp()
    bright = bright / bright.sum(dim=1, keepdim=True)
    young = disc.colors[:, :, 2]
    total: Tensor = share * disc.flux
    return (bright * total[:, None])[:, :, None] * young[:, None, :]
