"""Put the weights of a run into the package, and measure what rounding them changes.

python runs/bundle.py runs/out/weights/s --name s
python runs/bundle.py runs/out/weights/xs --name xs

Writes src/dmagnet/network/dmagnet-NAME.safetensors and its line in index.json. The
rounding is measured on simulated galaxies, and on the val part of the real 5-class set
where that is beside the checkout, with float16 and with bfloat16.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from pack import add_to_package, rounded

from dmagnet.config import SimulateConfig
from dmagnet.galaxies import load_galaxies
from dmagnet.judging.predict import predict
from dmagnet.network.checkpoint import Checkpoint, load
from dmagnet.pictures import standardize
from dmagnet.simulator import simulate

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/dmagnet/network"
REAL = ROOT / "../shared/data/galaxyzoo2_5class_train_val.zip"
LIMIT = 0.02  # no probability may move by more


def views(checkpoint: Checkpoint, num: int) -> dict[str, np.ndarray]:
    """Draw and load galaxies as the network wants to see them."""
    config = checkpoint.config
    side, radii = config.image_size, config.radii
    drawn = SimulateConfig(
        num=num,
        image_size=256 if radii else side,
        field=1.0 if radii else config.field,
        seed=2026,
    )
    images, _ = simulate(drawn)
    if radii:
        images = np.stack([standardize(image, side, radii) for image in images])
    sets = {f"{num} simulated galaxies": images}
    if REAL.exists():
        val = load_galaxies(
            REAL, image_size=side, field=config.field, radii=radii
        ).subset("val")
        sets[f"{len(val)} real galaxies"] = val.images
    return sets


def change(
    exact: Checkpoint, other: Checkpoint, sets: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Say how far probabilities move, and how many answers become others."""
    found = {}
    for name, images in sets.items():
        before, after = (predict(net.model, images) for net in (exact, other))
        moved = np.abs(before - after)
        found[name] = {
            "largest_change_of_a_probability": float(f"{moved.max():.2g}"),
            "mean_change_of_the_probability_of_the_answer": float(
                f"{moved[np.arange(len(moved)), before.argmax(1)].mean():.2g}"
            ),
            "answers_that_change": int((before.argmax(1) != after.argmax(1)).sum()),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--name", choices=("s", "xs"), required=True)
    parser.add_argument("--num", type=int, default=500)
    parser.add_argument("--package", type=Path, default=PACKAGE)
    args = parser.parse_args()
    checkpoint = load(args.run)
    sets = views(checkpoint, args.num)
    measured = {
        str(dtype).removeprefix("torch."): change(
            checkpoint, rounded(checkpoint, dtype), sets
        )
        for dtype in (torch.float16, torch.bfloat16)
    }
    print(json.dumps(measured, indent=1))
    worst = max(
        entry["largest_change_of_a_probability"]
        for entry in measured["float16"].values()
    )
    if worst > LIMIT:
        raise SystemExit(f"float16 moves a probability by {worst}: store float32")
    entry = add_to_package(
        args.package, args.name, checkpoint, rounding=measured["float16"]
    )
    total = sum(path.stat().st_size for path in args.package.glob("*.safetensors"))
    print(json.dumps({**entry, "class_names": len(entry["class_names"])}, indent=1))
    print(f"{args.package}: {total / 1e6:.2f} MB of weights")


if __name__ == "__main__":
    main()
