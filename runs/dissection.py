r"""Dissection: which part of a galaxy each unit finds, and each attribution map.

    python runs/dissection.py --weights s xs --num 100 --dear 20 \
        -o runs/out/dissection [--images docs/images]

On simulated galaxies of all classes, whose components are rendered apart. Units: the
intersection over union of where a unit is most active with each component, layer by
layer; the best unit is chosen on one half of the galaxies and scored on the other,
beside shuffled and fresh weights, brightness alone and nearness to the center alone.
Maps: the area under the ROC curve of each attribution of the galaxy's own class for the
pixels of each component, plain and among pixels of one light and one distance from the
center. Finished parts are read again. Prints Markdown; with --images it writes figures.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from dose_figures import depth_curves
from dream_pictures import publish
from PIL import Image

import dmagnet
from dmagnet.dreaming import Channel, private_copy, read
from dmagnet.explaining import METHODS, attribute
from dmagnet.figures.overlays import galaxy_grid, overlay
from dmagnet.figures.saving import save
from dmagnet.judging.predict import on_picture
from dmagnet.judging.sampling import bootstrap_weights, interval_of
from dmagnet.measuring.controls import calibrate_norms, randomized
from dmagnet.measuring.dissection import (
    Dissected,
    Overlaps,
    coarse_masks,
    dissected,
    iou_of,
    map_areas,
    radii_of,
    unit_overlaps,
)
from dmagnet.measuring.parts import Parts
from dmagnet.network import load
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.simulator.pairs import COMPONENTS
from dmagnet.storage.disk import claimed

SEED = 95_000  # far from those of any training, and of runs/causal.py
CONTROLS = {"shuffled weights": "shuffled", "fresh weights": "fresh"}
CHEAP = ("evidence", "lam", "scales", "grad_cam")
FEWEST = 5  # galaxies that have a component: fewer are not told
SPIRALS = (5, 6, 7)  # have a bar or arms
ROUND = 2  # class of the galaxy that dreams start from
NUM_BOOTSTRAP = 1000


def light_and_center(views: np.ndarray) -> torch.Tensor:
    """Return brightness and nearness to the center, as two units: (N, 2, S, S)."""
    light = torch.from_numpy(views.mean(axis=3, dtype=np.float32))
    near = torch.from_numpy(-radii_of(views.shape[1])).float().expand_as(light)
    return torch.stack([light, near], dim=1)


def galaxies_of(num: int, config) -> dict[str, np.ndarray]:
    """Draw the galaxies, and pack their masks."""
    drawn = dissected(num, config, seed=SEED)
    masks = np.packbits(np.stack(list(drawn.parts.values())), axis=-1)
    return {"views": drawn.views, "labels": drawn.labels, "masks": masks}


def layers_of(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Name the stem, the blocks and LAM."""
    names = checkpoint.model.layer_names
    return ("stem", *(n for n in names if n.count(".") == 1), "lam")


def activations(network, views: np.ndarray, layer: str) -> torch.Tensor:
    """Read one layer, galaxies by galaxies: (N, C, h, w)."""
    images = torch.from_numpy(views).permute(0, 3, 1, 2)
    with torch.inference_mode():
        some = [read(network, part / 255, [layer])[layer] for part in images.split(20)]
    return torch.cat(some)


def units_of(network, layers, galaxies: Dissected, masks) -> dict[str, np.ndarray]:
    """Compare all units with all components, in both halves."""
    network = private_copy(network, layers)
    found = {}
    half = len(masks[0]) // 2
    for layer in layers:
        maps = activations(network, galaxies.views, layer)
        for k, rows in enumerate((slice(0, half), slice(half, None))):
            o = unit_overlaps(maps[rows], masks[:, rows])
            found[f"{layer}/both/{k}"] = o.both.astype(np.int32)
            found[f"{layer}/either/{k}"] = o.either.astype(np.int32)
            found[f"{layer}/levels/{k}"] = o.levels
    return found


def halves(part, layer: str) -> tuple[Overlaps, Overlaps]:
    """Read the overlaps of one layer in both halves."""
    first, second = (
        Overlaps(
            *(part[f"{layer}/{what}/{k}"] for what in ("both", "either", "levels"))
        )
        for k in (0, 1)
    )
    return first, second


def best_of(part, layers, component: int) -> tuple[str, int]:
    """Choose a unit by the first half."""
    best = {layer: halves(part, layer)[0].iou[:, component] for layer in layers}
    layer = max(best, key=lambda name: np.nanmax(best[name]))
    return layer, int(np.nanargmax(best[layer]))


