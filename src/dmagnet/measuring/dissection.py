"""Dissection: which part of a galaxy each unit finds, and each map."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata
from torch import Tensor

from dmagnet.config.train_config import TrainConfig
from dmagnet.errors import DataError
from dmagnet.judging.predict import on_picture
from dmagnet.pictures import find_extent, standardize
from dmagnet.pictures.standard import standardize_mask
from dmagnet.simulator import components, draw
from dmagnet.simulator.pairs import COMPONENTS, LEAST_SHARE
from dmagnet.storage.arrays import Bools, Floats, Ints, Pixels

PIECE = 20  # galaxies drawn from one generator
FEWEST = 20  # px of 128 x 128 that a component must have to be asked for
LIGHT_STEP, RADIUS_STEP = 2.0, 2.0  # of 255, px: see matched_area
COARSE = 2  # px of the view along a side of the places where units are compared


@dataclass(frozen=True, eq=False)
class Dissected:
    """Simulated galaxies as a network sees them, and what they are made of.

    Attributes
    ----------
    views : (N, S, S, 3) uint8
        Of one size and one brightness.
    labels : (N,) int64
        Classes of which they were drawn.
    parts : dict of str to (N, S, S) bool
        For each of `dmagnet.simulator.pairs.COMPONENTS` where it has 15 % of the light
        or more (of dust: takes them away).
    """

    views: Pixels
    labels: Ints
    parts: dict[str, Bools]


def dissected(num: int, config: TrainConfig, *, seed: int) -> Dissected:
    """Draw galaxies of all classes in turn, and their components.

    Parameters
    ----------
    num : int
        Galaxies, rounded up to whole pieces of 20.
    config : TrainConfig
        Side and radii of the network's view.
    seed : int
        Of the galaxies.

    Returns
    -------
    Dissected
        Masks are framed as their pictures are.
    """
    side, radii = config.image_size, config.radii or 3.0
    views: list[Pixels] = []
    parts: dict[str, list[Bools]] = {name: [] for name in COMPONENTS}
    labels = torch.arange(-(-num // PIECE) * PIECE) % 10
    for number, kinds in enumerate(torch.split(labels, PIECE)):
        generator = torch.Generator().manual_seed(seed + number)
        shares = components(kinds, generator=generator)
        frames = draw(kinds, generator=generator).permute(0, 2, 3, 1).numpy()
        extents = [find_extent(frame) for frame in frames]
        for frame, extent in zip(frames, extents, strict=True):
            views.append(standardize(frame, side, radii, extent=extent))
        for name, share in shares.items():
            levels = (share * 255).round().to(torch.uint8).numpy()
            for level, extent in zip(levels, extents, strict=True):
                seen = standardize_mask(level, side, radii, extent)
                parts[name].append(seen >= 255 * LEAST_SHARE)
    masks = {name: np.stack(each) for name, each in parts.items()}
    return Dissected(np.stack(views), labels.numpy(), masks)


def coarse_masks(parts: Mapping[str, Bools]) -> Bools:
    """Bring masks to the places where units are compared: (M, N, P)."""
    stacked = torch.from_numpy(np.stack(list(parts.values()))).float()
    half = F.avg_pool2d(stacked, COARSE) >= 0.5
    return np.asarray(half.flatten(2).numpy())


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Where C units are active and where M components are, in N galaxies.

    Attributes
    ----------
    both, either : (C, M, N) int64
        Places of both, and of at least one of them.
    levels : (C, M) float64
        The activation from which on a unit counts as active.
    """

    both: Ints
    either: Ints
    levels: Floats

    @property
    def iou(self) -> Floats:
        """Intersection over union over all galaxies together, (C, M), 0 to 1."""
        return iou_of(self.both, self.either)


def iou_of(both: ArrayLike, either: ArrayLike) -> Floats:
    """Divide counts (..., N), added over galaxies; NaN where there is nothing."""
    shared, whole = (np.asarray(x, np.float64).sum(axis=-1) for x in (both, either))
    nothing = np.full(whole.shape, np.nan)
    iou: Floats = np.divide(shared, whole, out=nothing, where=whole > 0)
    return iou


