"""Two steps of runs/galaxy10.sh: a naive split to compare with, and the table.

    python runs/galaxy10.py naive PREPARED FOLDER
    python runs/galaxy10.py table RUNS

The naive split is what is usual: parts of the same sizes, drawn by class, blind to the
sky, so that one galaxy may stand in two of them.
"""

import argparse
import json
import os
import shutil
from pathlib import Path

import numpy as np
from astropy.table import Table

SEED = 0
HOW = {"scratch": "from scratch", "weights": "from the package's weights"}


def naive(prepared: Path, folder: Path) -> None:
    """Give a prepared folder another split; the images are the same file."""
    if (folder / "prepared.json").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        os.link(prepared / "images.npy", folder / "images.npy")
    except OSError:  # another disk
        shutil.copyfile(prepared / "images.npy", folder / "images.npy")
    table = Table.read(prepared / "galaxies.ecsv")
    rng = np.random.default_rng(SEED)
    for label in np.unique(table["label"]):
        rows = np.flatnonzero(table["label"] == label)
        table["split"][rows] = rng.permutation(table["split"][rows])
    table.write(folder / "galaxies.ecsv", format="ascii.ecsv", overwrite=True)
    shutil.copyfile(prepared / "prepared.json", folder / "prepared.json")


def table(runs: Path) -> None:
    """Write what was judged as a table of means and spreads."""
    found: dict[tuple[str, ...], list[dict[str, float]]] = {}
    for path in sorted(runs.glob("*/judged/metrics.json")):
        size, split, start, _seed = path.parent.parent.name.split("-")
        metrics = json.loads(path.read_text())
        found.setdefault((size, HOW[start], split), []).append(metrics)
    lines = [
        "| size | training | split | seeds | accuracy | macro F1 | ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for (size, how, split), judged in sorted(found.items()):
        cells = []
        for name in ("accuracy", "macro_f1", "ece"):
            values = np.array([one[name] for one in judged])
            spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.4f}{spread}")
        lines.append(
            f"| {size} | {how} | {split} | {len(judged)} | {' | '.join(cells)} |"
        )
    text = "\n".join(lines) + "\n"
    (runs / "table.md").write_text(text, encoding="utf-8")
    print(text, end="")


def main() -> None:
    """Do one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(dest="step", required=True)
    one = steps.add_parser("naive")
    one.add_argument("prepared", type=Path)
    one.add_argument("folder", type=Path)
    steps.add_parser("table").add_argument("runs", type=Path)
    args = parser.parse_args()
    if args.step == "naive":
        naive(args.prepared, args.folder)
    else:
        table(args.runs)


if __name__ == "__main__":
    main()
