"""Calibration of a network on labeled galaxies, and its answers in their terms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dmagnet.calibration import fitting
from dmagnet.calibration.calibration import Calibration, tempered
from dmagnet.calibration.judgement import Judgement, views_to_take
from dmagnet.calibration.labels import (
    Groups,
    Labeled,
    family_members,
    grouped,
    label_groups,
    to_groups,
)
from dmagnet.calibration.space import fit_space
from dmagnet.classes import FAMILIES, is_galaxy10
from dmagnet.errors import DataError
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.judging.metrics import Trust, score
from dmagnet.judging.predict import judge, look
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.storage.arrays import Floats, Ints
from dmagnet.storage.records import stamp

FEWEST = 20  # 19 are the fewest for which a 95 % set can be less than all classes

Progress = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Judged:
    """The answer of a network to labeled galaxies, in terms of their labels.

    Attributes
    ----------
    judgement : Judgement
        Of each class, calibrated where the weights were.
    labels : (N,) int
        Indices into ``names``.
    probabilities : (N, G) float
        Of each label, given that it is one of them; rows add up to 1.
    names : tuple of str
        The G labels: classes, or groups of classes where labels are coarse.
    trust : Trust
        Sets, disagreement and flags, in terms of the labels too.
    notes : tuple of str
        What to know about the labels.
    """

    judgement: Judgement
    labels: Ints
    probabilities: Floats
    names: tuple[str, ...]
    trust: Trust
    notes: tuple[str, ...] = ()


def judge_labeled(
    checkpoint: Checkpoint,
    galaxies: Galaxies,
    *,
    views: int | None = None,
    progress: Progress | None = None,
) -> Judged:
    """Classify labeled galaxies, in terms of their labels.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network, with its calibration if it has one.
    galaxies : Galaxies
        As the network wants to see them; labels may be sets of classes that share none.
    views : {1, 2, 4, 8}, optional
        Flips and quarter turns to average over; as calibrated if not given.
    progress : callable, optional
        Called with the number of galaxies done so far.

    Returns
    -------
    Judged
        Ready for `dmagnet.judging.score`.
    """
    judgement = judge(checkpoint, galaxies.images, views=views, progress=progress)
    return as_labeled(checkpoint, galaxies, judgement)


def as_labeled(
    checkpoint: Checkpoint, galaxies: Galaxies, judgement: Judgement
) -> Judged:
    """Turn what a network said into terms of the labels, which may be coarser.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network that judged.
    galaxies : Galaxies
        Their labels may be sets of classes that share none, else it is a DataError.
    judgement : Judgement
        Of the same galaxies, by `dmagnet.judging.predict.judge`.

    Returns
    -------
    Judged
        Ready for `dmagnet.judging.score`.
    """
    each = judgement.probabilities.astype(np.float64)
    each /= each.sum(axis=1, keepdims=True)
    calibration = checkpoint.calibration
    sets: tuple[Any, ...] = calibration.sets(each) if calibration else (None, None)
    flagged = None
    if judgement.ood is not None and calibration and calibration.space:
        flagged = judgement.ood > calibration.space.limit
    names, labels = tuple(checkpoint.class_names), galaxies.labels
    notes: tuple[str, ...] = ()
    if galaxies.label_sets:
        num = len(names)
        groups, labels = label_groups(labels, galaxies.label_sets, num)
        each = grouped(each, groups)
        sets = tuple(None if s is None else to_groups(s, groups) for s in sets)
        names = group_names(groups, names)
        left_out = num - sum(map(len, groups))
        kind = "class is" if left_out == 1 else "classes are"
        rest = f"; {left_out} {kind} no label here and count for nothing"
        notes = (
            f"labels are coarse: scores are over {len(names)} groups "
            f"({', '.join(names)}) with summed probabilities{rest if left_out else ''}",
        )
    low, high = sets
    trust = Trust(low, high, judgement.disagreement, flagged)
    return Judged(judgement, labels, each, names, trust, notes)


def group_names(groups: Groups, class_names: Sequence[str]) -> tuple[str, ...]:
    """Name groups of classes.

    Parameters
    ----------
    groups : tuple of tuple of int
        The classes of each group.
    class_names : sequence of str
        All classes.

    Returns
    -------
    tuple of str
        The class if it is one, the family if it is all of one, else the classes with
        "or" between them.
    """
    families: dict[tuple[int, ...], str] = {}
    if is_galaxy10(class_names):
        families = dict(zip(family_members(), FAMILIES, strict=True))
    return tuple(
        families.get(tuple(group)) or " or ".join(class_names[k] for k in group)
        for group in groups
    )


def fit_calibration(
    checkpoint: Checkpoint,
    held_back: Sequence[Galaxies],
    known: Sequence[Galaxies] = (),
    *,
    views: int | None = None,
    progress: Progress | None = None,
) -> Calibration:
    """Fit temperature, sets of classes and the flag for what is no galaxy.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network; of a calibration that it has, the feature space stays where
        ``known`` is empty.
    held_back : sequence of Galaxies
        Real galaxies that trained nothing, perhaps coarsely labeled; each set weighs
        the same, and has 20 or more (else a DataError).
    known : sequence of Galaxies
        Galaxies of training, for the feature space; labels do not matter.
    views : {1, 2, 4, 8}, optional
        Flips and quarter turns to average over, now and whenever the weights are
        used; as for the calibration they have if not given, or one look.
    progress : callable, optional
        As of `judge_labeled`.

    Returns
    -------
    Calibration
        Temperature from all of ``held_back``; thresholds from its sets whose every
        label is one class, or, without any, from all; the limit of the feature space
        such that 95 % of ``held_back`` stay below it.

    Notes
    -----
    A threshold from coarse labels promises only that a class of the right group is in
    the set; provenance says so. Scores before and after are of the galaxies of the fit;
    those of others are for `runs/trust.py`.
    """
    if not held_back or min(map(len, held_back)) < FEWEST:
        found = ", ".join(str(len(each)) for each in held_back) or "none"
        raise DataError(
            f"calibration: expected {FEWEST} labeled galaxies or more in each set, got "
            f"{found}; give more, or --split all"
        )
    old, model = checkpoint.calibration, checkpoint.model
    views, done = views_to_take(views, old), 0

    def _count(num: int) -> None:
        if progress:
            progress(done + num)

    parts, held_features, known_features = [], [], []
    for galaxies in held_back:
        each, features = look(model, galaxies.images, views=views, progress=_count)
        parts.append(_labeled(galaxies, each.mean(axis=0)))
        held_features.append(features)
        done += len(galaxies)
    for galaxies in known:  # the space is of single views
        _, features = look(model, galaxies.images, progress=_count)
        known_features.append(features[0])
        done += len(galaxies)
    temperature = fitting.fit_temperature(parts)
    full = [p for p, g in zip(parts, held_back, strict=True) if not g.label_sets]
    space = old.space if old else None
    if known_features:
        space = fit_space(np.concatenate(known_features))
    vector = fitting.fit_vector(parts)
    sets = [
        {
            "name": Path(galaxies.source).name,
            "data_hash": galaxies.data_hash,
            "n": len(galaxies),
            "labels": len(part.member),
            "before": _scores(part, part.probabilities),
            "after": _scores(part, tempered(part.probabilities, temperature)),
            "vector": _scores(part, fitting.vector_scaled(part.probabilities, *vector)),
        }
        for galaxies, part in zip(held_back, parts, strict=True)
    ]
    return Calibration(
        temperature=temperature,
        thresholds=_thresholds(full or parts, temperature),
        space=space.limited(*held_features) if space else None,
        views=views,
        provenance={
            **stamp(),
            "weights_hash": checkpoint.weights_hash,
            "sets": sets,
            "thresholds_from": "classes" if full else "groups of classes",
            "num_thresholds": sum(len(p.labels) for p in full or parts),
            "space_from": [
                {"name": Path(galaxies.source).name, "n": len(galaxies)}
                for galaxies in known
            ],
        },
    )


def _labeled(galaxies: Galaxies, each: Floats) -> Labeled:
    if not galaxies.label_sets:
        return Labeled(each, galaxies.labels)
    sets = galaxies.label_sets
    groups, labels = label_groups(galaxies.labels, sets, each.shape[1])
    return Labeled(each, labels, groups)


def _thresholds(parts: Sequence[Labeled], temperature: float) -> tuple[float, float]:
    """Fit the conformal sets; of a group counts its likeliest class."""
    best = [
        np.where(p.member[p.labels], tempered(p.probabilities, temperature), 0).max(1)
        for p in parts
    ]
    chosen = np.concatenate(best)[:, None]
    return fitting.conformal_thresholds(np.zeros(len(chosen), np.int64), chosen)


def _scores(part: Labeled, probabilities: Floats) -> dict[str, Any]:
    """Measure what a calibration is to improve, among the labels that occur."""
    among = grouped(probabilities, part.groups) if part.groups else probabilities
    names = [str(k) for k in range(among.shape[1])]
    found = score(part.labels, among, names, num_bootstrap=1)
    named = ("accuracy", "nll", "brier", "ece")
    return {name: round(getattr(found, name), 5) for name in named}
