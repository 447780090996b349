"""The columns of a table of galaxies, each declared together with its values."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dmagnet import __version__
from dmagnet.calibration.calibration import prediction_sets
from dmagnet.calibration.judgement import Classifier, Judgement
from dmagnet.classes import FAMILIES, family_of
from dmagnet.config.classify_config import SERVICE, ClassifyConfig
from dmagnet.pictures.flags import NO_CLASS
from dmagnet.pictures.inputs.item import Item
from dmagnet.storage.arrays import AnyFloats, Floats, Singles

Rows = Callable[[], Iterator[pa.RecordBatch]]

HASH_DIGITS = 12  # of the weights' hash in each row; the table's head has all 64
VECTOR = "embedding"  # the column, and the setting that says how many numbers it has
DIGITS = 6  # decimals of a probability, so that text and binary say the same
NO_INDEX = -1  # of a row without a class, where a format has no other null
BETWEEN = "|"  # the classes of a set
SETS = ("set90", "set95")
# Columns with the summed probability of each family; names that need no quotes.
SUMS = dict(zip(("irregular", "smooth", "disc", "edge_on"), FAMILIES, strict=True))
# Control characters, what else ends a line, and what XML does not allow.
UNFIT = [*range(32), *range(127, 160), 0x2028, 0x2029, 0xFFFE, 0xFFFF]
CONTROLS = dict.fromkeys(UNFIT, "\N{REPLACEMENT CHARACTER}")
TEXT, DOUBLE, SINGLE = pa.string(), pa.float64(), pa.float32()
CODE, BITS = pa.int16(), pa.int32()  # a code may be null


@dataclass(frozen=True)
class About:
    """All that a whole table was made with.

    Attributes
    ----------
    class_names : tuple of str
        The K classes, in the order of the columns p0, p1...
    weights : str
        SHA-256 of the weights.
    settings : dict
        What the rows depend on: views, calibration, how images were read...
    version : str
        Of dmagnet.
    """

    class_names: tuple[str, ...]
    weights: str
    settings: dict[str, Any] = field(default_factory=dict)
    version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a table's head.

        Returns
        -------
        dict
            ``dmagnet``, ``weights``, ``class_names``, ``settings``.
        """
        return {
            "dmagnet": self.version,
            "weights": self.weights,
            "class_names": list(self.class_names),
            "settings": self.settings,
        }


def doubt_of_size(classifier: Classifier) -> str:
    """Say that a network sees images larger or smaller than it knows; else nothing."""
    side, sides = classifier.image_size, classifier.sides
    if sides is None or sides[0] <= side <= sides[1]:
        return ""
    return (
        f"images are seen at {side} px, the network was trained on {sides[0]} to "
        f"{sides[1]} px: the answers are less sure than they say"
    )


def about_of(config: ClassifyConfig, classifier: Classifier) -> About:
    """Collect what the rows depend on; how fast it runs is left out."""
    asked = ("url", "layer", "bands", "pixel_scale", "size")
    calibration = classifier.calibration
    image = {
        name: getattr(classifier, name) for name in ("image_size", "field", "radii")
    }
    if doubt := doubt_of_size(classifier):
        image["note"] = doubt
    cutout: dict[str, Any] = {name: getattr(config.cutout, name) for name in asked}
    if config.cutout.tiles != SERVICE:
        cutout["tiles"] = [*config.cutout.tiles]
    settings = {
        "image": image,
        "calibration": calibration
        and {
            "temperature": calibration.temperature,
            "thresholds": [*calibration.thresholds],
            "ood_limit": classifier.ood_limit,
        },
        "chunk_size": config.chunk_size,
        "batch_size": config.batch_size,
        "views": classifier.views,
        "source": asdict(config.source),
        "cutout": cutout,
    }
    if config.embeddings:
        settings[VECTOR] = classifier.num_features
    return About(classifier.class_names, classifier.weights_hash, settings)


