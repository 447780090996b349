"""Galaxies as pictures, plain and under the map of the Local Attention Module."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from PIL import Image

from dmagnet.errors import DataError
from dmagnet.pictures.places import on_pixels

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

INK = "#222222"
# Blue and orange are apart for all common forms of color blindness; what is neutral
# keeps its gray, so that dark sky stays dark.
DOWN, NEUTRAL, UP = "#3d9bff", "#161616", "#ff9416"
TITLE_LETTERS = 21  # in the width of one picture, at 11 points
STRENGTH = 0.75  # opacity of the full color: the galaxy shows through


def galaxy_grid(
    images: Bytes, captions: Sequence[str], *, num_columns: int = 5, title: str = ""
) -> Figure:
    """Lay out galaxies in rows, each under its caption.

    Parameters
    ----------
    images : (N, H, W, 3) uint8
        One or more pictures.
    captions : sequence of str
        One per picture; short lines.
    num_columns : int
        Pictures a row.
    title : str
        One line above them all; where they are few, it is broken to their width.

    Returns
    -------
    Figure
        The pictures, first row first.

    Raises
    ------
    DataError
        If there is no picture, or not one caption for each.
    """
    _check_captions(images, captions)
    columns = min(num_columns, len(images))
    rows = -(-len(images) // columns)
    lines = max(caption.count("\n") + 1 for caption in captions)
    above = wrap(title, TITLE_LETTERS * columns)
    figure = Figure(
        figsize=(2.0 * columns, rows * (2.0 + 0.18 * lines) + 0.22 * len(above)),
        layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06),
    )
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, image, caption in zip(grid, images, captions, strict=False):
        axes.imshow(image)
        axes.set_title(caption, fontsize=9, color=INK)
    if above:
        figure.suptitle("\n".join(above), fontsize=11, color=INK)
    return figure


def lam_maps(images: Bytes, masks: Floats, captions: Sequence[str]) -> Figure:
    """Show beside each galaxy where the Local Attention Module turned it up or down.

    Parameters
    ----------
    images : (N, H, W, 3) uint8
        One or more pictures.
    masks : (N, h, w) float
        The factor of the Local Attention Module at each place: 0.5 to 1.5, 1 neutral.
    captions : sequence of str
        One per picture.

    Returns
    -------
    Figure
        Pairs of pictures, two pairs a row, over one color bar.

    Raises
    ------
    DataError
        If there is no picture, or not one mask and caption for each.
    """
    _check_captions(images, captions)
    reach = lam_reach(masks)
    pairs = min(2, len(images))
    rows = -(-len(images) // pairs)
    figure = Figure(
        figsize=(4.3 * pairs, 2.35 * rows + 0.7),
        layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06),
    )
    grid = figure.subplots(rows, 2 * pairs, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    cells = grid.reshape(rows * pairs, 2)
    for (left, right), image, mask, caption in zip(
        cells, images, masks, captions, strict=False
    ):
        left.imshow(image)
        left.set_title(caption, fontsize=9, color=INK, loc="left")
        right.imshow(lam_overlay(image, mask, reach))
    _lam_bar(figure, grid, reach)
    return figure


def lam_reach(masks: Floats) -> float:
    """Return how far from 1 the color scale has to go.

    Parameters
    ----------
    masks : (..., h, w) float
        All factors that are to share one scale.

    Returns
    -------
    float
        The largest distance from 1, between 0.05 and 0.5, rounded up to 0.05.
    """
    farthest = float(np.abs(np.asarray(masks) - 1).max())
    return float(np.clip(np.ceil(farthest / 0.05 - 1e-6) * 0.05, 0.05, 0.5))


def lam_overlay(image: Bytes, mask: Floats, reach: float) -> Bytes:
    """Color a galaxy where it is turned up (orange) or down (blue).

    Parameters
    ----------
    image : (H, W, 3) uint8
        The galaxy; it is shown in gray.
    mask : (h, w) float
        The factor at each place, 1 = neutral.
    reach : float
        Distance from 1 that has the full color, as `lam_reach` gives it.

    Returns
    -------
    (H, W, 3) uint8
        The gray galaxy, colored the more the farther the factor is from 1.
    """
    height, width = image.shape[:2]
    factor = on_pixels(mask, (height, width))
    signed = np.clip((factor - 1) / reach, -1, 1)
    color = np.where(signed[..., None] > 0, to_rgb(UP), to_rgb(DOWN))
    gray = np.asarray(Image.fromarray(image).convert("L"))[..., None] / 255
    opacity = STRENGTH * np.abs(signed)[..., None]
    mixed = (1 - opacity) * gray + opacity * color
    return np.asarray((mixed * 255).round(), dtype=np.uint8)


def lam_scale(reach: float) -> Figure:
    """Draw the color bar of `lam_overlay` alone.

    Parameters
    ----------
    reach : float
        As `lam_reach` gives it.

    Returns
    -------
    Figure
        A horizontal bar with its numbers.
    """
    figure = Figure(
        figsize=(5.2, 0.85), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06)
    )
    axes = figure.subplots()
    _lam_bar(figure, None, reach, axes)
    return figure


def _lam_bar(figure: Figure, beside: Any, reach: float, axes: Any = None) -> None:
    """Draw the color bar of the maps with its numbers below it."""
    bar = figure.colorbar(
        ScalarMappable(Normalize(1 - reach, 1 + reach), _lam_colors()),
        ax=beside,
        cax=axes,
        location="bottom",
        aspect=40,
        shrink=0.8 if axes is None else 1,
    )
    bar.set_label("factor: below 1 turned down, 1 left alone, above 1 turned up")
    bar.set_ticks([1 - reach, 1 - reach / 2, 1, 1 + reach / 2, 1 + reach])
    bar.outline.set_visible(False)


def _lam_colors() -> LinearSegmentedColormap:
    """Return the colors that dark sky takes on under the map."""
    sky = np.array(to_rgb(NEUTRAL))
    ends = [sky + STRENGTH * (np.array(to_rgb(end)) - sky) for end in (DOWN, UP)]
    return LinearSegmentedColormap.from_list("lam", [ends[0], sky, ends[1]])


def _check_captions(images: Bytes, captions: Sequence[str]) -> None:
    if not len(images) or len(images) != len(captions):
        raise DataError(
            f"captions: expected one for each of one or more pictures, got "
            f"{len(captions)} for {len(images)}"
        )
