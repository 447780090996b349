"""Fluxes of any bands as RGB: how each is drawn where it is not g, r and z."""

import re
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from dmagnet.pictures.flags import Flag
from dmagnet.pictures.opening import ImageError, Note
from dmagnet.pictures.raster import strips
from dmagnet.storage.arrays import Singles

UNNAMED = "no names of bands"  # begins the note on planes without

if TYPE_CHECKING:
    from torch import Tensor

Flux = TypeVar("Flux", Singles, "Tensor")

# Planes red, green, blue are z, r, g; the factors are per nanomaggy, from the
# viewer's map for g, r, z (Legacy Surveys, `dr2_rgb`).
GRZ_SCALES = {"g": 6.0, "r": 3.4, "z": 2.2}
SOFTENING = 20.0  # Q of Lupton et al. (2004, PASP 116, 133)
PEDESTAL = 0.03  # keeps sky noise visible on both sides of zero


def legacy_rgb(flux: Flux) -> Flux:
    """Draw g, r, z fluxes as the Legacy Survey viewer does.

    Parameters
    ----------
    flux : (..., 3, H, W) float array or tensor
        Nanomaggies per pixel in the order g, r, z.

    Returns
    -------
    (..., 3, H, W) float in [0, 1]
        Red, green, blue; of the kind that came in.

    Notes
    -----
    The arcsinh stretch of Lupton et al. (2004), eq. 1-2, on the mean of the scaled
    bands, with the viewer's constants and its clipping of each color on its own.
    """
    values: Any = flux  # arrays and tensors share the calls below
    scales = np.array([[[GRZ_SCALES[band]]] for band in "grz"], np.float32)
    if not isinstance(flux, np.ndarray):
        scales = values.new_tensor(scales)
    scaled = values * scales + PEDESTAL
    intensity = scaled.clip(min=0).mean(axis=-3, keepdims=True)
    bright = SOFTENING * intensity
    arcsinh = np.arcsinh(bright) if isinstance(flux, np.ndarray) else bright.arcsinh()
    stretched = arcsinh / SOFTENING**0.5
    rgb: Flux = scaled * stretched / intensity.clip(min=1e-6)
    return rgb[..., [2, 1, 0], :, :].clip(0, 1)


# Centers in nm. Lower case: SDSS, DECam, HSC, LSST; upper case: Johnson, 2MASS, Euclid.
WAVELENGTHS = {
    "NUV": 227, "u": 355, "U": 365, "B": 440, "g": 475, "G": 475, "V": 551, "r": 622,
    "R": 658, "VIS": 715, "i": 763, "I": 806, "z": 905, "Z": 905, "y": 1000, "Y": 1020,
    "J": 1250, "H": 1650, "K": 2160, "KS": 2160,
    "W1": 3353, "W2": 4603, "W3": 11561, "W4": 22088,
}  # fmt: skip
# Of Hubble and Webb; J0660 of J-PLUS.
SPACE_FILTER = re.compile(r"(?:F|J0)(\d{3,4})(?:W2?|M|N|LP|X)?")
VARIANT = re.compile(r"([A-Za-z])['\u2032p2]")  # g', ip, HSC-R2

# What the viewer multiplies a band by grows from blue to red as 1 / flux of a usual
# galaxy; i is from the same map (Legacy Surveys, `sdss_rgb`), others lie between.
GRZ_NM = (475.0, 622.0, 905.0)
CURVE_NM = (475.0, 622.0, 763.0, 905.0)
CURVE = (GRZ_SCALES["g"], GRZ_SCALES["r"], 3.0, GRZ_SCALES["z"])
USUAL_NOISE = {"g": 0.0018, "r": 0.0027, "z": 0.0083}  # nmgy/px, of two DECaLS cut-outs
NOISELESS = 2000.0  # times the noise the brightest 0.2 % have in simulations only
USUAL_BRIGHT = (0.2, 0.5, 1.2)  # nmgy/px above the sky of their brightest 0.2 %
USUAL_RATIO = 5.0  # further from the usual the unit is no nanomaggy

WHITE_SHARE = 0.998  # of the pixels are fainter: the rest is a galaxy's core
LOW_SHARE, LOW_SIGMAS = 0.1, 1.28  # of pure sky 10 % lie that much below its level
PEDESTAL_SIGMAS = 10.0  # above zero the lowest pixels of a sky-subtracted image are not


