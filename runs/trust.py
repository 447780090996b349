"""How far the weights can be trusted: calibration, sets, degradation, impostors.

    python runs/trust.py --weights WEIGHTS [--data ../shared/data] [--out FOLDER]

Judges on the validation parts of the real sets, each through the classes its labels
stand for: calibrates on one half and judges on the other, 100 times; judges clean and
degraded pictures with the calibration of the weights (fitted here where they have
none; --save keeps it); scores impostors. Writes trust.json and figures.
"""

import argparse
import json
import platform
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from degrade import STRENGTHS, degraded
from impostors import impostors, shuffled
from real_sets import (
    STRANGERS,
    known_galaxies,
    measured,
    pictures_in,
    prepared,
    real_sets,
    some,
    view_of,
)
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize
from trust_figures import draw

from dmagnet import __version__
from dmagnet.calibration import (
    Labeled,
    conformal_threshold,
    fit_temperature,
    fit_vector,
    grouped,
    judgement_of,
    label_groups,
    prediction_sets,
    tempered,
    vector_scaled,
)
from dmagnet.calibration.fitting import LEVELS
from dmagnet.galaxies import Galaxies
from dmagnet.judging import score, separation
from dmagnet.judging.predict import judge, look
from dmagnet.judging.reliability import reliability
from dmagnet.judging.trust import fit_calibration
from dmagnet.network.checkpoint import load, save

WANTED = (0.87, 0.93)  # coverage of 90 % sets


def main(argv: list[str] | None = None) -> dict:
    """Measure, write, print."""
    args = arguments(argv)
    torch.set_num_threads(args.threads)
    start = time.monotonic()
    checkpoint = load(args.weights)
    sets = real_sets(checkpoint, args)
    if "galaxyzoo2" not in sets:
        raise SystemExit("expected a network of the ten classes or the five of GZ2")
    known = known_galaxies(checkpoint, args)
    old = checkpoint.calibration
    if old is None or old.space is None or args.fit:
        fitted = [view_of(sets[n], checkpoint.config) for n in FIT if n in sets]
        calibration = fit_calibration(
            checkpoint, fitted, [*known.values()], views=args.views
        )
        checkpoint = replace(checkpoint, calibration=calibration)
        say("calibrated", start)
    if args.save:
        save(args.save, checkpoint)
    if args.only_fit:
        return {}
    calibration = checkpoint.calibration
    found = {
        "weights": Path(args.weights).name,
        "weights_hash": checkpoint.weights_hash,
        "version": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {args.threads} threads",
        "quick": args.quick,
        "views": args.views,
        "calibration": {
            "temperature": calibration.temperature,
            "thresholds": list(calibration.thresholds),
            "limit": calibration.space.limit if calibration.space else None,
            **calibration.provenance,
        },
        "sets": {},
    }
    seen = {}
    for name, galaxies in sets.items():
        views = view_of(galaxies, checkpoint.config)
        seen[name] = look(checkpoint.model, views.images, views=args.views)
        found["sets"][name] = clean(checkpoint, views, *seen[name], args)
        say(f"{name}: clean and halves", start)
    found["degraded"] = {
        name: worse(checkpoint, galaxies, args)
        for name, galaxies in sets.items()
        if name in FIT
    }
    say("degraded", start)
    found["ood"] = strangers(checkpoint, sets["galaxyzoo2"], seen, known, args)
    found["wall_s"] = round(time.monotonic() - start, 1)
    args.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(without_nan(found), indent=1, allow_nan=False)
    (args.out / "trust.json").write_text(text + "\n")
    draw(found, args.out)
    report(found)
    return found


FIT = ("galaxyzoo2", "real60")  # what the temperature and the limit are fitted on


