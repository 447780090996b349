"""Get galaxies, check them, divide them, and load them from any form they come in."""

from typing import TYPE_CHECKING

from dmagnet import _lazily

if TYPE_CHECKING:
    from dmagnet.galaxies.download import GALAXY10_SHA256, GALAXY10_URL, fetch
    from dmagnet.galaxies.galaxies import PARTS, Galaxies
    from dmagnet.galaxies.load import load_galaxies
    from dmagnet.galaxies.partial import coarse, joined, read_meanings
    from dmagnet.galaxies.repack import prepare, read_prepared
    from dmagnet.galaxies.same_galaxy import Audit, audit, read_positions
    from dmagnet.galaxies.split import Split, leak_safe_split, published_split
    from dmagnet.storage.disk import data_folder

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

_HOMES = {
    "GALAXY10_SHA256": "dmagnet.galaxies.download",
    "GALAXY10_URL": "dmagnet.galaxies.download",
    "data_folder": "dmagnet.storage.disk",
    "fetch": "dmagnet.galaxies.download",
    "PARTS": "dmagnet.galaxies.galaxies",
    "Galaxies": "dmagnet.galaxies.galaxies",
    "load_galaxies": "dmagnet.galaxies.load",
    "coarse": "dmagnet.galaxies.partial",
    "joined": "dmagnet.galaxies.partial",
    "read_meanings": "dmagnet.galaxies.partial",
    "prepare": "dmagnet.galaxies.repack",
    "read_prepared": "dmagnet.galaxies.repack",
    "Audit": "dmagnet.galaxies.same_galaxy",
    "audit": "dmagnet.galaxies.same_galaxy",
    "read_positions": "dmagnet.galaxies.same_galaxy",
    "Split": "dmagnet.galaxies.split",
    "leak_safe_split": "dmagnet.galaxies.split",
    "published_split": "dmagnet.galaxies.split",
}
__getattr__ = _lazily(__name__, _HOMES)  # to classify takes none of it
