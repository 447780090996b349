"""What the weights are trained on, brought to one form, each source once."""

import csv
import io
import json
import os
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from composites import disturb, merge_pair
from PIL import Image
from real_sets import DECALS, GALAXY10, GZ1, GZ2, KAGGLE, MEANINGS, REAL60
from simulated_masks import simulate_masked

from dmagnet.classes import CLASS_NAMES
from dmagnet.config import SimulateConfig
from dmagnet.galaxies import Galaxies, coarse, load_galaxies
from dmagnet.pictures import find_extent, standardize
from dmagnet.pictures.standard import standardize_mask

DRAWS, NUM_DRAWN, PIECE = (5, 6), 7000, 200  # seeds; galaxies of each; in one go
NUM_COMPOSITES = {"sdss": 1600, "decals": 1200}  # mergers of each, and as many others
DISCS = 0.95  # of the disturbed composites: a warped elliptical is an elliptical
SAME_SKY = 0.97  # correlation of two pictures from which they show the same galaxy
# To train on, an elliptical of Galaxy Zoo 1 may also be a cigar.
TRAINED = {GZ1: {**MEANINGS[GZ1], "0_elliptical": CLASS_NAMES[2:5]}}
RINGS = ("Ring", "Strong-Bar")  # tags of discs without a label that is sure
NOT_ODD = (2, 3, 5, 6, 7)  # what an unlabeled picture may be, for composites

Item = tuple[bytes, tuple[int, ...]]  # a file, and the classes that it may show


def gather(data: Path, out: Path, side: int, radii: float) -> dict[str, Path]:
    """Bring every source to frames of one side, once; say where each is kept."""
    form: dict[str, Any] = {"image_size": side, "radii": radii}

    def _coarse(file: str) -> Galaxies:
        meanings = TRAINED.get(file, MEANINGS[file])
        return coarse(load_galaxies(data / file, **form), meanings)

    parts: dict[str, Path] = {}
    for name, make in {
        "simulated": lambda: simulated(side, radii),
        "real60": lambda: load_galaxies(data / REAL60, **form),
        "gz2": lambda: _coarse(GZ2),
        "gz1": lambda: without_same_sky(_coarse(GZ1), read(parts["gz2"]).subset("val")),
        "kaggle": lambda: all_to_train(_coarse(KAGGLE)),
        "decals": lambda: decals(data, side, radii, labeled=True),
        "unlabeled": lambda: decals(data, side, radii, labeled=False),
        "composites": lambda: composites(data, side, radii),
        "galaxy10": lambda: galaxy10(data, side, radii, clean=True),
        "galaxy10 degraded": lambda: galaxy10(data, side, radii, clean=False),
    }.items():
        parts[name] = out / f"{name.replace(' ', '-')}-{side}.npz"
        keep(parts[name], make)
    return parts


