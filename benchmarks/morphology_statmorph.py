"""Agreement of our batched morphology with statmorph, galaxy by galaxy.

    OMP_NUM_THREADS=1 python benchmarks/morphology_statmorph.py --cache DIR

Two pipelines that share nothing but the picture. The reference: sky by astropy's
clipped statistics outside of dilated sources, sources by photutils (1.5 sigma after a
Gaussian of 3 px, five pixels), the source at the center into statmorph. Ours:
`dmagnet.measuring`, with the noise from statmorph's box of sky and from all of the sky.
A third row is statmorph on the same pictures turned by 180 degrees, which moves its
box: no measure that does not care how a picture lies can agree better than that.

The grey picture is the mean of red, green and blue. Compared are the galaxies that
statmorph does not doubt (flag 0); real galaxies are added where
``../shared/data/galaxy10_real60.h5`` is there. A cache folder keeps what statmorph
said, which takes seconds a galaxy.
"""

import argparse
import json
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import statmorph
import torch
from astropy.convolution import convolve
from astropy.stats import sigma_clipped_stats
from photutils.segmentation import detect_sources, make_2dgaussian_kernel
from photutils.utils import circular_footprint
from scipy.stats import spearmanr

from dmagnet.config import SimulateConfig
from dmagnet.measuring.apertures import find_aperture
from dmagnet.measuring.morphology import measure_morphology
from dmagnet.simulator import simulate

REAL = Path(__file__).parents[2] / "shared" / "data" / "galaxy10_real60.h5"
# Ours on the left, statmorph's on the right.
QUANTITIES = {
    "concentration": "concentration",
    "asymmetry": "asymmetry",
    "smoothness": "smoothness",
    "gini": "gini",
    "m20": "m20",
    "r_petro": "rpetro_circ",
    "r20": "r20",
    "r50": "r50",
    "r80": "r80",
    "ellipticity": "ellipticity_asymmetry",
    "theta": "orientation_asymmetry",
    "x": "xc_asymmetry",
    "y": "yc_asymmetry",
    "flux": "flux_circ",
    "sky_sigma": "sky_sigma",
}
INDICES = ("concentration", "asymmetry", "smoothness", "gini", "m20", "r_petro")


def reference(image: np.ndarray) -> dict[str, float]:
    """Let photutils and statmorph measure the galaxy at the center of an image."""
    _, sky, sigma = sigma_clipped_stats(image, sigma=3)
    kernel = make_2dgaussian_kernel(3.0, size=5)
    smooth = convolve(image, kernel, normalize_kernel=True)
    sources = detect_sources(smooth - sky, 1.5 * sigma, 5)
    if sources is None:
        return {"flag": 4.0}
    masked = sources.make_source_mask(footprint=circular_footprint(5))
    if not masked.all():
        _, sky, sigma = sigma_clipped_stats(image, sigma=3, mask=masked)
    sources = detect_sources(smooth - sky, 1.5 * sigma, 5)
    if sources is None:
        return {"flag": 4.0}
    height, width = image.shape
    rows, columns = np.nonzero(sources.data)
    distance = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2)
    nearest = distance.argmin()
    label = sources.data[rows[nearest], columns[nearest]]
    result = statmorph.SourceMorphology(
        image - sky,
        sources,
        label,
        weightmap=np.full_like(image, sigma),
        sersic_maxiter=1,  # its fit is not compared
    )
    return {"flag": float(result.flag), "sky": float(sky)} | {
        name: float(result[name]) for name in QUANTITIES.values()
    }


def references(images: np.ndarray, kept: Path | None) -> list[dict[str, float]]:
    """Measure grey images with statmorph, or read what it said before."""
    if kept is not None and kept.exists():
        return json.loads(kept.read_text())
    print(f"statmorph on {len(images)} galaxies...", file=sys.stderr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [reference(image) for image in images]
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(found))
    return found


def grey(images: np.ndarray) -> np.ndarray:
    """Average the colors of (N, H, W, 3) bytes to (N, H, W) in [0, 1]."""
    return images.astype(np.float64).mean(axis=-1) / 255


def samples(num: int, side: int, seed: int) -> dict[str, np.ndarray]:
    """Return the grey galaxies to compare, simulated and real."""
    drawn, _ = simulate(SimulateConfig(num=num, image_size=side, seed=seed))
    found = {f"simulated_{num}_{side}px_seed{seed}": grey(drawn)}
    if REAL.exists():
        with h5py.File(REAL) as file:
            found["real_60"] = grey(file["images"][:])
    return found


def ours(images: np.ndarray, noise: str) -> tuple[dict[str, np.ndarray], float]:
    """Measure grey images with dmagnet; also galaxies per second of the processor."""
    batch = torch.from_numpy(images)
    start = time.process_time()
    found = measure_morphology(batch, aperture=find_aperture(batch, noise=noise))
    rate = len(images) / (time.process_time() - start)
    return {name: getattr(found, name).numpy() for name in [*QUANTITIES, "flag"]}, rate


def agreement(found, expected, chosen, names=QUANTITIES):
    """Compare quantities over some galaxies."""
    rows = {}
    for name in names:
        a, b = found[name][chosen], expected[name][chosen]
        known = np.isfinite(a) & np.isfinite(b)
        rows[name] = {
            "n": int(known.sum()),
            "spearman": round(float(spearmanr(a[known], b[known]).statistic), 4),
            "median_difference": float(f"{np.median(np.abs(a - b)[known]):.3g}"),
        }
    return rows


def columns(rows: list[dict[str, float]]) -> dict[str, np.ndarray]:
    """Turn what statmorph said into arrays, NaN where it gave up."""
    found = {
        name: np.array([row.get(theirs, np.nan) for row in rows])
        for name, theirs in QUANTITIES.items()
    }
    found = {name: np.where(v == -99.0, np.nan, v) for name, v in found.items()}
    return found | {"flag": np.array([row["flag"] for row in rows])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num", type=int, default=300)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--cache", type=Path)
    args = parser.parse_args()
    result = {"date": time.strftime("%Y-%m-%d")}
    result |= {name: version(name) for name in ("statmorph", "photutils", "torch")}
    for name, images in samples(args.num, args.side, args.seed).items():
        turned = np.ascontiguousarray(images[:, ::-1, ::-1])
        kept = [
            None if args.cache is None else args.cache / f"{name}{suffix}.json"
            for suffix in ("", "_turned")
        ]
        expected = columns(references(images, kept[0]))
        again = columns(references(turned, kept[1]))
        good = expected["flag"] == 0
        both = good & (again["flag"] == 0)
        result[name] = {"n": len(images), "n_flag_0": int(good.sum())}
        for noise in ("box", "frame"):
            found, rate = ours(images, noise)
            result[name][f"ours_{noise}"] = {
                "ours_flag_0": int((good & (found["flag"] == 0)).sum()),
                "galaxies_per_cpu_s": round(rate, 1),
            } | agreement(found, expected, good)
            # An even box of statmorph lies half a pixel off: compare also the odd ones.
            odd = np.floor(0.25 * expected["r_petro"]) % 2 == 1
            odd &= np.floor(0.25 * found["r_petro"]) % 2 == 1
            row = agreement(found, expected, good & odd, ["smoothness"])
            result[name][f"ours_{noise}"]["smoothness_in_odd_boxes"] = row["smoothness"]
        result[name]["statmorph_turned"] = agreement(again, expected, both, INDICES)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
