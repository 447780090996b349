"""The files of a page, made when they are asked for, and never from a path."""

import io
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy.io import fits
from PIL import Image

from dmagnet.app.answers import DreamAnswer, Galaxy, laid_over
from dmagnet.app.sessions import Session
from dmagnet.app.work import Work
from dmagnet.classifying.table import write_table
from dmagnet.classifying.table_columns import about_of, rows_of
from dmagnet.config.classify_config import ClassifyConfig
from dmagnet.dreaming.entries import dream_hdus
from dmagnet.explaining.explanation import Explanation, maps_hdus
from dmagnet.reporting.galaxy_page import render_portrait
from dmagnet.reporting.galaxy_record import Dreamt
from dmagnet.storage.arrays import Pixels, Singles

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
NAME = re.compile(r"galaxy(\d{1,9})-([a-z0-9_.-]{1,60}\.([a-z]{3,4}))")


class File(NamedTuple):
    """A file that can be made of a galaxy, and how it is offered."""

    group: str
    text: str
    note: str
    make: Callable[[], bytes]


def file_of(session: Session, work: Work, name: str) -> tuple[bytes, str] | None:
    """Make a file of a page."""
    match = NAME.fullmatch(name)
    number = int(match[1]) if match else 0
    galaxy = session.galaxies.get(number)
    if match is None or galaxy is None:
        return None
    file = _files(session, work, number, galaxy).get(match[2])
    return None if file is None else (file.make(), TYPES[match[3]])


def links_of(session: Session, work: Work, number: int) -> Links:
    """Name the files of a galaxy."""
    groups: dict[str, list[Mapping[str, str]]] = {}
    files = _files(session, work, number, session.galaxies[number])
    for ending, file in files.items():
        name = f"galaxy{number}-{ending}"  # as `NAME` reads it
        href = f"results/{session.token}/{name}"
        link = {"href": href, "name": name, "text": file.text, "note": file.note}
        groups.setdefault(file.group, []).append(link)
    return list(groups.items())


def _files(
    session: Session, work: Work, number: int, galaxy: Galaxy
) -> dict[str, File]:
    """List what can be made of a galaxy, by how the names end."""
    found: dict[str, File] = {}

    def _offer(name: str, group: str, text: str, note: str, *make: Any) -> None:
        call, *of = make
        found[name] = File(group, text, note, partial(call, *of))

    dreams = session.dreams.get(number, ())
    where = "with its place on the sky" if galaxy.wcs is not None else ""
    note = "class, reasons and dreams in one file, to mail or print"
    _offer("page.html", "Page to share", "HTML", note, page_of, galaxy, dreams, work)
    every = [session.galaxies[n] for n in sorted(session.galaxies)]
    note = "all galaxies, as dmagnet classify writes them"
    for end in TABLES:
        kind = "VOTable" if end == "vot" else end.upper()
        _offer(f"table.{end}", "Table", kind, note, table_of, every, work, end)
    _offer("view.png", "Picture", "PNG", "as the network sees it", _png, galaxy.view)
    explained = session.explained.get(number)
    for method, values in explained.maps.items() if explained else ():
        text, note = f"{method.replace('_', ' ')}, PNG", "over the galaxy"
        _offer(f"{method}.png", "Maps", text, note, _laid_over, galaxy, values)
    if explained:
        _offer("maps.fits", "Maps", "all, FITS", where, _maps_of, explained, work)
    for one in dreams:
        slug, group = one.target.slug, "Dreams"
        for kind in ("dream", "detail"):
            text = f"{kind} {slug}, PNG"
            _offer(f"{kind}-{slug}.png", group, text, "", _dream_png, one, kind)
        text = f"dream {slug}, FITS"
        _offer(f"dream-{slug}.fits", group, text, where, dream_of, one, galaxy, work)
    return found


def page_of(galaxy: Galaxy, dreams: Iterable[DreamAnswer], work: Work) -> bytes:
    """Write the page that ``dmagnet page`` writes, with what was dreamed here."""
    dreamt = tuple(
        Dreamt(one.target.name, one.dream, one.detail, one.after) for one in dreams
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
    how = {
        "STEPS": (one.config.steps, "on each octave"),
        "DONE": (one.share, "share of all steps; 1 unless canceled"),
        "SEED": one.config.seed,
    }
    wcs, weights = galaxy.wcs_at(one.image.shape[-1]), work.checkpoint.weights_hash
    detail = one.image - one.start
    return _fits(dream_hdus(one.target, one.image, detail, wcs, weights, **how))


def _laid_over(galaxy: Galaxy, values: Singles) -> bytes:
    return _png(laid_over(galaxy.view, values))


def _maps_of(explained: Explanation, work: Work) -> bytes:
    return _fits(maps_hdus(explained, work.checkpoint.weights_hash))


def _dream_png(one: DreamAnswer, kind: str) -> bytes:
    return _png(getattr(one, kind))


def _fits(hdus: fits.HDUList) -> bytes:
    buffer = io.BytesIO()
    hdus.writeto(buffer)
    return buffer.getvalue()


def _png(rgb: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb)).save(buffer, "PNG")
    return buffer.getvalue()
