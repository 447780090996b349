"""One self-contained page that says what was done, how well, and how to go on."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray
from PIL import Image

from dmagnet import figures
from dmagnet.classes import CLASSES
from dmagnet.disk import write_whole
from dmagnet.errors import DataError
from dmagnet.evaluate import Metrics, Reliability

MAX_BYTES = 10_000_000
PICTURE_PX = 320  # twice what the page shows, for sharp screens
JPEG_QUALITY = 90

Picture = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Examples:
    """Galaxies to show, with what the network said.

    Attributes
    ----------
    images : (M, H, W, 3) uint8
        The pictures.
    labels : (M,) int
        Their true classes.
    probabilities : (M, K) float
        Of each class.
    masks : (M, h, w) float or None
        Factors of the Local Attention Module, 0.5 to 1.5, 1 = neutral.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.integer[Any]]
    probabilities: NDArray[np.floating[Any]]
    masks: NDArray[np.floating[Any]] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """All that the page shows, as plain data.

    Attributes
    ----------
    title : str
        Of the page.
    summary : str
        One sentence in plain words: what was done.
    metrics : Metrics
        What `dmagnet.evaluate.score` returned.
    calibration : Reliability or None
        What `dmagnet.evaluate.reliability` returned.
    examples : Examples or None
        Some galaxies; the page tells right from wrong.
    examples_note : str
        How they were chosen.
    attention : Examples or None
        Galaxies with masks.
    history : sequence of mapping
        Rows of the training log, as `dmagnet.figures.training_curves` reads them.
    provenance : mapping
        Names to values: version, seed, settings, hashes, date. Nested values are
        folded away; a web address becomes a link.
    next_commands : sequence of (str, str)
        A command, and what it does.
    """

    title: str
    summary: str
    metrics: Metrics
    calibration: Reliability | None = None
    examples: Examples | None = None
    examples_note: str = ""
    attention: Examples | None = None
    history: Sequence[Mapping[str, Any]] = ()
    provenance: Mapping[str, Any]
    next_commands: Sequence[tuple[str, str]] = ()


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
    page = render(report).encode()
    if len(page) > MAX_BYTES:
        raise DataError(
            f"{path}: expected a page of at most {MAX_BYTES / 1e6:.0f} MB, got "
            f"{len(page) / 1e6:.1f} MB; show fewer examples"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, page)
    return path


