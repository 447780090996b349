"""Do dreams draw what the simulator draws? Exact pairs are the truth for details.

The simulator draws one galaxy with and without what makes its class. A dream of that
class starts from the galaxy without it; what it adds is compared with the true
difference.
"""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, maximum_filter
from torch import Tensor

from dmagnet.errors import ConfigError
from dmagnet.measuring.spectra import azimuthal_modes, polar_rings
from dmagnet.pictures.standard import RADII, find_extent, standardize
from dmagnet.simulator.pairs import ARMS, without
from dmagnet.simulator.parameters import (
    PARAMETERS,
    Galaxy,
    Pair,
    draw_neutral,
    values_of,
    with_values,
)
from dmagnet.simulator.scene import Change, draw
from dmagnet.simulator.truth import Discs, EdgeOns, pick
from dmagnet.storage.arrays import Floats, Pixels

DISTURBED, MERGING, BARRED, TIGHT, LOOSE, BULGED = 0, 1, 5, 6, 7, 9
LEAST_RMS = 0.01  # of white, over the view: a smaller difference is not seen
MOST_TRIED = 20  # galaxies drawn for each one that is kept
MOST_DRAWN = 100_000  # galaxies of one seed
BOUNDS = (0.05, 1.0)  # isophotal radii, where details are compared
NUM_RINGS = 64  # 2 px apart at the largest, in a view of 128 px
HELD = 0.8  # share of the light that was added within the radius of a bar
WINDINGS = np.linspace(-30, 30, 601)  # waves per e-fold in r
NUM_ARMS = (2, 3, 4)  # one arm is a lopsided galaxy
STEEPEST = 0.9  # m / abs(p): pitch up to 42 degrees, as the simulator draws arms
SKY = 0.1  # of white, in the standard view
LEAST_LIGHT = 0.02  # of white: below, a difference is noise and compression
NUCLEUS = 0.3  # of the peak above the sky; fainter maxima are knots and noise
SEEING = 2 / 128  # sigma over the side of the view: the simulator's, about 1.3 arcsec
_DISCS = (Discs, EdgeOns)


WITHOUT = {
    DISTURBED: ("bulge_shift", "lopsided", "twist", "bow", "patchy", "tides.share"),
    MERGING: ("companion",),
    BARRED: ("bars.share",),
    TIGHT: ARMS,
    LOOSE: ARMS,
    BULGED: ("bulge_share",),
}
# What a galaxy that was robbed of its feature must not tell of it: fields of the
# record, and parameters of `dmagnet.simulator.parameters`.
_ARMS = (
    "arm_strength", "pitch", "arm_sharpness", "arm_start", "arm_end", "ring",
    "unevenness", "raggedness", "dust",
)  # fmt: skip
_COMPANION = ("companion_share", "companion_distance")
TRACES: dict[int, tuple[tuple[str, ...], tuple[str, ...]]] = {
    DISTURBED: (
        ("tides", "lopsided_angle"),
        ("lopsidedness", "twist", "bow", "patchiness", "tide_share"),
    ),
    MERGING: ((), ()),
    BARRED: (("bars",), ("bar_share", "bar_length", "bar_width")),
    TIGHT: (("arms",), _ARMS),
    LOOSE: (("arms",), _ARMS),
    BULGED: (("bulge_n",), ("bulge_share", "bulge_extent", "bulge_axis_ratio")),
}


