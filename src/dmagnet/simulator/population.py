"""Who lives in the simulated sky: parameters drawn from published distributions.

Each row of numbers below has one for each class that a function draws, in the order
of `dmagnet.classes`; neighboring classes overlap on purpose.

Notes
-----
Scale lengths and surface brightness of discs: Freeman (1970, ApJ 160, 811), Fathi
et al. (2010, MNRAS 406, 1595). Bulges: Graham & Worley (2008, MNRAS 388, 1708),
Gadotti (2009, MNRAS 393, 1531). Early types: Kormendy (1977, ApJ 218, 333), Shen et
al. (2003, MNRAS 343, 978). Pitch angles: Diaz-Garcia et al. (2019, A&A 631, A94), Yu
& Ho (2020, ApJ 900, 150). Bars: Erwin (2005, MNRAS 364, 283), Gadotti (2011, MNRAS
415, 3308). Edge-on discs: Kregel, van der Kruit & de Grijs (2002, MNRAS 334, 646).
Lopsidedness: Zaritsky et al. (2013, ApJ 772, 135). Tidal features: Atkinson,
Abraham & Ferguson (2013, ApJ 765, 28). Colors: Blanton & Moustakas (2009, ARA&A 47,
159), turned into the DECam bands. The widths are ours where a paper gives a range.
"""

import math

import torch
from torch import Tensor

from dmagnet.simulator.dice import Dice
from dmagnet.simulator.grid import Pose
from dmagnet.simulator.truth import Arms, Bars, Discs, EdgeOns, Spheroids, Tides

Five = tuple[float, float, float, float, float]
Eight = tuple[float, float, float, float, float, float, float, float]
DISTURBED, MERGING, ROUND, OVAL, CIGAR, BARRED, TIGHT, LOOSE, THIN, BULGED = range(10)


def bands(g_r: Tensor, r_z: Tensor) -> Tensor:
    """Turn colors into fluxes over the r flux."""
    return torch.stack(
        (10 ** (-0.4 * g_r), torch.ones_like(g_r), 10 ** (0.4 * r_z)), dim=-1
    )


def nanomaggies(magnitude: Tensor) -> Tensor:
    """Turn AB magnitudes into nanomaggies."""
    return 10 ** (0.4 * (22.5 - magnitude))


def draw_spheroids(
    labels: Tensor, size: Tensor, dice: Dice, age: Tensor | None = None
) -> Spheroids:
    """Draw smooth galaxies: ellipticals, and discs without features."""
    age = dice.noise(dice.num) if age is None else age
    low = _smooth(labels, (0.55, 0.5, 0.87, 0.43, 0.20))
    high = _smooth(labels, (0.95, 1.0, 1.0, 0.72, 0.35))
    blue_odds = _smooth(labels, (0.2, 0.25, 0.25, 0.30, 0.45))
    axis_ratio = dice.uniform(low, high)
    blue = torch.special.ndtr(age) < blue_odds
    n = torch.where(
        blue, dice.lognormal(1.2, 0.25, 0.7, 2.2), dice.lognormal(2.8, 0.35, 1.3, 6.0)
    )
    # Featureless long ovals are lenticular and late discs, not n = 4 bodies.
    n = torch.where(labels == CIGAR, dice.lognormal(1.3, 0.25, 0.8, 2.4), n)
    r_e = dice.lognormal(_smooth(labels, (3.0, 2.6, 2.1, 2.5, 3.6)), 0.36, 1.0, 6.0)
    r_e = r_e * size
    brightness = dice.normal(torch.where(blue, 20.8, 20.5), 0.6, 19.0, 22.2)
    shift = dice.normal(0.0, 0.05)
    g_r = torch.where(blue, dice.normal(0.52, 0.13), dice.normal(0.91, 0.12)) + shift
    # Both colors follow age and dust together: their scatter around it is small.
    r_z = 0.68 + 0.8 * (g_r - 0.89) + dice.normal(0.0, 0.03)
    area = 2 * math.pi * r_e**2 * axis_ratio
    flux = nanomaggies(brightness) * area
    return Spheroids(
        pose=_centered(dice),
        axis_ratio=axis_ratio,
        r_e=r_e,
        n=n,
        flux=flux[:, None] * bands(g_r, r_z),
    )


