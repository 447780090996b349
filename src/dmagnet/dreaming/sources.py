"""The images to dream: found, read, named, and known again by their hash."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from glob import has_magic
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dmagnet.classes import CLASS_NAMES, find_class
from dmagnet.config.checks import from_dict
from dmagnet.errors import ConfigError, DataError
from dmagnet.galaxies.galaxy10 import SUFFIXES as HDF5_SUFFIXES
from dmagnet.galaxies.galaxy10 import open_galaxy10
from dmagnet.pictures import Cutout, from_array, read_image
from dmagnet.pictures.inputs.framing import cutout_of_one_size
from dmagnet.pictures.inputs.listing import list_items
from dmagnet.simulator.scene import draw
from dmagnet.storage.disk import file_hash

ROUND = Path("simulated:round")  # stands for a galaxy that the simulator draws
ROUND_SEED = 0  # of that galaxy


@dataclass(frozen=True, eq=False)
class Source:
    """One image to dream."""

    name: str  # what its folder is called; no two of a run are the same
    path: Path  # the file, absolute
    index: int | None  # row in an ``.h5`` file; None for image files
    sha256: str  # of the file's bytes; for a row of an ``.h5`` file of its pixels
    cutout: Cutout  # the picture, at the size at which it is dreamed

    def to_dict(self) -> dict[str, Any]:
        """Return which image this is, as plain values."""
        values = {each.name: getattr(self, each.name) for each in fields(_Known)}
        return values | {"path": str(self.path)}


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What `Source.to_dict` says of an image."""

    name: str
    path: str
    index: int | None
    sha256: str

    def __post_init__(self) -> None:
        """Refuse a name that leads out of the folder of the dreams."""
        if self.name != _slug(self.name):
            raise ConfigError(f"name: expected {_slug(self.name)}, got {self.name!r}")


def gather(
    paths: Sequence[Path],
    *,
    index: Sequence[int] = (),
    image_size: int | None = None,
    radii: float | None = None,
) -> tuple[Source, ...]:
    """Read images in any form.

    Parameters
    ----------
    paths : sequence of Path
        FITS, JPEG, PNG..., folders and globs of them, and ``.h5`` files like
        Galaxy10's; `ROUND` for a round galaxy that is drawn.
    index : sequence of int
        Rows to take from each ``.h5`` file.
    image_size : int, optional
        Bring the central square of each image to this side; their own size if not
        given.
    radii : float, optional
        Bring each galaxy to one size and one brightness, in images of that side that
        are so many isophotal radii wide.

    Returns
    -------
    tuple of Source
        In order.

    Raises
    ------
    DataError
        If a file is missing or no image, or a row is not there.
    ConfigError
        If rows are asked for where there are none, or not chosen where there are many.
    """
    if not paths:
        raise ConfigError("expected one or more images, got none")
    rows: list[int | None] = [*dict.fromkeys(index)] or [None]
    paths = [each for path in paths for each in _expanded(path)]
    packed = [path for path in paths if path.suffix.lower() in HDF5_SUFFIXES]
    if index and not packed:
        raise ConfigError("--index chooses rows of .h5 files, and there is none")
    found: list[Source] = []
    for path in paths:
        if path in packed:
            found += [_row(path, row) for row in rows]
        else:
            found.append(_file(path))
    names = numbered([source.name for source in found])
    named = [replace(s, name=name) for s, name in zip(found, names, strict=True)]
    return tuple(_fit(source, image_size, radii) for source in named)


def open_source(
    values: dict[str, Any], image_size: int | None, radii: float | None = None
) -> Source:
    """Find an image again."""
    known = from_dict(_Known, values)
    path, row = Path(known.path), known.index
    source = _file(path) if row is None else _row(path, row)
    if source.sha256 != known.sha256:
        raise DataError(
            f"{path}: expected the image of SHA-256 {known.sha256[:12]}..., got "
            f"{source.sha256[:12]}...; it was changed since"
        )
    return _fit(replace(source, name=known.name), image_size, radii)


def _expanded(path: Path) -> list[Path]:
    """List the image files of a folder or glob, as classify does."""
    if path.is_dir() or (has_magic(str(path)) and not path.exists()):
        return [Path(i.path) for i in list_items(path) if i.kind == "file"]
    return [path]


def _file(path: Path) -> Source:
    """Read an image file, or draw the galaxy to begin with."""
    if path.name == ROUND.name:
        return _drawn()
    cutout = read_image(path)
    # All suffixes go: galaxy.fits.fz is galaxy. Dots in numbers stay: J1403+54.3.png.
    name = re.sub(r"(\.[A-Za-z]\w*)+$", "", path.name)
    return Source(_slug(name), path.resolve(), None, file_hash(path), cutout)


def _drawn() -> Source:
    """Draw a round, smooth galaxy: the beginning that favors no other class."""
    kind = torch.tensor([find_class(CLASS_NAMES, "round")])
    pixels = draw(kind, generator=torch.Generator().manual_seed(ROUND_SEED))[0]
    rgb = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy())
    digest = hashlib.sha256(rgb.tobytes()).hexdigest()
    return Source("round", ROUND, None, digest, from_array(rgb, "round"))


def _row(path: Path, row: int | None) -> Source:
    """Read one image of an .h5 file; the only one if nobody says which."""
    with open_galaxy10(path) as file:
        num = len(file["images"])
        if row is None and num > 1:
            raise ConfigError(
                f"{path}: holds {num} images; choose some with --index, for example "
                f"--index 0 {num - 1}"
            )
        row = row or 0
        if not 0 <= row < num:
            raise DataError(f"{path}: expected --index from 0 to {num - 1}, got {row}")
        pixels = np.asarray(file["images"][row])
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    cutout = from_array(pixels, f"{path}[{row}]")
    return Source(f"{_slug(path.stem)}-{row}", path.resolve(), row, digest, cutout)


def _slug(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "image"


def numbered(names: Sequence[str]) -> list[str]:
    """Give a number to names that come twice."""
    taken: dict[str, str] = {}
    for plain in names:
        name, count = plain, 2
        while name.lower() in taken:  # some disks do not tell upper case from lower
            name, count = f"{plain}-{count}", count + 1
        taken[name.lower()] = name
    return [*taken.values()]


def _fit(source: Source, image_size: int | None, radii: float | None) -> Source:
    if image_size is None:
        return source
    if radii is None:
        return replace(source, cutout=source.cutout.square(image_size))
    return replace(source, cutout=cutout_of_one_size(source.cutout, image_size, radii))
