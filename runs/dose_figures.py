"""Figures of doses and of depth, for the studies of one changed parameter."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from dmagnet.figures.depth_plots import name_layers
from dmagnet.figures.plots import (
    BLUE,
    DASHES,
    GRAY,
    INK,
    SERIES,
    VERMILION,
    panels_of,
)
from dmagnet.storage.arrays import Floats

LEAST_HIGH = 0.4  # end of an axis of cosines or overlaps: chance is to look small


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
        name_layers(axes, [layer.replace(".block", ".") for layer in layers])
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


def dose_responses(
    panels: Mapping[str, tuple[Sequence[float], Mapping[str, Mapping[str, Any]]]],
) -> Figure:
    """Draw probabilities against doses.

    A panel holds its doses and, by network and name of the classes, a record with
    ``mean``, ``low`` and ``high`` (D,).
    """
    figure, grid = panels_of(len(panels), 4, (2.7, 2.2))
    for axes, (title, (doses, networks)) in zip(grid, panels.items(), strict=True):
        for dash, curves in zip(DASHES, networks.values(), strict=False):
            for color, (classes, curve) in zip(SERIES, curves.items(), strict=False):
                label = classes if dash == DASHES[0] else None
                axes.plot(doses, curve.mean, color=color, linestyle=dash, label=label)
                axes.fill_between(
                    doses, curve.low, curve.high, color=color, alpha=0.12, linewidth=0
                )
        axes.set(ylim=(-0.02, 1.02))
        axes.set_xlabel(title, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=6, framealpha=0.6, edgecolor="none")
    dashes: Any = DASHES
    lines = [
        Line2D([], [], color=INK, linestyle=dash, label=network)
        for dash, network in zip(dashes, networks, strict=False)
    ]
    figure.legend(
        handles=lines, loc="outside lower center", ncols=len(lines), fontsize=8,
        frameon=False,
    )  # fmt: skip
    grid[0].set_ylabel("probability", fontsize=8)
    return figure
