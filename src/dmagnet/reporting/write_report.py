"""A report as the page itself."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dmagnet.reporting.numbers_shown import (
    attended,
    by_class,
    curves,
    numbers,
    reliability_chart,
)
from dmagnet.reporting.page import SIDES, Picture, render_page, sheet, write_page
from dmagnet.reporting.report_record import Report, Shown

TEMPLATE = "report.html"


def write_report(out: Path, report: Report) -> Path:
    """Write the page; the same report makes the same bytes.

    Parameters
    ----------
    out : Path
        The file to write (``.html``), or the folder for a ``report.html``.
    report : Report
        What to show.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    DataError
        If examples do not fit each other, or the page would exceed 10 MB.
    """
    path = out if out.suffix == ".html" else out / "report.html"
    return write_page(path, lambda side: render(report, side))


def render(report: Report, side: int = SIDES[0]) -> str:
    """Return the page as text.

    Parameters
    ----------
    report : Report
        What to show.
    side : int
        Largest side of the picture of a galaxy, in px.

    Returns
    -------
    str
        HTML with all pictures and styles in it, and no script.

    Raises
    ------
    DataError
        If examples do not fit each other.
    """
    names: Sequence[str] = report.metrics.class_names if report.metrics else ()
    judged = report.metrics is not None
    values = {
        "report": report,
        "metrics": report.metrics,
        **numbers(report.metrics),
        "examples": by_class(report.examples, names, side) if judged else [],
        "attention": attended(report.attention, names, side) if judged else None,
        "reliability": reliability_chart(report.calibration),
        "explained": _pictures(report.explained),
        "dreams": [(row.name, _pictures(row.pictures)) for row in report.dreams],
        "study": _pictures(report.figures),
        "sheets": _pictures(report.failed.sheets if report.failed else ()),
        "curves": curves(report.history),
        "provenance": facts(report.provenance),
    }
    return render_page(TEMPLATE, values)


def _pictures(shown: Sequence[Shown]) -> list[Picture]:
    """Read pictures; those that are gone are left out."""
    found = [(one, sheet(one.path, one.alt)) for one in shown]
    return [
        picture | {"caption": one.caption.splitlines()}
        for one, picture in found
        if picture
    ]


def facts(provenance: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Prepare the table of where something comes from."""
    return [_fact(name, value) for name, value in provenance.items()]


def _fact(name: str, value: Any) -> dict[str, Any]:
    nested = isinstance(value, Mapping | list | tuple)
    text = json.dumps(value, indent=2, default=str) if nested else str(value)
    return {
        "name": name.replace("_", " "),
        "text": text,
        "nested": nested,
        "link": text.startswith(("https://", "http://")),
    }
