"""Repack a Galaxy10 file once, so that training reads single images fast.

The published file is compressed in chunks of 555 images x 16 x 16 px: one image
costs the reading of 768 chunks. The prepared folder holds a plain array on disk.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from dmagnet import __version__
from dmagnet.classes import CLASS_NAMES
from dmagnet.config.checks import from_dict
from dmagnet.errors import DataError
from dmagnet.galaxies import galaxy10
from dmagnet.galaxies.download import GALAXY10_SHA256
from dmagnet.galaxies.galaxies import PART_CODES, PARTS, PLACES, Galaxies
from dmagnet.galaxies.split import Split, split_of
from dmagnet.pictures.tables.columns import find_columns, read_rows
from dmagnet.storage.arrays import Bools
from dmagnet.storage.disk import file_hash, open_file, part_of, refusals_of_the_disk
from dmagnet.storage.environment import Announce
from dmagnet.storage.records import as_written, json_record

IMAGES = "images.npy"
TABLE = "galaxies.ecsv"
MANIFEST = "prepared.json"
OLD = ".dmagnet-old"  # ends the name of what is being replaced
LAYOUT = 2  # 1 had no ids, and kept images of one color; it is read, and made anew


def prepare(
    h5: str | Path,
    out_folder: str | Path,
    *,
    sha256: str | None = None,
    seed: int = 0,
    progress: Announce | None = None,
) -> Path:
    """Verify a Galaxy10 file and repack it for training.

    Parameters
    ----------
    h5 : path
        Galaxy10 DECaLS or a file of the same form.
    out_folder : path
        Made, with ``images.npy`` (N, S, S, 3) uint8, ``galaxies.ecsv`` and
        ``prepared.json``. Left alone if it was made from the same file; replaced if
        from another.
    sha256 : str or None
        Refuse a file with another hash; `GALAXY10_SHA256` for the published one.
    seed : int
        Seed of the split.
    progress : callable or None
        Called with the name and the length of a stage; what it returns, with the
        number of images done.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    DataError
        If the file is missing, altered, damaged or of another form, if the folder
        holds something else, or if the disk is full; then the folder is as before.

    Notes
    -----
    Reads each chunk once, in order, and holds one row of chunks in memory. Writes
    beside ``out_folder`` under a name of its own, and renames it at the end; a folder
    that is replaced keeps its place until then, and gets it back after a kill.
    """
    h5, out_folder = Path(h5), Path(out_folder)
    begin = progress or (lambda _name, _num: lambda _done: None)
    begin("Checking the file", 1)
    if h5.exists() and h5.suffix.lower() not in galaxy10.SUFFIXES:
        raise DataError(
            f"{h5}: expected an .h5 file like Galaxy10's; --parquet takes all that "
            "train takes"
        )
    catalog = galaxy10.read_catalog(h5)
    source_hash = file_hash(h5)
    if sha256 is not None and source_hash != sha256.lower():
        line = f"expected sha256 {sha256.lower()}, got {source_hash}; fetch it again"
        raise DataError(f"{h5}: {line}")
    with refusals_of_the_disk(out_folder):
        out_folder.parent.mkdir(parents=True, exist_ok=True)
        part = part_of(out_folder)
        old = out_folder.with_name(f".{out_folder.name}{OLD}")
        if old.is_dir() and not out_folder.exists():
            old.rename(out_folder)  # killed between the two names below
        shutil.rmtree(old, ignore_errors=True)  # killed after them
        if _replaceable(out_folder) and _made_from(out_folder, source_hash, seed):
            return out_folder
        ra, dec = catalog.places["ra"], catalog.places["dec"]
        split = split_of(catalog.labels, ra, dec, seed)
        part.mkdir()
        try:
            _check_room(part, catalog)
            count = begin("Repacking", catalog.num)
            shown = _write_images(h5, part / IMAGES, catalog, count)
            _write_table(part / TABLE, catalog, split, shown)
            about = _Manifest(
                source=h5.name,
                sha256=source_hash,
                published_file=source_hash == GALAXY10_SHA256,
                num=int(shown.sum()),
                image_size=catalog.side,
                class_names=CLASS_NAMES,
                seed=seed,
                split_hash=split.hash,
                notes=catalog.notes + split.notes + galaxy10.note_on_plain(h5, shown),
            )
            text = json.dumps(asdict(about), indent=2) + "\n"
            (part / MANIFEST).write_text(text, "utf-8")
            if _replaceable(out_folder):  # it may have come meanwhile
                out_folder.rename(old)
            part.rename(out_folder)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return out_folder


def _replaceable(folder: Path) -> bool:
    """Return whether a prepared folder is there; refuse to overwrite anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    names = {one.name for one in folder.iterdir()} if folder.is_dir() else set()
    if MANIFEST in names and names <= {IMAGES, TABLE, MANIFEST}:
        return True
    raise DataError(
        f"{folder}: expected a new, an empty or a prepared folder, got something "
        "else, which stays untouched; name another folder"
    )