class Seen:
    """N inputs as they were read, and what was seen in them."""

    def __init__(
        self, items: Sequence[Item], judgement: Judgement, about: About
    ) -> None:
        self.items, self.judgement, self.about = items, judgement, about
        self.p = rounded(judgement.probabilities)
        self.known = np.asarray(np.isfinite(self.p).all(1))
        self.index = np.where(self.known, np.nan_to_num(self.p).argmax(1), NO_INDEX)
        self.trust = about.settings.get("calibration") or {}

    def read(self, name: str) -> list[Any]:
        """Return what the items say; text that is fit to stand in a table."""
        values = [getattr(item, name) for item in self.items]
        return [line(v) if isinstance(v, str) else v for v in values]

    def named(self, names: Iterable[str]) -> list[str]:
        """Return the name of each most probable class; empty without one."""
        listed = [*names, ""]
        return [listed[i] for i in self.index]

    def single(self, values: AnyFloats | None) -> Singles:
        """Round a column; NaN where nobody can say."""
        if values is None:
            return np.full(len(self.items), np.nan, np.float32)
        return rounded(values).astype(np.float32)

    def entropy(self) -> Any:
        """Return -sum p ln p of each row, in nats; NaN stays."""
        logs = np.log(np.where(self.p > 0, self.p, 1))
        return np.abs((self.p * logs).sum(1))

    def family(self, family: str) -> Any:
        """Add up a family; None if some class belongs to none, or a family is not."""
        families = [family_of(name) for name in self.about.class_names]
        if set(families) != set(FAMILIES):
            return None
        members = [k for k, each in enumerate(families) if each == family]
        return self.p[:, members].sum(1)

    def sets(self, level: int) -> list[str]:
        """Name the classes of a conformal set, most probable first."""
        if not self.trust:
            return [""] * len(self.items)
        inside = prediction_sets(self.p, self.trust["thresholds"][level])
        order = np.argsort(-self.p, axis=1, kind="stable")
        return [
            BETWEEN.join(str(k) for k in ranked if chosen[k]) if known else ""
            for ranked, chosen, known in zip(order, inside, self.known, strict=True)
        ]

    def unlike(self) -> pa.Array:
        """Compare the out-of-distribution score with the limit of the weights."""
        ood, limit = self.single(self.judgement.ood), self.trust.get("ood_limit")
        known = np.isfinite(ood) & (limit is not None)
        flags = np.where(known, ood > np.float32(limit or 0), 0)
        return pa.array(flags.astype(np.int16), CODE, mask=~known)


@dataclass(frozen=True)
class Column:
    """A column, as every format needs to know it, and what makes its values."""

    name: str
    type: pa.DataType  # only a code may be null
    ucd: str  # unified content descriptor (IVOA UCD1+)
    description: str
    make: Callable[[Seen], Any] | None = None  # of an item by its name, without
    unit: str = ""  # as astropy spells it

    def values(self, seen: Seen) -> pa.Array:
        """Return its values in some rows."""
        values = self.make(seen) if self.make else seen.read(self.name)
        if is_vector(self.type):
            return pa.FixedSizeListArray.from_arrays(np.ravel(values), type=self.type)
        return pa.array(values, self.type)


def columns(about: About) -> tuple[Column, ...]:
    """List the columns of a table, in their order."""
    return _declared(about.class_names, about.settings.get(VECTOR, 0))


@cache
def _declared(class_names: tuple[str, ...], num_features: int) -> tuple[Column, ...]:
    declared: list[tuple[Any, ...]] = [
        ("id", TEXT, "meta.id;meta.main", "Name of the input"),
        ("path", TEXT, "meta.ref;meta.file", "Where the image came from"),
        ("ra", DOUBLE, "pos.eq.ra;meta.main", "Right ascension, ICRS", None, "deg"),
        ("dec", DOUBLE, "pos.eq.dec;meta.main", "Declination, ICRS", None, "deg"),
        ("class_index", CODE, "meta.code;src.morph.type",
         "Most probable class, from 0; null without one",
         lambda seen: pa.array(seen.index, CODE, mask=~seen.known)),
        ("class_name", TEXT, "src.morph.type", "Most probable class",
         lambda seen: seen.named(class_names)),
        ("family", TEXT, "src.morph", "Family of that class",
         lambda seen: seen.named(map(family_of, class_names))),
        *((f"p{k}", SINGLE, "stat.probability;src.morph.type",
           f"Probability of {name}", lambda seen, k=k: seen.p[:, k].astype(np.float32))
          for k, name in enumerate(class_names)),
        ("entropy", SINGLE, "stat.value;src.morph.type",
         "Entropy of the probabilities, in nats: 0 is sure",
         lambda seen: seen.single(seen.entropy())),
        ("disagreement", SINGLE, "stat.value;src.morph.type",
         "Mean distance between the answers to the views, 0 to 1; NaN with one",
         lambda seen: seen.single(seen.judgement.disagreement)),
        *((name, SINGLE, "stat.probability;src.morph",
           f"Probability of the family {family}; NaN if classes are not Galaxy10's",
           lambda seen, family=family: seen.single(seen.family(family)))
          for name, family in SUMS.items()),
        *((name, TEXT, "meta.code.multip;src.morph.type",
           f"Indices of the classes that hold the true one in {name[3:]} % of "
           f"galaxies, most probable first, with {BETWEEN} between them",
           lambda seen, level=level: seen.sets(level))
          for level, name in enumerate(SETS)),
        ("ood", SINGLE, "stat.value",
         "Out-of-distribution score: how unlike the galaxies of the training",
         lambda seen: seen.single(seen.judgement.ood)),
        ("ood_flag", CODE, "meta.code.qual",
         "1 if ood is above the limit of the weights, else 0; null if unknown",
         Seen.unlike),
        ("radius_px", SINGLE, "phys.angSize;src",
         "Isophotal radius in px of the image; NaN where it sets no size"),
        ("flag", BITS, "meta.code.qual",
         "Bits, see dmagnet.pictures.inputs.Flag; below 65536 there is no class"),
        ("reason", TEXT, "meta.note", "The flags in words"),
        ("weights", TEXT, "meta.id;meta.modelled", "Hash of the weights, begun",
         lambda seen: [seen.about.weights[:HASH_DIGITS]] * len(seen.items)),
        ("version", TEXT, "meta.version;meta.software", "Version of dmagnet",
         lambda seen: [seen.about.version] * len(seen.items)),
    ]  # fmt: skip
    if num_features:
        words = "Features of the galaxy, pooled behind LAM; NaN without a class"
        form = pa.list_(SINGLE, num_features)
        declared.append(
            (VECTOR, form, "stat.value", words, lambda seen: seen.judgement.features)
        )
    return tuple(Column(*each) for each in declared)


