"""Who lives in the simulated sky: parameters drawn from published distributions.

`SmoothKind`, `DiscKind` and `EdgeOnKind` name each quantity, its unit and its source;
below them stands what galaxies of each class are made of. Neighboring classes overlap
on purpose.

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
159), turned into the DECam bands. Widths are ours where a paper gives a range; what
names no paper was chosen by hand in 2026, with the trials of docs/log.md ("How real
the simulation looks").
"""

import math
from dataclasses import dataclass, fields
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from dmagnet.simulator.dice import Dice
from dmagnet.simulator.grid import Pose
from dmagnet.simulator.truth import Arms, Bars, Discs, EdgeOns, Spheroids, Tides

DISTURBED, MERGING, ROUND, OVAL, CIGAR, BARRED, TIGHT, LOOSE, THIN, BULGED = range(10)
Two = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class SmoothKind:
    """What smooth galaxies of one class are made of."""

    r_e: float  # arcsec, median; Shen et al. 2003, at the distances of Galaxy10
    axis_ratio: Two  # even between
    blue_odds: float  # of a featureless disc, blue and n near 1


@dataclass(frozen=True, kw_only=True)
class DiscKind:
    """What discs of one class are made of; what is left out is that of a plain disc."""

    h: float  # arcsec, median scale length; Fathi et al. 2010
    axis_ratio: Two  # even between
    magnitude: float = 20.4  # mean, r per arcsec2, central and face-on; Freeman 1970
    bulge: float  # median share of the light; Graham & Worley 2008
    late: float = 0.0  # how late its type is: bluer, fainter, younger
    young: float = 0.4  # mean share of young stars in the disc's light
    bar_odds: float = 0.0
    arm_odds: float = 0.0
    strength: Two = (0.0, 0.0)  # of arms over the disc, even; Diaz-Garcia et al. 2019
    pitch: Two = (15.0, 2.0)  # degrees, mean and scatter; Yu & Ho 2020
    pitch_limits: Two = (7.0, 42.0)  # degrees; tight and loose do not overlap
    two_armed: float = 0.0  # share with two arms in any case, as barred ones have
    start: float = 1.0  # scale lengths; arms without a bar begin at 0.3 up to this
    end: float = 4.0  # scale lengths; arms end at 2.2 up to this
    sharpness: float = 1.0  # of the von Mises ridge, 0.8 up to this
    uneven: float = 0.0  # how much one side's arms are stronger, 0 up to this
    ragged: float = 0.0  # radians that arms go astray, 0 up to this: flocculence
    knots: float = 0.0  # share of the young light in H II regions, 0 up to this
    ring_odds: float = 0.0
    lopsided: Two = (0.0, 0.02)  # mean and scatter; Zaritsky et al. 2013
    twist: float = 0.02  # radians a scale length, scatter around none
    bow: float = 0.0  # scale lengths, scatter around none
    patchy: float = 0.0  # e-folds of the young light, 0 up to this
    tide_odds: float = 0.0  # of each of three features; Atkinson et al. 2013


@dataclass(frozen=True, kw_only=True)
class EdgeOnKind:
    """What edge-on discs of one class are made of."""

    h: float  # arcsec, median scale length; Kregel et al. 2002
    flatness: float  # mean of h over h_z; Kregel et al. 2002: 7.3 +- 2.2
    magnitude: float  # mean, r per arcsec2, central and face-on
    late: float  # mean of how late the type is
    dust: float  # median optical depth of the lane in g
    knots: float  # share of the young light in H II regions, 0 up to this


