"""Get galaxies, check them, divide them, and load them from any form they come in."""

from dmagnet.galaxies.download import GALAXY10_SHA256, GALAXY10_URL, data_folder, fetch
from dmagnet.galaxies.galaxies import PARTS, Galaxies
from dmagnet.galaxies.load import load_galaxies
from dmagnet.galaxies.partial import coarse, joined, read_meanings
from dmagnet.galaxies.repack import prepare, read_prepared
from dmagnet.galaxies.same_galaxy import Audit, audit, read_positions
from dmagnet.galaxies.split import Split, leak_safe_split, published_split

__all__ = [
    "GALAXY10_SHA256",
    "GALAXY10_URL",
    "PARTS",
    "Audit",
    "Galaxies",
    "Split",
    "audit",
    "coarse",
    "data_folder",
    "fetch",
    "joined",
    "leak_safe_split",
    "load_galaxies",
    "prepare",
    "published_split",
    "read_meanings",
    "read_positions",
    "read_prepared",
]
