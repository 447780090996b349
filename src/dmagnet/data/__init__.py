"""Get galaxies, check them, divide them, and load them from any form they come in."""

from dmagnet.data.download import GALAXY10_SHA256, GALAXY10_URL, data_folder, fetch
from dmagnet.data.galaxies import PARTS, Galaxies
from dmagnet.data.load import load_galaxies
from dmagnet.data.partial import coarse, joined, read_meanings
from dmagnet.data.repack import prepare, read_prepared
from dmagnet.data.sky import Audit, audit, read_positions
from dmagnet.data.split import Split, leak_safe_split, published_split

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