# Merging galaxies are drawn as two of these.
SMOOTH_KINDS = {
    DISTURBED: SmoothKind(r_e=3.0, axis_ratio=(0.55, 0.95), blue_odds=0.2),
    MERGING: SmoothKind(r_e=2.6, axis_ratio=(0.5, 1.0), blue_odds=0.25),
    ROUND: SmoothKind(r_e=2.1, axis_ratio=(0.87, 1.0), blue_odds=0.25),
    OVAL: SmoothKind(r_e=2.5, axis_ratio=(0.43, 0.72), blue_odds=0.3),
    CIGAR: SmoothKind(r_e=3.6, axis_ratio=(0.20, 0.35), blue_odds=0.45),
}
# Arms and disturbances are mild, as in Galaxy10, not the wrecks of textbooks; discs are
# more lopsided than a first trial had them, which found 1 of 6 disturbed (docs/log.md).
DISC_KINDS = {
    DISTURBED: DiscKind(
        h=2.7, axis_ratio=(0.4, 1.0), magnitude=20.5, bulge=0.13, late=0.3, young=0.45,
        bar_odds=0.12, arm_odds=0.7, strength=(0.15, 0.95), pitch=(20.0, 7.0),
        sharpness=2.5, uneven=1.0, ragged=0.9, knots=0.12, lopsided=(0.31, 0.11),
        twist=0.12, bow=0.015, patchy=0.25, tide_odds=0.6,
    ),
    MERGING: DiscKind(
        h=2.2, axis_ratio=(0.45, 1.0), magnitude=20.3, bulge=0.16, late=0.1, young=0.42,
        bar_odds=0.1, arm_odds=0.4, strength=(0.1, 0.9), pitch=(18.0, 7.0),
        sharpness=2.5, uneven=0.7, ragged=0.9, knots=0.12, lopsided=(0.12, 0.08),
        twist=0.1, bow=0.015, patchy=0.2, tide_odds=0.55,
    ),
    ROUND: DiscKind(
        h=1.7, axis_ratio=(0.86, 1.0), bulge=0.16, late=-0.5, ring_odds=0.04,
    ),
    OVAL: DiscKind(
        h=2.0, axis_ratio=(0.45, 0.74), bulge=0.14, late=-0.5, ring_odds=0.04,
    ),
    CIGAR: DiscKind(
        h=2.8, axis_ratio=(0.21, 0.36), bulge=0.10, late=-0.1, young=0.44,
        twist=0.0, bow=0.004,
    ),
    BARRED: DiscKind(
        h=3.4, axis_ratio=(0.42, 1.0), bulge=0.11, young=0.46,
        bar_odds=1.0, arm_odds=0.85, strength=(0.4, 1.15), pitch=(17.0, 5.0),
        start=0.8, end=4.8, sharpness=3.0, uneven=0.4, ragged=0.6, knots=0.06,
        ring_odds=0.45, lopsided=(0.0, 0.04), patchy=0.1, tide_odds=0.02,
    ),
    TIGHT: DiscKind(  # a pitch of 14 degrees, not 12: docs/log.md
        h=3.1, axis_ratio=(0.5, 1.0), magnitude=20.3, bulge=0.15, late=-0.3, young=0.47,
        arm_odds=1.0, strength=(0.35, 1.15), pitch=(14.0, 3.0),
        pitch_limits=(7.0, 18.5), start=0.9, end=3.8, sharpness=3.2, uneven=0.4,
        ragged=1.1, knots=0.07, ring_odds=0.3, lopsided=(0.0, 0.04),
        patchy=0.15, tide_odds=0.02,
    ),
    LOOSE: DiscKind(
        h=3.2, axis_ratio=(0.33, 0.95), magnitude=20.6, bulge=0.11, late=0.1,
        young=0.44, arm_odds=1.0, strength=(0.6, 1.25), pitch=(27.0, 5.0),
        pitch_limits=(19.0, 42.0), two_armed=0.7, start=1.2, end=4.8, sharpness=3.2,
        uneven=0.8, ragged=0.7, knots=0.1, lopsided=(0.05, 0.07), twist=0.05,
        bow=0.01, patchy=0.2, tide_odds=0.06,
    ),
}  # fmt: skip
EDGE_ON_KINDS = {
    THIN: EdgeOnKind(
        h=4.2, flatness=8.0, magnitude=20.05, late=0.3, dust=0.5, knots=0.2,
    ),
    BULGED: EdgeOnKind(
        h=3.4, flatness=7.0, magnitude=19.95, late=-0.7, dust=0.7, knots=0.08,
    ),
}  # fmt: skip
# g - r, r - z, how much bluer a later type is, scatter: old, disc and young stars.
STAR_COLORS = (
    (1.02, 0.72, 0.03, 0.07),
    (0.7, 0.5, 0.06, 0.06),
    (0.36, 0.2, 0.08, 0.09),
)


