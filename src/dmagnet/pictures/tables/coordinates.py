"""Cells of a table as places on the sky, whatever their units and their frame."""

import contextlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle, SkyCoord

from dmagnet.errors import DataError
from dmagnet.pictures.opening import quiet

NO_UNIT = ("", "none", "null", "-", "--", "dimensionless", "unitless")
SEXAGESIMAL_UNIT = re.compile(r"(h|d)[hd:eg\s]*m")  # h:m:s, hms, dd:mm:ss, deg:min:sec
SEXAGESIMAL = re.compile(
    r"""([+-]?)\s*(\d{1,3})\s*([hd°:\s])\s*(\d{1,2}(?:\.\d*)?)
    (?:\s*[m'\u2032:\s]\s*(\d{1,2}(?:\.\d*)?))?\s*(?:[ms"\u2033'\u2032]|'')?""",
    re.VERBOSE | re.IGNORECASE,
)
COMMA = re.compile(r"([^,.]*\d),(\d+\D*)")  # a decimal one
MISSING = ("", "nan", "null", "none", "--", "-", "n/a", "na")
J2000, FIRST_FK5 = 2000.0, 1984.0
ECLIPTIC = "barycentricmeanecliptic"
FRAMES = {  # of astropy, and what others call them
    **{name: name for name in ("fk5", "fk4", "fk4noeterms", "galactic", ECLIPTIC)},
    "b1950": "fk4",
    "fk4noe": "fk4noeterms",
    "galacticii": "galactic",
    **dict.fromkeys(("ecliptic", "eclfk5", "eclfk4"), ECLIPTIC),
    "supergalactic": "supergalactic",
}
MINUS = "\u2212"  # as typesetters write it
TURN = 360.0  # degrees
HOUR = 15.0  # degrees


@dataclass(frozen=True)
class System:
    """What a table says of its positions."""

    names: tuple[str, str] = ("ra", "dec")
    units: tuple[str, str] = ("", "")
    frame: str = ""
    equinox: str = ""


class Place(NamedTuple):
    """A place on the sky."""

    ra: float = math.nan
    dec: float = math.nan
    doubt: str = ""


def places(first: Sequence[Any], second: Sequence[Any], system: System) -> list[Place]:
    """Read positions."""
    try:
        frame, equinox = frame_of(system.frame, system.equinox)
        in_hours = frame in ("", "fk5", "fk4", "fk4noeterms")
        units = (
            unit_of(system.units[0] or _bracketed(system.names[0]), hours=in_hours),
            unit_of(system.units[1] or _bracketed(system.names[1])),
        )
    except ValueError as error:
        return [Place(doubt=str(error))] * len(first)
    if not frame and set(units) <= {None, 1.0}:
        with contextlib.suppress(TypeError, ValueError):  # most are plain degrees
            ra, dec = (np.array(cells, np.float64) for cells in (first, second))
            plain = (ra >= 0) & (ra < TURN) & (np.abs(dec) <= 90)
            if ra.ndim == dec.ndim == 1 and plain.all():
                return list(map(Place, ra.tolist(), dec.tolist()))
    with quiet():
        found = [
            _place(pair, units, system.names, in_hours=in_hours)
            for pair in zip(first, second, strict=True)
        ]
        return _icrs(found, frame, equinox) if frame else found


def valid_position(ra: float, dec: float) -> tuple[float, float] | None:
    """Bring a position into the usual range."""
    if not (-180 <= ra <= TURN and -90 <= dec <= 90):
        return None
    return ra % TURN, dec


def typed_position(text: str) -> tuple[float, float]:
    """Read a position in degrees or in hours and degrees, as a person types it."""
    words = " ".join(text.replace(",", " ").split())
    try:
        if re.fullmatch(r"[\d.+\- e]+", words) and len(words.split()) == 2:
            known = valid_position(*map(float, words.split()))
        else:
            place = SkyCoord(words[:80], unit=(u.hourangle, u.deg))
            known = float(place.ra.deg), float(place.dec.deg)
    except (ValueError, u.UnitsError):
        known = None
    if known is None:
        raise DataError(
            "expected right ascension and declination, such as 184.7401 47.3037 or "
            f"12:18:57.6 +47:18:13, got {text.strip()[:60]!r}"
        )
    return known


def unit_of(text: str, *, hours: bool = False) -> float | None:
    """Understand a unit of angle."""
    word = text.strip().strip("\"'[]()").strip()
    lower = word.lower()
    if lower in NO_UNIT:
        return None
    if found := SEXAGESIMAL_UNIT.match(lower):
        return HOUR if found[1] == "h" else 1.0
    if lower in ("d", "deg."):  # else a day
        return 1.0
    candidates = [word, lower, lower.removesuffix("s")]
    candidates += [t.removesuffix("s") for t in re.split(r"[^\w°]+|_", lower) if t]
    for candidate in candidates:
        unit = u.Unit(candidate, parse_strict="silent")
        if unit.is_equivalent(u.deg):
            return float(unit.to(u.deg))
        if hours and unit.is_equivalent(u.hour):
            return HOUR * float(unit.to(u.hour))
        if not isinstance(unit, u.UnrecognizedUnit) and candidate is not word:
            break
    raise ValueError(f"the unit {text!r} of the column is no angle")