def scored(overlaps: Overlaps, unit: int, component: int) -> np.ndarray:
    """Score a unit by the second half: IoU and its interval over galaxies."""
    both, either = (x[unit, component] for x in (overlaps.both, overlaps.either))
    draws = [
        (w @ both) / np.maximum(w @ either, 1)
        for w in bootstrap_weights(len(both), NUM_BOOTSTRAP, 0)
    ]
    return np.array([iou_of(both, either), *interval_of(np.concatenate(draws))])


def depth_rows(part, layers, component: int) -> np.ndarray:
    """Score each layer's best unit: (L, 3)."""
    rows = []
    for layer in layers:
        first, second = halves(part, layer)
        unit = int(np.nanargmax(first.iou[:, component]))
        rows.append(scored(second, unit, component))
    return np.array(rows)


def tell_units(name: str, parts, layers, baseline, coverage) -> None:
    """Print the best units."""
    networks = list(parts)
    print(f"\n| `{name}`: component | covers | chance | brightness | center |",
          " | ".join(networks), "| its unit |")  # fmt: skip
    print("|---|---|---|---|---|" + "---|" * (len(networks) + 1))
    for m, component in enumerate(COMPONENTS):
        cells = []
        for part in parts.values():
            layer, unit = best_of(part, layers, m)
            value, low, high = scored(halves(part, layer)[1], unit, m)
            cells.append(f"{value:.3f} [{low:.3f}, {high:.3f}]")
        layer, unit = best_of(parts["trained"], layers, m)
        c = coverage[m]
        print(f"| {component} | {c:.4f} | {c / (2 - c):.3f} | {baseline[0, m]:.3f} | "
              f"{baseline[1, m]:.3f} |", " | ".join(cells),
              f"| {layer} {unit} |")  # fmt: skip


def tell_names(name: str, parts, layers, baseline) -> None:
    """Count the units that find a component better than all controls do."""
    controls = [part for kind, part in parts.items() if kind != "trained"]
    bar = np.nanmax(
        [baseline.max(0)]
        + [
            h.iou.max(0) for p in controls for layer in layers for h in halves(p, layer)
        ],
        axis=0,
    )
    print(f"\n| `{name}`: named units |", " | ".join(layers), "|")
    print("|---|" + "---|" * len(layers))
    table = []
    for layer in layers:
        first, second = (h.iou for h in halves(parts["trained"], layer))
        lift = np.where((first > bar) & (second > bar), second / bar, 0)
        table.append(np.bincount(
            lift.argmax(1)[lift.max(1) > 0], minlength=len(COMPONENTS)
        ))  # fmt: skip
    for m, component in enumerate(COMPONENTS):
        print(f"| {component} |", " | ".join(str(row[m]) for row in table), "|")
    sizes = [len(halves(parts["trained"], layer)[0].levels) for layer in layers]
    print("| of |", " | ".join(map(str, sizes)), "|")


def maps_of(checkpoint: Checkpoint, galaxies: Dissected, method: str):
    """Score one attribution of each galaxy's own class."""
    maps = attribute(checkpoint, galaxies.views, method, target=galaxies.labels)
    return map_areas(maps, galaxies)


def tell_maps(title: str, rows) -> None:
    """Print areas under the ROC curve, plain and matched."""
    counts = np.max(
        [[np.isfinite(a[c][:, 1]).sum() for c in COMPONENTS] for a in rows.values()], 0
    )
    told = [c for c, num in zip(COMPONENTS, counts, strict=True) if num >= FEWEST]
    heads = [f"{c} ({num})" for c, num in zip(COMPONENTS, counts, strict=True)
             if num >= FEWEST]  # fmt: skip
    print(f"\n| {title} | of | {' | '.join(heads)} |")
    print("|---|---|" + "---|" * len(told))
    for method, areas in rows.items():
        cells = []
        for c in told:
            plain, matched = areas[c].T
            known = matched[np.isfinite(matched)]
            if len(known) < FEWEST:
                cells.append(f"few ({len(known)})")
                continue
            draws = [
                w @ known / len(known) for w in bootstrap_weights(len(known), 1000, 0)
            ]
            low, high = interval_of(np.concatenate(draws))
            cells.append(
                f"{np.nanmean(plain):.2f}, {known.mean():.2f} [{low:.2f}, {high:.2f}]"
            )
        print(f"| {method} | {len(areas[told[0]])} |", " | ".join(cells), "|")


