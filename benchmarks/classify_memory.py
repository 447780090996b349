"""Peak memory and time for ten times as many inputs.

    python benchmarks/classify_memory.py --weights RUN --folder FOLDER
    python benchmarks/classify_memory.py --verb embed --weights xs --ending .parquet

Runs `dmagnet classify`, or `embed`, as a process of its own for 5,000 and for 50,000
JPEG files and compares the peak resident memory that the system counted, and the
seconds for each input; what a run of 64 takes is taken off as the cost of starting.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from jpegs import draw_folder

CALL = "from dmagnet.cli import main; raise SystemExit(main())"
START = 64  # inputs of a run that does little but start


def run(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Classify one folder in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        table = str(Path(scratch) / f"t{args.ending}")
        command = [
            *(sys.executable, "-c", CALL, args.verb, str(folder)),
            *("-o", table, "--weights", args.weights, *args.more),
        ]
        start = time.perf_counter()
        process = os.spawnv(os.P_NOWAIT, sys.executable, command)
        _, status, usage = os.wait4(process, 0)
        seconds = time.perf_counter() - start
    assert status == 0, f"{args.verb} ended with status {status}"
    return {"peak_mb": usage.ru_maxrss / 1024, "seconds": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True)
    parser.add_argument("--verb", choices=("classify", "embed"), default="classify")
    parser.add_argument("--folder", type=Path, default=Path("runs/out/jpegs"))
    parser.add_argument("--num", type=int, default=5000)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--ending", default=".ecsv")
    parser.add_argument("-o", "--out", type=Path)
    parser.add_argument("more", nargs="*", help="flags of the verb, behind --")
    args = parser.parse_args()
    counts = (START, args.num, args.times * args.num)
    found = {}
    for count in counts:
        folder = draw_folder(args.folder / str(count), count)
        found[count] = run(folder, args)
        print(count, found[count], flush=True)
    begun, few, many = (found[count] for count in counts)
    cost = [
        (found[count]["seconds"] - begun["seconds"]) / (count - START)
        for count in counts[1:]
    ]
    result = {
        "inputs": found,
        "memory_ratio": round(many["peak_mb"] / few["peak_mb"], 3),
        "cost_ratio": round(cost[1] / cost[0], 3),
    }
    print(json.dumps(result, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
