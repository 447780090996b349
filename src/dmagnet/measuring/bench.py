"""Material of a study: points of depth, galaxies, and networks that learned nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from dmagnet.config.dream_config import MeasureConfig
from dmagnet.dreaming.layers import find_layer
from dmagnet.dreaming.targets import Network, open_network
from dmagnet.errors import ConfigError, DataError
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.measuring.apertures import Aperture, find_aperture
from dmagnet.measuring.controls import How, calibrate_norms, randomized
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.storage.arrays import Ints, Pixels

MIN_PER_CLASS = 2
FORGETFUL: dict[str, How] = {"random weights": "fresh", "shuffled weights": "shuffled"}
NUM_FITTED = 256  # galaxies to which the norms of random networks are fitted


def with_lam(network: Network) -> DMAGNet:
    """Refuse a network without LAM, whose attention is part of a study."""
    model = network.model
    if not (isinstance(model, DMAGNet) and model.config.lam):
        raise ConfigError(
            "weights: expected a DMAGNet with LAM, whose attention is measured too, "
            f"got {type(model).__name__} without; measure one that has it"
        )
    return model


def points_of_depth(model: DMAGNet) -> tuple[str, ...]:
    """Choose the layers of a study: the stem, all entrances and blocks, and LAM."""
    names = ["stem"]
    for stage in model.stages:
        blocks = [n for n in model.layer_names if n.startswith(f"{stage}.")]
        names += [f"stages.{stage}.enter", *(n for n in blocks if n.count(".") == 1)]
    return (*names, "lam")


@dataclass(frozen=True, eq=False)
class Bench:
    """The galaxies and the networks, by kind, that a study works with."""

    layers: tuple[str, ...]
    images: Tensor
    labels: Ints
    aperture: Aperture
    networks: Mapping[str, list[Network]]


def set_up(network: Network, galaxies: Galaxies, config: MeasureConfig) -> Bench:
    """Choose galaxies, and make the networks that learned nothing."""
    model = with_lam(network)
    layers = config.layers or points_of_depth(model)
    labels = config.shuffled_labels
    controls = [] if labels is None else [open_network(labels)]
    for each in (network, *controls):
        for name in layers:
            find_layer(with_lam(each), name)
    every = galaxies.images
    spread = np.linspace(0, len(every) - 1, min(len(every), NUM_FITTED)).astype(int)
    fitting = _floats(every[spread])
    rows = chosen_rows(galaxies, config.per_class)
    images = _floats(every[rows])
    networks = {"trained": [network]}
    for kind, how in FORGETFUL.items():
        forgetful = [randomized(model, k, how=how) for k in range(config.seeds)]
        fitted = [calibrate_norms(each, fitting) for each in forgetful]
        networks[kind] = [replace(network, model=each) for each in fitted]
    if controls:
        networks["shuffled labels"] = controls
    return Bench(layers, images, galaxies.labels[rows], find_aperture(images), networks)


def _floats(images: Pixels) -> Tensor:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255


def chosen_rows(galaxies: Galaxies, per_class: int) -> Ints:
    """Choose the first galaxies of each class that could be measured."""
    rows = []
    for index, name in enumerate(galaxies.class_names):
        mine = np.flatnonzero(galaxies.labels == index)
        found: list[int] = []
        for start in range(0, len(mine), per_class):
            some = mine[start : start + per_class]
            radius = find_aperture(_floats(galaxies.images[some])).r_petro
            found += some[radius.isfinite().numpy()].tolist()
            if len(found) >= per_class:
                break
        if len(found) < MIN_PER_CLASS:
            raise DataError(
                f"class {name!r}: expected {MIN_PER_CLASS} galaxies or more with a "
                f"Petrosian radius, got {len(found)}; give more galaxies"
            )
        rows.append(np.array(found[:per_class]))
    return np.concatenate(rows)
