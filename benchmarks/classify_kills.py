"""Kill a run again and again, and compare what it makes in the end.

    python benchmarks/classify_kills.py --weights RUN --folder FOLDER --kills 20

Starts `dmagnet classify`, ends it with SIGKILL after a random time, 20 times, then
lets it finish. Every input must be there once, and the table must be the same, byte for
byte, as that of a run that nobody disturbed.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from jpegs import draw_folder

CALL = "from dmagnet.cli import main; raise SystemExit(main())"
CHUNK = 64


def begin(folder: Path, table: Path, weights: Path) -> subprocess.Popen[bytes]:
    """Start classifying in a process of its own."""
    command = [
        *(sys.executable, "-c", CALL, "classify", folder),
        *("-o", table, "--weights", weights, "--chunk-size", str(CHUNK)),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=sys.stderr)


def finish(folder: Path, table: Path, weights: Path) -> None:
    """Let it come to its end."""
    assert begin(folder, table, weights).wait() == 0


def done(table: Path) -> int:
    """Count the pieces that are safe."""
    return len(list(table.with_name(f"{table.name}.parts").glob("*/*.arrow")))


def kill(process, table: Path, target: int, pause: float) -> dict[str, float]:
    """End a run a moment after it has done so many pieces; at once, if it had them."""
    start, before = time.perf_counter(), done(table)
    while before < target > done(table) and process.poll() is None:
        time.sleep(0.005)
    time.sleep(pause)
    process.send_signal(signal.SIGKILL)
    ended = process.wait()
    assert ended == -signal.SIGKILL, f"it ended with {ended} before it was killed"
    seconds = round(time.perf_counter() - start, 2)
    return {"after_s": seconds, "chunks_before": before, "chunks_done": done(table)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--folder", type=Path, default=Path("runs/out/jpegs"))
    parser.add_argument("--num", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ending", default=".ecsv")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    folder = draw_folder(args.folder / str(args.num), args.num)
    dice = random.Random(args.seed)
    chunks = args.num // CHUNK
    # Every fourth one falls into the start, the others anywhere but into the very end.
    targets = sorted(dice.randrange(1, max(2, chunks - 6)) for _ in range(args.kills))
    targets = [0 if i % 4 == 0 else target for i, target in enumerate(targets)]
    kills = []
    with tempfile.TemporaryDirectory() as scratch:
        whole, table = Path(scratch) / "a" / "t", Path(scratch) / "b" / "t"
        whole, table = (p.with_suffix(args.ending) for p in (whole, table))
        finish(folder, whole, args.weights)
        for target in targets:
            process = begin(folder, table, args.weights)
            pause = dice.uniform(0, 4 if target == 0 else 0.2)
            kills.append(kill(process, table, target, pause))
            print(kills[-1], flush=True)
        finish(folder, table, args.weights)
        names = Counter(line.split(",")[0] for line in table.read_text().splitlines())
        same = whole.read_bytes() == table.read_bytes()
    expected = [f'"{path.stem}"' for path in folder.glob("*.jpg")]
    result = {
        "inputs": args.num,
        "kills": kills,
        "identical": same,
        "missing": sum(names[name] == 0 for name in expected),
        "twice": sum(names[name] > 1 for name in expected),
    }
    print(json.dumps({k: v for k, v in result.items() if k != "kills"}, indent=1))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1))
    sys.exit(not same)


if __name__ == "__main__":
    main()
