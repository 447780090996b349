"""Pictures: files and fluxes in, RGB out.

The chapters, in order: `rgb` (fluxes as the Legacy Survey viewer draws them), `faults`
(what can be wrong), `raster` (JPEG and the like), `frames` (crop and resize),
`standard` (every galaxy at one size and one brightness), `cutout` (a picture that knows
where it is on the sky), `bands` (any bands as RGB), `blanks` (pixels without a value),
`header`, `grids` (one for all bands) and `planes` (fluxes out of FITS files),
`fits_image`, `front` (the one door for all), and `places` (where in a picture the
places of a network's map lie).
"""

from dmagnet.pictures.bands import draw
from dmagnet.pictures.cutout import Cutout, from_array
from dmagnet.pictures.faults import ImageError
from dmagnet.pictures.fits_image import draw_planes, read_fits, rgb_hdu
from dmagnet.pictures.frames import crop_side, resize
from dmagnet.pictures.front import is_fits, read_image
from dmagnet.pictures.places import middles, on_pixels, shares
from dmagnet.pictures.planes import Planes, read_planes
from dmagnet.pictures.raster import MAX_PIXELS, read_rgb
from dmagnet.pictures.rgb import legacy_rgb
from dmagnet.pictures.standard import Extent, find_extent, standardize

__all__ = [
    "MAX_PIXELS",
    "Cutout",
    "Extent",
    "ImageError",
    "Planes",
    "crop_side",
    "draw",
    "draw_planes",
    "find_extent",
    "from_array",
    "is_fits",
    "legacy_rgb",
    "middles",
    "on_pixels",
    "read_fits",
    "read_image",
    "read_planes",
    "read_rgb",
    "resize",
    "rgb_hdu",
    "shares",
    "standardize",
]
