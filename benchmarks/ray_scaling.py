"""Galaxies a second on Ray: workers of one thread each, from JPEG files to a table.

    python benchmarks/ray_scaling.py --weights RUN --workers 1 2 --rounds 3

Each round runs every number of workers once, in turns, each with a Ray of its own. Two
rates: `steady` counts from when all workers have begun to the last chunk, so not the
start of Ray and of the workers (some seconds, however long the run); `whole` is the
whole call, the table included. One thread without Ray runs beside them.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from jpegs import draw_folder

from dmagnet.classifying import write_catalog
from dmagnet.config import ClassifyConfig, ClusterConfig

LOCAL = 0  # stands for one thread without Ray


def rates(folder: Path, weights: Path, workers: int, chunk_size: int) -> dict:
    """Galaxies a second of one run, and the table's bytes."""
    config = ClassifyConfig(
        chunk_size=chunk_size,
        threads=1,
        cluster=ClusterConfig(workers=workers or None),
    )
    seen: list[tuple[float, int]] = []

    def announce(_name: str, _total: int | None):
        return lambda done: seen.append((time.perf_counter(), done))

    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "t.csv"
        start = time.perf_counter()
        outcome = write_catalog(
            folder,
            out,
            weights=weights,
            config=config,
            engine="ray" if workers else "local",
            device="cpu",
            announce=announce,
        )
        seconds = time.perf_counter() - start
        content = out.read_bytes()
    # When as many chunks are done as there are workers, all have started.
    (begin, before), (end, after) = seen[max(workers, 1)], seen[-1]
    return {
        "steady": (after - before) / (end - begin),
        "whole": outcome.rows / seconds,
        "content": content,
    }


def spread(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("runs/out/jpegs"))
    parser.add_argument("--num", type=int, default=3000)
    parser.add_argument("--chunk-size", type=int, default=50)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    folder = draw_folder(args.folder / str(args.num), args.num)
    found: dict[int, list[dict]] = {n: [] for n in (LOCAL, *args.workers)}
    for _ in range(args.rounds):
        for workers, runs in found.items():
            runs.append(rates(folder, args.weights, workers, args.chunk_size))
    contents = {run["content"] for runs in found.values() for run in runs}
    assert len(contents) == 1, "every way gives the same bytes"
    first = args.workers[0]
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "cores": len(os.sched_getaffinity(0)),
        "weights": str(args.weights),
        "images": args.num,
        "chunk_size": args.chunk_size,
        "rounds": args.rounds,
        "images_per_s": {
            ("one thread, no Ray" if not n else f"{n} workers"): {
                kind: spread([run[kind] for run in runs])
                for kind in ("steady", "whole")
            }
            for n, runs in found.items()
        },
        f"over_{first}_worker": {
            f"{n} workers": {
                kind: spread(
                    [
                        a[kind] / b[kind]
                        for a, b in zip(found[n], found[first], strict=True)
                    ]
                )
                for kind in ("steady", "whole")
            }
            for n in args.workers[1:]
        },
    }
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
