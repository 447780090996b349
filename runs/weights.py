"""Make the weights that come with dmagnet, from scratch.

    python runs/weights.py --size s --seeds 0 1 2 [--folds] [--without gz1 ...]

Trains on simulated galaxies (full labels, and masks of where they show their class),
real SDSS and DECaLS galaxies (label sets of Galaxy Zoo), composites of their pixels,
and the 241 real Galaxy10 images; judges on real galaxies that it never trained on.
First on small views without the Galaxy10 images and the unlabeled ones; from there on
views of the whole range of sides with them. --folds does the second half five times
more, each without a fifth of the Galaxy10 images, which it then answers. Each step
leaves a file and is skipped when that is there; a killed training goes on.
"""

import argparse
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from real_sets import GROUPS, in_groups
from training_sets import gather, read

from dmagnet.classes import CLASSES, FAMILIES
from dmagnet.config import AugmentConfig, ModelConfig, TrainConfig
from dmagnet.galaxies import Galaxies, joined
from dmagnet.judging.predict import predict
from dmagnet.network.checkpoint import Checkpoint, load
from dmagnet.pictures import resize
from dmagnet.training import fit

SIDE = 128  # px: 16 x 16 places behind LAM
SIDES = (96, 112, 128, 160, 192)  # px: 0.75 to 1.5 times that
NUM_VAL = 1000  # simulated galaxies that watch
FOLDS = 5
SURE = 0.9  # of the probability goes to the classes that an unlabeled image may be
# How often an epoch shows each image: few that say much are shown often.
REPEATS = {
    "simulated": 1.0, "gz2": 2.0, "gz1": 1.0, "kaggle": 0.4, "decals": 2.0,
    "composites": 1.0, "unlabeled": 1.0, "galaxy10": 12.0, "galaxy10 degraded": 6.0,
}  # fmt: skip
LATE = ("unlabeled", "galaxy10", "galaxy10 degraded")  # only in the second half


def settings(size: str, seed: int, epochs: int) -> TrainConfig:
    """Say how the first half is trained."""
    return TrainConfig(
        image_size=SIDE,
        field=0.706,  # 1 / sqrt(2): turned views keep corners of real sky
        radii=3.0,
        epochs=epochs,
        batch_size=64,
        lr=2e-3,
        warmup_epochs=0.5,
        label_smoothing=0.1,
        ema_decay=0.998,
        scales=(0.5, 0.75),
        progressive=False,
        seed=seed,
        save_every_min=3.0,
        model=ModelConfig(size=size, drop_path=0.05),
        augment=AugmentConfig(
            zoom=1.3, shift=0.05, brightness=0.3, gain=0.25, noise=0.03, blur=0.01
        ),
    )


def training_set(
    parts: dict[str, Path],
    names: list[str],
    guesses: Galaxies | None = None,
    left_out: int | None = None,
) -> Galaxies:
    """Join the validation parts that watch with what is trained on."""
    rng = np.random.default_rng(0)
    watching = [simulated_val(parts), read(parts["gz2"]).subset("val")]
    chosen = []
    for name in names:
        some = read(parts[name]).subset("train")
        if name == "simulated":
            some = some.take(np.arange(len(some) - NUM_VAL))
        elif name == "unlabeled" and guesses is not None:
            some = guesses
        often = np.full(len(some), REPEATS[name])
        if name.startswith("galaxy10"):
            often[folds(some) == left_out] = 0
        # A share of a repeat is a chance.
        times = np.floor(often + rng.random(len(some))).astype(int)
        chosen.append(some.take(np.repeat(np.arange(len(some)), times)))
    return joined(*watching, *chosen)


def simulated_val(parts: dict[str, Path]) -> Galaxies:
    """Read the last simulated galaxies, which watch and train nothing."""
    simulated = read(parts["simulated"])
    some = simulated.take(np.arange(len(simulated) - NUM_VAL, len(simulated)))
    return replace(some, split=np.ones(NUM_VAL, np.int8))


def folds(galaxies: Galaxies) -> np.ndarray:
    """Deal galaxies out to the folds, class by class; no galaxy is there twice."""
    fold = np.empty(len(galaxies), int)
    rng = np.random.default_rng(0)
    for label in np.unique(galaxies.labels):
        rows = rng.permutation(np.flatnonzero(galaxies.labels == label))
        fold[rows] = (np.arange(len(rows)) + label) % FOLDS
    return fold


def guessed(checkpoint: Checkpoint, unlabeled: Galaxies) -> Galaxies:
    """Give unlabeled galaxies the classes that the averaged network leaves open.

    Self-training with sets of candidates instead of hard guesses: the fewest classes
    that hold SURE of the probability, mean of eight views.
    """
    p = views(checkpoint, unlabeled, num=8)
    order = np.argsort(-p, axis=1)
    before = np.cumsum(np.take_along_axis(p, order, 1), 1)
    before -= np.take_along_axis(p, order, 1)
    sets = [
        tuple(sorted(map(int, row[held < SURE])))
        for row, held in zip(order, before, strict=True)
    ]
    known = sorted({one for one in sets if len(one) > 1})
    codes = {one: p.shape[1] + k for k, one in enumerate(known)}
    labels = np.array([codes.get(one, one[0]) for one in sets])
    return replace(unlabeled, labels=labels, label_sets=tuple(known), data_hash="")


