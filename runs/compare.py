"""Compare two networks over seeds and images, from what real_accuracy.py wrote.

python runs/compare.py runs/out/real5 s resnet18
"""

import argparse
import json
from pathlib import Path

import numpy as np

from dmagnet.judging import compare_seeds, score


def runs_of(folder: Path, name: str) -> dict[int, dict[str, np.ndarray]]:
    """Read the finished seeds of a network."""
    found = {}
    for path in sorted(folder.glob(f"{name}-[0-9]*/val.npz")):
        with np.load(path) as file:
            found[int(path.parent.name.rpartition("-")[2])] = dict(file)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("first")
    parser.add_argument("second")
    args = parser.parse_args()
    runs = {name: runs_of(args.folder, name) for name in (args.first, args.second)}
    seeds = sorted(set(runs[args.first]) & set(runs[args.second]))
    labels = runs[args.first][seeds[0]]["labels"]
    result = {"first": args.first, "second": args.second, "seeds": seeds}
    for views in ("probabilities", "probabilities8"):
        answers = {n: [runs[n][s][views] for s in seeds] for n in runs}
        found = compare_seeds(labels, answers[args.first], answers[args.second])
        names = [str(k) for k in range(labels.max() + 1)]
        scores = {n: [score(labels, p, names) for p in answers[n]] for n in runs}
        result[views] = {
            "n": len(labels),
            "accuracy": {n: [round(m.accuracy, 4) for m in scores[n]] for n in runs},
            "mean_accuracy": {
                n: round(float(np.mean([m.accuracy for m in scores[n]])), 4)
                for n in runs
            },
            "mean_macro_f1": {
                n: round(float(np.mean([m.macro_f1 for m in scores[n]])), 4)
                for n in runs
            },
            "difference": round(found.difference, 4),
            "interval": [round(x, 4) for x in found.interval],
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
