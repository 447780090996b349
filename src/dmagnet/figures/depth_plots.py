"""Plots against depth: the trained network beside networks with random weights."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dmagnet.figures.plots import (
    BLUE,
    DASHES,
    GRAY,
    INK,
    SERIES,
    VERMILION,
    panels_of,
)

Floats = NDArray[np.float64]
PANEL = (3.1, 2.5)  # inches
LEAST_HIGH = 0.4  # end of an axis of cosines or overlaps: chance is to look small


def depth_trends(
    layers: Sequence[str],
    panels: Mapping[str, tuple[Floats, Floats]],
) -> Figure:
    """Draw medians of measures (..., L) against depth, with the middle 68 % shaded."""
    figure, grid = panels_of(len(panels), 3, PANEL)
    for axes, (title, (trained, random)) in zip(grid, panels.items(), strict=True):
        _band(axes, random, GRAY, "--", "random weights")
        _band(axes, trained, BLUE, "-", "trained")
        _name_layers(axes, layers)
        axes.set_title(title, fontsize=9)
    grid[0].legend(fontsize=7, frameon=False)
    return figure


def probe_curves(
    layers: Sequence[str],
    probes: Mapping[str, tuple[Floats, Floats]],
) -> Figure:
    """Draw scores of probes: rows (L, 4) of score, interval and score when shuffled."""
    figure, grid = panels_of(len(probes), 3, PANEL)
    places = np.arange(len(layers))
    for axes, (title, (trained, random)) in zip(grid, probes.items(), strict=True):
        for rows, color, dash, name in (
            (random, GRAY, "--", "random weights"),
            (trained, BLUE, "-", "trained"),
        ):
            score, low, high, _ = rows.T
            axes.plot(places, score, color=color, linestyle=dash, label=name)
            axes.fill_between(places, low, high, color=color, alpha=0.2, linewidth=0)
        shuffled = trained[:, 3]
        axes.plot(places, shuffled, color=VERMILION, linestyle=":", label="shuffled")
        _name_layers(axes, layers)
        axes.set_title(title, fontsize=9)
    grid[0].legend(fontsize=7, frameon=False)
    return figure


def likeness_tables(layers: Sequence[str], tables: Mapping[str, Floats]) -> Figure:
    """Draw how alike the representations of layers are: tables (L, L) of CKA."""
    figure, grid = panels_of(len(tables), len(tables), (3.3, 3.1))
    for axes, (title, table) in zip(grid, tables.items(), strict=True):
        _shades(axes, table, 6, origin="lower")
        _name_layers(axes, layers)
        axes.set_yticks(range(len(layers)), layers, fontsize=7)
        axes.set_title(title, fontsize=9)
    return figure


def class_paths(paths: Mapping[str, Floats]) -> Figure:
    """Draw mean probabilities (F, N) of the galaxies' own class while they dream."""
    figure, (axes,) = panels_of(1, 1, (5.2, 3.2))
    colors = [*SERIES, INK]
    for i, (layer, path) in enumerate(paths.items()):
        steps = np.arange(1, len(path) + 1)
        axes.plot(steps, path.mean(axis=1), color=colors[i % len(colors)], label=layer)
    axes.set(xlabel="step, all octaves", ylabel="probability of the galaxy's class")
    axes.set_ylim(0, 1)
    axes.legend(fontsize=7, frameon=False, ncols=2)
    return figure


def chain_curves(
    layers: Sequence[str],
    sides: Sequence[int],
    home: int,
    curves: Mapping[str, Floats],
    residual: Mapping[str, Floats],
) -> Figure:
    """Draw curves (L, R, B) over R sides in px, and residuals (L, P, B) over passes."""
    figure, grid = panels_of(len(curves) + 1, 2, (3.8, 2.7))
    colors = [*SERIES, INK]
    x, y = "side at which it is seen, px", "energy over the galaxy's"
    for axes, (kind, curve) in zip(grid, curves.items(), strict=False):
        for i, layer in enumerate(layers):
            middle = np.median(curve[i], axis=1)
            axes.plot(sides, middle, color=colors[i % len(colors)], label=layer)
        axes.axvline(home, color=GRAY, linewidth=0.8, linestyle=":")
        axes.axhline(1, color=GRAY, linewidth=0.8, linestyle=":")
        axes.set_yscale("log")
        _name_axes(axes, x, y, kind)
    grid[0].legend(fontsize=6, frameon=False, ncols=2)
    last = grid[len(curves)]
    for values, dash in zip(residual.values(), ("-", "--"), strict=False):
        for i, layer in enumerate(layers):
            middle = np.median(values[i][1:], axis=1)
            label = layer if dash == "-" else None
            passes = range(2, len(middle) + 2)
            last.plot(passes, middle, dash, color=colors[i % len(colors)], label=label)
    last.set_xticks(range(2, values.shape[1] + 1))
    title = "re-dream (dashed: random weights)"
    _name_axes(last, "pass of the re-dream", "change of the detail", title)
    return figure


def forgetting(forgotten: Sequence[str], layers: Sequence[str], ssim: Floats) -> Figure:
    """Draw likenesses (K, L, B) with the trained dream: K rows of steps, L dreams."""
    figure, (axes,) = panels_of(1, 1, (4.6, 3.4))
    _shades(axes, ssim.mean(axis=2), 7)
    _name_layers(axes, layers)
    names = [f"down to {name}" for name in forgotten]
    axes.set_yticks(range(len(names)), names, fontsize=7)
    title = "likeness (SSIM) with the trained network's dream"
    _name_axes(axes, "layer that is dreamed", "", title)
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


def _shades(
    axes: Axes, table: Floats, size: int, origin: Literal["upper", "lower"] = "upper"
) -> None:
    """Draw a table of likenesses from 0 to 1 with its numbers."""
    axes.imshow(table, vmin=0, vmax=1, cmap="cividis", origin=origin)
    for (row, column), value in np.ndenumerate(table):
        text = f"{value:.2f}"
        axes.text(
            column,
            row,
            text.replace("0.", ".") if origin == "lower" else text,
            fontsize=size,
            ha="center",
            va="center",
            color=INK if value > 0.6 else "white",
        )


def _band(axes: Axes, values: Floats, color: str, dash: str, name: str) -> None:
    """Draw the median over all but the last axis, and the middle 68 %."""
    flat = values.reshape(-1, values.shape[-1])
    known = flat[np.isfinite(flat).all(axis=1)]
    if not len(known):
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center")
        return
    low, middle, high = np.percentile(known, (16, 50, 84), axis=0)
    places = np.arange(values.shape[-1])
    axes.fill_between(places, low, high, color=color, alpha=0.18, linewidth=0)
    axes.plot(
        places,
        middle,
        color=color,
        linestyle=dash,
        marker="o",
        markersize=3,
        label=name,
    )


def _name_layers(axes: Axes, layers: Sequence[str]) -> None:
    axes.set_xticks(range(len(layers)), layers, rotation=45, ha="right", fontsize=7)
    axes.tick_params(axis="y", labelsize=7)


def _name_axes(axes: Axes, x: str, y: str, title: str) -> None:
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)
    axes.set_title(title, fontsize=9)
