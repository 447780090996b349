"""Whatever a run folder holds, as one report."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from dmagnet import __version__
from dmagnet.config.checks import from_dict, typed
from dmagnet.errors import DataError
from dmagnet.judging.judged_record import read_metrics
from dmagnet.reporting.report_page import write_report
from dmagnet.reporting.report_record import Failed, Report, Shown, kept
from dmagnet.storage.records import as_written, json_record, read_json

MOST_GALAXIES = 4  # with their dreams, of one record
MOST_SHEETS = 3
MOST_ROWS = 100
MOST_MAPS = 6
STUDY_FORM = 2  # of measure.json
STUDY = {
    "depth": "Measures of the dreams, layer by layer",
    "probes": "What can be read from each layer",
    "redreams": "How much a re-dream changes in each pass, beside random steps",
}


@dataclass(frozen=True, kw_only=True)
class _Dream:
    """What is read of one dream of a record."""

    image: str
    target: str
    target_name: str
    files: dict[str, str]
    probabilities: dict[str, list[float | None]] | None = None


@dataclass(frozen=True, kw_only=True)
class _Verdict:
    """What is read of one hypothesis of a study."""

    claim: str
    prediction: str
    expected: str
    trained: float | None
    p_holm: float | None
    control: str
    control_value: float | None
    difference: float | None
    low: float | None
    high: float | None
    n: int
    power: float | None
    verdict: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Explained:
    """What is read of one galaxy that was explained."""

    id: str
    target: str
    sums: dict[str, Any]
    files: dict[str, str]
    against: str | None = None


def dreams_of(path: Path) -> list[tuple[str, list[Shown]]]:
    """Read the dreams of a record, galaxy by galaxy."""
    rows: dict[str, list[Shown]] = {}
    with json_record(path, f"a {path.name} of 'dmagnet {path.stem}'") as record:
        names = typed(tuple[str, ...], record.get("class_names", []), "class_names")
        order = [*record["request"]["layers"], *record["request"]["classes"]]
        entries = [from_dict(_Dream, one, more=True) for one in record["dreams"]]
        for entry in sorted(entries, key=lambda e: _rank(e, order)):
            image, target = entry.image, entry.target_name
            galaxy = _inside(path.parent, entry.files["galaxy"])
            shown = rows.setdefault(
                image, [Shown(galaxy, f"Galaxy {image} before dreaming.", "galaxy")]
            )
            told = _change(entry.probabilities, names)
            shown.append(
                Shown(
                    _inside(path.parent, entry.files["dream"]),
                    f"Dream of {target} on galaxy {image}. {told}".strip(),
                    f"{target}\n{told}",
                )
            )
    return list(islice(rows.items(), MOST_GALAXIES))


def _rank(entry: _Dream, order: list[str]) -> tuple[str, int]:
    """Sort by galaxy, then by depth, then classes."""
    slug = entry.target.removesuffix("-guided")
    return entry.image, order.index(slug) if slug in order else len(order)


def _change(
    probabilities: dict[str, list[float | None]] | None, names: Sequence[str]
) -> str:
    """Name the class that the dream made most likely."""
    if not probabilities or not names:
        return ""
    before, after = probabilities["galaxy"], probabilities["dream"]
    best = max(range(len(after)), key=lambda k: after[k] or 0)
    told = (f"{100 * (p[best] or 0):.0f}" for p in (before, after))
    return f"{names[best]}: {' to '.join(told)} %"


def _inside(folder: Path, name: str) -> Path:
    """Follow a path of a record, but not out of its folder."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name} lies outside its folder")
    return path


def study_of(path: Path) -> tuple[list[dict[str, Any]], list[Shown]]:
    """Read the verdicts of a study, and find its figures."""
    with json_record(path, "a measure.json of 'dmagnet measure'") as record:
        if record.get("form") != STUDY_FORM:
            raise ValueError("one of another version")
        found = record["hypotheses"]
        rows = [asdict(from_dict(_Verdict, row, more=True)) for row in found]
    figures = [
        Shown(path.with_name(f"{name}.png"), f"{title}; a figure of the study.", title)
        for name, title in STUDY.items()
        if path.with_name(f"{name}.png").is_file()
    ]
    return rows, figures


