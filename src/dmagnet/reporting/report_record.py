"""All that a report shows, as plain data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmagnet.config.checks import from_dict
from dmagnet.judging import Metrics, Reliability
from dmagnet.storage.arrays import AnyFloats, Pixels
from dmagnet.storage.records import (
    as_written,
    brief,
    json_record,
    plain_json,
    read_arrays,
    write_arrays,
    write_json,
)


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

    images: Pixels
    labels: NDArray[np.integer[Any]]
    probabilities: AnyFloats
    masks: AnyFloats | None = None

    __repr__ = brief


@dataclass(frozen=True)
class Shown:
    """A picture of a run folder."""

    path: Path
    alt: str  # what it shows, for those who do not see it
    caption: str = ""  # under it


@dataclass(frozen=True)
class Failed:
    """Galaxies that are called something else than their label."""

    num: int  # all of them
    rows: tuple[Mapping[str, Any], ...]  # the first of the table
    sheets: tuple[Shown, ...] = ()  # of the most frequent confusions


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """All that the page shows, as plain data; what is not there is left out.

    Attributes
    ----------
    title : str
        Of the page.
    summary : str
        One sentence in plain words: what was done.
    metrics : Metrics or None
        What `dmagnet.judging.score` returned.
    calibration : Reliability or None
        What `dmagnet.judging.reliability` returned.
    examples : Examples or None
        Some galaxies of each class; the page tells right from wrong.
    examples_note : str
        How they were chosen.
    attention : Examples or None
        Galaxies with masks.
    explained : sequence of Shown
        Maps of why galaxies are called what they are called.
    dreams : sequence of (str, sequence of Shown)
        Names of galaxies, and their pictures: the galaxy, then dreams by depth.
    hypotheses : sequence of mapping
        Rows of ``hypotheses`` in a ``measure.json``.
    figures : sequence of Shown
        Pictures of a study.
    failed : Failed or None
        What went wrong, galaxy by galaxy.
    others : sequence of (str, Metrics)
        Further evaluations of the run, by folder.
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
    metrics: Metrics | None = None
    calibration: Reliability | None = None
    examples: Examples | None = None
    examples_note: str = ""
    attention: Examples | None = None
    explained: Sequence[Shown] = ()
    dreams: Sequence[tuple[str, Sequence[Shown]]] = ()
    hypotheses: Sequence[Mapping[str, Any]] = ()
    figures: Sequence[Shown] = ()
    failed: Failed | None = None
    others: Sequence[tuple[str, Metrics]] = ()
    history: Sequence[Mapping[str, Any]] = ()
    provenance: Mapping[str, Any]
    next_commands: Sequence[tuple[str, str]] = ()


WORDS, GALAXIES = "report.json", "report.npz"
TEXTS = ("title", "summary", "examples_note", "next_commands")
KEPT = (*TEXTS, "history")
PARTS = ("examples", "attention")
EVALUATED = "a report of 'dmagnet evaluate'"


@dataclass(frozen=True, kw_only=True)
class _Words:
    """What is read of ``report.json``, but the bins."""

    title: str = ""
    summary: str = ""
    examples_note: str = ""
    next_commands: list[list[str]] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)


def keep(folder: Path, report: Report) -> None:
    """Write down what only this moment knows, so that the page can be made again."""
    words: dict[str, Any] = {name: getattr(report, name) for name in KEPT}
    words["reliability"] = report.calibration and plain_json(vars(report.calibration))
    arrays: dict[str, Any] = {}
    for part in PARTS:
        shown: Examples | None = getattr(report, part)
        if shown is not None:
            arrays |= {
                f"{part}.{name}": np.asarray(values)
                for name, values in vars(shown).items()
                if values is not None
            }
    write_json(folder / WORDS, words)
    write_arrays(folder / GALAXIES, arrays)


def kept(folder: Path, report: Report) -> Report:
    """Read back what `keep` wrote."""
    if (folder / WORDS).is_file():
        with json_record(folder / WORDS, f"the words of {EVALUATED}") as words:
            bins = words.get("reliability")
            told = from_dict(_Words, words, more=True)
            report = replace(
                report,
                **{name: getattr(told, name) for name in TEXTS if name in words},
                history=told.history or report.history,
                calibration=None if bins is None else _reliability(bins),
            )
    if (folder / GALAXIES).is_file():
        shown = _examples(folder / GALAXIES)
        report = replace(
            report, examples=shown.get("examples"), attention=shown.get("attention")
        )
    return report


def _reliability(values: Mapping[str, Any]) -> Reliability:
    """Make bins of plain values, all as many."""
    columns = {name: np.array(v, np.float64) for name, v in values.items()}
    if len({column.shape for column in columns.values()}) != 1:
        raise ValueError("columns of different lengths")
    if not all(np.isfinite(c).all() and c.size for c in columns.values()):
        raise ValueError("numbers that are missing")
    return Reliability(**columns)  # type: ignore[arg-type]


def _examples(path: Path) -> dict[str, Examples]:
    arrays = read_arrays(path, f"the galaxies of {EVALUATED}")
    found = {}
    for part in PARTS:
        values = {
            name.removeprefix(f"{part}."): array
            for name, array in arrays.items()
            if name.startswith(f"{part}.")
        }
        if {"images", "labels", "probabilities"} <= set(values):
            with as_written(path, f"the galaxies of {EVALUATED}"):
                found[part] = Examples(**values)
    return found
