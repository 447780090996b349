"""One call for every form in which labeled galaxies come: `load_galaxies`."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from dmagnet.classes import CLASS_NAMES
from dmagnet.config.classify_config import ColumnsConfig
from dmagnet.errors import DataError
from dmagnet.galaxies.galaxies import PARTS, PLACES, Galaxies
from dmagnet.galaxies.galaxy10 import (
    SUFFIXES,
    not_plain,
    note_on_plain,
    open_galaxy10,
    read_catalog,
    read_slabs,
)
from dmagnet.galaxies.labeled_files import (
    NO_PART,
    LabeledListing,
    Opener,
    Pixels,
    common_side,
    list_classes,
    list_tables,
    read_images,
    walk_archive,
    walk_folder,
)
from dmagnet.galaxies.repack import MANIFEST, read_prepared
from dmagnet.galaxies.split import leak_safe_split, split_of
from dmagnet.pictures.inputs.archives import ARCHIVES, entries, read_member
from dmagnet.pictures.inputs.forms import tables_in
from dmagnet.pictures.standard import crop_side, resize, standardize
from dmagnet.pictures.tables import opened
from dmagnet.pictures.tables.columns import find_columns
from dmagnet.storage.disk import open_file

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
ROW = ("id", *PLACES)  # what tables know of each galaxy

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Wish:
    """What the caller asked for, checked."""

    image_size: int | None
    field: float
    radii: float | None
    strict: bool
    seed: int
    columns: ColumnsConfig | None

    def __post_init__(self) -> None:
        if self.radii is not None and self.image_size is None:
            raise DataError("image_size: expected a side in px to go with radii")
        if not 0 < self.field <= 1:
            raise DataError(f"field: expected above 0 to 1, got {self.field}")
        if self.image_size is not None and self.image_size < 1:
            raise DataError(f"image_size: expected 1 px or more, got {self.image_size}")

    def view_of(self, frame: int) -> tuple[int, int]:
        """Return the side of views of a frame, and of what they show of it, in px."""
        crop = crop_side(frame, self.field)
        return self.image_size or crop, crop

    def pxscale(self, scale: Floats, side: int, crop: int) -> Floats:
        """Return arcsec a pixel afterwards; unknown where each galaxy has its own."""
        return scale * crop / side if self.radii is None else scale * np.nan


def _one(wish: _Wish, side: int, image: Pixels) -> Pixels:
    """Cut and resize one picture (H, W, 3), or standardize it."""
    if wish.radii is None:
        resized: Pixels = resize(image[None], side, wish.field)[0]
        return resized
    return standardize(image, side, wish.radii)


def _all(wish: _Wish, side: int, images: Pixels) -> Pixels:
    """Cut and resize pictures (N, H, W, 3), or standardize each."""
    if wish.radii is None:
        return resize(images, side, wish.field)
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(partial(_one, wish, side), images)))


def load_galaxies(
    path: Path,
    *,
    image_size: int | None = None,
    field: float = 1.0,
    radii: float | None = None,
    strict: bool = False,
    seed: int = 0,
    columns: ColumnsConfig | None = None,
) -> Galaxies:
    """Load labeled galaxies from wherever they are.

    Parameters
    ----------
    path : Path
        A folder made by `prepare`; a Galaxy10-like .h5 file or the folder `fetch` put
        it in; a folder ``<split>/<class>/*.jpg`` or ``<class>/*.jpg``; a zip or tar of
        such a folder, read without unpacking; or a table (of any form) with columns
        ``path`` (relative to the table), ``label`` and perhaps ``split ra dec
        redshift pxscale``; a label ``A|B`` means A or B. Parquet may hold the images
        itself, as on the Hugging Face hub; a folder of such files is one table.
    image_size : int or None
        Side of the images in px; None keeps the pixels of the files, or of most of
        them where they differ.
    field : float
        Central share of each frame to keep before resizing, above 0 to 1.
    radii : float, optional
        Bring every galaxy to one size and brightness, in images that are this many
        isophotal radii wide (`dmagnet.pictures.standardize`); ``field`` does not count
        then.
    strict : bool
        Refuse unreadable images instead of leaving them out.
    seed : int
        Seed of the split where the source has none.
    columns : ColumnsConfig, optional
        What the columns of a table are called, where its names do not say.

    Returns
    -------
    Galaxies
        With every galaxy in train, val or test: as the source says; else 80/10/10 by
        class, galaxies that share their sky kept together where positions are known.

    Raises
    ------
    DataError
        If the source is missing, damaged, has no labeled images, or lacks images of a
        class to learn.

    Notes
    -----
    Classes keep the names of their folders or labels, ordered by a number in front,
    then by the alphabet. A source that names only a train part gives a tenth of it to
    val.
    """
    path = Path(path)
    wish = _Wish(image_size, field, radii, strict, seed, columns)
    if not path.exists():
        raise DataError(f"{path}: expected labeled galaxies, found nothing")
    if path.is_dir():
        return _load_folder(path, wish)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return _load_hdf5(path, wish)
    if path.name.lower().endswith(ARCHIVES):
        return _load_archive(path, wish)
    if path.name.lower().endswith(opened.SUFFIXES) or opened.why_not(path):
        return _load_tables(path, [path], wish)
    raise DataError(
        f"{path}: expected a folder, .h5, .zip, .tar or a table (.csv, .ecsv, .fits, "
        f".vot, .parquet), got {suffix or 'no'} suffix"
    )


def _load_folder(path: Path, wish: _Wish) -> Galaxies:
    """Load a prepared folder, a fetched file, pieces of a table or class folders."""
    if (path / MANIFEST).is_file():
        return _resized(read_prepared(path), wish)
    inside = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    if len(inside) == 1 and inside[0].suffix.lower() in SUFFIXES:
        return _load_hdf5(inside[0], wish)
    files, folders = walk_folder(path)
    visible = [name for name in files if not PurePosixPath(name).name.startswith(".")]
    if pieces := tables_in(str(path)) or _described(path, visible, wish):
        return _load_tables(path, [Path(piece) for piece in pieces], wish)
    listing = list_classes(str(path), files, folders)
    return _load_listing(path, listing, lambda name: open_file(path / name), wish)


def _described(path: Path, files: list[str], wish: _Wish) -> list[str]:
    """List the tables that give images beside them labels, as `datasets` calls them."""
    found: dict[Path, str] = {}  # one a folder
    for name in files:
        if PurePosixPath(name).name in METADATA:
            found.setdefault((path / name).parent, str(path / name))
    try:
        for piece in found.values():
            find_columns(Path(piece), wish.columns, ("path", "label"))
    except DataError:
        if wish.columns in (None, ColumnsConfig()):
            return []  # notes beside folders of classes
        raise
    return list(found.values())


def _load_archive(path: Path, wish: _Wish) -> Galaxies:
    places = dict(entries(str(path)))

    def _open(name: str) -> IO[bytes]:
        return read_member(str(path), name, places[name])

    listing = list_classes(str(path), *walk_archive(places))
    return _load_listing(path, listing, _open, wish)


def _load_tables(path: Path, tables: list[Path], wish: _Wish) -> Galaxies:
    listed = list_tables(path, tables, wish.columns, strict=wish.strict)
    listing, opener, rows = listed
    known = {name: np.array([getattr(row, name) for row in rows]) for name in ROW}
    return _load_listing(path, listing, opener, wish, known)


def _load_listing(
    path: Path,
    listing: LabeledListing,
    open_file: Opener,
    wish: _Wish,
    columns: dict[str, npt.NDArray[Any]] | None = None,
) -> Galaxies:
    """Read the listed files, and divide them where the listing does not."""
    paths = listing.paths  # the pixels of most images stay as they are
    side = wish.image_size or crop_side(common_side(paths, open_file), wish.field)
    bring = partial(_one, wish, side)
    images, kept, skipped = read_images(paths, open_file, bring, side, wish.strict)
    nowhere = dict.fromkeys(ROW, np.full(len(paths), np.nan)) | {"id": np.array(paths)}
    told = (columns or nowhere).items()
    known: dict[str, Any] = {name: values[kept] for name, values in told}
    labels = np.array(listing.labels, np.int64)[kept]
    parts = np.array(listing.parts, np.int8)[kept]
    learned = (parts == NO_PART) | (parts == 0)
    _check_learnable(path, labels[learned], listing)
    split, notes = _fill_split(labels, parts, known["ra"], known["dec"], wish.seed)
    return Galaxies(
        images=images,
        labels=labels,
        class_names=listing.class_names,
        ids=known.pop("id"),
        **known,
        split=split,
        source=str(path),
        skipped=listing.skipped + skipped,
        notes=listing.notes + notes,
        label_sets=listing.label_sets,
    )


def _check_learnable(path: Path, learned: Ints, listing: LabeledListing) -> None:
    """Refuse what is left if a class to learn has lost all its images."""
    names = listing.class_names
    if len(names) < 2:
        raise DataError(f"{path}: expected two or more classes, found {names[0]!r}")
    sets = (*((k,) for k in range(len(names))), *listing.label_sets)
    seen = {k for label in set(learned.tolist()) for k in sets[label]}
    lost = [name for label, name in enumerate(names) if label not in seen]
    if len(learned) and lost:
        raise DataError(
            f"{path}: expected images of every class to learn, found no readable "
            f"image of {', '.join(lost)}"
        )


def _fill_split(
    labels: Ints,
    parts: npt.NDArray[np.int8],
    ra: Floats,
    dec: Floats,
    seed: int,
) -> tuple[npt.NDArray[np.int8], tuple[str, ...]]:
    """Keep the parts a source names; make those it does not."""
    if (parts == NO_PART).any():
        split = leak_safe_split(labels, ra, dec, seed=seed)
        return split.codes, split.notes
    missing = [part for code, part in enumerate(PARTS) if not (parts == code).any()]
    if "val" in missing and "train" not in missing:
        train = np.flatnonzero(parts == 0)
        split = leak_safe_split(
            labels[train], ra[train], dec[train], fractions=(0.9, 0.1), seed=seed
        )
        parts = parts.copy()
        parts[train] = split.codes
        note = "the source has no val part: a tenth of its train part became val"
        return parts, (note, *split.notes)
    return parts, tuple(f"the source has no {part} part" for part in missing)


def _load_hdf5(path: Path, wish: _Wish) -> Galaxies:
    """Read every chunk once, resizing on the way."""
    catalog = read_catalog(path)
    side, crop = wish.view_of(catalog.side)
    images = np.empty((catalog.num, side, side, 3), np.uint8)
    shown, num = np.ones(catalog.num, bool), 0
    with open_galaxy10(path) as file:
        for start, slab in read_slabs(file["images"]):
            some = shown[start : start + len(slab)] = not_plain(slab)
            if some.any():
                kept = _all(wish, side, slab if some.all() else slab[some])
                images[num : num + len(kept)] = kept
                num += len(kept)
    notes, places = note_on_plain(path, shown), catalog.places
    split = split_of(catalog.labels, places["ra"], places["dec"], wish.seed)
    scale = wish.pxscale(places["pxscale"], side, crop)
    columns = {name: column[shown] for name, column in places.items()}
    return Galaxies(
        images=images[:num],
        labels=catalog.labels[shown],
        class_names=CLASS_NAMES,
        ids=np.array([f"h5:{row}" for row in np.flatnonzero(shown)]),
        **columns | {"pxscale": scale[shown]},
        split=split.codes[shown],
        source=str(path),
        notes=catalog.notes + split.notes + notes,
    )


def _resized(galaxies: Galaxies, wish: _Wish) -> Galaxies:
    """Crop and resize a memory map, or keep it as it is."""
    frame = galaxies.images.shape[1]
    side, crop = wish.view_of(frame)
    if side == crop == frame and wish.radii is None:
        return galaxies
    return replace(
        galaxies,
        images=_all(wish, side, galaxies.images),
        pxscale=wish.pxscale(galaxies.pxscale, side, crop),
        data_hash="",
    )
