"""Causal morphology: what one changed parameter of a galaxy does to the answer."""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from dmagnet.classes import CLASS_NAMES
from dmagnet.config import SimulateConfig
from dmagnet.config.recipes import laptop
from dmagnet.config.train_config import AugmentConfig, ModelConfig
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.judging.predict import judge
from dmagnet.network.checkpoint import Checkpoint, load
from dmagnet.pictures.inputs.framing import framed
from dmagnet.simulator import simulate
from dmagnet.training.fit import fit

NUM_TRAIN, NUM_HELD = 600, 400
SEED = 91_000  # far from those of any training
# Plain pictures, small batches, no smoothing: arbitrary labels have to be memorized.
PLAIN = replace(
    laptop(), radii=3.0, epochs=25, batch_size=20, warmup_epochs=1.0, ema_decay=0.99,
    label_smoothing=0.0, scales=(1.0, 1.0), progressive=False, mask_weight=0.0,
    model=ModelConfig(size="xs", dropout=0.0, drop_path=0.0),
    augment=AugmentConfig(
        rotate=False, zoom=1.0, shift=0.0, brightness=0.0, gain=0.0, noise=0.0
    ),
)  # fmt: skip


def trained(folder: Path, *, shuffled: bool) -> tuple[Checkpoint, float, float]:
    """Train a small network on true labels, or on the same in random order."""
    config = SimulateConfig(num=NUM_TRAIN + NUM_HELD, seed=SEED)
    frames, labels = simulate(config)
    views = np.stack(
        [framed(f, PLAIN.image_size, 1.0, None, radii=PLAIN.radii).rgb for f in frames]
    )
    given = labels.copy()
    if shuffled:
        given = np.random.default_rng(SEED).permutation(given)
    num = len(labels)
    nowhere = np.full(num, np.nan)
    split = np.where(np.arange(num) < NUM_TRAIN, 0, 2).astype(np.int8)
    galaxies = Galaxies(
        views, given, CLASS_NAMES, np.arange(num).astype(str),
        nowhere, nowhere, nowhere, nowhere, split, "simulated",
    )  # fmt: skip
    path = fit(galaxies, PLAIN, folder, progress=False, accelerator="cpu")
    checkpoint = load(path)
    right = judge(checkpoint, views, views=1).probabilities.argmax(1)
    learned = (right == given)[:NUM_TRAIN].mean()
    held = (right == labels)[NUM_TRAIN:].mean()
    return checkpoint, float(learned), float(held)


if __name__ == "__main__":
    import sys

    torch.set_num_threads(1)
    for kind in sys.argv[2:]:
        print(kind, trained(Path(sys.argv[1]) / kind, shuffled=kind == "shuffled")[1:])
