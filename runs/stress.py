"""How far answers and maps of weights hold when pictures get worse.

    python runs/stress.py --weights s xs [--data ../shared/data] [--out runs/out/stress]

Every way and strength of `EVERY` in degrade.py, on the 60 real Galaxy10 images and on
the validation part of the real five-class set: accuracy and how much it falls (paired,
95 % bootstrap), ECE, size of 90 % sets, the share of answers that stay. On the 60 also
how far the evidence for the undisturbed answer moves: its correlation with that of the
undisturbed picture, turned back where the picture was turned, beside that of another
galaxy. And one pixel: the share of the 60 whose answer some pixel changes (after
Su et al. 2019, by trial instead of evolution). Each part that is done is kept.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from degrade import EVERY, degraded
from matplotlib.figure import Figure
from real_sets import measured, prepared, real_sets
from scipy.ndimage import rotate

from dmagnet.calibration import Judgement
from dmagnet.explaining.maps import evidence_maps
from dmagnet.galaxies import Galaxies
from dmagnet.judging.predict import judge
from dmagnet.network import load
from dmagnet.network.checkpoint import Checkpoint

KEPT = ("accuracy", "ece", "nll", "set_size90", "coverage90")

RGB = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]) * 255


def numbers_of(
    checkpoint: Checkpoint, galaxies: Galaxies, judgement: Judgement
) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
    """Return scores, which answers are right, and which class was said."""
    judged, metrics = measured(checkpoint, galaxies, judgement, 1)
    right = judged.probabilities.argmax(1) == judged.labels
    return (
        {name: getattr(metrics, name) for name in KEPT},
        right,
        judgement.probabilities.argmax(1),
    )


def evidence(
    checkpoint: Checkpoint, views: np.ndarray, classes: np.ndarray
) -> np.ndarray:
    """Return the maps of evidence for one class each, less the mean over classes."""
    images = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        maps = torch.cat(
            [evidence_maps(checkpoint.model, b) for b in images.split(32)]
        ).numpy()
    return maps[np.arange(len(maps)), classes] - maps.mean(1)


def turned_back(maps: np.ndarray, kind: str, strength: float) -> np.ndarray:
    """Undo on maps what was done to their pictures, where it moved them."""
    if kind == "rotation":
        return rotate(maps, -strength, axes=(1, 2), reshape=False, order=1)
    return np.flip(maps, 1 + int(strength)) if kind == "flip" else maps


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Correlate maps of galaxies within the circle that every turn keeps."""
    side = one.shape[1]
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    inside = np.hypot(y, x) < side / 2
    pairs = zip(one[:, inside], other[:, inside], strict=True)
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in pairs])


def fall(before: np.ndarray, after: np.ndarray) -> list[float]:
    """Return how much accuracy falls, with the 95 % interval of paired bootstraps."""
    rng = np.random.default_rng(0)
    differ = before.astype(float) - after
    lots = rng.integers(len(differ), size=(2000, len(differ)))
    low, high = np.quantile(differ[lots].mean(1), [0.025, 0.975])
    return [float(differ.mean()), float(low), float(high)]


def one_way(
    checkpoint: Checkpoint, galaxies: Galaxies, kind: str, strength: float, clean: dict
) -> dict:
    """Judge galaxies after one way of getting worse."""
    frames = degraded(galaxies.images, kind, strength)
    views = prepared(frames, checkpoint.config)
    part = replace(galaxies, images=views)
    found, right, said = numbers_of(checkpoint, part, judge(checkpoint, views))
    found = {"kind": kind, "strength": strength, **found}
    found["fall"] = fall(clean["right"], right)
    found["same_answer"] = float((said == clean["said"]).mean())
    if clean["maps"] is not None and kind != "aside":  # moved as the galaxy, by lot
        maps = turned_back(evidence(checkpoint, views, clean["said"]), kind, strength)
        found["map_correlation"] = float(
            np.nanmedian(correlations(clean["maps"], maps))
        )
    return found


