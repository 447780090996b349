"""Make the weights that come with dmagnet, from scratch.

    python runs/weights.py --data ../shared/data --out runs/out/weights [--seeds 0 1 2]

Trains on simulated galaxies (full labels), real SDSS galaxies (coarse labels of Galaxy
Zoo 1 and 2) and composites of their pixels; judges on real galaxies that it never
trained on. Each step leaves a file and is skipped when that is there; a killed training
goes on. Two CPU cores take about an hour for each network of size s at 64 px.
"""

import argparse
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from composites import disturb, merge_pair
from real_sets import GZ1, GZ2, MEANINGS, REAL60

from dmagnet.classes import CLASS_NAMES, CLASSES, FAMILIES
from dmagnet.config import AugmentConfig, ModelConfig, SimulateConfig, TrainConfig
from dmagnet.galaxies import Galaxies, coarse, joined, load_galaxies
from dmagnet.judging.predict import predict
from dmagnet.network.checkpoint import Checkpoint, load, save
from dmagnet.pictures import standardize
from dmagnet.simulator import write_hdf5
from dmagnet.training import fit

MEANINGS_GZ2 = MEANINGS[GZ2]
# To train on, an elliptical may also be a cigar.
MEANINGS_GZ1 = {**MEANINGS[GZ1], "0_elliptical": CLASS_NAMES[2:5]}
GROUPS = ((2,), (3,), (4,), (8, 9), (5, 6, 7))
SAME_SKY = 0.97  # correlation of two pictures from which they show the same galaxy
DRAWS, NUM_DRAWN, NUM_VAL = (5, 6), 7000, 1000  # seeds; galaxies of each; of all
NUM_COMPOSITES = 1600
EVENED = 0.5  # how far the head's biases move to where answers are shared evenly
REPEATS = {"gz2": 3, "gz1": 1, "composites": 1}
BRANCHES = {"a": 1, "b": 3}  # short ones that go on, and repeats of composites in each


def training(size: str, side: int, epochs: int, seed: int) -> TrainConfig:
    """Say how the shipped weights are trained."""
    return TrainConfig(
        image_size=side,
        field=0.706,
        radii=3.0,
        epochs=epochs,
        batch_size=64,
        lr=2e-3,
        warmup_epochs=1.0,
        label_smoothing=0.1,
        ema_decay=0.999,
        progressive=True,
        seed=seed,
        save_every_min=3.0,
        model=ModelConfig(size=size),
        augment=AugmentConfig(
            zoom=1.3, shift=0.05, brightness=0.3, gain=0.25, noise=0.03, blur=0.01
        ),
    )


def gather(data: Path, out: Path, config: TrainConfig, args: argparse.Namespace):
    """Bring every source to one form, once."""
    form = {"image_size": config.frame_size, "radii": config.frame_radii}
    files = [args.simulated]
    if not args.simulated:
        files = [out / f"galaxies-{seed}.h5" for seed in DRAWS]
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(draw, files, DRAWS))
    parts = {}
    for name, make in {
        "simulated": lambda: joined(*(load_galaxies(file, **form) for file in files)),
        "real60": lambda: load_galaxies(data / REAL60, **form),
        "gz2": lambda: coarse(load_galaxies(data / GZ2, **form), MEANINGS_GZ2),
        "gz1": lambda: coarse(load_galaxies(data / GZ1, **form), MEANINGS_GZ1),
        "composites": lambda: composites(data, **form),
    }.items():
        tag = Path(args.simulated).parent.name if args.simulated else "drawn"
        kind = f"{name}-{tag}" if name == "simulated" else name
        parts[name] = kept(out / f"{kind}-{config.frame_size}.npz", make)
    return parts


def draw(path: Path, seed: int) -> None:
    """Draw simulated galaxies into a file, once."""
    if not path.exists():
        torch.set_num_threads(1)
        write_hdf5(path, SimulateConfig(num=NUM_DRAWN, image_size=256, seed=seed))


def kept(path: Path, make) -> Galaxies:
    """Make a set of galaxies, or read it from the file it was kept in."""
    if not path.exists():
        say(f"making {path.name}")
        galaxies = make()
        fields = {k: getattr(galaxies, k) for k in Galaxies.__dataclass_fields__}
        arrays = {k: v for k, v in fields.items() if isinstance(v, np.ndarray)}
        plain = {k: v for k, v in fields.items() if not isinstance(v, np.ndarray)}
        part = path.with_suffix(".part.npz")
        np.savez(part, **arrays, plain=json.dumps(plain))
        part.replace(path)
    with np.load(path) as file:
        plain = json.loads(str(file["plain"]))
        arrays = {k: file[k] for k in file.files if k != "plain"}
    for name in ("class_names", "skipped", "notes"):
        plain[name] = tuple(plain[name])
    plain["label_sets"] = tuple(map(tuple, plain["label_sets"]))
    return Galaxies(**arrays, **plain)


