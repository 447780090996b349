"""Self-contained pages: an evaluation, its failures, a galaxy, a run, a map."""

from typing import TYPE_CHECKING

from dmagnet import _lazily
from dmagnet.reporting.report_page import write_report as write_report
from dmagnet.reporting.report_record import Examples as Examples
from dmagnet.reporting.report_record import Report as Report
from dmagnet.reporting.run_report import read_run as read_run
from dmagnet.reporting.run_report import report_run as report_run

if TYPE_CHECKING:
    from dmagnet.reporting.classical import Classical as Classical
    from dmagnet.reporting.classical import measure_classical as measure_classical
    from dmagnet.reporting.galaxy_pages import write_pages as write_pages
    from dmagnet.reporting.galaxy_record import Portrait as Portrait
    from dmagnet.reporting.map_page import write_map as write_map
    from dmagnet.reporting.portrait import portraits as portraits
    from dmagnet.reporting.reference import nearest as nearest
    from dmagnet.reporting.reference import open_reference as open_reference

__getattr__ = _lazily(__name__)  # torch, when it is wanted