def frame_of(system: str, equinox: str = "") -> tuple[str, str]:
    """Understand a coordinate system."""
    word = re.sub(r"[\s_-]|^eq_", "", system.strip().lower())
    year = equinox.strip().upper().lstrip("JB")
    year = "" if year in ("0", "0.0", "NAN") else year  # not known
    if year and not re.fullmatch(r"\d{4}(\.\d*)?", year):
        raise ValueError(f"the equinox {equinox!r} of the positions is not known")
    if year and not word:  # the rule of the FITS standard
        word = "fk4" if float(year) < FIRST_FK5 else "fk5"
    if word in ("", "icrs", "barycentric", "j2000") or word.startswith("icrf"):
        return "", ""
    if word == "fk5" and (not year or float(year) == J2000):
        return "", ""
    if not (frame := FRAMES.get(word)):
        raise ValueError(f"the frame {system!r} of the positions is not known")
    if not year or frame.endswith("galactic"):  # which has no equinox
        return frame, ""
    return frame, ("B" if "fk4" in word or frame == "fk4" else "J") + year


def degrees(cell: Any, unit: float | None = None, *, hours: bool = False) -> float:
    """Read a coordinate."""
    if isinstance(cell, bytes):
        cell = cell.decode("utf-8", "replace")
    if isinstance(cell, str):
        cell = COMMA.sub(r"\1.\2", cell.strip().replace(MINUS, "-"))
    if cell is None or (isinstance(cell, str) and cell.lower() in MISSING):
        return math.nan
    if isinstance(cell, list | tuple | dict):
        raise ValueError(cell)
    try:
        number = float(cell)
    except (TypeError, ValueError):
        return _sexagesimal(str(cell), unit, hours)
    if math.isinf(number) or "_" in str(cell):
        raise ValueError(cell)
    return number if unit is None else number * unit


def _sexagesimal(cell: str, unit: float | None, hours: bool) -> float:
    """Read hours or degrees, minutes and seconds."""
    if unit not in (None, 1.0, HOUR):
        raise ValueError(cell)
    in_hours = hours if unit is None else unit == HOUR
    if not (found := SEXAGESIMAL.fullmatch(cell)):
        marked = any(mark in cell.lower() for mark in "hd°")
        plain = u.hourangle if in_hours else u.deg
        angle = Angle(cell) if marked else Angle(cell, unit=plain)
        return float(angle.to_value(u.deg))
    sign, whole, mark, minutes, seconds = found.groups()
    if float(minutes) >= 60 or float(seconds or 0) > 60:  # 60.0 is rounded
        raise ValueError(cell)
    value = float(whole) + float(minutes) / 60 + float(seconds or 0) / 3600
    if mark.lower() in "hd°":
        in_hours = mark.lower() == "h"
    return (-1 if sign == "-" else 1) * value * (HOUR if in_hours else 1)


def _bracketed(name: str) -> str:
    """Return the unit in a column's name: ``RA (hours)``, ``dec[deg]``."""
    found = re.search(r"[(\[]([^()\[\]]*)[)\]]\s*$", name)
    return found[1] if found else ""


def _place(
    pair: tuple[Any, Any],
    units: tuple[float | None, float | None],
    names: tuple[str, str],
    *,
    in_hours: bool,
) -> Place:
    """Read one position."""
    values = []
    for k, (cell, unit) in enumerate(zip(pair, units, strict=True)):
        try:
            values.append(degrees(cell, unit, hours=in_hours and k == 0))
        except (ValueError, TypeError, u.UnitsError):
            return Place(doubt=f"{names[k]} {cell!r} is no coordinate")
    if all(map(math.isnan, values)):
        return Place()
    if place := valid_position(*values):
        return Place(*place)
    told = ", ".join(f"{n} {c}" for n, c in zip(names, pair, strict=True))
    return Place(doubt=f"no place on the sky: {told}")


def _icrs(found: list[Place], frame: str, equinox: str) -> list[Place]:
    """Bring positions of another frame to ICRS."""
    told = {"equinox": equinox} if equinox else {}
    good = [(place.ra, place.dec) for place in found if math.isfinite(place.ra)]
    there = SkyCoord(np.reshape(good, (-1, 2)), unit=u.deg, frame=frame, **told).icrs
    turned = map(Place, there.ra.deg.tolist(), there.dec.deg.tolist())
    return [next(turned) if math.isfinite(place.ra) else place for place in found]
