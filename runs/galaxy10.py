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

from dmagnet.galaxies.repack import IMAGES, MANIFEST, TABLE

SEED = 0
HOW = {"scratch": "from scratch", "weights": "from the package's weights"}


def naive(prepared: Path, folder: Path) -> None:
    """Give a prepared folder another split; the images are the same file."""
    about = json.loads((prepared / MANIFEST).read_text())
    del about["split_hash"]
    about["notes"].append("the split is blind to the sky: runs/galaxy10.py")
    if folder.exists():
        if json.loads((folder / MANIFEST).read_text()) == about:
            return
        raise SystemExit(
            f"{folder}: made from other images; remove it, or name another"
        )
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        os.link(prepared / IMAGES, part / IMAGES)
    except OSError:  # another disk, or one without links
        shutil.copyfile(prepared / IMAGES, part / IMAGES)
    rows = Table.read(prepared / TABLE)
    rng = np.random.default_rng(SEED)
    for label in np.unique(rows["label"]):
        of_class = np.flatnonzero(rows["label"] == label)
        rows["split"][of_class] = rng.permutation(rows["split"][of_class])
    rows.write(part / TABLE, format="ascii.ecsv")
    (part / MANIFEST).write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    part.rename(folder)


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