def draw_discs(
    labels: Tensor, size: Tensor, dice: Dice, age: Tensor | None = None
) -> Discs:
    """Draw discs that are seen from above or at an angle."""
    age = dice.noise(dice.num) if age is None else age
    kind = dice.choice((0.0, 1.0, 2.0, 3.0), (0.42, 0.24, 0.18, 0.16))
    wild = labels == DISTURBED
    patchy, shelled, bent = (wild & (kind == k) for k in (1, 2, 3))
    h = dice.lognormal(_disc(labels, (2.7, 2.2, 1.7, 2.0, 2.8, 3.4, 3.1, 3.2)), 0.28)
    h = (h * torch.where(patchy, 0.75, 1.0)).clamp(1.1, 5.6) * size
    low = _disc(labels, (0.4, 0.45, 0.86, 0.45, 0.21, 0.42, 0.5, 0.33))
    high = _disc(labels, (1.0, 1.0, 1.0, 0.74, 0.36, 1.0, 1.0, 0.95))
    axis_ratio = dice.uniform(low, high)
    axis_ratio = torch.where(bent, 0.22 + 0.4 * (axis_ratio - 0.4), axis_ratio)
    usual = _disc(labels, (20.5, 20.3, 20.4, 20.4, 20.4, 20.4, 20.3, 20.6))
    brightness = dice.normal(usual, 0.45)
    bars = _draw_bars(labels, h, dice)
    bulge = _disc(labels, (0.13, 0.16, 0.16, 0.14, 0.10, 0.11, 0.15, 0.11))
    bulge = bulge * torch.where(shelled, 2.2, torch.where(patchy, 0.25, 1.0))
    bulge = dice.lognormal(bulge, 0.6, 0.005, 0.5)
    shift = dice.normal(0.0, 0.12).abs() * h * torch.where(wild, 2.6, 0.1)
    toward = dice.angle()
    late = _disc(labels, (0.3, 0.1, -0.5, -0.5, -0.1, 0.0, -0.3, 0.1)) - 0.7 * age
    late = late + torch.where(patchy, 1.0, torch.where(shelled, -0.9, 0.0))
    # Later types are fainter per area (de Jong 1996, A&A 313, 45); a disc that leans
    # is brighter for its depth, and dimmer for its dust.
    dimmer = 0.25 * late - 1.25 * axis_ratio.log10()
    brightness = brightness + dimmer - torch.where(patchy, 0.5, 0.0)
    lopsided = dice.normal(
        _disc(labels, (0.31, 0.12, 0.0, 0.0, 0.0, 0.0, 0.0, 0.05)),
        _disc(labels, (0.11, 0.08, 0.02, 0.02, 0.02, 0.04, 0.04, 0.07)),
        -0.5,
        0.5,
    )
    twist = _disc(labels, (0.12, 0.1, 0.02, 0.02, 0.0, 0.02, 0.02, 0.05))
    bow = _disc(labels, (0.015, 0.015, 0.0, 0.0, 0.004, 0.0, 0.0, 0.01))
    return Discs(
        pose=_centered(dice),
        axis_ratio=axis_ratio,
        scale_length=h,
        # The face-on central brightness: an inclined transparent disc is brighter.
        flux=nanomaggies(brightness) * 2 * math.pi * h**2,
        bulge_share=bulge,
        bulge_r_e=h * dice.lognormal(0.24, 0.25, 0.1, 0.5),
        bulge_n=dice.lognormal(1.8, 0.4, 0.8, 4.0),
        bulge_shift=shift[:, None] * torch.stack((toward.cos(), toward.sin()), dim=-1),
        # Pohlen & Trujillo (2006, A&A 454, 759): most discs break near 2.5 h.
        break_radius=h * dice.normal(3.1, 0.6, 2.0, 4.5),
        hole=torch.where(bars.share > 0, dice.uniform(0.0, 0.6), 0.0),
        lopsided=lopsided,
        lopsided_angle=dice.angle(),
        twist=dice.normal(0.0, twist, -0.3, 0.3),
        bow=dice.normal(0.0, torch.where(bent, 0.06, bow), -0.12, 0.12),
        patchy=torch.where(
            patchy,
            dice.uniform(0.5, 1.1),
            _disc(labels, (0.25, 0.2, 0.0, 0.0, 0.0, 0.1, 0.15, 0.2)) * dice.uniform(),
        ),
        young_share=dice.normal(
            _disc(labels, (0.45, 0.42, 0.4, 0.4, 0.44, 0.46, 0.47, 0.44)) + 0.09 * late,
            0.08,
            0.1,
            0.8,
        ),
        colors=_disc_colors(late, dice),
        bars=bars,
        arms=_draw_arms(labels, h, bars, dice, plain=patchy | shelled),
        tides=_draw_tides(labels, h, dice, more=shelled),
    )


