"""Repack a Galaxy10 file once, so that training reads single images fast.

The published file is compressed in chunks of 555 images x 16 x 16 px: one image
costs the reading of 768 chunks. The prepared folder holds a plain array on disk.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pooch
from astropy.table import Table

from dmagnet import __version__
from dmagnet.classes import CLASS_NAMES
from dmagnet.data.download import GALAXY10_SHA256
from dmagnet.data.galaxies import PART_CODES, PARTS, Galaxies
from dmagnet.data.hdf5 import (
    POSITION_COLUMNS,
    Catalog,
    open_galaxy10,
    read_catalog,
    read_slabs,
)
from dmagnet.data.split import Split, split_of
from dmagnet.disk import part_of, refusals_of_the_disk
from dmagnet.errors import DataError
from dmagnet.images.faults import refused
from dmagnet.tables.columns import find_columns
from dmagnet.tables.rows import LabeledRow, read_labeled

IMAGES = "images.npy"
TABLE = "galaxies.ecsv"
MANIFEST = "prepared.json"
OLD = ".dmagnet-old"  # ends the name of what is being replaced
LAYOUT = 1  # raised when an older reader would misread the folder


Progress = Callable[[int, int], None]


def prepare(
    h5: Path,
    out_folder: Path,
    *,
    sha256: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """Verify a Galaxy10 file and repack it for training.

    Parameters
    ----------
    h5 : Path
        Galaxy10 DECaLS or a file of the same form.
    out_folder : Path
        Made, with ``images.npy`` (N, S, S, 3) uint8, ``galaxies.ecsv`` and
        ``prepared.json``. Left alone if it was made from the same file; replaced if
        from another.
    sha256 : str or None
        Refuse a file with another hash; `GALAXY10_SHA256` for the published one.
    seed : int
        Seed of the split.
    progress : callable or None
        Called with the number of images done and of all.

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
    catalog = read_catalog(h5)
    source_hash = pooch.file_hash(str(h5))
    if sha256 is not None and source_hash != sha256.lower():
        raise DataError(
            f"{h5}: expected sha256 {sha256.lower()}, got {source_hash}; fetch it again"
        )
    with refusals_of_the_disk(out_folder):
        out_folder.parent.mkdir(parents=True, exist_ok=True)
        part, old = (
            part_of(out_folder),
            out_folder.with_name(f".{out_folder.name}{OLD}"),
        )
        if old.is_dir() and not out_folder.exists():
            old.rename(out_folder)  # killed between the two names below
        if _replaceable(out_folder) and _made_from(out_folder, source_hash, seed):
            return out_folder
        split = split_of(catalog.labels, catalog.ra, catalog.dec, seed)
        part.mkdir()
        try:
            _check_room(part, catalog)
            _write_images(h5, part / IMAGES, catalog, progress)
            _write_table(part / TABLE, catalog, split)
            _write_manifest(
                part / MANIFEST,
                catalog,
                split,
                h5=h5,
                source_hash=source_hash,
                seed=seed,
            )
            if _replaceable(out_folder):  # it may have come meanwhile
                shutil.rmtree(old, ignore_errors=True)
                out_folder.rename(old)
            part.rename(out_folder)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return out_folder


def _replaceable(folder: Path) -> bool:
    """Say whether a prepared folder is there; refuse to overwrite anything else."""
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
        whole = np.load(folder / IMAGES, mmap_mode="r").shape[0] == manifest["num"]
    except (DataError, OSError, ValueError):
        return False
    same = manifest["sha256"] == source_hash and manifest["seed"] == seed
    return whole and same and (folder / TABLE).is_file()


def _check_room(part: Path, catalog: Catalog) -> None:
    if shutil.disk_usage(part).free < _bytes(catalog):
        raise DataError(_no_room(part, catalog))


def _bytes(catalog: Catalog) -> int:
    return catalog.num * catalog.side**2 * 3


def _no_room(part: Path, catalog: Catalog) -> str:
    return (
        f"{part.parent}: expected {_bytes(catalog) / 1e9:.2f} GB of room for the "
        "prepared images, the disk is full; free some or name another folder"
    )


def _write_images(
    h5: Path, path: Path, catalog: Catalog, progress: Progress | None
) -> None:
    """Write a .npy file slab by slab; a memory map would count as used memory."""
    shape = (catalog.num, catalog.side, catalog.side, 3)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with open_galaxy10(h5) as source, path.open("wb") as out:
        np.lib.format.write_array_header_1_0(out, header)
        for start, images in read_slabs(source["images"]):
            out.write(images.data)
            if progress is not None:
                progress(start + len(images), catalog.num)


def _write_table(path: Path, catalog: Catalog, split: Split) -> None:
    table = Table({"label": catalog.labels})
    for name in POSITION_COLUMNS:
        table[name] = getattr(catalog, name)
    table["split"] = np.array(PARTS)[split.codes]
    table["fold"] = split.folds
    for name, unit in (("ra", "deg"), ("dec", "deg"), ("pxscale", "arcsec / pix")):
        table[name].unit = unit
    table.write(path, format="ascii.ecsv")


def _write_manifest(
    path: Path,
    catalog: Catalog,
    split: Split,
    *,
    h5: Path,
    source_hash: str,
    seed: int,
) -> None:
    manifest = {
        "layout": LAYOUT,
        "dmagnet": __version__,
        "source": h5.name,
        "sha256": source_hash,
        "published_file": source_hash == GALAXY10_SHA256,
        "num": catalog.num,
        "image_size": catalog.side,
        "class_names": CLASS_NAMES,
        "seed": seed,
        "split_hash": split.hash,
        "notes": catalog.notes + split.notes,
    }
    path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
        layout = manifest["layout"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder}: expected a readable {MANIFEST}, got {error!r}; prepare it again"
        ) from error
    if layout != LAYOUT:
        raise DataError(
            f"{folder}: expected layout {LAYOUT}, got {layout}; prepare it again"
        )
    return manifest


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
    columns = find_columns(folder / TABLE, needed=("label", "split", "ra", "dec"))
    read = read_labeled(folder / TABLE, columns)
    rows = [row for row in read if isinstance(row, LabeledRow)]
    try:
        images = np.load(folder / IMAGES, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(
            f"{folder / IMAGES}: expected a whole array ({error}); prepare it again"
        ) from error
    side = manifest["image_size"]
    if images.shape != (len(rows), side, side, 3) or images.dtype != np.uint8:
        raise DataError(
            f"{folder}: expected {len(rows)} images of {side} px, got {images.dtype} "
            f"of shape {images.shape}; prepare it again"
        )
    with refused(folder / TABLE, "a whole table"):
        labels = np.array([int(row.label) for row in rows], np.int64)
        split = np.array([PART_CODES[row.split] for row in rows], np.int8)
    return Galaxies(
        images=images,
        labels=labels,
        class_names=tuple(manifest["class_names"]),
        ids=np.array([f"h5:{row}" for row in range(len(rows))]),
        ra=np.array([row.ra for row in rows]),
        dec=np.array([row.dec for row in rows]),
        redshift=np.array([row.redshift for row in rows]),
        pxscale=np.array([row.pxscale for row in rows]),
        split=split,
        source=str(folder),
        notes=tuple(manifest["notes"]),
    )
