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
from dmagnet.dreaming.sheets import to_bytes
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
_MIDDLE = slice(64, 192)  # of a frame, where its galaxy is
PATIENCE = {
    "needed": " (slow)",
    "smoothgrad": " (slow)",
    "occlusion": " (very slow)",
}
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
    tiles = work.config.cutout.tiles != SERVICE
    about = {
        "weights": work.name,
        "hash": work.checkpoint.weights_hash[:12],
        "num_classes": len(work.class_names),
        "version": __version__,
        "private": work.config.host in LOCAL,
        "service": ""
        if tiles
        else urlsplit(Shelf.of(work.config.cutout).base).hostname,
        "keep_s": f"{work.config.keep_s:g}",
    }
    return _said("foot", about)


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
    rows = [
        {
            "number": number,
            "name": each.item.id,
            "picture": as_address(each.view[::4, ::4]),
            "class_name": work.class_names[int(each.probabilities.argmax())],
            "p": float(each.probabilities.max()),
            "notes": "; ".join(filter(None, (each.item.reason, *each.notes))),
        }
        for number, each in sorted(known.items())
    ]
    return _said("galaxies", rows, line, list(dict.fromkeys(lost)))


def why(galaxy: Galaxy, explanation: Explanation, work: Work) -> str:
    """Show which places speak for a class."""
    names, e = explanation.class_names, explanation
    target = names[e.target]
    lead = f"Which places speak for {target}?"
    if e.against is not None:
        lead = f"Which places speak for {target} rather than {names[e.against]}?"
    if "evidence" in e.maps:
        total = float(e.maps["evidence"].sum())
        what = "the score" if e.against is None else "the difference of the scores"
        lead += f" The evidence adds up to {what}, {total:+.2f}."
    maps = [
        {
            "picture": as_address(laid_over(galaxy.view, values)),
            "alt": f"{TITLES.get(name, name)} over the galaxy",
            "title": TITLES.get(name, name),
            "note": NOTES.get(name, "captum"),
        }
        for name, values in e.maps.items()
    ]
    scales = [(name, [float(w) for w in ws]) for name, ws in e.scale_weights.items()]
    return _said(
        "why",
        {
            "lead": lead,
            "picture": as_address(galaxy.view),
            "maps": maps,
            "scales": scales,
            "dilations": work.checkpoint.model.config.dilations,
        },
    )


def dreams(
    done: Sequence[DreamAnswer],
    class_names: Sequence[str],
    *,
    now: Progress | None = None,
    line: str = "",
) -> str:
    """Show dreams, those that are done and the one under way."""
    under_way = None
    if now:
        under_way = {
            "picture": as_address(to_bytes(now.image)),
            "name": now.target.name,
            "note": f"at {now.image.shape[-1]} px",
        }
    told = {
        "line": line,
        "share": None if now is None else (now.number + now.share) / now.total,
        "now": under_way,
        "done": [_dreamed(one, class_names) for one in done],
    }
    return _said("dreams", told)


def compared(
    first: tuple[str, Galaxy, Explanation],
    second: tuple[str, Galaxy, Explanation],
    work: Work,
) -> str:
    """Show two galaxies side by side."""
    sides = [
        _facts(galaxy, work)
        | {
            "label": label,
            "evidence": as_address(laid_over(galaxy.view, e.maps["evidence"])),
        }
        for label, galaxy, e in (first, second)
    ]
    p, q = (each[1].probabilities.astype(float) for each in (first, second))
    order = np.argsort(-np.maximum(p, q), kind="stable")

    class _Rows(list[Any]):
        distance = float(np.abs(p - q).sum() / 2)

    rows = _Rows((work.class_names[k], p[k], q[k]) for k in order)
    return _said("compare", *sides, rows)


def links(groups: Sequence[tuple[str, Sequence[Mapping[str, str]]]]) -> str:
    """Offer files."""
    return _said("files", groups)


def _facts(galaxy: Galaxy, work: Work) -> dict[str, Any]:
    """Collect what the page says of a galaxy."""
    p, names = galaxy.probabilities, work.class_names
    order = np.argsort(-p, kind="stable")
    calibration = work.classifier.calibration
    held: list[set[int]] = []
    if calibration:
        held = [
            set(np.flatnonzero(prediction_sets(p[None], limit)[0]).tolist())
            for limit in calibration.thresholds
        ]
    descriptions = {entry.name: entry.description for entry in CLASSES}
    level = dict.fromkeys(held[1] if held else (), 95)
    level |= dict.fromkeys(held[0] if held else (), 90)
    families = [family_of(name) for name in names]
    sums = [(f, float(p[[x == f for x in families]].sum())) for f in FAMILIES]
    disagreement = galaxy.judgement.disagreement
    item = galaxy.item
    return {
        "name": item.id,
        "place": f"{item.ra:.5f} {item.dec:+.5f}" if math.isfinite(item.ra) else "",
        "picture": as_address(galaxy.view),
        "class_name": names[order[0]],
        "family": families[order[0]],
        "description": descriptions.get(names[order[0]], ""),
        "p": float(p[order[0]]),
        "calibrated": bool(calibration),
        "sets": [
            (sure, ", ".join(names[k] for k in order if k in inside))
            for sure, inside in zip((90, 95), held, strict=False)
        ],
        "families": sorted(sums, key=lambda each: -each[1])
        if set(families) == set(FAMILIES)
        else [],
        "rows": [
            {
                "name": names[k],
                "p": float(p[k]),
                "first": k == order[0],
                "set": level.get(int(k), 0),
                "description": descriptions.get(names[k], ""),
            }
            for k in order
        ],
        "disagreement": ""
        if disagreement is None
        else f"disagree by {float(disagreement[0]):.2f}",
        "doubts": [line for line in (item.reason, *galaxy.notes) if line],
        **_unlike(galaxy, work),
    }


def _unlike(galaxy: Galaxy, work: Work) -> dict[str, Any]:
    """Write whether a picture is unlike the galaxies of training."""
    limit, scores = work.classifier.ood_limit, galaxy.judgement.ood
    if limit is None or scores is None:
        return {"ood": "these weights cannot say", "ood_flag": False, "numbers": ""}
    score = float(scores[0])
    line = "yes: the class may mean nothing" if score > limit else "no"
    numbers = f"{score:.2f}, unusual from {limit:.2f}"
    return {"ood": line, "ood_flag": score > limit, "numbers": numbers}


def _dreamed(one: DreamAnswer, class_names: Sequence[str]) -> dict[str, Any]:
    def _seen_as(p: Any) -> str:
        if p is None:
            return ""
        return f"{class_names[int(p.argmax())]}, {100 * float(p.max()):.0f} %"

    return {
        "name": one.target.name,
        "share": "" if one.share >= 1 else f", {100 * one.share:.0f} % of its steps",
        "start": as_address(to_bytes(one.start)),
        "dream": as_address(one.dream),
        "detail": as_address(one.detail),
        "before": _seen_as(one.before),
        "after": _seen_as(one.after),
        "scores": one.scores,
        "judge": one.judge,
    }


def _said(name: str, *values: Any) -> str:
    return str(getattr(MACROS, name)(*values))
