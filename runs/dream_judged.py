"""Do others believe what a network dreams: class dreams, judged by a second network.

python runs/dream_judged.py galaxy10_real60.h5 -o runs/out/dream_judged

Every way of dreaming changes every galaxy by the same size (root mean square), that of
the plain dream of 2015 of this galaxy and class; then a second network says how likely
the dreamed class is. Finished parts are read again. Prints a table, and draws some
galaxies in the ways beside each other; with --images docs/images as dream_ways.jpg too.
"""

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from drawn import at_size, told
from dream_pictures import publish
from torch import Tensor

from dmagnet.config.dream_config import DreamConfig
from dmagnet.dreaming.objectives import Logit, LogOdds
from dmagnet.dreaming.octaves import octave_frames
from dmagnet.dreaming.sheets import SheetRow, contact_sheet, to_bytes
from dmagnet.dreaming.targets import Network, as_batch, open_network
from dmagnet.galaxies import load_galaxies
from dmagnet.measuring.parts import Parts
from dmagnet.storage.records import Arrays

FLAT = {"rotate": 0.0, "rescale": 0.0, "shift": 0.0, "flip": False, "views": 1}
WAYS = {
    "plain (2015)": DreamConfig.plain(),
    "plain, mean of views": DreamConfig.plain(
        views=4, rotate=180.0, rescale=0.1, shift=0.06, flip=True, jitter=0.0
    ),
    "waves, one view": DreamConfig(**{**FLAT, "jitter": 0.125}, steps=32),
    "default": DreamConfig(),
}
FIRST = next(iter(WAYS))
BATCH = 6  # galaxies at a time


def fine_share(added: Tensor) -> Tensor:
    """Return the share of the energy above a quarter cycle a pixel: (B,)."""
    power = torch.fft.fft2(added).abs().square().sum(dim=1)
    down, right = (torch.fft.fftfreq(side) for side in added.shape[2:])
    fine = torch.hypot(down[:, None], right[None]) > 0.25
    return (power * fine).sum(dim=(1, 2)) / power.sum(dim=(1, 2))


def dreamed(
    network: Network, starts: Tensor, number: int, config: DreamConfig
) -> Tensor:
    """Dream one class on all galaxies."""
    plain = config.basis == "pixel"
    objective = Logit(number) if plain else LogOdds(number)
    ends = []
    for some in starts.split(BATCH):
        for frame in octave_frames(network.scorer(objective, some), some, config):
            images = frame.images
        ends.append(images)
    return torch.cat(ends)


def judged(
    parts: Parts,
    networks: tuple[Network, Network],
    starts: Tensor,
    way: str,
    number: int,
) -> Arrays:
    """Dream and judge one class in one way, at the size of the first way's dreams."""
    dreamer, judge = networks

    def _make() -> Arrays:
        ends = dreamed(dreamer, starts, number, WAYS[way])
        size = (ends - starts).square().mean(dim=(1, 2, 3)).sqrt()
        if way != FIRST:
            first = judged(parts, networks, starts, FIRST, number)
            size = torch.from_numpy(first["size"])
        ends = at_size(starts, ends, size)
        answers, own = judge.judge(ends), dreamer.judge(ends)
        assert answers is not None
        assert own is not None
        return {
            "p": answers[:, number], "first": answers.argmax(1) == number,
            "own": own[:, number], "fine": fine_share(ends - starts).numpy(),
            "size": size.numpy(), "images": (ends[:8] * 255).round().byte().numpy(),
        }  # fmt: skip

    return parts.get(f"{way.replace(' ', '_')}-{number}", _make)


def main() -> None:
    """Dream, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--dreamers", nargs="+", default=["xs", "s"])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--num", type=int, default=60, help="galaxies")
    parser.add_argument("--images", type=Path, help="folder for the first's figure")
    args = parser.parse_args()
    galaxies = load_galaxies(args.data)
    chosen = np.random.default_rng(0).permutation(len(galaxies))[: args.num]
    pixels = [np.asarray(galaxies.images[i]) for i in chosen]
    print(f"{args.data.name}, n = {len(pixels)}, {torch.get_num_threads()} threads")
    for name in args.dreamers:
        dreamer = open_network(name)
        judge = open_network("s" if name == "xs" else "xs")
        starts = as_batch(pixels, network=dreamer)[1]
        question = {
            "weights": [dreamer.weights_hash, judge.weights_hash],
            "galaxies": [args.data.name, *chosen.tolist()],
            "ways": {way: asdict(config) for way, config in WAYS.items()},
        }
        kept = Parts(args.out / f"{name}-{len(pixels)}", question)
        print(
            f"\n| {name} dreams | judge's p | judge's first answer right | fine | "
            "edge-on, p | by class |\n| --- | --- | --- | --- | --- | --- |"
        )
        sheet = {}
        for way in args.ways:
            parts = [
                judged(kept, (dreamer, judge), starts, way, k)
                for k in range(len(dreamer.class_names))
            ]
            p, fine = (
                np.stack([x["p"] for x in parts]),
                np.stack([x["fine"] for x in parts]),
            )
            first = np.stack([x["first"] for x in parts]).astype(float)
            each = " ".join(f"{value:.2f}" for value in p.mean(axis=1))
            print(
                f"| {way} | {told(p.mean(axis=0))} | {told(first.mean(axis=0))} | "
                f"{fine.mean():.3f} | {p[8:].mean():.3f} | {each} |",
                flush=True,
            )
            sheet[way] = parts
        rows = []
        for i in range(min(2, len(pixels))):
            for way, parts in sheet.items():
                pictures = [
                    to_bytes(starts[i]),
                    *(np.moveaxis(x["images"][i], 0, 2) for x in parts),
                ]
                said = ["", *(f"p {x['p'][i]:.2f}" for x in parts)]
                rows.append(SheetRow(way, pictures, said))
        columns = ["galaxy", *dreamer.class_names]
        title = f"Class dreams of {name}, all at the same size; p by the other network"
        page = contact_sheet(rows, columns, title)
        page.save(args.out / f"judged-{name}.png")
        if args.images and name == args.dreamers[0]:
            publish(page, args.images / "dream_ways.jpg")


if __name__ == "__main__":
    main()
