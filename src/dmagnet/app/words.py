"""Answers as HTML; what comes from people or files is text in it, never markup."""

import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from dmagnet import __version__
from dmagnet.app.answers import DreamAnswer, Galaxy, Progress, laid_over
from dmagnet.app.limits import LOCAL
from dmagnet.app.work import Work
from dmagnet.calibration.calibration import prediction_sets
from dmagnet.classes import CLASSES, FAMILIES, family_of
from dmagnet.config.classify_config import SERVICE
from dmagnet.explaining.explanation import Explanation
from dmagnet.pictures.inputs.cutout_files import Shelf
from dmagnet.pictures.raster import as_address
from dmagnet.reporting.page import source_of, templates

TITLES = {
    "evidence": "Evidence",
    "needed": "What is needed",
    "lam": "Local attention",
    "scales": "Scales",
    "integrated_gradients": "Integrated gradients",
    "grad_cam": "Grad-CAM",
    "occlusion": "Occlusion",
    "smoothgrad": "SmoothGrad",
}
NOTES = {
    "evidence": "adds up to the score of the class",
    "needed": "the class goes when it is taken away",
    "lam": "more (orange) or less (blue) than an even share of the attention",
    "scales": "looks wide (orange) or close (blue)",
}
NO_ONE = "(none)"
NO_GALAXY = "Click a drawing, drop images or a table of ra and dec, or type a position."
NO_REASON = "Drop a galaxy: its reasons stand here."
NO_DREAM = "Choose layers, then dream."
NO_PAIR = "Drop two galaxies or more, then compare any two of them."
NO_FILES = "Drop a galaxy: its files stand here."
_MIDDLE = slice(64, 192)  # of a frame, where its galaxy is
PATIENCE = {"needed": " (slow)", "smoothgrad": " (slow)", "occlusion": " (very slow)"}
MACROS = templates().get_template("app.html").module


def style(work: Work) -> str:
    """Give the page's style, and a drawn galaxy of each class as part of it."""
    rules = [source_of("app.css")]
    for entry, rgb in zip(CLASSES, work.examples, strict=True):
        address = as_address(rgb[_MIDDLE, _MIDDLE])
        where = f"#example-{entry.slug}, .dm-{entry.slug}"
        rules.append(f"{where} {{ background-image: url({address}); }}")
    return "\n".join(rules)


def script() -> str:
    """Give the page's script."""
    return f"<script>{source_of('app.js')}</script>"


def head() -> tuple[str, str]:
    """Say what this page is for, and in a sentence each what the classes are."""
    return _said("head"), _said("classes", CLASSES)


def foot(work: Work) -> str:
    """Describe this page."""
    cutout, here = work.config.cutout, work.config.host in LOCAL
    asked = urlsplit(Shelf.of(cutout).base).hostname if cutout.tiles == SERVICE else ""
    return _said("foot", work, __version__, here, asked)


def empty(line: str) -> str:
    """Write what to do where there is nothing yet."""
    return _said("empty", line)


def alert(line: object) -> str:
    """Write what went wrong."""
    return _said("alert", str(line))


def answer(galaxy: Galaxy, work: Work) -> str:
    """Write what a galaxy is, and how sure that is."""
    return _said("answer", _facts(galaxy, work))


def galaxies(
    known: Mapping[int, Galaxy], work: Work, lost: Sequence[str], line: str = ""
) -> str:
    """List galaxies, and what could not be read."""
    rows, why = sorted(known.items()), list(dict.fromkeys(lost))
    return _said("galaxies", rows, work.class_names, line, why)


def why(galaxy: Galaxy, explanation: Explanation, work: Work) -> str:
    """Show which places speak for a class."""
    names, e = explanation.class_names, explanation
    lead = f"Which places speak for {names[e.target]}"
    lead += "?" if e.against is None else f" rather than {names[e.against]}?"
    if "evidence" in e.maps:
        total = float(e.maps["evidence"].sum())
        what = "the score" if e.against is None else "the difference of the scores"
        lead += f" The evidence adds up to {what}, {total:+.2f}."
    maps = [
        (TITLES[name], NOTES.get(name, "captum"), laid_over(galaxy.view, values))
        for name, values in e.maps.items()
    ]
    dilations = work.checkpoint.model.config.dilations
    return _said("why", lead, galaxy.view, maps, e.scale_weights, dilations)


def dreams(
    done: Sequence[DreamAnswer],
    class_names: Sequence[str],
    *,
    now: Progress | None = None,
    line: str = "",
) -> str:
    """Show dreams, those that are done and the one under way."""
    return _said("dreams", done, class_names, now, line)


def compared(
    first: tuple[str, Galaxy, Explanation],
    second: tuple[str, Galaxy, Explanation],
    work: Work,
) -> str:
    """Show two galaxies side by side."""
    sides = [
        (label, _facts(galaxy, work), laid_over(galaxy.view, e.maps["evidence"]))
        for label, galaxy, e in (first, second)
    ]
    p, q = (each[1].probabilities.astype(float) for each in (first, second))
    order = np.argsort(-np.maximum(p, q), kind="stable")
    rows = [(work.class_names[k], p[k], q[k]) for k in order]
    return _said("compare", sides, rows, np.abs(p - q).sum() / 2)


def links(groups: Sequence[tuple[str, Sequence[Mapping[str, str]]]]) -> str:
    """Offer files."""
    return _said("files", groups)


def _facts(galaxy: Galaxy, work: Work) -> dict[str, Any]:
    """Collect what the page says of a galaxy beside what its record has."""
    p, names, item = galaxy.probabilities, work.class_names, galaxy.item
    order = np.argsort(-p, kind="stable")
    calibration = work.classifier.calibration
    held = {
        sure: prediction_sets(p[None], limit)[0]
        for sure, limit in zip((90, 95), calibration.thresholds, strict=True)
    } if calibration else {}  # fmt: skip
    descriptions = {entry.name: entry.description for entry in CLASSES}
    families = [family_of(name) for name in names]
    sums = [(f, float(p[[x == f for x in families]].sum())) for f in FAMILIES]
    ood, limit = galaxy.judgement.ood, work.classifier.ood_limit
    known = None if ood is None or limit is None else (float(ood[0]), limit)
    return {
        "galaxy": galaxy,
        "place": f"{item.ra:.5f} {item.dec:+.5f}" if math.isfinite(item.ra) else "",
        "family": families[order[0]],
        "calibrated": bool(calibration),
        "sets": [
            (sure, ", ".join(names[k] for k in order if inside[k]))
            for sure, inside in held.items()
        ],
        "families": sorted(sums, key=lambda each: -each[1])
        if set(families) == set(FAMILIES)
        else [],
        "rows": [
            (
                names[k],
                float(p[k]),
                next((sure for sure, inside in held.items() if inside[k]), 0),
                descriptions.get(names[k], ""),
            )
            for k in order
        ],
        "ood": known,
    }


def _said(name: str, *values: Any) -> str:
    return str(getattr(MACROS, name)(*values))
