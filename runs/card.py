"""Write the model card that ships beside the weights, every number from a result.

    python runs/trust.py --weights src/dmagnet/network/dmagnet-s.safetensors
    python runs/card.py --runs runs/out/weights/s96 [--finetune CURVE.json]

Judges the files in the package on the validation sets (kept in runs/out/card), takes
degradation, halves and impostors from trust.json, seeds from RUNS-SEED/judged.json, and
fills runs/card.md.j2. It stops where a result is missing or of other weights: the card
has no gaps to fill by hand.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from real_sets import GROUPS, real_sets, view_of

from dmagnet.classes import CLASSES, FAMILIES
from dmagnet.config import to_dict
from dmagnet.judging import score
from dmagnet.judging.predict import judge
from dmagnet.judging.trust import as_labeled
from dmagnet.network import BUNDLED, load
from dmagnet.network.bundled import CARD, entry_of, package

ROOT = Path(__file__).parents[1]
SETS = {
    "real60": "Galaxy10 DECaLS, 60 images of ten classes",
    "galaxyzoo2": "Galaxy Zoo 2 (SDSS), five coarse classes",
    "galaxyzoo1": "Galaxy Zoo 1 (SDSS), coarse and noisy labels",
}
NUM_CONFUSIONS = 6
NUM_WEAKEST = 3


def main() -> None:
    args = arguments()
    index = {name: entry_of(package(), name) for name in BUNDLED}
    scores = {name: scores_of(name, args) for name in BUNDLED}
    loaded = {name: load(name) for name in BUNDLED}
    plain = [name for name, one in loaded.items() if one.calibration is None]
    if plain:
        raise SystemExit(
            f"{plain[0]}: not calibrated; bundle what --save of trust.py wrote"
        )
    count = {
        name: {"parameters": sum(p.numel() for p in one.model.parameters()) / 1e6}
        for name, one in loaded.items()
    }
    page = template(args.template).render(
        sizes=list(BUNDLED),
        sets=SETS,
        index=index,
        nets=count,
        scores=scores,
        megabytes=sum(entry["bytes"] for entry in index.values()) / 1e6,
        views=loaded["s"].calibration.views,
        confused={kind: confusions(one) for kind, one in scores["s"].items()},
        weakest=weakest(scores["s"]["real60"]),
        trust=of_these(args.trust, index["s"]),
        config=to_dict(loaded["s"].config),
        told=loaded["s"].provenance,
        seeds=seeds(args.runs),
        curve=curve(args.finetune, index["s"]),
    )
    args.out.write_text(f"{page.strip()}\n")
    print(f"{args.out}: {len(page.splitlines())} lines")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, default=ROOT / "../shared/data")
    add("--trust", type=Path, default=ROOT / "runs/out/trust/trust.json")
    add("--runs", type=Path, help="of size s without -SEED, for the spread of seeds")
    add("--finetune", type=Path, help="curve.json of runs/finetune.py")
    add("--kept", type=Path, default=ROOT / "runs/out/card")
    add("--template", type=Path, default=ROOT / "runs/card.md.j2")
    add("--out", type=Path, default=ROOT / "src/dmagnet/network" / CARD)
    add("--most", type=int, default=10**6, help="galaxies a set, for trials")
    add("--quick", action="store_true", help="without the slowest set, for trials")
    return parser.parse_args()


def template(path: Path) -> jinja2.Template:
    """Open the text, which refuses a value that is not there."""
    world = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    world.filters |= {"span": span, "num": number, "tick": "`{}`".format}
    return world.from_string(path.read_text())


def span(found: Any, name: str = "") -> str:
    """Write a number with its interval: of a record, or a list of three."""
    if name:
        interval = found[f"{name}_interval"] if f"{name}_interval" in found else (
            found["intervals"][name])  # fmt: skip
        found = [found[name], *interval]
    return "{} [{}, {}]".format(*(number(value, 3) for value in found[:3]))


def number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:.{digits}f}"


def scores_of(name: str, args: argparse.Namespace) -> dict[str, dict]:
    """Judge weights of the package on every set, as they are used unasked; once."""
    checkpoint = load(name)
    file = entry_of(package(), name)["sha256"]  # weights and calibration
    path = args.kept / f"{name}-{file[:12]}-{args.most}.json"
    if not path.exists():
        found = {}
        for kind, galaxies in real_sets(checkpoint, args).items():
            views = view_of(galaxies, checkpoint.config)
            judgement = judge(checkpoint, views.images)
            judged = as_labeled(checkpoint, views, judgement)
            metrics = score(
                judged.labels, judged.probabilities, judged.names, trust=judged.trust
            )
            found[kind] = metrics.to_dict()
            if kind == "real60":
                found[kind] |= coarser(judgement.probabilities, views.labels)
            print(f"{name} {kind}: {metrics.accuracy:.3f}", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1))
    return json.loads(path.read_text())


def coarser(p: np.ndarray, labels: np.ndarray) -> dict[str, list[float]]:
    """Score families and groups: accuracy, its interval, and how many galaxies."""
    family = np.array([FAMILIES.index(one.family) for one in CLASSES])
    group = np.full(len(CLASSES), -1)
    for k, members in enumerate(GROUPS):
        group[list(members)] = k
    found = {}
    for name, of in (("families", family), ("groups", group)):
        inside = of[labels] >= 0
        sums = np.stack([p[:, of == k].sum(1) for k in range(of.max() + 1)], 1)[inside]
        sums /= sums.sum(1, keepdims=True)
        names = [str(k) for k in range(of.max() + 1)]
        some = score(of[labels][inside], sums, names)
        found[name] = [some.accuracy, *some.intervals["accuracy"], some.n]
    return found


def confusions(scores: dict) -> str:
    """Name the most frequent mistakes."""
    counts = np.array(scores["confusion"])
    names = [row["name"] for row in scores["per_class"]]
    np.fill_diagonal(counts, 0)
    order = np.argsort(-counts, axis=None, kind="stable")[:NUM_CONFUSIONS]
    pairs = [np.unravel_index(k, counts.shape) for k in order]
    told = [f"{names[a]} called {names[b]} ({counts[a, b]})" for a, b in pairs
            if counts[a, b]]  # fmt: skip
    return "; ".join(told)


def weakest(scores: dict) -> str:
    rows = sorted(scores["per_class"], key=lambda row: row["recall"])[:NUM_WEAKEST]
    told = [f"{row['name']} ({row['correct']} of {row['support']})" for row in rows]
    return ", ".join(told)


def of_these(path: Path, entry: dict) -> dict:
    """Read what runs/trust.py measured, if it is of these weights and whole."""
    if not path.exists():
        raise SystemExit(f"{path}: missing; run runs/trust.py on the shipped weights")
    found = json.loads(path.read_text())
    if found["weights_hash"] not in (entry["weights_hash"], entry["float32_hash"]):
        raise SystemExit(f"{path}: is of other weights; run runs/trust.py again")
    if found["quick"]:
        raise SystemExit(f"{path}: was a --quick trial; run runs/trust.py again")
    return found


def seeds(runs: Path | None) -> list[dict]:
    """Read what the seeds of a recipe reached."""
    if runs is None:
        return []
    files = sorted(runs.parent.glob(f"{runs.name}-*[0-9]/judged.json"))
    if not files:
        raise SystemExit(f"{runs}-SEED/judged.json: no results of seeds there")
    return [json.loads(path.read_text()) for path in files]


def curve(path: Path | None, entry: dict) -> list[dict]:
    """Read what runs/finetune.py measured, if it is of these weights."""
    if path is None:
        return []
    found = json.loads(path.read_text())
    hashes = (entry["weights_hash"], entry["float32_hash"])
    if found["provenance"]["weights_hash"] not in hashes:
        raise SystemExit(f"{path}: is of other weights; run runs/finetune.py again")
    return sorted(found["summary"], key=lambda row: (row["num"], row["kind"]))


if __name__ == "__main__":
    main()
