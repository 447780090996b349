"""One call for every form in which labeled galaxies come: `load_galaxies`."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from dmagnet.classes import CLASS_NAMES, alike
from dmagnet.config.classify_config import FilesConfig, SourceConfig
from dmagnet.errors import DataError
from dmagnet.galaxies import galaxy10, labeled_files
from dmagnet.galaxies.galaxies import PARTS, PLACES, Galaxies, meanings_of
from dmagnet.galaxies.labeled_files import NO_PART, LabeledListing
from dmagnet.galaxies.labeled_tables import list_tables
from dmagnet.galaxies.repack import MANIFEST, read_prepared
from dmagnet.galaxies.split import leak_safe_split, split_of
from dmagnet.galaxies.votes import Votes
from dmagnet.pictures.inputs import Item, Picture, forms, read_picture
from dmagnet.pictures.inputs.archives import ARCHIVES, entries, is_hidden
from dmagnet.pictures.standard import crop_side, resize, standardize
from dmagnet.pictures.tables import opened
from dmagnet.pictures.tables.columns import find_columns, named_columns
from dmagnet.storage.arrays import Floats, Ints, Pixels

FILES = FilesConfig()
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


@dataclass(frozen=True)
class _Wish:
    """What the caller asked for, checked."""

    image_size: int | None
    field: float
    radii: float | None
    strict: bool
    seed: int
    source: SourceConfig
    votes: tuple[str, ...]

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

    def refuse_more(self, path: Path) -> None:
        """Refuse what a stack of pictures with labels has no use for."""
        if self.votes or self.source != SourceConfig():
            raise DataError(
                f"{path}: expected image files or a table for votes, columns, bands, "
                "hdu, mask or pixel scale, got a stack of pictures; leave them out"
            )

    def pxscale(self, scale: Floats, side: int, crop: int) -> Floats:
        """Return arcsec a pixel afterwards; unknown where each galaxy has its own."""
        return scale * crop / side if self.radii is None else scale * np.nan


def _all(wish: _Wish, side: int, images: Pixels) -> Pixels:
    """Cut and resize pictures (N, H, W, 3), or standardize each."""
    if wish.radii is None:
        return resize(images, side, wish.field)
    view = partial(standardize, side=side, radii=wish.radii)
    with ThreadPoolExecutor() as pool:
        return np.stack(list(pool.map(view, images)))


def load_galaxies(
    path: str | Path,
    *,
    image_size: int | None = None,
    field: float = 1.0,
    radii: float | None = None,
    strict: bool = False,
    seed: int = 0,
    source: FilesConfig = FILES,
    votes: str | Sequence[str] = (),
) -> Galaxies:
    """Load labeled galaxies from wherever they are.

    Parameters
    ----------
    path : path
        A folder made by `prepare`; a Galaxy10-like .h5 file or the folder `fetch` put
        it in; a folder ``<split>/<class>/*.jpg`` or ``<class>/*.jpg``, also of FITS; a
        pattern of one FITS file a band in such folders (``<class>/*_{g,r,z}.fits``); a
        zip or tar of such a folder, read without unpacking; or a table (of any form)
        with columns ``path`` (relative to the table), or ``path_g``, ``path_r``...,
        ``label`` and perhaps ``split ra dec redshift pxscale``; a label ``A|B`` means A
        or B. Parquet may hold the images itself, as on the Hugging Face hub; a folder
        of such files is one table.
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
    source : FilesConfig
        What image files and tables do not say themselves: bands, HDU, mask, pixel
        scale, and what columns are called.
    votes : str or sequence of str
        Columns of a table, with commas between them or one by one, that hold votes of
        volunteers for the classes of these names (``smooth`` or ``smooth_votes``,
        ``smooth_fraction``): counts, or fractions that add up to 1. Without a column
        ``label``, all columns ``*_votes`` or else ``*_fraction`` are taken.

    Returns
    -------
    Galaxies
        With every galaxy in train, val or test: as the source says; else 80/10/10 by
        class, galaxies that share their sky kept together where positions are known.

    Raises
    ------
    DataError
        If the source is missing, damaged, has no labeled images, or lacks images of a
        class to learn; if votes are negative, or neither counts nor fractions.

    Notes
    -----
    Classes keep the names of their folders or labels, ordered by a number in front,
    then by the alphabet. A source that names only a train part gives a tenth of it to
    val.
    """
    path = Path(path)
    known = SourceConfig(**asdict(source))
    columns = tuple(votes.split(",") if isinstance(votes, str) else votes)
    columns = tuple(filter(None, map(str.strip, columns)))
    wish = _Wish(image_size, field, radii, strict, seed, known, columns)
    if not path.exists():
        if forms.BRACES.search(str(path)) and forms.is_there(str(path)):
            return _load_bands(path, wish)
        raise DataError(f"{path}: expected labeled galaxies, found nothing")
    if path.is_dir():
        return _load_folder(path, wish)
    suffix = path.suffix.lower()
    if suffix in galaxy10.SUFFIXES:
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
        wish.refuse_more(path)
        return _resized(read_prepared(path), wish)
    inside = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    if len(inside) == 1 and inside[0].suffix.lower() in galaxy10.SUFFIXES:
        return _load_hdf5(inside[0], wish)
    names = labeled_files.names_in(path)
    if pieces := forms.tables_in(str(path)) or _described(path, names, wish):
        return _load_tables(path, [Path(piece) for piece in pieces], wish)
    return _load_classes(
        path, names, lambda name: forms.item_of_name(str(path / name)), wish
    )


def _described(path: Path, names: list[str], wish: _Wish) -> list[str]:
    """List the tables that give images beside them labels, as `datasets` calls them."""
    files = [n for n in names if not is_hidden(n) and not n.endswith("/")]
    found: dict[Path, str] = {}  # one a folder
    for name in files:
        if PurePosixPath(name).name in METADATA:
            found.setdefault((path / name).parent, str(path / name))
    try:
        for piece in found.values():
            find_columns(Path(piece), wish.source, ("path", "label"), wish.votes)
    except DataError:
        told = wish.votes or wish.source.path or wish.source.label
        if not told and any("/" in name for name in files):
            return []  # notes beside folders of classes
        raise
    return list(found.values())


def _load_bands(path: Path, wish: _Wish) -> Galaxies:
    """Read one file for each band, named by a pattern whose folders are classes."""
    fixed = re.split(r"[*?\[{]", str(path))[0].rpartition("/")[0]
    items = forms.items_of("bands", str(path), wish.source)
    found = {os.path.relpath(item.path, fixed or "."): item for item in items}
    return _load_classes(path, found, found.__getitem__, wish)


def _load_archive(path: Path, wish: _Wish) -> Galaxies:
    places = dict(entries(str(path)))

    def _member(name: str) -> Item:
        return forms.item_of_member(str(path), name, places[name])

    return _load_classes(path, places, _member, wish)


def _load_classes(
    path: Path, names: Iterable[str], item_of: Callable[[str], Item], wish: _Wish
) -> Galaxies:
    return _load_listing(
        path, labeled_files.list_classes(str(path), names, item_of), wish
    )


def _load_tables(path: Path, tables: list[Path], wish: _Wish) -> Galaxies:
    listing = list_tables(path, tables, wish.source, wish.votes)
    return _load_listing(path, listing, wish)


def _load_listing(path: Path, listing: LabeledListing, wish: _Wish) -> Galaxies:
    """Read the listed files, and divide them where the listing does not."""
    items = listing.items
    if wish.strict and listing.skipped:
        raise DataError(listing.skipped[0])
    if wish.votes and listing.votes is None:
        raise DataError(f"{path}: expected a table with columns of votes, got classes")
    if not listing.places and (named := [*named_columns(wish.source).values()]):
        line = f"expected a table with {named[0]}, got folders of classes"
        raise DataError(f"{path}: {line}")
    # Without a wish the pixels of most images stay as they are.
    side = wish.image_size
    if side is None:
        side = crop_side(labeled_files.common_side(items, wish.source), wish.field)

    def _read(item: Item) -> Picture:
        return read_picture(item, side, wish.field, wish.source, radii=wish.radii)

    read = labeled_files.read_images(items, _read, side, wish.strict)
    images, kept, seen, skipped = read
    nowhere = np.full(len(items), np.nan)
    columns = listing.places or dict.fromkeys(PLACES, nowhere)
    known: dict[str, Any] = {name: values[kept] for name, values in columns.items()}
    for name in ("ra", "dec"):  # of a table, else of a header
        known[name] = np.array([getattr(item, name) for item in seen])
    labels = np.array(listing.labels, np.int64)[kept]
    parts = np.array(listing.parts, np.int8)[kept]
    learned = (parts == NO_PART) | (parts == 0)
    votes = None if listing.votes is None else listing.votes[kept]
    _check_learnable(
        path, labels[learned], listing, votes if votes is None else votes[learned]
    )
    split, notes = _fill_split(labels, parts, known["ra"], known["dec"], wish.seed)
    return Galaxies(
        images=images,
        labels=labels,
        class_names=listing.class_names,
        ids=known.pop("ids", np.array([item.path for item in seen])),
        **known,
        split=split,
        source=str(path),
        skipped=listing.skipped + skipped,
        notes=(
            *listing.notes,
            *alike(listing.class_names),
            *notes,
            *labeled_files.doubts(seen),
        ),
        label_sets=listing.label_sets,
        votes=votes,
    )


def _check_learnable(
    path: Path, learned: Ints, listing: LabeledListing, votes: Votes | None
) -> None:
    """Refuse what is left if a class to learn has lost all its images."""
    names = listing.class_names
    if len(names) < 2:
        raise DataError(f"{path}: expected two or more classes, found {names[0]!r}")
    sets = meanings_of(len(names), listing.label_sets)
    seen = {k for label in set(learned.tolist()) for k in sets[label]}
    if votes is not None:
        seen = set(np.flatnonzero(votes.any(0)).tolist())
    lost = [name for label, name in enumerate(names) if label not in seen]
    if len(learned) and lost:
        raise DataError(
            f"{path}: expected images of every class to learn, found no readable "
            f"image of {', '.join(lost)}"
        )


def _fill_split(
    labels: Ints, parts: npt.NDArray[np.int8], ra: Floats, dec: Floats, seed: int
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
    wish.refuse_more(path)
    catalog = galaxy10.read_catalog(path)
    side, crop = wish.view_of(catalog.side)
    images = np.empty((catalog.num, side, side, 3), np.uint8)
    shown, num = np.ones(catalog.num, bool), 0
    with galaxy10.open_galaxy10(path) as file:
        for start, slab in galaxy10.read_slabs(file["images"]):
            some = shown[start : start + len(slab)] = galaxy10.not_plain(slab)
            if some.any():
                kept = _all(wish, side, slab if some.all() else slab[some])
                images[num : num + len(kept)] = kept
                num += len(kept)
    notes, places = galaxy10.note_on_plain(path, shown), catalog.places
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
