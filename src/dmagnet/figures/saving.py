"""A figure as a file, the same bytes for the same figure."""

import html
import io
from pathlib import Path

from matplotlib.figure import Figure

from dmagnet.pictures.raster import address_of
from dmagnet.storage.disk import write_whole

DPI = 160


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file's content, the same for the same figure.

    Parameters
    ----------
    figure : Figure
        Any of this module's figures.

    Returns
    -------
    bytes
        The file.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": "dmagnet"})
    return buffer.getvalue()


def inline(figure: Figure, words: str) -> str:
    """Return a figure below a line of words as HTML, as notebooks show it.

    Parameters
    ----------
    figure : Figure
        Any of this module's figures.
    words : str
        What it shows.

    Returns
    -------
    str
        A paragraph and a picture that needs no other file.
    """
    told, address = html.escape(words), address_of(to_png(figure), "png")
    return f'<p>{told}</p><img alt="{told}" style="max-width:100%" src="{address}">'


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, first beside its name and then under it.

    Parameters
    ----------
    figure : Figure
        Any of this module's figures.
    path : Path
        The file to write.

    Returns
    -------
    Path
        The file written.
    """
    write_whole(path, to_png(figure))
    return path
