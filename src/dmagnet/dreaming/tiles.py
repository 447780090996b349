"""The gradient of a large image in tiles: exact, in memory that does not grow."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dmagnet.dreaming.objectives import LocalObjective, Objective, Sum
from dmagnet.dreaming.receptive import (
    NO_TILES,
    FieldProbe,
    ReceptiveField,
    receptive_field,
)
from dmagnet.dreaming.scorer import Scorer
from dmagnet.errors import ConfigError


@dataclass(frozen=True)
class _Span:
    """One tile along one axis: the pixels it looks at, and its places in there."""

    crop: slice
    places: dict[str, slice]  # of each layer


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
        sides = images.shape[2:]
        down, across = (self._spans(axis, side) for axis, side in enumerate(sides))
        scores = images.new_zeros(len(images))
        gradient = torch.zeros_like(images)
        for rows, columns in itertools.product(down, across):
            window = (..., rows.crop, columns.crop)
            part, slope = self._tile(images[window], rows, columns, sides)
            scores += part
            gradient[window] += slope
        return scores, gradient

    def _tile(
        self, crop: Tensor, rows: _Span, columns: _Span, sides: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Return what a tile's own places give to the whole, and their gradient."""
        crop = crop.clone().requires_grad_()
        with torch.enable_grad():
            seen = self.scorer.read(crop, self.objective.layers)

            def _share(term: Objective) -> Tensor:
                if isinstance(term, Sum):
                    return term.add_up([_share(each) for each in term.terms])
                assert isinstance(term, LocalObjective)  # _local_terms has seen to it
                name = term.layers[0]
                own = term.maps(seen)[:, rows.places[name], columns.places[name]]
                total = math.prod(self._places(name, k, n) for k, n in enumerate(sides))
                return own.sum(dim=(1, 2)) / total

            scores = _share(self.objective)
            if not scores.requires_grad:
                return scores, torch.zeros_like(crop)
            (slope,) = torch.autograd.grad(scores.sum(), crop)
        return scores.detach(), slope

    def _spans(self, axis: int, side: int) -> list[_Span]:
        spans = []
        for start in range(0, side, self.tile):
            stop = min(start + self.tile, side)
            crop = slice(max(start - self.halo, 0), min(stop + self.halo, side))
            places = {}
            for name, field in self.fields.items():
                first, skipped = start // field.stride, crop.start // field.stride
                last = stop // field.stride
                if stop == side:
                    last = max(self._places(name, axis, side), first)
                places[name] = slice(first - skipped, last - skipped)
            spans.append(_Span(crop, places))
        return spans

    def _places(self, name: str, axis: int, side: int) -> int:
        key = (name, axis, side)
        if key not in self._counts:
            probe = FieldProbe(self.scorer.network, name, axis)
            self._counts[key] = probe.places(side, self.fields[name])
        return self._counts[key]


def _local_terms(objective: Objective) -> Iterator[LocalObjective]:
    if isinstance(objective, Sum):
        for term in objective.terms:
            yield from _local_terms(term)
    elif isinstance(objective, LocalObjective):
        yield objective
    else:
        raise ConfigError(
            f"{type(objective).__name__} on {', '.join(objective.layers)} is no mean "
            f"over places, so it cannot be dreamed in tiles; {NO_TILES}"
        )


def _check_one_grid(term: LocalObjective, fields: dict[str, ReceptiveField]) -> None:
    strides = {fields[name].stride for name in term.layers}
    if len(strides) > 1:
        raise ConfigError(
            f"{type(term).__name__} compares layers of different strides, so it "
            f"cannot be dreamed in tiles; {NO_TILES}"
        )
