"""A map of galaxies by their embeddings: one page, the most unusual galaxies first."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dmagnet.calibration.space import fit_space, nearest, spread
from dmagnet.classifying.embeddings import head_of, vectors_of
from dmagnet.config import ClassifyConfig, SourceConfig, from_dict
from dmagnet.errors import ConfigError, DataError
from dmagnet.figures.plots import SERIES
from dmagnet.pictures.inputs import Item, list_items, read_picture
from dmagnet.pictures.inputs.cutouts import fetched
from dmagnet.pictures.raster import as_address
from dmagnet.reporting.page import SIDES, render_page, source_of, write_page
from dmagnet.reporting.report_page import facts
from dmagnet.storage.arrays import Floats, Pixels, Singles
from dmagnet.storage.disk import make_way, refuse_replacing, says_so
from dmagnet.storage.environment import Announce, counter

LEAST, MOST = 8, 50_000  # galaxies on a page; a place in the order fits into 16 bits
NUM_UNUSUAL = 1000  # that are on the page, with a picture, for sure
NUM_PICTURES = 4000
NUM_CARDS = 21
NUM_ALIKE = 6
CELLS = 40  # a side of the map, from which further pictures are taken in turn
COLUMNS = 64  # of the sheet of pictures
TILE_PX, CARD_PX = 64, 128
QUALITY = 80  # of the sheet
LONGEST = 80  # characters of an id
TOP = 65_535
# The ground of the map is dark: there the two colors of Okabe & Ito that paper cannot
# show are seen too (yellow, and white for black), and two more that are far from these
# for the color-blind as well (Machado et al. 2009): ten classes, ten colors.
COLORS = (*SERIES, "#F0E442", "#E8EAEE", "#7B3FFF", "#D4FFAA")
MAP = ClassifyConfig()

Rows = NDArray[np.intp]
Pictures = dict[int, Pixels]
Inputs = str | Path | Sequence[str | Path]


@dataclass(frozen=True, eq=False)
class Map:
    """N galaxies in the order of the page, the most unusual first."""

    rows: Rows  # of the table
    ids: Sequence[str]
    places: NDArray[np.uint16]  # (N, 2)
    classes: Rows
    class_names: Sequence[str]
    sure: Singles  # probability of the class
    scores: Singles
    alike: Rows  # (N, NUM_ALIKE) places in the order
    notes: tuple[str, ...]
    provenance: dict[str, Any]
    pictures: Pictures = field(default_factory=dict)  # by the place in the order


def write_map(
    table: Any,
    out: Path,
    *,
    inputs: Inputs | None = None,
    config: ClassifyConfig = MAP,
    announce: Announce | None = None,
) -> Path:
    """Write a page with a map of galaxies, on which those alike are near each other.

    Parameters
    ----------
    table : QTable
        With embeddings: from `dmagnet.classify` with ``embeddings=True``, or read from
        a table that ``dmagnet embed`` wrote.
    out : Path
        The .html file, of at most 10 MB.
    inputs : path or sequence of paths, optional
        What was classified, to show pictures of; as the column ``path`` says if not
        given.
    config : ClassifyConfig
        Where cut-outs come from, and lie.
    announce : callable, optional
        Called with a name and a total; returns what to call with the number done.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    DataError
        If the table has no embeddings, or fewer than eight, or the disk refuses.

    Notes
    -----
    The axes are those of UMAP (McInnes et al. 2018, arXiv:1802.03426) if it is
    installed, else of a principal component analysis, of features in units of their
    standard deviation. Unusual is what the calibration of the weights finds far from
    the training (`dmagnet.calibration.FeatureSpace.score`); where they have none, what
    is far from the galaxies of the table. Of more than 50,000 galaxies the page has the
    thousand most unusual, and others drawn by lot. Pictures are shown of the most
    unusual thousand, and of three thousand from all parts of the map.
    """
    found = arranged(table, announce)
    count = counter(announce, "Pictures", None)
    pictures: Pictures = {}
    for place, rgb in pictures_of(table, found, inputs, config):
        side = CARD_PX if place < NUM_CARDS else TILE_PX
        pictures[place] = _small(rgb, side)
        count(len(pictures))
    return write_page(out, partial(render_map, replace(found, pictures=pictures)))


def make_way_for_map(out: Path, inputs: Sequence[Any]) -> None:
    """Refuse a place where no map can be written, before galaxies are embedded."""
    refuse_replacing(out, *inputs)
    if out.suffix != ".html":
        raise ConfigError(f"--map: expected a name that ends in .html, got {out}")
    make_way(out, says_so)


def too_few(table: Any) -> str:
    """Say that a table has not enough galaxies for a map; nothing if it has."""
    found = int(np.isfinite(vectors_of(table)).all(axis=1).sum())
    line = f"map: expected {LEAST} galaxies or more with an embedding, found {found}"
    return "" if found >= LEAST else f"{line}; embed more"


def no_map(table: Any, page: Path) -> str:
    """Say that there is no map of so few galaxies, and what is in its place."""
    older = f"; {page} is an older one" if page.exists() else ""
    line = too_few(table)
    return f"{line}; no map was written{older}" if line else ""


def arranged(table: Any, announce: Announce | None = None) -> Map:
    """Choose and order the galaxies of a page, and find their places and neighbors."""
    vectors = vectors_of(table)
    rows = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    if line := too_few(table):
        raise DataError(line)
    notes = []
    if missing := len(table) - len(rows):
        notes.append(f"{missing:,} rows without a class are left out.")
    scores, unusual = _scores(table, vectors, rows)
    order = np.argsort(-scores, kind="stable")
    if len(order) > MOST:
        drawn = np.random.default_rng(0).permutation(len(order) - NUM_UNUSUAL)
        drawn = np.sort(drawn[: MOST - NUM_UNUSUAL]) + NUM_UNUSUAL
        notes.append(
            f"Of {len(order):,} galaxies the {NUM_UNUSUAL:,} most unusual are here, "
            f"and {len(drawn):,} others drawn by lot."
        )
        order = order[np.concatenate([np.arange(NUM_UNUSUAL), drawn])]
    rows, scores = rows[order], scores[order]
    features = vectors[rows]
    counter(announce, "Neighbors", len(rows))
    _, near = nearest(features, features, NUM_ALIKE + 1)
    counter(announce, "Map", len(rows))
    places, axes = _layout(features)
    classes = np.asarray(table["class_index"][rows], int)  # others have none
    names = [""] * (int(classes.max()) + 1)
    sure = np.empty(len(rows), np.float32)
    for k in np.unique(classes):
        chosen = classes == k
        names[k] = str(table["class_name"][rows[chosen][0]])
        sure[chosen] = _numbers(table, f"p{k}")[rows[chosen]]
    provenance = {
        "axes": axes,
        "unusual": unusual,
        "weights": str(head_of(table, "weights")),
        "settings": head_of(table, "settings"),
    }
    return Map(
        rows=rows,
        ids=[str(each) for each in table["id"][rows]],
        places=places,
        classes=classes,
        class_names=names,
        sure=sure,
        scores=scores,
        alike=_without_self(near),
        notes=tuple(notes),
        provenance=provenance,
    )


def _scores(table: Any, vectors: Singles, rows: Rows) -> tuple[Singles, str]:
    """Measure how unusual each galaxy is."""
    if "ood" in table.colnames:
        known = _numbers(table, "ood")[rows]
        if np.isfinite(known).all():
            words = "distance from the training galaxies, about 1 for most"
            return known.astype(np.float32), words
    words = "distance from the galaxies of this table, about 1 for most"
    return fit_space(vectors[rows]).score(vectors[rows]), words


def _layout(features: Singles) -> tuple[NDArray[np.uint16], str]:
    """Find a place in the plane for each galaxy, by what is installed."""
    scaled = features / spread(features)
    try:
        import umap
    except ImportError:
        from sklearn.decomposition import PCA

        found = PCA(2).fit(scaled)
        places = found.transform(scaled)
        words = (
            "the first two principal components, with "
            f"{100 * found.explained_variance_ratio_.sum():.0f} % of the variance"
        )
    else:
        places = umap.UMAP(random_state=0, n_jobs=1).fit_transform(scaled)
        words = "UMAP: neighbors are kept, distances between groups mean little"
    low, high = places.min(axis=0), places.max(axis=0)
    shares = (places - low) / np.where(high > low, high - low, 1)
    return np.round(shares * TOP).astype(np.uint16), words


def _without_self(near: Rows) -> Rows:
    """Take each galaxy out of its own neighbors; of twins, the last goes instead."""
    is_self = near == np.arange(len(near))[:, None]
    is_self[~is_self.any(axis=1), -1] = True
    others: Rows = near[~is_self].reshape(len(near), -1)
    return others


def pictured(found: Map) -> Rows:
    """Choose whose pictures to show: the most unusual, and some of all places."""
    rest = np.arange(min(NUM_UNUSUAL, len(found.rows)), len(found.rows))
    across = found.places[rest].astype(int) * CELLS // (TOP + 1)
    cells = across[:, 0] * CELLS + across[:, 1]
    by_cell = np.argsort(cells, kind="stable")
    turns = np.empty(len(rest), int)  # its number in its cell
    turns[by_cell] = np.arange(len(rest)) - np.searchsorted(
        cells[by_cell], cells[by_cell]
    )
    others = rest[np.argsort(turns, kind="stable")]
    chosen = np.concatenate([np.arange(len(found.rows) - len(rest)), others])
    return chosen[:NUM_PICTURES]


def pictures_of(
    table: Any, found: Map, inputs: Inputs | None, config: ClassifyConfig
) -> Iterator[tuple[int, Pixels]]:
    """Read pictures as the network saw them; those that are gone are passed over."""
    settings = found.provenance["settings"]
    source = from_dict(SourceConfig, settings.get("source", {}), more=True)
    view: dict[str, Any] = {"image_size": CARD_PX, "field": 1.0, "radii": None}
    view |= settings.get("image", {})
    size, share, radii = view["image_size"], view["field"], view["radii"]
    chosen = pictured(found)
    if inputs is None:
        items = _by_path(table, found.rows[chosen], chosen, source)
    else:
        rows = found.rows[chosen]
        items = _by_name(
            table, rows, chosen, inputs=inputs, source=source, config=config
        )
    for place, item in items:
        picture = read_picture(item, size, share, source, radii=radii)
        if picture.rgb is not None:
            yield place, picture.rgb


def _by_path(
    table: Any, rows: Rows, places: Rows, source: SourceConfig
) -> Iterator[tuple[int, Item]]:
    """Name the images of some rows by their paths, where they are still there."""
    ra, dec = _numbers(table, "ra"), _numbers(table, "dec")
    for row, place in zip(rows, places, strict=True):
        try:
            item = next(iter(list_items(str(table["path"][row]), source)))
        except DataError:
            continue
        yield int(place), replace(item, ra=float(ra[row]), dec=float(dec[row]))


def _by_name(
    table: Any,
    rows: Rows,
    places: Rows,
    *,
    inputs: Inputs,
    source: SourceConfig,
    config: ClassifyConfig,
) -> Iterator[tuple[int, Item]]:
    """Find the images of some rows among what was classified; cut-outs are kept."""
    names = [(str(table["id"][row]), str(table["path"][row])) for row in rows]
    wanted = dict(zip(names, places.tolist(), strict=True))
    ids = {name for name, _ in names}
    meant = (
        item
        for item in list_items(inputs, source)
        if (item.id, item.path) in wanted
        or (item.kind == "position" and item.id in ids)
    )
    for item in fetched(meant, config.cutout, cache=config.cache):
        place = wanted.pop((item.id, item.path), None)
        if place is not None:
            yield place, item


def _numbers(table: Any, name: str) -> Floats:
    """Return a column without units or masks; what is not known is NaN there."""
    column = table[name]
    return np.asarray(getattr(column, "unmasked", column), float)


def _small(rgb: Pixels, side: int) -> Pixels:
    picture = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS))


def render_map(found: Map, side: int = SIDES[0]) -> str:
    """Return the page as text; `side` px is five times that of a picture."""
    drawn = sorted(found.pictures)
    tiles = np.zeros(len(found.rows), np.intp)  # 0 for none, else the place from 1
    tiles[drawn] = np.arange(1, len(drawn) + 1)
    numbers = np.column_stack(
        [
            found.places,
            found.classes,
            100 * found.sure,
            np.minimum(100 * found.scores, TOP),
            tiles,
            found.alike,
        ]
    )
    rows = np.round(numbers).astype("<u2")
    counts = Counter(found.classes.tolist())
    data = {
        "ids": [_shortened(name) for name in found.ids],
        "classes": found.class_names,
        "colors": COLORS,
        "width": rows.shape[1],
        "rows": base64.b64encode(rows.tobytes()).decode(),
        "columns": COLUMNS,
        "side": side // 5,
    }
    script = source_of("map.js")
    digest = hashlib.sha256(script.encode()).digest()
    values = {
        "found": found,
        "data": data,
        "script": script,
        "policy": f"'sha256-{base64.b64encode(digest).decode()}'",
        "sheet": _sheet([found.pictures[k] for k in drawn], side // 5),
        "num_cards": min(NUM_CARDS, len(found.rows)),
        "side": min(side, CARD_PX),
        "counts": [
            (
                found.class_names[k],
                num,
                float(np.median(found.sure[found.classes == k])),
            )
            for k, num in counts.most_common()
        ],
        "provenance": facts(found.provenance),
    }
    return render_page("map.html", values)


def _shortened(name: str) -> str:
    return name if len(name) <= LONGEST else f"…{name[1 - LONGEST :]}"


def _sheet(pictures: Sequence[Pixels], side: int) -> str:
    """Lay pictures beside each other, as the address of one JPEG."""
    if not pictures:
        return ""
    high = -(-len(pictures) // COLUMNS)
    sheet = np.zeros((high * side, COLUMNS * side, 3), np.uint8)
    for k, picture in enumerate(pictures):
        y, x = (side * each for each in divmod(k, COLUMNS))
        sheet[y : y + side, x : x + side] = _small(picture, side)
    return as_address(sheet, QUALITY)
