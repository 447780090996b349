"""Astrometry of FITS images: a WCS of any dialect, and ICRS of its pixels."""

import math
import re
from itertools import product
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import (
    ICRS,
    BarycentricMeanEcliptic,
    Galactic,
    SkyCoord,
    Supergalactic,
)
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS, WCSCOMPARE_ANCILLARY
from astropy.wcs.utils import (
    pixel_to_pixel,
    proj_plane_pixel_scales,
    wcs_to_celestial_frame,
)
from scipy.ndimage import map_coordinates

from dmagnet.pictures.cutout import steps_of
from dmagnet.pictures.flags import Flag
from dmagnet.pictures.header import SCALES
from dmagnet.pictures.opening import BROKEN, Note, in_short, quiet
from dmagnet.storage.arrays import Singles

Place = tuple[float, float]

J2000, B1950 = 2000.0, 1950.0
MOST = 1e11  # of any number of a WCS; a turn of the sky has 1.3e9 mas
EQUATORIAL = ("ICRS", "FK5", "FK4", "FK4-NO-E")
TERMS = tuple(map("".join, product(("CRVAL", "CRPIX", "CDELT", "CROTA"), ("1", "2"))))
MATRIX = tuple(map("".join, product(("CD", "PC"), ("1_1", "1_2", "2_1", "2_2"))))
YEARS = ("EQUINOX", "EPOCH")
LOOKUP = re.compile(r"(CPDIS|CQDIS|D2IMDIS|D2IM|DP|DQ)[1-9](\..+)?|AXISCORR")
OTHER_AXES = re.compile(
    r"(NAXIS|CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA)[3-9]"
    r"|(CD|PC)([3-9]_[1-9]|[12]_[3-9])|P[SV][3-9]_\d+"
)
NO_WCS = (*BROKEN, MemoryError)  # so wcslib calls a card that is not there


def sky_of(
    header: fits.Header, hdus: fits.HDUList | None = None
) -> tuple[WCS | None, tuple[float, float] | None, tuple[Note, ...]]:
    """Read WCS and pixel scale, if it says where on the sky the image is."""
    reason, scale = "", None
    try:
        wcs, lost = _read(_plain(header), hdus)
        if wcs.has_celestial:
            width, height = steps_of(wcs)
            if SCALES[0] <= min(width, height) <= max(width, height) <= SCALES[1]:
                lost = lost or _no_frame(wcs)
                return wcs, (width, height), ((Flag.BAD_WCS, lost),) if lost else ()
            reason = f"pixels of {width:.3g} x {height:.3g} arcsec"
    except NO_WCS as error:
        reason = in_short(error)
    claims = "RA" in str(header.get("CTYPE1", "")) + str(header.get("CTYPE2", ""))
    for key in ("PIXSCALE", "PIXELSCL", "SECPIX", "PIXSCAL1"):
        value = header.get(key)
        if isinstance(value, int | float) and SCALES[0] <= value <= SCALES[1]:
            scale = (float(value), float(value))
    if not reason and not claims:
        return None, scale, ()
    line = f"the WCS cannot be used ({reason or 'no place on the sky'})"
    return None, scale, ((Flag.BAD_WCS, line),)


def icrs_of(wcs: WCS, x: float, y: float) -> Place:
    """Return the position of a pixel on the sky."""
    try:
        world = wcs.all_pix2world([[x, y]], 0)[0]
    except NO_WCS:
        return math.nan, math.nan
    longitude, latitude = float(world[wcs.wcs.lng]), float(world[wcs.wcs.lat])
    frame = frame_of(wcs)
    if frame is None or not math.isfinite(longitude + latitude):
        return math.nan, math.nan
    if isinstance(frame, ICRS):
        return longitude % 360, latitude
    place = SkyCoord(longitude, latitude, unit=u.deg, frame=frame).icrs
    return float(place.ra.deg), float(place.dec.deg)