def render(report: Report) -> str:
    """Return the page as text.

    Parameters
    ----------
    report : Report
        What to show.

    Returns
    -------
    str
        HTML with all pictures and styles in it, and no script.

    Raises
    ------
    DataError
        If examples do not fit each other.
    """
    environment = Environment(
        loader=PackageLoader("dmagnet", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "plain": _plain_number,
        "sure": _sure,
    }
    metrics = report.metrics
    right, wrong = _cards(report.examples, metrics.class_names)
    return environment.get_template("report.html").render(
        report=report,
        metrics=metrics,
        num_right=sum(entry.correct for entry in metrics.per_class),
        commonest=max(metrics.per_class, key=lambda entry: entry.support),
        descriptions={entry.name: entry.description for entry in CLASSES},
        confusions=_confusions(metrics),
        matrix=_chart(
            figures.confusion_matrix(metrics),
            f"Confusion matrix of {metrics.n} galaxies in {len(metrics.class_names)} "
            "classes; the table below it has the same counts.",
        ),
        class_chart=_chart(
            figures.per_class_f1(metrics),
            "F1 of each class as a dot with its interval as a line; the table has the "
            "same numbers.",
        ),
        reliability=_reliability_chart(report.calibration),
        risk=_risk_chart(metrics),
        right=right,
        wrong=wrong,
        attention=_attention(report.attention, metrics.class_names),
        curves=_curves(report.history),
        provenance=[_fact(name, value) for name, value in report.provenance.items()],
    )


def _chart(figure: figures.Figure, alt: str) -> Picture:
    content = figures.to_png(figure)
    width, height = Image.open(io.BytesIO(content)).size
    # More pixels than the screen's 96 an inch, for sharp screens and for paper.
    return {
        "src": _data_url(content, "png"),
        "alt": alt,
        "width": width * 96 // figures.DPI,
        "height": height * 96 // figures.DPI,
    }


def _photo(image: NDArray[np.uint8], alt: str) -> Picture:
    """Return a galaxy as JPEG, made smaller where it is large."""
    picture = Image.fromarray(np.ascontiguousarray(image))
    picture.thumbnail((PICTURE_PX, PICTURE_PX), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    # Full color resolution: bars and knots are told by their color.
    picture.save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
    return {"src": _data_url(buffer.getvalue(), "jpeg"), "alt": alt}


def _data_url(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _cards(
    examples: Examples | None, names: Sequence[str]
) -> tuple[list[Picture], list[Picture]]:
    """Return the galaxies named right and those named wrong."""
    cards: tuple[list[Picture], list[Picture]] = ([], [])
    if examples is None:
        return cards
    _check(examples, names)
    for image, label, probs in zip(
        examples.images, examples.labels, examples.probabilities, strict=True
    ):
        guess = int(probs.argmax())
        card = _photo(image, f"Picture of a galaxy labeled {names[label]}.")
        card |= {"label": names[label], "guess": names[guess], "sure": probs[guess]}
        cards[0 if guess == label else 1].append(card)
    return cards


def _attention(
    examples: Examples | None, names: Sequence[str]
) -> dict[str, Any] | None:
    """Return pairs of galaxy and map, and their common scale."""
    if examples is None or examples.masks is None:
        return None
    _check(examples, names)
    reach = figures.lam_reach(examples.masks)
    pairs = []
    for image, mask, label, probs in zip(
        examples.images,
        examples.masks,
        examples.labels,
        examples.probabilities,
        strict=True,
    ):
        guess = int(probs.argmax())
        told = (
            f"Up most {_place(mask, mask.argmax())} (x {mask.max():.2f}), "
            f"down most {_place(mask, mask.argmin())} (x {mask.min():.2f})."
        )
        overlay = figures.lam_overlay(image, mask, reach)
        pairs.append(
            {
                "galaxy": _photo(image, f"Picture of a galaxy labeled {names[label]}."),
                "map": _photo(overlay, f"Attention map of the same galaxy. {told}"),
                "label": names[label],
                "guess": names[guess],
                "sure": probs[guess],
                "told": told,
            }
        )
    scale = _chart(
        figures.lam_scale(reach),
        f"Color scale from {1 - reach:.2f} in blue over 1 in black to {1 + reach:.2f} "
        "in orange.",
    )
    return {"pairs": pairs, "scale": scale}


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


def _place(mask: NDArray[np.floating[Any]], index: np.intp) -> str:
    """Say in words where in the frame a pixel lies."""
    row, column = (
        int(3 * position / side)
        for position, side in zip(
            np.unravel_index(index, mask.shape), mask.shape, strict=True
        )
    )
    if (row, column) == (1, 1):
        return "in the middle"
    upright = ("at the top", "", "at the bottom")[row]
    across = ("left", "", "right")[column]
    return f"{upright} {across}".strip() if row != 1 else f"on the {across}"


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


def _reliability_chart(bins: Reliability | None) -> Picture | None:
    if bins is None:
        return None
    sure = float(np.average(bins.confidence, weights=bins.count))
    right = float(np.average(bins.accuracy, weights=bins.count))
    chart = _chart(
        figures.reliability_diagram(bins),
        f"Reliability diagram in {len(bins.count)} bins: on average {_percent(sure)} "
        f"sure and {_percent(right)} right.",
    )
    return chart | {"sure": sure, "right": right}


def _risk_chart(metrics: Metrics) -> Picture | None:
    if metrics.risk is None:
        return None
    half = int(np.abs(metrics.risk.coverage - 0.5).argmin())
    named, wrong = metrics.risk.coverage[half], metrics.risk.risk[half]
    chart = _chart(
        figures.risk_coverage_curve(metrics.risk),
        f"Risk-coverage curve: of the surest {_percent(named)} of the galaxies "
        f"{_percent(wrong)} are named wrong, of all {_percent(1 - metrics.accuracy)}.",
    )
    return chart | {"named": named, "wrong": wrong}


def _curves(history: Sequence[Mapping[str, Any]]) -> Picture | None:
    if not history:
        return None
    return _chart(
        figures.training_curves(history),
        f"Training curves over {len(history)} rows of the log: losses and scores.",
    )


def _fact(name: str, value: Any) -> dict[str, Any]:
    """Prepare one row of the provenance table."""
    nested = isinstance(value, Mapping | list | tuple)
    text = json.dumps(value, indent=2, default=str) if nested else str(value)
    return {
        "name": name.replace("_", " "),
        "text": text,
        "nested": nested,
        "link": text.startswith(("https://", "http://")),
    }


def _sure(share: float) -> str:
    """Round a confidence, but to no certainty that is not there."""
    return f"{100 * share:.0f} %" if share < 0.995 else "over 99 %"


def _percent(share: float) -> str:
    return "none" if np.isnan(share) else f"{100 * share:.1f} %"


def _plain_number(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.2f}"
