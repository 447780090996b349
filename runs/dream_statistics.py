"""Measure the colors and waves of galaxies that dreams are made of.

    python runs/dream_statistics.py              # the file in the package, simulated
    python runs/dream_statistics.py --data MY_IMAGES --out mine.json

Your own file: `dreaming.statistics.Statistics.read("mine.json")` goes into every
function that takes ``statistics``.
"""

import argparse
from pathlib import Path

import dmagnet.dreaming.statistics as chapter
from dmagnet.config import SimulateConfig
from dmagnet.galaxies import load_galaxies
from dmagnet.simulator import simulate

PACKAGED = Path(chapter.__file__).with_name(chapter.PACKAGED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="your images; simulated if not given")
    parser.add_argument("--num", type=int, default=2400, help="galaxies to simulate")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=20_260_101)
    parser.add_argument("--out", type=Path, default=PACKAGED)
    args = parser.parse_args()
    if args.data is not None:
        if args.out == PACKAGED:
            parser.error("--data needs --out: the package keeps simulated galaxies")
        images = load_galaxies(args.data, image_size=args.image_size).images
    else:
        config = SimulateConfig(
            num=args.num, image_size=args.image_size, seed=args.seed
        )
        images, _ = simulate(config)
    statistics = chapter.measure_statistics(images)
    statistics.write(args.out)
    print(f"{args.out}: {statistics.num} images of {statistics.side} px")


if __name__ == "__main__":
    main()