def arguments(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/out/trust"))
    parser.add_argument("--save", type=Path, help="write the calibrated weights here")
    parser.add_argument("--fit", action="store_true", help="fit also if calibrated")
    parser.add_argument("--only-fit", action="store_true", help="stop after that")
    parser.add_argument("--views", type=int, default=2, help="to ship with")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="few of everything")
    args = parser.parse_args(argv)
    few = args.quick
    args.num_halves, args.num_known = (3, 24) if few else (100, 1000)
    args.num_impostors = 8 if few else 150
    args.num_worse, args.num_bootstrap = (8, 50) if few else (300, 1000)
    args.most = 24 if few else 1200
    return args


def labeled(galaxies: Galaxies, each) -> Labeled:
    """Join probabilities of classes with labels that may be groups of them."""
    num = len(galaxies.class_names)
    if not galaxies.label_sets:
        return Labeled(each, galaxies.labels)
    groups, labels = label_groups(galaxies.labels, galaxies.label_sets, num)
    return Labeled(each, labels, groups)


def clean(checkpoint, views: Galaxies, each, features, args) -> dict:
    """Judge with the calibration of the weights, and with one of each half."""
    found = {"n": len(views)}
    calibration = checkpoint.calibration
    for name, num in (("one_view", 1), ("views", args.views)):
        scores = np.stack([calibration.space.score(f) for f in features[:num]])
        judgement = judgement_of(each[:num], scores, calibration)
        judged, metrics = measured(checkpoint, views, judgement, args.num_bootstrap)
        found[name] = metrics.to_dict()
        found[name]["ece_if_perfect"] = ece_if_perfect(judged.probabilities)
        found["labels"] = list(judged.names)
    found["halves"] = halves(labeled(views, each.mean(axis=0)), args.num_halves)
    found["halves_one_view"] = halves(labeled(views, each[0]), args.num_halves)
    return found


def ece_if_perfect(probabilities: np.ndarray, num: int = 200) -> list[float]:
    """Draw labels as probable as the answers say: mean, 5 % and 95 % of the ECE."""
    # Of few galaxies a bin's accuracy is off its confidence by chance alone.
    rng, total = np.random.default_rng(0), probabilities.cumsum(axis=1)
    total /= total[:, -1:]
    found = []
    for _ in range(num):
        labels = (rng.random((len(total), 1)) > total).sum(axis=1)
        found.append(reliability(labels, probabilities).ece)
    return [float(np.mean(found)), *np.quantile(found, [0.05, 0.95]).tolist()]


def halves(part: Labeled, num: int) -> dict:
    """Calibrate on one half and judge on the other, again and again."""
    rng = np.random.default_rng(0)
    draws = [one_half(part, *split(part.labels, rng)) for _ in range(num)]
    spread = {}
    for name in draws[0]:
        values = np.array([draw[name] for draw in draws])
        spread[name] = {
            "mean": float(values.mean()),
            "sd": float(values.std()),
            "q05": float(np.quantile(values, 0.05)),
            "q95": float(np.quantile(values, 0.95)),
        }
    inside = [WANTED[0] <= draw["coverage90_bare"] <= WANTED[1] for draw in draws]
    spread["share_of_halves_within_87_93"] = float(np.mean(inside))
    return spread


