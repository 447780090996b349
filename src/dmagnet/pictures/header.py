"""Bands and units of fluxes, from the header of an image."""

import contextlib
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.io import fits

from dmagnet.pictures.bands import wavelength
from dmagnet.storage.arrays import Singles

MAX_PLANES = 16  # more is a spectrum, or slices of time
SCALES = (1e-3, 120.0)  # arcsec a pixel that an image of a galaxy can have
FRAME_SCALE = 0.262  # arcsec a pixel of the images the drawing is made for
AB_NANOMAGGY = 22.5  # magnitude of one
JANSKYS = 3.6308e-6  # of one: magnitude 0 has 10**(-48.6 / 2.5) erg/s/cm2/Hz

# Where magnitudes of one count stand, those of one second last; AB but for `VEGA`.
ZERO_POINTS = (
    "PHOTZP", "PHOT_ZP", "MAGZERO", "MAGZEROP", "MAG_ZERO", "MAG0", "MAGZP", "MAG_ZP",
    "ZEROPNT", "ZEROPOINT", "ZPT", "ZP", "ABMAGZP", "ABZP", "MAGZPT",
)  # fmt: skip
SYSTEMS = ("PHOTSYS", "MAGSYS", "ZPSYS")  # VEGA or AB
VEGA = ("2MASS", "UKIRT", "WFCAM", "VISTA", "VIRCAM", "WISE")
# Of these MAGZPT is Vega's, at unit airmass and before aperture corrections (Hodgkin et
# al. 2009, MNRAS 394, 675): it counts only where the header says which system it is.
DOUBTFUL = ("UKIRT", "WFCAM")
# CASU's pipeline for these writes MAGZPT for one second of counts of the exposure.
SECONDS = ("UKIRT", "WFCAM", "VISTA", "VIRCAM", "VST", "OMEGACAM")
EXPOSURES = ("EXP_TIME", "EXPTIME", "EXPOSURE", "TEXPTIME")
MAGNITUDES = re.compile(  # and those of a square arcsec; of AB, as far as they say
    r"(?:ab[ _]?)?mag(?:s|nitudes?)?(?:\(ab\))?( *(?:/|per|arcsec).*)?", re.IGNORECASE
)
PER_SECOND = re.compile(r"/ ?s(ec|$| )|\bs(ec)? ?(\*\*|\^)? ?\(?-1|cps", re.IGNORECASE)
# AB minus Vega by the center of a band in nm: Blanton & Roweis (2007, AJ 133, 734,
# table 1) for U to I and Ks, Hewett et al. (2006, MNRAS 367, 454) for ugriz and ZYJHK,
# Jarrett et al. (2011, ApJ 735, 112) for WISE. Surveys differ from these by 0.05.
AB_OF_VEGA = {
    355: 0.93, 365: 0.79, 440: -0.09, 475: -0.10, 551: 0.02, 622: 0.15, 658: 0.21,
    763: 0.37, 806: 0.45, 905: 0.53, 1020: 0.63, 1250: 0.94, 1650: 1.38, 2160: 1.87,
    3353: 2.70, 4603: 3.34, 11561: 5.17, 22088: 6.62,
}  # fmt: skip
ASINH = 2.5 * math.log10(math.e)  # magnitudes of a factor e
PAN_STARRS = 25.0  # magnitude of one count a second in its sky cells

FILTERS = (
    "FILTER", "BAND", "FILTER1", "FILTER2", "FILTNAM1", "FILTNAM2", "PUPIL",
    "FPA.FILTERID", "FPA.FILTER",
)  # fmt: skip
TELESCOPES = ("TELESCOP", "INSTRUME", "FPA.TELESCOPE", "ORIGIN", "SURVEY")
NAMES = ("BANDS", *map("BAND{}".format, range(MAX_PLANES)))
# What may stand in the primary header for all extensions.
WHOLE_FILE = (
    *NAMES, *FILTERS, *TELESCOPES, "BUNIT", *ZERO_POINTS, *SYSTEMS, *EXPOSURES,
    "FLUXMAG0", "PHOTFLAM", "PHOTPLAM", "BSOFTEN", "BOFFSET",
)  # fmt: skip

Cards = Mapping[str, Any]


