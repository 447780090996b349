"""Draw: arrays in, a figure out; the only chapter that knows matplotlib.

Figures are made without pyplot, so nothing is shared between them and nothing shown.
"""

from matplotlib.figure import Figure

from dmagnet.figures.files import DPI, save, to_png
from dmagnet.figures.pictures import (
    galaxy_grid,
    lam_maps,
    lam_overlay,
    lam_reach,
    lam_scale,
)
from dmagnet.figures.plots import (
    confusion_matrix,
    per_class_f1,
    reliability_diagram,
    training_curves,
)

__all__ = [
    "DPI",
    "Figure",
    "confusion_matrix",
    "galaxy_grid",
    "lam_maps",
    "lam_overlay",
    "lam_reach",
    "lam_scale",
    "per_class_f1",
    "reliability_diagram",
    "save",
    "to_png",
    "training_curves",
]
