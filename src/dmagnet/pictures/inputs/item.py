"""Items (inputs to read) and pictures (what was read), with their flags."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from astropy.wcs import WCS

from dmagnet.pictures.cutout import wcs_of_view
from dmagnet.pictures.flags import Flag
from dmagnet.storage.arrays import Pixels
from dmagnet.storage.records import brief

Kind = Literal["file", "member", "row", "bands", "position"]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One input, before anything of it is read; small, and it travels to any process.

    Attributes
    ----------
    id : str
        As the table names it, or what a person would call the file.
    path : str
        Where it comes from, in one line: ``a.jpg``, ``a.zip::b.jpg``, ``a.h5::17``,
        ``a_{g,r,z}.fits``, or the address of a cut-out.
    kind : str
        How to read it: ``file`` is a file of its own, ``member`` one of an archive,
        ``row`` a row of an HDF5 or npy stack, ``bands`` one file for each band,
        ``position`` a place whose cut-out has to be fetched first.
    files : tuple of str
        The file; of ``bands`` one for each band; of ``position`` none.
    key : str
        Name of the member of an archive, of an HDF5 file's data set, or of the bands.
    row : int
        Row of a stack, or where a member of a tar is; otherwise -1.
    ra, dec : float
        Degrees, ICRS; NaN if not known.
    flag : Flag
        What is known already when it is listed.
    reason : str
        In words, for a person.
    radius_px : float
        Isophotal radius of the galaxy in px of the image, once it was read for a
        network that sees all galaxies at one size; otherwise NaN.
    shared : bool
        Whether another row of this run shows the same image at another position.
    """

    id: str
    path: str
    kind: Kind = "file"
    files: tuple[str, ...] = ()
    key: str = ""
    row: int = -1
    ra: float = float("nan")
    dec: float = float("nan")
    flag: Flag = Flag.OK
    reason: str = ""
    radius_px: float = float("nan")
    shared: bool = False


def flagged(item: Item, flag: Flag, reason: str) -> Item:
    """Return an item with one flag more, and its reason."""
    told = "; ".join(filter(None, (item.reason, reason)))
    return replace(item, flag=item.flag | flag, reason=told)


@dataclass(frozen=True, eq=False)
class Picture:
    """One input as the network wants to see it.

    Attributes
    ----------
    item : Item
        What was read; position and flags are completed by what the file says.
    rgb : (S, S, 3) uint8 or None
        Row 0 is the top; None where the row has no class.
    wcs : astropy.wcs.WCS or None
        Celestial, of the image that was read.
    box : (float, float, float, float)
        What of that image `rgb` shows: the columns and rows before it, as FITS counts
        them, from below, and how many it is wide and high.
    """

    item: Item
    rgb: Pixels | None
    wcs: WCS | None = None
    box: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)

    __repr__ = brief

    def view_wcs(self) -> tuple[WCS | None, tuple[str, ...]]:
        """Return the WCS of the pixels that the network sees.

        Returns
        -------
        wcs : astropy.wcs.WCS or None
            As FITS counts pixels, from the bottom; None where the input does not say.
        notes : tuple of str
            Why there is none, where there was one.
        """
        wcs = None if self.rgb is None else self.wcs
        return wcs_of_view(wcs, self.box, 0 if self.rgb is None else len(self.rgb))

    def to_dict(self) -> dict[str, Any]:
        """Return the columns of a table's row that come from the input.

        Returns
        -------
        dict
            ``id``, ``path``, ``ra``, ``dec``, ``flag`` and ``reason``.
        """
        names = ("id", "path", "ra", "dec", "flag", "reason")
        row = {name: getattr(self.item, name) for name in names}
        return row | {"flag": int(self.item.flag)}
