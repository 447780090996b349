r"""Causal morphology: what one changed parameter of a galaxy does to the answer.

    python runs/causal.py --weights s xs --num 100 -o runs/out/causal \
        [--images docs/images]

Pairs and doses of simulated galaxies that differ in one parameter, framed as `classify`
frames them: each class's probability against the dose (as shipped: calibrated, all
views), how far one change moves all galaxies in one direction, layer by layer (one
view), beside networks with fresh and shuffled weights and two small ones that were
trained here on the same pictures, with true labels and with shuffled ones; and how
much the directions of two concepts have in common. Finished parts are read again.
Prints Markdown; with --images it writes the figures.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from concepts import CONCEPTS, NUISANCES
from dose_figures import cosine_table, depth_curves, dose_responses
from dream_pictures import publish
from PIL import Image

from dmagnet.classes import CLASS_NAMES, CLASSES
from dmagnet.config import SimulateConfig
from dmagnet.config.recipes import laptop
from dmagnet.config.train_config import AugmentConfig, ModelConfig
from dmagnet.figures.saving import save
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.judging.predict import judge
from dmagnet.measuring.causal import (
    Concept,
    Response,
    as_seen,
    consistency,
    cross_talk,
    dosed_views,
    response,
)
from dmagnet.measuring.controls import calibrate_norms, randomized
from dmagnet.measuring.parts import Parts
from dmagnet.measuring.probes import features_by_depth
from dmagnet.network import load
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.simulator import simulate
from dmagnet.storage.disk import claimed
from dmagnet.training.fit import fit

NUM_TRAIN, NUM_HELD = 600, 400
SEED = 91_000  # far from those of any training
KINDS = ("fresh", "shuffled")  # weights of the controls
LABELS = ("true labels", "shuffled labels")
# Plain pictures, small batches, no smoothing: arbitrary labels have to be memorized.
PLAIN = replace(
    laptop(), radii=3.0, epochs=25, batch_size=20, warmup_epochs=1.0, ema_decay=0.99,
    label_smoothing=0.0, scales=(1.0, 1.0), progressive=False, mask_weight=0.0,
    model=ModelConfig(size="xs", dropout=0.0, drop_path=0.0),
    augment=AugmentConfig(
        rotate=False, zoom=1.0, shift=0.0, brightness=0.0, gain=0.0, noise=0.0
    ),
)  # fmt: skip


def reference() -> dict[str, np.ndarray]:
    """Draw what the small networks are trained on, and held-back galaxies behind it."""
    frames, labels = simulate(SimulateConfig(num=NUM_TRAIN + NUM_HELD, seed=SEED))
    views = np.stack([as_seen(frame, PLAIN) for frame in frames])
    return {"views": views, "labels": labels}


def trained(
    views: np.ndarray, labels: np.ndarray, kind: str, out: Path
) -> tuple[Checkpoint, str]:
    """Train a small network on true labels, or on the same in another order."""
    given = labels
    if kind == "shuffled labels":
        given = np.random.default_rng(SEED).permutation(labels)
    num = len(labels)
    nowhere = np.full(num, np.nan)
    split = np.where(np.arange(num) < NUM_TRAIN, 0, 2).astype(np.int8)
    galaxies = Galaxies(
        views, given, CLASS_NAMES, np.arange(num).astype(str),
        nowhere, nowhere, nowhere, nowhere, split, "simulated",
    )  # fmt: skip
    folder = out / kind.replace(" ", "-")
    checkpoint = load(fit(galaxies, PLAIN, folder, progress=False, accelerator="cpu"))
    answers = judge(checkpoint, views, views=1).probabilities.argmax(1)
    learned = (answers == given)[:NUM_TRAIN].mean()
    held = (answers == labels)[NUM_TRAIN:].mean()
    text = f"{kind}: {learned:.3f} of its {NUM_TRAIN} labels, {held:.3f} of the true "
    return checkpoint, text + f"labels of {NUM_HELD} held-back galaxies"


def blocks_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Name the stem, the blocks and LAM."""
    names = checkpoint.model.layer_names
    blocks = [n for n in names if n.count(".") == 1]
    return ("stem", *blocks, "lam")


def scales_of(networks: Mapping[str, torch.nn.Module], views, layers):
    """Measure how far each channel scatters over galaxies: its unit."""
    return {
        (name, layer): values.std(axis=0) + 1e-6
        for name, network in networks.items()
        for layer, values in features_by_depth(network, views, layers[name]).items()
    }


