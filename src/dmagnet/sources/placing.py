"""Where on the sky the network's view of an input lies."""

from typing import Any

from astropy.wcs import WCS

from dmagnet.sources.reading import read_picture
from dmagnet.sources.record import Item


def view_wcs(item: Item, *view: Any, **settings: Any) -> Any:
    """Read an input for the WCS of its view; `Picture.view_wcs` has it without that.

    Parameters
    ----------
    item : Item
        The input.
    *view : object
        As for `read_picture`.
    **settings : object
        As for `read_picture`.

    Returns
    -------
    wcs : astropy.wcs.WCS or None
        As of `Picture.view_wcs`.
    notes : tuple of str
        As of `Picture.view_wcs`.
    """
    found: tuple[WCS | None, tuple[str, ...]]
    found = read_picture(item, *view, **settings).view_wcs()
    return found
