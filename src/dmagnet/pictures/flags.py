"""What can be wrong with an input, in one vocabulary."""

from enum import IntFlag


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