def measured(concept: Concept, num: int, checkpoints, bench) -> dict[str, np.ndarray]:
    """Draw, ask, compare: everything about one concept."""
    networks, layers, scales = bench
    config = next(iter(checkpoints.values())).config
    views, labels = dosed_views(concept, num, config, seed=SEED + 1000)
    found = {"labels": labels}
    flat = views.reshape(-1, *views.shape[2:])
    for name, checkpoint in checkpoints.items():
        p = judge(checkpoint, flat).probabilities
        found[f"p/{name}"] = p.reshape(*views.shape[:2], -1)
    for name, network in networks.items():
        before, after = (
            features_by_depth(network, views[k], layers[name]) for k in (0, -1)
        )
        rows, halves = [], []
        for layer in layers[name]:
            change = (after[layer] - before[layer]) / scales[name, layer]
            mean, interval = consistency(change)
            rows.append((mean, *interval))
            halves.append(np.stack([h.mean(0) for h in np.array_split(change, 2)]))
        found[f"consistency/{name}"] = np.array(rows)
        found[f"direction/{name}"] = halves[-1]
    return found


def judged(concept: Concept, p: np.ndarray) -> dict[str, dict[str, Response]]:
    """Judge what is to rise, to fall, or neither: responses by names of classes."""
    claims = {"rises": [concept.rises], "falls": [concept.falls]}
    if not concept.rises:
        claims = {"none claimed": [(k,) for k in concept.labels]}
    return {
        way: {
            slugs(some): response(
                concept.doses, p[..., some].sum(-1), falls=way == "falls"
            )
            for some in classes
            if some
        }
        for way, classes in claims.items()
    }


def slugs(classes: Sequence[int]) -> str:
    """Name some classes."""
    return " + ".join(CLASSES[k].slug for k in classes)


def span(pair) -> str:
    """Format an interval."""
    return f"[{pair[0]:.2f}, {pair[1]:.2f}]"


