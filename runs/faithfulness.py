"""Do the maps name what the network needs? Every method on the same galaxies.

    python runs/faithfulness.py --weights s --data ../shared/data --num 250

Takes galaxies of the validation part of Galaxy Zoo 2 by lot, explains the class that
the network gives them, and measures: areas under the insertion and deletion curves with
the picture's own sky as fill, paired differences of every own map to every method of
captum, infidelity, max-sensitivity and cascaded randomization (on fewer galaxies), the
share of each map on the galaxy's segmentation (photutils), the same curves judged by
another network, completeness of Integrated Gradients and of the evidence. Intervals are
95 %, from a bootstrap over galaxies. It can be stopped, and goes on where it was.
"""

import argparse
import json
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from real_sets import GZ2, in_classes_of, native, some, view_of

from dmagnet import __version__
from dmagnet.calibration.judgement import views_to_take
from dmagnet.dreaming.layers import private_copy
from dmagnet.explaining import (
    METHODS,
    cascaded_randomization,
    evidence_maps,
    faithfulness,
    insertion_deletion,
    sky_fill,
)
from dmagnet.explaining.curves import find_sky
from dmagnet.explaining.faithfulness import max_sensitivity, square_changes
from dmagnet.explaining.methods import BORROWED, OWN, maps_of
from dmagnet.network import load

CHUNK = 20  # galaxies between two files
DRAWS = 2000
CONTROLS = ("light", "random")  # no explanations: what a map has for nothing
MEASURES = ("insertion", "deletion", "infidelity", "energy")
FILL_SEED = 0  # of the tests; searches draw theirs from others


def main(argv: list[str] | None = None) -> dict:
    """Measure, write, print."""
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    start = time.monotonic()
    checkpoint = load(args.weights)
    galaxies = in_classes_of(
        checkpoint, GZ2, native(args.data / GZ2).subset(args.split)
    )
    views = view_of(some(galaxies, args.num), checkpoint.config).images
    args.out.mkdir(parents=True, exist_ok=True)
    parts = []
    for first in range(0, len(views), CHUNK):
        path = args.out / f"{key(checkpoint, args)}-{first}.npz"
        if args.again or not path.is_file():
            part = dict(np.load(path)) if path.is_file() else {}
            part |= measured(checkpoint, views[first : first + CHUNK], first, args)
            with path.with_suffix(".part").open("wb") as file:
                np.savez(file, **part)
            path.with_suffix(".part").replace(path)
        parts.append(dict(np.load(path)))
        say(f"{first + len(views[first : first + CHUNK])} galaxies", start)
    each = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    found = {
        "weights": str(args.weights),
        "weights_hash": checkpoint.weights_hash,
        "version": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {args.threads} threads",
        "data": GZ2,
        "split": args.split,
        "n": len(views),
        "image_size": checkpoint.config.image_size,
        **summary(each),
    }
    few = views[: args.few]
    for name, measure in (("max_sensitivity", steadiness), ("randomization", cascade)):
        found[name] = {}
        for method in METHODS:
            path = args.out / f"{key(checkpoint, args)}-{name}-{method}.json"
            if method in args.again or not path.is_file():
                path.write_text(json.dumps(measure(checkpoint, few, method)))
            found[name][method] = json.loads(path.read_text())
            say(f"{name} of {method}", start)
    found["few"] = len(few)
    if args.judge:
        found["judged_by"] = judged_elsewhere(checkpoint, views, parts, args)
    found["wall_s"] = round(time.monotonic() - start, 1)
    text = json.dumps(found, indent=1, allow_nan=False)
    (args.out / "faithfulness.json").write_text(text + "\n")
    report(found)
    return found


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="s")
    parser.add_argument("--judge", default="", help="other weights, to judge maps too")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--split", choices=("train", "val"), default="val")
    parser.add_argument("--num", type=int, default=250)
    parser.add_argument("--few", type=int, default=16, help="for what is slow")
    parser.add_argument(
        "--again", nargs="+", default=[], help="measure these methods anew, keep others"
    )
    parser.add_argument("--seed", type=int, default=FILL_SEED)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/out/faithfulness"))
    return parser.parse_args(argv)


