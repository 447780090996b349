"""What people give: a position as they write it, a file that may be huge inside."""

import bz2
import gzip
import re
import zlib
from pathlib import Path
from typing import Any

from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.units import UnitsError

from dmagnet.errors import DataError
from dmagnet.tables.rows import valid_position

UNPACKED = 1 << 30  # bytes that a packed file may have inside
PACKED: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open}


def position(text: str) -> tuple[float, float]:
    """Read a position as people write it.

    Parameters
    ----------
    text : str
        ``184.7401 47.3037``, ``12:18:57.6 +47:18:13`` or ``12h18m57.6s 47d18m13s``;
        a comma may stand between.

    Returns
    -------
    (float, float)
        Right ascension and declination in degrees, ICRS.

    Raises
    ------
    DataError
        If it is none.
    """
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


def check_unpacked(path: Path) -> None:
    """Refuse a packed file that is huge inside, before anything unpacks it.

    Parameters
    ----------
    path : Path
        Any file.

    Raises
    ------
    DataError
        If more than a gigabyte would come out.
    """
    with path.open("rb") as file:
        head = file.read(4)
    unpack = next((f for start, f in PACKED.items() if head.startswith(start)), None)
    if unpack is None:
        return
    size = 0
    try:
        with unpack(path) as file:
            while part := file.read(1 << 20):
                size += len(part)
                if size > UNPACKED:
                    raise DataError(
                        f"expected at most {UNPACKED >> 20} MB when unpacked, got "
                        "more; cut the galaxy out of it first"
                    )
    except (OSError, EOFError, zlib.error):
        return  # damaged: reading it says how
