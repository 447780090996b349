"""A picture that knows where it is on the sky."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.wcs import WCS, Sip
from astropy.wcs.utils import proj_plane_pixel_scales

from dmagnet.errors import DataError
from dmagnet.pictures.standard import central, crop_side, scaled
from dmagnet.storage.arrays import Singles
from dmagnet.storage.records import brief


@dataclass(frozen=True, eq=False)
class Cutout:
    """One picture of the sky.

    Attributes
    ----------
    rgb : (H, W, 3) float32 in [0, 1]
        Red, green, blue; row 0 is the top.
    wcs : astropy.wcs.WCS or None
        Celestial, of the pixels as FITS counts them, from the bottom: row ``r`` of
        `rgb` is its pixel ``y = H - 1 - r``. None where the file does not say.
    notes : tuple of str
        What had to be assumed or filled in.
    """

    rgb: Singles
    wcs: WCS | None = None
    notes: tuple[str, ...] = ()

    __repr__ = brief

    @property
    def pixel_scale(self) -> float | None:
        """Size of a pixel on the sky."""
        return None if self.wcs is None else sum(steps_of(self.wcs)) / 2

    def square(self, side: int) -> "Cutout":
        """Cut the central square out and bring it to a side."""
        height, width = self.rgb.shape[:2]
        if height == width == side:
            return self
        crop = crop_side(min(height, width), 1.0)
        rgb = central(self.rgb, crop, crop).copy()
        if crop != side:
            rgb = scaled(rgb, side).clip(0, 1)
        left = (width - crop) // 2
        below = height - (height - crop) // 2 - crop  # FITS rows under the square
        moved, why = wcs_of_view(self.wcs, (left, below, crop, crop), side)
        return Cutout(rgb, moved, self.notes + why)


def wcs_of_view(
    wcs: WCS | None, box: tuple[float, float, float, float], side: int
) -> tuple[WCS | None, tuple[str, ...]]:
    """Return the WCS of a square view of a part of an image, or why there is none."""
    if wcs is None:
        return None, ()
    if wcs.has_distortion:
        line = "its WCS has distortions, which a resized image cannot keep: dropped"
        return None, (line,)
    left, below, wide, high = box
    return moved_wcs(wcs, (left, below), (side / wide, side / high)), ()


def steps_of(wcs: WCS) -> tuple[float, float]:
    """Return how wide and how high a pixel is on the sky, in arcsec."""
    steps = proj_plane_pixel_scales(wcs) * u.Unit(wcs.wcs.cunit[0])
    width, height = steps.to_value(u.arcsec).tolist()
    return width, height


def moved_wcs(
    wcs: WCS | None, start: tuple[float, float], zoom: tuple[float, float] = (1, 1)
) -> WCS | None:
    """Give the WCS of a part of an image; one that is enlarged has no distortions."""
    if wcs is None:
        return None
    moved, before, times = wcs.deepcopy(), np.array(start), np.array(zoom)
    # Centers are whole numbers, so that FITS pixel 1 starts at 0.5.
    moved.wcs.crpix = (moved.wcs.crpix - before) * times + (1 - times) / 2
    if moved.wcs.has_cd():
        moved.wcs.cd = moved.wcs.cd / times
    else:
        moved.wcs.cdelt = moved.wcs.cdelt / times
    if (sip := moved.sip) is not None:
        moved.sip = Sip(sip.a, sip.b, sip.ap, sip.bp, sip.crpix - before)
    for table in (moved.cpdis1, moved.cpdis2, moved.det2im1, moved.det2im2):
        if table is not None:
            table.crval = tuple(np.array(table.crval) - before)
    moved.wcs.set()
    return moved


def from_array(values: npt.NDArray[Any], name: str = "image") -> Cutout:
    """Take an array as a picture.

    Parameters
    ----------
    values : (H, W), (H, W, 3) or (H, W, 4) uint8, uint16 or float
        Row 0 is the top. Integers reach from 0 to the largest of their type, floats
        from 0 to 1. Grey is repeated; alpha lays the picture over black, as the sky is.
    name : str
        For messages.

    Returns
    -------
    Cutout
        Without a WCS.

    Raises
    ------
    DataError
        If the array has another form, is empty, or holds values outside [0, 1].
    """
    shape, kind = values.shape, values.dtype
    grey = values.ndim == 2
    if 0 in shape or not (grey or (values.ndim == 3 and shape[2] in (3, 4))):
        raise DataError(
            f"{name}: expected an array of shape (H, W), (H, W, 3) or (H, W, 4), got "
            f"{shape}; put colors last; several images are a tensor (B, 3, H, W)"
        )
    if kind in (np.uint8, np.uint16):
        rgb = values.astype(np.float32) / np.float32(np.iinfo(kind).max)
    elif kind.kind == "f":
        rgb = values.astype(np.float32)
    else:
        raise DataError(f"{name}: expected uint8, uint16 or floats, got {kind}")
    if not np.isfinite(rgb).all():
        raise DataError(f"{name}: expected finite pixels, got NaN or infinity")
    if rgb.min() < 0 or rgb.max() > 1:
        raise DataError(
            f"{name}: expected pixels from 0 to 1, got {rgb.min():.4g} to "
            f"{rgb.max():.4g}; divide 8-bit values by 255, draw fluxes with legacy_rgb"
        )
    if grey:
        rgb = np.repeat(rgb[..., None], 3, axis=2)
    elif shape[2] == 4:
        rgb = rgb[..., :3] * rgb[..., 3:]
    return Cutout(np.ascontiguousarray(rgb))