def key(checkpoint, args) -> str:
    """Name what is kept of one run: no other network or choice may take it up."""
    return f"{checkpoint.weights_hash[:8]}-{args.split}-{args.num}-{args.seed}"


def measured(checkpoint, views, first: int, args) -> dict:
    """Explain some galaxies with every method, and test the maps."""
    model = private_copy(checkpoint.model)
    images = tensor_of(views)
    with torch.no_grad():
        logits = model(images)
        gap = (evidence_maps(model, images).sum(dim=(2, 3)) - logits).abs().amax(dim=1)
        targets = logits.argmax(dim=1)
        fill = sky_fill(images, seed=args.seed)
        empty = model(fill).softmax(dim=1).gather(1, targets[:, None])[:, 0]
        sky = find_sky(images).level.expand_as(images)
        rise = (logits - model(sky)).gather(1, targets[:, None])[:, 0]
    segment = np.stack([segmentation(view) for view in views])
    found = {
        "targets": targets.numpy(),
        "confidence": logits.softmax(dim=1).amax(dim=1).double().numpy(),
        "confidence_of_sky": empty.double().numpy(),
        "evidence_gap": gap.double().numpy(),
        "area": segment.mean(axis=(1, 2)),
    }
    changes = square_changes(model, images, targets.numpy(), fill=fill, seed=args.seed)
    lot = np.random.default_rng(args.seed + first)
    classes = torch.stack([targets, torch.full_like(targets, -1)], dim=1)
    for method in args.again or (*METHODS, *CONTROLS):
        begin = time.monotonic()
        if method == "light":
            maps = views.mean(axis=3).astype(np.float32)
        elif method == "random":
            maps = lot.random(views.shape[:3], np.float32)
        else:
            own = views_to_take(None, checkpoint.calibration)
            maps = maps_of(model, images, method, classes, views=own).numpy()
        took = time.monotonic() - begin
        scores = faithfulness(
            model, images, maps, targets=targets.numpy(), segment=segment,
            changes=changes, seed=args.seed,
        )  # fmt: skip
        for measure in MEASURES:
            found[f"{method}.{measure}"] = getattr(scores, measure)
        found[f"{method}.seconds"] = np.full(len(views), took / len(views))
        if method not in CONTROLS:
            found[f"{method}.map"] = maps.astype(np.float32)
        if method == "integrated_gradients":
            off = np.abs(maps.sum(axis=(1, 2), dtype=float) - rise.double().numpy())
            found["gradients_gap"] = off / np.abs(rise.double().numpy())
    return found


def tensor_of(views):
    """Bring pictures to what the network takes."""
    return torch.from_numpy(np.array(views)).permute(0, 3, 1, 2).float() / 255


def segmentation(view):
    """Find the galaxy's pixels by photutils, as its tutorial does."""
    from astropy.convolution import convolve
    from astropy.stats import sigma_clipped_stats
    from photutils.segmentation import detect_sources, make_2dgaussian_kernel

    light = view.mean(axis=2).astype(float)
    _, sky, spread = sigma_clipped_stats(light)
    smooth = convolve(light - sky, make_2dgaussian_kernel(3.0, size=5))
    found = detect_sources(smooth, 1.5 * spread, n_pixels=5)
    if found is None:
        return np.zeros(light.shape, bool)
    rows, columns = np.nonzero(found.data)
    middle = (len(light) - 1) / 2
    nearest = np.hypot(rows - middle, columns - middle).argmin()
    return found.data == found.data[rows[nearest], columns[nearest]]


def summary(each: dict) -> dict:
    """Average over galaxies, with intervals, and compare pairs of methods."""
    table = {
        method: {
            measure: interval(each[f"{method}.{measure}"])
            for measure in (*MEASURES, "seconds")
        }
        for method in (*METHODS, *CONTROLS)
    }
    pairs = {
        own: {
            other: {
                measure: interval(each[f"{own}.{measure}"] - each[f"{other}.{measure}"])
                for measure in ("insertion", "deletion")
            }
            for other in BORROWED
        }
        for own in OWN
    }
    winners = [
        own
        for own, against in pairs.items()
        if all(
            p["insertion"]["low"] > 0 and p["deletion"]["high"] < 0
            for p in against.values()
        )
    ]
    return {
        "methods": table,
        "own_minus_borrowed": pairs,
        "own_maps_better_than_every_method_of_captum": winners,
        "classes": np.bincount(each["targets"]).tolist(),
        "confidence": interval(each["confidence"]),
        "confidence_of_sky": interval(each["confidence_of_sky"]),
        "area": interval(each["area"]),
        "largest_gap_of_evidence_to_logit": float(each["evidence_gap"].max()),
        "gap_of_integrated_gradients": {
            "largest": float(each["gradients_gap"].max()),
            "share_within_one_percent": float((each["gradients_gap"] < 0.01).mean()),
        },
    }


