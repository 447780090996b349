"""The places of a network's map, in pixels of the picture."""

import numpy as np
import numpy.typing as npt

from dmagnet.storage.arrays import Singles


def middles(num_places: int, num_pixels: int) -> Singles:
    """Return the pixels on which places of a map are centered, along one axis.

    Parameters
    ----------
    num_places : int
        Of the map.
    num_pixels : int
        Of the picture that the network saw.

    Returns
    -------
    (num_places,) float32
        Coordinates in px; the first pixel has its middle at 0.

    Notes
    -----
    A 3x3 convolution of stride 2 and padding 1 centers its output i on pixel 2 i. Place
    i of a map of stride s therefore lies at pixel s i, not in the middle of the i-th
    tile, which is (s - 1) / 2 px further: with 4 x 4 places over 64 px, maps drawn tile
    by tile lean to a corner by 7.5 px. Maps whose stride is no power of 2 are not of
    such a network; theirs are the middles of the tiles.
    """
    for stride in (1 << k for k in range(num_pixels.bit_length() + 1)):
        if -(-num_pixels // stride) == num_places:
            return np.arange(num_places, dtype=np.float32) * np.float32(stride)
    tile = num_pixels / num_places
    return ((np.arange(num_places) + 0.5) * tile - 0.5).astype(np.float32)


def shares(num_places: int, num_pixels: int) -> Singles:
    """Return how much each place weighs in each pixel, along one axis.

    Parameters
    ----------
    num_places : int
        Of the map.
    num_pixels : int
        Of the picture.

    Returns
    -------
    (num_pixels, num_places) float32 in [0, 1]
        Linear between two middles, constant beyond the first and the last; rows add up
        to 1. ``A @ map @ B.T`` brings a map to the pixels.
    """
    pixels = np.arange(num_pixels, dtype=np.float32)
    at = middles(num_places, num_pixels)
    each = [np.interp(pixels, at, row) for row in np.eye(num_places)]
    return np.stack(each, axis=1).astype(np.float32)


def on_pixels(values: npt.ArrayLike, size: tuple[int, int]) -> Singles:
    """Bring a map to the pixels of its picture.

    Parameters
    ----------
    values : (..., h, w) float
        One number for each place.
    size : tuple of int
        Height and width of the picture, in px.

    Returns
    -------
    (..., height, width) float32
        Bilinear between the `middles` of the places.
    """
    small = np.asarray(values, np.float32)
    down, across = (
        shares(places, pixels)
        for places, pixels in zip(small.shape[-2:], size, strict=True)
    )
    return np.asarray(down @ small @ across.T, np.float32)
