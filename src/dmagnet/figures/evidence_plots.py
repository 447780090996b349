"""Evidence laid over a galaxy: orange speaks for a class, blue against it."""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray
from PIL import Image

from dmagnet.errors import DataError
from dmagnet.figures.attention_maps import DOWN, INK, STRENGTH, TITLE_LETTERS, UP

Floats = NDArray[np.floating[Any]]
Bytes = NDArray[np.uint8]

FULL = 0.995  # share of the places whose value stays below the full color


def overlay(rgb: Bytes, values: Floats, *, reach: float | None = None) -> Bytes:
    """Color a galaxy where a map is above (orange) or below (blue) zero.

    Parameters
    ----------
    rgb : (S, S, 3) uint8
        The galaxy; it is shown in gray, for galaxies are blue and orange themselves.
    values : (S, S) float
        The map; zero leaves the galaxy as it is.
    reach : float, optional
        Value that has the full color; the 99.5 % quantile of the map's sizes if not
        given.

    Returns
    -------
    (S, S, 3) uint8
        The gray galaxy, colored the more the farther the map is from zero.

    Raises
    ------
    DataError
        If the map has not the form of the picture, or is not finite.
    """
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
    color = np.where(signed[..., None] > 0, to_rgb(UP), to_rgb(DOWN))
    gray = np.asarray(Image.fromarray(rgb).convert("L"))[..., None] / 255
    opacity = STRENGTH * np.abs(signed)[..., None]
    mixed = (1 - opacity) * gray + opacity * color
    return np.asarray((mixed * 255).round(), dtype=np.uint8)


def reach_of(values: Floats) -> float:
    """Return the value that has the full color.

    Parameters
    ----------
    values : (..., S, S) float
        All maps that are to share one scale.

    Returns
    -------
    float
        The 99.5 % quantile of their sizes; 0 where there is nothing.
    """
    return float(np.quantile(np.abs(values), FULL))


def evidence_figure(
    rgb: Bytes,
    maps: Mapping[str, Floats],
    *,
    title: str = "",
    captions: Sequence[str] = (),
) -> Figure:
    """Show a galaxy, and beside it every map of it.

    Parameters
    ----------
    rgb : (S, S, 3) uint8
        The galaxy.
    maps : mapping of str to (S, S) float
        Maps by the name of their method.
    title : str
        One line above.
    captions : sequence of str
        One per map; the names of the methods if not given.

    Returns
    -------
    Figure
        Four pictures a row; each map has a color scale of its own.

    Raises
    ------
    DataError
        If captions and maps are not as many, or a map has another form.
    """
    names = list(captions) or [name.replace("_", " ") for name in maps]
    if len(names) != len(maps):
        raise DataError(f"captions: expected {len(maps)}, got {len(names)}")
    pictures = [rgb, *(overlay(rgb, values) for values in maps.values())]
    columns = min(4, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(
        figsize=(2.3 * columns, 2.5 * rows + 0.3),
        layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06),
    )
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, picture, name in zip(grid, pictures, ["galaxy", *names], strict=False):
        axes.imshow(picture)
        axes.set_title(name, fontsize=9, color=INK)
    if title:
        lines = "\n".join(wrap(title, TITLE_LETTERS * columns))
        # Names of files are no formulas.
        figure.suptitle(lines, fontsize=11, color=INK, parse_math=False)
    return figure
