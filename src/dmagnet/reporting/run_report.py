"""Whatever a run folder holds, as one report."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from dmagnet import __version__
from dmagnet.errors import DataError
from dmagnet.judging.judged_record import read_metrics
from dmagnet.reporting.found import dreams_of, explained_of, failures_of, study_of
from dmagnet.reporting.kept import kept
from dmagnet.reporting.report_record import Report
from dmagnet.reporting.write_report import write_report
from dmagnet.storage.records import read_json

METRICS = "metrics.json"
NAMES = (METRICS, "dream.json", "redream.json", "measure.json", "explain.json",
         "failures.ecsv")  # fmt: skip
ORIGIN = ("version", "date", "weights_hash", "image_size", "radii", "data_hash")
DEPTH = 3  # folders below the run in which records are looked for
MOST_OTHERS = 20
MOST_DREAMS = 8  # galaxies


def report_run(run: Path, out: Path | None = None) -> Path:
    """Write one page of all that a run folder holds.

    Parameters
    ----------
    run : Path
        Folder that train, evaluate, demo, dream, measure, explain or failures wrote
        into, or that holds such folders.
    out : Path, optional
        The file to write (``.html``), or a folder for a ``report.html``; the run
        folder if not given.

    Returns
    -------
    Path
        The page: one file that needs nothing else, of at most 10 MB.

    Raises
    ------
    DataError
        If there is nothing to report, a record is damaged, or the disk refuses.
    """
    return write_report(run if out is None else out, read_run(run))


def read_run(run: Path) -> Report:
    """Collect all that a run folder holds.

    Parameters
    ----------
    run : Path
        As for `report_run`.

    Returns
    -------
    Report
        What was found; the rest is empty.

    Raises
    ------
    DataError
        If there is nothing to report, or a record is damaged.
    """
    if not run.is_dir():
        there = "a file" if run.exists() else "nothing"
        raise DataError(
            f"{run}: expected the folder of a run, found {there}; give one that "
            "'dmagnet train', 'evaluate', 'dream', 'measure' or 'failures' wrote"
        )
    found = {name: list(_records(run, name)) for name in NAMES}
    report = Report(
        title=f"DMAGNet: {run.resolve().name}",
        summary="",
        history=_history(run),
        provenance={},
    )
    report = _judged(report, run, found[METRICS])
    records = [*found["dream.json"], *found["redream.json"]]
    dreams = chain.from_iterable(map(dreams_of, records))
    studies = [study_of(path) for path in found["measure.json"]]
    report = replace(
        report,
        dreams=[row for row, _ in zip(dreams, range(MOST_DREAMS), strict=False)],
        hypotheses=studies[0][0] if studies else (),
        figures=studies[0][1] if studies else (),
        failed=next(map(failures_of, found["failures.ecsv"]), None),
        explained=[
            shown for path in found["explain.json"] for shown in explained_of(path)
        ],
    )
    if not any((report.metrics, report.history, *map(len, found.values()))):
        raise DataError(
            f"{run}: expected {', '.join(NAMES)} or the log of a training, found none; "
            "evaluate the weights first: dmagnet evaluate WEIGHTS DATA -o RUN"
        )
    others = {
        path.relative_to(run).as_posix(): told
        for path in chain.from_iterable(found.values())
        if path.suffix == ".json" and path.name != METRICS
        if (told := _provenance(path))
    }
    told = {**report.provenance, **others} or {"version": __version__}
    return replace(report, provenance=told)


def _judged(report: Report, run: Path, paths: list[Path]) -> Report:
    """Read the evaluation that is nearest to the run folder, and name the others."""
    if not paths:
        return kept(run, report)
    first = paths[0]
    metrics = read_metrics(first)
    others = [
        (path.parent.relative_to(run).as_posix(), read_metrics(path))
        for path in paths[1:MOST_OTHERS]
    ]
    told = _provenance(first)
    notes = told.get("notes") or [""]
    report = replace(
        report,
        metrics=metrics,
        summary=str(notes[0]),
        others=others,
        provenance=told,
    )
    return kept(first.parent, report)


def _records(run: Path, name: str) -> Iterator[Path]:
    """Find the records of a name, those nearest to the run folder first."""
    for depth in range(DEPTH + 1):
        yield from sorted(
            path for path in run.glob("*/" * depth + name) if path.is_file()
        )


def _history(run: Path) -> list[dict[str, float]]:
    if not (run / "logs").is_dir():
        return []
    from dmagnet.training.run_folder import history  # loads the trainer

    return history(run)


def _provenance(path: Path) -> dict[str, Any]:
    """Read what a record says of its origin, at its end or at its top."""
    record = read_json(path, f"a {path.name} of dmagnet")
    told = record.get("provenance")
    if isinstance(told, dict):
        return told
    return {name: record[name] for name in ORIGIN if name in record}
