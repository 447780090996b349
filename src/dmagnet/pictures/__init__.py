"""Pictures: files and fluxes in, RGB out.

The chapters, in order: `flags` (what can be wrong), `opening` (the door of files),
`raster` (JPEG and the like), `standard` (crop and resize; every galaxy at one size and
one brightness), `cutout` (a picture that knows where it is on the sky), `bands` (any
bands as RGB, as the Legacy Survey viewer draws them), `blanks` (pixels without a
value), `header`, `astrometry` (one grid for all bands), `planes` (fluxes out of FITS
files), `image` (the one door for all), and `places` (where in a picture the places of a
map lie).
"""

from dmagnet.pictures.bands import draw as draw
from dmagnet.pictures.bands import legacy_rgb as legacy_rgb
from dmagnet.pictures.cutout import Cutout as Cutout
from dmagnet.pictures.cutout import from_array as from_array
from dmagnet.pictures.image import draw_planes as draw_planes
from dmagnet.pictures.image import is_fits as is_fits
from dmagnet.pictures.image import read_fits as read_fits
from dmagnet.pictures.image import read_image as read_image
from dmagnet.pictures.image import rgb_hdu as rgb_hdu
from dmagnet.pictures.opening import ImageError as ImageError
from dmagnet.pictures.places import middles as middles
from dmagnet.pictures.places import on_pixels as on_pixels
from dmagnet.pictures.places import shares as shares
from dmagnet.pictures.planes import Planes as Planes
from dmagnet.pictures.planes import read_planes as read_planes
from dmagnet.pictures.raster import MAX_PIXELS as MAX_PIXELS
from dmagnet.pictures.raster import read_rgb as read_rgb
from dmagnet.pictures.standard import Extent as Extent
from dmagnet.pictures.standard import crop_side as crop_side
from dmagnet.pictures.standard import find_extent as find_extent
from dmagnet.pictures.standard import resize as resize
from dmagnet.pictures.standard import standardize as standardize