def _each(kinds: dict[int, Any], labels: Tensor) -> Any:
    """Look up each galaxy's kind: its quantities as (N,) tensors, or two of them."""
    rows = labels - min(kinds)
    looked_up = {}
    for field in fields(next(iter(kinds.values()))):
        column = [getattr(kind, field.name) for kind in kinds.values()]
        values = torch.tensor(column, dtype=torch.float32, device=labels.device)[rows]
        looked_up[field.name] = values if values.ndim == 1 else values.unbind(-1)
    return SimpleNamespace(**looked_up)


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
    kind = _each(SMOOTH_KINDS, labels)
    axis_ratio = dice.uniform(*kind.axis_ratio)
    blue = torch.special.ndtr(age) < kind.blue_odds
    n = torch.where(
        blue, dice.lognormal(1.2, 0.25, 0.7, 2.2), dice.lognormal(2.8, 0.35, 1.3, 6.0)
    )
    # Featureless long ovals are lenticular and late discs, not n = 4 bodies.
    n = torch.where(labels == CIGAR, dice.lognormal(1.3, 0.25, 0.8, 2.4), n)
    r_e = dice.lognormal(kind.r_e, 0.36, 1.0, 6.0) * size
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
    kind = _each(DISC_KINDS, labels)
    # Disturbed galaxies are of four sorts; the first is a lopsided one.
    sort = dice.choice((0.0, 1.0, 2.0, 3.0), (0.42, 0.24, 0.18, 0.16))
    wild = labels == DISTURBED
    patchy, shelled, bent = (wild & (sort == k) for k in (1, 2, 3))
    h = dice.lognormal(kind.h, 0.28) * torch.where(patchy, 0.75, 1.0)
    h = h.clamp(1.1, 5.6) * size
    axis_ratio = dice.uniform(*kind.axis_ratio)
    axis_ratio = torch.where(bent, 0.22 + 0.4 * (axis_ratio - 0.4), axis_ratio)
    brightness = dice.normal(kind.magnitude, 0.45)
    bars = _draw_bars(kind, h, dice)
    bulge = kind.bulge * torch.where(shelled, 2.2, torch.where(patchy, 0.25, 1.0))
    bulge = dice.lognormal(bulge, 0.6, 0.005, 0.5)
    shift = dice.normal(0.0, 0.12).abs() * h * torch.where(wild, 2.6, 0.1)
    toward = dice.angle()
    late = kind.late - 0.7 * age
    late = late + torch.where(patchy, 1.0, torch.where(shelled, -0.9, 0.0))
    # Later types are fainter per area (de Jong 1996, A&A 313, 45); a disc that leans
    # is brighter for its depth, and dimmer for its dust.
    dimmer = 0.25 * late - 1.25 * axis_ratio.log10()
    brightness = brightness + dimmer - torch.where(patchy, 0.5, 0.0)
    lopsided = dice.normal(kind.lopsided[0], kind.lopsided[1], -0.5, 0.5)
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
        twist=dice.normal(0.0, kind.twist, -0.3, 0.3),
        bow=dice.normal(0.0, torch.where(bent, 0.06, kind.bow), -0.12, 0.12),
        patchy=torch.where(
            patchy, dice.uniform(0.5, 1.1), kind.patchy * dice.uniform()
        ),
        young_share=dice.normal(kind.young + 0.09 * late, 0.08, 0.1, 0.8),
        colors=_disc_colors(late, dice),
        bars=bars,
        arms=_draw_arms(kind, h, bars, dice, plain=patchy | shelled),
        tides=_draw_tides(kind, h, dice, more=shelled),
    )


def draw_edge_ons(
    labels: Tensor, _size: Tensor, dice: Dice, _age: Tensor | None = None
) -> EdgeOns:
    """Draw discs that are seen from the side."""
    bulged = labels == BULGED
    kind = _each(EDGE_ON_KINDS, labels)
    h = dice.lognormal(kind.h, 0.4, 1.7, 7.5)
    # Kregel et al. (2002): h_R / h_z = 7.3 +- 2.2, and z0 = 2 h_z.
    height = 2 * h / dice.normal(kind.flatness, 2.2, 4.0, 13.0)
    share = torch.where(
        bulged, dice.lognormal(0.26, 0.35, 0.14, 0.6), dice.uniform(0.0, 0.045)
    )
    late = dice.normal(kind.late, 0.6)
    brightness = dice.normal(kind.magnitude, 0.5)
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
        dust=dice.lognormal(kind.dust, 0.7, 0.0, 2.5),
        dust_shift=dice.normal(0.0, 0.25, -0.5, 0.5),
        knots=dice.uniform(0.0, kind.knots),
        colors=_disc_colors(late, dice),
    )