def simulated(side: int, radii: float) -> Galaxies:
    """Draw galaxies with masks of where they show their class."""
    jobs = [(seed, at) for seed in DRAWS for at in range(0, NUM_DRAWN, PIECE)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        pieces = list(pool.map(partial(_piece, side, radii), jobs))
    images, labels, masks = (np.concatenate(each) for each in zip(*pieces, strict=True))
    return made_set(images, [(k,) for k in labels.tolist()], "simulated", masks=masks)


def _piece(side: int, radii: float, job: tuple[int, int]) -> tuple[np.ndarray, ...]:
    torch.set_num_threads(1)
    seed, start = job
    config = SimulateConfig(num=min(PIECE, NUM_DRAWN - start), seed=seed)
    views, kinds, where = [], [], []
    for images, labels, masks in simulate_masked(config, start=start):
        for image, label, mask in zip(images, labels, masks, strict=True):
            extent = find_extent(image)
            views.append(standardize(image, side, radii, extent=extent))
            kinds.append(label)
            where.append(standardize_mask(mask, side, radii, extent))
    return np.stack(views), np.array(kinds), np.stack(where)


def decals(data: Path, side: int, radii: float, *, labeled: bool) -> Galaxies:
    """Read the Galaxy Zoo DECaLS images whose classes are known, or are not."""
    items = [
        item
        for row, item in _rows(data / DECALS, "classes")
        if bool(item[1]) == labeled and "Artifact" not in row["tag"]
    ]
    anything = tuple(range(len(CLASS_NAMES)))
    sets = [allowed or anything for _, allowed in items]
    return made_set(_standard(items, side, radii), sets, "Galaxy Zoo DECaLS")


def galaxy10(data: Path, side: int, radii: float, *, clean: bool) -> Galaxies:
    """Read the real Galaxy10 images: untouched ones, or shrunk and painted ones."""
    items = [
        item
        for row, item in _rows(data / GALAXY10, "class")
        if row["quality"].startswith("clean") == clean
    ]
    images = _standard(items, side, radii)
    return made_set(images, [allowed for _, allowed in items], "Galaxy10 DECaLS")


def composites(data: Path, side: int, radii: float) -> Galaxies:
    """Make mergers and disturbed galaxies of the pixels of training images."""
    sources = {
        "sdss": _pixels(data / GZ2, MEANINGS[GZ2]) + _pixels(data / GZ1, TRAINED[GZ1]),
        "decals": [
            (file, allowed or ((5, 6, 7) if row["tag"] in RINGS else NOT_ODD))
            for row, (file, allowed) in _rows(data / DECALS, "classes")
            if "Artifact" not in row["tag"]
        ],
    }
    rng = np.random.default_rng(5)
    jobs: list[tuple[bytes, bytes | None, int]] = []
    labels = []
    for name, items in sources.items():
        sets = [set(allowed) for _, allowed in items]
        single = [k for k, one in enumerate(sets) if not one & {0, 1}]
        discs = [k for k in single if sets[k] <= {5, 6, 7}]
        plain = [k for k in single if not sets[k] & {4, 8, 9}]
        for _ in range(NUM_COMPOSITES[name]):
            first, second = items[rng.choice(plain)][0], items[rng.choice(single)][0]
            jobs.append((first, second, int(rng.integers(2**31))))
        for _ in range(NUM_COMPOSITES[name]):
            one = rng.choice(discs if rng.random() < DISCS else plain)
            jobs.append((items[one][0], None, int(rng.integers(2**31))))
        labels += [(1,)] * NUM_COMPOSITES[name] + [(0,)] * NUM_COMPOSITES[name]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        make = partial(_composite, side, radii)
        images = np.stack(list(pool.map(make, jobs, chunksize=16)))
    return made_set(images, labels, "composites of SDSS and DECaLS training images")


def _composite(
    side: int, radii: float, job: tuple[bytes, bytes | None, int]
) -> np.ndarray:
    first, second, seed = job
    rng = np.random.default_rng(seed)
    if second is None:
        return standardize(disturb(_picture(first), rng), side, radii)
    pair = merge_pair(_picture(first), _picture(second), rng)
    return standardize(pair, side, radii)


def _rows(path: Path, column: str) -> list[tuple[dict[str, str], Item]]:
    """Read a zip of pictures with a table of labels."""
    with zipfile.ZipFile(path) as archive:
        text = io.TextIOWrapper(archive.open("labels.csv"))
        return [
            (row, (archive.read(row["file"]), _allowed(row[column])))
            for row in csv.DictReader(text)
        ]


def _allowed(label: str) -> tuple[int, ...]:
    return tuple(int(one) for one in label.split("|") if one)


def _pixels(path: Path, meanings: dict[str, Sequence[str]]) -> list[Item]:
    """Read the training pictures of a zip of classes."""
    with zipfile.ZipFile(path) as archive:
        names = [Path(n) for n in archive.namelist() if n.startswith("train/")]
        return [
            (archive.read(str(name)), tuple(map(CLASS_NAMES.index, known)))
            for name in names
            if name.suffix and (known := meanings.get(name.parent.name))
        ]


def _picture(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def _standard(items: list[Item], side: int, radii: float) -> np.ndarray:
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        bring = partial(_standardized, side, radii)
        files = [file for file, _ in items]
        return np.stack(list(pool.map(bring, files, chunksize=16)))


def _standardized(side: int, radii: float, file: bytes) -> np.ndarray:
    return standardize(_picture(file), side, radii)


def made_set(
    images: np.ndarray,
    sets: Sequence[tuple[int, ...]],
    source: str,
    masks: np.ndarray | None = None,
) -> Galaxies:
    """Make training galaxies of pictures and the classes that each may show."""
    several = sorted({tuple(sorted(one)) for one in sets if len(one) > 1})
    codes = {one: len(CLASS_NAMES) + k for k, one in enumerate(several)}
    unknown = np.full(len(images), np.nan)
    return Galaxies(
        images=images,
        labels=np.array([codes.get(tuple(sorted(one)), one[0]) for one in sets]),
        class_names=CLASS_NAMES,
        ids=np.array([f"{source}:{k}" for k in range(len(images))]),
        ra=unknown, dec=unknown, redshift=unknown, pxscale=unknown,
        split=np.zeros(len(images), np.int8),
        source=source,
        label_sets=tuple(several),
        masks=masks,
    )  # fmt: skip


def all_to_train(galaxies: Galaxies) -> Galaxies:
    """Keep no part of a source back."""
    return replace(galaxies, split=np.zeros(len(galaxies), np.int8))


def keep(path: Path, make: Callable[[], Galaxies]) -> None:
    """Make a set of galaxies, unless its file is there."""
    if path.exists():
        return
    print(f"{time.strftime('%H:%M:%S')} making {path.name}", flush=True)
    galaxies = make()
    fields = {k: getattr(galaxies, k) for k in Galaxies.__dataclass_fields__}
    arrays = {k: v for k, v in fields.items() if isinstance(v, np.ndarray)}
    plain = {k: v for k, v in fields.items() if not isinstance(v, np.ndarray)}
    part = path.with_suffix(".part.npz")
    np.savez(part, **arrays, plain=json.dumps(plain))
    part.replace(path)


def read(path: Path) -> Galaxies:
    """Read what was kept."""
    with np.load(path) as file:
        plain = json.loads(str(file["plain"]))
        arrays = {k: file[k] for k in file.files if k != "plain"}
    for name in ("class_names", "skipped", "notes"):
        plain[name] = tuple(plain[name])
    plain["label_sets"] = tuple(map(tuple, plain["label_sets"]))
    return Galaxies(**arrays, **plain)


def without_same_sky(train: Galaxies, judged: Galaxies) -> Galaxies:
    """Leave out training images that show a galaxy that the network is judged on.

    Of Galaxy Zoo 1 and 2; the other sources were compared in every turn and flip, and
    share no galaxy with the 60 or with each other (docs/log.md).
    """
    mine, theirs = _fingerprints(train), _fingerprints(judged)
    same = (mine @ theirs.T).max(1) > SAME_SKY
    print(f"{int(same.sum())} images show a galaxy to be judged on; left out")
    return train.take(np.flatnonzero(~same))


def _fingerprints(galaxies: Galaxies) -> np.ndarray:
    """Reduce pictures to what is left of a galaxy without its round part."""
    step = galaxies.images.shape[1] // 24
    inner = galaxies.images[:, : 24 * step, : 24 * step].mean(-1)
    small = inner.reshape(-1, 24, step, 24, step).mean((2, 4))[:, 4:20, 4:20]
    flat, turned = small.reshape(len(small), -1), small.transpose(0, 2, 1)
    turned = turned.reshape(len(small), -1)
    flat = flat - flat.mean(1, keepdims=True)
    flat = flat - 0.5 * (flat + turned - turned.mean(1, keepdims=True))
    return flat / np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-6)
