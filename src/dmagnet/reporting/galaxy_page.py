"""The portrait of a galaxy as HTML, and the index of many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmagnet.calibration.labels import CLASS, FAMILY, fallback, family_sums
from dmagnet.classes import CLASS_NAMES, CLASSES, FAMILIES, plain_names
from dmagnet.dreaming.targets import plain_name
from dmagnet.figures.overlays import lam_overlay, lam_reach, overlay, reach_of
from dmagnet.pictures.inputs.item import Flag
from dmagnet.pictures.places import on_pixels
from dmagnet.reporting.galaxy_record import Dreamt, Pixels, Portrait
from dmagnet.reporting.page import photo, render_page
from dmagnet.reporting.report_page import facts, place, told_of

CONFIDENT = 0.8  # of the finest answer
VIEWER = (
    "https://www.legacysurvey.org/viewer?ra={:.5f}&dec={:.5f}&layer=ls-dr10&zoom=15"
)

Floats = NDArray[np.floating[Any]]
Picture = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Entry:
    """A galaxy in the index."""

    href: str
    title: str
    answer: str
    sure: float
    told: str
    rgb: Pixels


def entry_of(portrait: Portrait, href: str) -> Entry:
    """Summarize the page of a galaxy for the index."""
    why = portrait.explanation
    names = why.class_names
    others = [names[k] for k in portrait.order[1:] if k in why.set90]
    told = [
        f"or {', '.join(others)}" if len(others) < 3 else f"or {len(others)} others"
    ]
    told = told if others else []
    if why.ood_flag:
        told.append("unlike the galaxies of the training")
    return Entry(
        href,
        why.item.id,
        names[portrait.answer],
        float(why.probabilities[portrait.answer]),
        "; ".join(told),
        why.rgb,
    )


def render_index(
    entries: Sequence[Entry], provenance: Mapping[str, Any], side: int = 200
) -> str:
    """Return the index of many galaxies as text."""
    counts: dict[str, int] = {}
    for entry in entries:
        counts[entry.answer] = counts.get(entry.answer, 0) + 1
    cards = [
        photo(
            entry.rgb,
            f"{entry.title}, called {entry.answer}, as the network sees it.",
            min(side, 128),
        )
        | {name: getattr(entry, name) for name in ("href", "title", "answer", "told")}
        | {"sure": entry.sure}
        for entry in entries
    ]
    counted = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    values = {"cards": cards, "counts": counted, "provenance": facts(provenance)}
    return render_page("galaxies.html", values)


def render_portrait(portrait: Portrait, side: int = 320, *, index: str = "") -> str:
    """Return the page of a galaxy as text."""
    why = portrait.explanation
    names, answer = why.class_names, portrait.answer
    values = {
        "title": why.item.id,
        "index": index,
        "answer": names[answer],
        "sure": float(why.probabilities[answer]),
        "description": _description(names[answer]),
        "set90": [names[k] for k in portrait.order if k in why.set90],
        "ood": why.ood,
        "ood_flag": why.ood_flag,
        "ood_limit": portrait.provenance.get("ood_limit"),
        "doubts": [why.item.reason] if why.item.flag & ~Flag.OK else [],
        "position": _position(why.item.ra, why.item.dec),
        "pictures": _seen(portrait, side),
        "classes": _classes(portrait),
        "families": _families(portrait),
        "finest": _finest(portrait),
        "evidence": _evidence(portrait, side),
        "attention": _attention(portrait, side),
        "scales": _scales(portrait),
        "dreams": [_dream(one, names, side) for one in portrait.dreams],
        "classical": portrait.classical,
        "neighbors": [
            photo(one.rgb, f"Picture of a galaxy labeled {one.label}.", side)
            | {"caption": (one.label, f"distance {one.distance:.2f}")}
            for one in portrait.neighbors
        ],
        "votes": portrait.votes,
        "reference": portrait.reference,
        "provenance": facts(portrait.provenance),
    }
    return render_page("galaxy.html", values)


def _description(name: str) -> str:
    """Describe a class of Galaxy10 as the eye sees it."""
    (plain,) = plain_names([name])
    known = dict(zip(plain_names(CLASS_NAMES), CLASSES, strict=True))
    return known[plain].description if plain in known else ""


def _position(ra: float, dec: float) -> dict[str, str] | None:
    if not np.isfinite([ra, dec]).all():
        return None
    return {"text": f"RA {ra:.5f}, Dec {dec:+.5f}", "href": VIEWER.format(ra, dec)}


def _seen(portrait: Portrait, side: int) -> list[Picture]:
    """Show the picture as given, with the view in it, and as the network sees it."""
    why, found = portrait.explanation, []
    if portrait.given is not None:
        box = portrait.box
        told = ""
        if box is not None:
            told = f" The network sees the central {100 * box[2]:.0f} % of its width."
        alt = f"The galaxy as it was given.{told}"
        found.append(
            photo(portrait.given, alt, side) | {"name": "as given", "box": box}
        )
    alt = "The galaxy as the network sees it, at one size and one brightness."
    found.append(
        photo(why.rgb, alt, side) | {"name": "as the network sees it", "box": None}
    )
    return found


def _classes(portrait: Portrait) -> list[dict[str, Any]]:
    why = portrait.explanation
    return [
        {
            "name": why.class_names[k],
            "share": float(why.probabilities[k]),
            "logit": float(portrait.logits[k]),
            "in90": k in why.set90,
            "in95": k in why.set95,
        }
        for k in portrait.order
    ]


def _is_galaxy10(portrait: Portrait) -> bool:
    names = portrait.explanation.class_names
    return plain_names(names) == plain_names(CLASS_NAMES)


def _families(portrait: Portrait) -> list[tuple[str, float]]:
    if not _is_galaxy10(portrait):
        return []
    sums = family_sums(portrait.explanation.probabilities[None])[0]
    order = np.argsort(-sums)
    return [(FAMILIES[k], float(sums[k])) for k in order]


def _finest(portrait: Portrait) -> str:
    """Return the finest answer that is sure enough."""
    if not _is_galaxy10(portrait):
        return ""
    found = fallback(portrait.explanation.probabilities[None], CONFIDENT)
    level, index, sure = found.level[0], found.index[0], found.confidence[0]
    if level == CLASS:
        return f"class {portrait.explanation.class_names[index]} ({100 * sure:.0f} %)"
    if level == FAMILY:
        return f"family {FAMILIES[index]} ({100 * sure:.0f} %)"
    return f"none: the likeliest family has {100 * sure:.0f} %"


def _evidence(portrait: Portrait, side: int) -> dict[str, Any]:
    """Lay evidence over the galaxy: class, runner-up, contrast, and all classes."""
    names, order = portrait.explanation.class_names, portrait.order
    maps, rgb = portrait.evidence, portrait.explanation.rgb
    reach = reach_of(maps)
    each = [
        _laid(rgb, maps[k], reach, side, f"Evidence for {names[k]}")
        | {"name": names[k], "logit": float(portrait.logits[k])}
        for k in order
    ]
    found: dict[str, Any] = {"all": each, "first": each[0], "second": None}
    if len(order) > 1:
        first, second = order[:2]
        contrast = maps[first] - maps[second]
        found["second"] = each[1]
        words = f"Evidence for {names[first]} rather than {names[second]}"
        found["contrast"] = _laid(rgb, contrast, reach_of(contrast), side, words) | {
            "name": f"{names[first]} rather than {names[second]}",
            "logit": float(contrast.sum()),
        }
    return found


def _laid(rgb: Pixels, values: Floats, reach: float, side: int, words: str) -> Picture:
    """Lay one map over the galaxy, and say where it is highest."""
    low, high = place(values, values.argmin()), place(values, values.argmax())
    told = f"most for it {high}, least {low}."
    picture = overlay(rgb, on_pixels(values, (len(rgb), rgb.shape[1])), reach=reach)
    return photo(picture, f"{words}: {told}", side) | {"told": told}


def _attention(portrait: Portrait, side: int) -> Picture | None:
    if portrait.attention is None:
        return None
    mask = portrait.attention
    told = told_of(mask)
    picture = lam_overlay(portrait.explanation.rgb, mask, lam_reach(mask[None]))
    return photo(picture, f"Attention map. {told}", side) | {"told": told}


def _scales(portrait: Portrait) -> dict[str, Any]:
    """Bring the scale weights of the blocks into a table."""
    rows = [
        (plain_name(name), [float(w) for w in weights])
        for name, weights in portrait.explanation.scale_weights.items()
    ]
    dilations = portrait.provenance.get("dilations") or []
    num = len(rows[0][1]) if rows else 0
    if len(dilations) != num:
        dilations = list(range(1, num + 1))
    return {"rows": rows, "dilations": dilations}


def _dream(one: Dreamt, names: Sequence[str], side: int) -> dict[str, Any]:
    told = ""
    if one.probabilities is not None and len(names) == len(one.probabilities):
        best = int(one.probabilities.argmax())
        told = f"now called {names[best]} ({100 * one.probabilities[best]:.0f} %)"
    return {
        "name": one.name,
        "told": told,
        "dream": photo(one.rgb, f"Dream of {one.name}. {told}".strip(), side),
        "detail": photo(
            one.detail,
            f"What the dream of {one.name} added: orange brighter, blue darker.",
            side,
        ),
    }
