"""Pixels without a value, whichever way a file says that they have none."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_dilation

from dmagnet.pictures.flags import Flag
from dmagnet.pictures.opening import Note
from dmagnet.storage.arrays import Singles

MOST = 1e20  # of any unit: more is a damaged file
WHITE = 255  # of pictures of 8 bits a color

# What programs write where nothing was seen, beside NaN and the card BLANK.
USUAL = (-99.0, -999.0, -9999.0, -99999.0, -32768.0, -2147483648.0)

# Any other value is one only if a look at the pixels says so: many have exactly it,
# hardly any have one like it, and it lies where no sky and no star can be.
MANY = 16  # pixels
FEW = 0.1  # of them have a value within a quarter of the way to the sky
BELOW = 20.0  # standard deviations under the sky
ABOVE = 100.0  # times fainter are ...
MOSTLY = 0.75  # ... of the pixels beside it; around a saturated star they are brighter
SAMPLE = 1024  # pixels tell level and spread
QUARTILE = 0.6745  # standard deviations from it to the median


def fluxes(
    values: npt.NDArray[Any], blank: float = np.nan
) -> tuple[Singles, tuple[Note, ...]]:
    """Take numbers as fluxes."""
    with np.errstate(over="ignore", invalid="ignore"):
        flux: Singles = np.array(values, np.float32, order="C")
        lost: Counter[float] = Counter()
        for plane in flux.reshape(-1, *flux.shape[-2:]):
            absurd = ~(np.abs(plane) < MOST)
            if absurd.any():
                lost.update(plane[absurd & np.isfinite(plane)].tolist())
                plane[absurd] = np.nan
            for value in (blank, *_stand_ins(plane)):
                hit = plane == np.float32(value)
                if count := int(np.count_nonzero(hit)):
                    lost[float(value)] += count
                    plane[hit] = np.nan
    told = ", ".join(f"{count} of {value:.7g}" for value, count in lost.most_common(4))
    line = f"pixels whose number stands for no value: {told}"
    return flux, ((Flag.SOME_NAN, line),) if told else ()


def is_bytes(values: npt.NDArray[Any]) -> bool:
    """Recognize a picture of 8 bits a color that was stored in a larger type."""
    if not values.size or values.dtype.kind not in "uif":
        return False
    least, most = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)
    if not (least >= 0 and 1 < most <= WHITE):
        return False
    known = values[np.isfinite(values)]
    return values.dtype.kind != "f" or bool((known == np.floor(known)).all())


def _stand_ins(plane: Singles) -> list[float]:
    """Find the numbers that stand for no value in one plane."""
    lowest, highest = np.fmin.reduce(plane, axis=None), np.fmax.reduce(plane, axis=None)
    level, spread = _sky_of(plane, [lowest])
    plateau = np.count_nonzero(plane == highest) >= MANY
    if lowest >= level - BELOW * spread and not plateau and lowest > max(USUAL):
        return []
    usual = [value for value in USUAL if lowest <= value and (plane == value).any()]
    others = [*usual, lowest, *([highest] if plateau else [])]
    level, spread = _sky_of(plane, others)
    found = [value for value in usual if _is_low(plane, value, level, spread, True)]
    if lowest not in usual and _is_low(plane, lowest, level, spread, False):
        found.append(float(lowest))
    if plateau and _is_high(plane, highest, level, spread):
        found.append(float(highest))
    return found


def _is_high(plane: Singles, value: float, level: float, spread: float) -> bool:
    """Recognize a number that stands for no value, unlike saturated stars."""
    if not value - level > ABOVE * spread > 0:
        return False
    hit = plane == value
    beside = plane[binary_dilation(hit) & ~hit & np.isfinite(plane)]
    if not beside.size:
        return False
    return float(np.quantile(beside, MOSTLY)) - level < (value - level) / ABOVE


def _is_low(
    plane: Singles, value: float, level: float, spread: float, usual: bool
) -> bool:
    """Return whether a number far below the sky stands for no value."""
    far = value < level - BELOW * spread
    if usual and far:
        return True
    if not value < level or not spread > 0 or not (usual or far):
        return False
    count = np.count_nonzero(plane == value)
    near = np.count_nonzero(np.abs(plane - value) < (level - value) / 4) - count
    return bool(count >= MANY and near <= FEW * count)


def _sky_of(plane: Singles, without: list[float]) -> tuple[float, float]:
    """Measure the sky on the other pixels, fainter than the galaxy; NaN without any."""
    pixels = plane.ravel()
    step = max(1, pixels.size // SAMPLE) | 1  # odd, so that it meets all columns
    for some in (pixels[::step], pixels):
        known = some[np.isfinite(some)]
        for value in without:
            known = known[known != value]
        if known.size >= MANY or (known.size and some is pixels):
            known.sort()
            level, middle = known[known.size // 4], known[known.size // 2]
            return float(level), float(middle - level) / QUARTILE
    return np.nan, np.nan