def draw_pairs(
    label: int, num: int, side: int, *, seed: int = 0
) -> tuple[Tensor, Tensor, tuple[Galaxy, ...]]:
    """Draw galaxies without and with what makes their class.

    Parameters
    ----------
    label : {0, 1, 5, 6, 7, 9}
        A class that has pairs: disturbed, merging, barred, tight, loose, with a bulge.
    num : int
        How many pairs; those whose difference is not seen are left out.
    side : int
        Of the view, in px.
    seed : int
        Of the galaxies.

    Returns
    -------
    without, with : (N, 3, S, S) float32 in [0, 1]
        As a network sees them that sees all galaxies at one size and brightness; both
        in the view of the galaxy without.
    galaxies : tuple of record
        Those without, for `dmagnet.dreaming.galaxy_frames` to start from. Of what makes
        their class they have what a neutral galaxy has, at scale: nothing in them tells
        what was taken away.

    Raises
    ------
    ConfigError
        If the simulator cannot take away what makes that class, or draws too few
        galaxies in which it is seen.

    Notes
    -----
    Of mergers only those are drawn whose larger galaxy is a disc.
    """
    if label not in WITHOUT:
        raise ConfigError(
            f"label: expected a class with pairs, {', '.join(map(str, WITHOUT))}, "
            f"got {label}"
        )
    kinds = torch.tensor([label])
    robbed = without(*WITHOUT[label])
    drawn: list[Any] = []  # the members of the frame, then a record for each kind

    def change(labels: Tensor, galaxies: Any) -> Any:  # numpydoc ignore=GL08
        drawn.append(robbed(labels, galaxies))
        return drawn[-1]

    pairs: list[Tensor] = []
    starts: list[Galaxy] = []
    for i in range(num * MOST_TRIED):
        if len(pairs) == num:
            break
        drawn.clear()
        one = partial(_picture, kinds, seed=seed * MOST_DRAWN + i)
        plain, whole = one(change), one(None)
        if drawn[0].smooth[0]:
            continue
        extent = find_extent(plain)
        views = [standardize(p, side, extent=extent) for p in (plain, whole)]
        pair = torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float() / 255
        if float((pair[1] - pair[0]).square().mean().sqrt()) > LEAST_RMS:
            pairs.append(pair)
            (disc,) = (g for g in drawn if isinstance(g, _DISCS) and len(g.flux))
            starts.append(_start(pick(disc, slice(0, 1)), label, i))
    if len(pairs) < num:
        raise ConfigError(
            f"num: expected at most {len(pairs)} pairs of class {label}, got {num}; "
            f"the difference is seen in no more of {num * MOST_TRIED} galaxies"
        )
    both = torch.stack(pairs)
    return both[:, 0].contiguous(), both[:, 1].contiguous(), tuple(starts)


def _start(plain: Discs | EdgeOns, label: int, seed: int) -> Galaxy:
    """Give a galaxy what a neutral one has of the feature that was taken away."""
    parts, names = TRACES[label]
    if isinstance(plain, EdgeOns):
        kind, neutral = "edge-on", draw_neutral("edge-on", seed)
        start: Galaxy = replace(plain, **{p: getattr(neutral, p) for p in parts})
    else:
        kind, neutral = "disc", draw_neutral("disc", seed)
        assert isinstance(neutral, Pair)
        disc = replace(plain, **{p: getattr(neutral.disc, p) for p in parts})
        start, names = Pair(disc, neutral.companion), (*names, *_COMPANION)
    own = {name: PARAMETERS[kind][name] for name in names}
    changed: Galaxy = with_values(start, own, values_of(neutral, own))
    return changed


def _picture(kinds: Tensor, change: Change | None, *, seed: int) -> Pixels:
    generator = torch.Generator().manual_seed(seed)
    drawn = draw(kinds, generator=generator, change=change)
    return drawn[0].permute(1, 2, 0).contiguous().numpy()


def compare_details(base: Tensor, dreams: Tensor, truth: Tensor) -> dict[str, Floats]:
    """Compare what dreams add to galaxies with what the simulator adds.

    Parameters
    ----------
    base, dreams, truth : (B, 3, S, S) float in [0, 1]
        Galaxies without what makes their class, dreamed, and with it.

    Returns
    -------
    dict of str to (B,) float
        ``correlation``: of the two details in three colors within the isophotal radius,
        at the best rotation; ``smoothed``: the same as the seeing shows them, since
        nothing true is finer. ``a2_before``, ``a2``, ``a2_true``: m = 2 amplitude
        over the mean, within the radius that holds 80 % of the light added.
        ``pitch``, ``pitch_true``: of arms in the details, in degrees.
        ``nuclei_before``, ``nuclei``, ``nuclei_true``: maxima of the smoothed pictures
        above 0.3 of the peak.

    Notes
    -----
    A correlation that is highest at the best of all rotations is above zero by chance,
    and elongated light resembles a bar: compare with wrong classes and light alone.
    """
    side = base.shape[-1]
    radius = base.new_full((len(base),), side / RADII)
    middle = torch.full_like(radius, (side - 1) / 2)
    details = dreams - base, truth - base
    sharp, smooth = (
        [
            polar_rings(d, (middle, middle), radius, BOUNDS, num_rings=NUM_RINGS)[0]
            for d in each
        ]
        for each in (details, map(_seen, details))
    )
    extent = _held((details[1].mean(dim=1) - LEAST_LIGHT).clamp(min=0), radius)
    place = middle, middle, extent
    modes, nuclei = {}, {}
    for when, images in {"_before": base, "": dreams, "_true": truth}.items():
        a2 = azimuthal_modes(images - SKY, *place, (2,))[:, 0]
        modes[f"a2{when}"] = a2.double().numpy()
        nuclei[f"nuclei{when}"] = _count_nuclei(images)
    return {
        "correlation": best_rotation(*sharp),
        "smoothed": best_rotation(*smooth),
        **modes,
        "pitch": pitch_angle(sharp[0].mean(dim=1)),
        "pitch_true": pitch_angle(sharp[1].mean(dim=1)),
        **nuclei,
    }