def schema(about: About) -> pa.Schema:
    """Return the columns as Arrow knows them."""
    return pa.schema([(column.name, column.type) for column in columns(about)])


def is_vector(kind: pa.DataType) -> bool:
    """Return whether the values of a column are vectors of one length."""
    return bool(pa.types.is_fixed_size_list(kind))


def matrix(vectors: pa.Array) -> Singles:
    """Return the (N, D) numbers of N vectors."""
    numbers = vectors.flatten().to_numpy(zero_copy_only=False)
    return np.reshape(numbers, (-1, vectors.type.list_size))


def spelled(vectors: pa.Array, between: str) -> pa.Array:
    """Write vectors as text, as JSON and VOTable spell what is no number."""
    texts = vectors.cast(pa.list_(TEXT))
    return pc.replace_substring(pc.binary_join(texts, between), "nan", "NaN")


def rows_of(
    items: Sequence[Item], judgement: Judgement, about: About
) -> pa.RecordBatch:
    """Make a row of each input that was read, with NaN where there is no class."""
    seen, form = Seen(items, judgement, about), columns(about)
    arrays = [column.values(seen) for column in form]
    return pa.RecordBatch.from_arrays(arrays, schema=schema(about))


def rounded(values: AnyFloats) -> Floats:
    """Round as all tables do."""
    doubles: Floats = values.astype(np.float64)
    return doubles.round(DIGITS)


def line(text: str) -> str:
    """Make any string fit to stand in a table."""
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return valid.translate(CONTROLS)


def without_class(rows: pa.RecordBatch) -> int:
    """Count the rows that have no class."""
    return int(np.count_nonzero(rows["flag"].to_numpy() & NO_CLASS))


def to_qtable(rows: Iterable[pa.RecordBatch], about: About) -> Any:
    """Make an astropy table in memory.

    Parameters
    ----------
    rows : iterable of pa.RecordBatch
        All of them.
    about : About
        Becomes its ``meta``.

    Returns
    -------
    QTable
        Positions in degrees; ``class_index`` and ``ood_flag`` are masked where they
        are not known.
    """
    import astropy.units as u
    from astropy.table import MaskedColumn, QTable

    whole = pa.Table.from_batches(list(rows), schema(about))
    table = QTable(meta=about.to_dict())
    for column in columns(about):
        held = whole[column.name]
        if column.type == TEXT:
            values = np.array(held.to_pylist(), str)
        elif column.type == CODE:
            filled, mask = (
                held.fill_null(NO_INDEX).to_numpy(),
                held.is_null().to_numpy(),
            )
            values = MaskedColumn(filled, mask=mask, fill_value=NO_INDEX)
        elif is_vector(column.type):
            values = matrix(held.combine_chunks())
        else:
            values = held.to_numpy()
        table[column.name] = values * u.Unit(column.unit) if column.unit else values
        table[column.name].info.description = column.description
        table[column.name].info.meta = {"ucd": column.ucd}
    return table


def measured(
    rows: Rows, about: About, longest: Callable[[pa.Array], int]
) -> tuple[int, dict[str, int]]:
    """Count all rows, and find the longest text, 1 or more, of each column of text."""
    form = columns(about)
    count, widths = 0, {column.name: 1 for column in form if column.type == TEXT}
    for batch in rows():
        count += batch.num_rows
        for name, width in widths.items():
            widths[name] = max(width, longest(batch[name]))
    return count, widths
