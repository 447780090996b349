"""Names of columns: one meaning for many spellings."""

import functools
import itertools
import re
from collections.abc import Iterable

ID = (
    "id", "name", "objid", "objectid", "objname", "objectname", "sourceid", "iauname",
    "galaxyid", "lsid", "targetid", "dr7objid", "dr8objid", "specobjid", "object",
    "idstr", "mainid",
)  # fmt: skip
PATH = (
    "path", "file", "filename", "filepath", "image", "imagepath", "imagefile",
    "fileloc", "img", "imgpath", "imagename", "fname", "jpg", "png",
)  # fmt: skip
PACKED = (*PATH, "images", "imagebytes", "jpeg", "bytes", "picture")  # no paths
LABELED = {
    "label": ("label", "class", "classname", "classlabel", "labels"),
    "split": ("split", "subset"),
    "redshift": ("redshift",),
    "pxscale": ("pxscale",),
}
REASON = ("reason",)  # why a row has no path, as `dmagnet cutouts` says
SYSTEM = ("radesys", "radecsys", "coordsys", "coosys")
EQUINOX = ("equinox",)

# A right ascension and a declination belong together if the same stands around both.
_BEFORE = (
    "", "s", "coord", "target", "obj", "object", "gal", "galaxy", "source", "src",
    "mean", "cat", "center", "centre", "image", "img", "pos",
)  # fmt: skip
_BEHIND = (
    "", "deg", "degrees", "j2000", "j2000deg", "degj2000", "2000", "icrs", "icrsdeg",
    "mean", "stack", "sky", "winj2000", "target", "obj", "1", "x", "2", "y",
)  # fmt: skip
_RA = ("ra", "rightascension", "alpha")
_DEC = ("dec", "de", "decl", "declination", "delta")


@functools.cache
def _ranks(words: tuple[str, ...]) -> dict[str, int]:
    """Give each spelling its rank: the plainest first."""
    found: dict[str, int] = {}
    for word in words:
        for rank, (behind, before) in enumerate(itertools.product(_BEHIND, _BEFORE)):
            found.setdefault(before + word + behind, rank)
    return found


_ELSEWHERE = {  # frame and equinox: longitudes, latitudes
    ("FK4", "B1950"): (
        ("rab1950", "rab1950", "ra1950", "rafk4"),
        ("deb1950", "decb1950", "dec1950", "decfk4"),
    ),
    ("galactic", ""): (
        ("glon", "gallon", "lgal", "galacticlongitude", "galacticl", "lii", "l"),
        ("glat", "gallat", "bgal", "galacticlatitude", "galacticb", "bii", "b"),
    ),
    ("ecliptic", ""): (
        ("elon", "ecllon", "eclipticlongitude"),
        ("elat", "ecllat", "eclipticlatitude"),
    ),
    ("supergalactic", ""): (("sglon", "sgl"), ("sglat", "sgb")),
}
_UCDS = (
    ("pos.eq.ra;meta.main", "pos.eq.dec;meta.main"),
    ("pos_eq_ra_main", "pos_eq_dec_main"),
)


def plain(name: str) -> str:
    """Bring a column's name to the form in which names are compared."""
    bare = re.sub(r"[(\[][^)\]]*[)\]]\s*$", "", name)
    return "".join(letter for letter in bare.casefold() if letter.isalnum())


def first(names: Iterable[str], known: Iterable[str]) -> str:
    """Find the column of a meaning."""
    found: dict[str, str] = {}
    for name in names:
        found.setdefault(plain(name), name)
    return next((found[name] for name in known if name in found), "")


def positions(names: Iterable[str], ucds: dict[str, str]) -> tuple[str, str]:
    """Find right ascension and declination."""
    told = {ucd.strip().lower(): name for name, ucd in reversed(ucds.items()) if ucd}
    for pair in _UCDS:
        if pair[0] in told and pair[1] in told:
            return told[pair[0]], told[pair[1]]
    found: tuple[dict[int, str], dict[int, str]] = ({}, {})
    for name in names:
        for words, each in zip((_RA, _DEC), found, strict=True):
            if (rank := _ranks(words).get(plain(name))) is not None:
                each.setdefault(rank, name)
    ra, dec = found
    if pairs := ra.keys() & dec.keys():
        return ra[min(pairs)], dec[min(pairs)]
    return (ra[min(ra)], dec[min(dec)]) if ra and dec else ("", "")


VOTES = ("votes", "fraction")  # behind the name of a class, as Galaxy Zoo writes them
_ALL = ("", "total", "num", "n")  # of all classes together


def votes(names: Iterable[str], wanted: tuple[str, ...] = ()) -> dict[str, str]:
    """Find the columns of votes, those of some classes or of all; class to column."""
    found: dict[str, dict[str, str]] = {kind: {} for kind in (*VOTES, "")}
    for name in names:
        whole, _, kind = name.rpartition("_")
        if kind.lower() in VOTES and plain(whole) not in _ALL:
            found[kind.lower()].setdefault(whole, name)
        found[""].setdefault(name, name)
    if not wanted:  # counts say more than fractions
        return next((each for k in VOTES if len(each := found[k]) > 1), {})
    known = found["fraction"] | found["votes"] | found[""]
    alike = {name.casefold(): name for name in known}
    classes = [alike[w.casefold()] for w in wanted if w.casefold() in alike]
    columns = [known[name] for name in classes]
    return {_class_of(column): column for column in columns}


def _class_of(column: str) -> str:
    """Return the class whose votes a column holds."""
    whole, _, kind = column.rpartition("_")
    return whole if whole and kind.lower() in VOTES else column


def elsewhere(names: Iterable[str], *, short: bool) -> tuple[str, str, tuple[str, str]]:
    """Find longitude and latitude of another frame."""
    found: dict[str, str] = {}
    for name in names:
        for word in (plain(name), plain(name.rpartition(".")[2])):
            if len(word) > 1 or short or "." in name:  # a part of a SkyCoord: coord.l
                found.setdefault(word, name)
    for system, (longitudes, latitudes) in _ELSEWHERE.items():
        for pair in zip(longitudes, latitudes, strict=True):
            if pair[0] in found and pair[1] in found:
                return found[pair[0]], found[pair[1]], system
    return "", "", ("", "")


def known(names: Iterable[str]) -> int:
    """Count the names that mean something, to tell a header from a row."""
    labels = *LABELED["label"], *LABELED["split"]
    words = {*ID, *PACKED, *labels, *_ranks(_RA), *_ranks(_DEC)}
    return sum(plain(name) in words for name in names)
