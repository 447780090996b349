"""Dreams of many images as a folder: sheets, pictures, FITS copies, films, a record.

The chapters, in order: `sources` (the images), `request` (what was asked for), `sheets`
and `films` (how it looks), `folder`, `entries` and `overview` (what is written), and
`dreaming`, which does it all.
"""

from dmagnet.gallery.dreaming import write_dreams
from dmagnet.gallery.entries import write_dream
from dmagnet.gallery.folder import Folder
from dmagnet.gallery.measuring import measure, write_study
from dmagnet.gallery.request import (
    Request,
    make_request,
    read_record,
    read_request,
)
from dmagnet.gallery.sources import Source, gather

__all__ = [
    "Folder",
    "Request",
    "Source",
    "gather",
    "make_request",
    "measure",
    "read_record",
    "read_request",
    "write_dream",
    "write_dreams",
    "write_study",
]