def wavelength(band: str, telescope: str = "") -> float:
    """Find the center of a band from its name."""
    words = re.split(r"[\s._\-/:,;]+", band.strip())
    for word in words:
        if found := SPACE_FILTER.fullmatch(word.upper()):
            number = float(found[1])
            infrared = "JWST" in telescope.upper() or number < 200
            return number * 10 if infrared and number < 1000 else number
    survey = len(words) > 1 or not band.strip().isupper()
    for word in words:
        plain = VARIANT.sub(r"\1", word) if survey and word not in WAVELENGTHS else word
        for name in (plain.lower(), plain.upper()) if survey else (word,):
            if name in WAVELENGTHS:
                return WAVELENGTHS[name]
    return float("nan")


def draw(
    planes: Singles,
    bands: Sequence[str] = (),
    *,
    known_units: bool = True,
    telescope: str = "",
) -> tuple[Singles, tuple[Note, ...]]:
    """Draw fluxes of any bands as the Legacy Survey viewer draws g, r and z.

    Parameters
    ----------
    planes : (B, H, W) float32
        NaN where a pixel has no value; sky-subtracted nanomaggies a pixel of 0.262
        arcsec if `known_units`.
    bands : sequence of str
        A name for each plane; none means from blue to red.
    known_units : bool
        Otherwise they are brought to the noise of a Legacy Survey image, or as near to
        it as a usual brightness allows, all by the same factor, with their sky taken
        off; two or more planes with such noise are taken as nanomaggies.
    telescope : str
        See `wavelength`.

    Returns
    -------
    (H, W, 3) float32 in [0, 1]
        Red, green, blue, in the order of rows that came in.
    tuple of (str, str)
        Doubts, and what was done.

    Raises
    ------
    ImageError
        If a band that is drawn has no value, or the same everywhere.

    Notes
    -----
    g, r, z are drawn by `legacy_rgb`. Of other bands the three nearest in wavelength
    (in the logarithm, order kept) stand for them; each is multiplied by the viewer's
    factor for its wavelength, between g, r, i, z by interpolation, beyond them that of
    the last. Of two bands the mean stands between them. One band is drawn in grey by
    the same map, with the factor for r if its unit or wavelength is not known: a
    network trained in color then still knows the galaxy, which it does not after a
    stretch from the sky to the brightest pixels (`benchmarks/bands.py`). Fluxes
    whose lowest 10 % lie far above zero contain the sky, which is taken off.
    """
    notes = [*_missing(planes)]
    picked, centers, note = _pick(bands, len(planes), telescope)
    if len(picked) == 1:
        notes.append((Flag.ONE_BAND, "one band, drawn in grey"))
    elif note:
        notes.append((Flag.OTHER_BANDS, note))
    flux = planes[picked]
    _check_each(flux, [bands[i] if bands else f"plane {i}" for i in picked])
    if known_units:
        flux = np.stack([_without_pedestal(plane) for plane in flux])
    else:
        flux, line = _guessed(flux)
        notes.append((Flag.NO_UNITS, line))
        centers = [GRZ_NM[1]] if len(flux) == 1 else centers
    flux, _ = filled(flux)
    factors = np.interp(centers, CURVE_NM, CURVE).astype(np.float32)
    return _colored(flux, factors), tuple(notes)


def _colored(flux: Singles, factors: Singles) -> Singles:
    """Draw the three bands, or what there is of them: (H, W, 3), strip by strip."""
    height, width = flux.shape[1:]
    parts = list(strips(height, width))
    if len(parts) == 1:
        return _colored_strip(flux, factors)
    rgb = np.empty((height, width, 3), np.float32)
    for rows in parts:
        rgb[rows] = _colored_strip(flux[:, rows], factors)
    return rgb


def _colored_strip(flux: Singles, factors: Singles) -> Singles:
    grey = len(flux) == 1
    flux = flux * factors[:, None, None]
    if len(flux) < 3:
        flux = np.stack([flux[0], flux.mean(0), flux[-1]])
    viewer = np.array([GRZ_SCALES[band] for band in "grz"], np.float32)
    grz = (flux / viewer[:, None, None]).astype(np.float32)
    rgb = legacy_rgb(grz).transpose(1, 2, 0)
    return np.repeat(rgb[..., 1:2], 3, axis=2) if grey else rgb


def filled(planes: Singles) -> tuple[Singles, tuple[Note, ...]]:
    """Lay sky where a pixel has no value."""
    notes = _missing(planes)
    if not notes:
        return planes, ()
    skies = np.array([_sky(plane, noise_of(plane)) for plane in planes], np.float32)
    return np.where(np.isfinite(planes), planes, skies[:, None, None]), notes


def _missing(planes: Singles) -> tuple[Note, ...]:
    """Count the pixels without a value."""
    count = planes.size - int(np.isfinite(planes).sum())
    line = f"{count} pixels without a value (NaN) were filled with sky"
    return ((Flag.SOME_NAN, line),) if count else ()


