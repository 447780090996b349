"""Mergers and disturbed galaxies made of real pixels: pasted pairs, warped discs.

Two real galaxies laid over each other have real profiles, colors and noise, which is
what a drawn merger lacks; what they lack is tides. A real disc whose outskirts are
shifted, bent and twisted is out of balance, as the class asks, in the same way.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dmagnet.pictures.standard import Extent, find_extent

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

SIDE = 256  # px of the pictures made
STRETCH = 3.0  # of the inverse sinh that stands for a survey's
SKY = 0.1  # of white, under the galaxies
BRIGHT = 0.65  # of white, of a galaxy's bright parts
GAINS = (0.5, 3.0)
MAX_NOISE = 0.03  # of white, where sky is laid around a picture
NOISE_SCALE = 0.6  # px: cut-outs have been resampled


@dataclass(frozen=True)
class Placing:
    """How a galaxy is laid into the picture."""

    zoom: float
    angle: float
    shift: tuple[float, float] = (0.0, 0.0)
    mirrored: bool = False


@dataclass(frozen=True)
class Warp:
    """How the outskirts of a disc are moved, leaving its center alone."""

    radius: float
    toward: float
    drift: float
    bend: float
    twist: float

    def __call__(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Map places of the picture to places of the undisturbed galaxy."""
        r = np.hypot(x, y)
        outer = (r / (r + 0.8 * self.radius)) ** 1.5
        cos, sin = np.cos(self.toward), np.sin(self.toward)
        x1, y1 = x - self.drift * cos * outer, y - self.drift * sin * outer
        along, across = cos * x1 + sin * y1, cos * y1 - sin * x1
        bent = self.bend / self.radius * along * np.abs(along)
        across = across + bent * np.clip(r / self.radius, 0, 1)
        x2, y2 = cos * along - sin * across, sin * along + cos * across
        one_side = 0.5 * (1 + np.cos(np.arctan2(y, x) - self.toward))
        turn = self.twist * np.clip(r / self.radius - 0.4, 0, 1.2) * one_side
        return (
            np.cos(turn) * x2 - np.sin(turn) * y2,
            np.sin(turn) * x2 + np.cos(turn) * y2,
        )


def merge_pair(first: Pixels, second: Pixels, rng: np.random.Generator) -> Pixels:
    """Lay two real galaxies over each other so that they share their light."""
    size = rng.uniform(30, 55)
    apart, toward = size * rng.uniform(0.45, 1.35), rng.uniform(0, 2 * np.pi)
    lead = rng.uniform(0, 0.5)  # the center of the picture lies between the two
    total = np.zeros((SIDE, SIDE, 3), np.float32)
    for image, share, at, dim in (
        (first, 1.0, -lead, 1.0),
        (second, rng.uniform(0.45, 1.0), 1 - lead, rng.uniform(0.7, 1.1)),
    ):
        extent = find_extent(image)
        shift = (at * apart * np.cos(toward), at * apart * np.sin(toward))
        placing = Placing(
            size * share / extent.radius, rng.uniform(0, 2 * np.pi), shift,
            bool(rng.random() < 0.5),
        )  # fmt: skip
        total += _linear(_placed(image, extent, placing, rng) * _gain(extent) * dim)
    return _drawn(_stretched(total))


def disturb(image: Pixels, rng: np.random.Generator) -> Pixels:
    """Bring a real galaxy out of balance."""
    extent = find_extent(image)
    size, toward = rng.uniform(32, 60), rng.uniform(0, 2 * np.pi)
    zoom = size / extent.radius
    warp = Warp(
        size, toward, rng.uniform(0.18, 0.55) * size, rng.normal(0, 0.35),
        rng.normal(0, 0.5),
    )  # fmt: skip
    turned = Placing(zoom, rng.uniform(0, 2 * np.pi), mirrored=bool(rng.random() < 0.5))
    light = _linear(_placed(image, extent, turned, rng, warp) * _gain(extent))
    if rng.random() < 0.5:
        reach = rng.uniform(0.5, 1.0) * size
        plume = Placing(
            zoom * rng.uniform(0.3, 0.6), rng.uniform(0, 2 * np.pi),
            (reach * np.cos(toward), reach * np.sin(toward)),
        )  # fmt: skip
        soft = ndimage.gaussian_filter(image, (3, 3, 0))
        faint = _linear(_placed(soft, extent, plume, rng) * _gain(extent))
        light += rng.uniform(0.1, 0.3) * faint
    return _drawn(_stretched(light))


def _placed(
    image: Pixels,
    extent: Extent,
    placing: Placing,
    rng: np.random.Generator,
    warp: Warp | None = None,
) -> Floats:
    """Return the light above the sky of a galaxy laid into an empty picture."""
    light = image.astype(np.float32) / 255 - extent.sky
    middle = (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) - middle
    x, y = x - placing.shift[0], y - placing.shift[1]
    if warp is not None:
        x, y = warp(x, y)
    cos, sin = (
        np.cos(placing.angle) / placing.zoom,
        np.sin(placing.angle) / placing.zoom,
    )
    u, v = cos * x + sin * y, cos * y - sin * x
    if placing.mirrored:
        u = -u
    rows, columns = v + (image.shape[0] - 1) / 2, u + (image.shape[1] - 1) / 2
    inside = (rows >= 0) & (rows <= image.shape[0] - 1)
    inside &= (columns >= 0) & (columns <= image.shape[1] - 1)
    laid = np.stack(
        [
            ndimage.map_coordinates(light[..., k], [rows, columns], order=1)
            for k in range(3)
        ],
        axis=2,
    )
    placed: Floats = np.where(inside[..., None], laid, _sky_noise(light, rng))
    return placed


def _sky_noise(
    light: npt.NDArray[np.floating[Any]], rng: np.random.Generator
) -> Floats:
    """Draw noise as at the picture's upper and lower edges."""
    edge = np.concatenate([light[:12].reshape(-1, 3), light[-12:].reshape(-1, 3)])
    noise = rng.standard_normal((SIDE, SIDE, 3), np.float32)
    smooth = ndimage.gaussian_filter(noise, (NOISE_SCALE, NOISE_SCALE, 0))
    sigma = edge.std(axis=0).clip(0, MAX_NOISE)
    drawn: Floats = smooth / smooth.std() * sigma
    return drawn


def _gain(extent: Extent) -> float:
    return float(np.clip(BRIGHT / max(extent.bright, 1e-3), *GAINS))


def _linear(light: Floats) -> Floats:
    """Undo a survey's stretch, roughly: fluxes add, stretched values do not."""
    linear: Floats = np.sinh(np.clip(light, -0.2, 1) * STRETCH) / STRETCH
    return linear


def _stretched(flux: Floats) -> Floats:
    stretched: Floats = np.arcsinh(flux * STRETCH) / STRETCH
    return stretched


def _drawn(light: Floats) -> Pixels:
    pixels: Pixels = (np.clip(light + SKY, 0, 1) * 255).astype(np.uint8)
    return pixels
