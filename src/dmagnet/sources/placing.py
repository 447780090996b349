"""Where on the sky the network's view of an input lies."""

from typing import Any

from astropy.wcs import WCS

from dmagnet.sources.reading import read_picture


def view_wcs(*args: Any, **settings: Any) -> tuple[WCS | None, tuple[str, ...]]:
    """Read a view again for its WCS; arguments are those of `read_picture`.

    Returns
    -------
    wcs, notes
        As of `Picture.view_wcs`.
    """
    return read_picture(*args, **settings).view_wcs()
