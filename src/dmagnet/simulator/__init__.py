"""Simulated galaxies of all ten classes, from fluxes to the viewer's picture.

The chapters, in order: `profiles` (how light falls off), `dice` and `grid` (draws
and pixels), `population` (who lives there), `render` (their light), `sky` (stars,
seeing, noise), `scene` (one frame, as a JPEG), `pairs` (one thing changed, and where
it shows) and `datasets` (many frames).
"""

from dmagnet.simulator.datasets import simulate as simulate
from dmagnet.simulator.datasets import simulate_chunks as simulate_chunks
from dmagnet.simulator.datasets import write_hdf5 as write_hdf5
from dmagnet.simulator.pairs import components as components
from dmagnet.simulator.pairs import parameter_names as parameter_names
from dmagnet.simulator.pairs import together as together
from dmagnet.simulator.pairs import with_parameter as with_parameter
from dmagnet.simulator.scene import draw as draw
from dmagnet.simulator.scene import draw_flux as draw_flux
