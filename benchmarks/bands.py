"""How many classes one band, other units and other bands keep, on simulated galaxies.

python benchmarks/bands.py WEIGHTS [--num 260]
"""

import argparse
from pathlib import Path

import numpy as np
import torch

import dmagnet
from dmagnet.judging.predict import predict
from dmagnet.pictures import draw, legacy_rgb, resize
from dmagnet.simulator.scene import draw_flux

COUNTS, SKY = 777.0, 50.0  # of an image whose unit is not known
NOISE = 0.0154  # nmgy/px on top: four times that of r


def ways(flux, noise):
    """Draw one galaxy as different instruments would store it: name, RGB."""
    r, counts = flux[1:2], flux * COUNTS + SKY
    noisy = (r + noise) * COUNTS + SKY
    yield "g, r, z, unit not known", draw(counts, known_units=False)[0]
    yield "z taken for i", draw(flux, ("g", "r", "i"))[0]
    yield "r alone", draw(r, ("r",))[0]
    yield "r alone, unit not known", draw(counts[1:2], known_units=False)[0]
    yield "the same with five times the noise", draw(noisy, known_units=False)[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--num", type=int, default=260)
    options = parser.parse_args()
    checkpoint = dmagnet.load(options.weights)
    side, field = checkpoint.config.image_size, checkpoint.config.field
    rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(987)
    pictures = {}
    labels = np.arange(options.num) % 10
    for some in np.array_split(labels, -(-options.num // 20)):
        drawn = draw_flux(torch.from_numpy(some), generator=generator).numpy()
        for flux in drawn:
            noise = rng.normal(0, NOISE, flux[1:2].shape).astype(np.float32)
            colored = legacy_rgb(flux).transpose(1, 2, 0)
            for name, rgb in [("color", colored), *ways(flux, noise)]:
                image = np.round(rgb * 255).astype(np.uint8)
                seen = resize(image[None], side, field)[0]
                pictures.setdefault(name, []).append(seen)
    classes = {
        name: predict(checkpoint.model, np.stack(seen)).argmax(1)
        for name, seen in pictures.items()
    }
    print("picture                              accuracy  class of the colored one")
    for name, found in classes.items():
        same = (found == classes["color"]).mean()
        print(f"{name:36} {(found == labels).mean():8.3f} {same:8.3f}")


if __name__ == "__main__":
    main()
