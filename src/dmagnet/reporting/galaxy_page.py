"""The portrait of a galaxy as HTML, and the index of many."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dmagnet.calibration.labels import CLASS, FAMILY, fallback, family_sums
from dmagnet.classes import CLASSES, FAMILIES, is_galaxy10, plain_names
from dmagnet.dreaming.targets import plain_name
from dmagnet.figures.overlays import lam_overlay, overlay, reach_of
from dmagnet.pictures.flags import Flag
from dmagnet.pictures.places import on_pixels
from dmagnet.reporting.galaxy_record import Portrait
from dmagnet.reporting.page import photo, render_page
from dmagnet.reporting.report_page import facts, place, told_of
from dmagnet.storage.arrays import AnyFloats, Pixels

CONFIDENT = 0.8  # of the finest answer
# A class of Galaxy10 as the eye sees it, however it is spelled.
DESCRIPTIONS = {plain_names([c.name])[0]: c.description for c in CLASSES}

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
    why, answer = portrait.explanation, portrait.answer
    others = [why.class_names[k] for k in portrait.order[1:] if k in why.set90]
    told = [f"or {', '.join(others) if len(others) < 3 else f'{len(others)} others'}"]
    told = told if others else []
    if why.ood_flag:
        told.append("unlike the training galaxies")
    sure = float(why.probabilities[answer])
    name = why.class_names[answer]
    return Entry(href, why.item.id, name, sure, "; ".join(told), why.rgb)


def render_index(
    entries: Sequence[Entry], provenance: Mapping[str, Any], side: int = 200
) -> str:
    """Return the index of many galaxies as text."""
    counts = Counter(entry.answer for entry in entries)
    values = {
        "entries": entries,
        "side": min(side, 128),
        "counts": sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])),
        "provenance": facts(provenance),
    }
    return render_page("galaxies.html", values)


def render_portrait(portrait: Portrait, side: int = 320, *, index: str = "") -> str:
    """Return the page of a galaxy as text."""
    why, names = portrait.explanation, portrait.explanation.class_names
    (answer,) = plain_names([names[portrait.answer]])
    values = {
        "portrait": portrait,
        "why": why,
        "names": names,
        "probabilities": why.probabilities.tolist(),
        "set90": [names[k] for k in portrait.order if k in why.set90],
        "index": index,
        "description": DESCRIPTIONS.get(answer, ""),
        "doubts": [why.item.reason] if why.item.flag & ~Flag.OK else [],
        "placed": bool(np.isfinite([why.item.ra, why.item.dec]).all()),
        "pictures": _seen(portrait, side),
        **_families(portrait),
        "evidence": _evidence(portrait, side),
        "attention": _attention(portrait, side),
        "scales": _scales(portrait),
        "side": side,
        "neighbors": [
            photo(
                one.rgb,
                f"Picture of a galaxy labeled {one.label}.",
                side,
                caption=(one.label, f"distance {one.distance:.2f}"),
            )
            for one in portrait.neighbors
        ],
        "provenance": facts(portrait.provenance),
    }
    return render_page("galaxy.html", values)


def _seen(portrait: Portrait, side: int) -> list[Picture]:
    """Show the picture as given, with the view in it, and as the network sees it."""
    given, box = portrait.given, portrait.box
    alt = "The galaxy as the network sees it, at one size and one brightness."
    name = "as the network sees it"
    found = [photo(portrait.explanation.rgb, alt, side, name=name, box=None)]
    if given is not None:
        alt = "The galaxy as it was given."
        if box is not None:
            alt += f" The network sees the central {100 * box[2]:.0f} % of its width."
        found.insert(0, photo(given, alt, side, name="as given", box=box))
    return found


def _families(portrait: Portrait) -> dict[str, Any]:
    """Add up families, the largest first, and find the finest answer sure enough."""
    why = portrait.explanation
    if not is_galaxy10(why.class_names):
        return {"families": [], "finest": ""}
    (sums,) = family_sums(why.probabilities[None])
    found = fallback(why.probabilities[None], CONFIDENT)
    level, index, sure = found.level[0], found.index[0], found.confidence[0]
    if level == CLASS:
        finest = f"class {why.class_names[index]} ({100 * sure:.0f} %)"
    elif level == FAMILY:
        finest = f"family {FAMILIES[index]} ({100 * sure:.0f} %)"
    else:
        finest = f"none: the likeliest family has {100 * sure:.0f} %"
    families = [(FAMILIES[k], float(sums[k])) for k in np.argsort(-sums)]
    return {"families": families, "finest": finest}


def _evidence(portrait: Portrait, side: int) -> dict[str, Any]:
    """Lay evidence over the galaxy: class, runner-up, contrast, and all classes."""
    names, order = portrait.explanation.class_names, portrait.order
    maps, rgb = portrait.evidence, portrait.explanation.rgb
    reach, logits = reach_of(maps), portrait.logits
    each = [
        _laid(rgb, maps[k], side, name=names[k], reach=reach, logit=logits[k])
        for k in order
    ]
    found: dict[str, Any] = {"all": each, "first": each[0], "second": None}
    if len(order) > 1:
        first, second = order[:2]
        apart = maps[first] - maps[second]
        found["contrast"] = _laid(
            rgb,
            apart,
            side,
            name=f"{names[first]} rather than {names[second]}",
            reach=reach_of(apart),
            logit=apart.sum(),
        )
        found["second"] = each[1]
    return found


def _laid(
    rgb: Pixels, values: AnyFloats, side: int, *, name: str, reach: float, logit: float
) -> Picture:
    """Lay one map over the galaxy, and say where it is highest."""
    low, high = place(values, values.argmin()), place(values, values.argmax())
    least = "most against it" if values.min() < 0 else "least"
    told = f"most for it and {least} {high}."
    if high != low:
        told = f"most for it {high}, {least} {low}."
    picture = overlay(rgb, on_pixels(values, (len(rgb), rgb.shape[1])), reach=reach)
    alt = f"Evidence for {name}: {told}"
    return photo(picture, alt, side, told=told, name=name, logit=float(logit))


def _attention(portrait: Portrait, side: int) -> Picture | None:
    mask = portrait.attention
    if mask is None:
        return None
    told = told_of(mask)
    picture = lam_overlay(portrait.explanation.rgb, mask)
    return photo(picture, f"Attention map. {told}", side, told=told)


def _scales(portrait: Portrait) -> dict[str, Any]:
    """Bring the scale weights of the blocks into a table."""
    weights = portrait.explanation.scale_weights
    rows = [(plain_name(name), shares.tolist()) for name, shares in weights.items()]
    dilations = portrait.provenance.get("dilations") or []
    num = len(rows[0][1]) if rows else 0
    if len(dilations) != num:
        dilations = list(range(1, num + 1))
    return {"rows": rows, "dilations": dilations}