def _draw_bars(kind: Any, h: Tensor, dice: Dice) -> Bars:
    """Draw bars as long and bright as those that volunteers see (docs/log.md)."""
    barred = dice.chance(kind.bar_odds)
    length = h * dice.lognormal(1.4, 0.22, 0.95, 2.1)
    share = dice.lognormal(0.27, 0.35, 0.14, 0.45)
    return Bars(
        share=torch.where(barred, share, 0.0),
        length=length,
        width=length * dice.uniform(0.2, 0.38),
        boxiness=dice.uniform(2.0, 3.2),
        angle=dice.angle(),
    )


def _draw_arms(kind: Any, h: Tensor, bars: Bars, dice: Dice, *, plain: Tensor) -> Arms:
    """Arms from grand designs down to hardly visible ones; none where plain."""
    barred = bars.share > 0
    pitch = dice.normal(kind.pitch[0], kind.pitch[1]).clamp(*kind.pitch_limits)
    number = dice.choice((1.0, 2.0, 3.0, 4.0, 5.0), (0.07, 0.58, 0.17, 0.12, 0.06))
    number = torch.where(barred | dice.chance(kind.two_armed), 2.0, number)
    winding = dice.sign() / torch.deg2rad(pitch).tan()
    free = h * dice.uniform(0.3, kind.start)
    start = torch.where(barred, bars.length * 0.95, free)
    # Arms leave the bar at its ends: their phase is zero there.
    at_bar = -number * (bars.angle - start.log() * winding)
    armed = dice.chance(kind.arm_odds) & ~plain
    strength = torch.where(armed, dice.uniform(*kind.strength), 0.0)
    knots = kind.knots * dice.uniform() ** 2
    ring = dice.chance(kind.ring_odds)
    return Arms(
        number=number,
        winding=winding,
        phase=torch.where(barred, at_bar, dice.angle()),
        strength=strength,
        sharpness=dice.uniform(0.8, kind.sharpness),
        start=start,
        end=h * dice.uniform(2.2, kind.end),
        uneven=dice.uniform(0.0, kind.uneven),
        ragged=dice.uniform(0.0, kind.ragged),
        bumps=dice.noise(dice.num, 22, 22),
        knots=torch.where((strength > 0) | (plain & dice.chance(0.5)), knots, 0.0),
        ring=torch.where(ring & ~plain, dice.uniform(0.1, 0.9), 0.0),
        dust=dice.lognormal(0.2, 0.8, 0.0, 0.9),
    )


def _draw_tides(kind: Any, h: Tensor, dice: Dice, *, more: Tensor) -> Tides:
    """Three features each: tails are long and narrow, arcs and shells short in R."""
    tail = dice.uniform(0.0, 1.0, 3) < 0.5
    odds = torch.where(more, 0.85, kind.tide_odds)[:, None]
    present = dice.uniform(0.0, 1.0, 3) < odds
    share = dice.of(3 * len(h)).lognormal(0.055, 0.6, 0.01, 0.2).reshape(-1, 3)
    share = share * torch.where(more, 1.6, 1.0)[:, None]  # 1.6: docs/log.md
    pitch, shell_pitch = dice.uniform(25.0, 60.0, 3), dice.uniform(-12.0, 12.0, 3)
    pitch = torch.deg2rad(torch.where(tail, pitch, 90.0 + shell_pitch))
    spread, thin = dice.uniform(0.6, 1.4, 3), dice.uniform(0.2, 0.7, 3)
    return Tides(
        share=torch.where(present, share, 0.0),
        radius=h[:, None] * dice.uniform(2.2, 4.2, 3),
        width=h[:, None] * torch.where(tail, spread, thin),
        angle=dice.angle(3),
        sharpness=torch.where(
            tail, dice.uniform(6.0, 25.0, 3), dice.uniform(0.7, 4.0, 3)
        ),
        winding=dice.sign()[:, None] / pitch.tan(),
    )


def _disc_colors(late: Tensor, dice: Dice) -> Tensor:
    """Fluxes over the r flux of old, disc and young stars: (N, 3 bands, 3 kinds)."""
    shift = dice.normal(0.0, 0.07)
    kinds = []
    for g_r, r_z, trend, spread in STAR_COLORS:
        redder = dice.normal(0.0, spread) - trend * late + shift
        scatter = dice.normal(0.0, 0.025)
        kinds.append(bands(g_r + redder, r_z + 0.8 * redder + scatter))
    return torch.stack(kinds, dim=-1)


def _centered(dice: Dice) -> Pose:
    return Pose(dice.normal(0.0, 0.3), dice.normal(0.0, 0.3), dice.angle())
