"""What other verbs left in a run folder: dreams, studies, failures, explanations."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from dmagnet.config.checks import from_dict, typed
from dmagnet.reporting.report_record import DreamRow, Failed, Shown
from dmagnet.storage.records import as_written, read_json

MOST_GALAXIES = 4  # with their dreams, of one record
MOST_SHEETS = 3
MOST_ROWS = 100
MOST_MAPS = 6
STUDY = {
    "depth": "Measures of the dreams, layer by layer",
    "probes": "What can be read from each layer",
    "likeness": "How alike the layers are",
    "trajectory": "How sure the network stays of the class while it dreams",
    "resolution": "How dreams depend on the resolution",
    "forgetting": "Dreams while the network forgets from the top down",
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
    random: float | None
    n: int
    difference: float | None
    low: float | None
    high: float | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class _Explained:
    """What is read of one galaxy that was explained."""

    id: str
    target: str
    sums: dict[str, Any]
    files: dict[str, str]
    against: str | None = None


def dreams_of(path: Path) -> Iterator[DreamRow]:
    """Read the dreams of a record."""
    what = f"a {path.name} of 'dmagnet {path.stem}'"
    record = read_json(path, what)
    rows: dict[str, list[Shown]] = {}
    with as_written(path, what):
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
    for name, shown in list(rows.items())[:MOST_GALAXIES]:
        yield DreamRow(name, tuple(shown))


def _rank(entry: _Dream, order: list[str]) -> tuple[str, int]:
    """Sort by galaxy, then by depth, then classes."""
    slug = entry.target.removesuffix("-guided")
    return entry.image, order.index(slug) if slug in order else len(order)


def _change(
    probabilities: dict[str, list[float | None]] | None, names: Sequence[str]
) -> str:
    """Say which class the dream made most likely."""
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
    what = "a measure.json of 'dmagnet measure'"
    record = read_json(path, what)
    with as_written(path, what):
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
        names = list(dict.fromkeys(str(sheet) for sheet in table["sheet"]))
        pairs = {str(row["sheet"]): row for row in reversed(table)}
        sheets = [
            Shown(
                _inside(path.parent, name),
                f"Galaxies labeled {pairs[name]['label_name']} and called "
                f"{pairs[name]['class_name']}, the surest first.",
                f"labeled {pairs[name]['label_name']}, called "
                f"{pairs[name]['class_name']}",
            )
            for name in names[:MOST_SHEETS]
        ]
    return Failed(len(table), rows, tuple(sheets))


def explained_of(path: Path) -> list[Shown]:
    """Find the maps of a record of explanations."""
    what = "an explain.json of 'dmagnet explain'"
    record = read_json(path, what)
    with as_written(path, what):
        found = record["galaxies"][:MOST_MAPS]
        galaxies = [from_dict(_Explained, one, more=True) for one in found]
        return [_explained(path.parent, one) for one in galaxies]


def _explained(folder: Path, one: _Explained) -> Shown:
    why = f"why {one.target}"
    if one.against:
        why += f" rather than {one.against}"
    methods = ", ".join(name.replace("_", " ") for name in one.sums)
    return Shown(
        _inside(folder, one.files["all"]),
        f"Galaxy {one.id} and maps of {why}: {methods}.",
        f"{one.id}: {why}",
    )