def composites(data: Path, image_size: int, radii: float) -> Galaxies:
    """Make mergers and disturbed galaxies of the pixels of SDSS training images."""
    gz2 = coarse(load_galaxies(data / GZ2, image_size=256), MEANINGS_GZ2)
    gz1 = coarse(load_galaxies(data / GZ1, image_size=256), MEANINGS_GZ1)
    both = joined(gz2, gz1).subset("train")
    allowed = both.membership[both.labels]
    discs = np.flatnonzero(allowed[:, 6])
    plain = np.flatnonzero(~allowed[:, [0, 4, 8, 9]].any(1))
    rng = np.random.default_rng(5)
    jobs = []
    for _ in range(NUM_COMPOSITES):
        first, second = rng.choice(plain), rng.choice(len(both))
        jobs.append((both.images[first], both.images[second], rng.integers(2**31)))
    for _ in range(NUM_COMPOSITES):
        one = rng.choice(discs if rng.random() < 0.95 else plain)
        jobs.append((both.images[one], None, rng.integers(2**31)))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        images = np.stack(list(pool.map(_composite, jobs, chunksize=16)))
        bring = partial(standardize, side=image_size, radii=radii)
        images = np.stack(list(pool.map(bring, images, chunksize=16)))
    num = len(images)
    unknown = np.full(num, np.nan)
    return Galaxies(
        images=images,
        labels=np.repeat([1, 0], NUM_COMPOSITES),
        class_names=CLASS_NAMES,
        ids=np.array([f"composite:{k}" for k in range(num)]),
        ra=unknown, dec=unknown, redshift=unknown, pxscale=unknown,
        split=np.zeros(num, np.int8),
        source="composites of Galaxy Zoo 1 and 2 train images",
    )  # fmt: skip


def _composite(job) -> np.ndarray:
    first, second, seed = job
    rng = np.random.default_rng(seed)
    return disturb(first, rng) if second is None else merge_pair(first, second, rng)


def without_same_sky(train: Galaxies, *judged: Galaxies) -> Galaxies:
    """Leave out training images that show a galaxy that the network is judged on."""

    def fingerprints(galaxies: Galaxies) -> np.ndarray:
        side = galaxies.images.shape[1]
        step = side // 24
        inner = galaxies.images[:, : 24 * step, : 24 * step].mean(-1)
        small = inner.reshape(-1, 24, step, 24, step).mean((2, 4))[:, 4:20, 4:20]
        flat = small.reshape(len(small), -1)
        # What is left of a galaxy without its round part tells it from its likes.
        flat = flat - flat.mean(1, keepdims=True)
        turned = small.transpose(0, 2, 1).reshape(len(small), -1)
        turned = turned - turned.mean(1, keepdims=True)
        flat = flat - 0.5 * (flat + turned)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-6)

    mine = fingerprints(train)
    same = np.zeros(len(train), bool)
    for other in judged:
        same |= (mine @ fingerprints(other).T).max(1) > SAME_SKY
    say(f"{int(same.sum())} training images show a galaxy to be judged on; left out")
    return train.take(np.flatnonzero(~same))


def training_set(parts: dict[str, Galaxies], repeats: dict[str, int]) -> Galaxies:
    """Join what is trained on, with the validation parts that watch it."""
    simulated = parts["simulated"]
    split = np.zeros(len(simulated), np.int8)
    split[-NUM_VAL:] = 1
    gz2_val = parts["gz2"].subset("val")
    gz1 = without_same_sky(parts["gz1"].subset("train"), gz2_val)
    chosen = [replace(simulated, split=split), gz2_val]
    for name, some in (
        ("gz2", parts["gz2"].subset("train")),
        ("gz1", gz1),
        ("composites", parts["composites"]),
    ):
        chosen += [some] * repeats[name]
    return joined(*chosen)


def with_branches(
    run: Path, parts: dict[str, Galaxies], config: TrainConfig, epochs: int
) -> Path:
    """Go on from a network twice, a little, and take the mean of all three.

    In the branches a spiral of Galaxy Zoo 1 may be a disturbed galaxy too, as Galaxy10
    would have it. Means of weights: Wortsman et al. (2022, arXiv:2203.05482).
    """
    path = run / "mean.safetensors"
    if path.exists() or not epochs:
        return path if epochs else run
    open_to_disturbed = {(5, 6, 7): (0, 5, 6, 7)}
    sets = (open_to_disturbed.get(one, one) for one in parts["gz1"].label_sets)
    parts = parts | {"gz1": replace(parts["gz1"], label_sets=tuple(sets))}
    config = replace(config, epochs=epochs, lr=config.lr / 4)
    networks = [load(run)]
    for name, repeats in BRANCHES.items():
        galaxies = training_set(parts, REPEATS | {"composites": repeats})
        branch = run.with_name(f"{run.name}{name}")
        fit(
            galaxies, config, branch, start_from=load(run),
            accelerator="auto", progress=False,
        )  # fmt: skip
        networks.append(load(branch))
    states = [checkpoint.model.state_dict() for checkpoint in networks]
    for name, mean in states[0].items():
        if mean.is_floating_point():
            mean.copy_(torch.stack([state[name] for state in states]).mean(0))
    told = networks[0].provenance | {"branches": f"{BRANCHES}, {epochs} epochs each"}
    return save(path, replace(networks[0], provenance=told))