def one_pixel(checkpoint: Checkpoint, views: np.ndarray, trials: int) -> dict:
    """Try pixels of each view, until one changes the answer of two views."""
    rng = np.random.default_rng(0)
    before = judge(checkpoint, views).probabilities.argmax(1)
    changed, side = 0, views.shape[1]
    for view, said in zip(views, before, strict=True):
        tries = np.repeat(view[None], trials, axis=0)
        places = rng.integers(side // 4, 3 * side // 4, size=(trials, 2))
        dyes = RGB[rng.integers(len(RGB), size=trials)]
        tries[np.arange(trials), places[:, 0], places[:, 1]] = dyes
        answers = judge(checkpoint, tries).probabilities.argmax(1)
        changed += bool((answers != said).any())
    return {"n": len(views), "trials": trials, "answers_changed": changed / len(views)}


def stressed(name: str, args: argparse.Namespace) -> dict:
    """Measure one network; what is in its file already is not measured again."""
    path = args.out / f"{Path(name).name}.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    checkpoint = load(name)
    if found.setdefault("weights_hash", checkpoint.weights_hash) != (
        checkpoint.weights_hash
    ):
        raise SystemExit(f"{path}: of other weights; expected another --out")
    sets = {n: g for n, g in real_sets(checkpoint, args).items() if n != "galaxyzoo1"}
    for label, galaxies in sets.items():
        done = found.setdefault(label, {"n": len(galaxies), "ways": []})
        views = prepared(galaxies.images, checkpoint.config)
        part = replace(galaxies, images=views)
        done["clean"], right, said = numbers_of(
            checkpoint, part, judge(checkpoint, views)
        )
        maps = evidence(checkpoint, views, said) if label == "real60" else None
        if maps is not None:
            others = np.roll(maps, 1, axis=0)
            done["map_correlation_of_another"] = float(
                np.nanmedian(correlations(maps, others))
            )
        clean = {"right": right, "said": said, "maps": maps}
        known = {(way["kind"], way["strength"]) for way in done["ways"]}
        for kind, strengths in EVERY.items():
            for strength in strengths:
                if (kind, strength) in known:
                    continue
                way = one_way(checkpoint, galaxies, kind, strength, clean)
                done["ways"].append(way)
                path.write_text(json.dumps(found, indent=1) + "\n")
                print(name, label, json.dumps(way), flush=True)
        if label == "real60" and "one_pixel" not in done:
            done["one_pixel"] = one_pixel(checkpoint, views, args.trials)
            path.write_text(json.dumps(found, indent=1) + "\n")
    return found


def curves(found: dict[str, dict]) -> Figure:
    """Draw accuracy, and how alike maps stay, for every way."""
    figure = Figure(figsize=(12, 5.5), layout="constrained")
    panels = figure.subplots(2, (len(EVERY) + 1) // 2, sharey=True).ravel()
    marks = zip(found, ("#0072B2", "#D55E00", "#009E73"), strict=False)
    colors = dict(marks)
    for axes, kind in zip(panels, EVERY, strict=False):
        for name, color in colors.items():
            for label, line in (("galaxyzoo2", "-"), ("real60", "--")):
                whole = found[name][label]
                ways = sorted(
                    (w for w in whole["ways"] if w["kind"] == kind),
                    key=lambda way: way["strength"],
                )
                x = [way["strength"] for way in ways]
                axes.plot(
                    x,
                    [way["accuracy"] for way in ways],
                    color=color,
                    linestyle=line,
                    marker="o",
                    markersize=3,
                    label=f"{name}, accuracy, {label}",
                )
                axes.axhline(
                    whole["clean"]["accuracy"], color=color, lw=0.6, linestyle=line
                )
                if label == "real60" and kind != "aside":
                    axes.plot(
                        x,
                        [way["map_correlation"] for way in ways],
                        color=color,
                        linestyle=":",
                        marker="^",
                        markersize=3,
                        label=f"{name}, maps alike, real60",
                    )
        axes.set_title(kind, fontsize=10)
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9
    )
    return figure


def main(argv: list[str] | None = None) -> None:
    """Measure, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--weights", nargs="+", default=["s", "xs"])
    add("--data", type=Path, default=Path("../shared/data"))
    add("--out", type=Path, default=Path("runs/out/stress"))
    add("--most", type=int, default=525, help="galaxies of each set")
    add("--trials", type=int, default=100, help="pixels tried for each galaxy")
    add("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    args.quick = True  # without GZ1
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    found = {name: stressed(name, args) for name in args.weights}
    curves(found).savefig(args.out / "stress.png", dpi=110)


if __name__ == "__main__":
    main()
