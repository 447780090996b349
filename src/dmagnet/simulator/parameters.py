"""Galaxies by their parameters: named, within limits, and free to change."""

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dmagnet.simulator import population
from dmagnet.simulator.dice import Dice
from dmagnet.simulator.grid import Grid
from dmagnet.simulator.render import render_discs, render_edge_ons, render_spheroids
from dmagnet.simulator.truth import Discs, EdgeOns, Spheroids, get, put

# The median scale length of round discs is 1.7 arcsec, that of spirals, in which bars
# and arms are resolved, 3.2 (`dmagnet.simulator.population`).
LARGER = 1.8
# Pitch does nothing to a disc without arms, so a start has the faintest that tight
# spirals have, wound half-way between tight and loose, and a fifth of the faintest bar
# (`dmagnet.simulator.population`). Without such arms 1 of 4 loose dreams arrived at a
# probability of 0.75, with them 7 of 8 (xs, 2026-11-28).
FAINT_ARMS, HALF_WAY_DEG, FAINT_BAR = 0.35, 18.75, 0.03
HALF_BULGE = 0.09  # of an edge-on disc: half-way from none (0.045) to one (0.14)
APART = 2.7  # scale lengths between galaxies that merge, in the median of the same


@dataclass(frozen=True)
class Pair:
    """A disc and its companion, along the rows of the picture."""

    disc: Discs
    companion: Spheroids


Galaxy = Pair | EdgeOns | Spheroids


class Parameter(NamedTuple):
    """What can be changed: its place in the record, its limits and their unit.

    What has an ``over`` is counted in another quantity of the record.
    """

    place: str
    low: float
    high: float
    unit: str = ""
    over: str = ""


# The limits are the widest that `dmagnet.simulator.population` draws for any class.
# What others are counted in stands before them.
H = "disc.scale_length"
PARAMETERS = {
    "disc": {
        "bar_share": Parameter("disc.bars.share", 0, 0.45),
        "bar_length": Parameter("disc.bars.length", 0.95, 2.1, over=H),
        "bar_width": Parameter("disc.bars.width", 0.2, 0.38, over="disc.bars.length"),
        "arm_strength": Parameter("disc.arms.strength", 0, 1.25),
        "pitch": Parameter("disc.arms.winding", 7, 42, "deg"),
        "arm_sharpness": Parameter("disc.arms.sharpness", 0.8, 3.2),
        "arm_start": Parameter("disc.arms.start", 0.3, 1.2, over=H),
        "arm_end": Parameter("disc.arms.end", 2.2, 4.8, over=H),
        "ring": Parameter("disc.arms.ring", 0, 0.9),
        "unevenness": Parameter("disc.arms.uneven", 0, 1),
        "raggedness": Parameter("disc.arms.ragged", 0, 1.1, "rad"),
        "bulge_share": Parameter("disc.bulge_share", 0.005, 0.5),
        "bulge_size": Parameter("disc.bulge_r_e", 0.1, 0.5, over=H),
        "axis_ratio": Parameter("disc.axis_ratio", 0.2, 1),
        "lopsidedness": Parameter("disc.lopsided", -0.5, 0.5),
        "twist": Parameter("disc.twist", -0.3, 0.3, "rad"),
        "bow": Parameter("disc.bow", -0.12, 0.12),
        "patchiness": Parameter("disc.patchy", 0, 1.1),
        "young_share": Parameter("disc.young_share", 0.1, 0.8),
        "dust": Parameter("disc.arms.dust", 0, 0.9),
        "tide_share": Parameter("disc.tides.share", 0, 0.2),
        "companion_share": Parameter("companion.flux", 0, 1, over="disc.flux"),
        "companion_distance": Parameter("companion.pose.x", 1.2, 5, over=H),
    },
    "edge-on": {
        "bulge_share": Parameter("bulge_share", 0, 0.6),
        "thickness": Parameter("scale_height", 0.15, 0.5, over="scale_length"),
        "bulge_extent": Parameter("bulge_r_e", 0.7, 1.5, over="scale_height"),
        "bulge_axis_ratio": Parameter("bulge_axis_ratio", 0.6, 0.95),
        "warp": Parameter("warp", -0.025, 0.025),
        "young_share": Parameter("young_share", 0.1, 0.7),
        "dust_lane": Parameter("dust", 0, 2.5),
    },
    "spheroid": {
        "axis_ratio": Parameter("axis_ratio", 0.2, 1),
        "sersic_index": Parameter("n", 0.7, 6),
    },
}


def draw_neutral(kind: str, seed: int) -> Galaxy:
    """Draw one galaxy that belongs to no class of its kind more than to the others."""
    dice = Dice(torch.Generator().manual_seed(seed), 1, torch.device("cpu"))
    one = torch.ones(1)

    def _label(number: int) -> Tensor:
        return torch.tensor([number])

    if kind == "spheroid":
        return population.draw_spheroids(_label(population.OVAL), one, dice)
    if kind == "edge-on":
        edge_on = population.draw_edge_ons(_label(population.BULGED), one, dice)
        return put(edge_on, "bulge_share", HALF_BULGE * one)
    face_on = population.draw_discs(_label(population.ROUND), LARGER * one, dice)
    half_way = face_on.arms.winding.sign() / math.tan(math.radians(HALF_WAY_DEG))
    arms = replace(face_on.arms, winding=half_way, strength=FAINT_ARMS * one)
    disc = put(replace(face_on, arms=arms), "bars.share", FAINT_BAR * one)
    companion = population.draw_spheroids(_label(population.MERGING), one, dice)
    away = put(companion, "pose.x", APART * face_on.scale_length)
    return Pair(disc, replace(away, flux=1e-3 * companion.flux))


def light_of(galaxy: Galaxy, grid: Grid) -> Tensor:
    """Draw a galaxy: (1, 3, H, W) nanomaggies per square arcsec in g, r, z."""
    if isinstance(galaxy, Spheroids):
        return render_spheroids(galaxy, grid)
    if isinstance(galaxy, EdgeOns):
        return render_edge_ons(galaxy, grid)
    return render_discs(galaxy.disc, grid) + render_spheroids(galaxy.companion, grid)


def values_of(galaxy: Galaxy, parameters: dict[str, Parameter]) -> dict[str, Tensor]:
    """Read parameters of a galaxy."""
    values = {}
    for name, one in parameters.items():
        value = get(galaxy, one.place)
        if one.unit == "deg":
            value = torch.rad2deg(torch.atan(1 / value.abs()))
        value = value[:, 1] if value.ndim == 2 else value
        values[name] = value / get(galaxy, one.over) if one.over else value
    return values


def with_values(
    galaxy: Any, parameters: dict[str, Parameter], values: dict[str, Tensor]
) -> Any:
    """Change parameters of a galaxy; gradients pass."""
    before = galaxy
    for name, one in parameters.items():
        value, old = values[name], get(galaxy, one.place)
        if one.over:
            value = value * get(galaxy, one.over)
        if one.unit == "deg":
            value = old.sign() / torch.deg2rad(value).tan()
        if old.ndim == 2:  # bands of one color, or tides of one strength
            middle = old[:, 1:2]
            value = value[:, None] * torch.where(middle > 0, old / middle, 1.0)
        galaxy = put(galaxy, one.place, value)
    if isinstance(galaxy, Pair):
        # Arms wind up around the place where they begin.
        new, old = galaxy.disc.arms, before.disc.arms
        turned = new.winding * new.start.log() - old.winding * old.start.log()
        galaxy = put(galaxy, "disc.arms.phase", old.phase + old.number * turned)
    return galaxy
