"""One page per galaxy: what it is called, why, what it is like, and what is like it.

The chapters, in order: `classical` (morphology in numbers, ours and statmorph's),
`record` (what a page shows), `reference` (galaxies to compare with), `portrait` (all of
one galaxy), `page` (as HTML) and `pages` (many galaxies, an index, a record).
"""

from dmagnet.galaxy.classical import Classical, measure_classical
from dmagnet.galaxy.page import render_index, render_portrait
from dmagnet.galaxy.pages import Pages, write_pages
from dmagnet.galaxy.portrait import portraits
from dmagnet.galaxy.record import LAYERS, Dreamt, Neighbor, Portrait
from dmagnet.galaxy.reference import Reference, nearest, open_reference

__all__ = [
    "LAYERS",
    "Classical",
    "Dreamt",
    "Neighbor",
    "Pages",
    "Portrait",
    "Reference",
    "measure_classical",
    "nearest",
    "open_reference",
    "portraits",
    "render_index",
    "render_portrait",
    "write_pages",
]
