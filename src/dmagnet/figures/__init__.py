"""Figures: arrays in, a figure out; the only room that knows matplotlib.

Figures are made without pyplot, so nothing is shared between them and nothing shown.
"""

from matplotlib.figure import Figure

from dmagnet.figures.overlays import galaxy_grid, lam_maps
from dmagnet.figures.plots import (
    confusion_matrix,
    per_class_f1,
    reliability_diagram,
    risk_coverage_curve,
    training_curves,
)
from dmagnet.figures.saving import DPI, inline, save, to_png

__all__ = [
    "DPI",
    "Figure",
    "confusion_matrix",
    "galaxy_grid",
    "inline",
    "lam_maps",
    "per_class_f1",
    "reliability_diagram",
    "risk_coverage_curve",
    "save",
    "to_png",
    "training_curves",
]
