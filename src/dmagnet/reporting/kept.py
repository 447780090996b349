"""What lies in a run folder for the page: words, curves and galaxies to show."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from dmagnet.config.checks import from_dict
from dmagnet.judging.reliability import Reliability
from dmagnet.reporting.report_record import Examples, Report
from dmagnet.storage.disk import beside, write_whole
from dmagnet.storage.records import as_written, read_arrays, read_json

WORDS, GALAXIES = "report.json", "report.npz"
TEXTS = ("title", "summary", "examples_note", "next_commands")
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
    words: dict[str, Any] = {name: getattr(report, name) for name in TEXTS}
    words["history"] = [
        {k: v for k, v in row.items() if np.isfinite(v)} for row in report.history
    ]
    bins = report.calibration
    words["reliability"] = bins and {
        name: np.asarray(values).tolist() for name, values in asdict(bins).items()
    }
    arrays: dict[str, Any] = {}
    for part in PARTS:
        shown: Examples | None = getattr(report, part)
        if shown is not None:
            arrays |= {
                f"{part}.{name}": np.asarray(values)
                for name, values in vars(shown).items()
                if values is not None
            }
    text = json.dumps(words, indent=1, allow_nan=False) + "\n"
    write_whole(folder / WORDS, text.encode())
    with beside(folder / GALAXIES) as new, new.open("wb") as file:
        np.savez(file, **arrays)


def kept(folder: Path, report: Report) -> Report:
    """Read back what `keep` wrote."""
    if (folder / WORDS).is_file():
        words = read_json(folder / WORDS, f"the words of {EVALUATED}")
        bins = words.get("reliability")
        with as_written(folder / WORDS, f"the words of {EVALUATED}"):
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