def cards_of(
    header: fits.Header, primary: fits.Header, shape: tuple[int, ...]
) -> Cards:
    """Read the cards that tell of fluxes, also those that stand for the whole file."""
    own = _cards(header)
    inherit = header.get("INHERIT", not primary.get("NAXIS"))
    if header is primary or inherit is not True:
        return own
    cards = _cards(primary) | own
    if len(bands_of(cards)) not in shape[-3:]:  # they name the extensions
        return {k: v for k, v in cards.items() if k in own or k not in NAMES}
    return cards


def _cards(header: fits.Header) -> dict[str, Any]:
    cards = {key: header[key] for key in WHOLE_FILE if key in header}
    return {k: v for k, v in cards.items() if not isinstance(v, fits.card.Undefined)}


def split_bands(bands: str) -> tuple[str, ...]:
    """Split names of bands."""
    parts = bands.split(",") if "," in bands else bands
    return tuple(part.strip() for part in parts if part.strip())


def bands_of(cards: Cards) -> tuple[str, ...]:
    """Read the names of the bands out of the cards that surveys use."""
    if bands := split_bands(str(cards.get("BANDS", ""))):
        return bands
    numbered = [str(cards.get(f"BAND{i}", "")).strip() for i in range(MAX_PLANES)]
    count = len([name for name in numbered if name])
    if count > 1 and all(numbered[:count]):
        return tuple(numbered[:count])
    return ()


def filter_of(cards: Cards) -> tuple[str, ...]:
    """Read the name of the filter of an image of one band."""
    found = [str(cards.get(key, "")).strip() for key in FILTERS]
    if found[1].isdigit() and "WISE" in telescope_of(cards):
        found[1] = f"W{found[1]}"
    names = [name for name in found if name and not name.upper().startswith("CLEAR")]
    known = [name for name in names if math.isfinite(wavelength(name))]
    return tuple((known or names)[:1])


def telescope_of(cards: Cards) -> str:
    """Return the telescope that took an image."""
    names = (str(cards.get(key, "")).strip() for key in TELESCOPES)
    return " ".join(name.upper() for name in names if name)


def blank_of(header: fits.Header, dtype: npt.DTypeLike) -> float:
    """Read the number that stands for no value where astropy leaves it."""
    if "BLANK" not in header:
        return math.nan
    blank, zero = _number(header, "BLANK"), _number(header, "BZERO")
    kind = np.dtype(dtype).kind
    if kind == "u" and zero > 0:
        return blank + zero
    if kind == "f" and (blank == 0 or _number(header, "BITPIX") > 0):
        return math.nan
    return blank


def linear(flux: Singles, cards: Cards) -> Singles:
    """Make fluxes of magnitudes, and of Pan-STARRS's asinh magnitudes."""
    # Waters et al. (2020, ApJS 251, 4): BOFFSET + 2 BSOFTEN sinh(x / a), with a = 2.5
    # log10(e).
    softening, offset = _number(cards, "BSOFTEN"), _number(cards, "BOFFSET")
    magnitudes = MAGNITUDES.fullmatch(str(cards.get("BUNIT", "")).strip())
    if not softening > 0 and not magnitudes:
        return flux
    with np.errstate(over="ignore", invalid="ignore"):
        if magnitudes:
            counts = 10 ** (np.float32(0.4) * (np.float32(AB_NANOMAGGY) - flux))
        else:
            counts = 2 * softening * np.sinh(flux / np.float32(ASINH))
            counts += 0 if math.isnan(offset) else offset
    return np.where(np.isfinite(counts), counts, np.nan).astype(np.float32)


def nanomaggies(
    cards: Cards, scale: tuple[float, float] | None, bands: tuple[str, ...] = ()
) -> float | None:
    """Find what one unit of an image is in nanomaggies."""
    unit = str(cards.get("BUNIT", "")).strip()
    if factor := _surface_brightness(unit):
        return factor
    area = 1.0 if scale is None else FRAME_SCALE**2 / (scale[0] * scale[1])
    if factor := _flux(unit) or _zero_point(cards, bands):
        return factor * area
    # The cut-out service names the bands and no unit; its values are nanomaggies a
    # pixel of 0.262 arcsec whatever scale was asked for.
    return 1.0 if "BANDS" in cards and not unit else None


def _surface_brightness(unit: str) -> float | None:
    magnitudes = MAGNITUDES.fullmatch(unit)
    per_area = magnitudes and "sec" in (magnitudes[1] or "").lower()
    if per_area or re.match(r"(nanomagg|nmgy).*/ *arcsec", unit, re.IGNORECASE):
        return FRAME_SCALE**2
    return _of_janskys(unit, (FRAME_SCALE * u.arcsec) ** 2)


