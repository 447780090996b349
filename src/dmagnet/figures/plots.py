"""Numbers as curves, bars and shades: how well the network does.

Colors are those of Okabe & Ito (2008), which the color-blind tell apart; lines differ
in their dashes too, for the printer.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from dmagnet.errors import DataError
from dmagnet.judging import Metrics, Reliability, RiskCoverage
from dmagnet.storage.arrays import AnyFloats

BLUE, VERMILION, GRAY, INK = "#0072B2", "#D55E00", "#6b6b6b", "#222222"
SERIES = (BLUE, VERMILION, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
MANY_LINES = 8  # from here on a legend hides more than it tells
MANY_CLASSES = 20  # from here on, counts no longer fit in the cells


def confusion_matrix(metrics: Metrics) -> Figure:
    """Draw which classes are taken for which.

    Parameters
    ----------
    metrics : Metrics
        What `dmagnet.judging.score` returned.

    Returns
    -------
    Figure
        A cell's number is a count, its shade the share of its row (the label).
    """
    counts = metrics.confusion
    names = metrics.class_names
    totals = counts.sum(axis=1)
    share = counts / np.maximum(totals, 1)[:, None]
    cells = 0.5 * min(max(len(names), 4), MANY_CLASSES)
    letters = 0.075 * max(len(name) for name in names)
    figure, (axes,) = panels_of(
        1, 1, (cells + letters + 2.1, cells + 0.64 * letters + 0.7)
    )
    shades = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    rows = [f"{name} ({n})" for name, n in zip(names, totals, strict=True)]
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_xticks(np.arange(len(names)) + 0.5, minor=True)
    axes.set_yticks(range(len(names)), rows)
    axes.set_yticks(np.arange(len(names)) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="the network says", ylabel="label (galaxies)")
    if len(names) <= MANY_CLASSES:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = "white" if share[row, column] > 0.55 else INK
                axes.text(
                    column, row, str(count), ha="center", va="center", color=color
                )
    bar = figure.colorbar(shades, ax=axes, shrink=0.7, format=PercentFormatter(1))
    bar.set_label("share of the label's galaxies")
    bar.outline.set_visible(False)
    return figure


def reliability_diagram(bins: Reliability) -> Figure:
    """Draw how often the network is right against how sure it was.

    Parameters
    ----------
    bins : Reliability
        What `dmagnet.judging.reliability` returned.

    Returns
    -------
    Figure
        One point per bin with its 95 % interval; the diagonal is perfect.
    """
    figure, (axes,) = panels_of(1, 1, (5.2, 4.8))
    axes.plot([0, 1], [0, 1], color=GRAY, linestyle="--", label="perfectly calibrated")
    axes.errorbar(
        bins.confidence,
        bins.accuracy,
        color=BLUE,
        fmt="o",
        capsize=2.5,
        yerr=[bins.accuracy - bins.low, bins.high - bins.accuracy],
        label=f"about {round(bins.count.mean())} galaxies each, with 95 % interval",
    )
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), aspect="equal")
    _in_percent(axes, "how sure the network was", "how often it was right")
    axes.text(0.97, 0.3, "too sure", ha="right", color=GRAY)
    axes.text(0.03, 0.8, "not sure enough", color=GRAY)
    axes.legend(loc="lower right", frameon=False, fontsize=9)
    return figure


def risk_coverage_curve(risk: RiskCoverage) -> Figure:
    """Draw how many names are wrong when only the surest are given.

    Parameters
    ----------
    risk : RiskCoverage
        What `dmagnet.judging.risk_coverage` returned.

    Returns
    -------
    Figure
        The risk over the share of galaxies named, with its 95 % interval.
    """
    figure, (axes,) = panels_of(1, 1, (5.2, 3.8))
    axes.fill_between(
        risk.coverage, risk.low, risk.high, color=BLUE, alpha=0.2, linewidth=0
    )
    axes.plot(
        risk.coverage,
        risk.risk,
        color=BLUE,
        marker="o",
        markersize=3.5,
        label="wrong among them, with 95 % interval",
    )
    axes.axhline(
        risk.risk[-1], color=GRAY, linestyle="--", label="wrong among all: no sorting"
    )
    axes.set(xlim=(0, 1.02), ylim=(0, max(0.02, 1.15 * float(risk.high.max()))))
    _in_percent(axes, "galaxies named, the surest first", "of them named wrong")
    axes.legend(loc="upper left", frameon=False, fontsize=9)
    return figure


def per_class_f1(metrics: Metrics) -> Figure:
    """Draw the F1 of each class with its interval.

    Parameters
    ----------
    metrics : Metrics
        What `dmagnet.judging.score` returned.

    Returns
    -------
    Figure
        One row per class, the mean over classes as a line.
    """
    scores = metrics.per_class
    figure, (axes,) = panels_of(1, 1, (6.6, 1.2 + 0.36 * len(scores)))
    f1 = np.array([entry.f1 for entry in scores])
    ends = np.array([entry.f1_interval for entry in scores])
    rows = np.arange(len(scores))
    axes.hlines(rows, ends[:, 0], ends[:, 1], color=BLUE, linewidth=2, alpha=0.6)
    axes.plot(f1, rows, "o", color=BLUE, label="F1, with 95 % interval")
    axes.axvline(
        metrics.macro_f1, color=VERMILION, linestyle="--", label="mean of the classes"
    )
    axes.set_yticks(rows, [f"{entry.name} ({entry.support})" for entry in scores])
    axes.set(xlim=(0, 1.02), ylim=(len(scores) - 0.5, -0.5))
    axes.set_xlabel("F1 (1 = every galaxy of the class found, no other taken for it)")
    axes.grid(axis="x", alpha=0.25)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return figure


def training_curves(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw how training went: losses on the left, scores on the right.

    Parameters
    ----------
    history : sequence of mapping
        Rows as of a CSV file. ``epoch`` (else ``step``, else the row's number) is
        the axis; columns with "loss" in the name are losses, those with "acc",
        "f1" or "top" are scores, others are not drawn; empty cells are skipped.

    Returns
    -------
    Figure
        One panel, or two where there are both.

    Raises
    ------
    DataError
        If no column can be drawn.
    """
    columns = list(dict.fromkeys(name for row in history for name in row))
    losses = [name for name in columns if re.search("loss|nll", name)]
    scores = [name for name in columns if re.search("acc|f1|top", name)]
    panels = [group for group in (losses, scores) if group]
    if not panels:
        raise DataError(
            "history: expected a column with loss, acc or f1 in its name, got "
            f"{', '.join(columns) or 'no columns'}"
        )
    axis = next((name for name in ("epoch", "step") if name in columns), None)
    figure, grid = panels_of(len(panels), 2, (4.6, 3.4))
    for axes, group in zip(grid, panels, strict=True):
        for index, name in enumerate(group):
            x, y = _column(history, name, axis)
            axes.plot(
                x,
                y,
                color=SERIES[index % len(SERIES)],
                linestyle=DASHES[index % len(DASHES)],
                marker="o" if len(x) < 3 else None,
                label=re.sub(r"[/_]+", " ", name),
            )
        axes.set_xlabel(axis or "row")
        axes.set_ylabel("loss (lower is better)" if group is losses else "score")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.legend(frameon=False, fontsize=9)
    return figure


