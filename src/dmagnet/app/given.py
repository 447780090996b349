"""Positions as people write them."""

import re

from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.units import UnitsError

from dmagnet.errors import DataError
from dmagnet.pictures.tables.coordinates import valid_position


def position(text: str) -> tuple[float, float]:
    """Read a position as people write it."""
    words = " ".join(text.replace(",", " ").split())
    try:
        if re.fullmatch(r"[\d.+\- e]+", words) and len(words.split()) == 2:
            ra, dec = map(float, words.split())
            known = valid_position(ra, dec)
        else:
            place = SkyCoord(words[:80], unit=(u.hourangle, u.deg))
            known = float(place.ra.deg), float(place.dec.deg)
    except (ValueError, UnitsError):
        known = None
    if known is None:
        raise DataError(
            "expected right ascension and declination, such as 184.7401 47.3037 or "
            f"12:18:57.6 +47:18:13, got {text.strip()[:60]!r}"
        )
    return known
