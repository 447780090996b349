"""One self-contained page: what was done, how well, and how to go on.

The chapters, in order: `page` (pictures and text into one file), `record` (what a
report shows), `judged` (numbers and examples as the page wants them), `kept` (what lies
in a run folder for the page), `found` (what other verbs left there), `folder` (all of
it together) and `write`.
"""

from dmagnet.report.folder import read_run, report_run
from dmagnet.report.kept import keep
from dmagnet.report.page import MAX_BYTES, chart, photo, render_page, write_page
from dmagnet.report.record import DreamRow, Examples, Failed, Report, Shown
from dmagnet.report.write import render, write_report

__all__ = [
    "MAX_BYTES",
    "DreamRow",
    "Examples",
    "Failed",
    "Report",
    "Shown",
    "chart",
    "keep",
    "photo",
    "read_run",
    "render",
    "render_page",
    "report_run",
    "write_page",
    "write_report",
]
