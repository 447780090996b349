"""Items (inputs to read) and pictures (what was read), with their flags."""

from dataclasses import dataclass, replace
from enum import IntFlag
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from dmagnet.pictures.cutout import wcs_of_view

Pixels = npt.NDArray[np.uint8]
Kind = Literal["file", "member", "row", "bands", "position"]


class Flag(IntFlag):
    """What a person should know about a row; 0 is a picture without a doubt.

    Flags add up. Those below 2**16 leave the row without a class; those from 2**16 on
    are doubts, and the class is there.
    """

    OK = 0
    NOT_FOUND = 1 << 0
    """There is no such file, member or row, or it went away during the run."""
    UNREADABLE = 1 << 1
    """Damaged, cut short, empty, not an image, or not ours to read."""
    TOO_LARGE = 1 << 2
    """More pixels than an image may have; it was not opened."""
    TOO_SMALL = 1 << 3
    """Fewer pixels than a galaxy needs."""
    NO_IMAGE = 1 << 4
    """A FITS file, or an HDU of it, without an image."""
    BAD_SHAPE = 1 << 5
    """An array that is neither an image nor one plane for each band."""
    MISSING_BAND = 1 << 6
    """A band that is needed is not there."""
    NO_VALUES = 1 << 7
    """No pixel has a value (all NaN), or all have the same."""
    BAD_POSITION = 1 << 8
    """The position is no place on the sky."""
    FETCH_FAILED = 1 << 9
    """The cut-out service did not give an image."""
    OUTSIDE_SURVEY = 1 << 10
    """The cut-out service, or none of the tiles, has an image there."""
    OUTSIDE_IMAGE = 1 << 11
    """The position does not lie in the image; or the image serves rows with different
    positions, and has no WCS to find them in it."""
    SOME_NAN = 1 << 16
    """Pixels without a value were filled with sky."""
    NEGATIVE_FLUX = 1 << 17
    """The image is no brighter than its sky: at most noise is to be seen."""
    BAD_WCS = 1 << 18
    """The WCS cannot be used: the image was taken at its own scale."""
    SMALL_FIELD = 1 << 19
    """The image shows less sky than the network expects; sky was added around it."""
    ONE_BAND = 1 << 20
    """Drawn in grey from one band: the network was trained on colors."""
    OTHER_BANDS = 1 << 21
    """Drawn from bands other than g, r, z."""
    NO_UNITS = 1 << 22
    """The fluxes' unit is not known: their brightness was guessed."""
    DUPLICATE_ID = 1 << 23
    """Another row of this run has the same id."""
    BAD_COORDINATE = 1 << 24
    """The table's position of this image is none that can be read."""
    OTHER_GRIDS = 1 << 25
    """The bands' pixels lie differently on the sky: brought to one grid."""
    TILES_DISAGREE = 1 << 26
    """Another tile shows something else there, beyond the noise of both."""


NO_CLASS = (1 << 16) - 1  # flags of rows without a class


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