def interval(values) -> dict:
    """Return the mean and its 95 % interval from a bootstrap over galaxies."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    if not len(values):
        return {"mean": None, "low": None, "high": None, "n": 0}
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (DRAWS, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "mean": float(values.mean()),
        "low": float(low),
        "high": float(high),
        "n": len(values),
    }


def steadiness(checkpoint, views, method: str) -> dict:
    """Measure the max-sensitivity of a method."""
    model = private_copy(checkpoint.model)
    images = tensor_of(views)

    def _maps(seen, classes):
        pairs = torch.stack([classes, torch.full_like(classes, -1)], dim=1)
        return maps_of(model, seen, method, pairs)

    with torch.no_grad():
        targets = model(images).argmax(dim=1).numpy()
    return interval(max_sensitivity(_maps, images, targets))


def cascade(checkpoint, views, method: str) -> dict:
    """Shuffle the weights from the top down, and follow a method."""
    with torch.no_grad():
        targets = checkpoint.model(tensor_of(views)).argmax(dim=1).numpy()
    found = cascaded_randomization(checkpoint, views, method, target=targets)
    return {
        layer: interval(found.likeness[:, k]) for k, layer in enumerate(found.layers)
    }


def judged_elsewhere(checkpoint, views, parts: list[dict], args) -> dict:
    """Let another network follow the maps: what is real evidence serves it too."""
    other = load(args.judge)
    if other.config.image_size != checkpoint.config.image_size:
        raise SystemExit("expected --judge of the same image size as --weights")
    model = private_copy(other.model)
    table = {}
    for method in METHODS:
        both = []
        for first, part in zip(range(0, len(views), CHUNK), parts, strict=True):
            images = tensor_of(views[first : first + CHUNK])
            both.append(
                insertion_deletion(
                    model, images, part[f"{method}.map"], part["targets"],
                    seed=args.seed,
                )
            )  # fmt: skip
        table[method] = {
            "insertion": interval(np.concatenate([c.insertion_auc for c in both])),
            "deletion": interval(np.concatenate([c.deletion_auc for c in both])),
        }
    return {"weights_hash": other.weights_hash, "methods": table}


def say(what: str, start: float) -> None:
    """Tell how far it is."""
    print(f"{time.monotonic() - start:6.0f} s  {what}", flush=True)


def report(found: dict) -> None:
    """Print the table and what the targets ask for."""
    print(f"n = {found['n']} of {found['data']}, {found['split']} part")
    for method, row in found["methods"].items():
        cells = "  ".join(
            f"{m} {row[m]['mean']:.3f} [{row[m]['low']:.3f}, {row[m]['high']:.3f}]"
            for m in MEASURES
        )
        print(f"{method:21s} {cells}  {row['seconds']['mean']:.2f} s")
    for own, against in found["own_minus_borrowed"].items():
        for other, pair in against.items():
            cells = "  ".join(
                f"{m} {pair[m]['mean']:+.3f} [{pair[m]['low']:+.3f}, "
                f"{pair[m]['high']:+.3f}]"
                for m in ("insertion", "deletion")
            )
            print(f"{own} - {other}: {cells}")
    for name in ("max_sensitivity", "randomization"):
        for method, row in found[name].items():
            last = row if "mean" in row else row["stem"]
            print(f"{name} {method}: {last['mean']:.3f}")
    print(f"evidence - logit: {found['largest_gap_of_evidence_to_logit']:.1e}")
    gap = found["gap_of_integrated_gradients"]
    print(f"Integrated Gradients complete within {100 * gap['largest']:.2f} %")
    best = ", ".join(found["own_maps_better_than_every_method_of_captum"]) or "none"
    print(f"own maps above and below every method of captum: {best}")


if __name__ == "__main__":
    main()