def _made_from(folder: Path, source_hash: str, seed: int) -> bool:
    try:
        manifest = _read_manifest(folder)
        whole = len(read_prepared(folder)) == manifest.num
    except DataError:
        return False
    made = (manifest.layout, manifest.sha256, manifest.seed)
    return whole and made == (LAYOUT, source_hash, seed)


def _check_room(part: Path, catalog: galaxy10.Catalog) -> None:
    size = catalog.num * catalog.side**2 * 3
    if shutil.disk_usage(part).free < size:
        raise DataError(
            f"{part.parent}: expected {size / 1e9:.2f} GB of room for the prepared "
            "images, the disk is full; free some or name another folder"
        )


def _write_images(
    h5: Path, path: Path, catalog: galaxy10.Catalog, count: Callable[[int], None]
) -> Bools:
    """Write a .npy file slab by slab; a memory map would count as used memory."""
    shown = np.ones(catalog.num, bool)

    def _header(num: int) -> None:
        shape = (num, catalog.side, catalog.side, 3)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(out, header)

    with galaxy10.open_galaxy10(h5) as source, path.open("wb") as out:
        _header(catalog.num)
        for start, images in galaxy10.read_slabs(source["images"]):
            some = shown[start : start + len(images)] = galaxy10.not_plain(images)
            out.write(images.data if some.all() else images[some].data)
            count(start + len(images))
        out.seek(0)  # NumPy leaves room for the number of images to change
        _header(int(shown.sum()))
    return shown


def _write_table(
    path: Path, catalog: galaxy10.Catalog, split: Split, shown: Bools
) -> None:
    table = Table({"label": catalog.labels} | catalog.places)
    table["split"] = np.array(PARTS)[split.codes]
    table["fold"] = split.folds
    table["id"] = [f"h5:{row}" for row in range(catalog.num)]
    for name, unit in (("ra", "deg"), ("dec", "deg"), ("pxscale", "arcsec / pix")):
        table[name].unit = unit
    table[shown].write(path, format="ascii.ecsv")


@dataclass(frozen=True, kw_only=True)
class _Manifest:
    """Where a prepared folder comes from: ``prepared.json``."""

    layout: int = LAYOUT
    dmagnet: str = __version__
    source: str = ""
    sha256: str
    published_file: bool = False
    num: int
    image_size: int
    class_names: tuple[str, ...]
    seed: int
    split_hash: str = ""
    notes: tuple[str, ...]


def _read_manifest(folder: Path) -> _Manifest:
    what, advice = f"the {MANIFEST} of 'dmagnet prepare'", "prepare it again"
    with json_record(folder / MANIFEST, what, advice) as values:
        if values["layout"] not in (1, LAYOUT):
            raise ValueError(f"layout {values['layout']}, not 1 or {LAYOUT}")
        return from_dict(_Manifest, values, more=True)


def read_prepared(folder: Path) -> Galaxies:
    """Open what `prepare` made, the images as a memory map.

    Parameters
    ----------
    folder : Path
        A prepared folder.

    Returns
    -------
    Galaxies
        With the split stored in the folder.

    Raises
    ------
    DataError
        If a file of the folder is missing, damaged, or does not fit the others.
    """
    manifest = _read_manifest(folder)
    side = manifest.image_size
    columns = find_columns(folder / TABLE, needed=("label", "split", "ra", "dec"))
    rows = list(read_rows(folder / TABLE, columns, labeled=True))
    with as_written(folder / IMAGES, "a whole array", "prepare it again"):
        open_file(folder / IMAGES).close()  # of a pipe NumPy would wait for the end
        images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
    if images.shape != (len(rows), side, side, 3) or images.dtype != np.uint8:
        raise DataError(
            f"{folder}: expected {len(rows)} images of {side} px, got {images.dtype} "
            f"of shape {images.shape}; prepare it again"
        )
    with as_written(folder / TABLE, "a table of 'dmagnet prepare'", "prepare it again"):
        places: dict[str, Any] = {
            name: np.array([getattr(row, name) for row in rows]) for name in PLACES
        }
        return Galaxies(
            images=images,
            labels=np.array([int(row.label) for row in rows], np.int64),
            class_names=manifest.class_names,
            ids=np.array([row.id or f"h5:{k}" for k, row in enumerate(rows)]),
            **places,
            split=np.array([PART_CODES[row.split] for row in rows], np.int8),
            source=str(folder),
            notes=manifest.notes,
        )
