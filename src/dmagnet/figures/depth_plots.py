"""Plots against depth: the trained network beside its controls."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dmagnet.figures.plots import GRAY, SERIES, panels_of
from dmagnet.storage.arrays import Floats

PANEL = (3.4, 2.7)  # inches
LINES = ("-", "--", ":", "-.", (0, (1, 1, 4, 1)))


def depth_trends(
    layers: Sequence[str], panels: Mapping[str, Mapping[str, Floats]]
) -> Figure:
    """Draw medians of measures (..., L) against depth, with the middle 68 % shaded.

    Each panel has one line for each kind of network; the first is shaded alone.
    """
    figure, grid = panels_of(len(panels), min(3, len(panels)), PANEL)
    for axes, (title, kinds) in zip(grid, panels.items(), strict=True):
        for i, (kind, values) in reversed(list(enumerate(kinds.items()))):
            color = (SERIES[0], *SERIES[1:], GRAY)[i % (len(SERIES) + 1)]
            _band(axes, values, color, LINES[i % len(LINES)], kind, shaded=i == 0)
        name_layers(axes, layers)
        axes.set_title(title, fontsize=9)
    grid[0].legend(fontsize=6, frameon=False)
    return figure


def _band(
    axes: Axes, values: Floats, color: str, dash: object, name: str, *, shaded: bool
) -> None:
    """Draw the median over all but the last axis, and the middle 68 %."""
    flat = values.reshape(-1, values.shape[-1])
    known = flat[np.isfinite(flat).all(axis=1)]
    if not len(known):
        return
    low, middle, high = np.percentile(known, (16, 50, 84), axis=0)
    places = np.arange(values.shape[-1])
    if shaded:
        axes.fill_between(places, low, high, color=color, alpha=0.18, linewidth=0)
    axes.plot(places, middle, color=color, linestyle=dash, marker="o", markersize=2,
              label=name)  # fmt: skip


def name_layers(axes: Axes, layers: Sequence[str]) -> None:
    """Write layers below a panel, upright."""
    axes.set_xticks(range(len(layers)), layers, rotation=90, fontsize=6)
    axes.tick_params(axis="y", labelsize=7)