def tell_responses(name: str, parts: Mapping[Concept, Mapping]) -> None:
    """Print the table of dose and response."""
    print(f"\n### {name}\n")
    print("| parameter | doses | of | n | mean probability at each dose | effect | "
          "rho | verdict |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    for concept, part in parts.items():
        doses = ", ".join(f"{dose:g}" for dose in concept.doses)
        rows = judged(concept, part[f"p/{name}"])
        flat = [(way, *row) for way, some in rows.items() for row in some.items()]
        for way, classes, r in flat:
            curve = ", ".join(f"{m:.2f}" for m in r.mean)
            verdict = way if way.startswith("none") else f"{way}: {r.verdict}"
            cells = (
                *(concept.name, doses, classes, r.n, curve),
                f"{r.effect:+.2f} {span(r.effect_interval)}",
                f"{r.rho:+.2f} {span(r.rho_interval)}",
                verdict,
            )
            print("|", " | ".join(map(str, cells)), "|")


def tell_nuisances(names: Sequence[str], parts: Mapping[Concept, Mapping]) -> None:
    """Print how far the own class's probability and the answer move."""
    print("\n| nuisance | doses | weights | n | largest mean change of the own class's "
          "probability | mean absolute change, largest dose | answers that change |"
          "\n|---|---|---|---|---|---|---|")  # fmt: skip
    for concept, part in parts.items():
        plain = concept.doses.index(1.0 if "times" in concept.name else 0)
        for name in names:
            p, labels = part[f"p/{name}"], part["labels"]
            own = p[:, np.arange(len(labels)), labels]
            moved = own - own[plain]
            worst = np.abs(moved.mean(1)).argmax()
            r = response((0, 1, 2), np.stack([own[plain], own[worst], own[worst]]))
            absolute = np.abs(moved).mean(1).max()
            answers = (p.argmax(-1) != p[plain].argmax(-1)).mean(1).max()
            low, high = r.effect_interval
            cells = (
                concept.name,
                ", ".join(f"{dose:g}" for dose in concept.doses),
                f"`{name}`",
                len(labels),
                f"{r.effect:+.3f} [{low:+.3f}, {high:+.3f}], {concept.doses[worst]:g}",
                f"{absolute:.3f}",
                f"{answers:.2f}",
            )
            print("|", " | ".join(map(str, cells)), "|")


def tell_consistency(curves: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Print consistency at LAM, network by network."""
    networks = list(next(iter(curves.values())))
    print("\n| mean cosine of the changes at LAM |", " | ".join(networks), "|")
    print("|---|" + "---|" * len(networks))
    for concept, rows in curves.items():
        cells = [f"{r[-1, 0]:.2f} {span(r[-1, 1:])}" for r in rows.values()]
        print(f"| {concept} |", " | ".join(cells), "|")


def main() -> None:
    """Read the arguments, hold the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--weights", nargs="+", default=["s", "xs"])
    add("--num", type=int, default=100, help="galaxies of each concept")
    add("--seeds", type=int, default=3, help="controls of each kind")
    add("-o", "--out", type=Path, default=Path("runs/out/causal"))
    add("--images", type=Path, help="folder for the figures")
    args = parser.parse_args()
    with claimed(args.out):
        run(args)
    for path in args.out.glob("*.png") if args.images else ():
        publish(Image.open(path), args.images / path.name)


def run(args: argparse.Namespace) -> None:
    """Do what is not done yet, and tell all."""
    checkpoints = {name: load(name) for name in args.weights}
    question = {
        "weights": [c.weights_hash for c in checkpoints.values()],
        "num": args.num, "seeds": args.seeds, "seed": SEED,
        "concepts": [[c.parameter, c.doses, c.labels] for c in (*CONCEPTS, *NUISANCES)],
    }  # fmt: skip
    parts = Parts(args.out / "parts", question)
    drawn = parts.get("reference", reference)
    views, labels = drawn["views"], drawn["labels"]
    told = []
    for kind in LABELS:
        checkpoints[kind], text = trained(views, labels, kind, args.out)
        told.append(text)
    networks, layers = {}, {}
    fitting = torch.from_numpy(views[:200]).permute(0, 3, 1, 2) / 255
    for name, checkpoint in checkpoints.items():
        networks[name] = checkpoint.model
        for kind in KINDS if name in args.weights else ():
            for seed in range(args.seeds):
                network = randomized(checkpoint.model, seed, how=kind)
                networks[f"{name}, {kind} {seed}"] = calibrate_norms(network, fitting)
    for name in networks:
        layers[name] = blocks_of(checkpoints[name.partition(",")[0]])
    scales = scales_of(networks, views[-200:], layers)
    found = {}
    for concept in (*CONCEPTS, *NUISANCES):
        found[concept] = parts.get(
            concept.parameter,
            lambda c=concept: measured(
                c, args.num, checkpoints, (networks, layers, scales)
            ),
        )
        print("done:", concept.name, flush=True)
    print("\nSmall networks, one view:", "; ".join(told))
    concepts = {c: found[c] for c in CONCEPTS}
    nuisances = {c: found[c] for c in NUISANCES}
    for name in checkpoints:
        tell_responses(name, concepts)
    tell_nuisances(args.weights, nuisances)
    for name in args.weights:
        curves = {
            c.name: {
                "trained": part[f"consistency/{name}"],
                **{f"{kind} weights": np.mean(
                    [part[f"consistency/{name}, {kind} {seed}"]
                     for seed in range(args.seeds)], axis=0,
                ) for kind in KINDS},
                **{k: part[f"consistency/{k}"] for k in LABELS
                   if len(layers[k]) == len(layers[name])},
            }
            for c, part in found.items()
        }  # fmt: skip
        tell_consistency(curves)
        names = [c.name.partition(",")[0] for c in found]
        table = cross_talk([part[f"direction/{name}"] for part in found.values()])
        print(f"\n| cosine at LAM, `{name}` |", " | ".join(names), "|")
        print("|---|" + "---|" * len(names))
        for row, values in zip(names, table, strict=True):
            print(f"| {row} |", " | ".join(f"{v:+.2f}" for v in values), "|")
        figure = depth_curves(layers[name], curves, "mean cosine of changes")
        save(figure, args.out / f"causal_depth_{name}.png")
        save(cosine_table(names, table), args.out / f"causal_talk_{name}.png")
    panels = {
        c.name: (
            c.doses,
            {
                name: {
                    classes: r
                    for some in judged(c, part[f"p/{name}"]).values()
                    for classes, r in some.items()
                }
                for name in (*args.weights, "shuffled labels")
            },
        )
        for c, part in concepts.items()
    }
    save(dose_responses(panels), args.out / "causal_doses.png")


if __name__ == "__main__":
    main()
