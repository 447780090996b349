"""Galaxies a second from JPEG files to a table, beside the network alone.

    python benchmarks/classify_rate.py --side 256 --rounds 3

In each round, in turns, so that a change of the machine's pace meets all:

- network: pictures that are in memory already, the faster of two ways: one call at a
  time on all cores, or as classify calls it, one core each
- classify: `classifying.write_catalog` from a folder of 256 px JPEG files, listing,
  reading, opening the weights and the table included; start-up of Python is not
- standardized: the same for a network of the same shape that sees all galaxies at one
  size (radii 3), so that each picture is measured and standardized on the way
- loop: the folder loop that people write, PIL + DataLoader + ResNet-18, at 224 px,
  the side of its training, and at the side of our network. Needs timm.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torchvision_stub  # noqa: F401 (first, so that timm can be imported)
from baselines import build
from jpegs import draw_folder
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from dmagnet.classes import CLASS_NAMES
from dmagnet.classifying import open_classifier, write_catalog
from dmagnet.config import ClassifyConfig, ModelConfig, TrainConfig
from dmagnet.network import DMAGNet, load
from dmagnet.network.checkpoint import Checkpoint, save
from dmagnet.pictures.inputs import list_items, read_picture
from dmagnet.pictures.standard import RADII

BATCH = 32


class Folder(Dataset):
    """Images of a folder, resized, as most people write it."""

    def __init__(self, paths: list[Path], side: int) -> None:
        self.paths, self.side = paths, side

    def __len__(self) -> int:
        """Count the files."""
        return len(self.paths)

    def __getitem__(self, i: int):
        """Read one image: (3, S, S) float in [0, 1]."""
        image = Image.open(self.paths[i]).convert("RGB")
        image = image.resize((self.side, self.side), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


def loop(paths, side: int, network) -> None:
    """Classify a folder with a DataLoader of two workers."""
    loader = DataLoader(Folder(paths, side), batch_size=BATCH, num_workers=2)
    with torch.inference_mode():
        for images in loader:
            network(images).softmax(1)


def network_alone(one, many, images, threads: int, clock: "Clock") -> None:
    """Time the network alone, in both ways."""
    with clock("all cores"):
        one.probabilities(images)
    batches = [images[i : i + BATCH] for i in range(0, len(images), BATCH)]
    with clock("a core each"), ThreadPoolExecutor(threads) as pool:
        list(pool.map(many.probabilities, batches))


class Clock:
    """Seconds by the clock on the wall, and of the processors, for each part."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = {}
        self.processors: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str):
        """Measure one part."""
        start, used = time.perf_counter(), time.process_time()
        yield
        self.wall[name] = time.perf_counter() - start
        self.processors[name] = time.process_time() - used


def fresh(path: Path, side: int) -> Path:
    """Save a network of size s with random weights."""
    config = TrainConfig(image_size=side, model=ModelConfig(size="s"))
    model = DMAGNet(config.model).eval()
    return save(path, Checkpoint(model, config, CLASS_NAMES, {}))


def with_radii(weights: Path | str, path: Path, radii: float | None) -> Path:
    """Save the same network as one that sees galaxies at one size, or as they are."""
    checkpoint = load(weights)
    config = replace(checkpoint.config, radii=radii)
    return save(path, replace(checkpoint, config=config))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="a run; else a fresh network")
    parser.add_argument("--side", type=int, default=256, help="of a fresh network")
    parser.add_argument("--folder", type=Path, default=Path("runs/out/jpegs"))
    parser.add_argument("--num", type=int, default=1500)
    parser.add_argument("--views", type=int, choices=(1, 2, 4, 8), help="as calibrated")
    parser.add_argument("--loop", type=int, default=300, help="images for the loop")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads)
    folder = draw_folder(args.folder / str(args.num), args.num)
    paths = sorted(folder.glob("*.jpg"))
    if args.weights is None:  # the rate does not depend on the weights
        args.weights = fresh(args.folder / f"s_{args.side}.safetensors", args.side)
    weights = {
        name: with_radii(args.weights, args.folder / f"rate_{name}.safetensors", radii)
        for name, radii in (("classify", None), ("standardized", RADII))
    }
    one = open_classifier(args.weights, views=args.views, threads=threads)
    many = open_classifier(args.weights, views=args.views, threads=1)
    config = ClassifyConfig(batch_size=BATCH, views=args.views)
    items = list(list_items([folder], config.source))
    side, field = one.image_size, one.field
    images = np.stack(
        [
            read_picture(item, side, field, config.source, radii=one.radii).rgb
            for item in items
        ]
    )
    resnet = build("resnet18", 10).eval()
    rounds, ms = [], []
    for i in range(args.rounds + 1):
        clock = Clock()
        network_alone(one, many, images, threads, clock)
        with tempfile.TemporaryDirectory() as scratch:
            for name, path in weights.items():
                out = Path(scratch) / f"{name}.ecsv"
                with clock(name):
                    write_catalog(folder, out, weights=path, config=config)
        for other in (side, 224):
            with clock(f"loop {other}"):
                loop(paths[:: args.num // args.loop], other, resnet)
        if i:  # the first round warms up
            count = {name: args.loop if "loop" in name else args.num
                     for name in clock.wall}  # fmt: skip
            rounds.append({name: count[name] / s for name, s in clock.wall.items()})
            ms.append(
                {
                    name: 1e3 * clock.processors[name] / args.num
                    for name in ("a core each", *weights)
                }
            )
            print({name: round(rate) for name, rate in rounds[-1].items()}, flush=True)

    def ratio(name: str, *others: str) -> dict[str, float]:
        found = [r[name] / max(r[other] for other in others) for r in rounds]
        return {
            "median": round(statistics.median(found), 3),
            "min": round(min(found), 3),
            "max": round(max(found), 3),
        }

    result = {
        "weights": str(args.weights),
        "side": side,
        "images": len(paths),
        "threads": threads,
        "rounds": rounds,
        "processor ms per image": ms,
        "classify over network": ratio("classify", "all cores", "a core each"),
        "standardized over network": ratio("standardized", "all cores", "a core each"),
        **{
            f"{name} over loop {other}": ratio(name, f"loop {other}")
            for name in weights
            for other in (224, side)
        },
    }
    shown = {k: v for k, v in result.items() if "over" in k or "ms" in k}
    print(json.dumps(shown, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
