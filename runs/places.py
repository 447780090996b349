"""Where attention and evidence lie: on the galaxy, and on its bar or arms.

    python runs/places.py --weights s xs [--num 120] [--out runs/out/places.json]

On the 60 real images: how much LAM's factor varies within the galaxy, and its mean on
the galaxy over that off it, beside networks with shuffled weights. On exact pairs of
simulated galaxies with and without their bar or arms: the area under the ROC curve of
the evidence for the pixels that the bar or the arms brighten, alone and among pixels of
the same light and distance from the center.
"""

import argparse
import copy
import json
from pathlib import Path

import numpy as np
import torch
from real_sets import REAL60, native
from scipy import ndimage
from simulated_masks import class_masks, without_arms, without_bars

from dmagnet.explaining.maps import evidence_maps
from dmagnet.judging.predict import on_picture
from dmagnet.measuring.dissection import matched_area, radii_of, roc_area
from dmagnet.network import load
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.pictures import find_extent, shares, standardize
from dmagnet.pictures.standard import standardize_mask
from dmagnet.simulator import draw

PAIRS = {"bar": ((5,), without_bars), "arms": ((6, 7), without_arms)}
FIRST_SEED, PIECE = 90_000, 20  # far from those of the training
ON, OFF = 0.5, 0.02  # of a place covered by the galaxy
ABOVE_SKY = 0.06  # of white, in a standard picture: 3.5 % before it was brightened
FEWEST = 20  # pixels that a bar or arms must have in the view


def attention_on_galaxy(model: DMAGNet, views: np.ndarray) -> dict[str, float]:
    """Measure LAM's factor within and without the galaxies."""
    images = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        maps = model.attention_maps(images)
    masks = torch.stack([torch.from_numpy(own_light(view)) for view in views]).float()
    around = torch.from_numpy(shares(maps.shape[1], views.shape[1]))  # a place's pixels
    around /= around.sum(0)
    cover = around.T @ masks @ around
    spread, ratio = [], []
    for factor, share in zip(maps, cover, strict=True):
        on = share >= min(
            ON, share.flatten().topk(4).values[-1]
        )  # at least four places
        spread.append(float(factor[on].std()))
        ratio.append(float(factor[on].mean() / factor[share < OFF].mean()))
    return {
        "places": list(maps.shape[1:]),
        "std_on_galaxy": float(np.median(spread)),
        "on_over_off": float(np.median(ratio)),
    }


def own_light(view: np.ndarray) -> np.ndarray:
    """Find the galaxy in the middle of a standard picture: (S, S) bool."""
    light = view.mean(2) / 255
    rim = np.concatenate([light[:4].ravel(), light[-4:].ravel()])
    regions, _ = ndimage.label(
        ndimage.gaussian_filter(light - np.median(rim), 1) > ABOVE_SKY
    )
    rows, columns = np.nonzero(regions)
    if not len(rows):
        return regions > 0
    nearest = np.hypot(rows - len(view) / 2, columns - len(view) / 2).argmin()
    return regions == regions[rows[nearest], columns[nearest]]


def shuffled(model: DMAGNet, seed: int) -> DMAGNet:
    """Shuffle every kernel among its own weights."""
    other = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(seed)
    for weights in other.parameters():
        if weights.ndim > 1:
            order = torch.randperm(weights.numel(), generator=generator)
            weights.data = weights.data.flatten()[order].view_as(weights)
    return other


def pairs(kind: str, num: int, checkpoint: Checkpoint):
    """Draw views with and without a bar or arms, and where it was."""
    labels, change = PAIRS[kind]
    side, radii = checkpoint.config.image_size, checkpoint.config.radii or 3.0
    found = []
    for piece in range(-(-num // PIECE)):
        kinds = torch.tensor(labels).repeat(PIECE)[:PIECE]
        generator = torch.Generator().manual_seed(FIRST_SEED + piece)
        masks = class_masks(kinds, generator=generator).numpy()
        state = generator.get_state()
        drawn = []
        for how in (None, change):
            generator.set_state(state)
            images = draw(kinds, generator=generator, change=how)
            drawn.append(images.permute(0, 2, 3, 1).numpy())
        for label, image, other, mask in zip(kinds, *drawn, masks, strict=True):
            extent = find_extent(image)
            seen = (
                standardize(one, side, radii, extent=extent) for one in (image, other)
            )
            where = standardize_mask(
                (mask > 0).astype(np.uint8) * 255, side, radii, extent
            )
            found.append((*seen, where > 127, int(label)))
    return [np.stack(each) for each in zip(*found[:num], strict=True)]


def evidence_on_parts(checkpoint: Checkpoint, kind: str, num: int) -> dict[str, float]:
    """Compare evidence with what a bar or arms added."""
    model = checkpoint.model
    views, others, masks, labels = pairs(kind, num, checkpoint)
    side = views.shape[1]
    radius = radii_of(side).ravel()
    areas, matched, before, after = [], [], [], []
    light_matched = []
    for view, other, mask, label in zip(views, others, masks, labels, strict=True):
        if mask.sum() < FEWEST:
            continue
        both = torch.from_numpy(np.stack([view, other])).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            maps = on_picture(evidence_maps(model, both), (side, side)).numpy()
            p = model(both).softmax(1)[:, label].tolist()
        score, truth = maps[0, label].ravel(), mask.ravel()
        areas.append(roc_area(score, truth))
        light = view.mean(2).ravel()
        matched.append(matched_area(score, truth, light, radius))
        light_matched.append(matched_area(light, truth, light, radius))
        before.append(p[0])
        after.append(p[1])
    return {
        "n": len(areas),
        "roc_area": float(np.nanmean(areas)),
        "roc_area_matched": float(np.nanmean(matched)),
        "light_matched": float(np.nanmean(light_matched)),
        "p_with": float(np.mean(before)),
        "p_without": float(np.mean(after)),
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--weights", nargs="+", default=["s", "xs"])
    add("--data", type=Path, default=Path("../shared/data"))
    add("--num", type=int, default=120, help="pairs of each kind")
    add("--shuffles", type=int, default=5)
    add("--out", type=Path, default=Path("runs/out/places.json"))
    args = parser.parse_args()
    results = {}
    for name in args.weights:
        checkpoint = load(name)
        config = checkpoint.config
        frames = native(args.data / REAL60).images
        views = np.stack(
            [standardize(f, config.image_size, config.radii or 3.0) for f in frames]
        )
        found = {
            "lam": attention_on_galaxy(checkpoint.model, views),
            "shuffled": [
                attention_on_galaxy(shuffled(checkpoint.model, seed), views)
                for seed in range(args.shuffles)
            ],
        }
        found |= {kind: evidence_on_parts(checkpoint, kind, args.num) for kind in PAIRS}
        results[str(name)] = found
        print(json.dumps({name: found}, indent=1))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
