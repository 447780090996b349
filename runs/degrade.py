"""Make pictures of galaxies worse, as telescopes, distances and files do."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, rotate, shift

Pictures = NDArray[np.uint8]

STRENGTHS: dict[str, tuple[float, float, float]] = {
    "blur": (1.0, 2.0, 4.0),  # sigma in px of 256
    "noise": (5.0, 10.0, 20.0),  # standard deviation, of 255
    "rotation": (15.0, 45.0, 75.0),  # degrees
    "dimming": (0.7, 0.5, 0.3),  # factor of all pixels
    "smaller": (0.75, 0.5, 0.35),  # factor of the size, in the same frame
}
EVERY = STRENGTHS | {
    "rotation": tuple(float(angle) for angle in range(15, 360, 15)),
    "flip": (0.0, 1.0),  # top to bottom, left to right
    # More than a magnitude of flux, as the stretch of pictures is not linear.
    "dimming": (0.7, 0.5, 0.4, 0.3),
    "redder": (0.7, 0.85, 1.2, 1.4),  # factor of red over green, and of green over blue
    "jpeg": (75.0, 40.0, 15.0),  # quality
    "aside": (10.0, 20.0, 40.0),  # px of 256, in a direction by lot
    "star": (40.0, 60.0, 80.0),  # px of 256 from the middle, in a direction by lot
}
SEEING = 3.0  # px of 256, sigma of a star


def degraded(frames: Pictures, kind: str, strength: float, seed: int = 0) -> Pictures:
    """Make every frame worse.

    Parameters
    ----------
    frames : (N, S, S, 3) uint8
        Galaxies at the sampling of their files.
    kind : str
        A key of `EVERY`.
    strength : float
        How much, in the unit stated there.
    seed : int
        Of noise and of directions.

    Returns
    -------
    (N, S, S, 3) uint8
        New frames.
    """
    rng = np.random.default_rng(seed)
    each = [_ONE[kind](frame.astype(np.float32), strength, rng) for frame in frames]
    return np.clip(np.round(np.stack(each)), 0, 255).astype(np.uint8)


def _blur(frame, sigma, _rng):
    return gaussian_filter(frame, (sigma, sigma, 0))


def _noise(frame, sigma, rng):
    return frame + rng.normal(0, sigma, frame.shape)


def _rotation(frame, angle, _rng):
    return rotate(frame, angle, reshape=False, order=1, mode="reflect")


def _dimming(frame, factor, _rng):
    return factor * frame


def _smaller(frame, factor, rng):
    """Shrink the frame, and lay sky with its noise around it."""
    side = len(frame)
    num = round(factor * side)
    edge = max(1, side // 32)
    rim = np.concatenate([frame[:edge].reshape(-1, 3), frame[-edge:].reshape(-1, 3)])
    sky, noise = np.median(rim, axis=0), np.abs(rim - np.median(rim, axis=0))
    sigma = 1.4826 * np.median(noise, axis=0)
    out = sky + rng.normal(size=frame.shape) * sigma
    picture = Image.fromarray(frame.astype(np.uint8))
    start = (side - num) // 2
    inside = slice(start, start + num)
    out[inside, inside] = picture.resize((num, num), Image.Resampling.BILINEAR)
    return out


def _flip(frame, axis, _rng):
    return np.flip(frame, int(axis))


def _redder(frame, factor, _rng):
    return frame * np.array([factor, 1, 1 / factor])


def _jpeg(frame, quality, _rng):
    out = io.BytesIO()
    Image.fromarray(frame.astype(np.uint8)).save(out, "JPEG", quality=int(quality))
    return np.asarray(Image.open(out), np.float32)


def _aside(frame, far, rng):
    return shift(frame, (*_offset(far, rng), 0), order=1, mode="reflect")


def _star(frame, far, rng):
    """Lay a white star over the frame."""
    y, x = np.mgrid[: len(frame), : len(frame)] - (len(frame) - 1) / 2
    down, right = _offset(far, rng)
    light = np.exp(-((y - down) ** 2 + (x - right) ** 2) / (2 * SEEING**2))
    return frame + 255 * light[..., None]


def _offset(far, rng):
    angle = rng.uniform(0, 2 * np.pi)
    return far * np.sin(angle), far * np.cos(angle)


_ONE = {
    "blur": _blur,
    "noise": _noise,
    "rotation": _rotation,
    "dimming": _dimming,
    "smaller": _smaller,
    "flip": _flip,
    "redder": _redder,
    "jpeg": _jpeg,
    "aside": _aside,
    "star": _star,
}