def _flux(unit: str) -> float | None:
    plain = unit.lower().replace(" ", "").split("/")[0]
    known = ("nanomaggy", "nanomaggies", "nanomaggie", "nmgy", "nmgys")
    if plain in known or MAGNITUDES.fullmatch(unit):
        return 1.0
    return _of_janskys(unit.replace("/pixel", "").replace("/pix", ""), 1)


def _of_janskys(unit: str, area: Any) -> float | None:
    """Return the nanomaggies of a unit of flux, or of one of flux for an area."""
    with contextlib.suppress(ValueError, TypeError):
        flux = 1 * u.Unit(unit) * area
        if unit and flux.unit.is_equivalent(u.Jy):
            return float(flux.to_value(u.Jy)) / JANSKYS
    return None


def _zero_point(cards: Cards, bands: tuple[str, ...]) -> float | None:
    """Return the nanomaggies of one count, by the cards that surveys use."""
    magnitude = _ab_magnitude(cards, bands)
    return float(10 ** (0.4 * (AB_NANOMAGGY - magnitude))) if magnitude < 99 else None


def _ab_magnitude(cards: Cards, bands: tuple[str, ...]) -> float:
    """Return the AB magnitude of one count, NaN if not known."""
    telescope = telescope_of(cards)
    for key in ZERO_POINTS:
        value = _number(cards, key)
        if not 10 < value < 40:
            continue
        if _is_vega(cards, telescope):
            value += _ab_of_vega(bands, telescope)
        if key != ZERO_POINTS[-1]:
            return value
        said = any(str(cards.get(system, "")).strip() for system in SYSTEMS)
        doubtful = not said and any(word in telescope for word in DOUBTFUL)
        value += _exposure(cards, any(word in telescope for word in SECONDS))
        return math.nan if doubtful else value
    zero = _number(cards, "FLUXMAG0")  # LSST and HSC: counts of magnitude 0
    if zero > 0:
        return 2.5 * math.log10(zero)
    lam, pivot = _number(cards, "PHOTFLAM"), _number(cards, "PHOTPLAM")
    if "HST" in telescope and lam > 0 and pivot > 0:  # Hubble's, of counts a second
        magnitude = -2.5 * math.log10(lam) - 5 * math.log10(pivot) - 2.408
        return magnitude + _exposure(cards, "BUNIT" in cards)
    if "PS1" in telescope or "GPC1" in telescope:
        return PAN_STARRS + _exposure(cards, True)
    return math.nan


def _exposure(cards: Cards, known: bool) -> float:
    """Return the magnitudes between counts and counts per second; NaN if in doubt."""
    if PER_SECOND.search(str(cards.get("BUNIT", ""))):
        return 0.0
    times = (_number(cards, key) for key in EXPOSURES)
    seconds = next((time for time in times if time > 0), math.nan)
    if known or seconds == 1:
        return 2.5 * math.log10(seconds)
    return 0.0 if math.isnan(seconds) else math.nan


def _is_vega(cards: Cards, telescope: str) -> bool:
    """Return whether zero points are Vega's; AB is assumed where nothing says so."""
    system = " ".join(str(cards.get(key, "")).upper() for key in SYSTEMS)
    if "VEGA" in system or "AB" in system:
        return "VEGA" in system
    return any(word in telescope for word in VEGA)


def _ab_of_vega(bands: tuple[str, ...], telescope: str) -> float:
    """Return what to add to a Vega magnitude; NaN if the band is not known."""
    center = wavelength(bands[0], telescope) if len(bands) == 1 else math.nan
    return float(np.interp(center, [*AB_OF_VEGA], [*AB_OF_VEGA.values()]))


def _number(cards: Cards, key: str) -> float:
    """Return the number of a card, also of one in quotes; NaN if it has none."""
    value: Any = cards.get(key)
    with contextlib.suppress(TypeError, ValueError):
        return math.nan if isinstance(value, bool) else float(value)
    return math.nan


def too_many(count: int) -> str:
    """Say that planes are no bands."""
    return (
        f"expected at most {MAX_PLANES} planes, one for each band, got {count}: a "
        "spectrum or slices of time; add up those of each band, or keep one plane"
    )
