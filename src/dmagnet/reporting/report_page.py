"""Numbers, charts and examples as the page wants them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dmagnet import figures
from dmagnet.classes import CLASSES
from dmagnet.errors import DataError
from dmagnet.figures import overlays
from dmagnet.judging import Metrics, Reliability
from dmagnet.reporting.page import (
    SIDES,
    Picture,
    chart,
    percent,
    photo,
    render_page,
    sheet,
    write_page,
)
from dmagnet.reporting.report_record import Examples, Report, Shown
from dmagnet.storage.arrays import AnyFloats, Pixels


def numbers(metrics: Metrics | None) -> dict[str, Any]:
    """Prepare all that follows from the metrics."""
    if metrics is None:
        return {"risk": None}
    return {
        "num_right": sum(entry.correct for entry in metrics.per_class),
        "commonest": max(metrics.per_class, key=lambda entry: entry.support),
        "descriptions": {entry.name: entry.description for entry in CLASSES},
        "confusions": _confusions(metrics),
        "matrix": chart(
            figures.confusion_matrix(metrics),
            f"Confusion matrix of {metrics.n} galaxies in {len(metrics.class_names)} "
            "classes; the table below it has the same counts.",
        ),
        "class_chart": chart(
            figures.per_class_f1(metrics),
            "F1 of each class as a dot with its interval as a line; the table has the "
            "same numbers.",
        ),
        "risk": _risk_chart(metrics),
    }


def by_class(
    examples: Examples | None, names: Sequence[str], side: int
) -> list[dict[str, Any]]:
    """Sort examples by label, and those named right from those named wrong."""
    found: dict[str, dict[str, Any]] = {}
    for image, told, alt in _shown(examples, names):
        card = photo(image, f"{alt}, called {told['guess']}.", side, **told)
        known = told["label"]
        group = found.setdefault(known, {"name": known, "right": [], "wrong": []})
        group["right" if told["guess"] == known else "wrong"].append(card)
    return sorted(found.values(), key=lambda group: names.index(group["name"]))


def _shown(
    examples: Examples | None, names: Sequence[str]
) -> list[tuple[Pixels, dict[str, Any], str]]:
    """Return galaxies with label, answer and confidence, and words for the label."""
    if examples is None:
        return []
    _check(examples, names)
    found = []
    for image, label, probs in zip(
        examples.images, examples.labels, examples.probabilities, strict=True
    ):
        guess = int(probs.argmax())
        told = {"label": names[label], "guess": names[guess], "sure": probs[guess]}
        found.append((image, told, f"Picture of a galaxy labeled {names[label]}"))
    return found


def attended(
    examples: Examples | None, names: Sequence[str], side: int
) -> dict[str, Any] | None:
    """Lay maps of the attention over galaxies."""
    if examples is None or examples.masks is None or not len(examples.images):
        return None
    pairs = []
    shown = _shown(examples, names)
    for (image, known, alt), mask in zip(shown, examples.masks, strict=True):
        told = told_of(mask)
        overlay = overlays.lam_overlay(image, mask)
        galaxy = photo(image, f"{alt}.", side)
        over = photo(overlay, f"Attention map of the same galaxy. {told}", side)
        pairs.append({"galaxy": galaxy, "map": over, "told": told, **known})
    words = "from an eighth of an even share in blue over 1 in black to 8 in orange"
    return {
        "pairs": pairs,
        "scale": chart(overlays.lam_scale(), f"Color scale {words}."),
    }


def told_of(mask: AnyFloats) -> str:
    """Describe where most and least of the attention lies."""
    return (
        f"Most {place(mask, mask.argmax())} ({mask.max():.1f} even shares), "
        f"least {place(mask, mask.argmin())} ({mask.min():.2f})."
    )


def place(mask: AnyFloats, index: np.intp) -> str:
    """Describe where in the frame a pixel lies."""
    height, width = mask.shape
    row, column = int(3 * (index // width) / height), int(3 * (index % width) / width)
    if (row, column) == (1, 1):
        return "in the middle"
    upright = ("at the top", "", "at the bottom")[row]
    across = ("left", "", "right")[column]
    return f"{upright} {across}".strip() if row != 1 else f"on the {across}"


def reliability_chart(bins: Reliability | None) -> Picture | None:
    """Draw confidence against accuracy."""
    if bins is None:
        return None
    sure = float(np.average(bins.confidence, weights=bins.count))
    right = float(np.average(bins.accuracy, weights=bins.count))
    return chart(
        figures.reliability_diagram(bins),
        f"Reliability diagram in {len(bins.count)} bins: on average {percent(sure)} "
        f"sure and {percent(right)} right.",
        sure=sure,
        right=right,
    )


def curves(history: Sequence[Mapping[str, Any]]) -> Picture | None:
    """Draw how a training went."""
    if not history:
        return None
    return chart(
        figures.training_curves(history),
        f"Training curves over {len(history)} rows of the log: losses and scores.",
    )


def _check(examples: Examples, names: Sequence[str]) -> None:
    num = len(examples.images)
    masks = num if examples.masks is None else len(examples.masks)
    shapes = (len(examples.labels), *examples.probabilities.shape, masks)
    if shapes != (num, num, len(names), num):
        raise DataError(
            f"examples: expected {num} labels, probabilities of shape "
            f"({num}, {len(names)}) and {num} masks, got {shapes[0]}, "
            f"{examples.probabilities.shape} and {masks}; pass the same galaxies"
        )


def _confusions(metrics: Metrics, num: int = 3) -> list[dict[str, Any]]:
    """Return the most frequent mistakes, each as k of n galaxies of a class."""
    wrong = metrics.confusion.copy()
    np.fill_diagonal(wrong, 0)
    largest = np.argsort(-wrong, axis=None, kind="stable")[:num]
    pairs = [np.unravel_index(index, wrong.shape) for index in largest]
    return [
        {
            "label": metrics.class_names[row],
            "guess": metrics.class_names[column],
            "count": int(wrong[row, column]),
            "support": metrics.per_class[row].support,
        }
        for row, column in pairs
        if wrong[row, column]
    ]


def _risk_chart(metrics: Metrics) -> Picture | None:
    if metrics.risk is None:
        return None
    half = int(np.abs(metrics.risk.coverage - 0.5).argmin())
    named, wrong = metrics.risk.coverage[half], metrics.risk.risk[half]
    return chart(
        figures.risk_coverage_curve(metrics.risk),
        f"Risk-coverage curve: of the surest {percent(named)} of the galaxies "
        f"{percent(wrong)} are named wrong, of all {percent(1 - metrics.accuracy)}.",
        named=named,
        wrong=wrong,
    )


def write_report(out: Path, report: Report) -> Path:
    """Write the page; the same report makes the same bytes.

    Parameters
    ----------
    out : Path
        The file to write (``.html``), or the folder for a ``report.html``.
    report : Report
        What to show.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    DataError
        If examples do not fit each other, or the page would exceed 10 MB.
    """
    path = out if out.suffix == ".html" else out / "report.html"
    return write_page(path, lambda side: render(report, side))


def render(report: Report, side: int = SIDES[0]) -> str:
    """Return the page as text; `side` px is the largest of the picture of a galaxy."""
    names: Sequence[str] = report.metrics.class_names if report.metrics else ()
    judged = report.metrics is not None
    values = {
        "report": report,
        "metrics": report.metrics,
        **numbers(report.metrics),
        "examples": by_class(report.examples, names, side) if judged else [],
        "attention": attended(report.attention, names, side) if judged else None,
        "reliability": reliability_chart(report.calibration),
        "explained": _pictures(report.explained),
        "dreams": [(name, _pictures(pictures)) for name, pictures in report.dreams],
        "study": _pictures(report.figures),
        "sheets": _pictures(report.failed.sheets if report.failed else ()),
        "curves": curves(report.history),
        "provenance": facts(report.provenance),
    }
    return render_page("report.html", values)


def _pictures(shown: Sequence[Shown]) -> list[Picture]:
    """Read pictures; those that are gone are left out."""
    found = [sheet(o.path, o.alt, caption=o.caption.splitlines()) for o in shown]
    return [picture for picture in found if picture]


def facts(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Prepare the table of where something comes from."""
    return [_fact(name, value) for name, value in provenance.items()]


def _fact(name: str, value: Any) -> dict[str, Any]:
    nested = isinstance(value, Mapping | list | tuple)
    text = json.dumps(value, indent=2, default=str) if nested else str(value)
    return {
        "name": name.replace("_", " "),
        "text": text,
        "nested": nested,
        "link": text.startswith(("https://", "http://")),
    }
