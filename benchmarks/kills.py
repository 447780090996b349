"""Kill every verb that writes, again and again; nothing may be lost.

    python benchmarks/kills.py --kills 500 --seed 0 -o runs/out/kills.json

A verb runs in a process of its own, which is ended with SIGKILL just before its n-th
change to the disk (open to write, rename, make, remove), or after a random time. Where
a verb may replace what it wrote before, an older result lies there in every other run.
After the kill, a file that a verb writes is the old one or the new one, byte for byte,
and what others left beside it (`X.old`, `X.part`, `X.parts.gone`, notes) is untouched.
Then the same command is given again: it must end with status 0 and leave the files of
a run that nobody disturbed, byte for byte but for the dates in records.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

import torch
from PIL import Image

import dmagnet
from dmagnet.classes import CLASS_NAMES
from dmagnet.cli import main as dmagnet_main
from dmagnet.config import ModelConfig, SimulateConfig, TrainConfig
from dmagnet.galaxies import fetch
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, save
from dmagnet.simulator import simulate, write_hdf5

SIDE = 64  # px, the smallest that trains
CHANGES = {
    "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.truncate",
    "os.link", "os.symlink",
}  # fmt: skip
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
# A calibration's hash is of its date too.
DATE = re.compile(
    rb"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?([+-]\d\d:\d\d|Z| UTC)?"
    rb'|(?<=hash\\": \\")[0-9a-f]{64}'
)
HIDDEN = (".dmagnet", ".dmagnet.lock")  # marks that stay in folders of results
LIMIT_S = 600  # no run here takes as long


@dataclass(frozen=True)
class Case:
    """One verb, and what it writes.

    Attributes
    ----------
    name : str
        Of the verb.
    words : tuple of str
        The command, without ``-o``.
    out : str
        What it writes.
    kills : int
        Share of all kills.
    older : tuple of str
        The command that wrote an older result; none if nothing is replaced.
    flags : tuple of str
        Added where an older result lies there.
    left_out : tuple of str
        Names of files that tell of the way, not of the result.
    """

    name: str
    words: tuple[str, ...]
    out: str
    kills: int = 4
    older: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def cases(made: Path, address: str, digest: str) -> Iterator[Case]:
    """List the verbs, with the smallest inputs that they take."""
    run, data, older = (str(made / name) for name in ("run", "galaxies.h5", "older.h5"))
    weights, everyone = f"{run}/weights.safetensors", ("--split", "all")
    first, second, *others = map(str, sorted((made / "images").glob("*.png")))
    by = ("--weights", run)
    dream = (first, *by, "--device", "cpu", "--steps", "1")
    draw = ("simulate", "--image-size", "32", "--num")
    yield Case(
        "classify",
        ("classify", first, second, *others, *by, "--chunk-size", "3"),
        "t.ecsv",
        12,
        ("classify", first, second, *by),
        ("--overwrite",),
    )
    seeded = ("prepare", data, "--seed", "1")
    yield Case("prepare", ("prepare", data), "prepared", 12, seeded)
    yield Case("simulate", (*draw, "20"), "sim.h5", 8, (*draw, "3"))
    yield Case("audit", ("audit", data), "pairs.ecsv", 6, ("audit", older))
    for name, given, out in (
        ("calibrate", weights, "calibrated.safetensors"),
        ("evaluate", run, "judged"),
        ("failures", run, "failures"),
    ):
        words, before = (name, given, data, *everyone), (name, given, older, *everyone)
        yield Case(name, words, out, 6, before)
    one = ("explain", first, *by, "--methods", "lam")
    yield Case("explain", ("explain", first, second, *by), "why", 6, one)
    plain = ("--no-compare", "--steps", "0")
    yield Case("page", ("page", first, second, *by, *plain), "pages", 6)
    yield Case("dream", ("dream", *dream, "--layers", "stem", "lam"), "dreams", 8)
    yield Case("redream", ("redream", *dream, "--animate"), "redreams", 6)
    small = (
        "--per-class",
        "2",
        "--seeds",
        "2",
        "--steps",
        "1",
        "--layers",
        "stem",
        "stage2",
    )
    study = ("measure", run, data, *everyone, *small, "lam", "--chain-galaxies", "2")
    yield Case("measure", study, "study", 1)
    knobs = ("--size", "xs", "--epochs", "2", "--batch-size", "20", "--no-progressive")
    always = (
        "--image-size",
        str(SIDE),
        "--warmup-epochs",
        "1",
        "--save-every-min",
        "0",
    )
    train = ("train", data, "--device", "cpu", *knobs, *always)
    yield Case(
        "train", train, "trained", 3, left_out=("logs", "tensorboard", "last.ckpt")
    )
    yield Case("export", ("export", run), "network.onnx", 3)
    pages = [("report", str(made / name)) for name in ("judged", "failures")]
    yield Case("report", pages[0], "page.html", 6, pages[1])
    yield Case("fetch", (address, digest), "data", 6)


def make_inputs(made: Path) -> None:
    """Make weights that learned nothing, and galaxies to give them."""
    torch.manual_seed(0)
    config = TrainConfig(image_size=SIDE, model=ModelConfig(size="xs"))
    network = DMAGNet(config.model).eval()
    save(made / "run/weights.safetensors", Checkpoint(network, config, CLASS_NAMES))
    for name, num in (("galaxies", 60), ("older", 40)):
        write_hdf5(
            made / f"{name}.h5",
            SimulateConfig(num=num, image_size=SIDE, field=0.6, seed=num),
        )
    images, _ = simulate(SimulateConfig(num=8, image_size=SIDE))
    (made / "images").mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(made / f"images/{i}.png")
    (made / "files").mkdir()
    (made / "files/some.h5").write_bytes(random.Random(0).randbytes(3_000_000))


def plant(folder: Path, out: str) -> dict[Path, tuple[bytes, int]]:
    """Leave what others may have beside a result; return what it was."""
    for name in ("notes.txt", f"{out}.part", f".{out}.part", "run.json"):
        (folder / name).write_text(f"mine: {name}\n")
    for name in (f"{out}.old", f"{out}.parts.gone", f"{out}.gone"):
        (folder / name).mkdir()
        (folder / name / "keep.txt").write_text(f"mine: {name}\n")
    return looked_at(folder, lambda path: path.name != out)


def looked_at(
    folder: Path, which: Callable[[Path], bool] = lambda _: True
) -> dict[Path, tuple[bytes, int]]:
    """Read all files of a folder, with the time of their last change."""
    files = (path for top in folder.iterdir() if which(top) for path in under(top))
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def under(path: Path) -> list[Path]:
    return [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]


def results(place: Path, left_out: tuple[str, ...]) -> dict[str, str]:
    """Hash all that a verb wrote; dates in records do not count."""
    found = {}
    for path in under(place) if place.exists() else []:
        name = str(path.relative_to(place))
        if path.name in HIDDEN or path.parent.name in (*left_out, *HIDDEN):
            continue
        if not {path.name, *path.relative_to(place).parts} & set(left_out):
            found[name] = sha256(DATE.sub(b"", path.read_bytes())).hexdigest()
    return found


def call(case: Case, words: tuple[str, ...], out: Path) -> int:
    """Do what a case says, in this process."""
    if case.name == "fetch":
        fetch(out, url=words[0], mirrors=(), sha256=words[1], progress=False)
        return 0
    return dmagnet_main([*words, "-o", str(out)])


def start(case: Case, words: tuple[str, ...], out: Path, *, die_at: int = 0) -> int:
    """Start a verb in a process of its own, which may end itself; return its number."""
    process = os.fork()
    if process:
        return process
    log = os.open(out.parent.parent / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    root, seen = str(out.parent), 0
    count = os.open(out.parent.parent / "count", os.O_RDWR | os.O_CREAT | os.O_TRUNC)

    def _watch(event: str, args: tuple[object, ...]) -> None:
        nonlocal seen
        if event == "open":
            if not isinstance(args[2], int) or not args[2] & WRITES:
                return
        elif event not in CHANGES:
            return
        name = str(args[0])  # a name in a folder that is open is not absolute
        if name.startswith("/") and not name.startswith(root):
            return
        seen += 1
        os.pwrite(count, str(seen).encode(), 0)
        if seen == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(_watch)
    status = 70  # of a traceback
    try:
        status = call(case, words, out)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def ended(process: int, kill_after_s: float = LIMIT_S) -> int:
    """Wait for a process, or end it; give its exit status, or minus the signal."""
    until = time.monotonic() + kill_after_s
    while time.monotonic() < until:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


class Trial:
    """All kills of one verb.

    Parameters
    ----------
    case : Case
        The verb.
    scratch : Path
        An empty folder.
    """

    def __init__(self, case: Case, scratch: Path) -> None:
        self.case, self.scratch = case, scratch
        scratch.mkdir()
        began = time.monotonic()
        self.right = self._undisturbed("right", case.words)
        self.seconds = time.monotonic() - began
        self.events = int((scratch / "count").read_bytes())
        self.old = self._undisturbed("old", case.older) if case.older else {}

    def _undisturbed(self, name: str, words: tuple[str, ...]) -> dict[str, str]:
        place = self.scratch / name / self.case.out
        place.parent.mkdir()
        status = ended(start(self.case, words, place))
        assert status == 0, f"{self.case.name}: {status}: {self._said()}"
        return results(place, self.case.left_out)

    def _said(self) -> str:
        return (self.scratch / "log.txt").read_text(errors="replace")[-2000:]

    def kill(self, dice: random.Random) -> str:
        """Kill once and give the command again; say what is wrong, or nothing."""
        case, folder = self.case, self.scratch / "now"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        place, words = folder / case.out, case.words
        replacing = bool(self.old) and dice.random() < 0.5
        if replacing:
            old = self.scratch / "old" / case.out
            (shutil.copytree if old.is_dir() else shutil.copy2)(old, place)
            words += case.flags
        theirs = plant(folder, case.out)
        if dice.random() < 0.7:
            self.how = f"at event {dice.randint(1, self.events + 2)}"
            ended(start(case, words, place, die_at=int(self.how.split()[-1])))
        else:
            self.how = f"after {dice.uniform(0, self.seconds):.3f} s"
            ended(start(case, words, place), float(self.how.split()[1]))
        self.how += ", replacing" * replacing
        if wrong := self._lost(place, theirs, replacing=replacing):
            return f"killed: {wrong}"
        status = ended(start(case, words, place))
        if status and (place.is_file() and "is there already" in self._said()):
            status = 0  # it was done before the kill, and says so
        if status:
            return f"again: status {status}: {self._said()}"
        now = results(place, case.left_out)
        # of an older result, what the new one does not write stays
        kept = {n: v for n, v in self.old.items() if n in now and n not in self.right}
        if now != self.right | (kept if replacing else {}):
            names = {n for n in now | self.right if now.get(n) != self.right.get(n)}
            return f"again: {sorted(names)[:5]} differ"
        left = [path.name for path in folder.rglob(".*") if path not in theirs]
        if left := sorted({*left} - {*HIDDEN}):
            return f"again: {left} left behind"
        return self._lost(place, theirs, replacing=False)

    def _lost(
        self, place: Path, theirs: dict[Path, tuple[bytes, int]], *, replacing: bool
    ) -> str:
        """Say what is not as it must be after a kill."""
        for path, was in theirs.items():
            if (
                not path.is_file()
                or (path.read_bytes(), path.stat().st_mtime_ns) != was
            ):
                return f"{path.name} of others was touched"
        one_file = place.is_file() or (replacing and "." in self.old)
        if one_file and results(place, ()) not in (self.old, self.right):
            return f"{place.name} is neither old nor new"
        return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbs", nargs="*", default=())
    parser.add_argument("-o", "--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    dice, counts, wrong = random.Random(asked.seed), Counter(), []
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "made"
        make_inputs(made)
        server = serve(made / "files")
        digest = sha256((made / "files/some.h5").read_bytes()).hexdigest()
        address = f"http://127.0.0.1:{server}/some.h5"
        every = {case.name: case for case in cases(made, address, digest)}
        chosen = [every[name] for name in asked.verbs or every]
        for name in ("evaluate", "failures") if every["report"] in chosen else ():
            case = every[name]  # the page is of what they wrote
            assert ended(start(case, case.words, made / case.out)) == 0
        shares = sum(case.kills for case in chosen)
        for case in chosen:
            trial = Trial(case, Path(scratch) / case.name)
            for number in range(-(-asked.kills * case.kills // shares)):
                counts[case.name] += 1
                if problem := trial.kill(dice):
                    wrong.append(f"{case.name} {number}, {trial.how}: {problem}")
                    print(wrong[-1], flush=True)
            print(
                f"{case.name}: {counts[case.name]} kills, {trial.events} changes to "
                f"the disk, {trial.seconds:.1f} s undisturbed",
                flush=True,
            )
    summary = {
        "dmagnet": dmagnet.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "seed": asked.seed,
        "kills": dict(counts),
        "all": counts.total(),
        "wrong": wrong,
    }
    print(json.dumps({k: v for k, v in summary.items() if k != "wrong"}))
    if asked.out:
        asked.out.write_text(json.dumps(summary, indent=1) + "\n")
    raise SystemExit(bool(wrong))


def serve(folder: Path) -> int:
    """Serve a folder to `fetch`, from a process of its own; give the port."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0),
        lambda *args: SimpleHTTPRequestHandler(*args, directory=str(folder)),
    )
    if not os.fork():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        parent = os.getppid()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(0)
    return server.server_port


if __name__ == "__main__":
    main()
