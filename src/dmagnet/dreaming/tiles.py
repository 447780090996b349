"""The gradient of a large image in tiles: exact, in memory that does not grow."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dmagnet.dreaming.layers import Activations
from dmagnet.dreaming.objectives import LocalObjective, Objective, Sum
from dmagnet.dreaming.receptive import FieldProbe, ReceptiveField, receptive_field
from dmagnet.dreaming.scorer import Scorer
from dmagnet.errors import ConfigError


@dataclass(frozen=True)
class _Span:
    """One tile along one axis: the pixels it owns, and those it looks at."""

    own: range
    crop: range
    is_last: bool


class TiledScorer:
    """A scorer that looks at one tile at a time and gives the gradient of the whole."""

    # The tiles share out the places of a layer. Each reads its own pixels and a halo as
    # wide as the layer's receptive field, clipped at the image's border where the
    # network's padding is the real one, and adds the gradient of its own places alone.
    # Their sum is the gradient of the whole. TensorFlow's Deep Dream (2015) tiles have
    # no halo and are wrong along every seam.

    def __init__(self, scorer: Scorer, tile: int) -> None:
        self.scorer, self.objective = scorer, scorer.objective
        self.terms = tuple(_local_terms(scorer.objective))
        self.fields = {
            name: receptive_field(scorer.network, name)
            for name in scorer.objective.layers
        }
        for term in self.terms:
            _check_one_grid(term, self.fields)
        self.period = math.lcm(*(field.period for field in self.fields.values()))
        radius = max(field.radius for field in self.fields.values())
        self.halo = -(-radius // self.period) * self.period
        self.tile = max(tile // self.period, 1) * self.period
        self._counts: dict[tuple[str, int, int], int] = {}

    def gradient(self, images: Tensor, views: int = 1) -> tuple[Tensor, Tensor]:
        """Score images and say which way is up, one view at a time."""
        assert views == 1  # more would not fit into memory
        images = images.detach()
        height, width = images.shape[2:]
        totals = {
            name: (self._places(name, 0, height), self._places(name, 1, width))
            for name in self.fields
        }
        scores = images.new_zeros(len(images))
        gradient = torch.zeros_like(images)
        for rows in self._spans(height):
            for columns in self._spans(width):
                window = (
                    ...,
                    slice(rows.crop.start, rows.crop.stop),
                    slice(columns.crop.start, columns.crop.stop),
                )
                own = {
                    name: _Places(
                        _own_places(rows, self.fields[name].stride, down),
                        _own_places(columns, self.fields[name].stride, right),
                        down * right,
                    )
                    for name, (down, right) in totals.items()
                }
                part, slope = self._tile(images[window], own)
                scores += part
                gradient[window] += slope
        return scores, gradient

    def _tile(self, crop: Tensor, own: "dict[str, _Places]") -> tuple[Tensor, Tensor]:
        crop = crop.clone().requires_grad_()
        with torch.enable_grad():
            seen = self.scorer.read(crop, self.scorer.objective.layers)
            scores = _share(self.scorer.objective, seen, own)
            if not scores.requires_grad:
                return scores, torch.zeros_like(crop)
            (slope,) = torch.autograd.grad(scores.sum(), crop)
        return scores.detach(), slope

    def _spans(self, side: int) -> Iterator[_Span]:
        for start in range(0, side, self.tile):
            stop = min(start + self.tile, side)
            crop = range(max(start - self.halo, 0), min(stop + self.halo, side))
            yield _Span(range(start, stop), crop, stop == side)

    def _places(self, name: str, axis: int, side: int) -> int:
        key = (name, axis, side)
        if key not in self._counts:
            probe = FieldProbe(self.scorer.network, name, axis)
            self._counts[key] = probe.places(side, self.fields[name])
        return self._counts[key]


@dataclass(frozen=True)
class _Places:
    """A tile's own places of a layer, and how many the whole image has."""

    rows: slice
    columns: slice
    total: int


def _own_places(span: _Span, stride: int, total: int) -> slice:
    """Return a tile's own places of a layer, counted in its crop."""
    first = span.own.start // stride
    stop = total if span.is_last else span.own.stop // stride
    skipped = span.crop.start // stride
    return slice(first - skipped, max(stop, first) - skipped)


def _share(
    objective: Objective, activations: Activations, own: dict[str, _Places]
) -> Tensor:
    """Compute what a tile's own places give to the scores of the whole images."""
    if isinstance(objective, Sum):
        shares = [_share(term, activations, own) for term in objective.terms]
        if objective.starts:
            shares = [s / b for s, b in zip(shares, objective.starts, strict=True)]
        weighted = [w * s for w, s in zip(objective.weights, shares, strict=True)]
        return sum(weighted[1:], weighted[0])
    assert isinstance(objective, LocalObjective)  # _local_terms has seen to it
    maps = objective.maps(activations)
    places = own[objective.layers[0]]
    return maps[:, places.rows, places.columns].sum(dim=(1, 2)) / places.total


def _local_terms(objective: Objective) -> Iterator[LocalObjective]:
    if isinstance(objective, Sum):
        for term in objective.terms:
            yield from _local_terms(term)
    elif isinstance(objective, LocalObjective):
        yield objective
    else:
        raise ConfigError(
            f"{type(objective).__name__} on {', '.join(objective.layers)} is no mean "
            "over places, so it cannot be dreamed in tiles; use tile=0, which dreams "
            "the whole image at once"
        )


def _check_one_grid(term: LocalObjective, fields: dict[str, ReceptiveField]) -> None:
    strides = {fields[name].stride for name in term.layers}
    if len(strides) > 1:
        raise ConfigError(
            f"{type(term).__name__} compares layers of different strides, so it "
            "cannot be dreamed in tiles; use tile=0, which dreams the whole image at "
            "once"
        )
