"""Train one network from scratch on the real 5-class set and judge it on its val.

    python benchmarks/real_accuracy.py --model s --seed 0 --out runs/out/real5

Writes OUT/MODEL-SEED/val.npz (labels and probabilities, one view and eight) and
prints one line of JSON. A killed run goes on where it was.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torchvision_stub  # noqa: F401 (first, so that Lightning can be imported)
from baselines import build

from dmagnet.config import AugmentConfig, ModelConfig, TrainConfig
from dmagnet.galaxies import load_galaxies
from dmagnet.judging.predict import predict
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, save
from dmagnet.training import optimize

DATA = Path(__file__).parents[2] / "shared/data/galaxyzoo2_5class_train_val.zip"


def recipe(epochs: int, image_size: int, seed: int) -> TrainConfig:
    """One recipe for all networks; nothing in it was tuned for one of them."""
    return TrainConfig(
        image_size=image_size,
        field=0.75,  # these frames are wider than Galaxy10's
        epochs=epochs,
        batch_size=64,
        lr=1.5e-3,
        warmup_epochs=min(3, epochs),
        ema_decay=0.995,  # about five epochs of this small set
        save_every_min=2,
        seed=seed,
        model=ModelConfig(num_classes=5),
        augment=AugmentConfig(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="s")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=70)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)

    config = recipe(args.epochs, args.image_size, args.seed)
    galaxies = load_galaxies(args.data, image_size=config.frame_size)
    torch.manual_seed(args.seed)
    model = build(args.model, len(galaxies.class_names))
    num_parameters = sum(p.numel() for p in model.parameters())
    out = args.out / f"{args.model.replace(':', '-')}-{args.seed}"
    start, cpu = time.perf_counter(), time.process_time()
    optimize(model, galaxies, config, out, accelerator="cpu", progress=False)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu

    val = load_galaxies(
        args.data, image_size=config.image_size, field=config.field
    ).subset("val")
    one = predict(model, val.images)
    eight = predict(model, val.images, views=8)
    np.savez(
        out / "val.npz", labels=val.labels, probabilities=one, probabilities8=eight
    )
    torch.save(model.state_dict(), out / "state.pt")
    if isinstance(model, DMAGNet):  # for `dmagnet measure` and `dmagnet dream`
        config = replace(config, model=model.config)
        provenance = {"recipe": "benchmarks/real_accuracy.py", "seed": args.seed}
        checkpoint = Checkpoint(model, config, galaxies.class_names, provenance)
        save(out / "weights.safetensors", checkpoint)
    result = {
        "model": args.model,
        "seed": args.seed,
        "parameters": num_parameters,
        "epochs": args.epochs,
        "image_size": args.image_size,
        "n": len(val),
        "accuracy": float((one.argmax(1) == val.labels).mean()),
        "accuracy8": float((eight.argmax(1) == val.labels).mean()),
        "cpu_s": round(cpu),
        "wall_s": round(wall),
        "torch": torch.__version__,
        "date": time.strftime("%Y-%m-%d"),
        "recipe": {
            k: v
            for k, v in vars(replace(config)).items()
            if k not in ("model", "augment")
        },
    }
    (out / "result.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
