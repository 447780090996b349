"""The pixels a class cannot do without, and those that suffice: found by a search."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.isotonic import IsotonicRegression
from torch import Tensor, nn

from dmagnet.explaining.curves import (
    find_sky,
    insertion_deletion,
    log_probability,
    sky_fill,
    smoothed,
)

GRID = 8  # squares along a side of the first look
LOOKS = 32  # steps of the curves that give the map its values
TIE = 1e-5  # of the mean slope: less than any curve can tell
GOLDEN = 0.618034  # steps of this, cut at 1, cover all sizes of masks evenly
FIRST_FILL = 10_000  # seeds of fills, away from those that tests begin with


@dataclass(frozen=True, kw_only=True)
class Search:
    """How the order of pixels is searched for."""

    steps: int = 80
    rate: float = 0.5
    softness: tuple[float, float] = (0.5, 0.1)
    smoothing: float = 0.5
    deletion: float = 10.0
    fills: int = 6


SEARCH = Search()


def needed(
    model: nn.Module, images: Tensor, classes: Tensor, search: Search = SEARCH
) -> Tensor:
    """Search which pixels the class needs most, and how much."""
    # Masks that preserve or delete a class go back to Fong & Vedaldi (2017, ICCV) and
    # Petsiuk et al. (2018, BMVC, section 3.3); here one order of pixels serves masks of
    # every size at once: minimized is the mean over sizes a in (0, 1) of deletion *
    # p(picture without the first a) - p(the first a alone), with soft edges that
    # harden, by Adam, from the map that sky over each of 8x8 squares gives. What
    # replaces pixels is noise like the picture's own sky. The values are slopes of the
    # two curves, made monotone (isotonic regression), so that order and sum stay.
    sky = find_sky(images)
    seeds = range(FIRST_FILL, FIRST_FILL + search.fills)
    fills = [sky_fill(images, seed=seed, sky=sky) for seed in seeds]
    first = _first_look(model, images, classes, fills[0])
    order = _standard(first).requires_grad_(True)
    adam = torch.optim.Adam([order], lr=search.rate)
    for step in range(search.steps):
        done = step / max(1, search.steps - 1)
        adam.param_groups[0]["lr"] = search.rate * (1 - 0.9 * done)
        soft, hard = search.softness
        smooth = smoothed(order, search.smoothing)
        mask = _mask(smooth, soft * (hard / soft) ** done, (0.5 + GOLDEN * step) % 1)
        fill = fills[step % len(fills)]
        mixed = torch.lerp(images, fill, mask), torch.lerp(fill, images, mask)
        probability = log_probability(
            model(torch.cat(mixed)), classes.repeat(2, 1)
        ).exp()
        without, alone = probability.chunk(2)
        loss = (search.deletion * without - alone).sum()
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    smooth = smoothed(order.detach(), search.smoothing)
    return _valued(model, images, smooth, classes, fills[0])


def _first_look(
    model: nn.Module, images: Tensor, classes: Tensor, fill: Tensor
) -> Tensor:
    """Return what each square of a grid loses under sky, (B, S, S)."""
    side = images.shape[2]
    edges = np.linspace(0, side, GRID + 1).round().astype(int).tolist()
    lost = images.new_zeros(len(images), 1, GRID, GRID)
    with torch.no_grad():
        whole = log_probability(model(images), classes).exp()
        for row, column in np.ndindex(GRID, GRID):
            down, across = (slice(*edges[k : k + 2]) for k in (row, column))
            covered = images.clone()
            covered[..., down, across] = fill[..., down, across]
            left = log_probability(model(covered), classes).exp()
            lost[:, 0, row, column] = whole - left
    return F.interpolate(lost, size=(side, side), mode="bilinear")[:, 0]


def _standard(order: Tensor) -> Tensor:
    """Bring maps to mean 0 and standard deviation 1."""
    middle = order.mean(dim=(1, 2), keepdim=True)
    # The scale is no way to make masks harder.
    scale = order.detach().std(dim=(1, 2), keepdim=True).clamp(min=1e-6)
    return (order - middle) / scale


def _mask(order: Tensor, softness: float, share: float) -> Tensor:
    """Choose a share of each picture, the first of the order; (B, 1, S, S)."""
    level = _standard(order)
    ranked = level.detach().flatten(1).sort(dim=1).values
    edge = ranked[:, int((1 - share) * (ranked.shape[1] - 1))][:, None, None]
    return torch.sigmoid((level - edge) / softness)[:, None]


def _valued(
    model: nn.Module, images: Tensor, order: Tensor, classes: Tensor, fill: Tensor
) -> Tensor:
    """Give each pixel the slope of the curves at its place in the order."""
    order = _standard(order)
    maps = order.cpu().numpy()
    targets, against = classes.cpu().numpy().T
    curves = insertion_deletion(
        model, images, maps, targets, against=against, fill=fill, steps=LOOKS
    )
    counts = np.diff(curves.shares) * maps[0].size
    rises = (np.diff(curves.insertion, axis=1) - np.diff(curves.deletion, axis=1)) / 2
    flat = maps.reshape(len(maps), -1)
    values = np.empty(flat.shape)
    falling = IsotonicRegression(increasing=False)
    for i, rise in enumerate(rises):
        places = np.arange(len(counts))
        slopes = falling.fit_transform(places, rise / counts, sample_weight=counts)
        first = np.argsort(-flat[i], kind="stable")
        values[i, first] = np.repeat(slopes, counts.round().astype(int))
    # Pixels of one step differ by next to nothing, so that their order stays.
    values += TIE * flat / flat.shape[1]
    result = torch.from_numpy(values.reshape(maps.shape)).to(images.device)
    return result.to(images.dtype)
