"""Whatever an astronomer has, as a stream of pictures; nothing bad stops it.

The chapters, in order: `item` (what travels), `stacks` (zip, HDF5, npy), `inputs` and
`listing` (what was given), the pages named cutout (positions become files), `framing`
(the part of the sky the network expects) and `reading`.
"""

from typing import TYPE_CHECKING, Any

from dmagnet.pictures.inputs.item import NO_CLASS, Flag, Item, Picture
from dmagnet.pictures.inputs.listing import Listing, list_items, refuse_absent
from dmagnet.pictures.inputs.reading import read_picture

if TYPE_CHECKING:
    from dmagnet.pictures.inputs.cutouts import fetched

__all__ = [
    "NO_CLASS",
    "Flag",
    "Item",
    "Listing",
    "Picture",
    "fetched",
    "list_items",
    "read_picture",
    "refuse_absent",
]


def __getattr__(name: str) -> Any:
    """Load the client of the cut-out service when it is wanted."""
    if name != "fetched":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dmagnet.pictures.inputs.cutouts import fetched

    return fetched
