"""The part of the sky that the network expects, out of whatever was given."""

import math
from dataclasses import dataclass

import numpy as np

from dmagnet.pictures.cutout import Cutout, steps_of, wcs_of_view
from dmagnet.pictures.sections import Box
from dmagnet.pictures.standard import (
    central,
    crop_side,
    find_extent,
    scaled,
    standardize,
)
from dmagnet.storage.arrays import Pixels

FRAME_ARCSEC = 256 * 0.262  # side of the frames the networks are trained on
SMALL = 0.98  # share of the expected sky below which the image is called small
MIN_SIDE = 8  # px of the shorter side: below there is no galaxy to see
NATIVE_SIDE = 512  # px: a larger picture is shrunk before its galaxy is measured


@dataclass(frozen=True, eq=False)
class Frame:
    """How an image was laid into the frame.

    Attributes
    ----------
    rgb : (S, S, 3) uint8
        As the network wants it.
    share : float
        Of the expected side that the image covers; above 1 it was cut.
    radius_px : float
        Isophotal radius of the galaxy in px of the image along columns, where galaxies
        are brought to one size; otherwise NaN.
    found : bool
        False if nothing stands out of the sky, so that the size is a guess.
    box : (float, float, float, float)
        Column and row of the image where the view begins, and how many it is wide and
        high.
    """

    rgb: Pixels
    share: float
    radius_px: float = math.nan
    found: bool = True
    box: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)


def framed(
    rgb: Pixels,
    side: int,
    field: float,
    scale: tuple[float, float] | None,
    *,
    radii: float | None = None,
) -> Frame:
    """Show a network the part of an image that it wants to see.

    Parameters
    ----------
    rgb : (H, W, 3) uint8
        The image.
    side : int
        Of the result, in px.
    field : float
        Share of the side of a frame of 67.07 arcsec that the network sees.
    scale : (float, float) or None
        Arcsec a pixel along columns and rows; None takes the central square for a
        whole frame.
    radii : float, optional
        Bring the galaxy to one size and one brightness, in a view that is so many
        isophotal radii wide; ``field`` does not count then.

    Returns
    -------
    Frame
        Bilinear, with antialiasing where it shrinks. Where the image shows less sky
        than is wanted, sky is laid around it: the median of the outermost pixels,
        color by color, and with ``radii`` its noise too.

    Notes
    -----
    With ``radii`` the galaxy is measured in the whole frame of 67.07 arcsec at the
    image's own sampling, up to 512 px, by `find_extent`. Where the view is larger than
    this frame and the image goes on, the frame is doubled: the rim of the frame is to
    be sky.
    """
    if radii is not None:
        return _of_one_size(rgb, side, scale, radii)
    height, width = rgb.shape[:2]
    if scale is None:
        crop = crop_side(min(height, width), field)
        box = ((width - crop) // 2, (height - crop) // 2, crop, crop)
        return Frame(scaled(central(rgb, crop, crop), side, side), 1.0, box=box)
    spans = []
    for length, step in ((height, scale[1]), (width, scale[0])):
        wanted = field * FRAME_ARCSEC / step
        kept = _cut(length, wanted)
        # What is missing is added at the end: a tiny image has room for much sky.
        num = min(side, max(1, round(side * length / wanted)))
        start = (length - kept) // 2 - (side - num) // 2 * (kept / num)
        spans.append((kept, num, start, side * (kept / num), length / wanted))
    parts, nums, starts, sizes, shares = zip(*spans, strict=True)
    small = scaled(central(rgb, *parts), *nums)
    box = (*starts[::-1], *sizes[::-1])
    if nums == (side, side):
        return Frame(small, min(shares), box=box)
    out = np.empty((side, side, 3), np.uint8)
    out[:] = np.median(_edge(rgb), axis=0).round()
    top, left = ((side - num) // 2 for num in nums)
    out[top : top + nums[0], left : left + nums[1]] = small
    return Frame(out, min(shares), box=box)


def _edge(rgb: Pixels) -> Pixels:
    """Return the outermost pixels."""
    return np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])