def _pick(
    bands: Sequence[str], count: int, telescope: str
) -> tuple[list[int], list[float], str]:
    """Choose the planes for blue, green and red: indices, centers in nm, a note."""
    if count == 1:
        center = wavelength(bands[0], telescope) if bands else GRZ_NM[1]
        return [0], [center if np.isfinite(center) else GRZ_NM[1]], ""
    if not bands:
        if count == 3:
            line = f"{UNNAMED}: the planes were taken as g, r, z"
            return [0, 1, 2], [*GRZ_NM], line
        line = f"{UNNAMED}: the planes were taken from blue to red"
        steps = np.linspace(0, count - 1, min(count, 3)).round().astype(int)
        return list(steps), list(np.interp(steps, [0, count - 1], GRZ_NM[::2])), line
    centers = np.array([wavelength(name, telescope) for name in bands])
    if not np.isfinite(centers).all():
        unknown = [n for n, c in zip(bands, centers, strict=True) if not np.isfinite(c)]
        known = "bands of unknown wavelength (" + ", ".join(unknown) + ")"
        chosen, nm, _ = _pick((), count, telescope)
        return chosen, nm, f"{known}: the planes were taken from blue to red"
    order = [int(i) for i in np.argsort(centers, kind="stable")]
    wanted = np.log(GRZ_NM if count > 2 else GRZ_NM[::2])

    def _distance(chosen: tuple[int, ...]) -> float:
        return float(np.abs(np.log(centers[list(chosen)]) - wanted).sum())

    best = min(combinations(order, len(wanted)), key=_distance)
    nm = [float(centers[i]) for i in best]
    stands = "g, r, z" if count > 2 else "g and z"
    note = ", ".join(bands[i] for i in best) + f" drawn as {stands}"
    return list(best), nm, "" if tuple(nm) == GRZ_NM else note


def _check_each(flux: Singles, names: Sequence[str]) -> None:
    """Refuse a band without any value; the cut-out service fills such with zeros."""
    known = [plane[np.isfinite(plane)] for plane in flux]
    if len(flux) == 1 and known[0].size:
        return  # alone it is a plain picture
    if empty := [
        name
        for name, values in zip(names, known, strict=True)
        if not values.size or np.ptp(values) == 0
    ]:
        fault = Flag.NO_VALUES if len(empty) == len(names) else Flag.MISSING_BAND
        raise ImageError(
            "expected a value in each band, got a band without any (all NaN or all the "
            "same): " + ", ".join(empty),
            fault,
        )


def _without_pedestal(plane: Singles) -> Singles:
    """Take the sky off fluxes that contain it: all of them lie far above zero."""
    noise = noise_of(plane)
    sky = _sky(plane, noise)
    if sky <= PEDESTAL_SIGMAS * noise:
        return plane
    return plane - np.float32(sky)


def _sky(plane: Singles, noise: float) -> float:
    """Find the level of the sky, also around a galaxy that nearly fills the image."""
    low = float(np.nanquantile(plane, LOW_SHARE))
    return min(low + LOW_SIGMAS * noise, float(np.nanmedian(plane)))


def _guessed(flux: Singles) -> tuple[Singles, str]:
    """Bring fluxes of an unknown unit to a usual brightness, if they are not of it."""
    noise = np.array([noise_of(plane) for plane in flux])
    skies = [_sky(plane, sigma) for plane, sigma in zip(flux, noise, strict=True)]
    sky = np.array(skies, np.float32)[:, None, None]
    bright = float(np.nanquantile(flux - sky, WHITE_SHARE, axis=(1, 2)).mean())
    bright = max(bright, 1e-30)
    chosen = {1: "r", 2: "gz", 3: "grz"}[len(flux)]
    usual = np.array([USUAL_NOISE[band] for band in chosen])
    if (noise * NOISELESS > bright).all():
        ratio = float(np.exp(np.log(usual / noise).mean()))
        if len(flux) > 1 and 1 / USUAL_RATIO < ratio < USUAL_RATIO:
            return flux, "no unit: the fluxes were taken as nanomaggies"
    else:
        ratio = USUAL_BRIGHT[1] / bright
    ratio = float(np.clip(ratio * bright, USUAL_BRIGHT[0], USUAL_BRIGHT[2])) / bright
    scaled: Singles = ((flux - sky) * ratio).astype(np.float32)
    return scaled, f"no unit: the fluxes were multiplied by {ratio:.3g} to look usual"


def noise_of(plane: Singles) -> float:
    """Measure the noise of an image."""
    from astropy.stats import mad_std  # slow to load: only for FITS

    steps = np.diff(plane, axis=1)
    return float(mad_std(steps[np.isfinite(steps)])) / 2**0.5
