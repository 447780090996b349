"""How many labels, and how many epochs, trained weights save on the real 5-class set.

    python runs/finetune.py --from s --out runs/out/finetune

Fine-tunes from weights, and trains the same network from scratch, on 100, 300, 1000
and all training images, three subsets each, and judges on the val part. "probe" is the
weights with a new head and nothing else trained. A killed run goes on where it was;
OUT/curve.json and OUT/curve.png hold all trainings that OUT has, after each of them.
"""

import argparse
import json
import math
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from dmagnet import __version__
from dmagnet.config import TrainConfig
from dmagnet.config.recipes import as_trained, finetune, laptop
from dmagnet.figures import save as save_figure
from dmagnet.galaxies import Galaxies, load_galaxies
from dmagnet.judging.predict import predict
from dmagnet.network import load as load_weights
from dmagnet.network.checkpoint import Checkpoint, load
from dmagnet.training import fit, history
from dmagnet.training.finetune import start_of

DATA = Path(__file__).parents[2] / "shared/data/galaxyzoo2_5class_train_val.zip"
SIZES = (100, 300, 1000, 0)  # 0: all of them
SCRATCH_STEPS = 1000  # at least, so that few images are no excuse
COLORS = {"fine-tuned": "#D55E00", "scratch": "#0072B2", "probe": "#6b6b6b"}


def drawn(galaxies: Galaxies, num: int, seed: int) -> Galaxies:
    """Take some training images, every class with its share, and all of val."""
    train, val = galaxies.indices("train"), galaxies.indices("val")
    if 0 < num < len(train):
        rng = np.random.default_rng([num, seed])
        labels = galaxies.labels[train]
        order = rng.permutation(len(train))
        # Rank of each image within its class, as a share: the lowest are taken.
        share = np.empty(len(train))
        for label in np.unique(labels):
            mine = order[labels[order] == label]
            share[mine] = (np.arange(len(mine)) + rng.random()) / len(mine)
        train = train[np.sort(np.argsort(share)[:num])]
    return replace(galaxies.take(np.concatenate([train, val])), data_hash="")