def unit_sheet(checkpoint: Checkpoint, part, layers, galaxies: Dissected, path: Path):
    """Draw each component's best unit: where it is most active, and its dream."""
    half = len(galaxies.views) // 2
    views = galaxies.views[half:]
    side = views.shape[1]
    start = galaxies.views[galaxies.labels == ROUND][0]
    begin = torch.from_numpy(start).permute(2, 0, 1)[None] / 255
    network = private_copy(checkpoint.model)
    pictures, captions = [], []
    for m, component in enumerate(COMPONENTS):
        layer, unit = best_of(part, layers, m)
        second = halves(part, layer)[1]
        maps = activations(network, views, layer)[:, unit]
        large = on_picture(maps.float(), (side, side)).numpy()
        row = int(large.max((1, 2)).argmax())
        active = np.where(large[row] >= second.levels[unit, m], 1.0, 0.0)
        missed = (active == 0) & galaxies.parts[component][half + row]
        dream = dmagnet.dream(
            begin, Channel(layer, unit), weights=checkpoint.model, trajectory="none"
        )
        dreamed = dream.images[0].permute(1, 2, 0).clamp(0, 1).numpy()
        pictures += [
            views[row],
            overlay(views[row], np.where(missed, -0.7, active), reach=1.0),
            (dreamed * 255).round().astype(np.uint8),
        ]
        value = scored(second, unit, m)[0]
        captions += [component, f"{layer} {unit}: IoU {value:.2f}", "its dream"]
    save(galaxy_grid(np.stack(pictures), captions, num_columns=6), path)


def main() -> None:
    """Read the arguments, hold the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--weights", nargs="+", default=["s", "xs"])
    add("--num", type=int, default=100, help="galaxies")
    add("--dear", type=int, default=20, help="spirals for maps that take long")
    add("-o", "--out", type=Path, default=Path("runs/out/dissection"))
    add("--images", type=Path, help="folder for the figures")
    args = parser.parse_args()
    with claimed(args.out):
        run(args)
    for path in args.out.glob("*.png") if args.images else ():
        kind = ".jpg" if "units" in path.name else ".png"
        publish(Image.open(path), (args.images / path.name).with_suffix(kind))


def run(args: argparse.Namespace) -> None:
    """Do what is not done yet, and tell all."""
    checkpoints = {name: load(name) for name in args.weights}
    hashes = [c.weights_hash for c in checkpoints.values()]
    question = {"weights": hashes, "num": args.num, "dear": args.dear, "seed": SEED}
    parts = Parts(args.out / "parts", question)
    config = next(iter(checkpoints.values())).config
    drawn = parts.get("galaxies", lambda: galaxies_of(args.num, config))
    masks = np.unpackbits(drawn["masks"], axis=-1).astype(bool)
    galaxies = Dissected(
        drawn["views"], drawn["labels"], dict(zip(COMPONENTS, masks, strict=True))
    )
    rows = np.flatnonzero(np.isin(galaxies.labels, SPIRALS))[: args.dear]
    few = Dissected(
        galaxies.views[rows],
        galaxies.labels[rows],
        {k: v[rows] for k, v in galaxies.parts.items()},
    )
    coarse = coarse_masks(galaxies.parts)
    half = len(galaxies.views) // 2
    simple = light_and_center(galaxies.views)
    baseline = unit_overlaps(simple[half:], coarse[:, half:]).iou
    images = torch.from_numpy(galaxies.views).permute(0, 3, 1, 2) / 255
    plain = {
        "brightness": map_areas(simple[:, 0], galaxies),
        "nearness to the center": map_areas(simple[:, 1], galaxies),
    }
    for name, checkpoint in checkpoints.items():
        layers = layers_of(checkpoint)
        networks = {"trained": checkpoint.model}
        for kind, how in CONTROLS.items():
            network = randomized(checkpoint.model, 0, how=how)
            networks[kind] = calibrate_norms(network, images)
        units = {
            kind: parts.get(
                f"units-{name}-{kind.replace(' ', '-')}",
                lambda n=network, layers=layers: units_of(n, layers, galaxies, coarse),
            )
            for kind, network in networks.items()
        }
        tell_units(name, units, layers, baseline, coarse[:, half:].mean((1, 2)))
        tell_names(name, units, layers, baseline)
        rows = dict(plain)
        control = Checkpoint(
            networks["shuffled weights"], checkpoint.config, checkpoint.class_names, {}
        )
        for kind, network in (("", checkpoint), (", shuffled weights", control)):
            for method in METHODS if not kind else CHEAP:
                some = galaxies if method in CHEAP else few
                rows[method + kind] = parts.get(
                    f"maps-{name}-{method}{kind.replace(', ', '-').replace(' ', '-')}",
                    lambda n=network, g=some, m=method: maps_of(n, g, m),
                )
        tell_maps(f"`{name}`: area, matched", rows)
        panels = {
            c: {kind: depth_rows(part, layers, m) for kind, part in units.items()}
            for m, c in enumerate(COMPONENTS)
        }
        figure = depth_curves(layers, panels, "IoU of the best unit")
        save(figure, args.out / f"dissection_depth_{name}.png")
        sheet = args.out / f"dissection_units_{name}.png"
        unit_sheet(checkpoint, units["trained"], layers, galaxies, sheet)
        print("done:", name, flush=True)


if __name__ == "__main__":
    main()