def unit_overlaps(maps: Tensor, masks: Bools) -> Overlaps:
    """Compare where units are most active with where components are.

    Parameters
    ----------
    maps : (N, C, h, w) float
        Activations of one layer.
    masks : (M, N, P) bool
        From `coarse_masks`, of the same galaxies; P is a square number.

    Returns
    -------
    Overlaps
        Counts of places, galaxy by galaxy.

    Raises
    ------
    DataError
        If the masks are of another number of galaxies.

    Notes
    -----
    Network Dissection (Bau et al. 2017, CVPR, eq. 1): activations are brought to the
    picture, cut at a top quantile, and compared over the whole set. Deviation: the
    quantile is not 0.5 % for all, but what the component itself covers, so that 1 can
    be reached for each, and chance is c / (2 - c) for a coverage c.
    """
    num, places = masks.shape[1:]
    if len(maps) != num:
        raise DataError(
            f"masks: expected those of the {len(maps)} galaxies of the maps, got {num}"
        )
    side = round(places**0.5)
    covered = masks.sum(axis=2)
    ranks = np.clip(num * places - covered.sum(axis=1), 0, num * places - 1)
    both, either, levels = [], [], []
    for unit in maps.float().unbind(1):
        large = on_picture(unit, (side, side)).flatten(1).numpy()
        level = np.partition(large.ravel(), np.unique(ranks))[ranks]
        active = large >= level[:, None, None]
        both.append((active & masks).sum(axis=2))
        either.append(active.sum(axis=2) + covered - both[-1])
        levels.append(level)
    return Overlaps(np.array(both), np.array(either), np.array(levels, np.float64))


def radii_of(side: int) -> Floats:
    """Return the distance of each pixel from the middle of a view: (S, S)."""
    rows, columns = np.mgrid[:side, :side] - (side - 1) / 2
    return np.asarray(np.hypot(rows, columns), np.float64)


def map_areas(
    maps: ArrayLike, galaxies: Dissected, names: Sequence[str] = COMPONENTS
) -> dict[str, Floats]:
    """Score maps by how well they find each component.

    Parameters
    ----------
    maps : (N, S, S) float
        One a galaxy, of any attribution.
    galaxies : Dissected
        The same galaxies.
    names : sequence of str
        Components.

    Returns
    -------
    dict of str to (N, 2) float64
        Area under the ROC curve, 0 to 1, and the same among pixels of one light and
        one distance from the center; NaN where a component has less than 20 px.
    """
    radius = radii_of(galaxies.views.shape[1]).ravel()
    areas = {name: np.full((len(galaxies.views), 2), np.nan) for name in names}
    for i, scores in enumerate(np.asarray(maps)):
        score, light = scores.ravel(), galaxies.views[i].mean(axis=2).ravel()
        for name in names:
            truth = galaxies.parts[name][i].ravel()
            if truth.sum() >= FEWEST:
                matched = matched_area(score, truth, light, radius)
                areas[name][i] = roc_area(score, truth), matched
    return areas


def roc_area(score: NDArray[np.floating], truth: Bools) -> float:
    """Compute the chance that a true pixel has the higher score; NaN without one."""
    num, others = truth.sum(), (~truth).sum()
    if not num or not others:
        return float("nan")
    above = rankdata(score)[truth].sum() - num * (num + 1) / 2
    return float(above / (num * others))


def matched_area(
    score: NDArray[np.floating],
    truth: Bools,
    light: NDArray[np.floating],
    radius: NDArray[np.floating],
) -> float:
    """Compute the same among pixels of one light and one distance only.

    The mean over cells of 2 levels of 255 and 2 px, each weighed by its pairs of a true
    pixel and another. A map of the light itself has 0.51 to 0.55 for all components,
    and one of nearness 0.42 to 0.56; with 36 quantiles of light and 18 steps of
    distance these were 0.50 to 0.82, since the brightest quantile holds a whole bar.
    """
    cells = (light / LIGHT_STEP).astype(int) * len(light)
    cells += (radius / RADIUS_STEP).astype(int)
    order = np.argsort(cells, kind="stable")
    ends = np.flatnonzero(np.diff(cells[order])) + 1
    total = weight = 0.0
    for rows in np.split(order, ends):
        here = truth[rows]
        if num := float(here.sum() * (~here).sum()):
            total, weight = total + num * roc_area(score[rows], here), weight + num
    return total / weight if weight else float("nan")
