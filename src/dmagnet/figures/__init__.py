"""Figures: arrays in, a figure out; the only room that knows matplotlib.

Figures are made without pyplot, so nothing is shared between them and nothing shown.
"""

from matplotlib.figure import Figure as Figure

from dmagnet.figures.overlays import galaxy_grid as galaxy_grid
from dmagnet.figures.overlays import lam_maps as lam_maps
from dmagnet.figures.plots import confusion_matrix as confusion_matrix
from dmagnet.figures.plots import per_class_f1 as per_class_f1
from dmagnet.figures.plots import reliability_diagram as reliability_diagram
from dmagnet.figures.plots import risk_coverage_curve as risk_coverage_curve
from dmagnet.figures.plots import training_curves as training_curves
from dmagnet.figures.saving import DPI as DPI
from dmagnet.figures.saving import inline as inline
from dmagnet.figures.saving import save as save
from dmagnet.figures.saving import to_png as to_png
