"""Make the split of Galaxy10 DECaLS that comes with the package.

    python runs/make_split.py POSITIONS [-o PATH]

POSITIONS is Galaxy10_DECals.h5 or a table with columns ra, dec and label in the order
of that file.
"""

import argparse
from pathlib import Path

import numpy as np

from dmagnet.galaxies.galaxies import PARTS
from dmagnet.galaxies.same_galaxy import FRAME_ARCSEC, read_positions
from dmagnet.galaxies.split import INDEX_FILE, leak_safe_split, positions_hash

SEED = 0


def main() -> None:
    """Write the index file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("positions", type=Path)
    package = Path(__file__).parents[1] / "src" / "dmagnet" / "data"
    parser.add_argument("-o", "--out", type=Path, default=package / INDEX_FILE)
    args = parser.parse_args()

    labels, ra, dec = read_positions(args.positions)
    split = leak_safe_split(labels, ra, dec, seed=SEED)
    sizes = np.bincount(split.codes, minlength=len(PARTS))
    lines = [
        "# Leak-safe split of Galaxy10 DECaLS: row of the published file, part, fold.",
        f"# {', '.join(f'{n} {part}' for n, part in zip(sizes, PARTS, strict=True))}; "
        "the folds are a cross-validation over all rows, independent of the parts.",
        "# Made by runs/make_split.py with leak_safe_split: stratified by",
        "# class; galaxies connected by separations below the radius stay together.",
        f"# radius_arcsec: {FRAME_ARCSEC}",
        f"# seed: {SEED}",
        f"# groups of several galaxies: {int((np.bincount(split.groups) > 1).sum())}",
        f"# hash: {split.hash}",
        f"# positions: {positions_hash(ra, dec)}",
        "index,split,fold",
    ]
    rows = zip(split.codes, split.folds, strict=True)
    lines += [f"{i},{PARTS[code]},{fold}" for i, (code, fold) in enumerate(rows)]
    args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
