"""What changes with depth: the trained network beside networks with random weights."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dmagnet.figures.plots import BLUE, GRAY, INK, SERIES, VERMILION, _plain

Floats = NDArray[np.float64]
PANEL = (3.1, 2.5)  # inches


def depth_trends(
    layers: Sequence[str],
    panels: Mapping[str, tuple[Floats, Floats]],
    *,
    columns: int = 3,
) -> Figure:
    """Draw measures against depth.

    Parameters
    ----------
    layers : sequence of str
        L names, in order of depth.
    panels : mapping of str to pair of (..., L) ndarray
        By title: values of the trained network and of random ones; all axes but the
        last are galaxies, seeds or networks.
    columns : int
        Panels in a row.

    Returns
    -------
    Figure
        Medians, with the middle 68 % shaded.
    """
    figure, grid = _grid(len(panels), columns)
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
    *,
    columns: int = 3,
) -> Figure:
    """Draw what linear probes read, layer by layer.

    Parameters
    ----------
    layers : sequence of str
        L names, in order of depth.
    probes : mapping of str to pair of (L, 4) ndarray
        By what is read: score, its interval and the score on shuffled values, for the
        trained network and for a random one.
    columns : int
        Panels in a row.

    Returns
    -------
    Figure
        Scores with 95 % intervals.
    """
    figure, grid = _grid(len(probes), columns)
    places = np.arange(len(layers))
    for axes, (title, (trained, random)) in zip(grid, probes.items(), strict=True):
        for rows, color, dash, name in (
            (random, GRAY, "--", "random weights"),
            (trained, BLUE, "-", "trained"),
        ):
            score, low, high, _ = rows.T
            axes.plot(places, score, color=color, linestyle=dash, label=name)
            axes.fill_between(places, low, high, color=color, alpha=0.2, linewidth=0)
        axes.plot(
            places, trained[:, 3], color=VERMILION, linestyle=":", label="shuffled"
        )
        _name_layers(axes, layers)
        axes.set_title(title, fontsize=9)
    grid[0].legend(fontsize=7, frameon=False)
    return figure


def likeness_tables(layers: Sequence[str], tables: Mapping[str, Floats]) -> Figure:
    """Draw how alike the representations of layers are.

    Parameters
    ----------
    layers : sequence of str
        L names, in order of depth.
    tables : mapping of str to (L, L) ndarray
        By title: CKA.

    Returns
    -------
    Figure
        One square for each table, with its numbers.
    """
    figure, grid = _grid(len(tables), len(tables), panel=(3.3, 3.1))
    for axes, (title, table) in zip(grid, tables.items(), strict=True):
        axes.imshow(table, vmin=0, vmax=1, cmap="cividis", origin="lower")
        for (row, column), value in np.ndenumerate(table):
            axes.text(
                column, row, f"{value:.2f}".replace("0.", "."), fontsize=6,
                ha="center", va="center", color=INK if value > 0.6 else "white",
            )  # fmt: skip
        _name_layers(axes, layers)
        axes.set_yticks(range(len(layers)), layers, fontsize=7)
        axes.set_title(title, fontsize=9)
    return figure


def class_paths(paths: Mapping[str, Floats]) -> Figure:
    """Draw how sure the network stays of a galaxy's class while it dreams.

    Parameters
    ----------
    paths : mapping of str to (F, N) ndarray
        By layer: probability of each galaxy's own class after each step.

    Returns
    -------
    Figure
        Means over galaxies.
    """
    figure, (axes,) = _grid(1, 1, panel=(5.2, 3.2))
    colors = [*SERIES, INK]
    for i, (layer, path) in enumerate(paths.items()):
        steps = np.arange(1, len(path) + 1)
        axes.plot(steps, path.mean(axis=1), color=colors[i % len(colors)], label=layer)
    axes.set_xlabel("step, all octaves")
    axes.set_ylabel("probability of the galaxy's class")
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
    """Draw what resolution does to dreams.

    Parameters
    ----------
    layers : sequence of str
        L names, in order of depth.
    sides : sequence of int
        R sides at which dreams were seen, in px.
    home : int
        Side of the galaxies, in px.
    curves : mapping of str to (L, R, B) ndarray
        By kind of network: energy of the dream over that of the galaxy.
    residual : mapping of str to (L, P, B) ndarray
        By kind: change of the detail in each pass of a re-dream.

    Returns
    -------
    Figure
        One panel of curves for each kind, and one of residuals.
    """
    figure, grid = _grid(len(curves) + 1, 2, panel=(3.8, 2.7))
    colors = [*SERIES, INK]
    for axes, (kind, curve) in zip(grid, curves.items(), strict=False):
        for i, layer in enumerate(layers):
            middle = np.median(curve[i], axis=1)
            axes.plot(sides, middle, color=colors[i % len(colors)], label=layer)
        axes.axvline(home, color=GRAY, linewidth=0.8, linestyle=":")
        axes.axhline(1, color=GRAY, linewidth=0.8, linestyle=":")
        axes.set_yscale("log")
        axes.set_xlabel("side at which it is seen, px", fontsize=8)
        axes.set_ylabel("energy over the galaxy's", fontsize=8)
        axes.set_title(kind, fontsize=9)
    grid[0].legend(fontsize=6, frameon=False, ncols=2)
    last = grid[len(curves)]
    for values, dash in zip(residual.values(), ("-", "--"), strict=False):
        for i, layer in enumerate(layers):
            middle = np.median(values[i][1:], axis=1)
            label = layer if dash == "-" else None
            passes = range(2, len(middle) + 2)
            last.plot(passes, middle, dash, color=colors[i % len(colors)], label=label)
    last.set_xticks(range(2, values.shape[1] + 1))
    last.set_xlabel("pass of the re-dream", fontsize=8)
    last.set_ylabel("change of the detail", fontsize=8)
    last.set_title("re-dream (dashed: random weights)", fontsize=9)
    return figure


def forgetting(forgotten: Sequence[str], layers: Sequence[str], ssim: Floats) -> Figure:
    """Draw how dreams change as a network forgets from the top down.

    Parameters
    ----------
    forgotten : sequence of str
        K layers, in the order in which they forgot.
    layers : sequence of str
        L layers that were dreamed.
    ssim : (K, L, B) ndarray
        Likeness with the dream of the trained network.

    Returns
    -------
    Figure
        One row for each step, one column for each dream.
    """
    figure, (axes,) = _grid(1, 1, panel=(4.6, 3.4))
    table = ssim.mean(axis=2)
    axes.imshow(table, vmin=0, vmax=1, cmap="cividis")
    for (row, column), value in np.ndenumerate(table):
        axes.text(
            column, row, f"{value:.2f}", fontsize=7, ha="center", va="center",
            color=INK if value > 0.6 else "white",
        )  # fmt: skip
    _name_layers(axes, layers)
    axes.set_yticks(
        range(len(forgotten)), [f"down to {n}" for n in forgotten], fontsize=7
    )
    axes.set_xlabel("layer that is dreamed", fontsize=8)
    axes.set_title("likeness (SSIM) with the trained network's dream", fontsize=9)
    return figure


def _grid(
    panels: int, columns: int, panel: tuple[float, float] = PANEL
) -> tuple[Figure, list[Axes]]:
    """Lay out panels, and leave out those that are not needed."""
    columns = min(columns, panels)
    rows = -(-panels // columns)
    size = (panel[0] * columns, panel[1] * rows)
    figure = Figure(figsize=size, layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[panels:]:
        axes.set_visible(False)
    for axes in grid[:panels]:
        _plain(axes)
    return figure, grid[:panels]


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
    axes.plot(places, middle, color=color, linestyle=dash, marker="o", markersize=3,
              label=name)  # fmt: skip


def _name_layers(axes: Axes, layers: Sequence[str]) -> None:
    axes.set_xticks(range(len(layers)), layers, rotation=45, ha="right", fontsize=7)
    axes.tick_params(axis="y", labelsize=7)
