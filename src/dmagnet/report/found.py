"""What other verbs left in a run folder: dreams, studies, failures, explanations."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from astropy.table import Table
from astropy.utils.exceptions import AstropyWarning

from dmagnet.errors import DataError
from dmagnet.report.kept import read_json
from dmagnet.report.record import DreamRow, Failed, Shown

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


def dreams_of(path: Path) -> Iterator[DreamRow]:
    """Read the dreams of a record.

    Parameters
    ----------
    path : Path
        A ``dream.json`` or ``redream.json``.

    Yields
    ------
    DreamRow
        A galaxy with its dreams, as the record lists them; at most `MOST_GALAXIES`.

    Raises
    ------
    DataError
        If it is no such record.
    """
    record = read_json(path, f"{path.name} of 'dmagnet {path.stem}'")
    names = record.get("class_names") or []
    rows: dict[str, list[Shown]] = {}
    try:
        order = [*record["request"]["layers"], *record["request"]["classes"]]
        entries = sorted(record["dreams"], key=lambda e: _rank(e, order))
        for entry in entries:
            image, target = str(entry["image"]), str(entry["target_name"])
            files = entry["files"]
            galaxy = _inside(path.parent, files["galaxy"])
            shown = rows.setdefault(
                image, [Shown(galaxy, f"Galaxy {image} before dreaming.", "galaxy")]
            )
            told = _change(entry.get("probabilities"), names)
            shown.append(
                Shown(
                    _inside(path.parent, files["dream"]),
                    f"Dream of {target} on galaxy {image}. {told}".strip(),
                    f"{target}\n{told}",
                )
            )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(
            f"{path}: expected a record of dreams, got {type(error).__name__}: "
            f"{error}; dream again, or take it away"
        ) from error
    for name, shown in list(rows.items())[:MOST_GALAXIES]:
        yield DreamRow(name, tuple(shown))


def _rank(entry: Mapping[str, Any], order: list[str]) -> tuple[str, int]:
    """Sort by galaxy, then by depth, then classes."""
    slug = str(entry["target"]).removesuffix("-guided")
    return str(entry["image"]), order.index(slug) if slug in order else len(order)


def _change(probabilities: Any, names: list[str]) -> str:
    """Say which class the dream made most likely."""
    if not probabilities or not names:
        return ""
    before, after = probabilities["galaxy"], probabilities["dream"]
    best = max(range(len(after)), key=lambda k: after[k] or 0)
    return f"{names[best]}: {100 * before[best]:.0f} to {100 * after[best]:.0f} %"


def _inside(folder: Path, name: str) -> Path:
    """Follow a path of a record, but not out of its folder."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name} lies outside its folder")
    return path


def study_of(path: Path) -> tuple[list[dict[str, Any]], list[Shown]]:
    """Read the verdicts of a study, and find its figures.

    Parameters
    ----------
    path : Path
        A ``measure.json``.

    Returns
    -------
    tuple of list of dict and list of Shown
        Rows of the table of hypotheses; figures that lie beside.

    Raises
    ------
    DataError
        If it is no such record.
    """
    record = read_json(path, "measure.json of 'dmagnet measure'")
    rows = record.get("hypotheses")
    wanted = ("claim", "prediction", "expected", "trained", "p_holm", "random", "n",
              "difference", "low", "high", "verdict")  # fmt: skip
    if not isinstance(rows, list) or any(
        not isinstance(row, dict) or set(wanted) - set(row) for row in rows
    ):
        raise DataError(
            f"{path}: expected hypotheses with {', '.join(wanted)}, got others; "
            "measure again, or take it away"
        )
    figures = [
        Shown(path.with_name(f"{name}.png"), f"{title}; a figure of the study.", title)
        for name, title in STUDY.items()
        if path.with_name(f"{name}.png").is_file()
    ]
    return rows, figures


def failures_of(path: Path) -> Failed:
    """Read what a network got wrong.

    Parameters
    ----------
    path : Path
        A ``failures.ecsv``.

    Returns
    -------
    Failed
        The first rows, and sheets that lie beside.

    Raises
    ------
    DataError
        If it is no such table.
    """
    columns = ("id", "label_name", "class_name", "probability", "probability_of_label")
    try:
        table = Table.read(path, format="ascii.ecsv")
        rows = tuple(
            {name: _plain(row[name]) for name in columns} for row in table[:MOST_ROWS]
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
    except (OSError, KeyError, ValueError, TypeError, AstropyWarning) as error:
        raise DataError(
            f"{path}: expected the failures.ecsv of 'dmagnet failures', got "
            f"{type(error).__name__}: {error}; make it again, or take it away"
        ) from error
    return Failed(len(table), rows, tuple(sheets))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def explained_of(path: Path) -> list[Shown]:
    """Find the maps of a record of explanations.

    Parameters
    ----------
    path : Path
        An ``explain.json``.

    Returns
    -------
    list of Shown
        Overlays that lie beside, at most `MOST_MAPS`.

    Raises
    ------
    DataError
        If it is no such record.
    """
    record = read_json(path, "explain.json of 'dmagnet explain'")
    try:
        return [_explained(path.parent, one) for one in record["galaxies"][:MOST_MAPS]]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: expected a record of explanations, got {type(error).__name__}: "
            f"{error}; explain again, or take it away"
        ) from error


def _explained(folder: Path, one: Mapping[str, Any]) -> Shown:
    why = f"why {one['target']}"
    if one.get("against"):
        why += f" rather than {one['against']}"
    methods = ", ".join(name.replace("_", " ") for name in one["sums"])
    return Shown(
        _inside(folder, one["files"]["all"]),
        f"Galaxy {one['id']} and maps of {why}: {methods}.",
        f"{one['id']}: {why}",
    )