def recipes(parent: TrainConfig, num: int, args: argparse.Namespace) -> dict:
    """Say how each kind is trained on so many images."""
    changes = json.loads(args.set)
    tuned = replace(as_trained(finetune(), parent), **changes)
    if args.epochs:
        tuned = replace(tuned, epochs=args.epochs)
    scratch = as_trained(laptop(), parent)
    batch = tuned.batch_size if num < 1000 else scratch.batch_size
    steps = max(num // batch, 1)
    epochs = max(args.scratch_epochs, math.ceil(args.scratch_steps / steps))
    scratch = replace(scratch, batch_size=batch, epochs=epochs, ema_decay=0.995)
    return {"probe": tuned, "fine-tuned": tuned, "scratch": scratch}


def train(
    kind: str,
    parent: Checkpoint,
    galaxies: Galaxies,
    config: TrainConfig,
    *,
    out: Path,
    val: Galaxies,
) -> dict:
    """Train one network and judge it, or read what came out before."""
    judged = out / "judged.json"
    if judged.exists():
        return json.loads(judged.read_text())
    started = time.time()
    if kind == "probe":
        names = galaxies.class_names
        config = replace(config, model=replace(config.model, num_classes=len(names)))
        torch.manual_seed(config.seed)
        model = start_of(parent, galaxies, config, torch.device("cpu")).eval()
        rows = []
    else:
        start = parent if kind == "fine-tuned" else None
        path = fit(galaxies, config, out, start_from=start, progress=False)
        model, rows = load(path).model, history(out)
    one, eight = (predict(model, val.images, views=views) for views in (1, 8))
    result = {
        "kind": kind,
        "num": int((galaxies.split == 0).sum()),
        "seed": config.seed,
        "epochs": 0 if kind == "probe" else config.epochs,
        "accuracy": float((one.argmax(1) == val.labels).mean()),
        "accuracy8": float((eight.argmax(1) == val.labels).mean()),
        "n": len(val),
        "minutes": round((time.time() - started) / 60, 2),
        "date": time.strftime("%Y-%m-%d"),
        "config": asdict(config),
        "curve": [
            [row["epoch"] + 1, row["val_accuracy"]]
            for row in rows
            if "val_accuracy" in row
        ],
    }
    out.mkdir(parents=True, exist_ok=True)
    judged.write_text(json.dumps(result, indent=1))
    return result


def write(out: Path, provenance: dict) -> None:
    """Write what the folder holds so far, as JSON and as a figure."""
    results = [json.loads(path.read_text()) for path in out.glob("*/judged.json")]
    summary = []
    for kind in COLORS:
        for num in sorted({row["num"] for row in results}):
            found = [r for r in results if (r["kind"], r["num"]) == (kind, num)]
            if found:
                scores = [row["accuracy"] for row in found]
                summary.append({
                    "kind": kind, "num": num, "epochs": found[0]["epochs"],
                    "runs": len(scores), "accuracy": float(np.mean(scores)),
                    "lowest": min(scores), "highest": max(scores),
                    "accuracy8": float(np.mean([r["accuracy8"] for r in found])),
                    "minutes": float(np.mean([r["minutes"] for r in found])),
                })  # fmt: skip
    content = {"provenance": provenance, "summary": summary, "runs": results}
    (out / "curve.json").write_text(json.dumps(content, indent=1))
    save_figure(picture(summary, results), out / "curve.png")


def picture(summary: list[dict], results: list[dict]) -> Figure:
    """Draw accuracy against images, and against epochs for the largest number."""
    figure = Figure(figsize=(9.2, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    most = max(row["num"] for row in results)
    for kind, color in COLORS.items():
        rows = [row for row in summary if row["kind"] == kind]
        if not rows:
            continue
        ends = np.array([[r["accuracy"] - r["lowest"], r["highest"] - r["accuracy"]]
                         for r in rows]).T  # fmt: skip
        left.errorbar([r["num"] for r in rows], [r["accuracy"] for r in rows], ends,
                      color=color, marker="o", capsize=3, label=kind)  # fmt: skip
        for row in results:
            if (row["kind"], row["num"]) == (kind, most) and row["curve"]:
                epochs, scores = zip(*row["curve"], strict=True)
                right.plot(epochs, scores, color=color, alpha=0.8)
    left.set(xscale="log", xlabel="training images", ylabel="accuracy on val")
    left.set_xticks(sorted({row["num"] for row in results}))
    left.xaxis.set_major_formatter("{x:.0f}")
    left.minorticks_off()
    left.legend(frameon=False, loc="lower right")
    right.set(xscale="log", xlabel=f"epochs ({most} images)")
    right.xaxis.set_major_formatter("{x:.0f}")
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--from", dest="start", default="s", help="bundled weights, or a path")
    add("--data", type=Path, default=DATA)
    add("--out", type=Path, default=Path("runs/out/finetune"))
    add("--sizes", type=int, nargs="+", default=SIZES)
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--kinds", nargs="+", default=list(COLORS), choices=list(COLORS))
    add("--epochs", type=int, help="of fine-tuning, instead of the recipe's")
    add("--scratch-epochs", type=int, default=laptop().epochs)
    add("--scratch-steps", type=int, default=SCRATCH_STEPS)
    add("--set", default="{}", help="JSON of other knobs of fine-tuning, for trials")
    add("--threads", type=int, default=2)
    add("--quick", action="store_true", help="see that it runs: minutes become seconds")
    args = parser.parse_args()
    if args.quick:
        args.sizes, args.seeds, args.epochs = [60], [0], 1
        args.scratch_epochs, args.scratch_steps = 1, 1
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    parent = load_weights(args.start)
    seen = parent.config
    frames = load_galaxies(
        args.data, image_size=seen.frame_size, radii=seen.frame_radii
    )
    val = load_galaxies(
        args.data, image_size=seen.image_size, field=seen.field, radii=seen.radii
    ).subset("val")
    provenance = {
        "version": __version__,
        "weights_hash": parent.weights_hash,
        "data": args.data.name,
        "data_hash": frames.data_hash,
        "torch": torch.__version__,
    }
    for num in args.sizes:
        for seed in args.seeds:
            galaxies = drawn(frames, num, seed)
            size = int((galaxies.split == 0).sum())
            for kind, config in recipes(seen, size, args).items():
                if kind not in args.kinds:
                    continue
                run = args.out / f"{kind}-{size}-{seed}"
                seeded = replace(config, seed=seed)
                row = train(kind, parent, galaxies, seeded, out=run, val=val)
                write(args.out, provenance)
                print(
                    f"{time.strftime('%H:%M:%S')} {kind} {size} images, seed {seed}: "
                    f"{row['accuracy']:.3f} ({row['minutes']} min)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
