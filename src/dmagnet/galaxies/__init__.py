"""Get galaxies, check them, divide them, and load them from any form they come in."""

from typing import TYPE_CHECKING

from dmagnet import _lazily

if TYPE_CHECKING:
    from dmagnet.galaxies.download import fetch as fetch
    from dmagnet.galaxies.galaxies import PARTS as PARTS
    from dmagnet.galaxies.galaxies import Galaxies as Galaxies
    from dmagnet.galaxies.hub_files import write_parquet as write_parquet
    from dmagnet.galaxies.load import load_galaxies as load_galaxies
    from dmagnet.galaxies.partial import coarse as coarse
    from dmagnet.galaxies.partial import joined as joined
    from dmagnet.galaxies.partial import read_meanings as read_meanings
    from dmagnet.galaxies.repack import prepare as prepare
    from dmagnet.galaxies.repack import read_prepared as read_prepared
    from dmagnet.galaxies.same_galaxy import Audit as Audit
    from dmagnet.galaxies.same_galaxy import audit as audit
    from dmagnet.galaxies.same_galaxy import audit_file as audit_file
    from dmagnet.galaxies.same_galaxy import read_positions as read_positions
    from dmagnet.galaxies.split import Split as Split
    from dmagnet.galaxies.split import leak_safe_split as leak_safe_split
    from dmagnet.galaxies.split import published_split as published_split
    from dmagnet.storage.disk import data_folder as data_folder

__getattr__ = _lazily(__name__)  # to classify takes none of it
