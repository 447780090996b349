"""What lies in a run folder for the page: words, curves and galaxies to show."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from dmagnet.disk import beside, write_whole
from dmagnet.errors import DataError
from dmagnet.evaluate import Reliability
from dmagnet.report.record import Examples, Report

WORDS, GALAXIES = "report.json", "report.npz"
TEXTS = ("title", "summary", "examples_note", "next_commands")
PARTS = ("examples", "attention")


def keep(folder: Path, report: Report) -> None:
    """Write down what only this moment knows, so that the page can be made again.

    Parameters
    ----------
    folder : Path
        Of the run; it holds ``metrics.json`` beside.
    report : Report
        Its words, bins, log, examples and attention are kept.

    Raises
    ------
    DataError
        If the disk refuses.
    """
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
    """Read back what `keep` wrote.

    Parameters
    ----------
    folder : Path
        Of the run.
    report : Report
        What is known already.

    Returns
    -------
    Report
        The same with what was kept, if anything was.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    if (folder / WORDS).is_file():
        words = read_json(folder / WORDS, "report.json of 'dmagnet evaluate'")
        bins = words.get("reliability")
        report = replace(
            report,
            **{name: words[name] for name in TEXTS if name in words},
            history=words.get("history") or report.history,
            calibration=None if bins is None else _bins(folder / WORDS, bins),
        )
    if (folder / GALAXIES).is_file():
        shown = _examples(folder / GALAXIES)
        report = replace(
            report, examples=shown.get("examples"), attention=shown.get("attention")
        )
    return report


def read_json(path: Path, expected: str) -> dict[str, Any]:
    """Read a record that a verb left.

    Parameters
    ----------
    path : Path
        The file.
    expected : str
        What it should be, for the message.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    DataError
        If it is damaged, or no record.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: expected the {expected}, got {type(error).__name__}: {error}; "
            "make it again, or take it away"
        ) from error
    if not isinstance(values, dict):
        raise DataError(
            f"{path}: expected the {expected}, got a {type(values).__name__}; make it "
            "again, or take it away"
        )
    return values


def _bins(path: Path, values: Mapping[str, Any]) -> Reliability:
    try:
        return Reliability(**{k: np.array(v) for k, v in values.items()})
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: expected bins of a reliability diagram, got {error}; evaluate "
            "the weights again"
        ) from error


def _examples(path: Path) -> dict[str, Examples]:
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(
            f"{path}: expected the galaxies of a report, got {type(error).__name__}: "
            f"{error}; evaluate the weights again, or take it away"
        ) from error
    found = {}
    for part in PARTS:
        values = {
            name.removeprefix(f"{part}."): array
            for name, array in arrays.items()
            if name.startswith(f"{part}.")
        }
        if {"images", "labels", "probabilities"} <= set(values):
            found[part] = Examples(**values)
    return found
