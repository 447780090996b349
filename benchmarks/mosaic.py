"""Galaxies of a mosaic, cut out and classified: memory and rate beside files.

    python benchmarks/mosaic.py --weights xs --folder FOLDER

Makes a mosaic of 10,000 x 10,000 px in g, r and z (1.2 GB), noise with simulated
galaxies at 5,000 positions, and runs as processes of their own

- cutouts: `dmagnet cutouts TABLE --from MOSAIC`
- files: `dmagnet classify` of these cut-outs
- straight: `dmagnet classify TABLE --from MOSAIC`

For each it tells the peak resident memory that the system counted and the galaxies a
second, by the clock on the wall and by that of the processors, which others on the
machine disturb less; what a run of 64 takes is taken off as the cost of starting.
--packed does the same with the mosaic as .fits.fz.
"""

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch
from astropy.io import fits
from astropy.wcs import WCS
from classify_memory import CALL, START

from dmagnet.simulator import draw_flux

SCALE, STAMP, DISTINCT = 0.262, 128, 100
NOISE = {"g": 0.0018, "r": 0.0027, "z": 0.0083}  # nanomaggies a pixel


def sky(side: int) -> WCS:
    """Place the mosaic on the sky."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.1, 2.2]
    wcs.wcs.crpix, wcs.wcs.cdelt = [(side + 1) / 2] * 2, [-SCALE / 3600, SCALE / 3600]
    return wcs


def make(folder: Path, side: int, num: int, *, packed: bool) -> list[str]:
    """Write the mosaic, a band at a time, and tables of all and of few positions."""
    ending = ".fits.fz" if packed else ".fits"
    paths = [folder / f"mosaic_{band}{ending}" for band in NOISE]
    cells = int(np.ceil(num**0.5))
    step = (side - 2 * STAMP) // cells
    spots = [(x, y) for y in range(cells) for x in range(cells)][:num]
    corners = [(STAMP // 2 + step * x, STAMP // 2 + step * y) for x, y in spots]
    if not all(path.is_file() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        labels = torch.arange(DISTINCT) % 10
        dice = torch.Generator().manual_seed(0)
        flux = draw_flux(labels, image_size=STAMP, field=STAMP * SCALE / 67.072,
                         generator=dice)  # fmt: skip
        stamps = np.asarray(flux, np.float32).reshape(DISTINCT, 3, STAMP, STAMP)
        noise = np.random.default_rng(0)
        for band, (path, sigma) in enumerate(zip(paths, NOISE.values(), strict=True)):
            values = noise.normal(0, sigma, (side, side)).astype(np.float32)
            for i, (x, y) in enumerate(corners):
                values[y : y + STAMP, x : x + STAMP] = stamps[i % DISTINCT, band]
            header = sky(side).to_header()
            header["FILTER"], header["BUNIT"] = "grz"[band], "nanomaggy"
            hdu = fits.PrimaryHDU(values, header)
            if packed:
                hdu = fits.CompImageHDU(values, header, quantize_level=16)
            fits.HDUList([fits.PrimaryHDU(), hdu] if packed else [hdu]).writeto(
                path, overwrite=True
            )
    middle = np.array(corners) + (STAMP - 1) / 2
    order = np.random.default_rng(1).permutation(num)
    places = sky(side).wcs_pix2world(middle[order], 0)
    rows = [f"g{i:06d},{ra:.7f},{dec:.7f}" for i, (ra, dec) in enumerate(places)]
    for name, some in (("all.csv", rows), ("few.csv", rows[:START])):
        (folder / name).write_text("\n".join(["id,ra,dec", *some]) + "\n")
    return [str(path) for path in paths]


def run(*words: str) -> dict[str, float]:
    """Run one verb in a process of its own."""
    start = time.perf_counter()
    command = [sys.executable, "-c", CALL, *words]
    process = os.spawnv(os.P_NOWAIT, sys.executable, command)
    _, status, usage = os.wait4(process, 0)
    seconds = time.perf_counter() - start
    assert status == 0, f"{words[0]} ended with status {status}"
    return {
        "peak_mb": round(usage.ru_maxrss / 1024),
        "seconds": round(seconds, 2),
        "processor": round(usage.ru_utime + usage.ru_stime, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="xs")
    parser.add_argument("--folder", type=Path, default=Path("runs/out/mosaic"))
    parser.add_argument("--side", type=int, default=10_000)
    parser.add_argument("--num", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--packed", action="store_true")
    parser.add_argument("-o", "--out", type=Path)
    args = parser.parse_args()
    tiles = make(args.folder, args.side, args.num, packed=args.packed)
    result: dict[str, list[dict[str, float]]] = {}
    for _ in range(args.rounds):
        for name, table in (("few", "few.csv"), ("all", "all.csv")):
            positions, cuts = str(args.folder / table), args.folder / f"cut_{name}"
            shutil.rmtree(cuts, ignore_errors=True)
            to = ["-o", str(args.folder / f"{name}.ecsv"), "--overwrite"]
            to += ["--weights", args.weights]
            for what, words in {
                "cutouts": ["cutouts", positions, "-o", str(cuts), "--from", *tiles],
                "files": ["classify", str(cuts), *to],
                "straight": ["classify", positions, *to, "--from", *tiles],
            }.items():
                result.setdefault(f"{what} {name}", []).append(run(*words))
                print(what, name, result[f"{what} {name}"][-1], flush=True)
    found: dict[str, object] = {"runs": result}
    for clock in ("seconds", "processor"):
        rates = {
            what: [
                round((args.num - START) / (whole[clock] - begun[clock]), 1)
                for whole, begun in zip(
                    result[f"{what} all"], result[f"{what} few"], strict=True
                )
            ]
            for what in ("cutouts", "files", "straight")
        }
        found[f"galaxies a second, by {clock}"] = rates
        found[f"straight over files, by {clock}"] = [
            round(s / f, 3)
            for s, f in zip(rates["straight"], rates["files"], strict=True)
        ]
    print(json.dumps(found, indent=1))
    if args.out:
        args.out.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