def pixel_of(wcs: WCS, ra: float, dec: float) -> Place | None:
    """Return the pixel of a position on the sky."""
    frame = frame_of(wcs)
    if frame is None:
        return None
    longitude, latitude = ra, dec
    if not isinstance(frame, ICRS):
        there = SkyCoord(ra, dec, unit=u.deg, frame="icrs").transform_to(frame)
        longitude, latitude = there.spherical.lon.deg, there.spherical.lat.deg
    world = [longitude, latitude] if wcs.wcs.lng == 0 else [latitude, longitude]
    try:
        x, y = (float(p) for p in wcs.all_world2pix([world], 0, quiet=True)[0])
        back = wcs.all_pix2world([[x, y]], 0)[0]
    except NO_WCS:  # the other side of the sky
        return math.nan, math.nan
    # Polynomials of distortion bring places far away into the image.
    east = (back[wcs.wcs.lng] - longitude + 180) % 360 - 180
    east *= math.cos(math.radians(latitude))
    off = math.hypot(east, back[wcs.wcs.lat] - latitude)  # degrees
    return (x, y) if off < max(proj_plane_pixel_scales(wcs)) else (math.nan, math.nan)


def frame_of(wcs: WCS) -> Any:
    """Return the reference frame of a WCS."""
    kind, equinox = wcs.wcs.lngtyp.strip(), float(wcs.wcs.equinox)
    if kind == "GLON":
        return Galactic()
    if kind == "SLON":
        return Supergalactic()
    if kind == "ELON":
        year = J2000 if math.isnan(equinox) else equinox
        return BarycentricMeanEcliptic(equinox=Time(year, format="jyear"))
    if kind != "RA" or wcs.wcs.radesys not in (*EQUATORIAL, ""):
        return None
    if wcs.wcs.radesys == "FK5" and (math.isnan(equinox) or equinox == J2000):
        return ICRS()
    return wcs_to_celestial_frame(wcs)


def _no_frame(wcs: WCS) -> str:
    """Note that the position of an image stays unknown, if it does."""
    if frame_of(wcs) is not None:
        return ""
    name = wcs.wcs.radesys or "/".join(wcs.wcs.ctype)
    return f"the frame of the WCS ({name}) is not known: no position"


def _read(header: fits.Header, hdus: fits.HDUList | None) -> tuple[WCS, str]:
    """Read a WCS; where its lookup tables cannot be read, without them."""
    try:
        return WCS(header, fobj=hdus, naxis=2), ""
    except NO_WCS:  # astropy mends units and SCAMP's terms only if it takes all axes
        two = _without(header, OTHER_AXES)
        two.update({key: 2 for key in ("NAXIS", "WCSAXES") if key in two})
    try:
        return WCS(two, fobj=hdus), ""
    except NO_WCS:
        plain = _without(two, LOOKUP)
        if len(plain) == len(two):
            raise
    return WCS(plain), "the WCS has lookup tables that cannot be read"


def _without(header: fits.Header, cards: re.Pattern[str]) -> fits.Header:
    """Copy a header without some cards."""
    left = header.copy()
    for key in {key for key in left if cards.fullmatch(key)}:
        left.remove(key, remove_all=True)
    return left


def _plain(header: fits.Header) -> fits.Header:
    """Write the WCS of a header as the standard wants it: numbers and names."""
    changes: dict[str, Any] = {
        key: _number(key, header[key])
        for key in (*TERMS, *MATRIX, *YEARS)
        if isinstance(header.get(key), str)
    }
    for key in TERMS:
        value = changes.get(key, header.get(key, 0))
        if not abs(value) < MOST:
            raise ValueError(f"{key} = {value:g}")
    changes |= _frame(header, changes)
    ctypes = [str(header.get(f"CTYPE{axis}", "")).strip() for axis in (1, 2)]
    if "A_ORDER" in header and not ctypes[0].endswith("-SIP"):
        if ctypes[0].endswith("TPV"):  # the same distortion, said twice
            changes |= {"A_ORDER": 0, "B_ORDER": 0}
        else:
            changes |= {f"CTYPE{i}": f"{ctypes[i - 1]}-SIP" for i in (1, 2)}
    if not changes:
        return header
    plain = header.copy()
    plain.update(changes)
    return plain


