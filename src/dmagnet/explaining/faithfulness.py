"""Tests of the faithfulness of maps."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.errors import DataError
from dmagnet.explaining.borrowed import captum
from dmagnet.explaining.curves import AT_ONCE, find_sky, insertion_deletion, sky_fill
from dmagnet.storage.arrays import Bools, Floats
from dmagnet.storage.records import brief

PATCHES = 40  # random squares of sky that infidelity is measured with
SIDES = (8, 3)  # their sides: from an eighth to a third of the picture's
RADIUS = 0.01  # of white: how far max-sensitivity moves a pixel; nobody sees it
MOVES = 5

Explainer = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Changes:
    """What random squares of sky do to scores."""

    squares: Bools
    losses: Floats


@torch.inference_mode()
def square_changes(
    model: nn.Module,
    images: Tensor,
    targets: NDArray[np.integer],
    *,
    fill: Tensor,
    patches: int = PATCHES,
    seed: int = 0,
) -> Changes:
    """Lay squares of sky on pictures, and see what the score of a class loses."""
    num, _, side, _ = images.shape
    lot = np.random.default_rng(seed)
    squares = np.zeros((patches, num, side, side), bool)
    for one in squares.reshape(-1, side, side):
        long = int(lot.integers(side // SIDES[0], side // SIDES[1] + 1))
        top, left = lot.integers(0, side - long + 1, 2)
        one[top : top + long, left : left + long] = True
    losses = np.empty((patches, num))
    classes = torch.from_numpy(np.asarray(targets, np.int64)).to(images.device)[:, None]
    for start in range(0, num, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        whole = model(images[part]).gather(1, classes[part]).double()
        for k, mask in enumerate(squares[:, part]):
            covered = torch.from_numpy(mask)[:, None].to(images.device)
            left = model(torch.where(covered, fill[part], images[part]))
            lost = whole - left.gather(1, classes[part]).double()
            losses[k, part] = lost[:, 0].cpu().numpy()
    return Changes(squares, losses)


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How well maps say what a network needs, one number a picture.

    Attributes
    ----------
    insertion, deletion : (N,) float in [0, 1]
        Areas under the curves; high and low are good.
    infidelity : (N,) float
        0 where a map adds up to what squares of sky change, 1 where it knows nothing.
    max_sensitivity : (N,) float
        Largest relative change of the map under changes nobody sees; NaN where it was
        not measured.
    energy : (N,) float in [0, 1]
        Share of the map's absolute values on the galaxy; NaN where there is none.
    area : (N,) float in [0, 1]
        Share of the picture that the galaxy covers: what a map without a preference
        has for ``energy``.
    """

    insertion: Floats
    deletion: Floats
    infidelity: Floats
    max_sensitivity: Floats
    energy: Floats
    area: Floats

    __repr__ = brief


def faithfulness(
    model: nn.Module,
    images: Tensor,
    maps: NDArray[np.floating],
    *,
    targets: NDArray[np.integer],
    segment: Bools | None = None,
    explainer: Explainer | None = None,
    changes: Changes | None = None,
    seed: int = 0,
) -> Faithfulness:
    """Test maps on the network that they are to explain.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] to logits, in evaluation mode.
    images : (N, 3, S, S) float in [0, 1]
        Pictures.
    maps : (N, S, S) float
        One a picture, by `dmagnet.explaining.attribute`.
    targets : (N,) int
        The classes that the maps explain.
    segment : (N, S, S) bool, optional
        Pixels of the galaxies; by `dmagnet.measuring.segments.find_sources` if not
        given.
    explainer : callable, optional
        (B, 3, S, S) pictures and (B,) classes to maps, for max-sensitivity.
    changes : Changes, optional
        By `square_changes`, to compare several maps of the same pictures.
    seed : int
        Of all noise and lots.

    Returns
    -------
    Faithfulness
        Numbers of each picture.

    Raises
    ------
    DataError
        If there is not one map for each picture.
    ConfigError
        If ``explainer`` is given and captum is not installed.
    """
    if maps.shape != (len(images), *images.shape[2:]):
        raise DataError(
            f"maps: expected {(len(images), *images.shape[2:])}, got {maps.shape}; "
            "give one for each picture, at its side"
        )
    sky = find_sky(images)
    fill = sky_fill(images, seed=seed, sky=sky)
    curves = insertion_deletion(model, images, maps, targets, fill=fill, seed=seed)
    galaxy = sky.galaxy.cpu().numpy() if segment is None else segment
    if changes is None:
        changes = square_changes(model, images, targets, fill=fill, seed=seed)
    return Faithfulness(
        insertion=curves.insertion_auc,
        deletion=curves.deletion_auc,
        infidelity=infidelity(maps, changes),
        max_sensitivity=np.full(len(images), np.nan)
        if explainer is None
        else max_sensitivity(explainer, images, targets, seed=seed),
        energy=energy_share(maps, galaxy),
        area=galaxy.mean(axis=(1, 2)),
    )


def energy_share(maps: NDArray[np.floating], segment: Bools) -> Floats:
    """Measure how much of a map lies on the galaxy."""
    strength = np.abs(maps).astype(np.float64)
    inside = (strength * segment).sum(axis=(1, 2))
    whole = strength.sum(axis=(1, 2))
    known = segment.any(axis=(1, 2)) & (whole > 0)
    return np.where(known, inside / np.where(whole > 0, whole, 1), np.nan)


def infidelity(maps: NDArray[np.floating], changes: Changes) -> Floats:
    """Compare what maps promise with what squares of sky do to the score."""
    # Yeh et al. (2019, NeurIPS, definition 2.1), with their normalization, as captum
    # has it. Deviation: divided by what an empty map has, so that networks compare.
    promised = np.einsum("pnij,nij->pn", changes.squares, np.asarray(maps, np.float64))
    both = (promised * changes.losses).sum(axis=0)
    own, all_of_it = ((x**2).sum(axis=0) for x in (promised, changes.losses))
    told = both**2 / np.where(own > 0, own, 1)
    return np.asarray(1 - told / np.where(all_of_it > 0, all_of_it, 1))


def max_sensitivity(
    explainer: Explainer,
    images: Tensor,
    targets: NDArray[np.integer],
    *,
    seed: int = 0,
) -> Floats:
    """Measure how much a map changes when nobody sees that the picture did."""
    # Yeh et al. (2019, NeurIPS, definition 3.1), by captum.
    measure = captum("sensitivity_max", "metrics")
    chosen = torch.from_numpy(np.asarray(targets, np.int64)).to(images.device)
    lot = torch.Generator().manual_seed(seed)

    def _moved(seen: Tensor) -> Tensor:
        noise = 2 * torch.rand(seen.shape, generator=lot) - 1
        return (seen + RADIUS * noise.to(seen.device)).clamp(0, 1)

    found = []
    for start in range(0, len(images), AT_ONCE):
        part = slice(start, start + AT_ONCE)

        def _explained(seen: Any, part: slice = part) -> tuple[Tensor]:
            (pictures,) = seen if isinstance(seen, tuple) else (seen,)
            with torch.enable_grad():  # captum measures without
                return (explainer(pictures, chosen[part]).detach(),)

        most = len(images[part])
        settings = {"n_perturb_samples": MOVES, "max_examples_per_batch": most}
        found.append(measure(_explained, images[part], _moved, **settings))
    return torch.cat(found).double().cpu().numpy()