def split(labels, rng):
    """Divide galaxies in two, class by class."""
    first = []
    for k in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == k))
        # An odd one goes either way.
        first.append(members[: (len(members) + rng.integers(2)) // 2])
    chosen = np.zeros(len(labels), bool)
    chosen[np.concatenate(first)] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def one_half(part: Labeled, fit, rest) -> dict[str, float]:
    """Return coverage, sizes and scores of the rest, calibrated on fit."""
    halves = [Labeled(part.probabilities[i], part.labels[i], part.groups)
              for i in (fit, rest)]  # fmt: skip
    member = part.groups or [(k,) for k in range(part.probabilities.shape[1])]
    temperature, other = (fit_temperature([half]) for half in halves)
    raw = grouped(part.probabilities, member)
    after = grouped(tempered(part.probabilities, temperature), member)
    vector = grouped(vector_scaled(part.probabilities, *fit_vector(halves[:1])), member)
    crossed = after.copy()  # every galaxy calibrated on the half that it is not in
    crossed[fit] = grouped(tempered(part.probabilities[fit], other), member)
    truth = part.labels
    found = {"temperature": temperature}
    names = [str(k) for k in range(raw.shape[1])]
    for when, probs in (("before", raw), ("after", after), ("vector", vector)):
        scores = score(truth[rest], probs[rest], names, num_bootstrap=1)
        for name in ("nll", "brier", "ece", "accuracy"):
            found[f"{name}_{when}"] = getattr(scores, name)
    found["ece_all_before"] = score(truth, raw, names, num_bootstrap=1).ece
    found["ece_all_after"] = score(truth, crossed, names, num_bootstrap=1).ece
    for level in LEVELS:
        threshold = conformal_threshold(truth[fit], after[fit], level)
        tag = round(100 * level)
        for kind, never in (("bare", False), ("shipped", True)):
            sets = prediction_sets(after[rest], threshold, never_empty=never)
            covered = sets[np.arange(len(rest)), truth[rest]].mean()
            found[f"coverage{tag}_{kind}"] = float(covered)
            found[f"size{tag}_{kind}"] = float(sets.sum(axis=1).mean())
        found[f"threshold{tag}"] = threshold
    return found


def worse(checkpoint, galaxies: Galaxies, args) -> dict:
    """Judge clean and degraded pictures with the calibration of the weights."""
    few = some(galaxies, args.num_worse)
    found = {"clean": [one_worse(checkpoint, few, few.images)]}
    for kind, strengths in STRENGTHS.items():
        found[kind] = []
        for strength in strengths:
            frames = degraded(few.images, kind, strength)
            numbers = one_worse(checkpoint, few, frames)
            found[kind].append({"strength": strength, **numbers})
    return found


def one_worse(checkpoint, galaxies: Galaxies, frames) -> dict[str, float]:
    """Return the scores of one way to degrade."""
    views = replace(galaxies, images=prepared(frames, checkpoint.config))
    judgement = judge(checkpoint, views.images)
    _, metrics = measured(checkpoint, views, judgement, 200)
    kept = ("accuracy", "ece", "nll", "coverage90", "coverage95", "set_size90")
    found = {name: getattr(metrics, name) for name in (*kept, "ood_share")}
    found["accuracy_interval"] = list(metrics.intervals["accuracy"])
    found["disagreement"] = float(judgement.disagreement.mean())
    return found


def strangers(checkpoint, galaxies: Galaxies, inside: dict, known: dict, args) -> dict:
    """Score what is no galaxy, by the shipped score and by others."""
    views = prepared(galaxies.images, checkpoint.config)
    kinds = {
        name: prepared(frames, checkpoint.config)
        for name, frames in impostors(args.num_impostors).items()
    }
    lot = 2 * args.num_impostors
    kinds |= {f"shuffled {grid}x{grid}": shuffled(views[:lot], grid) for grid in (4, 8)}
    kinds["not_galaxies_300"] = prepared(
        pictures_in(args.data / STRANGERS)[: 2 * lot], checkpoint.config
    )
    model = checkpoint.model
    seen = {}
    for name, images in kinds.items():
        seen[name] = look(model, images, views=args.views)
    fitted = {}
    for name, galaxies_known in known.items():
        each, features = look(model, galaxies_known.images)
        fitted[name] = each[0], features[0]
    methods = {"space": lambda _p, f: checkpoint.calibration.space.score(f)}
    methods |= other_scores(model, fitted)
    found = {}
    made = [name for name in seen if name != "not_galaxies_300"]
    for method, measure in methods.items():
        base = over_views(measure, *inside["galaxyzoo2"])
        values = {name: over_views(measure, *pair) for name, pair in seen.items()}
        values["all but not_galaxies"] = np.concatenate([values[k] for k in made])
        found[method] = {
            name: area(base, v, args.num_bootstrap) for name, v in values.items()
        }
    limit = checkpoint.calibration.space.limit
    ours = methods["space"]
    found["flagged"] = {
        name: float((over_views(ours, *pair) > limit).mean())
        for name, pair in (inside | seen).items()
    }
    return found


def over_views(measure, each, features) -> np.ndarray:
    """Score every view, and average."""
    return np.mean([measure(p, f) for p, f in zip(each, features, strict=True)], axis=0)


def area(inside, outside, num_bootstrap: int) -> dict:
    """Return the AUROC with its interval."""
    auroc, interval = separation(inside, outside, num_bootstrap=num_bootstrap)
    return {"auroc": auroc, "interval": interval}


def other_scores(model, fitted: dict):
    """Return scores from the literature, fitted on the same galaxies."""
    points = np.concatenate([f for _, f in fitted.values()])
    guesses = np.concatenate([p.argmax(1) for p, _ in fitted.values()])
    whole = LedoitWolf().fit(points)
    classes = [k for k in np.unique(guesses) if (guesses == k).sum() > 1]
    centers = np.stack([points[guesses == k].mean(0) for k in classes])
    own = np.searchsorted(classes, guesses).clip(max=len(classes) - 1)
    within = LedoitWolf(assume_centered=True).fit(points - centers[own])
    near = NearestNeighbors(n_neighbors=5).fit(normalize(points))
    weight = model.head.weight.detach().numpy().T
    bias = model.head.bias.detach().numpy()

    def _distance(f, center, precision):
        off = f - center
        return np.einsum("ij,jk,ik->i", off, precision, off)

    def _class(_p, f):
        return np.min([_distance(f, c, within.precision_) for c in centers], axis=0)

    def _plain(_p, f):
        return _distance(f, whole.location_, whole.precision_)

    return {
        "Mahalanobis, full covariance": _plain,
        "Mahalanobis, nearest class": _class,
        "relative Mahalanobis": lambda p, f: _class(p, f) - _plain(p, f),
        "5 nearest neighbors": lambda _p, f: near.kneighbors(normalize(f))[0][:, -1],
        "energy": lambda _p, f: -logsumexp(f @ weight + bias, axis=1),
        "1 - confidence": lambda p, _f: 1 - p.max(axis=1),
    }


def without_nan(value):
    """Replace NaN by None, which JSON knows, at any depth."""
    if isinstance(value, dict):
        return {name: without_nan(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def say(what: str, start: float) -> None:
    """Tell how far it is."""
    print(f"{time.monotonic() - start:6.0f} s  {what}", flush=True)


def report(found: dict) -> None:
    """Print what the targets ask for."""
    print(f"temperature {found['calibration']['temperature']:.3f}")
    for name, entry in found["sets"].items():
        h = entry["halves"]
        low, high = entry["views"]["coverage90"], entry["views"]["set_size90"]
        print(
            f"{name} (n = {entry['n']}, {len(entry['labels'])} labels): accuracy "
            f"{entry['views']['accuracy']:.3f}; ECE of all "
            f"{h['ece_all_before']['mean']:.3f} -> {h['ece_all_after']['mean']:.3f}; "
            f"own 90 % sets cover {h['coverage90_bare']['mean']:.3f} "
            f"({h['coverage90_shipped']['mean']:.3f} never empty), 95 % "
            f"{h['coverage95_bare']['mean']:.3f}; as shipped {low:.3f}, size {high:.2f}"
        )
    for name, entry in found["ood"]["space"].items():
        low, high = entry["interval"]
        print(f"AUROC {name}: {entry['auroc']:.3f} [{low:.3f}, {high:.3f}]")
    print({k: round(v, 3) for k, v in found["ood"]["flagged"].items()})


if __name__ == "__main__":
    main()
