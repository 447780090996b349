"""Plots against depth: the trained network beside its controls."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dmagnet.figures.plots import BLUE, DASHES, GRAY, INK, SERIES, VERMILION, panels_of

Floats = NDArray[np.float64]
PANEL = (3.4, 2.7)  # inches
LINES = ("-", "--", ":", "-.", (0, (1, 1, 4, 1)))
LEAST_HIGH = 0.4  # end of an axis of cosines or overlaps: chance is to look small


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
        _name_layers(axes, layers)
        axes.set_title(title, fontsize=9)
    grid[0].legend(fontsize=6, frameon=False)
    return figure


def depth_curves(
    layers: Sequence[str], panels: Mapping[str, Mapping[str, Floats]], name: str
) -> Figure:
    """Draw a measure against depth: rows (L, 3) of value and interval, by network."""
    figure, grid = panels_of(len(panels), 4, (2.7, 2.1))
    places = np.arange(len(layers))
    colors = (BLUE, GRAY, SERIES[4], SERIES[2], VERMILION)
    for axes, (title, lines) in zip(grid, panels.items(), strict=True):
        for i, (network, rows) in enumerate(lines.items()):
            dash: Any = DASHES[i]
            value, low, high = rows.T
            axes.plot(places, value, color=colors[i], linestyle=dash, label=network)
            axes.fill_between(places, low, high, color=colors[i], alpha=0.15, lw=0)
        axes.axhline(0, color=GRAY, linewidth=0.6)
        bottom, top = axes.get_ylim()
        axes.set_ylim(min(bottom, -0.02), max(top, LEAST_HIGH))
        _name_layers(axes, [layer.replace(".block", ".") for layer in layers])
        axes.tick_params(axis="x", labelsize=5)
        axes.set_title(title, fontsize=9)
    grid[0].set_ylabel(name, fontsize=8)
    figure.legend(
        *grid[0].get_legend_handles_labels(), loc="outside lower center", ncols=5,
        fontsize=8, frameon=False,
    )  # fmt: skip
    return figure


def cosine_table(names: Sequence[str], table: Floats) -> Figure:
    """Draw cosines (M, M) of the directions of concepts."""
    figure, (axes,) = panels_of(1, 1, (5.6, 4.8))
    axes.imshow(table, vmin=-1, vmax=1, cmap="RdBu_r")
    for (row, column), value in np.ndenumerate(table):
        color = "white" if abs(value) > 0.6 else INK
        text = f"{value:.2f}".replace("0.", ".")
        axes.text(column, row, text, fontsize=7, ha="center", va="center", color=color)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=8)
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_title("cosine of mean changes (diagonal: two halves)", fontsize=9)
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


def _name_layers(axes: Axes, layers: Sequence[str]) -> None:
    axes.set_xticks(range(len(layers)), layers, rotation=90, fontsize=6)
    axes.tick_params(axis="y", labelsize=7)