def evened(weights: Path, balanced: Galaxies) -> Path:
    """Move the head's biases toward equal shares of the answers on a balanced set.

    Labels that stand for several classes say nothing about the shares among them, and
    what a network guesses there it then learns. The labels of the set are not read.
    """
    run = weights if weights.is_dir() else weights.parent
    path = run / "evened.safetensors"
    if path.exists():
        return path
    checkpoint = load(weights)
    p = views(checkpoint, balanced)
    bias = np.zeros(p.shape[1])
    for _ in range(500):
        shares = p * np.exp(bias)
        shares = (shares / shares.sum(1, keepdims=True)).mean(0)
        bias -= 0.5 * np.log(shares * len(shares))
    bias -= bias.mean()
    with torch.no_grad():
        checkpoint.model.head.bias += torch.tensor(EVENED * bias, dtype=torch.float32)
    checkpoint = replace(
        checkpoint,
        provenance=checkpoint.provenance | {"evened": bias.round(3).tolist()},
    )
    return save(path, checkpoint)


def views(checkpoint: Checkpoint, galaxies: Galaxies, num: int = 8) -> np.ndarray:
    """Ask a network about the middle of training frames."""
    config = checkpoint.config
    start = (config.frame_size - config.image_size) // 2
    inside = slice(start, start + config.image_size)
    return predict(checkpoint.model, galaxies.images[:, inside, inside], views=num)


def judged(weights: Path, parts: dict[str, Galaxies], num_views: int = 8) -> dict:
    """Judge one network on the sets that chose it."""
    ask = partial(views, load(weights), num=num_views)
    family = np.array([FAMILIES.index(one.family) for one in CLASSES])
    labels, p = parts["real60"].labels, ask(parts["real60"])
    guess, grouped = p.argmax(1), in_groups(p)
    group_of = {k: g for g, members in enumerate(GROUPS) for k in members}
    five = np.array([group_of.get(k, -1) for k in labels])
    val = parts["gz2"].subset("val")
    allowed = val.membership[val.labels]
    truth = np.array([[row[list(g)].any() for g in GROUPS] for row in allowed])
    answers = in_groups(ask(val)).argmax(1)
    simulated = parts["simulated"].take(np.arange(len(parts["simulated"]))[-NUM_VAL:])
    return {
        "real60": float((guess == labels).mean()),
        "families": float((family[guess] == family[labels]).mean()),
        "groups": float((grouped.argmax(1) == five)[five >= 0].mean()),
        "nll": float(-np.log(p[np.arange(len(labels)), labels]).mean()),
        "recall": [int((guess == labels)[labels == k].sum()) for k in range(10)],
        "gz2_val": float(truth[np.arange(len(val)), answers].mean()),
        "simulated_val": float((ask(simulated).argmax(1) == simulated.labels).mean()),
        "probabilities_real60": p.round(5).tolist(),
    }


def in_groups(p: np.ndarray) -> np.ndarray:
    """Sum the probabilities of the classes of each group."""
    return np.stack([p[:, list(members)].sum(1) for members in GROUPS], 1)


def say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(argv: list[str] | None = None) -> None:
    """Gather, train, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, default=Path("../shared/data"))
    add("--out", type=Path, default=Path("runs/out/weights"))
    add("--size", default="s")
    add("--side", type=int, default=64)
    add("--epochs", type=int, default=16)
    add("--branch-epochs", type=int, default=2)
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--simulated", type=Path, help="a file of simulated galaxies to use instead")
    add("--threads", type=int, default=os.cpu_count() or 1)
    add("--name", default="", help="of the runs, for trials")
    add("--without", nargs="*", default=[], help="parts to leave out, for ablations")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    config = training(args.size, args.side, args.epochs, 0)
    parts = gather(args.data, args.out, config, args)
    repeats = REPEATS | dict.fromkeys(args.without, 0)
    galaxies = training_set(parts, repeats)
    say(f"{len(galaxies)} images, {galaxies.label_sets}")
    for seed in args.seeds:
        run = args.out / f"{args.size}{args.side}{args.name}-{seed}"
        started = time.time()
        fit(
            galaxies,
            replace(config, seed=seed),
            run,
            accelerator="auto",
            progress=False,
        )
        branches = args.branch_epochs if not args.without else 0
        mean = with_branches(run, parts, replace(config, seed=seed), branches)
        weights = evened(mean, parts["real60"])
        result = judged(weights, parts)
        for name, other in (
            ("one_view", judged(weights, parts, num_views=1)),
            ("not_evened", judged(mean, parts)),
            ("trunk", judged(run, parts)),
        ):
            other.pop("probabilities_real60")
            result[name] = other
        result |= {
            "seed": seed,
            "date": time.strftime("%Y-%m-%d"),
            "minutes": (time.time() - started) / 60,
            "config": asdict(replace(config, seed=seed)),
        }
        (run / "judged.json").write_text(json.dumps(result, indent=1))
        shown = {
            k: v
            for k, v in result.items()
            if k not in ("config", "probabilities_real60")
        }
        say(json.dumps(shown))


if __name__ == "__main__":
    main()
