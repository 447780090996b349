"""What a run of a million rows costs beside its pictures: memory and time for each row.

    python benchmarks/million_rows.py --folder FOLDER [--rows 10000 100000 1000000]

A table names 500 JPEG files again and again. Each is decoded and classified once and
its answer repeated, so that what remains is everything else: listing, chunks on disk,
resumable store, and the writer of the table. Each count runs in a process of its own;
a row's cost is what it takes more than the count before, of which the first is 500:
that run decodes and classifies them all.
"""

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jpegs import DISTINCT, draw_folder


def child(table: str, out: str, weights: str) -> None:
    """Classify a table with pictures and answers kept."""
    from dmagnet.calibration.judgement import Judgement
    from dmagnet.classifying import catalog_run, local
    from dmagnet.cli import main

    read, opened, kept = local.read_picture, local.open_for, {}

    def _cached(item: Any, *view: Any, **how: Any) -> Any:
        if item.path not in kept:
            kept[item.path] = read(item, *view, **how)
        return replace(kept[item.path], item=item)

    def _opened(*given: Any) -> Any:
        classifier = opened(*given)
        known: dict[bytes, dict[str, Any]] = {}
        judge = classifier.judge

        def _judge(images: Any, *_: Any) -> Judgement:
            new = [i for i in images if i[60:64].tobytes() not in known]
            for image in new:
                known[image[60:64].tobytes()] = vars(judge(image[None]))
            rows = [known[image[60:64].tobytes()] for image in images]
            named = {n: [r[n] for r in rows] for n in rows[0] if rows[0][n] is not None}
            return Judgement(**{n: np.concatenate(v) for n, v in named.items()})

        classifier.judge = _judge
        return classifier

    local.read_picture = _cached
    catalog_run.open_for = _opened
    raise SystemExit(main(["classify", table, "-o", out, "--weights", weights]))


def run(files: list[Path], rows: int, args: argparse.Namespace) -> dict[str, float]:
    """Classify so many rows in a process of its own."""
    table, out = args.folder / f"{rows}.csv", args.folder / f"{rows}{args.ending}"
    with table.open("w") as lines:
        lines.write("path,id\n")
        lines.writelines(f"{files[i % len(files)]},g{i}\n" for i in range(rows))
    out.unlink(missing_ok=True)
    words = [sys.executable, __file__, "--child", str(table), str(out), args.weights]
    began = time.perf_counter()
    process = os.spawnv(os.P_NOWAIT, sys.executable, words)
    _, status, usage = os.wait4(process, 0)
    took = time.perf_counter() - began
    if status:
        raise SystemExit(f"{rows} rows ended with status {status}")
    cpu = usage.ru_utime + usage.ru_stime
    return {"peak_mb": usage.ru_maxrss / 1024, "seconds": took, "cpu_seconds": cpu}


def main() -> None:
    """Run each count, and compare it with the one before."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="xs")
    parser.add_argument("--folder", type=Path, default=Path("runs/out/rows"))
    parser.add_argument("--rows", type=int, nargs="+", default=[10**4, 10**5, 10**6])
    parser.add_argument("--ending", default=".parquet")
    args = parser.parse_args()
    args.folder = args.folder.absolute()
    files = sorted(draw_folder(args.folder / "jpegs", DISTINCT).glob("*.jpg"))
    fewer, before = DISTINCT, run(files, DISTINCT, args)
    print(DISTINCT, json.dumps(before), flush=True)
    for rows in args.rows:
        found = run(files, rows, args)
        cost = (found["cpu_seconds"] - before["cpu_seconds"]) / (rows - fewer)
        print(rows, json.dumps(found | {"microseconds_a_row": 1e6 * cost}), flush=True)
        fewer, before = rows, found


if __name__ == "__main__":
    child(*sys.argv[2:]) if sys.argv[1:2] == ["--child"] else main()
