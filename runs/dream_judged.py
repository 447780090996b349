"""Do others believe what a network dreams: class dreams, judged by a second network.

python runs/dream_judged.py galaxy10_real60.h5 -o runs/out/dream_judged

Every way of dreaming changes every galaxy by the same L2, that of the plain dream of
2015 of this galaxy and class; then a second network says how likely the dreamed class
is. Finished parts are read again. Prints a table, and writes a figure of some galaxies
in the ways beside each other.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dmagnet.config.dream_config import DreamConfig
from dmagnet.dreaming.objectives import Logit, LogOdds
from dmagnet.dreaming.octaves import octave_frames
from dmagnet.dreaming.sheets import SheetRow, contact_sheet, to_bytes
from dmagnet.dreaming.targets import Network, as_batch, open_network
from dmagnet.galaxies import load_galaxies
from dmagnet.storage.disk import beside

FLAT = {"rotate": 0.0, "rescale": 0.0, "shift": 0.0, "flip": False, "views": 1}
WAYS = {
    "plain (2015)": DreamConfig.plain(),
    "plain, mean of views": DreamConfig.plain(
        views=4, rotate=180.0, rescale=0.1, shift=0.06, flip=True, jitter=0.0
    ),
    "waves, one view": DreamConfig(**{**FLAT, "jitter": 0.125}, steps=32),
    "default": DreamConfig(),
}
BATCH = 6  # galaxies at a time


def scaled(start: Tensor, dreams: Tensor, length: Tensor) -> Tensor:
    """Bring what was added to an L2, cut to [0, 1] as it is."""
    low, high = torch.zeros(len(start)), torch.full((len(start),), 16.0)
    added = dreams - start
    for _ in range(30):
        middle = (low + high) / 2
        now = (start + middle[:, None, None, None] * added).clamp(0, 1)
        too_far = (now - start).flatten(1).norm(dim=1) > length
        high, low = (
            torch.where(too_far, middle, high),
            torch.where(too_far, low, middle),
        )
    return (start + low[:, None, None, None] * added).clamp(0, 1)


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


def part(
    folder: Path,
    networks: tuple[Network, Network],
    starts: Tensor,
    way: str,
    number: int,
) -> dict[str, np.ndarray]:
    """Dream and judge one class in one way, or read what was."""
    path, (dreamer, judge) = part_path(folder, way, number), networks
    if path.is_file():
        with np.load(path) as kept:
            return dict(kept)
    ends = dreamed(dreamer, starts, number, WAYS[way])
    first = part_path(folder, next(iter(WAYS)), number)
    if path == first:
        length = (ends - starts).flatten(1).norm(dim=1)
    else:
        with np.load(first) as kept:
            length = torch.from_numpy(kept["length"])
    ends = scaled(starts, ends, length)
    answers = judge.judge(ends)
    own = dreamer.judge(ends)
    assert answers is not None
    assert own is not None
    found = {
        "p": answers[:, number], "first": answers.argmax(1) == number,
        "own": own[:, number], "fine": fine_share(ends - starts).numpy(),
        "length": length.numpy(), "images": (ends[:8] * 255).round().byte().numpy(),
    }  # fmt: skip
    with beside(path) as new, new.open("wb") as file:
        np.savez(file, **found)
    return found


def part_path(folder: Path, way: str, number: int) -> Path:
    """Name the file of one part."""
    return folder / f"{list(WAYS).index(way)}-{number}.npz"


def interval(values: np.ndarray) -> str:
    """Write mean and 95 % interval over galaxies (bootstrap, 2,000 draws)."""
    rng = np.random.default_rng(0)
    galaxies = values.mean(axis=0)  # (galaxies,): classes of one galaxy belong together
    draws = rng.choice(galaxies, (2000, len(galaxies))).mean(axis=1)
    low, high = np.quantile(draws, (0.025, 0.975))
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


def main() -> None:
    """Dream, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--dreamers", nargs="+", default=["xs", "s"])
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--num", type=int, default=60, help="galaxies")
    args = parser.parse_args()
    galaxies = load_galaxies(args.data)
    chosen = np.random.default_rng(0).permutation(len(galaxies))[: args.num]
    pixels = [np.asarray(galaxies.images[i]) for i in chosen]
    print(f"{args.data.name}, n = {len(pixels)}, {torch.get_num_threads()} threads")
    for name in args.dreamers:
        dreamer = open_network(name)
        judge = open_network("s" if name == "xs" else "xs")
        starts = as_batch(pixels, network=dreamer)[1]
        folder = args.out / f"{name}-{len(pixels)}"
        folder.mkdir(parents=True, exist_ok=True)
        print(
            f"\n| {name} dreams | judge's p | judge's first answer right | fine | "
            "edge-on, p | by class |\n| --- | --- | --- | --- | --- | --- |"
        )
        sheet = {}
        for way in args.ways:
            parts = [
                part(folder, (dreamer, judge), starts, way, k)
                for k in range(len(dreamer.class_names))
            ]
            p, fine = (
                np.stack([x["p"] for x in parts]),
                np.stack([x["fine"] for x in parts]),
            )
            first = np.stack([x["first"] for x in parts]).astype(float)
            each = " ".join(f"{value:.2f}" for value in p.mean(axis=1))
            print(
                f"| {way} | {interval(p)} | {interval(first)} | {fine.mean():.3f} | "
                f"{p[8:].mean():.3f} | {each} |",
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
        title = f"Class dreams of {name}, all at the same L2; p by the other network"
        contact_sheet(rows, columns, title).save(args.out / f"judged-{name}.png")


if __name__ == "__main__":
    main()
