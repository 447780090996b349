"""The columns of a table of galaxies, and its rows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dmagnet import __version__
from dmagnet.calibration.judgement import Judgement
from dmagnet.classifying.classifier import Classifier
from dmagnet.classifying.confidence import (
    BETWEEN,
    SETS,
    SUMS,
    confidence_columns,
    family_of,
    rounded,
)
from dmagnet.pictures.inputs.item import NO_CLASS, Item

Floats = npt.NDArray[np.floating[Any]]

HASH_DIGITS = 12  # of the weights' hash in each row; the table's head has all 64
NO_INDEX = -1  # of a row without a class, where a format has no other null
# Control characters, what else ends a line, and what XML does not allow.
UNFIT = [*range(32), *range(127, 160), 0x2028, 0x2029, 0xFFFE, 0xFFFF]
CONTROLS = dict.fromkeys(UNFIT, "\N{REPLACEMENT CHARACTER}")


@dataclass(frozen=True)
class About:
    """What a whole table was made with.

    Attributes
    ----------
    class_names : tuple of str
        The K classes, in the order of the columns p0, p1...
    weights : str
        SHA-256 of the weights.
    settings : dict
        What the rows depend on: views, how images were read...
    version : str
        Of dmagnet.
    """

    class_names: tuple[str, ...]
    weights: str
    settings: dict[str, Any] = field(default_factory=dict)
    version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for a table's head.

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


@dataclass(frozen=True)
class Column:
    """One column of the table, as every format needs to know it.

    Attributes
    ----------
    name : str
        As it is called.
    type : pa.DataType
        Strings, float64, float32, int16 or int32. Only int16 may be null.
    ucd : str
        Unified content descriptor (IVOA UCD1+).
    description : str
        For a person.
    unit : str
        As astropy spells it.
    """

    name: str
    type: pa.DataType
    ucd: str
    description: str
    unit: str = ""


def columns(class_names: Sequence[str]) -> tuple[Column, ...]:
    """Say which columns a table has.

    Parameters
    ----------
    class_names : sequence of str
        The K classes.

    Returns
    -------
    tuple of Column
        In their order.
    """
    text, number, single = pa.string(), pa.float64(), pa.float32()
    probabilities = (
        Column(
            f"p{i}", single, "stat.probability;src.morph.type", f"Probability of {name}"
        )
        for i, name in enumerate(class_names)
    )
    sums = (
        Column(
            name, single, "stat.probability;src.morph",
            f"Probability of the family {family}; NaN if classes are not Galaxy10's",
        )
        for name, family in SUMS.items()
    )  # fmt: skip
    sets = (
        Column(
            name, text, "meta.code.multip;src.morph.type",
            f"Indices of the classes that hold the true one in {level} % of galaxies, "
            f"most probable first, with {BETWEEN} between them",
        )
        for name, level in SETS.items()
    )  # fmt: skip
    return (
        Column("id", text, "meta.id;meta.main", "Name of the input"),
        Column("path", text, "meta.ref;meta.file", "Where the image came from"),
        Column("ra", number, "pos.eq.ra;meta.main", "Right ascension, ICRS", "deg"),
        Column("dec", number, "pos.eq.dec;meta.main", "Declination, ICRS", "deg"),
        Column(
            "class_index", pa.int16(), "meta.code;src.morph.type",
            "Most probable class, from 0; null without one",
        ),
        Column("class_name", text, "src.morph.type", "Most probable class"),
        Column("family", text, "src.morph", "Family of that class"),
        *probabilities,
        Column(
            "entropy", single, "stat.value;src.morph.type",
            "Entropy of the probabilities, in nats: 0 is sure",
        ),
        Column(
            "disagreement", single, "stat.value;src.morph.type",
            "Mean distance between the answers to eight views, 0 to 1; NaN with one",
        ),
        *sums,
        *sets,
        Column(
            "ood", single, "stat.value",
            "Out-of-distribution score: how unlike the galaxies of the training",
        ),
        Column(
            "ood_flag", pa.int16(), "meta.code.qual",
            "1 if ood is above the limit of the weights, else 0; null if unknown",
        ),
        Column(
            "radius_px", single, "phys.angSize;src",
            "Isophotal radius in px of the image; NaN where it sets no size",
        ),
        Column(
            "flag", pa.int32(), "meta.code.qual",
            "Bits, see dmagnet.pictures.inputs.Flag; below 65536 there is no class",
        ),
        Column("reason", text, "meta.note", "The flags in words"),
        Column("weights", text, "meta.id;meta.modelled", "Hash of the weights, begun"),
        Column("version", text, "meta.version;meta.software", "Version of dmagnet"),
    )  # fmt: skip


def schema(class_names: Sequence[str]) -> pa.Schema:
    """Give the columns as Arrow knows them.

    Parameters
    ----------
    class_names : sequence of str
        The K classes.

    Returns
    -------
    pa.Schema
        Names and types.
    """
    return pa.schema([(column.name, column.type) for column in columns(class_names)])


def rows_of(
    items: Sequence[Item],
    judgement: Judgement,
    *,
    class_names: Sequence[str],
    weights: str,
    thresholds: Sequence[float] | None = None,
    ood_limit: float | None = None,
) -> pa.RecordBatch:
    """Make rows of what was read and what was seen in it.

    Parameters
    ----------
    items : sequence of Item
        As they are after reading: position and flags are complete.
    judgement : Judgement
        Of N pictures; NaN where there is no class.
    class_names : sequence of str
        The K classes.
    weights : str
        Hash of the weights.
    thresholds : (float, float), optional
        Least probability of a class in the sets of 90 and 95 %; without them the sets
        are empty.
    ood_limit : float, optional
        Score above which ``ood_flag`` is 1.

    Returns
    -------
    pa.RecordBatch
        N rows with the columns of `columns`.
    """
    p = rounded(judgement.probabilities)
    known = np.asarray(np.isfinite(p).all(1))
    index = np.where(known, np.nan_to_num(p).argmax(1), NO_INDEX)
    families = [*map(family_of, class_names), ""]
    names = [*class_names, ""]
    values: dict[str, Any] = {
        "id": [line(item.id) for item in items],
        "path": [line(item.path) for item in items],
        "ra": [item.ra for item in items],
        "dec": [item.dec for item in items],
        "class_index": pa.array(index, pa.int16(), mask=~known),
        "class_name": [names[i] for i in index],
        "family": [families[i] for i in index],
        **{f"p{k}": each.astype(np.float32) for k, each in enumerate(p.T)},
        "entropy": _entropy(p).astype(np.float32),
        **confidence_columns(
            judgement, class_names, thresholds=thresholds, ood_limit=ood_limit
        ),
        "radius_px": [item.radius_px for item in items],
        "flag": [int(item.flag) for item in items],
        "reason": [line(item.reason) for item in items],
        "weights": [weights[:HASH_DIGITS]] * len(items),
        "version": [__version__] * len(items),
    }
    form = schema(class_names)
    arrays = [pa.array(values[f.name], f.type) for f in form]
    return pa.RecordBatch.from_arrays(arrays, schema=form)


def line(text: str) -> str:
    """Make any string fit to stand in a table."""
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return valid.translate(CONTROLS)


def without_class(rows: pa.RecordBatch) -> int:
    """Count the rows that have no class.

    Parameters
    ----------
    rows : pa.RecordBatch
        Some rows.

    Returns
    -------
    int
        How many.
    """
    return int(np.count_nonzero(rows["flag"].to_numpy() & NO_CLASS))


def settings_of(config: Any, classifier: Classifier) -> dict[str, Any]:
    """Keep what the rows depend on, besides the weights.

    Parameters
    ----------
    config : ClassifyConfig
        As it runs.
    classifier : Classifier
        What it sees, and how its answers are calibrated.

    Returns
    -------
    dict
        Plain values; how fast it runs is left out.
    """
    asked = ("url", "layer", "bands", "pixel_scale", "size")
    calibration = classifier.calibration
    return {
        "image": {
            name: getattr(classifier, name) for name in ("image_size", "field", "radii")
        },
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
        "cutout": {name: getattr(config.cutout, name) for name in asked},
    }


def _entropy(probabilities: Floats) -> Floats:
    """Return -sum p ln p of each row, in nats; NaN stays."""
    logs = np.log(np.where(probabilities > 0, probabilities, 1))
    return rounded(np.abs((probabilities * logs).sum(1)))
