"""Self-contained pages: an evaluation, its failures, a galaxy, a whole run."""

from typing import TYPE_CHECKING

from dmagnet import _lazily
from dmagnet.reporting.kept import keep
from dmagnet.reporting.page import MAX_BYTES, chart, photo, render_page, write_page
from dmagnet.reporting.report_record import DreamRow, Examples, Failed, Report, Shown
from dmagnet.reporting.run_report import read_run, report_run
from dmagnet.reporting.write_report import render, write_report

if TYPE_CHECKING:
    from dmagnet.reporting.classical import Classical, measure_classical
    from dmagnet.reporting.galaxy_page import render_index, render_portrait
    from dmagnet.reporting.galaxy_pages import Pages, write_pages
    from dmagnet.reporting.galaxy_record import LAYERS, Dreamt, Neighbor, Portrait
    from dmagnet.reporting.portrait import portraits
    from dmagnet.reporting.reference import Reference, nearest, open_reference

__all__ = [
    "LAYERS",
    "MAX_BYTES",
    "Classical",
    "DreamRow",
    "Dreamt",
    "Examples",
    "Failed",
    "Neighbor",
    "Pages",
    "Portrait",
    "Reference",
    "Report",
    "Shown",
    "chart",
    "keep",
    "measure_classical",
    "nearest",
    "open_reference",
    "photo",
    "portraits",
    "read_run",
    "render",
    "render_index",
    "render_page",
    "render_portrait",
    "report_run",
    "write_page",
    "write_pages",
    "write_report",
]

_GALAXY = {
    "Classical": "dmagnet.reporting.classical",
    "measure_classical": "dmagnet.reporting.classical",
    "render_index": "dmagnet.reporting.galaxy_page",
    "render_portrait": "dmagnet.reporting.galaxy_page",
    "Pages": "dmagnet.reporting.galaxy_pages",
    "write_pages": "dmagnet.reporting.galaxy_pages",
    "portraits": "dmagnet.reporting.portrait",
    "LAYERS": "dmagnet.reporting.galaxy_record",
    "Dreamt": "dmagnet.reporting.galaxy_record",
    "Neighbor": "dmagnet.reporting.galaxy_record",
    "Portrait": "dmagnet.reporting.galaxy_record",
    "Reference": "dmagnet.reporting.reference",
    "nearest": "dmagnet.reporting.reference",
    "open_reference": "dmagnet.reporting.reference",
}
__getattr__ = _lazily(__name__, _GALAXY)  # torch, when it is wanted
