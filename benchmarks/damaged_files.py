"""Thousands of damaged files through all that reads: no traceback, soon, in 1 GB.

    python benchmarks/damaged_files.py --num 10000 --seed 0 -o RESULT.json

Of every form that the package reads (`damage.py`) files are damaged at random and given
to `classify`, `load_galaxies`, `load` and `evaluate`, in processes of their own. A file
fails if it ends in anything but rows with flags or one of the package's errors, takes
more than 20 s of a core, or brings the process above 1 GB. The n-th file of a seed is
always the same one.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import damage

MOST_S, MOST_MB = 20.0, 1024
DEAD_S = 300.0  # then the watchdog ends the process
SHARES = {"classify": 60, "load_galaxies": 24, "load": 14, "evaluate": 2}
CONTEXT = multiprocessing.get_context("spawn")
BATCH = 64  # files of `classify` that go into one table


def peak_mb() -> float:
    """Return the most memory that this process had since the last call."""
    status = Path("/proc/self/status").read_text()
    most = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    Path("/proc/self/clear_refs").write_text("5")
    return int(most.split()[1]) / 1024


def make(folder: Path, seed: int) -> None:
    """Make one whole file of each form, in a process of its own: ONNX is heavy."""
    from dmagnet.classes import CLASS_NAMES
    from dmagnet.config import ModelConfig, TrainConfig
    from dmagnet.exporting import export_onnx
    from dmagnet.network import DMAGNet
    from dmagnet.network.checkpoint import Checkpoint, save

    folder.mkdir()
    for form, content in damage.originals(folder, seed).items():
        (folder / form).write_bytes(content)
    for path in folder.glob("original.*"):
        path.unlink()
    config = TrainConfig(model=ModelConfig(size="xs"), image_size=64, field=1.0)
    network = Checkpoint(DMAGNet(config.model).eval(), config, CLASS_NAMES)
    save(folder / "safetensors", network)
    export_onnx(network, folder / "w.onnx")
    (folder / "w.onnx").rename(folder / "onnx")
    (folder / "json").write_bytes(damage.records(seed))


class Doors:
    """What reads, with all that it needs beside the damaged file."""

    def __init__(self, folder: Path, whole: Path) -> None:
        import torch  # the price of starting is not that of a file

        torch.set_num_threads(1)
        os.environ["DMAGNET_CUTOUT_URL"] = "http://127.0.0.1:9/cutout.fits"
        self.folder, self.given = folder, []
        self.made = {path.name: path.read_bytes() for path in whole.iterdir()}
        self.weights = whole / "safetensors"
        for k, name in enumerate(("x", "y")):
            (folder / f"{name}.png").write_bytes(self.made["png"])
            for part in range(2):
                good = folder / "classes" / f"class {k}" / f"{part}.png"
                good.parent.mkdir(parents=True, exist_ok=True)
                good.write_bytes(self.made["png"])

    def write(self, kind: str, number: int, seed: int) -> Path:
        """Make the damaged file of this number."""
        dice = random.Random(f"{seed}-{number}")
        forms = damage.FORMS
        if kind == "load":
            forms = ("safetensors", "safetensors", "onnx", "json")
        elif kind == "evaluate":
            forms = ("h5", "zip", "csv", "png", "safetensors")
        form = forms[number % len(forms)]
        other = self.made[dice.choice(damage.FORMS)]
        path = self.folder / kind / f"{number:05d}.{form}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damage.damaged(self.made[form], other, dice))
        return path

    def classify(self, path: Path) -> str:
        """Read it; every so many files make a table."""
        from itertools import islice

        from dmagnet.classifying import write_catalog
        from dmagnet.config import ClassifyConfig, SourceConfig
        from dmagnet.pictures.inputs import list_items, read_picture

        self.given.append(path)
        items = list_items([str(path)])
        flags = {
            read_picture(item, 64, 1.0, SourceConfig(), radii=3.0).item.flag
            for item in islice(items, 64)
        }
        if len(self.given) == BATCH:
            known = [p for p in self.given if self._listed(p)]
            table = path.with_suffix(".ecsv.table.ecsv")
            config = ClassifyConfig(threads=1)
            write_catalog(known, table, weights=self.weights, config=config)
            self.given.clear()
        return "class" if min(flags) < 1 << 16 else "flag"

    def _listed(self, path: Path) -> bool:
        from dmagnet.errors import DmagnetError
        from dmagnet.pictures.inputs import list_items

        try:
            items = list_items([str(path)])
            return len(items) < 100 and all(i.kind != "position" for i in items)
        except DmagnetError:
            return False

    def load_galaxies(self, path: Path) -> str:
        """Train on it: as it is, or as one picture of a class."""
        from dmagnet.galaxies import load_galaxies

        if path.suffix[1:] not in damage.PICTURES:
            if path.suffix in (".csv", ".ecsv", ".vot", ".parquet", ".fits"):
                path = path.rename(self.folder / path.name)  # beside its pictures
            load_galaxies(path)
            return "read"
        target = self.folder / "classes" / "class 0" / path.name
        path.rename(target)
        try:
            skipped = load_galaxies(self.folder / "classes").skipped
        finally:
            target.unlink()
        return "left out" if skipped else "read"

    def load(self, path: Path) -> str:
        """Open it as weights."""
        import dmagnet
        from dmagnet.classifying import open_classifier

        if path.suffix == ".onnx":
            open_classifier(path)
        elif path.suffix == ".json":
            run = path.with_suffix("")
            run.mkdir()
            (run / "weights.safetensors").write_bytes(self.made["safetensors"])
            for name in ("run.json", "metrics.csv"):
                (run / name).write_bytes(path.read_bytes())
            dmagnet.load(run)
        else:
            dmagnet.load(path)
        return "read"

    def evaluate(self, path: Path) -> str:
        """Judge a network on it, or it on galaxies."""
        from dmagnet.network.checkpoint import load
        from dmagnet.reporting.assess import assess, galaxies_to_judge

        weights, data = self.weights, path
        if path.suffix == ".safetensors":
            weights, data = path, self.folder / "classes"
        elif path.suffix == ".csv":
            data = path.rename(self.folder / path.name)
        network = load(weights)
        assess(network, galaxies_to_judge(network, data), path.with_suffix(".out"))
        return "read"


def work(pipe: Any, folder: Path, whole: Path, seed: int) -> None:
    """Do what comes through the pipe."""
    sys.stdout.flush()
    said = (folder / "said").open("wb")
    os.dup2(said.fileno(), 1)
    os.dup2(said.fileno(), 2)
    resource.setrlimit(resource.RLIMIT_CPU, (10_000, 10_000))
    from dmagnet.errors import DmagnetError

    doors = Doors(folder, whole)
    pipe.send("ready")
    while (task := pipe.recv()) is not None:
        kind, number = task
        path = doors.write(kind, number, seed)
        before, start = os.fstat(1).st_size, time.process_time()
        peak_mb()
        trace = ""
        try:
            ended = getattr(doors, kind)(path)
        except DmagnetError as error:
            ended = "error"
            if "\n" in str(error):
                ended, trace = "lines", str(error)
        except BaseException:
            ended, trace = "traceback", traceback.format_exc()
        spent = time.process_time() - start
        noise = os.fstat(1).st_size - before
        pipe.send((ended, trace, spent, peak_mb(), noise, path.name))
        shutil.rmtree(path, ignore_errors=True)


class Worker:
    """A process that reads, and is ended if it does not answer."""

    def __init__(self, folder: Path, whole: Path, seed: int) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True)
        self.pipe, other = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=work, args=(other, folder, whole, seed))
        self.process.start()
        other.close()
        assert self.pipe.recv() == "ready"

    def ask(self, kind: str, number: int) -> tuple[Any, ...]:
        """Have one file read."""
        self.pipe.send((kind, number))
        start = time.perf_counter()
        if self.pipe.poll(DEAD_S):
            try:
                return self.pipe.recv()
            except EOFError:
                self.process.join()
                code = self.process.exitcode
                return ("crash", f"exit {code}", time.perf_counter() - start, 0, 0, "")
        self.process.kill()
        return ("hang", "", DEAD_S, 0, 0, "")

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.join()
        shutil.rmtree(self.folder, ignore_errors=True)


def tasks(num: int) -> list[tuple[str, int]]:
    """Share the numbers among the doors."""
    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    order = random.Random(0).sample(kinds, len(kinds))
    return [(order[n % len(order)], n) for n in range(num)]


def run(num: int, seed: int, first: int, keep: Path) -> dict[str, Any]:
    """Read so many damaged files, one after another."""
    ended: dict[str, Counter[str]] = defaultdict(Counter)
    slowest, largest, noisy = [], [], []
    faults: dict[str, list[Any]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as scratch:
        whole = Path(scratch) / "whole"
        maker = CONTEXT.Process(target=make, args=(whole, seed))
        maker.start()
        maker.join()
        worker, births = Worker(Path(scratch) / "0", whole, seed), 0
        for kind, number in tasks(first + num)[first:]:
            how, trace, spent, peak, noise, name = worker.ask(kind, number)
            ended[kind][how] += 1
            name = name or f"{number}"
            slowest = sorted([*slowest, (round(spent, 2), kind, name)])[-5:]
            largest = sorted([*largest, (round(peak), kind, name)])[-5:]
            if noise:
                noisy.append((kind, name, noise))
            bad = how in ("traceback", "lines", "crash", "hang")
            if bad or spent > MOST_S or peak > MOST_MB:
                last = trace.strip().splitlines()[-1:] or [how]
                faults[f"{how}: {last[0][:120]}"].append((kind, name, spent, peak))
                path = worker.folder / kind / name
                if keep and path.is_file():
                    shutil.copy(path, keep / f"{kind}-{name}")
                if keep and trace:
                    (keep / f"{kind}-{name}.txt").write_text(trace)
            if how in ("crash", "hang"):
                if keep:
                    for path in worker.folder.glob(f"{kind}/{number:05d}.*"):
                        if path.is_file():
                            shutil.copy(path, keep / f"{kind}-{path.name}")
                worker.stop()
                births += 1
                worker = Worker(Path(scratch) / str(births), whole, seed)
            if number % 500 == 499:
                print(number + 1, {k: dict(v) for k, v in ended.items()}, flush=True)
        worker.stop()
    return {
        "num": num,
        "seed": seed,
        "ended": {kind: dict(counts) for kind, counts in ended.items()},
        "slowest_s": slowest[::-1],
        "largest_mb": largest[::-1],
        "noisy": noisy[:20],
        "num_noisy": len(noisy),
        "faults": {
            line: [len(cases), cases[:3]] for line, cases in sorted(faults.items())
        },
    }


def main() -> None:
    """Run it, print what came out, and exit 1 if a file failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that failed")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
    result = run(args.num, args.seed, args.first, args.keep)
    text = json.dumps(result, indent=1)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")
    raise SystemExit(bool(result["faults"]))


if __name__ == "__main__":
    main()
