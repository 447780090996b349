"""The figures of `runs/trust.py`."""

from pathlib import Path

import numpy as np
from degrade import STRENGTHS
from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#6b6b6b"
MEASURES = {
    "accuracy": "accuracy",
    "coverage90": "90 % sets that hold the label",
    "ece": "ECE",
    "disagreement": "disagreement of views",
    "ood_share": "flagged",
}
LINES = (
    (BLUE, "-", "o"),
    (VERMILION, "--", "s"),
    (GREEN, "-.", "^"),
    ("#CC79A7", ":", "D"),
    ("#E69F00", (0, (5, 1)), "v"),
)


def draw(found: dict, out: Path) -> None:
    """Draw what `trust.json` holds."""
    for name, entry in found["degraded"].items():
        _degraded(entry, name).savefig(out / f"degraded_{name}.png", dpi=150)
    _strangers(found["ood"]).savefig(out / "ood.png", dpi=150)
    _halves(found["sets"]).savefig(out / "coverage.png", dpi=150)


def _degraded(entry: dict, name: str) -> Figure:
    figure = Figure(figsize=(11, 3.1), layout="constrained")
    panels = figure.subplots(1, len(STRENGTHS), sharey=True)
    for axes, (kind, strengths) in zip(panels, STRENGTHS.items(), strict=True):
        rows = [*entry["clean"], *entry[kind]]
        for (key, label), (color, dashes, marker) in zip(
            MEASURES.items(), LINES, strict=True
        ):
            axes.plot(
                range(len(rows)),
                [row[key] for row in rows],
                color=color,
                linestyle=dashes,
                marker=marker,
                markersize=4,
                label=label if axes is panels[0] else None,
            )
        axes.axhline(0.9, color=GRAY, linewidth=0.7)
        axes.set_xticks(range(len(rows)), ["clean", *map(str, strengths)])
        axes.set_title(kind, fontsize=10)
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(name)
    figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def _strangers(ood: dict) -> Figure:
    methods = [name for name in ood if name != "flagged"]
    kinds = list(ood["space"])
    figure = Figure(figsize=(8, 0.5 + 0.45 * len(kinds)), layout="constrained")
    axes = figure.subplots()
    colors = (BLUE, VERMILION, GREEN, "#CC79A7", "#E69F00", "#56B4E9", GRAY)
    for i, (method, color) in enumerate(zip(methods, colors, strict=True)):
        rows = np.arange(len(kinds)) + (i - len(methods) / 2) * 0.1
        values = [ood[method][kind]["auroc"] for kind in kinds]
        ends = np.array([ood[method][kind]["interval"] for kind in kinds])
        axes.hlines(rows, ends[:, 0], ends[:, 1], color=color, alpha=0.5)
        marker = "o" if i == 0 else "|"
        label = "shipped" if i == 0 else method
        axes.plot(values, rows, marker, color=color, label=label)
    axes.axvline(0.9, color=GRAY, linewidth=0.7)
    axes.set_yticks(range(len(kinds)), kinds)
    axes.invert_yaxis()
    axes.set_xlabel("AUROC against galaxies, with 95 % interval")
    axes.grid(axis="x", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    return figure


def _halves(sets: dict) -> Figure:
    figure = Figure(figsize=(6.4, 1.2 + 0.7 * len(sets)), layout="constrained")
    axes = figure.subplots()
    kinds = (("bare", BLUE, "as in the theorem"), ("shipped", VERMILION, "never empty"))
    for i, entry in enumerate(sets.values()):
        for shift, (kind, color, label) in zip((-0.12, 0.12), kinds, strict=True):
            for level, marker in ((90, "o"), (95, "s")):
                h = entry["halves"][f"coverage{level}_{kind}"]
                axes.hlines(i + shift, h["q05"], h["q95"], color=color, alpha=0.5)
                axes.plot(
                    h["mean"],
                    i + shift,
                    marker,
                    color=color,
                    label=f"{level} %, {label}" if i == 0 else None,
                )
    axes.axvspan(0.87, 0.93, color=GRAY, alpha=0.12)
    axes.axvline(0.95, color=GRAY, linewidth=0.7)
    axes.set_yticks(range(len(sets)), sets)
    axes.set_ylim(len(sets) - 0.5, -0.5)
    axes.set_xlabel("label in the set, calibrated on the other half (5 to 95 % of 100)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=9)
    return figure
