"""Dream every class in the space of galaxies: whether they go where it is defined.

    python runs/galaxy_dreams.py [--out FOLDER] [--networks xs s xs-random s-random]
        [--sheet PICTURE]

Dreams all ten classes with the bundled weights, from starts of every kind, and with
random weights of the same network (norms calibrated on 64 simulated galaxies) as the
control; the other bundled network judges. One JSON for each network, class and kind,
read again if it is there; prints Markdown tables of all that are.
"""

import argparse
import platform
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from dream_pictures import publish

from dmagnet import __version__
from dmagnet.config import SimulateConfig
from dmagnet.config.dream_config import GalaxyConfig
from dmagnet.dreaming.galaxy import dream_galaxies
from dmagnet.dreaming.sheets import SheetRow, contact_sheet, to_bytes
from dmagnet.dreaming.targets import class_target, open_network
from dmagnet.measuring.controls import calibrate_norms, randomized
from dmagnet.simulator import simulate
from dmagnet.storage.records import plain_json, read_json, write_json

OTHER = {"xs": "s", "s": "xs"}
RANDOM = "-random"
ENOUGH = 0.75
SHOWN = 4  # starts on the sheet
# What the simulator's population defines a class by; a size is without the sign.
DEFINING = {
    0: ("size of lopsidedness", "size of bow", "tide_share", "patchiness"),
    1: ("companion_share", "companion_distance"),
    2: ("axis_ratio", "arm_strength"),
    3: ("axis_ratio", "arm_strength"),
    4: ("axis_ratio", "arm_strength"),
    5: ("bar_share", "bar_length", "companion_share"),
    6: ("pitch", "arm_strength", "bar_share"),
    7: ("pitch", "arm_strength", "bar_share"),
    8: ("bulge_share", "thickness"),
    9: ("bulge_share", "thickness"),
}


def opened(name: str):
    """Open bundled weights, or a network of that size that learned nothing."""
    size = name.removesuffix(RANDOM)
    network = open_network(size)
    if size == name:
        return network
    simulated, _ = simulate(SimulateConfig(num=64, image_size=128, seed=7))
    images = torch.from_numpy(simulated).permute(0, 3, 1, 2) / 255
    model = randomized(network.model, seed=1)
    return replace(network, model=calibrate_norms(model, images))


def measured(name: str, number: int, kind: str, config: GalaxyConfig) -> dict:
    """Dream one class and write down where its parameters went."""
    network, judge = opened(name), open_network(OTHER[name.removesuffix(RANDOM)])
    start = time.process_time()
    target = class_target(network, str(number))
    climb = dream_galaxies(network, target, config, judge=judge)[kind]
    ends = (climb.frames[0], climb.frames[-1])
    found = {
        "network": name,
        "class": network.class_names[number],
        "kind": kind,
        "starts": config.starts,
        "steps": config.steps,
        "seed": config.seed,
        "cpu_s": round(time.process_time() - start, 1),
        "version": __version__,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.machine()}, {torch.get_num_threads()} thread",
        "scores": [frame.scores.numpy() for frame in ends],
        "probability": climb.probabilities[..., number],
        "judged": climb.judged[..., number],
        "parameters": {
            key: [frame.parameters[key].numpy() for frame in ends]
            for key in ends[0].parameters
        },
    }
    return plain_json(found, digits=4)


def spread(values) -> str:
    """Median, and 16 to 84 %."""
    low, middle, high = np.quantile(np.asarray(values), (0.16, 0.5, 0.84))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def row(one: dict, number: int) -> str:
    """One class, one kind of galaxy."""
    cells = [one["class"], one["kind"]]
    for who in ("probability", "judged"):
        start, end = np.array(one[who])
        above = f"{(end > ENOUGH).sum()}/{len(end)}"
        cells += [f"{np.median(start):.2f}", spread(end), above]
    moved = []
    for key in DEFINING[number]:
        plain = key.removeprefix("size of ")
        values = one["parameters"].get(plain)
        if values:
            start, end = np.array(values) if key == plain else np.abs(values)
            moved.append(f"{key} {np.median(start):.2f} to {spread(end)}")
    return f"| {' | '.join(cells)} | {'; '.join(moved)} |"


def read(out: Path, name: str, number: int) -> list[dict]:
    """Read what there is of a class; the kind that scored highest comes first."""
    files = [out / f"{name}-{number}-{kind}.json" for kind in GalaxyConfig().kinds]
    found = [read_json(file, "a record") for file in files if file.is_file()]
    return sorted(found, key=lambda one: -np.mean(one["scores"][1]))


def report(out: Path, networks: list[str]) -> None:
    """Print what there is: the best kind of each class, then the others."""
    head = "| class | kind | dreamer: start | end | above 0.75 | judge: start | end |"
    head += " above 0.75 | parameters, start to end |"
    for name in networks:
        found = {number: read(out, name, number) for number in range(10)}
        every = [one for each in found.values() for one in each]
        if not every:
            continue
        costs = {}
        for one in every:
            costs.setdefault(one["kind"], []).append(one["cpu_s"])
        took = ", ".join(f"{kind} {np.median(s):.0f} s" for kind, s in costs.items())
        some = every[-1]
        print(
            f"\n### {name}\n\n{some['starts']} starts, {some['steps']} steps, seed "
            f"{some['seed']}; median (16 to 84 %); a class on one core: {took}; "
            f"{some['version']}, {some['date']}, {some['machine']}\n\n{head}"
        )
        print("|---" * 9 + "|")
        for place in range(3):
            for number, ones in found.items():
                if place < len(ones):
                    print(row(ones[place], number))


def draw(path: Path, out: Path, name: str) -> None:
    """Draw a sheet of some starts of each class and of where they ended."""
    network, rows = opened(name), []
    for number in range(10):
        best = read(out, name, number)[0]
        kind = best["kind"]
        config = GalaxyConfig(starts=SHOWN, kinds=(kind,), steps=best["steps"])
        target = class_target(network, str(number))
        frames = dream_galaxies(network, target, config)[kind].frames
        pairs = zip(frames[0].images, frames[-1].images, strict=True)
        pictures = [to_bytes(image) for pair in pairs for image in pair]
        rows.append(SheetRow(f"{target.name} ({kind})", pictures))
    columns = ["start", f"step {frames[-1].step}"] * SHOWN
    footer = f"dreamed by {name}, weights {network.weights_hash[:8]}"
    page = contact_sheet(rows, columns, "Classes, dreamed as galaxies", footer)
    publish(page, path)


def main() -> None:
    """Dream, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("galaxy_dreams"))
    parser.add_argument("--networks", nargs="*", default=["xs", "s", "xs-random"])
    parser.add_argument("--classes", nargs="*", type=int, default=list(range(10)))
    parser.add_argument("--starts", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.networks:
        for number in args.classes:
            for kind in GalaxyConfig().kinds:
                file = args.out / f"{name}-{number}-{kind}.json"
                config = GalaxyConfig(
                    starts=args.starts, steps=args.steps, kinds=(kind,)
                )
                if not file.is_file():
                    write_json(file, measured(name, number, kind, config))
    report(args.out, args.networks)
    if args.sheet:
        draw(args.sheet, args.out, args.networks[0])


if __name__ == "__main__":
    main()
