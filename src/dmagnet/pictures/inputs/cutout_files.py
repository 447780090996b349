"""The cache of cut-outs: files, their records, and checks of answers."""

import hashlib
import io
import json
import math
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import numpy as np
import numpy.typing as npt
from PIL import Image

from dmagnet.config.classify_config import CutoutConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.pictures.flags import Flag
from dmagnet.pictures.opening import BROKEN, ImageError, open_fits, quiet
from dmagnet.storage.disk import data_folder, part_of

LEGACY_URL = "https://www.legacysurvey.org/viewer/cutout.fits"
LONGEST_REST_S = 3600.0  # that a service may ask for
CUTOUT_URL = "DMAGNET_CUTOUT_URL"  # environment variable: a mirror of the service

_DIGITS = 7  # of a degree: 0.4 mas
_FITS_BLOCK = 2880  # bytes; every FITS file is whole blocks
_STARTS = {".fits": b"SIMPLE  =", ".jpg": b"\xff\xd8\xff"}
_CENTER = 4  # px around the position that say whether it was observed
_JPEG_NOISE = 2  # levels by which a blank JPEG may vary

Planes = npt.NDArray[np.generic]


class Position(NamedTuple):
    """A place on the sky, in degrees, ICRS."""

    ra: float
    dec: float


@dataclass(frozen=True)
class Failure:
    """Why there is no image of a position."""

    flag: Flag
    reason: str


class AgainError(Exception):
    """No image this time; `pause` is how long the service wants to be left alone."""

    def __init__(
        self, reason: str, pause: float = 0.0, *, of_service: bool = False
    ) -> None:
        super().__init__(reason)
        self.pause, self.of_service = pause, of_service


def place(ra: float, dec: float) -> Position | Failure:
    """Bring a position to the form that is asked for."""
    if not (-180 <= ra <= 360 and -90 <= dec <= 90):  # no NaN either
        reason = f"expected ra in 0 to 360 and dec in -90 to 90, got {ra:g} {dec:g}"
        return Failure(Flag.BAD_POSITION, reason)
    # + 0.0 makes -0.0 the same place as 0.0
    return Position(round(ra % 360, _DIGITS) % 360 + 0.0, round(dec, _DIGITS) + 0.0)


def cutout_folder() -> Path:
    """Return the folder of cut-outs when none is given."""
    return data_folder() / "cutouts"


