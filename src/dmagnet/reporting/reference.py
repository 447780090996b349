"""Galaxies to compare with: labeled ones of the user, or simulated ones, drawn once."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmagnet import __version__
from dmagnet.calibration.space import nearest as nearest_rows
from dmagnet.config import SimulateConfig, to_dict
from dmagnet.errors import DataError
from dmagnet.galaxies import Galaxies, load_galaxies
from dmagnet.galaxies.simulated import as_galaxies, draw_views
from dmagnet.judging.predict import look
from dmagnet.network.checkpoint import Checkpoint, weights_hash
from dmagnet.reporting.galaxy_record import Neighbor
from dmagnet.storage.arrays import Singles
from dmagnet.storage.disk import data_folder
from dmagnet.storage.environment import Announce, counter
from dmagnet.storage.records import read_arrays, write_arrays

NUM_SIMULATED = 500  # fifty of each class
SEED = 20_251  # no other set of this package begins with it
NUM_NEAREST = 5
NUM_VOTES = 20
SAME = 0.01  # standard deviations: the galaxy itself; others are 0.25 off and more


@dataclass(frozen=True, eq=False)
class Reference:
    """Labeled galaxies, and how a network sees them."""

    galaxies: Galaxies  # as the network wants to see them
    features: Singles  # (N, D) pooled behind LAM
    words: str  # which galaxies these are, in one line


def open_reference(
    checkpoint: Checkpoint,
    data: Path | None = None,
    *,
    cache: Path | None = None,
    num_simulated: int = NUM_SIMULATED,
    announce: Announce | None = None,
) -> Reference:
    """Open galaxies to compare with; what takes long is kept.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network.
    data : Path, optional
        Anything `load_galaxies` reads, with classes of any name. Simulated
        galaxies of all ten classes if not given.
    cache : Path, optional
        Folder for simulated galaxies and for features; ``reference`` in
        `dmagnet.galaxies.data_folder` if not given.
    num_simulated : int
        How many to draw, from 1.
    announce : callable, optional
        Called with a name and a total; returns what to call with the number done.

    Returns
    -------
    Reference
        Galaxies and features.

    Raises
    ------
    DataError
        If the data cannot be read or hold no galaxy, or the disk refuses.
    """
    folder = data_folder() / "reference" if cache is None else cache
    if data is None:
        galaxies = _simulated(checkpoint, folder, num_simulated, announce)
        words = f"{len(galaxies)} simulated galaxies of ten classes"
    else:
        config = checkpoint.config
        # As views are read, not cut from frames of training: a galaxy that is in the
        # reference too then has the very same pixels.
        galaxies = load_galaxies(
            data,
            image_size=config.image_size,
            field=config.field,
            radii=config.radii,
            seed=config.seed,
        )
        words = f"{len(galaxies)} labeled galaxies of {Path(data).name}"
    if not len(galaxies):
        raise DataError(f"{data}: expected labeled galaxies, found none")
    features = _features(checkpoint, galaxies, folder, announce)
    return Reference(galaxies, features, words)


def nearest(
    reference: Reference,
    features: Singles,
    *,
    num: int = NUM_NEAREST,
    votes: int = NUM_VOTES,
) -> list[tuple[tuple[Neighbor, ...], tuple[tuple[str, int], ...]]]:
    """Find the reference galaxies that the network finds most alike.

    Parameters
    ----------
    reference : Reference
        Where to look.
    features : (M, D) float
        Of the galaxies, pooled behind LAM.
    num : int
        How many to show of each.
    votes : int
        Of how many to count the labels.

    Returns
    -------
    list of tuple
        For each galaxy its neighbors, and the labels of the ``votes`` nearest with how
        often each occurs. The picture itself is left out.

    Notes
    -----
    Distances are those of `dmagnet.calibration.space.nearest`.
    """
    most = max(num, votes) + 1
    distances, rows = nearest_rows(reference.features, np.asarray(features), most)
    galaxies = reference.galaxies
    found = []
    for distance, row in zip(distances, rows, strict=True):
        others = [(d, r) for d, r in zip(distance, row, strict=True) if d > SAME]
        shown = tuple(
            Neighbor(
                str(galaxies.ids[r]),
                _label(galaxies, int(galaxies.labels[r])),
                float(d),
                np.asarray(galaxies.images[r]),
            )
            for d, r in others[:num]
        )
        labels = [_label(galaxies, int(galaxies.labels[r])) for _, r in others[:votes]]
        found.append((shown, tuple(Counter(labels).most_common())))
    return found


def _label(galaxies: Galaxies, label: int) -> str:
    """Name a label, which may be a set of classes."""
    names = galaxies.class_names
    if label < len(names):
        return names[label]
    return " or ".join(names[k] for k in galaxies.label_sets[label - len(names)])


def _features(
    checkpoint: Checkpoint, galaxies: Galaxies, folder: Path, announce: Announce | None
) -> Singles:
    """Look at the galaxies, or read what was seen before."""
    weights = checkpoint.weights_hash or weights_hash(checkpoint.model)
    path = folder / f"features-{_key(weights, galaxies.data_hash, len(galaxies))}.npz"
    known = _kept(path)
    if known is not None and len(known["features"]) == len(galaxies):
        return known["features"]
    count = counter(announce, "Reference", len(galaxies))
    _, seen = look(checkpoint.model, galaxies.images, progress=count)
    features: Singles = seen[0]
    write_arrays(path, {"features": features}, _is_a_cache)
    return features


def _simulated(
    checkpoint: Checkpoint, folder: Path, num: int, announce: Announce | None
) -> Galaxies:
    """Draw galaxies as the network wants to see them, or read those drawn before."""
    config = checkpoint.config
    drawn = SimulateConfig(
        num=num, image_size=config.image_size, field=config.field, seed=SEED
    )
    key = _key(__version__, to_dict(drawn), config.radii)
    path = folder / f"simulated-{key}.npz"
    known = _kept(path)
    if known is None:
        count = counter(announce, "Drawing galaxies", num)
        images, labels = draw_views(drawn, config.radii, count)
        known = {"images": images, "labels": labels}
        write_arrays(path, known, _is_a_cache)
    return as_galaxies((known["images"], known["labels"]), SEED, path.stem)


def _key(*parts: Any) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _kept(path: Path) -> dict[str, NDArray[Any]] | None:
    """Read arrays; None where there are none, or a file is damaged."""
    try:
        return read_arrays(path, "arrays")
    except DataError:
        return None


def _is_a_cache(_path: Path) -> bool:
    """Let what is damaged be replaced: the name of a kept file is a hash of ours."""
    return True