def draw_edge_ons(labels: Tensor, dice: Dice) -> EdgeOns:
    """Draw discs that are seen from the side."""
    bulged = labels == BULGED
    h = dice.lognormal(torch.where(bulged, 3.4, 4.2), 0.4, 1.7, 7.5)
    # Kregel et al. (2002): h_R / h_z = 7.3 +- 2.2, and z0 = 2 h_z.
    height = 2 * h / dice.normal(torch.where(bulged, 7.0, 8.0), 2.2, 4.0, 13.0)
    share = torch.where(
        bulged,
        dice.lognormal(0.26, 0.35, 0.14, 0.6),
        dice.uniform(0.0, 0.045),
    )
    late = dice.normal(torch.where(bulged, -0.7, 0.3), 0.6)
    brightness = dice.normal(torch.where(bulged, 19.95, 20.05), 0.5)
    return EdgeOns(
        pose=_centered(dice),
        scale_length=h,
        scale_height=height,
        # Seen from the side the same disc is brighter by about h / z0, less its dust.
        flux=nanomaggies(brightness) * 2 * math.pi * h * height,
        bulge_share=share,
        bulge_r_e=torch.where(bulged, height * dice.uniform(0.9, 1.5), height * 0.7),
        bulge_n=dice.lognormal(1.8, 0.35, 1.0, 4.0),
        bulge_axis_ratio=dice.uniform(0.6, 0.95),
        # Kregel et al. (2002): truncated at 3.6 +- 0.6 scale lengths.
        break_radius=h * dice.normal(3.2, 0.6, 2.2, 4.5),
        warp=dice.normal(0.0, 0.010, -0.025, 0.025),
        young_share=dice.normal(0.38 + 0.1 * late, 0.08, 0.1, 0.7),
        dust=dice.lognormal(torch.where(bulged, 0.7, 0.5), 0.7, 0.0, 2.5),
        dust_shift=dice.normal(0.0, 0.25, -0.5, 0.5),
        knots=dice.uniform(0.0, torch.where(bulged, 0.08, 0.2)),
        colors=_disc_colors(late, dice),
    )


def _draw_bars(labels: Tensor, h: Tensor, dice: Dice) -> Bars:
    odds = _disc(labels, (0.12, 0.1, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0))
    barred = dice.chance(odds) | (labels == BARRED)
    length = h * dice.lognormal(1.4, 0.22, 0.95, 2.1)
    share = dice.lognormal(0.27, 0.35, 0.14, 0.45)
    return Bars(
        share=torch.where(barred, share, 0.0),
        length=length,
        width=length * dice.uniform(0.2, 0.38),
        boxiness=dice.uniform(2.0, 3.2),
        angle=dice.angle(),
    )


def _draw_arms(
    labels: Tensor, h: Tensor, bars: Bars, dice: Dice, *, plain: Tensor
) -> Arms:
    """Arms from grand designs down to hardly visible ones; none where plain."""
    barred = bars.share > 0
    pitch = dice.normal(
        _disc(labels, (20.0, 18.0, 15.0, 15.0, 15.0, 17.0, 14.0, 27.0)),
        _disc(labels, (7.0, 7.0, 2.0, 2.0, 2.0, 5.0, 3.0, 5.0)),
    ).clamp(7.0, 42.0)
    pitch = torch.where(labels == TIGHT, pitch.clamp(max=18.5), pitch)
    pitch = torch.where(labels == LOOSE, pitch.clamp(min=19.0), pitch)
    number = dice.choice((1.0, 2.0, 3.0, 4.0, 5.0), (0.07, 0.58, 0.17, 0.12, 0.06))
    few = barred | (labels == LOOSE) & dice.chance(0.7)
    number = torch.where(few, 2.0, number)
    winding = dice.sign() / torch.deg2rad(pitch).tan()
    free = h * dice.uniform(0.3, _disc(labels, (1.0, 1, 1, 1, 1, 0.8, 0.9, 1.2)))
    start = torch.where(barred, bars.length * 0.95, free)
    # Arms leave the bar at its ends: their phase is zero there.
    at_bar = -number * (bars.angle - start.log() * winding)
    odds = _disc(labels, (0.7, 0.4, 0.0, 0.0, 0.0, 0.85, 1.0, 1.0))
    # Most arms are a small excess on a smooth disc (Diaz-Garcia et al. 2019).
    low = _disc(labels, (0.15, 0.1, 0.0, 0.0, 0.0, 0.4, 0.35, 0.6))
    high = _disc(labels, (0.95, 0.9, 0.0, 0.0, 0.0, 1.15, 1.15, 1.25))
    strength = torch.where(
        dice.chance(odds) & ~plain, low + (high - low) * dice.uniform(), 0.0
    )
    knotted = dice.uniform() ** 2
    knots = _disc(labels, (0.12, 0.12, 0.0, 0.0, 0.0, 0.06, 0.07, 0.1)) * knotted
    ring = dice.chance(_disc(labels, (0.0, 0.0, 0.04, 0.04, 0.0, 0.45, 0.3, 0.0)))
    return Arms(
        number=number,
        winding=winding,
        phase=torch.where(barred, at_bar, dice.angle()),
        strength=strength,
        sharpness=dice.uniform(0.8, _disc(labels, (2.5, 2.5, 1, 1, 1, 3, 3.2, 3.2))),
        start=start,
        end=h * dice.uniform(2.2, _disc(labels, (4, 4, 4, 4, 4, 4.8, 3.8, 4.8))),
        uneven=dice.uniform(0.0, _disc(labels, (1, 0.7, 0, 0, 0, 0.4, 0.4, 0.8))),
        ragged=dice.uniform(0.0, _disc(labels, (0.9, 0.9, 0, 0, 0, 0.6, 1.1, 0.7))),
        bumps=dice.noise(dice.num, 22, 22),
        knots=torch.where((strength > 0) | (plain & dice.chance(0.5)), knots, 0.0),
        ring=torch.where(ring & ~plain, dice.uniform(0.1, 0.9), 0.0),
        dust=dice.lognormal(0.2, 0.8, 0.0, 0.9),
    )


