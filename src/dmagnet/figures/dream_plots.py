"""What dreams add, and how re-dreams settle."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from dmagnet.errors import DataError
from dmagnet.figures.attention_maps import DOWN, NEUTRAL, UP
from dmagnet.figures.plots import DASHES, GRAY, SERIES

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

REACH_SHARE = 0.995  # of the pixels lie inside the color scale
MANY_LINES = 8  # from here on a legend hides more than it tells


def detail_reach(detail: Floats) -> float:
    """Return how far from zero the color scale of a detail goes.

    Parameters
    ----------
    detail : (3, H, W) float in [-1, 1]
        Dream minus galaxy.

    Returns
    -------
    float
        99.5 % of the pixels' changes of brightness are smaller.
    """
    return float(np.quantile(np.abs(detail.mean(axis=0)), REACH_SHARE))


def detail_picture(detail: Floats) -> Bytes:
    """Show what a dream added: orange where it is brighter, blue where darker.

    Parameters
    ----------
    detail : (3, H, W) float in [-1, 1]
        Dream minus galaxy.

    Returns
    -------
    (H, W, 3) uint8
        The change of brightness (mean of the colors), black where there is none; full
        color at `detail_reach`.
    """
    brightness = detail.mean(axis=0)
    reach = detail_reach(detail) or 1.0  # no change at all is black
    shares = 0.5 + 0.5 * np.clip(brightness / reach, -1, 1)
    colors = LinearSegmentedColormap.from_list("detail", [DOWN, NEUTRAL, UP])(shares)
    return np.asarray((colors[..., :3] * 255).round(), np.uint8)


def redream_passes(
    sides: Sequence[int], scores: Floats, residuals: Floats, names: Sequence[str]
) -> Figure:
    """Draw how score and residual go from pass to pass.

    Parameters
    ----------
    sides : sequence of int
        Side of each of the P passes, in px.
    scores : (1 + P, N) float
        Of the galaxies and after each pass.
    residuals : (P, N) float
        Change of the detail in each pass over the detail before; NaN in the first.
    names : sequence of str
        Of the N galaxies.

    Returns
    -------
    Figure
        Two panels over the passes, one line a galaxy.

    Raises
    ------
    DataError
        If there is not one score and one residual for each pass and galaxy.
    """
    if scores.shape != (len(sides) + 1, len(names)) or residuals.shape != (
        len(sides),
        len(names),
    ):
        raise DataError(
            f"expected scores ({len(sides) + 1}, {len(names)}) and residuals "
            f"({len(sides)}, {len(names)}), got {scores.shape} and {residuals.shape}"
        )
    figure = Figure(figsize=(9.2, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for index, name in enumerate(names):
        style = {
            "color": SERIES[index % len(SERIES)],
            "linestyle": DASHES[index // len(SERIES) % len(DASHES)],
            "marker": "o",
            "markersize": 4,
        }
        left.plot(range(len(sides) + 1), scores[:, index], label=name, **style)
        right.plot(range(1, len(sides) + 1), residuals[:, index], **style)
    left.set_xticks(
        range(len(sides) + 1), ["galaxy", *(f"{side} px" for side in sides)]
    )
    left.set_ylabel("score")
    right.set_xticks(range(1, len(sides) + 1), [f"{side} px" for side in sides])
    right.set_xlim(0.5, len(sides) + 0.5)
    right.set_ylim(0, None)
    right.set_ylabel("change of the detail / detail before")
    right.axhline(0, color=GRAY, linewidth=0.8)
    for axes in (left, right):
        axes.set_xlabel("pass, by its side")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        axes.yaxis.set_major_locator(MaxNLocator(6))
    if 1 < len(names) <= MANY_LINES:
        left.legend(frameon=False, fontsize=8)
    return figure
