"""Verbs of this version beside those of another, in turns: ratios of the time taken.

    python benchmarks/side_by_side.py ../before/src IMAGES --runs 5

Above 1 this version is faster. A verb that a version does not know by these words, or
that fails, is told and left out.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parents[1] / "src"
MAIN = "import sys; from dmagnet.cli import main; sys.exit(main(sys.argv[1:]))"
WORDS = {
    "help": "--help",
    "simulate": "simulate -o {out}.h5 --num 400 --image-size 64",
    "classify one": "classify {one} -o {out}.ecsv",
    "classify all": "classify {all} -o {out}.ecsv",
    "dream": "dream {one} -o {out} --layers stage2 lam --steps 10",
    "explain": "explain {one} -o {out}",
    "train": "train {set} -o {out} --recipe smoke --device cpu --epochs 3",
    "app": "app --port 0",  # until it says where it is
}


def seconds(source: Path, words: list[str]) -> float:
    """Run a verb in a process of its own; of the app, wait for its address."""
    env = {**os.environ, "PYTHONPATH": str(source), "PYTHONUNBUFFERED": "1"}
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *words],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        for line in process.stdout if words[0] == "app" else ():
            if re.search(r"http://", line):
                taken = time.perf_counter() - begun
                process.terminate()
                return taken
        process.communicate()
        if process.returncode:
            raise SystemExit(f"{source}: {' '.join(words)}: {process.returncode}")
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="src of the version before")
    parser.add_argument("images", type=Path, help="folder of images")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(WORDS))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        one = sorted(path for path in given.images.iterdir() if path.is_file())[0]
        words = f"simulate -o {folder}/set.h5 --num 600 --image-size 64"
        seconds(HERE, words.split())
        for verb in given.only:
            taken: dict[Path, list[float]] = {given.before: [], HERE: []}
            for run in range(given.runs + 1):  # the first warms caches
                for source in (list(taken), list(taken)[::-1])[run % 2]:
                    out = folder / "out"
                    filled = WORDS[verb].format(
                        one=one, all=given.images, out=out, set=folder / "set.h5"
                    )
                    spent = seconds(source, filled.split())
                    shutil.rmtree(out, ignore_errors=True)
                    for left in folder.glob("out*"):
                        left.unlink(missing_ok=True)
                    if run:
                        taken[source].append(spent)
            before, now = (statistics.median(each) for each in taken.values())
            pairs = [b / n for b, n in zip(*taken.values(), strict=True)]
            print(
                json.dumps(
                    {
                        "verb": verb,
                        "before_s": round(before, 3),
                        "now_s": round(now, 3),
                        "ratio": round(statistics.median(pairs), 3),
                        "pairs": [round(pair, 2) for pair in pairs],
                    }
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
