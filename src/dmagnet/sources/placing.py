"""Where on the sky the network's view of an input lies."""

from astropy.wcs import WCS

from dmagnet.config import SourceConfig
from dmagnet.sources.reading import read_picture
from dmagnet.sources.record import Item


def view_wcs(
    item: Item,
    side: int,
    field: float,
    config: SourceConfig,
    *,
    radii: float | None = None,
) -> tuple[WCS | None, tuple[str, ...]]:
    """Read an input for the WCS of its view; `Picture.view_wcs` has it without that.

    Parameters
    ----------
    item, side, field, config, radii
        As for `read_picture`.

    Returns
    -------
    wcs, notes
        As of `Picture.view_wcs`.
    """
    return read_picture(item, side, field, config, radii=radii).view_wcs()