def views(
    checkpoint: Checkpoint, galaxies: Galaxies, num: int = 8, side: int | None = None
) -> np.ndarray:
    """Ask a network about the middle of training frames, perhaps at another side."""
    config = checkpoint.config
    start = (config.frame_size - config.image_size) // 2
    inside = slice(start, start + config.image_size)
    images = galaxies.images[:, inside, inside]
    images = images if side is None else resize(images, side)
    return predict(checkpoint.model, images, views=num)


def judged(weights: Path, parts: dict[str, Path], num: int = 8) -> dict:
    """Judge one network on the sets that choose it."""
    checkpoint = load(weights)
    family = np.array([FAMILIES.index(one.family) for one in CLASSES])
    real, simulated = read(parts["real60"]), simulated_val(parts)
    labels, p = real.labels, views(checkpoint, real, num)
    guess = p.argmax(1)
    val = read(parts["gz2"]).subset("val")
    allowed = val.membership[val.labels]
    truth = np.array([[row[list(g)].any() for g in GROUPS] for row in allowed])
    answers = in_groups(views(checkpoint, val, num)).argmax(1)
    right = views(checkpoint, simulated, num).argmax(1) == simulated.labels
    by_side = {
        side: float((views(checkpoint, real, num, side).argmax(1) == labels).mean())
        for side in SIDES
    }
    return {
        "real60": float((guess == labels).mean()),
        "families": float((family[guess] == family[labels]).mean()),
        "nll": float(-np.log(p[np.arange(len(labels)), labels]).mean()),
        "recall": [int((guess == labels)[labels == k].sum()) for k in range(10)],
        "gz2_val": float(truth[np.arange(len(val)), answers].mean()),
        "simulated_val": float(right.mean()),
        "real60_by_side": by_side,
        "probabilities_real60": p.round(5).tolist(),
    }


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(argv: list[str] | None = None) -> None:
    """Gather, train, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, default=Path("../shared/data"))
    add("--out", type=Path, default=Path("runs/out/weights"))
    add("--size", default="s")
    add("--epochs", type=int, nargs=2, default=(8, 4), help="of the two halves")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--folds", action="store_true", help="answer the Galaxy10 images out of fold")
    add("--without", nargs="*", default=[], help="sources to leave out, for ablations")
    add("--threads", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    config = settings(args.size, 0, args.epochs[0])
    parts = gather(args.data, args.out, config.frame_size, config.frame_radii)
    names = [name for name in REPEATS if name.split(" ")[0] not in args.without]
    tag = "".join(f"-no-{name}" for name in args.without)
    for seed in args.seeds:
        run = args.out / f"{args.size}{tag}-{seed}"
        first = replace(config, seed=seed)
        second = replace(
            first, epochs=args.epochs[1], lr=first.lr / 2, scales=(0.75, 1.5)
        )
        early = [name for name in names if name not in LATE]
        base = run.with_name(f"{run.name}-base")
        say(f"{run.name}: first half")
        fit(training_set(parts, early), first, base, progress=False)
        say(f"{run.name}: second half")
        guesses = guessed(load(base), read(parts["unlabeled"]))
        fit(
            training_set(parts, names, guesses), second, run,
            start_from=load(base), progress=False,
        )  # fmt: skip
        result = judged(run, parts)
        result["one_view"] = judged(run, parts, num=1)
        result["one_view"].pop("probabilities_real60")
        if args.folds:
            result |= out_of_fold(parts, names, guesses, second, run)
        result |= {
            "seed": seed,
            "date": time.strftime("%Y-%m-%d"),
            "config": asdict(second),
        }
        (run / "judged.json").write_text(json.dumps(result, indent=1))
        shown = {k: v for k, v in result.items() if k != "config" and "prob" not in k}
        say(json.dumps(shown))


def out_of_fold(parts, names, guesses, config: TrainConfig, run: Path):
    """Answer each Galaxy10 image by a network that was not trained on it."""
    base = run.with_name(f"{run.name}-base")
    sets = {kind: read(parts[kind]) for kind in ("galaxy10", "galaxy10 degraded")}
    found = {kind: np.empty((len(one), len(CLASSES))) for kind, one in sets.items()}
    for fold in range(FOLDS):
        place = run.with_name(f"{run.name}-fold{fold}")
        fit(
            training_set(parts, names, guesses, fold), config, place,
            start_from=load(base), progress=False,
        )  # fmt: skip
        for kind, p in found.items():
            rows = np.flatnonzero(folds(sets[kind]) == fold)
            p[rows] = views(load(place), sets[kind].take(rows))
    right = [p.argmax(1) == sets[kind].labels for kind, p in found.items()]
    return {
        "folds_clean": float(right[0].mean()),
        "folds_all": float(np.concatenate(right).mean()),
        "probabilities_folds": {k: p.round(5).tolist() for k, p in found.items()},
    }


if __name__ == "__main__":
    main()
