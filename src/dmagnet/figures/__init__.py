"""Draw: arrays in, a figure out; the only chapter that knows matplotlib.

Figures are made without pyplot, so nothing is shared between them and nothing shown.
"""

from matplotlib.figure import Figure

from dmagnet.figures.attention_maps import (
    galaxy_grid,
    lam_maps,
    lam_overlay,
    lam_reach,
    lam_scale,
)
from dmagnet.figures.depth_plots import (
    chain_curves,
    class_paths,
    depth_trends,
    forgetting,
    likeness_tables,
    probe_curves,
)
from dmagnet.figures.dream_plots import detail_picture, detail_reach, redream_passes
from dmagnet.figures.evidence_plots import evidence_figure, overlay, reach_of
from dmagnet.figures.plots import (
    confusion_matrix,
    per_class_f1,
    reliability_diagram,
    risk_coverage_curve,
    training_curves,
)
from dmagnet.figures.saving import DPI, save, to_png

__all__ = [
    "DPI",
    "Figure",
    "chain_curves",
    "class_paths",
    "confusion_matrix",
    "depth_trends",
    "detail_picture",
    "detail_reach",
    "evidence_figure",
    "forgetting",
    "galaxy_grid",
    "lam_maps",
    "lam_overlay",
    "lam_reach",
    "lam_scale",
    "likeness_tables",
    "overlay",
    "per_class_f1",
    "probe_curves",
    "reach_of",
    "redream_passes",
    "reliability_diagram",
    "risk_coverage_curve",
    "save",
    "to_png",
    "training_curves",
]
