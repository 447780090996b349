"""Pictures: files and fluxes in, RGB out.

The chapters, in order: `rgb` (fluxes as the Legacy Survey viewer draws them), `files`
(JPEG and the like), `frames` (crop and resize), `cutout` (a picture that knows where it
is on the sky), `fits`, and `front` (the one door for all of them).
"""

from dmagnet.images.cutout import Cutout, from_array
from dmagnet.images.files import MAX_PIXELS, read_rgb
from dmagnet.images.fits import read_fits, rgb_hdu
from dmagnet.images.frames import crop_side, resize
from dmagnet.images.front import is_fits, read_image
from dmagnet.images.rgb import legacy_rgb

__all__ = [
    "MAX_PIXELS",
    "Cutout",
    "crop_side",
    "from_array",
    "is_fits",
    "legacy_rgb",
    "read_fits",
    "read_image",
    "read_rgb",
    "resize",
    "rgb_hdu",
]