def laid_on_sky(rgb: Pixels, box: Box) -> tuple[Pixels, tuple[int, int]]:
    """Bring a place near the edge of its image into the middle of a picture."""
    height, width = rgb.shape[:2]
    left, below = max(0, -box.left), max(0, -box.bottom)
    if (height, width) == (box.height, box.width):
        return rgb, (0, 0)
    from astropy.stats import mad_std  # slow to load, seldom needed

    edge = _edge(rgb)
    noise = np.random.default_rng(0).standard_normal((box.height, box.width, 3))
    around = np.median(edge, axis=0) + noise * mad_std(edge, axis=0)
    out: Pixels = around.round().clip(0, 255).astype(np.uint8)
    top = box.height - below - height
    out[top : top + height, left : left + width] = rgb
    return out, (left, below)


def cutout_of_one_size(cutout: Cutout, side: int, radii: float) -> Cutout:
    """Show a cut-out as a network sees it that sees all galaxies at one size.

    Parameters
    ----------
    cutout : Cutout
        With the galaxy in the middle.
    side : int
        Of the result, in px.
    radii : float
        Side of the result in isophotal radii.

    Returns
    -------
    Cutout
        As `framed` cuts it. The WCS follows, and is dropped with a note where it has
        distortions that cannot; a note says if sky was laid around.
    """
    wcs, notes = cutout.wcs, cutout.notes
    scale = None if wcs is None else steps_of(wcs)
    pixels = np.ascontiguousarray(cutout.rgb * 255 + 0.5).astype(np.uint8)
    frame = framed(pixels, side, 1.0, scale, radii=radii)
    if frame.share < SMALL:
        notes = (*notes, small_note(frame.share))
    left, top, wide, high = frame.box
    below = len(cutout.rgb) - top - high  # FITS counts rows from the bottom
    moved, why = wcs_of_view(wcs, (left, below, wide, high), side)
    return Cutout(frame.rgb.astype(np.float32) / np.float32(255), moved, notes + why)


def small_note(share: float) -> str:
    """Format the note on an image that shows too little sky."""
    return f"shows {100 * share:.0f} % of the expected side, the rest is sky"


def _of_one_size(
    rgb: Pixels, side: int, scale: tuple[float, float] | None, radii: float
) -> Frame:
    """Measure the galaxy in the middle, and bring it to one size and brightness."""
    height, width = rgb.shape[:2]
    across, down = scale or (1.0, 1.0)
    whole = min(height * down, width * across)
    least = MIN_SIDE * max(down, across)
    frame = whole if scale is None else min(whole, max(FRAME_ARCSEC, least))
    while True:
        rows, columns = _cut(height, frame / down), _cut(width, frame / across)
        part, zoom = central(rgb, rows, columns), (1.0, 1.0)
        num = min(max(rows, columns), NATIVE_SIDE)
        if num < max(rows, columns) or abs(rows - columns) > 1:
            part, zoom = scaled(part, num, num), (columns / num, rows / num)
        extent, square = find_extent(part), min(part.shape[:2])
        view = radii * extent.radius
        if frame >= whole or view <= square:
            break
        frame = min(whole, 2 * frame)  # the rim of the frame is to be sky
    left, top = (
        (rgb.shape[axis] - round(part.shape[axis] * each)) // 2
        + ((part.shape[axis] - square) // 2 + (square - view) / 2) * each
        for axis, each in ((1, zoom[0]), (0, zoom[1]))
    )
    return Frame(
        standardize(part, side, radii, extent=extent),
        square / view,
        extent.radius * zoom[0],
        extent.found,
        (left, top, view * zoom[0], view * zoom[1]),
    )


def _cut(length: int, expected: float) -> int:
    """Return the pixels to keep of a side: equal margins go off both ends."""
    if length <= expected:
        return length
    return max(1, length - 2 * round((length - expected) / 2))
