"""Images per second of DMAGNet beside known networks, in one run, in turns.

    OMP_NUM_THREADS=2 python benchmarks/speed.py --rounds 7

Each round times every network once, so that a change of the machine's pace meets all
of them; the ratio is the median of the rounds' ratios, with their range. Needs timm.
"""

import argparse
import json
import platform
import time

import torch
import torchvision_stub  # noqa: F401 (first, so that timm can be imported)
from baselines import build

NAMES = ("xs", "s", "b", "resnet18", "resnet50")


def pass_s(network, images, *, train: bool) -> float:
    """Return the seconds of one forward pass, or of one training step."""
    network.train(train)
    start = time.perf_counter()
    if train:
        network.zero_grad()
        torch.nn.functional.cross_entropy(
            network(images),
            torch.zeros(len(images), dtype=torch.long).to(images.device),
        ).backward()
        network.optimizer.step()
    else:
        with torch.inference_mode():
            network(images)
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measure(networks, images, rounds: int, *, train: bool) -> dict[str, list[float]]:
    """Return the times of every network in each round after a first, uncounted one."""
    times: dict[str, list[float]] = {name: [] for name in networks}
    for i in range(rounds + 1):
        for name, network in networks.items():
            seconds = pass_s(network, images, train=train)
            if i:
                times[name].append(seconds)
    return times


def ratio(times, name: str, other: str) -> dict[str, float]:
    """How many times faster than another network, round by round."""
    ratios = sorted(b / a for a, b in zip(times[name], times[other], strict=True))
    middle = ratios[len(ratios) // 2]
    return {
        "median": round(middle, 2),
        "min": round(ratios[0], 2),
        "max": round(ratios[-1], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.manual_seed(0)
    images = torch.rand(args.batch, 3, args.side, args.side, device=args.device)
    images = images.contiguous(memory_format=torch.channels_last)
    networks = {}
    for name in NAMES:
        network = build(name, 10).to(args.device, memory_format=torch.channels_last)
        network.optimizer = torch.optim.AdamW(network.parameters(), fused=True)
        networks[name] = network
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "side": args.side,
        "batch": args.batch,
        "rounds": args.rounds,
        "parameters": {
            n: sum(p.numel() for p in m.parameters()) for n, m in networks.items()
        },
    }
    for kind in ("inference", "training"):
        times = measure(networks, images, args.rounds, train=kind == "training")
        result[kind] = {
            name: {
                "images_per_s": round(
                    args.batch / sorted(times[name])[args.rounds // 2], 1
                ),
                "over_resnet18": ratio(times, name, "resnet18"),
                "over_resnet50": ratio(times, name, "resnet50"),
            }
            for name in NAMES
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