def _frame(header: fits.Header, numbers: dict[str, Any]) -> dict[str, Any]:
    """Write frame and equinox as the standard wants them."""
    changes = {key: numbers[key] for key in YEARS if key in numbers}
    for key in ("RADESYS", "RADECSYS"):
        if isinstance(name := header.get(key), str) and name not in EQUATORIAL:
            name, year = _equatorial(name)
            changes[key] = name
            if year and "EQUINOX" not in header:
                changes["EQUINOX"] = year
    for key in YEARS:
        if changes.get(key, header.get(key)) == 0:  # not known
            name = str(changes.get("RADESYS", header.get("RADESYS")))
            changes[key] = B1950 if name.startswith("FK4") else J2000
    return changes


def _number(key: str, text: str) -> float:
    """Read a number that stands in quotes."""
    try:
        return float(text.strip().lstrip("JB" if key in YEARS else ""))
    except ValueError:
        raise ValueError(f"{key} = {text!r} is no number") from None


def _equatorial(text: str) -> tuple[str, float]:
    """Understand other names of RADESYS: FK5 and FK4 in small letters, J2000, B1950."""
    name = text.strip().upper().replace("_", "-")
    for system, epoch, year in (("FK5", "2000", J2000), ("FK4", "1950", B1950)):
        if name.startswith((system, f"J{epoch}", f"B{epoch}", epoch)):
            exact = name if name in EQUATORIAL else system
            return exact, year if epoch in name else 0.0
    return ("ICRS", 0.0) if name.startswith("ICR") else (name, 0.0)


SAME = 0.1  # px that corners of one grid may lie apart
KNOTS = 65  # a side, where the way between two grids is worked out; linear in between
PIECE = 1 << 20  # pixels resampled at a time
NOWHERE = -1e6  # px


def pixels_on(wcs: WCS, x: Any, y: Any, other: WCS) -> tuple[Any, Any]:
    """Return where pixels of one image lie in another."""
    try:
        with quiet():
            there = pixel_to_pixel(wcs, other, x, y)
            if not other.has_distortion:
                return there[0], there[1]
            # Polynomials of distortion bring places far away into the image.
            back = pixel_to_pixel(other, wcs, *there)
    except BROKEN:
        return np.full(np.shape(x), np.nan), np.full(np.shape(y), np.nan)
    missed = ~(np.hypot(back[0] - x, back[1] - y) < 1)
    return np.where(missed, np.nan, there[0]), np.where(missed, np.nan, there[1])


def is_same_grid(wcs: WCS, other: WCS, shape: tuple[int, ...]) -> bool:
    """Return whether the pixels of two images of one shape lie on the same sky."""
    plain = not (wcs.has_distortion or other.has_distortion)
    frames = [(each.wcs.radesys, str(each.wcs.equinox)) for each in (wcs, other)]
    if (
        plain
        and frames[0] == frames[1]
        and wcs.wcs.compare(other.wcs, WCSCOMPARE_ANCILLARY)
    ):
        return True
    height, width = shape[-2:]
    x = np.array([0, width - 1, 0, width - 1], float)
    y = np.array([0, 0, height - 1, height - 1], float)
    there = pixels_on(wcs, x, y, other)
    return bool((np.hypot(there[0] - x, there[1] - y) <= SAME).all())


def regridded(plane: Singles, wcs: WCS, onto: WCS, shape: tuple[int, ...]) -> Singles:
    """Bring an image to the grid of another."""
    height, width = shape[-2:]
    rows = np.linspace(0, height - 1, min(height, KNOTS))
    columns = np.linspace(0, width - 1, min(width, KNOTS))
    knots = pixels_on(onto, *np.meshgrid(columns, rows), wcs)
    out = np.empty((height, width), np.float32)
    across = np.linspace(0, len(columns) - 1, width)
    down = np.linspace(0, len(rows) - 1, height)
    step = max(1, PIECE // width)
    for top in range(0, height, step):
        part = np.meshgrid(down[top : top + step], across, indexing="ij")
        x, y = (
            np.nan_to_num(map_coordinates(axis, part, order=1), nan=NOWHERE)
            for axis in knots
        )
        values = map_coordinates(plane, [y, x], order=1, mode="nearest")
        high, wide = plane.shape
        inside = (x >= -0.5) & (x <= wide - 0.5) & (y >= -0.5) & (y <= high - 0.5)
        out[top : top + step] = np.where(inside, values, np.nan)
    return out
