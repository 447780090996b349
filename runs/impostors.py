"""Pictures that are no galaxies, all drawn or shipped with installed packages.

What the out-of-distribution score has to tell from galaxies; `runs/trust.py` uses it.
"""

from collections.abc import Callable

import numpy as np
from matplotlib import cbook
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter
from skimage import data as skimage_data
from sklearn.datasets import load_sample_images

Pictures = NDArray[np.uint8]

SIDE = 256
# No moon and no Hubble deep field: those show the sky.
SCENES = ("astronaut", "camera", "cat", "coffee", "rocket", "text", "page", "brick",
          "grass", "gravel", "coins", "immunohistochemistry", "retina", "cell",
          "colorwheel", "logo", "horse")  # fmt: skip
WORDS = ("Galaxy", "dmagnet", "The quick brown fox", "RA 150.1163 Dec +2.2058",
         "NGC 4565", "Fig. 3", "lorem ipsum dolor sit amet", "0123456789", "E = mc^2",
         "N up, E left")  # fmt: skip


def impostors(num: int, seed: int = 0) -> dict[str, Pictures]:
    """Draw pictures of five kinds.

    Parameters
    ----------
    num : int
        Of each kind.
    seed : int
        Of the lots.

    Returns
    -------
    dict
        Kind to (num, 256, 256, 3) uint8.
    """
    scenes = _scenes()
    kinds: dict[str, Callable[[np.random.Generator], NDArray[np.float64]]] = {
        "noise": _noise,
        "empty_sky": _empty_sky,
        "pictures": lambda rng: _crop(scenes, rng),
        "text": _text,
        "patterns": _pattern,
    }
    found = {}
    for k, (name, draw) in enumerate(kinds.items()):
        rng = np.random.default_rng([seed, k])
        each = [draw(rng) for _ in range(num)]
        found[name] = np.clip(np.stack(each), 0, 255).astype(np.uint8)
    return found


def shuffled(images: Pictures, grid: int, seed: int = 0) -> Pictures:
    """Cut pictures into tiles and lay them anew.

    Parameters
    ----------
    images : (N, S, S, 3) uint8
        Galaxies.
    grid : int
        Tiles along a side.
    seed : int
        Of the lots.

    Returns
    -------
    (N, S', S', 3) uint8
        S' is the largest multiple of ``grid`` in S.
    """
    rng = np.random.default_rng(seed)
    tile = images.shape[1] // grid
    cut = images[:, : tile * grid, : tile * grid]
    tiles = cut.reshape(len(cut), grid, tile, grid, tile, 3).swapaxes(2, 3)
    tiles = tiles.reshape(len(cut), grid * grid, tile, tile, 3)
    mixed = np.stack([each[rng.permutation(grid * grid)] for each in tiles])
    whole = mixed.reshape(len(cut), grid, grid, tile, tile, 3).swapaxes(2, 3)
    return np.ascontiguousarray(whole.reshape(cut.shape))


def _noise(rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of any color, white or smooth, over any background."""
    noise = rng.normal(size=(SIDE, SIDE, 3))
    if rng.random() < 0.3:
        noise = noise[..., :1].repeat(3, axis=2)
    blur = rng.choice([0, 1, 2, 4])
    if blur:
        noise = gaussian_filter(noise, (blur, blur, 0))
    return rng.uniform(20, 200) + rng.uniform(10, 80) * noise / noise.std()


def _empty_sky(rng: np.random.Generator) -> NDArray[np.float64]:
    """Dark sky with its noise, and nothing on it."""
    noise = gaussian_filter(rng.normal(size=(SIDE, SIDE, 3)), (0.7, 0.7, 0))
    return rng.uniform(4, 25) + rng.uniform(2, 10) * noise / noise.std()


def _scenes() -> list[NDArray[np.uint8]]:
    """Collect the sample pictures of scikit-image, scikit-learn and matplotlib."""
    found = [np.asarray(getattr(skimage_data, name)()) for name in SCENES]
    found += [np.asarray(image) for image in load_sample_images().images]
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        found.append(np.asarray(Image.open(file).convert("RGB")))
    colored = []
    for image in found:
        plain = image.astype(np.uint8) * 255 if image.dtype == bool else image
        colored.append(np.asarray(Image.fromarray(plain).convert("RGB")))
    return colored


def _crop(
    scenes: list[NDArray[np.uint8]], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Take a square of at least a third of a scene, turned and flipped."""
    scene = scenes[rng.integers(len(scenes))]
    shorter = min(scene.shape[:2])
    side = int(shorter * rng.uniform(1 / 3, 1))
    top = rng.integers(scene.shape[0] - side + 1)
    left = rng.integers(scene.shape[1] - side + 1)
    part = Image.fromarray(scene[top : top + side, left : left + side])
    square = np.asarray(part.resize((SIDE, SIDE), Image.Resampling.BILINEAR), float)
    return np.rot90(square, rng.integers(4))[:, :: rng.choice([1, -1])]


def _text(rng: np.random.Generator) -> NDArray[np.float64]:
    """Write some lines, light on dark or dark on light."""
    dark = rng.random() < 0.5
    paper, ink = (rng.integers(0, 40), 230) if dark else (rng.integers(210, 255), 20)
    picture = Image.new("RGB", (SIDE, SIDE), (int(paper),) * 3)
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(1, 8)):
        place = (int(rng.integers(0, 120)), int(rng.integers(0, 230)))
        font = ImageFont.load_default(int(rng.integers(10, 60)))
        pen.text(place, str(rng.choice(WORDS)), fill=(ink,) * 3, font=font)
    return np.asarray(picture, float)


def _pattern(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a gradient, a checkerboard, stripes or rings in two colors."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    angle, turns = rng.uniform(0, np.pi), rng.integers(2, 17)
    along = x * np.cos(angle) + y * np.sin(angle)
    share = (
        along,
        (np.floor(x * turns) + np.floor(y * turns)) % 2,
        0.5 + 0.5 * np.sin(2 * np.pi * turns * along),
        0.5 + 0.5 * np.sin(2 * np.pi * turns * np.hypot(x - 0.5, y - 0.5)),
    )[rng.integers(4)]
    one, other = rng.uniform(0, 255, (2, 3))
    return one + (other - one) * share[..., None]
