"""Simulated galaxies as labeled ones, seen as a network sees galaxies."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dmagnet.classes import CLASS_NAMES
from dmagnet.config.train_config import SimulateConfig
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.pictures.standard import standardize
from dmagnet.simulator.datasets import Pair, simulate


def draw_views(
    config: SimulateConfig,
    radii: float | None,
    progress: Callable[[int], None] | None = None,
) -> Pair:
    """Draw images and labels; with radii all at one size, from larger pictures."""
    if radii is None:
        return simulate(config, progress=progress)
    side = config.image_size
    larger = replace(config, image_size=2 * side, field=1.0)
    images, labels = simulate(larger, progress=progress)
    return np.stack([standardize(image, side, radii) for image in images]), labels


def as_galaxies(
    drawn: Pair,
    seed: int,
    data_hash: str,
    *,
    num_train: int | None = None,
    notes: tuple[str, ...] = (),
) -> Galaxies:
    """Make a set of what was drawn: the first train, if not all, the others val."""
    images, labels = drawn
    num = len(labels)
    unknown = np.full(num, np.nan)
    return Galaxies(
        images=images,
        labels=labels,
        class_names=CLASS_NAMES,
        ids=np.array([f"simulated:{seed}:{i}" for i in range(num)]),
        ra=unknown,
        dec=unknown,
        redshift=unknown,
        pxscale=unknown,
        split=(np.arange(num) >= (num_train or num)).astype(np.int8),
        source="simulated galaxies",
        data_hash=data_hash,
        notes=notes,
    )
