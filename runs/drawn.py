"""Whether dreams draw what the simulator draws, and another network believes them.

    python runs/drawn.py OUT                 # 12 pairs a class: the table of the docs
    python runs/drawn.py OUT --num 4 --dreamers xs

Finished parts are read again from OUT. Every dream is brought to the size (root mean
square) of the plain dream of the right class on that galaxy before it is compared.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dmagnet.classes import CLASSES
from dmagnet.config.dream_config import DreamConfig
from dmagnet.dreaming.galaxy import Camera, galaxy_frames
from dmagnet.dreaming.octaves import octave_frames
from dmagnet.dreaming.redream import RandomSteps
from dmagnet.dreaming.targets import Network, class_target, open_network
from dmagnet.judging.sampling import bootstrap_weights, interval_of
from dmagnet.measuring.controls import calibrate_norms, randomized
from dmagnet.measuring.drawn import (
    SKY,
    WITHOUT,
    compare_details,
    draw_pairs,
)
from dmagnet.measuring.parts import Parts
from dmagnet.pictures.standard import RADII
from dmagnet.simulator.parameters import Galaxy, Pair
from dmagnet.storage.records import Arrays

SIDE = 192  # px: at which the weights of the package are dreamed
FAMILIES = {"plain": DreamConfig.plain(), "robust": DreamConfig()}  # 1st: the size
BATCH = 12
NUM_RANDOM = 1  # networks with random weights
NUM_WRONG = 2  # other classes that are dreamed on each class's galaxies
Pairs = tuple[Tensor, Tensor, tuple[Galaxy, ...]]  # of `draw_pairs`
Dreamer = Callable[[Network, Pairs, int], Tensor]  # network, pairs, class
HEAD = (
    "class", "dream", "n", "correlation", "smoothed",
    "A2 before, dreamed, true", "pitch dreamed, true",
    "nuclei before, dreamed, true", "judge's p", "first",
)  # fmt: skip


def at_size(base: Tensor, dreams: Tensor, size: Tensor) -> Tensor:
    """Bring what was added to a root mean square (B,), and keep pixels in [0, 1]."""
    detail = dreams - base
    for _ in range(4):  # what is cut off at white and black is made up for
        have = ((base + detail).clamp(0, 1) - base).square().mean(dim=(1, 2, 3)).sqrt()
        detail = detail * (size / have.clamp(min=1e-9))[:, None, None, None]
    return (base + detail).clamp(0, 1)


@dataclass(frozen=True)
class Cell:
    """One kind of dream of one class."""

    family: str
    what: str
    dream: Dreamer
    target: int
    weights: int | None = None  # which random ones; the trained ones if not given


def dreamer_of(config: DreamConfig, *, at_random: bool = False) -> Dreamer:
    """Make a function from settings."""

    def _dream(network: Network, pairs: Pairs, label: int) -> Tensor:
        parts = []
        for some in pairs[0].split(BATCH):
            scorer = network.scorer(class_target(network, str(label)).objective, some)
            climber = RandomSteps(scorer, config.seed) if at_random else scorer
            for frame in octave_frames(climber, some, config):
                last = frame.images
            parts.append(last)
        return torch.cat(parts)

    return _dream


def brighter(_network: Network, pairs: Pairs, _label: int) -> Tensor:
    """Add light where there is light: a dream that knows nothing else."""
    return pairs[0] + (pairs[0] - SKY).clamp(min=0)


def as_galaxies(network: Network, pairs: Pairs, label: int) -> Tensor:
    """Dream in the space of galaxies, from the same ones."""
    base, _, galaxies = pairs
    kind = "disc" if isinstance(galaxies[0], Pair) else "edge-on"
    objective = class_target(network, str(label)).objective
    start, *_, end = galaxy_frames(
        network.model, objective, kind=kind, galaxies=galaxies, side=SIDE
    )
    # Before and after in one night and frame: noise and zoom are no part of the detail.
    before, after = (
        torch.cat([
            Camera(SIDE, RADII, 0).views(one, 1, framed_on=first)[0]
            for one, first in zip(frame.galaxies, start.galaxies, strict=True)
        ])
        for frame in (start, end)
    )  # fmt: skip
    return base + after - before


def another(_network: Network, pairs: Pairs, _label: int) -> Tensor:
    """Add what the simulator adds to another galaxy of the class: the ceiling."""
    return pairs[0] + (pairs[1] - pairs[0]).roll(1, 0)


def wrong_classes(label: int) -> list[int]:
    """Choose the next classes of the list."""
    classes = list(WITHOUT)
    first = classes.index(label) + 1
    return [classes[(first + k) % len(classes)] for k in range(NUM_WRONG)]


def cells(label: int) -> Iterator[Cell]:
    """Name the dreams of one class; the right class of the first family is first."""
    for family, config in FAMILIES.items():
        dream = dreamer_of(config)
        yield Cell(family, "right class", dream, label)
        for other in wrong_classes(label):
            yield Cell(family, "wrong class", dream, other)
        for k in range(NUM_RANDOM):
            seeded = dreamer_of(replace(config, seed=k))
            yield Cell(family, "random weights", seeded, label, k)
        walk = dreamer_of(config, at_random=True)
        yield Cell(family, "random steps", walk, label)
    yield Cell("galaxies", "right class", as_galaxies, label)
    for other in wrong_classes(label):
        yield Cell("galaxies", "wrong class", as_galaxies, other)
    yield Cell("galaxies", "random weights", as_galaxies, label, 0)
    yield Cell("no network", "another's", another, label)
    yield Cell("no network", "light alone", brighter, label)


def measure(
    parts: Parts, name: str, judge_name: str, num: int, classes: list[int]
) -> Iterator[tuple[int, Cell, Arrays]]:
    """Dream all classes with one network, and let another one judge."""
    network, judge = open_network(name), open_network(judge_name)
    pairs = {label: draw_pairs(label, num, SIDE) for label in classes}
    fitting = torch.cat([image for each in pairs.values() for image in each[:2]])
    controls = [
        replace(network, model=calibrate_norms(randomized(network.model, k), fitting))
        for k in range(NUM_RANDOM)
    ]
    for label, each in pairs.items():
        (base, truth, _), size = each, None
        for cell in cells(label):
            model = network if cell.weights is None else controls[cell.weights]
            make = partial(_dreamed, cell, model, each)
            words = (name, label, cell.family, cell.what, cell.target, cell.weights)
            key = "-".join(str(word).replace(" ", "_") for word in words)
            dreams = torch.from_numpy(parts.get(key, make)["dreams"]).float()
            own = (dreams - base).square().mean(dim=(1, 2, 3)).sqrt()
            size = own if size is None else size
            dreams = at_size(base, dreams, size)
            numbers = compare_details(base, dreams, truth)
            for when, images in (("", dreams), ("_before", base), ("_true", truth)):
                p = judge.judge(images)
                assert p is not None  # its classes have names
                numbers[f"judge{when}"] = p[:, label].astype(float)
                numbers[f"first{when}"] = (p.argmax(axis=1) == label).astype(float)
            yield label, cell, numbers
        print(f"{name}, {CLASSES[label].name}: {len(base)} pairs", flush=True)


def _dreamed(cell: Cell, model: Network, pairs: Pairs) -> Arrays:
    return {"dreams": cell.dream(model, pairs, cell.target).half().numpy()}


def told(values: np.ndarray) -> str:
    """Format a mean over galaxies with its 95 % bootstrap interval."""
    n = len(values)
    means = [weights @ values / n for weights in bootstrap_weights(n, 2000, 0)]
    low, high = interval_of(np.concatenate(means))
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


def table(found: Iterator[tuple[int, Cell, Arrays]]) -> Iterator[str]:
    """Write a row for each class and kind of dream; wrong classes are averaged."""
    rows: dict[tuple[int, str], list[Arrays]] = {}
    for label, cell, numbers in found:
        rows.setdefault((label, f"{cell.family}, {cell.what}"), []).append(numbers)
    yield f"| {' | '.join(HEAD)} |"
    yield "|---" * len(HEAD) + "|"
    for (label, kind), each in rows.items():
        n = {k: np.mean([one[k] for one in each], axis=0) for k in each[0]}
        words = [CLASSES[label].name, kind, len(n["judge"])]
        words += [told(n["correlation"]), told(n["smoothed"])]
        words += [
            ", ".join(f"{n[f'{of}{when}'].mean():{form}}" for when in ends)
            for of, ends, form in (
                ("a2", ("_before", "", "_true"), ".2f"),
                ("pitch", ("", "_true"), ".0f"),
                ("nuclei", ("_before", "", "_true"), ".1f"),
            )
        ]
        words += [told(n["judge"]), f"{n['first'].mean():.2f}"]
        yield f"| {' | '.join(map(str, words))} |"
        if kind.endswith("light alone"):
            means = [f"{n[f'judge{when}'].mean():.2f}" for when in ("_before", "_true")]
            last = (
                f"{means[0]} before, {means[1]} after",
                f"{n['first_true'].mean():.2f}",
            )
            words = [CLASSES[label].name, "the simulator", len(n["judge"]), "1", "1"]
            yield f"| {' | '.join(map(str, (*words, '', '', '', *last)))} |"


def main() -> None:
    """Measure both networks of the package."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--num", type=int, default=12, help="pairs of each class")
    parser.add_argument("--classes", nargs="+", type=int, default=[*WITHOUT])
    parser.add_argument("--dreamers", nargs="+", default=["xs", "s"])
    args = parser.parse_args()
    question = {family: asdict(config) for family, config in FAMILIES.items()}
    question |= {"num": args.num, "side": SIDE, "classes": args.classes}
    parts = Parts(args.out / "parts", question)
    for name in args.dreamers:
        judge = "s" if name == "xs" else "xs"
        text = (
            "\n".join(table(measure(parts, name, judge, args.num, args.classes))) + "\n"
        )
        (args.out / f"drawn-{name}.md").write_text(text, encoding="utf-8")
        print(text)


if __name__ == "__main__":
    main()