def failures_of(path: Path) -> Failed:
    """Read what a network got wrong."""
    texts = ("id", "label_name", "class_name")
    numbers = ("probability", "probability_of_label")
    with (
        as_written(path, "the failures.ecsv of 'dmagnet failures'"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", AstropyWarning)  # it is whole, or refused
        table = Table.read(path, format="ascii.ecsv")
        rows = tuple(
            {n: str(row[n]) for n in texts} | {n: float(row[n]) for n in numbers}
            for row in table[:MOST_ROWS]
        )
        first: dict[str, Any] = {}
        for row in table:
            first.setdefault(str(row["sheet"]), (row["label_name"], row["class_name"]))
        sheets = [
            Shown(
                _inside(path.parent, name),
                f"Galaxies labeled {label} and called {answer}, the surest first.",
                f"labeled {label}, called {answer}",
            )
            for name, (label, answer) in islice(first.items(), MOST_SHEETS)
        ]
    return Failed(len(table), rows, tuple(sheets))


def explained_of(path: Path) -> list[Shown]:
    """Find the maps of a record of explanations."""
    with json_record(path, "an explain.json of 'dmagnet explain'") as record:
        found = record["galaxies"][:MOST_MAPS]
        return [_explained(path.parent, one) for one in found]


def _explained(folder: Path, entry: Any) -> Shown:
    one = from_dict(_Explained, entry, more=True)
    why = f"why {one.target}"
    if one.against:
        why += f" rather than {one.against}"
    methods = ", ".join(name.replace("_", " ") for name in one.sums)
    return Shown(
        _inside(folder, one.files["all"]),
        f"Galaxy {one.id} and maps of {why}: {methods}.",
        f"{one.id}: {why}",
    )


NAMES = (
    *("metrics.json", "dream.json", "redream.json", "measure.json", "explain.json"),
    "failures.ecsv",
)
METRICS, DREAM, REDREAM, MEASURE, EXPLAIN, FAILURES = NAMES
ORIGIN = ("version", "date", "weights_hash", "image_size", "radii", "data_hash")
DEPTH = 3  # folders below the run in which records are looked for
MOST_OTHERS = 20
MOST_DREAMS = 8  # galaxies


def report_run(run: str | Path, out: str | Path | None = None) -> Path:
    """Write one page of all that a run folder holds.

    Parameters
    ----------
    run : path
        Folder that train, evaluate, demo, dream, measure, explain or failures wrote
        into, or that holds such folders.
    out : path, optional
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
    run, out = Path(run), Path(out) if out else None
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
    title = f"DMAGNet: {run.resolve().name}"
    report = Report(title=title, summary="", history=history_of(run), provenance={})
    if paths := _records(run, METRICS):
        told = _provenance(paths[0])
        notes = told.get("notes")
        first = str(notes[0]) if notes and isinstance(notes, list) else ""
        metrics = read_metrics(paths[0])
        report = replace(report, metrics=metrics, summary=first, provenance=told)
    report = kept(paths[0].parent if paths else run, report)
    if not report.history and not any(_records(run, name) for name in NAMES):
        raise DataError(
            f"{run}: expected {', '.join(NAMES)} or the log of a training, found none; "
            "evaluate the weights first: dmagnet evaluate WEIGHTS DATA -o RUN"
        )
    return gathered(report, run)


def gathered(report: Report, run: Path) -> Report:
    """Add to the report of an evaluation all else that a run folder holds."""
    found = {name: _records(run, name) for name in NAMES}
    dreams = chain.from_iterable(map(dreams_of, found[DREAM] + found[REDREAM]))
    studies = [study_of(path) for path in found[MEASURE]]
    explained = chain.from_iterable(map(explained_of, found[EXPLAIN]))
    others = {
        path.relative_to(run).as_posix(): told
        for path in chain(*(found[name] for name in (DREAM, REDREAM, MEASURE, EXPLAIN)))
        if (told := _provenance(path))
    }
    return replace(
        report,
        dreams=list(islice(dreams, MOST_DREAMS)),
        hypotheses=studies[0][0] if studies else (),
        figures=studies[0][1] if studies else (),
        failed=next(map(failures_of, found[FAILURES]), None),
        explained=list(explained),
        others=[
            (path.parent.relative_to(run).as_posix(), read_metrics(path))
            for path in found[METRICS][1 : MOST_OTHERS + 1]
        ],
        provenance={**report.provenance, **others} or {"version": __version__},
    )


def _records(run: Path, name: str) -> list[Path]:
    """Find the records of a name, those nearest to the run folder first."""
    levels = (run.glob("*/" * depth + name) for depth in range(DEPTH + 1))
    return [path for level in levels for path in sorted(level) if path.is_file()]


def history_of(run: Path) -> list[dict[str, float]]:
    """Read the log of a training, if there is one."""
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