def _draw_tides(labels: Tensor, h: Tensor, dice: Dice, *, more: Tensor) -> Tides:
    """Three features each: tails are long and narrow, arcs and shells short in R."""
    num = len(labels)
    each = dice.of(num * 3)
    tail = each.chance(0.5).reshape(num, 3)
    odds = _disc(labels, (0.6, 0.55, 0.0, 0.0, 0.0, 0.02, 0.02, 0.06))
    odds = torch.where(more, 0.85, odds)[:, None]
    present = each.uniform().reshape(num, 3) < odds
    share = each.lognormal(0.055, 0.6, 0.01, 0.2).reshape(num, 3)
    share = share * torch.where(more, 1.6, 1.0)[:, None]
    pitch = each.uniform(25.0, 60.0).reshape(num, 3)
    shell_pitch = each.uniform(-12.0, 12.0).reshape(num, 3)
    pitch = torch.deg2rad(torch.where(tail, pitch, 90.0 + shell_pitch))
    spread = each.uniform(0.6, 1.4).reshape(num, 3)
    thin = each.uniform(0.2, 0.7).reshape(num, 3)
    return Tides(
        share=torch.where(present, share, 0.0),
        radius=h[:, None] * each.uniform(2.2, 4.2).reshape(num, 3),
        width=h[:, None] * torch.where(tail, spread, thin),
        angle=each.angle().reshape(num, 3),
        sharpness=torch.where(
            tail,
            each.uniform(6.0, 25.0).reshape(num, 3),
            each.uniform(0.7, 4.0).reshape(num, 3),
        ),
        winding=dice.sign()[:, None] / pitch.tan(),
    )


def _disc_colors(late: Tensor, dice: Dice) -> Tensor:
    """Fluxes over the r flux of old, disc and young stars: (N, 3 bands, 3 kinds)."""
    shift = dice.normal(0.0, 0.07)
    kinds = []
    for g_r, r_z, trend, spread in (
        (1.02, 0.72, 0.03, 0.07),
        (0.70, 0.50, 0.06, 0.06),
        (0.36, 0.20, 0.08, 0.09),
    ):
        redder = dice.normal(0.0, spread) - trend * late + shift
        scatter = dice.normal(0.0, 0.025)
        kinds.append(bands(g_r + redder, r_z + 0.8 * redder + scatter))
    return torch.stack(kinds, dim=-1)


def _centered(dice: Dice) -> Pose:
    return Pose(dice.normal(0.0, 0.3), dice.normal(0.0, 0.3), dice.angle())


def _smooth(labels: Tensor, values: Five) -> Tensor:
    """Look up a value for disturbed, merging, round, in-between and cigar."""
    return torch.tensor(values, device=labels.device)[labels]


def _disc(labels: Tensor, values: Eight) -> Tensor:
    """Look up a value for any class but the edge-on ones."""
    return torch.tensor(values, dtype=torch.float32, device=labels.device)[labels]
