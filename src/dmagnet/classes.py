"""The ten classes of Galaxy10 DECaLS, and the families they fall into.

The table is data: names, order and counts are those that the publisher of the
data set states (Leung & Bovy, Galaxy10 DECaLS, doi 10.5281/zenodo.10845026).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dmagnet.errors import ConfigError


@dataclass(frozen=True)
class GalaxyClass:
    """One morphological class.

    Attributes
    ----------
    index : int
        Label in the published file, 0 to 9.
    name : str
        The publisher's name, without the word "Galaxies".
    slug : str
        The name as a folder or a file calls it.
    count : int
        Images of it among the published 17,736.
    family : str
        Coarse family, one of `FAMILIES`.
    description : str
        What a person sees.
    """

    index: int
    name: str
    slug: str
    count: int
    family: str
    description: str


FAMILIES = ("irregular", "smooth", "face-on disc", "edge-on")

CLASSES = (
    GalaxyClass(0, "Disturbed", "disturbed", 1081, "irregular",
                "a galaxy out of balance: lopsided, warped or with tails of stars"),
    GalaxyClass(1, "Merging", "merging", 1853, "irregular",
                "two galaxies becoming one: they touch or share their light"),
    GalaxyClass(2, "Round Smooth", "round", 2645, "smooth",
                "a round ball of stars that fades outward, without arms"),
    GalaxyClass(3, "In-between Round Smooth", "in-between", 2027, "smooth",
                "a smooth oval of stars, without arms"),
    GalaxyClass(4, "Cigar Shaped Smooth", "cigar", 334, "smooth",
                "a smooth, very long oval of stars, like a cigar"),
    GalaxyClass(5, "Barred Spiral", "barred", 2043, "face-on disc",
                "a flat disc with a bar of stars in its middle, arms at its ends"),
    GalaxyClass(6, "Unbarred Tight Spiral", "tight-spiral", 1829, "face-on disc",
                "a flat disc with tightly wound spiral arms and no bar"),
    GalaxyClass(7, "Unbarred Loose Spiral", "loose-spiral", 2628, "face-on disc",
                "a flat disc with wide open spiral arms and no bar"),
    GalaxyClass(8, "Edge-on without Bulge", "edge-on", 1423, "edge-on",
                "a flat disc seen from its side, thin from end to end"),
    GalaxyClass(9, "Edge-on with Bulge", "edge-on-bulge", 1873, "edge-on",
                "a flat disc seen from its side, with a bulge in its middle"),
)  # fmt: skip

NUM_CLASSES = len(CLASSES)
CLASS_NAMES = tuple(entry.name for entry in CLASSES)


def _plain(name: str) -> str:
    """Leave out a number in front, capitals, signs, and the word galaxy."""
    bare = re.sub(r"[^a-z0-9]", "", re.sub(r"^\d+[\s_.-]+", "", name).lower())
    return re.sub(r"(?<=.)galax(y|ies)$", "", bare)


_ENTRIES = {
    _plain(name): entry for entry in CLASSES for name in (entry.slug, entry.name)
}


def plain_names(names: Iterable[str]) -> list[str]:
    """Reduce class names to what folders and tables spell alike.

    Slugs stand for names only where all ten are there: `edge-on` alone may be both.
    """
    plain = [*map(_plain, names)]
    known = [_ENTRIES[p] for p in plain if p in _ENTRIES]
    if len(known) == len(plain) and {*known} == {*CLASSES}:
        return [_plain(entry.name) for entry in known]
    return plain


def alike(names: Sequence[str]) -> list[str]:
    """Say in a line which classes may be one that is spelled in two ways."""
    plain = plain_names(names)
    twins = [repr(n) for n, p in zip(names, plain, strict=True) if plain.count(p) > 1]
    line = (
        f"{', '.join(twins)} differ in case or signs only: taken as different classes"
    )
    return [line] if twins else []


def matched(own: Sequence[str], known: Sequence[str]) -> dict[int, int]:
    """Find classes among others, by their very names or spelled so that one fits."""
    exact = {name: k for k, name in enumerate(known)}
    mine, theirs = plain_names(own), plain_names(known)
    found = {}
    for i, (name, plain) in enumerate(zip(own, mine, strict=True)):
        if name in exact:
            found[i] = exact[name]
        elif mine.count(plain) == theirs.count(plain) == 1:
            found[i] = theirs.index(plain)
    return found


def find_class(names: Sequence[str], wanted: str) -> int:
    """Find a class by its name, by the slug of one of the ten, or by its number."""
    if wanted.isdecimal() and int(wanted) < len(names):
        return int(wanted)
    entry = _ENTRIES.get(_plain(wanted))
    for asked in (wanted, *([entry.name, entry.slug] if entry else [])):
        if found := matched([asked], names):
            return found[0]
    raise ConfigError(f"no class {wanted!r}; the classes are: {', '.join(names)}")


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Order the ten as Galaxy10 does; others by a number in front and the alphabet."""

    def _key(name: str) -> tuple[float, str]:
        number = re.match(r"\d+", name)
        return (float(number[0]) if number else float("inf"), name)

    found = sorted(names, key=_key)
    ten = dict(zip(plain_names(found), found, strict=True))
    if len(found) == len(ten) and {*ten} == {*plain_names(CLASS_NAMES)}:
        return tuple(ten[name] for name in plain_names(CLASS_NAMES))
    return tuple(found)


def family_of(name: str) -> str:
    """Return the family of a class, however it is spelled; empty if it has none."""
    entry = _ENTRIES.get(_plain(name))
    return entry.family if entry else ""


def is_galaxy10(names: Sequence[str]) -> bool:
    """Compare class names with those of Galaxy10 DECaLS."""
    return plain_names(names) == plain_names(CLASS_NAMES)
