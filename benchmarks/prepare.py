"""Measure `dmagnet.galaxies.prepare`: memory, speed against a plain read, reads.

    python benchmarks/prepare.py --num 1110 -o out/prepare.json
    python benchmarks/prepare.py --file Galaxy10_DECals.h5 -o out/prepare.json

Without a file one is simulated in the form of the published one, of 17,736 images
unless told otherwise. Each step runs in a process of its own, started from this light
one: Linux counts the parent's memory at the start as the child's.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GALAXY10_NUM = 17_736


def simulate(path: Path, num: int) -> dict[str, float]:
    from dmagnet.config import SimulateConfig
    from dmagnet.simulator import write_hdf5

    config = SimulateConfig(num=num, image_size=256, seed=0)
    start = time.perf_counter()
    write_hdf5(path, config, chunks="galaxy10")
    return {"seconds": time.perf_counter() - start}


def plain_read(path: Path) -> dict[str, float]:
    """Read every image once, in slabs of one row of chunks, and nothing else."""
    import h5py

    start = time.perf_counter()
    with h5py.File(path) as file:
        images = file["images"]
        rows = images.chunks[0] if images.chunks else 555
        for first in range(0, len(images), rows):
            images[first : first + rows]
    return {"seconds": time.perf_counter() - start}


def prepare(path: Path, out: Path) -> dict[str, float]:
    from dmagnet.galaxies import prepare as repack

    start = time.perf_counter()
    repack(path, out)
    return {"seconds": time.perf_counter() - start}


def count_reads(path: Path) -> dict[str, float]:
    """Read as `prepare` does, through a file that counts its bytes."""
    import io

    import h5py

    from dmagnet.galaxies.galaxy10 import read_slabs

    class Counting(io.FileIO):
        total = 0

        def readinto(self, buffer):
            self.total += len(buffer)
            return super().readinto(buffer)

    with Counting(path) as counter:
        # no cache of chunks: a second reading of one would show
        with h5py.File(counter, "r", rdcc_nbytes=0) as file:
            images = file["images"]
            num, side = images.shape[:2]
            stored = images.id.get_storage_size()
            for _ in read_slabs(images):
                pass
        return {"num": num, "side": side, "reads": counter.total / stored}


def step(name: str, *arguments: object) -> dict[str, float]:
    """Run one of the functions above in a new process; add its peak memory."""
    command = [sys.executable, __file__, "--step", name, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        answer = child.stdout.read() if child.stdout else ""
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"step {name} failed")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    return {**json.loads(answer), "peak_rss_mb": usage.ru_maxrss * unit / 1e6}


def measure(h5: Path, scratch: Path, repeats: int) -> dict[str, object]:
    """Take the plain read and the repacking in turns."""
    counted = step("count_reads", h5)
    reads, runs = [], []
    for turn in range(repeats):
        reads.append(step("plain_read", h5)["seconds"])
        runs.append(step("prepare", h5, scratch / f"prepared{turn}"))
    best_read, best = min(reads), min(run["seconds"] for run in runs)
    return {
        "file": h5.name,
        "file_mb": h5.stat().st_size / 1e6,
        "num": counted["num"],
        "image_size": counted["side"],
        "bytes_read_per_stored_byte": counted["reads"],
        "plain_read_s": reads,
        "prepare_s": [run["seconds"] for run in runs],
        "prepare_to_plain_read": best / best_read,
        "images_per_s": counted["num"] / best,
        "peak_rss_mb": max(run["peak_rss_mb"] for run in runs),
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num", type=int, default=GALAXY10_NUM)
    parser.add_argument("--file", type=Path, help="an existing file instead")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--scratch", type=Path, help="folder with room for both forms")
    parser.add_argument("-o", "--out", type=Path, help="JSON file to write")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        scratch = Path(folder)
        h5 = args.file
        if h5 is None:
            h5 = scratch / "simulated.h5"
            step("simulate", h5, args.num)
        result = json.dumps(measure(h5, scratch, args.repeats), indent=2)
    print(result)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(result + "\n", encoding="utf-8")


def run_step(name: str, *arguments: str) -> None:
    """Do what the parent process asked for and answer in JSON."""
    if name == "simulate":
        answer = simulate(Path(arguments[0]), int(arguments[1]))
    elif name == "prepare":
        answer = prepare(Path(arguments[0]), Path(arguments[1]))
    elif name == "plain_read":
        answer = plain_read(Path(arguments[0]))
    else:
        answer = count_reads(Path(arguments[0]))
    print(json.dumps(answer))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--step"]:
        run_step(*sys.argv[2:])
    else:
        main()
