"""The real galaxies beside the checkout, in a network's classes and views."""

import argparse
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from dmagnet.classes import CLASS_NAMES, plain_names
from dmagnet.config import SimulateConfig, TrainConfig
from dmagnet.galaxies import Galaxies, coarse, load_galaxies
from dmagnet.judging import score
from dmagnet.judging.trust import as_labeled
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.pictures import resize, standardize
from dmagnet.simulator import simulate

NATIVE = 256  # px of all files
GZ2, GZ1 = "galaxyzoo2_5class_train_val.zip", "galaxyzoo1_6class_train_val.zip"
KAGGLE, DECALS = "galaxyzoo2_4class_13k.zip", "gz_decals_real.zip"
REAL60, GALAXY10 = "galaxy10_real60.h5", "galaxy10_real_train.zip"
STRANGERS = "not_galaxies_300.zip"
C = CLASS_NAMES
MEANINGS = {
    GZ2: {
        "0_completely_round_smooth": C[2:3],
        "1_in_between_smooth": C[3:4],
        "2_cigar_shaped_smooth": C[4:5],
        "3_edge_on": C[8:10],
        "4_spiral": C[5:8],
    },
    # Cigars are asked for as edge-on here, so they cannot be elliptical as well.
    GZ1: {
        "0_elliptical": C[2:4],
        "1_spiral_clockwise": C[5:8],
        "2_spiral_anticlockwise": C[5:8],
        "3_spiral_edge_on": (C[4], *C[8:10]),
        "5_merger": C[0:2],
    },
    KAGGLE: {
        "edge_on": C[8:10],
        "elliptical": C[2:5],
        "spiral": C[5:8],
        "other": C[0:2],
    },
}
GROUPS = ((2,), (3,), (4,), (8, 9), (5, 6, 7))  # of GZ2, as indices
NAMES = {GZ2: "galaxyzoo2", GZ1: "galaxyzoo1", REAL60: "real60"}


def real_sets(checkpoint: Checkpoint, args: argparse.Namespace) -> dict[str, Galaxies]:
    """Load the validation parts at native sampling, in the network's classes."""
    sets = {}
    for file, name in NAMES.items():
        if args.quick and file == GZ1:
            continue  # its archive alone takes as long as all the rest
        galaxies = native(args.data / file)
        if file != REAL60:
            galaxies = galaxies.subset("val")
        mine = in_classes_of(checkpoint, file, galaxies)
        if mine is not None:
            sets[name] = some(mine, args.most)
    return sets


@cache
def native(path: Path) -> Galaxies:
    """Read a set once, at the sampling of its files."""
    return load_galaxies(path, image_size=NATIVE)


def in_classes_of(checkpoint: Checkpoint, file: str, galaxies: Galaxies):
    """Translate labels, or say None where they have nothing to do with the network."""
    own = plain_names(checkpoint.class_names)
    if plain_names(galaxies.class_names) == own:
        return replace(galaxies, class_names=checkpoint.class_names)
    if file in MEANINGS and own == plain_names(CLASS_NAMES):
        return coarse(galaxies, MEANINGS[file], checkpoint.class_names)
    return None


def known_galaxies(
    checkpoint: Checkpoint, args: argparse.Namespace
) -> dict[str, Galaxies]:
    """Collect galaxies of training: real ones, and simulated for ten classes."""
    real = native(args.data / GZ2).subset("train")
    real = some(real, args.num_known)
    known = {"galaxyzoo2 train": view_of(real, checkpoint.config)}
    if plain_names(checkpoint.class_names) == plain_names(CLASS_NAMES):
        config = SimulateConfig(num=args.num_known, image_size=NATIVE, seed=99)
        images, labels = simulate(config)
        drawn = replace(
            real.take(np.arange(len(images)) % len(real)),
            images=images,
            labels=labels,
            class_names=CLASS_NAMES,
            source="simulated",
            data_hash="",
        )
        known["simulated"] = view_of(drawn, checkpoint.config)
    return known


def some(galaxies: Galaxies, num: int) -> Galaxies:
    """Take at most so many, by lot."""
    lot = np.random.default_rng(0).permutation(len(galaxies))[:num]
    return galaxies.take(np.sort(lot))


def view_of(galaxies: Galaxies, config: TrainConfig) -> Galaxies:
    """Show galaxies as the network wants to see them."""
    return replace(galaxies, images=prepared(galaxies.images, config))


def measured(checkpoint: Checkpoint, galaxies: Galaxies, judgement, num_bootstrap: int):
    """Compare answers with labels: what was judged, and its scores."""
    judged = as_labeled(checkpoint, galaxies, judgement)
    metrics = score(
        judged.labels,
        judged.probabilities,
        judged.names,
        trust=judged.trust,
        num_bootstrap=num_bootstrap,
    )
    return judged, metrics


def prepared(frames, config: TrainConfig):
    """Bring frames to the network's view."""
    if config.radii is None:
        return resize(frames, config.image_size, config.field)
    side, radii = config.image_size, config.radii
    return np.stack([standardize(frame, side, radii) for frame in frames])


def pictures_in(path: Path):
    """Read all pictures of a zip at one side."""
    found = []
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.lower().endswith((".jpg", ".png"))]
        for name in names:
            with archive.open(name) as file:
                picture = Image.open(file).convert("RGB").resize((NATIVE, NATIVE))
                found.append(np.asarray(picture))
    return np.stack(found)


def in_groups(p):
    """Sum the probabilities of the classes of each group."""
    return np.stack([p[:, list(members)].sum(1) for members in GROUPS], 1)
