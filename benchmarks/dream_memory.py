"""Peak memory of one dream step on a large image, in tiles and as a whole.

    python benchmarks/dream_memory.py                   # 2048 px, stage 1 and stem
    python benchmarks/dream_memory.py --layer stage2 --fusion mean

Each case runs in a process of its own, from the whole dream call, so that its peak
resident memory holds everything: libraries, network, image, gradient. Prints one line
of JSON a case. Networks have random weights: memory does not depend on them.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

from dmagnet.config import DreamConfig, ModelConfig
from dmagnet.dreaming import Energy, dream_frames
from dmagnet.network import DMAGNet

LAYERS = ("stem", "stage1.block1.d4")
BYTES_PER_RU = 1 if sys.platform == "darwin" else 1024


def one_case(args: argparse.Namespace) -> dict[str, object]:
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    network = DMAGNet(ModelConfig(size=args.size, fusion=args.fusion))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    image = torch.rand(1, 3, args.side, args.side)
    config = DreamConfig.plain(steps=args.steps, octaves=args.octaves, tile=args.tile)
    start = time.perf_counter()
    *_, last = dream_frames(network, image, Energy(args.layer), config)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "layer": args.layer,
        "size": args.size,
        "fusion": args.fusion,
        "side": args.side,
        "tile": args.tile,
        "steps": args.steps,
        "octaves": args.octaves,
        "peak_rss_gb": round(peak * BYTES_PER_RU / 1e9, 3),
        "rss_before_gb": round(before * BYTES_PER_RU / 1e9, 3),
        "seconds": round(time.perf_counter() - start, 1),
        "score": float(last.scores[0]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2048)
    parser.add_argument("--layer", nargs="+", default=LAYERS)
    parser.add_argument("--tile", type=int, nargs="+", default=(512, 0))
    parser.add_argument("--size", default="s")
    parser.add_argument("--fusion", default="attention")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--octaves", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        args.layer, args.tile = args.layer[0], args.tile[0]
        print(json.dumps(one_case(args)))
        return
    for layer in args.layer:
        for tile in args.tile:
            command = [
                *(sys.executable, __file__, "--one", "--layer", layer),
                *("--tile", str(tile), "--side", str(args.side), "--size", args.size),
                *("--fusion", args.fusion, "--steps", str(args.steps)),
                *("--octaves", str(args.octaves), "--threads", str(args.threads)),
            ]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=False
            )
            print(done.stdout.strip() or f"exit {done.returncode}", flush=True)


if __name__ == "__main__":
    main()
