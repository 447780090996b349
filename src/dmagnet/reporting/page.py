"""Pictures and text into one file that needs nothing else."""

import io
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image, UnidentifiedImageError

from dmagnet import figures
from dmagnet.errors import DataError
from dmagnet.pictures.raster import address_of, as_address
from dmagnet.storage.arrays import Pixels
from dmagnet.storage.disk import write_whole

MAX_BYTES = 10_000_000
SIDES = (320, 200, 128)  # px of galaxies: twice what the page shows, then less
SHEET_PX = 1400  # of the longer side of figures and sheets
JPEG_QUALITY = 90

Picture = dict[str, Any]


def chart(figure: figures.Figure, alt: str, **more: Any) -> Picture:
    """Put a figure into a page, with what else the template asks for."""
    content = figures.to_png(figure)
    width, height = Image.open(io.BytesIO(content)).size
    # More pixels than the screen's 96 an inch, for sharp screens and for paper.
    size = width * 96 // figures.DPI, height * 96 // figures.DPI
    return _picture(content, "png", size, alt, more)


def photo(image: Pixels, alt: str, side: int = SIDES[0], **more: Any) -> Picture:
    """Put a galaxy into a page, with what else the template asks for."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _jpeg(picture, alt, more)


def sheet(path: Path, alt: str, **more: Any) -> Picture | None:
    """Put a picture that lies in a run folder into a page."""
    try:
        with Image.open(path) as image:
            picture = image.convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return None
    picture.thumbnail((SHEET_PX, SHEET_PX), Image.Resampling.LANCZOS)
    return _jpeg(picture, alt, more)


def _jpeg(picture: Image.Image, alt: str, more: dict[str, Any]) -> Picture:
    buffer = io.BytesIO()
    # Full color resolution: bars and knots are told by their color.
    picture.save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
    return _picture(buffer.getvalue(), "jpeg", picture.size, alt, more)


def _picture(
    content: bytes, kind: str, size: tuple[int, int], alt: str, more: dict[str, Any]
) -> Picture:
    src, (width, height) = address_of(content, kind), size
    return {"src": src, "alt": alt, "width": width, "height": height, **more}


def render_page(template: str, values: Mapping[str, Any]) -> str:
    """Fill in a template."""
    return templates().get_template(template).render(**values)


def source_of(name: str) -> str:
    """Read a style or a script that lies beside the templates."""
    return (resources.files("dmagnet.reporting") / "templates" / name).read_text(
        "utf-8"
    )


@cache
def templates() -> Environment:
    """Open the templates of all pages; what is filled in is text, never markup."""
    environment = Environment(
        loader=PackageLoader("dmagnet.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "plain": plain_number, "sure": sure}
    environment.filters["address"] = as_address
    environment.globals["photo"] = photo
    return environment


def write_page(path: Path, render: Callable[[int], str]) -> Path:
    """Write a page of at most 10 MB, with smaller pictures where it has to be."""
    for side in SIDES:
        page = render(side).encode()
        if len(page) <= MAX_BYTES:
            break
    else:
        raise DataError(
            f"{path}: expected a page of at most {MAX_BYTES / 1e6:.0f} MB, got "
            f"{len(page) / 1e6:.1f} MB; show fewer examples"
        )
    write_whole(path, page)
    return path


def sure(share: float) -> str:
    """Round a confidence, but to no certainty that is not there."""
    return f"{100 * share:.0f} %" if share < 0.995 else "over 99 %"


def percent(share: float) -> str:
    """Write a share in percent."""
    return "none" if np.isnan(share) else f"{100 * share:.1f} %"


def plain_number(value: float) -> str:
    """Write a number with two digits."""
    return "none" if np.isnan(value) else f"{value:.2f}"