def redream_passes(
    sides: Sequence[int],
    scores: AnyFloats,
    residuals: AnyFloats,
    names: Sequence[str],
    *,
    control: AnyFloats | None = None,
) -> Figure:
    """Draw scores (1 + P, N) and residuals (P, N) of N galaxies from pass to pass.

    ``control`` (P, N) are the residuals of steps at random.
    """
    wanted = (len(sides) + 1, len(names)), (len(sides), len(names))
    if (scores.shape, residuals.shape) != wanted:
        raise DataError(
            f"expected scores {wanted[0]} and residuals {wanted[1]}, got "
            f"{scores.shape} and {residuals.shape}"
        )
    figure, (left, right) = panels_of(2, 2, (4.6, 3.6))
    for index, name in enumerate(names):
        style: dict[str, Any] = {
            "color": SERIES[index % len(SERIES)],
            "linestyle": DASHES[index // len(SERIES) % len(DASHES)],
            "marker": "o",
            "markersize": 4,
        }
        left.plot(range(len(sides) + 1), scores[:, index], label=name, **style)
        right.plot(range(1, len(sides) + 1), residuals[:, index], **style)
    if control is not None:
        drift = range(1, len(sides) + 1), control.mean(axis=1)
        right.plot(*drift, color=GRAY, linestyle=":", label="steps at random")
        right.legend(frameon=False, fontsize=8)
    places = [f"{side} px" for side in sides]
    left.set_xticks(range(len(sides) + 1), ["galaxy", *places])
    left.set_ylabel("score")
    right.set_xticks(range(1, len(sides) + 1), places)
    right.set(xlim=(0.5, len(sides) + 0.5), ylim=(0, None))
    right.set_ylabel("change of the detail / detail before")
    right.axhline(0, color=GRAY, linewidth=0.8)
    for axes in (left, right):
        axes.set_xlabel("pass, by its side")
        axes.grid(axis="y", alpha=0.25)
        axes.yaxis.set_major_locator(MaxNLocator(6))
    if 1 < len(names) <= MANY_LINES:
        left.legend(frameon=False, fontsize=8)
    return figure


def panels_of(
    panels: int, columns: int, panel: tuple[float, float]
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
        axes.spines[["top", "right"]].set_visible(False)  # they say nothing
        axes.set_axisbelow(True)
    return figure, grid[:panels]


def _in_percent(axes: Axes, across: str, up: str) -> None:
    """Draw a share against another."""
    axes.set(xlabel=across, ylabel=up)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.25)


def _column(
    history: Sequence[Mapping[str, Any]], name: str, axis: str | None
) -> tuple[list[float], list[float]]:
    """Return the axis and the filled cells of one column."""
    points = [
        (float(row[axis]) if axis else float(index), float(row[name]))
        for index, row in enumerate(history)
        if row.get(name) not in ("", None)
        and (not axis or row.get(axis) not in ("", None))
    ]
    return [x for x, _ in points], [y for _, y in points]
