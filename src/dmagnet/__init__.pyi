"""What an editor completes; `__init__.py` loads it when it is first asked for."""

from collections.abc import Callable
from typing import Any

from dmagnet import config as config
from dmagnet.classifying import classify as classify
from dmagnet.classifying import nearest as nearest
from dmagnet.classifying.cutout_run import write_cutouts as cutouts
from dmagnet.cli.cite import citation as cite
from dmagnet.cli.demo import demo as demo
from dmagnet.cli.verbs import calibrate as calibrate
from dmagnet.cli.verbs import embed as embed
from dmagnet.cli.verbs import evaluate as evaluate
from dmagnet.cli.verbs import failures as failures
from dmagnet.cli.verbs import train as train
from dmagnet.config.recipes import recipe as recipe
from dmagnet.dreaming.runs import dream as dream
from dmagnet.dreaming.runs import redream as redream
from dmagnet.explaining import explain as explain
from dmagnet.exporting import export_onnx as export
from dmagnet.galaxies import load_galaxies as load_galaxies
from dmagnet.galaxies.download import fetch as fetch
from dmagnet.galaxies.repack import prepare as prepare
from dmagnet.galaxies.same_galaxy import audit_file as audit
from dmagnet.measuring.study_folder import measure as measure
from dmagnet.network import DMAGNet as DMAGNet
from dmagnet.network import load as load
from dmagnet.reporting import report_run as report
from dmagnet.reporting.galaxy_pages import write_pages as page
from dmagnet.reporting.galaxy_pages import write_pages as write_pages
from dmagnet.simulator import simulate as simulate
from dmagnet.training.fit import fit as fit

__all__ = [
    "DMAGNet",
    "__version__",
    "audit",
    "calibrate",
    "cite",
    "classify",
    "cutouts",
    "demo",
    "dream",
    "embed",
    "evaluate",
    "explain",
    "export",
    "failures",
    "fetch",
    "fit",
    "load",
    "load_galaxies",
    "measure",
    "nearest",
    "page",
    "prepare",
    "recipe",
    "redream",
    "report",
    "simulate",
    "train",
    "write_pages",
]
__version__: str

def _lazily(
    package: str, homes: dict[str, str] | None = None
) -> Callable[[str], Any]: ...
