"""Judge a network on labeled galaxies, and write down what came out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Column, Table
from numpy.typing import NDArray

from dmagnet import figures
from dmagnet.calibration.judgement import views_to_take
from dmagnet.errors import DataError
from dmagnet.galaxies import PARTS, Galaxies, coarse, load_galaxies, read_meanings
from dmagnet.galaxies.partial import numbered_as
from dmagnet.judging import Metrics, choose_examples, score, write_metrics
from dmagnet.judging.predict import attention
from dmagnet.judging.reliability import reliability
from dmagnet.judging.trust import Judged, judge_labeled
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.reporting.report_page import write_report
from dmagnet.reporting.report_record import Examples, Report, keep
from dmagnet.reporting.run_report import gathered, history_of
from dmagnet.storage.arrays import AnyFloats, Floats, Ints
from dmagnet.storage.disk import beside, claimed
from dmagnet.storage.records import brief, stamp

TRAIN = PARTS.index("train")
PER_CLASS = 3  # examples named right, and as many named wrong
MOST_EXAMPLES = 120
TITLE = "How well the network tells galaxies apart"
NUM_ATTENTION = 10
HASHES = ("version", "weights_hash", "data_hash")  # what tables keep of where from

Rows = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Assessment:
    """What `assess` found, and where it wrote it.

    Attributes
    ----------
    metrics : Metrics
        Scores with their intervals.
    probabilities : (N, K) ndarray
        Of each class, calibrated where the weights are, in the order of the data.
    folder : Path
        Holds ``metrics.json``, ``predictions.ecsv``, ``report.html`` and figures.
    """

    metrics: Metrics
    probabilities: Floats
    folder: Path

    __repr__ = brief

    def _repr_html_(self) -> str:
        """Show scores and confusions in a notebook."""
        m = self.metrics
        low, high = m.intervals["accuracy"]
        told = f"accuracy {m.accuracy:.3f} [{low:.3f}, {high:.3f}], n = {m.n}, macro "
        told += f"F1 {m.macro_f1:.3f}, ECE {m.ece:.3f}; {self.folder / 'report.html'}"
        return figures.inline(figures.confusion_matrix(m), told)


def galaxies_to_judge(
    checkpoint: Checkpoint,
    path: Path,
    *,
    split: str | None = None,
    strict: bool = False,
    meanings: Path | None = None,
    include_training: bool = False,
    **how: Any,
) -> Galaxies:
    """Load the galaxies that a network may be judged on, as it wants to see them.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network; gives image size, field, radii and classes.
    path : Path
        Anything `dmagnet.galaxies.load_galaxies` reads.
    split : {"train", "val", "test", "all"}, optional
        Which part. If not given: all of a set that the network was not trained on,
        and of its own set the validation part.
    strict : bool
        Refuse unreadable images instead of leaving them out.
    meanings : Path, optional
        JSON that says which of the network's classes each coarse class of the data may
        be; see `dmagnet.galaxies.read_meanings`.
    include_training : bool
        Keep the galaxies that the network was trained on, where it is its own set.
    **how
        ``votes`` and ``source`` of `dmagnet.galaxies.load_galaxies`. Where votes tie,
        the galaxy is left out.

    Returns
    -------
    Galaxies
        At the network's image size; a note says which part it is, and how many of it
        the network was trained on.

    Raises
    ------
    DataError
        If the classes are not those of the network, or the part is empty.
    """
    config = checkpoint.config
    galaxies = load_galaxies(
        path,
        image_size=config.frame_size,
        radii=config.frame_radii,
        strict=strict,
        seed=config.seed,
        **how,
    )
    if meanings is not None:
        galaxies = coarse(galaxies, read_meanings(meanings), checkpoint.class_names)
    absent = len(checkpoint.class_names) - len(galaxies.class_names)
    galaxies = numbered_as(galaxies, checkpoint.class_names)
    if absent:
        note = f"no galaxies of {absent} of the network's classes"
        galaxies = replace(galaxies, notes=(*galaxies.notes, note))
    if galaxies.votes is not None and galaxies.label_sets:
        tied, galaxies = len(galaxies), galaxies.fully_labeled()
        note = f"{tied - len(galaxies)} galaxies whose votes tie are left out"
        galaxies = replace(galaxies, notes=(*galaxies.notes, note))
    own = checkpoint.provenance.get("data_hash") == galaxies.data_hash
    split = split or ("val" if own else "all")
    chosen = galaxies.subset(split)
    trained_on = int((chosen.split == TRAIN).sum()) if own else 0
    if trained_on and not include_training:
        chosen = chosen.take(np.flatnonzero(chosen.split != TRAIN))
    if not len(chosen):
        why = (
            f"the network was trained on all {trained_on} galaxies of its {split} "
            "part; --include-training judges them nevertheless"
            if trained_on
            else f"its {split} part has no galaxies; try another --split"
        )
        raise DataError(f"{path}: {why}")
    part = "all" if split == "all" else f"the {split} part"
    note = f"{len(chosen)} galaxies: {part} of {Path(path).name}"
    if trained_on and include_training:
        note += f"; the network was trained on {trained_on} of them: no fair test"
    elif trained_on:
        note += (
            f" without the {trained_on} that the network was trained on "
            "(--include-training keeps them)"
        )
    margin = (config.frame_size - config.image_size) // 2
    inside = slice(margin, margin + config.image_size)
    return replace(
        chosen,
        images=chosen.images[:, inside, inside],
        class_names=checkpoint.class_names,
        notes=(note, *chosen.notes),
    )


def assess(
    checkpoint: Checkpoint,
    galaxies: Galaxies,
    out: Path,
    *,
    views: int | None = None,
    history: Sequence[Mapping[str, float]] = (),
    progress: Callable[[int], None] | None = None,
    **told: Any,
) -> Assessment:
    """Classify labeled galaxies, score the answers and write page and files.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network and its classes.
    galaxies : Galaxies
        At the network's image size, as `galaxies_to_judge` gives them.
    out : Path
        Folder for the results; made if it is missing.
    views : {1, 2, 4, 8}, optional
        Flips and quarter turns to average over; if not given, as
        the calibration was fitted, and one look without any.
    history : sequence of mapping
        Rows of the training log, for the curves.
    progress : callable, optional
        Called with the number of galaxies done so far.
    **told
        Of the page: ``title``, ``summary`` (one sentence), ``next_commands`` (pairs
        of a command and what it does).

    Returns
    -------
    Assessment
        Scores, probabilities and the folder.

    Raises
    ------
    ConfigError
        If ``views`` is none of 1, 2, 4 and 8.
    DataError
        If two coarse labels share a class.

    Notes
    -----
    The calibration of the checkpoint is applied. Where labels are coarse, scores and
    page are over the groups of classes they stand for, as a note says.
    """
    views = views_to_take(views, checkpoint.calibration)
    with claimed(out, "metrics.json"):
        judged = judge_labeled(checkpoint, galaxies, views=views, progress=progress)
        galaxies = replace(galaxies, notes=(*galaxies.notes, *judged.notes))
        labels, probabilities = judged.labels, judged.probabilities
        metrics = score(labels, probabilities, judged.names, trust=judged.trust)
        provenance = provenance_of(checkpoint, galaxies, views)
        write_metrics(out / "metrics.json", metrics, provenance)
        probs = judged.judgement.probabilities
        table = labeled_table(galaxies, judged, np.arange(len(galaxies)))
        table["label"] = galaxies.labels
        table["class_index"] = probs.argmax(1)
        table["class"] = np.array(galaxies.class_names)[probs.argmax(1)]
        table.add_columns([*probs.T], names=[f"p{k}" for k in range(probs.shape[1])])
        write_table(out / "predictions.ecsv", table, provenance, HASHES)
        bins = reliability(labels, probabilities)
        assert metrics.risk is not None  # score always measures it
        for name, figure in {
            "confusion": figures.confusion_matrix(metrics),
            "per_class_f1": figures.per_class_f1(metrics),
            "reliability": figures.reliability_diagram(bins),
            "risk_coverage": figures.risk_coverage_curve(metrics.risk),
        }.items():
            figures.save(figure, out / f"{name}.png")
        right, _ = choose_examples(labels, probabilities, num=NUM_ATTENTION)
        shown = examples_by_class(labels, probabilities)
        usual = {"title": TITLE, "summary": next(iter(galaxies.notes), "")}
        report = Report(
            metrics=metrics,
            calibration=bins,
            examples=_examples(galaxies, judged, shown),
            examples_note="Right ones are drawn by lot; wrong ones are the surest of "
            "the mistakes.",
            attention=_attention(checkpoint, galaxies, judged, right, views),
            history=[
                {name: value for name, value in row.items() if np.isfinite(value)}
                for row in history or history_of(out)
            ],
            provenance=provenance,
            **usual | told,
        )
        keep(out, report)
        write_report(out, gathered(report, out))
        return Assessment(metrics, probs.astype(np.float64), out)


def examples_by_class(
    labels: NDArray[np.integer[Any]], probabilities: AnyFloats
) -> Ints:
    """Choose galaxies of each class to show."""
    found = np.unique(labels)
    num = max(1, min(PER_CLASS, MOST_EXAMPLES // (2 * len(found))))
    shown = []
    for label in found[: MOST_EXAMPLES // 2]:
        rows = np.flatnonzero(labels == label)
        chosen = choose_examples(labels[rows], probabilities[rows], num=num)
        shown += [rows[each] for each in chosen]
    return np.concatenate(shown)


def provenance_of(
    checkpoint: Checkpoint, galaxies: Galaxies, views: int
) -> dict[str, Any]:
    """Collect where numbers come from."""
    calibration = checkpoint.calibration
    fitted = calibration and {
        "temperature": calibration.temperature,
        "thresholds": list(calibration.thresholds),
        **calibration.provenance,
    }
    return {
        **stamp(),
        "weights_hash": checkpoint.weights_hash,
        "data": Path(galaxies.source).name,
        "data_hash": galaxies.data_hash,
        "num_galaxies": len(galaxies),
        "num_skipped": len(galaxies.skipped),
        "notes": list(galaxies.notes),
        "views": views,
        "seed": checkpoint.config.seed,
        "training": checkpoint.provenance,
        "calibration": fitted or "none; 'dmagnet calibrate' fits one",
    }


def _attention(
    checkpoint: Checkpoint,
    galaxies: Galaxies,
    judged: Judged,
    chosen: Ints,
    views: int,
) -> Examples | None:
    """Choose galaxies and show where LAM turned the volume up or down."""
    if not checkpoint.config.model.lam or not len(chosen):
        return None
    shown = _examples(galaxies, judged, chosen)
    masks = attention(checkpoint.model, shown.images, views=views)
    return replace(shown, masks=masks)


def _examples(galaxies: Galaxies, judged: Judged, rows: Rows) -> Examples:
    return Examples(
        galaxies.images[rows], judged.labels[rows], judged.probabilities[rows]
    )


def labeled_table(galaxies: Galaxies, judged: Judged, rows: Rows) -> Table:
    """Begin a table, one row a galaxy, with what it is and how it is labeled."""
    labels = judged.labels[rows]
    table = Table({"id": galaxies.ids[rows]})
    for name in ("ra", "dec"):
        table[name] = Column(getattr(galaxies, name)[rows], unit="deg")
    table["label"] = labels
    table["label_name"] = np.array(judged.names)[labels]
    return table


def write_table(
    path: Path, table: Table, provenance: dict[str, Any], names: Sequence[str]
) -> None:
    """Write a table for TOPCAT or astropy; names of its provenance that it keeps."""
    table.meta["dmagnet"] = {name: provenance[name] for name in names}
    with beside(path) as part:
        table.write(part, format="ascii.ecsv", overwrite=True)
