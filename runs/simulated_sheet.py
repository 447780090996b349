"""Draw the contact sheet of simulated galaxies that the README shows.

python runs/simulated_sheet.py docs/images/simulated_sheet.png
"""

import argparse
from pathlib import Path

import numpy as np
from dream_pictures import publish
from PIL import Image, ImageDraw, ImageFont

from dmagnet.classes import CLASS_NAMES, NUM_CLASSES
from dmagnet.config import SimulateConfig
from dmagnet.simulator import simulate

GAP = 2
MARGIN = 210  # for the names
INK, PAPER = (230, 230, 230), (16, 16, 18)


def main() -> None:
    """Draw the galaxies, lay them out, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--crop", type=float, default=0.72, help="share of each frame")
    parser.add_argument("--tile", type=int, default=104, help="side of a tile, px")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    num = NUM_CLASSES * args.columns
    images, labels = simulate(SimulateConfig(num=num, seed=args.seed))
    edge = round(images.shape[1] * (1 - args.crop) / 2)
    images = images[:, edge : -edge or None, edge : -edge or None]

    pitch = args.tile + GAP
    size = (MARGIN + args.columns * pitch, NUM_CLASSES * pitch)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(15)
    for label, name in enumerate(CLASS_NAMES):
        middle = (12, label * pitch + args.tile // 2)
        pen.text(middle, name, INK, font, anchor="lm")
        for column, image in enumerate(images[labels == label]):
            tile = Image.fromarray(np.ascontiguousarray(image))
            tile = tile.resize((args.tile, args.tile), Image.Resampling.LANCZOS)
            sheet.paste(tile, (MARGIN + column * pitch, label * pitch))
    publish(sheet, args.out)


if __name__ == "__main__":
    main()
