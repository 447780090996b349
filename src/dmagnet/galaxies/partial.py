"""Coarse labels in terms of finer classes, and several sets as one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dmagnet.classes import CLASS_NAMES, find_class, matched, plain_names
from dmagnet.errors import ConfigError, DataError
from dmagnet.galaxies.galaxies import COLUMNS, Galaxies, meanings_of
from dmagnet.storage.records import read_json


def coarse(
    galaxies: Galaxies,
    meanings: Mapping[str, Sequence[str]],
    class_names: tuple[str, ...] = CLASS_NAMES,
) -> Galaxies:
    """Relabel coarse classes by the finer classes each may be.

    Parameters
    ----------
    galaxies : Galaxies
        With coarse classes, for example spiral.
    meanings : mapping
        Name of each coarse class to the names of the finer classes it may be, at least
        one; a coarse class that is not named is left out.
    class_names : tuple of str
        The finer classes.

    Returns
    -------
    Galaxies
        Of the finer classes; where a coarse class means several, they are a label set.

    Raises
    ------
    DataError
        If a name is not one of the classes, or none is named, or labels are votes.
    """
    if galaxies.votes is not None:
        raise DataError(
            f"{galaxies.source}: expected coarse classes, got votes, which have no "
            "meanings in other classes; leave the meanings out"
        )
    if galaxies.label_sets:
        raise DataError(
            f"{galaxies.source}: expected one coarse class for each galaxy, got labels "
            "that leave it open; leave the meanings out, or these galaxies"
        )
    own = {name: _place(name, galaxies.class_names) for name in meanings}
    unknown = [name for name, place in own.items() if place is None]
    fine = {n: _place(n, class_names) for names in meanings.values() for n in names}
    unknown += [name for name, place in fine.items() if place is None]
    if unknown or not fine or not all(meanings.values()):
        raise DataError(
            f"{galaxies.source}: expected meanings of its classes "
            f"{', '.join(galaxies.class_names)} in terms of {', '.join(class_names)}; "
            f"got {unknown[0] if unknown else 'none'}"
        )
    meant = {
        galaxies.class_names[own[name]]: tuple(sorted({fine[one] for one in names}))
        for name, names in meanings.items()
    }
    sets = tuple(sorted({some for some in meant.values() if len(some) > 1}))
    codes = {
        some: code for code, some in enumerate(meanings_of(len(class_names), sets))
    }
    known = [codes.get(meant.get(name, ()), -1) for name in galaxies.class_names]
    labels = np.array(known)[galaxies.labels]
    notes, lost = galaxies.notes, [n for n in galaxies.class_names if n not in meant]
    if num := int((labels < 0).sum()):
        notes += (f"{num} galaxies without a meaning ({', '.join(lost)}) are left out",)
    return replace(
        galaxies.take(np.flatnonzero(labels >= 0)),
        notes=notes,
        labels=labels[labels >= 0],
        class_names=class_names,
        label_sets=sets,
        data_hash="",
    )


def _place(wanted: str, class_names: tuple[str, ...]) -> Any:
    """Find a class by its name; a short one that may be two (`edge-on`) is none."""
    if wanted in class_names:
        return class_names.index(wanted)
    (plain,), names = plain_names([wanted]), plain_names(class_names)
    if plain not in names and sum(name.startswith(plain) for name in names) > 1:
        return None
    try:
        return find_class(class_names, wanted)
    except ConfigError:
        return None


def numbered_as(galaxies: Galaxies, class_names: tuple[str, ...]) -> Galaxies:
    """Give classes the numbers that a network with all of them uses."""
    places = matched(galaxies.class_names, class_names)
    if len(places) < len(galaxies.class_names):
        raise DataError(
            f"{galaxies.source}: expected the network's classes "
            f"{', '.join(class_names)}; found {', '.join(galaxies.class_names)}; judge "
            "it on data with its classes, or say with --meanings what they mean"
        )
    codes = np.array([places[k] for k in range(len(places))])
    sets = galaxies.label_sets
    votes = galaxies.votes
    if votes is not None:
        votes = np.zeros((len(galaxies), len(class_names)), votes.dtype)
        votes[:, codes] = galaxies.votes
    beyond = len(class_names) + np.arange(len(sets))
    return replace(
        galaxies,
        labels=np.concatenate([codes, beyond])[galaxies.labels],
        class_names=class_names,
        label_sets=tuple(tuple(sorted(codes[list(s)].tolist())) for s in sets),
        votes=votes,
    )


def read_meanings(path: Path) -> dict[str, list[str]]:
    """Read what coarse classes mean from a JSON file.

    Parameters
    ----------
    path : Path
        An object: name of each coarse class to a name, or a list of names, of the
        classes it may be.

    Returns
    -------
    dict
        For `coarse`.

    Raises
    ------
    DataError
        If it is no such file.
    """
    found = read_json(
        path,
        "JSON that gives each coarse class its classes, such as "
        '{"spiral": ["Barred Spiral", ...]}',
        "write it so",
    )
    lists = {k: v if isinstance(v, list) else [v] for k, v in found.items()}
    plain = [isinstance(n, str) for each in lists.values() for n in each or [None]]
    if not lists or not all(plain):
        raise DataError(
            f"{path}: expected an object that gives each coarse class the names of its "
            f"classes, got {json.dumps(found)[:80]}"
        )
    return lists


def joined(*parts: Galaxies) -> Galaxies:
    """Make one set of several with the same classes.

    Parameters
    ----------
    *parts : Galaxies
        Images of one size and the same class names; label sets may differ.

    Returns
    -------
    Galaxies
        All in the given order, with the union of the label sets; masks are 0 where a
        part has none.

    Raises
    ------
    DataError
        If classes or sizes of images differ, some have votes and others none, or
        nothing was given.
    """
    forms = {
        (part.class_names, part.images.shape[1:], part.votes is None) for part in parts
    }
    if len(forms) != 1:
        raise DataError(
            "expected sets of galaxies with the same classes, one size of image, and "
            f"votes in all or in none; got {len(forms)} kinds of {len(parts)} sets"
        )
    names = parts[0].class_names
    sets = tuple(sorted({one for part in parts for one in part.label_sets}))
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in (*COLUMNS, *(["votes"] if parts[0].votes is not None else []))
    }
    known = meanings_of(len(names), sets)
    codes = [[*range(len(names)), *map(known.index, part.label_sets)] for part in parts]
    columns["labels"] = np.concatenate(
        [np.array(c)[part.labels] for c, part in zip(codes, parts, strict=True)]
    )
    if any(part.masks is not None for part in parts):
        columns["masks"] = masks = np.zeros(columns["images"].shape[:3], np.uint8)
        ends = np.cumsum([len(part) for part in parts])
        for part, end in zip(parts, ends, strict=True):
            if part.masks is not None:
                masks[end - len(part) : end] = part.masks
    return Galaxies(
        **columns,
        class_names=names,
        label_sets=sets,
        source=" + ".join(part.source for part in parts),
        skipped=sum((part.skipped for part in parts), ()),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )
