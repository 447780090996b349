"""Where cut-outs are kept, and what is known without asking for them again."""

import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

import platformdirs

from dmagnet.config.classify_config import CutoutConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.pictures.inputs.item import Flag
from dmagnet.storage.disk import PART

LEGACY_URL = "https://www.legacysurvey.org/viewer/cutout.fits"
CUTOUT_URL = "DMAGNET_CUTOUT_URL"  # environment variable: a mirror of the service
DATA_DIR = "DMAGNET_DATA_DIR"  # environment variable: where data are kept

_DIGITS = 7  # of a degree: 0.4 mas
_FITS_BLOCK = 2880  # bytes; every FITS file is whole blocks
_STARTS = {".fits": b"SIMPLE  =", ".jpg": b"\xff\xd8\xff"}


class Position(NamedTuple):
    """A place on the sky, in degrees, ICRS."""

    ra: float
    dec: float


@dataclass(frozen=True)
class Failure:
    """Why there is no image of a position."""

    flag: Flag
    reason: str


def place(ra: float, dec: float) -> Position | Failure:
    """Bring a position to the form that is asked for."""
    if not (-180 <= ra <= 360 and -90 <= dec <= 90):  # no NaN either
        reason = f"expected ra in 0 to 360 and dec in -90 to 90, got {ra:g} {dec:g}"
        return Failure(Flag.BAD_POSITION, reason)
    # + 0.0 makes -0.0 the same place as 0.0
    return Position(round(ra % 360, _DIGITS) % 360 + 0.0, round(dec, _DIGITS) + 0.0)


def cutout_folder() -> Path:
    """Return where cut-outs are kept when nobody says."""
    known = os.environ.get(DATA_DIR)
    return Path(known or platformdirs.user_cache_path("dmagnet")) / "cutouts"


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
            raise ConfigError(
                f"cut-out service: expected an address like {LEGACY_URL}, got {base}"
            )
        suffix = ".jpg" if re.search("jpe?g", parts.path) else ".fits"
        settings = (config.layer, config.bands, config.pixel_scale, config.size)
        words = [parts.netloc, *(str(value) for value in settings)]
        name = re.sub(r"[^\w.-]", "-", "_".join(words))
        mark = hashlib.sha256(repr((base, *settings)).encode()).hexdigest()[:8]
        root = cutout_folder() if cache is None else Path(cache)
        return cls(root / f"{name}_{mark}", base, config, suffix)

    @property
    def host(self) -> str:
        """Name the service in messages."""
        return urlsplit(self.base).netloc

    def address(self, position: Position) -> str:
        """Give the address of a cut-out, for a program or a person."""
        query = {
            "ra": _decimal(position.ra),
            "dec": _decimal(position.dec),
            "layer": self.config.layer,
            "pixscale": f"{self.config.pixel_scale:g}",
            "size": self.config.size,
            "bands": self.config.bands,
        }
        return f"{self.base}?{urlencode(query)}"

    def find(self, position: Position) -> Path | Failure | None:
        """Look up what is known of a position."""
        path = self._path(position)
        if _whole(path):
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
        part = path.with_name(f"{path.name}.{secrets.token_hex(4)}{PART}")
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
        name = f"{_decimal(position.ra)}_{_decimal(position.dec)}"
        drawer = hashlib.sha256(name.encode()).hexdigest()[:3]
        return self.folder / drawer / f"{name}{self.suffix}"


def _decimal(degrees: float) -> str:
    """Never the 1e-07 that some services do not read."""
    return f"{degrees:.{_DIGITS}f}".rstrip("0").rstrip(".")


def _whole(path: Path) -> bool:
    """Tell a whole image from what a crash of the machine may have left."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
            size = file.seek(0, os.SEEK_END)
    except OSError:
        return False
    if not start.startswith(_STARTS[path.suffix]):
        return False
    return path.suffix != ".fits" or (size > _FITS_BLOCK and size % _FITS_BLOCK == 0)
