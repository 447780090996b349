"""Material of a study: layers by depth, galaxies, networks of random weights."""

from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.config.dream_config import MeasureConfig
from dmagnet.dreaming.layers import layer_names
from dmagnet.errors import ConfigError, DataError
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.measuring.apertures import Aperture, find_aperture
from dmagnet.measuring.controls import calibrate_norms, randomized

MIN_PER_CLASS = 2


def layers_by_depth(model: nn.Module) -> tuple[str, ...]:
    """Choose the layers of a study."""
    names = layer_names(model)
    if not hasattr(model, "layer_names"):
        raise ConfigError(
            "layers: expected some, in order of depth, since this network does not "
            f"name its own; choose from {', '.join(names[:12])}..."
        )
    blocks = [n for n in names if n.count(".") == 1]
    longest = max({n.split(".")[0] for n in blocks}, key=lambda s: _count(blocks, s))
    inside = [n for n in blocks if n.startswith(f"{longest}.")]
    middle = inside[(len(inside) - 1) // 2]
    chosen = {n for n in names if "." not in n and n != "logits"} | {middle}
    return tuple(n for n in names if n in chosen)


def _count(blocks: list[str], stage: str) -> int:
    return sum(b.startswith(f"{stage}.") for b in blocks)


class Bench:
    """The galaxies and the networks that a study works with."""

    def __init__(
        self, model: nn.Module, galaxies: Galaxies, config: MeasureConfig
    ) -> None:
        self.config = config
        self.model = model
        self.layers = config.layers or layers_by_depth(model)
        self.all = galaxies
        images = galaxies.images
        first = np.linspace(0, len(images) - 1, min(len(images), 256)).astype(int)
        self.fitting = _floats(images[first])
        rows = chosen_rows(galaxies, config.per_class)
        self.images, self.labels = _floats(images[rows]), galaxies.labels[rows]
        self.aperture: Aperture = find_aperture(self.images)
        spread = np.linspace(0, len(rows) - 1, min(config.chain_galaxies, len(rows)))
        self.few = torch.from_numpy(np.unique(spread.astype(int)))

    @cached_property
    def controls(self) -> list[nn.Module]:
        """Make networks with random weights, their norms fitted to the galaxies."""
        return [
            calibrate_norms(randomized(self.model, seed), self.fitting)
            for seed in range(self.config.seeds)
        ]

    @cached_property
    def shuffled(self) -> list[nn.Module]:
        """Make networks whose trained weights have changed places."""
        return [
            calibrate_norms(randomized(self.model, seed, how="shuffled"), self.fitting)
            for seed in range(self.config.seeds)
        ]

    def networks(self, kind: str) -> list[nn.Module]:
        """Return the networks of a kind."""
        return [self.model] if kind == "trained" else self.controls


def _floats(images: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255


def chosen_rows(galaxies: Galaxies, per_class: int) -> NDArray[np.int64]:
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
