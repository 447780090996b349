"""Galaxies as pictures: plain, under maps, and what a dream added."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from dmagnet.errors import DataError
from dmagnet.pictures.places import on_pixels
from dmagnet.storage.arrays import AnyFloats, Pixels

INK = "#222222"
# Blue and orange are apart for all common forms of color blindness; what is neutral
# keeps its gray, so that dark sky stays dark.
DOWN, NEUTRAL, UP = "#3d9bff", "#161616", "#ff9416"
TITLE_LETTERS = 21  # in the width of one picture, at 11 points
FULL = 0.995  # share of the places that stay below the full color of a map
PAD = 0.06  # inches around each picture
DOUBLINGS = 3  # of an even share of attention, up and down, have the full color
STRENGTH = 0.75  # opacity of the full color: the galaxy shows through


def galaxy_grid(
    images: Pixels, captions: Sequence[str], *, num_columns: int = 5, title: str = ""
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
    lines = max(caption.count("\n") + 1 for caption in captions)
    inches = 2.0, 2.0 + 0.18 * lines, 0.22
    return _pictures(images, captions, num_columns, title, inches)


def lam_maps(images: Pixels, masks: AnyFloats, captions: Sequence[str]) -> Figure:
    """Show beside each galaxy where the Local Attention Module turned it up or down.

    Parameters
    ----------
    images : (N, H, W, 3) uint8
        One or more pictures.
    masks : (N, h, w) float
        The factor of the Local Attention Module at each place: above 0, of mean 1.
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
    pairs = min(2, len(images))
    rows = -(-len(images) // pairs)
    figure, grid = _frames(rows, 2 * pairs, 4.3 * pairs, 2.35 * rows + 0.7)
    cells = grid.reshape(rows * pairs, 2)
    for (left, right), image, mask, caption in zip(
        cells, images, masks, captions, strict=False
    ):
        left.imshow(image)
        left.set_title(caption, fontsize=9, color=INK, loc="left")
        right.imshow(lam_overlay(image, mask))
    _lam_bar(figure, grid)
    return figure


def lam_overlay(image: Pixels, mask: AnyFloats) -> Pixels:
    """Color a galaxy (H, W, 3) where factors (h, w) are above 1 (orange) or below."""
    height, width = image.shape[:2]
    factors = on_pixels(np.maximum(mask, 2.0**-DOUBLINGS), (height, width))
    return _tinted(image, np.clip(np.log2(factors) / DOUBLINGS, -1, 1))


def lam_scale() -> Figure:
    """Draw the color bar of `lam_overlay` alone."""
    figure = Figure(
        figsize=(5.2, 0.85), layout=ConstrainedLayoutEngine(w_pad=PAD, h_pad=PAD)
    )
    _lam_bar(figure, None, figure.subplots())
    return figure


def overlay(rgb: Pixels, values: AnyFloats, *, reach: float | None = None) -> Pixels:
    """Color a galaxy where a map (S, S) is above zero (orange) or below (blue)."""
    values = np.asarray(values, np.float64)
    if values.shape != rgb.shape[:2]:
        raise DataError(
            f"map: expected the form of the picture, {rgb.shape[:2]}, got "
            f"{values.shape}; enlarge it first"
        )
    if not np.isfinite(values).all():
        raise DataError("map: expected finite values, got NaN or infinity")
    full = reach_of(values) if reach is None else reach
    signed = np.clip(values / full, -1, 1) if full > 0 else np.zeros_like(values)
    return _tinted(rgb, signed)


def reach_of(values: AnyFloats) -> float:
    """Return the 99.5 % quantile of the sizes of maps, which has the full color."""
    return float(np.quantile(np.abs(values), FULL))


def evidence_figure(
    rgb: Pixels, maps: Mapping[str, AnyFloats], *, title: str = ""
) -> Figure:
    """Show a galaxy, and beside it every map of it, each with its own color scale."""
    names = [name.replace("_", " ").replace("lam", "attention") for name in maps]
    pictures = [rgb, *(overlay(rgb, values) for values in maps.values())]
    return _pictures(pictures, ["galaxy", *names], 4, title, (2.3, 2.5, 0.3))


def detail_reach(detail: AnyFloats) -> float:
    """Return what 99.5 % of a detail's changes of brightness stay below."""
    return float(np.quantile(np.abs(detail.mean(axis=0)), FULL))


def detail_picture(detail: AnyFloats) -> Pixels:
    """Show what a dream (3, H, W) added: orange is brighter, blue is darker."""
    brightness = detail.mean(axis=0)
    reach = detail_reach(detail) or 1.0  # no change at all is black
    shares = 0.5 + 0.5 * np.clip(brightness / reach, -1, 1)
    colors = LinearSegmentedColormap.from_list("detail", [DOWN, NEUTRAL, UP])(shares)
    return np.asarray((colors[..., :3] * 255).round(), np.uint8)


def _lam_bar(figure: Figure, beside: Any, axes: Any = None) -> None:
    """Draw the color bar of the maps with its numbers below it."""
    bar = figure.colorbar(
        ScalarMappable(Normalize(-DOUBLINGS, DOUBLINGS), _lam_colors()),
        ax=beside,
        cax=axes,
        location="bottom",
        aspect=40,
        shrink=0.8 if axes is None else 1,
    )
    bar.set_label("attention: 1 is an even share, blue is less, orange is more")
    steps = range(-DOUBLINGS, DOUBLINGS + 1)
    bar.set_ticks(list(steps), labels=[f"{2.0**k:g}" for k in steps])
    bar.outline.set_visible(False)


def _lam_colors() -> LinearSegmentedColormap:
    """Return the colors that dark sky takes on under the map."""
    sky = np.array(to_rgb(NEUTRAL))
    ends = [sky + STRENGTH * (np.array(to_rgb(end)) - sky) for end in (DOWN, UP)]
    return LinearSegmentedColormap.from_list("lam", [ends[0], sky, ends[1]])


def _tinted(rgb: Pixels, signed: AnyFloats) -> Pixels:
    """Color a gray galaxy by a map of its size from -1 (blue) to 1 (orange)."""
    color = np.where(signed[..., None] > 0, to_rgb(UP), to_rgb(DOWN))
    gray = np.asarray(Image.fromarray(rgb).convert("L"))[..., None] / 255
    opacity = STRENGTH * np.abs(signed)[..., None]
    mixed = (1 - opacity) * gray + opacity * color
    return np.asarray((mixed * 255).round(), dtype=np.uint8)


def _frames(rows: int, columns: int, width: float, height: float) -> tuple[Figure, Any]:
    """Lay out rows and columns of pictures in a figure; sizes in inches."""
    figure = Figure(
        figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=PAD, h_pad=PAD)
    )
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    return figure, grid


def _pictures(
    images: Sequence[Pixels] | Pixels,
    captions: Sequence[str],
    columns: int,
    title: str,
    inches: tuple[float, float, float],
) -> Figure:
    """Lay out pictures under captions; inches of one, and of a line of title."""
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    above = wrap(title, TITLE_LETTERS * columns)
    across, down, line = inches
    height = down * rows + line * len(above)
    figure, grid = _frames(rows, columns, across * columns, height)
    for axes, image, caption in zip(grid.flat, images, captions, strict=False):
        axes.imshow(image)
        axes.set_title(caption, fontsize=9, color=INK)
    if above:  # names of files are no formulas
        figure.suptitle("\n".join(above), fontsize=11, color=INK, parse_math=False)
    return figure


def _check_captions(images: Pixels, captions: Sequence[str]) -> None:
    if not len(images) or len(images) != len(captions):
        raise DataError(
            f"captions: expected one for each of one or more pictures, got "
            f"{len(captions)} for {len(images)}"
        )