@dataclass(frozen=True)
class Shelf:
    """The cut-outs of one service and one set of settings, in one folder."""

    folder: Path
    base: str
    config: CutoutConfig
    suffix: str

    @classmethod
    def of(cls, config: CutoutConfig, cache: Path | None = None) -> "Shelf":
        """Find the place of these settings; nothing is made yet."""
        base = config.url or os.environ.get(CUTOUT_URL) or LEGACY_URL
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            line = f"cut-out service: expected an address like {LEGACY_URL}, got {base}"
            raise ConfigError(line)
        suffix = ".jpg" if re.search("jpe?g", parts.path) else ".fits"
        settings = (config.layer, config.bands, config.pixel_scale, config.size)
        name = re.sub(r"[^\w.-]", "-", "_".join(map(str, (parts.netloc, *settings))))
        mark = hashlib.sha256(repr((base, *settings)).encode()).hexdigest()[:8]
        root = cutout_folder() if cache is None else Path(cache)
        return cls(root / f"{name}_{mark}", base, config, suffix)

    @property
    def host(self) -> str:
        """Name the service in messages."""
        return urlsplit(self.base).netloc

    def address(self, position: Position) -> str:
        """Return the address of a cut-out, for a program or a person."""
        ra, dec = map(_decimal, position)
        config = self.config
        query = {"ra": ra, "dec": dec, "layer": config.layer}
        query |= {"pixscale": f"{config.pixel_scale:g}", "size": str(config.size)}
        return f"{self.base}?{urlencode(query | {'bands': config.bands})}"

    def find(self, position: Position) -> Path | Failure | None:
        """Look up what is known of a position."""
        path = self._path(position)
        if _is_whole(path):
            return path
        try:
            known = json.loads(path.with_suffix(".none").read_text("utf-8"))
            return Failure(Flag[known["flag"]], str(known["reason"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, position: Position, found: bytes | Failure) -> Path:
        """Write beside, then rename: a name never belongs to half a file."""
        path = self._path(position)
        if isinstance(found, Failure):
            path = path.with_suffix(".none")
            known = {"flag": found.flag.name, "reason": found.reason}
            found = json.dumps(known).encode()
        part = part_of(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(found)
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"{path.parent}: expected room for cut-outs, got {error.strerror}; "
                "choose another cache folder, and the run goes on"
            ) from error
        return path

    def _path(self, position: Position) -> Path:
        """Spread files over 4096 folders: file systems dislike a million in one."""
        name = "_".join(map(_decimal, position))
        drawer = hashlib.sha256(name.encode()).hexdigest()[:3]
        return self.folder / drawer / f"{name}{self.suffix}"


def _decimal(degrees: float) -> str:
    """Never the 1e-07 that some services do not read."""
    return f"{degrees:.{_DIGITS}f}".rstrip("0").rstrip(".")


def _is_whole(path: Path) -> bool:
    """Return whether an image is whole, not what a crash of the machine left."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
            size = file.seek(0, os.SEEK_END)
    except OSError:
        return False
    if not start.startswith(_STARTS[path.suffix]):
        return False
    return path.suffix != ".fits" or (size > _FITS_BLOCK and size % _FITS_BLOCK == 0)


def largest(config: CutoutConfig) -> int:
    """Return the most bytes that an image may have."""
    return len(config.bands) * config.size**2 * 8 + 2**20


def examine(body: bytes, config: CutoutConfig, suffix: str) -> Failure | None:
    """Check that an answer is the image that was asked for."""
    if not body.startswith(_STARTS[suffix]):
        kind = "JPEG" if suffix == ".jpg" else "FITS"
        raise AgainError(f"expected {kind}, got {_what(body)}")
    middle = config.size // 2
    center = slice(max(0, middle - _CENTER), middle + _CENTER)
    if suffix == ".jpg":
        planes = _jpeg(body, config.size)
        blank = centered = np.ptp(planes, axis=(-2, -1)).max() <= _JPEG_NOISE
    else:
        planes = _fits(body, config)
        if isinstance(planes, Failure):
            return planes
        seen = np.isfinite(planes) & (planes != 0)
        blank = ~seen.any(axis=(-2, -1))
        centered = ~seen[:, center, center].any(axis=(-2, -1))
    if np.all(blank):
        return Failure(Flag.OUTSIDE_SURVEY, f"{config.layer} has no image there")
    if np.all(centered):
        return Failure(Flag.OUTSIDE_SURVEY, f"{config.layer} ends before this place")
    if np.any(blank):
        missing = "".join(np.array(list(config.bands))[blank])
        line = f"{config.layer} has no {missing} image there"
        return Failure(Flag.MISSING_BAND, line)
    return None


def _fits(body: bytes, config: CutoutConfig) -> Any:
    """Read the planes of the first HDU."""
    try:
        with open_fits(io.BytesIO(body)) as hdus:
            header, planes = hdus[0].header, hdus[0].data
            bands = str(header.get("BANDS", config.bands)).strip()
            overlap = bool(header.get("OVERLAP", True))
    except ImageError as error:
        raise AgainError("a FITS file that is damaged or cut short") from error
    if planes is None or not overlap:
        return Failure(Flag.OUTSIDE_SURVEY, f"{config.layer} has no image there")
    if bands != config.bands:  # what the service does with bands it does not know
        reason = f"{config.layer}: expected bands {config.bands}, got {bands}"
        return Failure(Flag.FETCH_FAILED, reason)
    expected = (len(config.bands), config.size, config.size)
    if planes.shape not in (expected, expected[len(config.bands) == 1 :]):
        got = " x ".join(map(str, planes.shape))
        raise AgainError(f"expected {config.size} px, got {got}")
    return planes.reshape(expected)


def _jpeg(body: bytes, size: int) -> npt.NDArray[np.int16]:
    """Decode; what is cut short fails here."""
    try:
        with quiet(), Image.open(io.BytesIO(body), formats=("JPEG",)) as image:
            if image.size == (size, size):
                return np.moveaxis(np.asarray(image.convert("RGB"), np.int16), -1, 0)
            got = f"{image.width} x {image.height}"
    except (MemoryError, *BROKEN) as error:
        raise AgainError("a JPEG that is damaged or cut short") from error
    raise AgainError(f"expected {size} px, got {got}")


def _what(body: bytes) -> str:
    """Name briefly what came instead of an image."""
    start = body[:512].lstrip().lower()
    if not start:
        return "nothing"
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "a web page"
    text = body[:60].decode("latin-1").strip()
    plain = text.isascii() and text.isprintable()
    return f"the text {text!r}" if plain else "other bytes"


def retry_after(value: str) -> float:
    """Read how long a service wants to be left alone, in seconds."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return 0.0
        if when.tzinfo is None:  # "-0000": UTC
            when = when.replace(tzinfo=UTC)
        seconds = (when - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_REST_S) if math.isfinite(seconds) else 0.0
