"""Whatever an astronomer has, as a stream of pictures; nothing bad stops it.

The chapters, in order: `item` (what travels), `archives` (zip, tar), `stacks` (HDF5,
npy, Parquet), `forms` and `listing` (what was given), `cutout_files` and `cutouts`
(positions become files), `framing` (the part of the sky the network expects) and
`reading`.
"""

from dmagnet import _lazily
from dmagnet.pictures.flags import NO_CLASS, Flag
from dmagnet.pictures.inputs.item import Item, Picture
from dmagnet.pictures.inputs.listing import Listing, list_items, refuse_absent
from dmagnet.pictures.inputs.memory import as_files
from dmagnet.pictures.inputs.reading import read_picture

__all__ = [
    "NO_CLASS", "Flag", "Item", "Listing", "Picture", "as_files", "fetched",
    "list_items", "read_picture", "refuse_absent",
]  # fmt: skip

# The client of the cut-out service is loaded when it is wanted.
__getattr__ = _lazily(__name__, {"fetched": "dmagnet.pictures.inputs.cutouts"})
