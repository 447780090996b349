"""The files of a page, made when they are asked for, and never from a path."""

import io
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image

from dmagnet import __version__
from dmagnet.app.answers import VIEW_PX, DreamAnswer, Galaxy
from dmagnet.app.sessions import Session
from dmagnet.app.thumbnails import laid_over
from dmagnet.app.work import Work
from dmagnet.classifying.table import write_table
from dmagnet.classifying.table_columns import about_of, rows_of
from dmagnet.config.classify_config import ClassifyConfig
from dmagnet.dreaming.sheets import to_bytes
from dmagnet.explaining.explanation import maps_hdus
from dmagnet.figures.overlays import detail_picture
from dmagnet.pictures.cutout import Cutout, moved_wcs
from dmagnet.pictures.image import rgb_hdu
from dmagnet.reporting.galaxy_page import render_portrait
from dmagnet.reporting.galaxy_record import Dreamt

Links = list[tuple[str, list[Mapping[str, str]]]]

TABLES = ("csv", "ecsv", "fits", "vot")
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "ecsv": "text/plain; charset=utf-8",
    "vot": "application/x-votable+xml",
    "fits": "application/fits",
    "png": "image/png",
    "html": "text/html; charset=utf-8",
}
NAME = re.compile(r"galaxy(\d{1,9})-([a-z0-9_.-]{1,60})\.([a-z]{3,4})")


def file_of(session: Session, work: Work, name: str) -> tuple[bytes, str] | None:
    """Make a file of a page."""
    match = NAME.fullmatch(name)
    number = int(match[1]) if match else 0
    galaxy = session.galaxies.get(number)
    if match is None or galaxy is None:
        return None
    make = _makers(session, work, number, galaxy).get((match[2], match[3]))
    return None if make is None else (make(), TYPES[match[3]])


def links_of(session: Session, work: Work, number: int) -> Links:
    """Name the files of a galaxy."""
    galaxy = session.galaxies[number]
    groups: dict[str, list[Mapping[str, str]]] = {}
    for what, ending in _makers(session, work, number, galaxy):
        group, text, note = _told(what, ending, galaxy)
        name = f"galaxy{number}-{what}.{ending}"  # as `NAME` reads it
        href = f"results/{session.token}/{name}"
        link = {"href": href, "name": name, "text": text, "note": note}
        groups.setdefault(group, []).append(link)
    return list(groups.items())


def _makers(
    session: Session, work: Work, number: int, galaxy: Galaxy
) -> dict[tuple[str, str], Callable[[], bytes]]:
    """List what can be made of a galaxy: its name and its ending, and how."""
    dreams = session.dreams.get(number, ())
    found: dict[tuple[str, str], Callable[[], bytes]] = {}
    found["page", "html"] = lambda: page_of(galaxy, dreams, work)
    every = [session.galaxies[n] for n in sorted(session.galaxies)]
    for ending in TABLES:
        found["table", ending] = lambda e=ending: table_of(every, work, e)  # type: ignore[misc]
    found["view", "png"] = lambda: _png(galaxy.view)
    explained = session.explained.get(number)
    if explained is not None:
        for method, values in explained.maps.items():
            found[method, "png"] = lambda v=values: _png(laid_over(galaxy.view, v))  # type: ignore[misc]
        found["maps", "fits"] = lambda: _fits(
            maps_hdus(explained, work.checkpoint.weights_hash)
        )
    for one in dreams:
        slug = one.target.slug
        found[f"dream-{slug}", "png"] = lambda o=one: _png(to_bytes(o.image))  # type: ignore[misc]
        found[f"detail-{slug}", "png"] = lambda o=one: _png(_detail(o))  # type: ignore[misc]
        found[f"dream-{slug}", "fits"] = lambda o=one: dream_of(o, galaxy, work)  # type: ignore[misc]
    return found


def _told(what: str, ending: str, galaxy: Galaxy) -> tuple[str, str, str]:
    """Describe a file: its group, its name, and a note."""
    where = "with its place on the sky" if galaxy.wcs is not None else ""
    kind = ending.upper()
    if what == "page":
        note = "class, reasons and dreams in one file, to mail or print"
        return "Page to share", kind, note
    if what == "table":
        names, note = (
            {"vot": "VOTable"},
            "all galaxies, as dmagnet classify writes them",
        )
        return "Table", names.get(ending, kind), note
    if what == "view":
        return "Picture", kind, "as the network sees it"
    if what == "maps":
        return "Maps", f"all, {kind}", where
    if what.startswith(("dream-", "detail-")):
        kind_of, _, slug = what.partition("-")
        return "Dreams", f"{kind_of} {slug}, {kind}", where if ending == "fits" else ""
    return "Maps", f"{what.replace('_', ' ')}, {kind}", "over the galaxy"


def page_of(galaxy: Galaxy, dreams: Iterable[DreamAnswer], work: Work) -> bytes:
    """Write the page that ``dmagnet page`` writes, with what was dreamed here."""
    dreamt = tuple(
        Dreamt(one.target.name, to_bytes(one.image), _detail(one), one.after)
        for one in dreams
    )
    return render_portrait(replace(work.portrait(galaxy), dreams=dreamt)).encode()


def table_of(galaxies: Iterable[Galaxy], work: Work, ending: str) -> bytes:
    """Write rows of galaxies, as ``dmagnet classify`` does."""
    about = about_of(ClassifyConfig(), work.classifier)
    rows = [rows_of([each.item], each.judgement, about) for each in galaxies]
    with tempfile.TemporaryDirectory(prefix="dmagnet-") as scratch:
        path = Path(scratch) / f"row.{ending}"
        return write_table(path, lambda: iter(rows), about).read_bytes()


def dream_of(one: DreamAnswer, galaxy: Galaxy, work: Work) -> bytes:
    """Write a dream, and what it added, as FITS."""
    side = one.image.shape[-1]
    wcs = None
    if galaxy.wcs is not None:
        wcs = moved_wcs(galaxy.wcs, (0.0, 0.0), (side / VIEW_PX, side / VIEW_PX))
    hdus = []
    for name, image in (("PRIMARY", one.image), ("DETAIL", one.image - one.start)):
        rgb = image.cpu().permute(1, 2, 0).contiguous().numpy()
        hdu = rgb_hdu(Cutout(rgb, wcs), name)
        hdu.header["TARGET"] = (one.target.slug, "layer or class that was dreamed")
        hdu.header["STEPS"] = (one.config.steps, "on each octave")
        hdu.header["DONE"] = (one.share, "share of all steps; 1 unless canceled")
        hdu.header["SEED"] = one.config.seed
        start = work.checkpoint.weights_hash[:16]
        hdu.header["WEIGHTS"] = (start, "first of the SHA-256 of the weights")
        hdu.header["CREATOR"] = f"dmagnet {__version__}"
        hdus.append(hdu)
    return _fits(fits.HDUList(hdus))


def _detail(one: DreamAnswer) -> NDArray[np.uint8]:
    return detail_picture((one.image - one.start).cpu().numpy())


def _fits(hdus: fits.HDUList) -> bytes:
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    return buffer.getvalue()


def _png(rgb: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, "PNG")
    return buffer.getvalue()
