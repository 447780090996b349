"""What the header of an image says of its fluxes: bands and unit."""

import contextlib

import numpy as np
from astropy import units as u
from astropy.io import fits

MAX_PLANES = 16  # more is a spectrum, or slices of time
SCALES = (1e-3, 120.0)  # arcsec a pixel that an image of a galaxy can have
FRAME_SCALE = 0.262  # arcsec a pixel of the images the drawing is made for
AB_NANOMAGGY = 22.5  # magnitude of one
JANSKYS = 3.6308e-6  # of one: magnitude 0 has 10**(-48.6 / 2.5) erg/s/cm2/Hz
ZERO_POINTS = ("MAGZP", "MAGZPT", "MAGZERO", "ZEROPNT", "ZEROPOINT", "PHOTZP", "ZP")


def split_bands(bands: str) -> tuple[str, ...]:
    """Split names of bands.

    Parameters
    ----------
    bands : str
        Letters (``grz``) or names between commas (``F606W,F814W``).

    Returns
    -------
    tuple of str
        Name by name.
    """
    parts = bands.split(",") if "," in bands else bands
    return tuple(part.strip() for part in parts if part.strip())


def bands_of(header: fits.Header) -> tuple[str, ...]:
    """Read the names of the bands out of the cards that surveys use.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image.

    Returns
    -------
    tuple of str
        A name for each plane, or none.
    """
    if bands := split_bands(str(header.get("BANDS", ""))):
        return bands
    numbered = [str(header.get(f"BAND{i}", "")).strip() for i in range(MAX_PLANES)]
    count = len([name for name in numbered if name])
    if count > 1 and all(numbered[:count]):
        return tuple(numbered[:count])
    return ()


def filter_of(header: fits.Header) -> tuple[str, ...]:
    """Read the name of the filter of an image of one band.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image.

    Returns
    -------
    tuple of str
        Its name, or none.
    """
    for key in ("FILTER", "BAND", "FILTER1", "FILTER2", "FILTNAM1"):
        name = str(header.get(key, "")).strip()
        if name and not name.upper().startswith("CLEAR"):
            return (name,)
    return ()


def nanomaggies(
    header: fits.Header,
    scale: tuple[float, float] | None,
    telescope: str,
) -> float | None:
    """Find what one unit of an image is in nanomaggies.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image.
    scale : (float, float) or None
        Arcsec a pixel along columns and rows; taken as 0.262 if not known.
    telescope : str
        Its name, and of the instrument.

    Returns
    -------
    float or None
        Nanomaggies a pixel of 0.262 arcsec; None if the header does not say.
    """
    unit = str(header.get("BUNIT", "")).strip()
    if factor := _surface_brightness(unit):
        return factor
    area = 1.0 if scale is None else FRAME_SCALE**2 / (scale[0] * scale[1])
    if factor := _flux(unit) or _zero_point(header, telescope):
        return factor * area
    # The cut-out service names the bands and no unit; its values are nanomaggies a
    # pixel of 0.262 arcsec whatever scale was asked for.
    return 1.0 if "BANDS" in header and not unit else None


def _surface_brightness(unit: str) -> float | None:
    with contextlib.suppress(ValueError, TypeError):
        parsed = u.Unit(unit)
        if unit and parsed.is_equivalent(u.Jy / u.sr):
            pixel = (FRAME_SCALE * u.arcsec) ** 2
            return float((1 * parsed * pixel).to_value(u.Jy)) / JANSKYS
    return None


def _flux(unit: str) -> float | None:
    plain = unit.lower().replace(" ", "").split("/")[0]
    if plain in ("nanomaggy", "nanomaggies", "nanomaggie", "nmgy", "nmgys"):
        return 1.0
    with contextlib.suppress(ValueError, TypeError):
        parsed = u.Unit(unit.replace("/pixel", "").replace("/pix", ""))
        if unit and parsed.is_equivalent(u.Jy):
            return float((1 * parsed).to_value(u.Jy)) / JANSKYS
    return None


def _zero_point(header: fits.Header, telescope: str) -> float | None:
    """Return the nanomaggies of one count, by the cards that surveys use."""
    for key in ZERO_POINTS:
        value = _number(header, key)
        if 10 < value < 40:
            return float(10 ** (0.4 * (AB_NANOMAGGY - value)))
    zero = _number(header, "FLUXMAG0")  # LSST and HSC: counts of magnitude 0
    if zero > 0:
        return float(10 ** (0.4 * AB_NANOMAGGY) / zero)
    lam, pivot = _number(header, "PHOTFLAM"), _number(header, "PHOTPLAM")
    if "HST" in telescope and lam > 0 and pivot > 0:  # Hubble's AB zero point
        magnitude = -2.5 * np.log10(lam) - 5 * np.log10(pivot) - 2.408
        return float(10 ** (0.4 * (AB_NANOMAGGY - magnitude)))
    return None


def _number(header: fits.Header, key: str) -> float:
    """Return the number of a card, NaN if it has none."""
    value = header.get(key)
    return float(value) if isinstance(value, int | float) else float("nan")
