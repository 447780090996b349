"""Milliseconds per dream step beside torch-dreams and lucent, in one run, in turns.

    OMP_NUM_THREADS=1 python benchmarks/dream_speed.py --rounds 5 --steps 20

Same network (DMAGNet-s), same 256 px, same objective (half the mean square of a layer),
fp32 on the CPU. The clock ticks in the objective, which each library calls exactly once
a step, so that a step holds everything that is done in it and nothing of what is done
once before. Each round runs every contender once; a ratio is the median of the rounds'
ratios, with their range. `runs/dream_speed.sh` says how to install the two others.

torch-dreams runs as documented, where random sizes leave 0.72 of the pixels on average,
and at full size without transforms. lucent runs without transforms, which is cheapest,
and with those of its standard ones that run: its rotation fails on kornia 0.9.
"""

import argparse
import copy
import functools
import json
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torchvision_stub  # noqa: F401 (first, so that both can import torchvision)
from lucent.optvis import param, render, transform
from lucent.optvis.objectives import Objective as LucentObjective
from torch import Tensor, nn
from torch_dreams import Dreamer

from dmagnet.config import DreamConfig, ModelConfig
from dmagnet.dreaming import Energy, dream_frames
from dmagnet.network import DMAGNet

SIDE = 256
LAYERS = {"stage1": 3.0, "lam": 1.7}  # and how many times faster we want to be


@dataclass
class Clock:
    """Ticks once a step."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def tick(self) -> None:
        """Note the time of a step."""
        self.cpu.append(time.process_time())
        self.wall.append(time.perf_counter())

    def ms(self, skip: int = 2) -> tuple[float, float]:
        """Return CPU and wall milliseconds of a step, without the first ones."""
        steps = len(self.cpu) - 1 - skip
        cpu, wall = (t[-1] - t[skip] for t in (self.cpu, self.wall))
        return 1e3 * cpu / steps, 1e3 * wall / steps


def energy(output: Tensor) -> Tensor:
    return 0.5 * output.square().mean()


@dataclass(frozen=True)
class TickingEnergy(Energy):
    """`Energy` that ticks where gradients are on: not when the dream is prepared."""

    clock: Clock

    def _map(self, output: Tensor) -> Tensor:
        if output.requires_grad:
            self.clock.tick()
        return super()._map(output)


def ours(model: nn.Module, layer: str, steps: int, clock: Clock) -> None:
    config = DreamConfig.plain(steps=steps, octaves=1)
    objective = TickingEnergy(layer, clock)
    for _ in dream_frames(model, torch.rand(1, 3, SIDE, SIDE), objective, config):
        pass


def torch_dreams(
    model: nn.Module, layer: str, steps: int, clock: Clock, *, plain: bool = False
) -> None:
    def _loss(outputs: list[Tensor]) -> Tensor:
        clock.tick()
        return -energy(outputs[0])

    dreamer = Dreamer(model, quiet=True, device="cpu")
    if plain:
        dreamer.set_custom_transforms(nn.Identity())
    dreamer.render(
        [model.layer(layer)],
        width=SIDE,
        height=SIDE,
        iters=steps,
        custom_func=_loss,
    )


def lucent(
    model: nn.Module, layer: str, steps: int, clock: Clock, *, plain: bool = False
) -> None:
    name = next(n for n, m in model.named_modules() if m is model.layer(layer))

    def _loss(read: Callable[[str], Tensor]) -> Tensor:
        clock.tick()
        return -energy(read(name.replace(".", "_")))

    pad, jitter, scale, _rotate, again = transform.standard_transforms
    render.render_vis(
        model,
        LucentObjective(_loss),
        param_f=lambda: param.image(SIDE),
        transforms=[] if plain else [pad, jitter, scale, again],
        preprocess=False,  # the network normalizes by itself
        thresholds=(steps,),
        progress=False,
        show_image=False,
    )


CONTENDERS = {
    "dmagnet": ours,
    "torch-dreams": torch_dreams,
    "torch-dreams, plain": functools.partial(torch_dreams, plain=True),
    "lucent": lucent,
    "lucent, plain": functools.partial(lucent, plain=True),
}


def ratio(times: dict[str, list[float]], other: str) -> dict[str, float]:
    """How many times faster than another, round by round."""
    ratios = [b / a for a, b in zip(times["dmagnet"], times[other], strict=True)]
    return {
        "median": round(statistics.median(ratios), 2),
        "min": round(min(ratios), 2),
        "max": round(max(ratios), 2),
    }


def measure(network: nn.Module, layer: str, steps: int, rounds: int) -> dict[str, dict]:
    """Return CPU and wall milliseconds a step of each contender, round by round."""
    spent = {kind: {name: [] for name in CONTENDERS} for kind in ("cpu", "wall")}
    for i in range(rounds + 1):
        for name, run in CONTENDERS.items():
            # Both others leave hooks or gradients behind: each gets a new copy.
            model, clock = copy.deepcopy(network), Clock()
            run(model, layer, steps + 3, clock)
            if i:  # the first round warms up
                cpu, wall = clock.ms()
                spent["cpu"][name].append(cpu)
                spent["wall"][name].append(wall)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # those of the two others
    torch.manual_seed(0)
    network = DMAGNet(ModelConfig(size="s")).eval()
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "side": SIDE,
        "steps": args.steps,
        "rounds": args.rounds,
    }
    for layer, bar in LAYERS.items():
        spent = measure(network, layer, args.steps, args.rounds)
        result[layer] = {
            kind: {
                "ms_per_step": {
                    name: round(statistics.median(ms), 1) for name, ms in times.items()
                },
                "times_faster_than": {
                    name: ratio(times, name) for name in CONTENDERS if name != "dmagnet"
                },
            }
            for kind, times in spent.items()
        }
        result[layer]["bar"] = bar
    print(json.dumps(result, indent=1))
    print_table(result)


def print_table(result: dict) -> None:
    kind = "cpu" if result["threads"] == 1 else "wall"  # what the threads share
    title = f"{kind} ms a step, {result['threads']} thread(s)"
    print(f"\n{'layer':8}{'':20}{title:>28}{'ours is faster by':>30}")
    for layer, bar in LAYERS.items():
        found = result[layer][kind]
        for name, ms in found["ms_per_step"].items():
            row = f"{layer:8}{name:20}{ms:28.1f}"
            if name in found["times_faster_than"]:
                r = found["times_faster_than"][name]
                row += f"{r['median']:13.2f} ({r['min']} to {r['max']}; bar {bar:g})"
            print(row)


if __name__ == "__main__":
    main()