def best_rotation(first: Tensor, second: Tensor) -> Floats:
    """Correlate rings (B, C, R, T) of two images where turning makes it highest."""
    area = torch.logspace(0, 2 * math.log10(BOUNDS[1] / BOUNDS[0]), first.shape[2])
    weight = (area / area.sum())[:, None].double()  # rings are even in log r
    waves = []
    for rings in (first.double(), second.double()):
        mean = (weight * rings).sum(dim=2).mean(dim=-1)[..., None, None]
        waves.append(torch.fft.rfft(rings - mean, norm="forward"))
    a, b = waves
    times = torch.full((a.shape[-1],), 2.0, dtype=torch.float64)
    times[[0, -1]] = 1  # of a real ring all other waves stand for two
    power = [(weight * w.abs().square() * times).sum(dim=(1, 2, 3)) for w in waves]
    cross = (weight * a.conj() * b).sum(dim=(1, 2))
    turned = torch.fft.irfft(cross, n=first.shape[-1], norm="forward")
    highest = turned.amax(dim=1) / (power[0] * power[1]).sqrt().clamp(min=1e-12)
    return np.asarray(highest.numpy(), np.float64)


def _seen(detail: Tensor) -> Tensor:
    """Smooth a detail as the seeing smooths galaxies."""
    sigma = SEEING * detail.shape[-1]
    smooth = gaussian_filter(detail.numpy(), (0, 0, sigma, sigma))
    return torch.from_numpy(smooth)


def pitch_angle(rings: Tensor) -> Floats:
    """Find the pitch of logarithmic arms in rings (B, R, T), degrees.

    The strongest wave exp(i (m theta + p log r)) has tan(pitch) = m / abs(p) (Puerari &
    Dottori 1992, A&AS 93, 469).
    """
    num = rings.shape[1]
    log_r = np.linspace(math.log(BOUNDS[0]), math.log(BOUNDS[1]), num)
    waves = np.exp(-1j * np.outer(log_r, WINDINGS))
    modes = torch.fft.rfft(rings)[..., NUM_ARMS].mT.numpy()
    strength = np.abs((modes * np.hanning(num)) @ waves)  # (B, M, P)
    slope = np.array(NUM_ARMS)[:, None] / np.abs(WINDINGS).clip(1e-9)
    strength[:, slope > STEEPEST] = 0
    best = strength.reshape(len(rings), -1).argmax(axis=1)
    return np.asarray(np.degrees(np.arctan(slope.ravel()[best])), np.float64)


def _held(light: Tensor, radius: Tensor) -> Tensor:
    """Return the radius that holds most of the light within the galaxy."""
    side = light.shape[-1]
    axis = torch.arange(side) - (side - 1) / 2
    distance, order = torch.hypot(axis[:, None], axis).flatten().sort()
    inside = light.flatten(1)[:, order] * (distance <= radius[:, None])
    held = inside.cumsum(dim=1)
    index = (held >= HELD * held[:, -1:]).int().argmax(dim=1)
    return distance[index].clamp(min=side / 32)


def _count_nuclei(images: Tensor) -> Floats:
    """Count bright separate maxima in the view."""
    counts = []
    for image in _seen(images.mean(dim=1, keepdim=True))[:, 0].double().numpy():
        light = image - np.median(image)
        size = 2 * math.ceil(2 * SEEING * len(image)) + 1
        peaks = (light == maximum_filter(light, size)) & (light > NUCLEUS * light.max())
        counts.append(float(peaks.sum()))
    return np.array(counts)
