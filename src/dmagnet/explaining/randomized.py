"""Dependence of maps on what the network learned: weights shuffled, top down."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dmagnet.explaining.methods import Classes, attribute
from dmagnet.judging.predict import batches_of
from dmagnet.measuring.controls import fit_norms, shuffle
from dmagnet.measuring.trends import standard_ranks
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.storage.arrays import Floats, Pixels
from dmagnet.storage.records import brief

NORM_BATCH = 256


@dataclass(frozen=True, eq=False)
class Cascade:
    """How maps change while weights become random, layer by layer.

    Attributes
    ----------
    layers : tuple of str
        What was shuffled last; the first is ``none``.
    likeness : (N, layers) float
        Rank correlation with the map of the trained network, -1 to 1.
    """

    layers: tuple[str, ...]
    likeness: Floats

    __repr__ = brief


def cascaded_randomization(
    checkpoint: Checkpoint,
    images: Pixels,
    method: str,
    *,
    target: Classes,
    seed: int = 0,
) -> Cascade:
    """Shuffle the weights from the head down to the stem, and compare maps.

    Parameters
    ----------
    checkpoint : Checkpoint
        The trained network; it stays as it is.
    images : (N, S, S, 3) uint8
        As the network wants to see them.
    method : str
        One of `dmagnet.explaining.METHODS`.
    target : str, int or sequence of int
        As for `dmagnet.explaining.attribute`; the same all along.
    seed : int
        Of the shuffling.

    Returns
    -------
    Cascade
        A map that explains the network loses its likeness; one that draws edges keeps
        it.

    Raises
    ------
    ConfigError
        If there is no such method or class, or captum is needed and not installed.

    Notes
    -----
    Adebayo et al. (2018, NeurIPS, section 3, cascading randomization). Deviations: each
    tensor is shuffled, which keeps the distribution of its weights, and the statistics
    of the norms are taken anew on these pictures, so that activations keep their size.
    """
    model = copy.deepcopy(checkpoint.model)
    changed = replace(checkpoint, model=model)
    first = attribute(checkpoint, images, method, target=target)
    generator = torch.Generator().manual_seed(seed)
    layers, likeness = ["none"], [np.ones(len(images))]
    shuffled: list[nn.Module] = []
    device = next(model.parameters()).device
    (some,) = batches_of(images[:NORM_BATCH], NORM_BATCH, device)
    if len(some) == 1:  # a variance needs two
        some = some.repeat(2, 1, 1, 1)
    for name, module in parts_from_the_top(model):
        shuffle(module, generator)
        shuffled.append(module)
        fit_norms(model, shuffled, [some])
        maps = attribute(changed, images, method, target=target)
        layers.append(name)
        likeness.append(rank_correlation(first, maps))
    return Cascade(tuple(layers), np.stack(likeness, axis=1))


def parts_from_the_top(model: DMAGNet) -> list[tuple[str, nn.Module]]:
    """List the parts of a network, the last first."""
    stages = [*model.stages.items()][::-1]
    parts = [("logits", model.head), ("lam", model.lam), *stages, ("stem", model.stem)]
    return [(name, part) for name, part in parts if list(part.parameters())]


def rank_correlation(
    first: NDArray[np.floating], second: NDArray[np.floating]
) -> Floats:
    """Compare maps by the order of their pixels."""
    a, b = (standard_ranks(each.reshape(len(each), -1)) for each in (first, second))
    return np.asarray((a * b).sum(axis=1))
