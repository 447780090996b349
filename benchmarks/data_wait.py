"""Share of a training step that is spent on drawing the batch and not on learning.

    OMP_NUM_THREADS=2 python benchmarks/data_wait.py --size s --image-size 128

Uses Lightning's profiler around the batch (order, selection, augmentation, cast) and
around the whole training batch; the fetch of the batch's number counts as data too.
"""

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from dmagnet.config import ModelConfig, SimulateConfig
from dmagnet.config.recipes import RECIPES, recipe
from dmagnet.galaxies.simulated import as_galaxies
from dmagnet.network import DMAGNet
from dmagnet.simulator import simulate
from dmagnet.training import optimize


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", choices=list(RECIPES), default="laptop")
    parser.add_argument("--size", default="s")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--num", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    config = replace(
        recipe(args.recipe),
        image_size=args.image_size,
        epochs=args.epochs,
        progressive=False,
        scales=(1.0, 1.0),
        model=ModelConfig(size=args.size),
    )
    drawn = SimulateConfig(num=args.num + 20, image_size=args.image_size)
    galaxies = as_galaxies(simulate(drawn), 0, "simulated", num_train=args.num)
    with tempfile.TemporaryDirectory() as folder:
        trainer = optimize(
            DMAGNet(config.model),
            galaxies,
            config,
            Path(folder),
            accelerator="cpu",
            progress=False,
            profiler="simple",
        )
        spent = trainer.profiler.recorded_durations
    draw = sum(spent["draw_batch"])
    fetch = sum(sum(v) for k, v in spent.items() if "train_dataloader_next" in k)
    step = sum(spent["run_training_batch"])
    print(
        json.dumps(
            {
                "date": time.strftime("%Y-%m-%d"),
                "threads": torch.get_num_threads(),
                "recipe": args.recipe,
                "size": args.size,
                "image_size": args.image_size,
                "batches": len(spent["draw_batch"]),
                "draw_s": round(draw, 2),
                "fetch_s": round(fetch, 3),
                "training_batch_s": round(step, 2),
                "waiting_share": round((draw + fetch) / (step + fetch), 4),
            }
        )
    )


if __name__ == "__main__":
    main()
