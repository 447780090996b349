"""How real simulated galaxies look: statistics side by side, and a judge's AUC.

    python runs/realism.py NAME [--num 600] [--seed 1234] [--quick]

Draws simulated galaxies as the Legacy viewer shows them and compares them with real
images: statistic by statistic (Kolmogorov-Smirnov distance), and by the area under
the ROC curve of classifiers that are told to separate simulated from real (0.5:
nobody can). DECaLS: all ten classes beside the 60 Galaxy10 images. SDSS: the five
coarse classes of the Galaxy Zoo 2 train part, each beside the classes it maps to, on
standardized views. Judges: boosted trees on the statistics, logistic regression on
the pooled features of a network (WEIGHTS). Appends to runs/out/realism/rows.jsonl and
writes NAME.json and a sheet NAME.png: left real, right simulated.
"""

import argparse
import io
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from scipy import ndimage
from scipy.stats import ks_2samp
from sklearn.decomposition import PCA
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from dmagnet.config import SimulateConfig
from dmagnet.galaxies import load_galaxies
from dmagnet.network.checkpoint import load
from dmagnet.pictures import find_extent, standardize
from dmagnet.simulator import simulate

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

DATA = Path("../shared/data")
OUT = Path("runs/out/realism")
WEIGHTS = Path("runs/out/real5/s-0/weights.safetensors")
FRAME = 256  # px of 0.262 arcsec
VIEW = 96  # px of a standardized view
# Classes of the Galaxy Zoo 2 set, and those of Galaxy10 that they hold.
GROUPS = {"round": (2,), "oval": (3,), "cigar": (4,), "edge": (8, 9), "arms": (5, 6, 7)}
MOST = 180  # real images of a group
SDSS_PX = 0.396 / 0.262  # pixels of the frame in one of SDSS
SDSS_NOISE = (4.0, 12.0)  # of 255
SATURATION = 1.35  # of its pictures over the viewer's, and what they are redder by
SDSS_TINT = np.array([0.08, 0.02, -0.1])
EXPOSURE = (0.45, 0.9)  # of its pictures, over the viewer's


def background(images: Pixels) -> dict[str, Floats]:
    """Level, noise and correlation of the sky, and how many sources stand on it."""
    rows = []
    for rgb in images.astype(np.float64):
        grey, color = rgb.mean(2), rgb[..., 0] - rgb[..., 2]
        smooth = ndimage.gaussian_filter(grey, 3)
        dark = ndimage.binary_erosion(
            smooth < np.percentile(smooth, 40), iterations=2, border_value=1
        )
        row = dict(
            zip(("sky_r", "sky_g", "sky_b"), np.median(rgb[dark], 0), strict=True)
        )
        for name, drawn in (("grey", grey), ("color", color)):
            plane = drawn - ndimage.gaussian_filter(drawn, 6)
            row[f"noise_{name}"] = 1.4826 * np.median(np.abs(plane[dark]))
            for lag in (1, 2, 3):
                both = dark[:, lag:] & dark[:, :-lag]
                product = (plane[:, lag:] * plane[:, :-lag])[both].mean()
                row[f"lag{lag}_{name}"] = product / (plane[dark] ** 2).mean()
        fine = ndimage.gaussian_filter(grey, 1) - np.median(grey[dark])
        sigma = 1.4826 * np.median(np.abs(fine[dark]))
        row["sources"] = ndimage.label(fine > max(5 * sigma, 4))[1]
        rows.append(row)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def galaxy(images: Pixels, *, sized: bool) -> dict[str, Floats]:
    """Shape, color and (of frames that are not standardized) size and brightness."""
    rows = []
    side = images.shape[1]
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    away = np.hypot(x, y)
    outward = np.argsort(away.ravel())
    for rgb in images:
        extent = find_extent(rgb)
        light = rgb / 255 - extent.sky
        grey = light.mean(2)
        own = away < extent.radius
        total = np.abs(grey[own]).sum()
        growth = np.where(own, grey, 0).ravel()[outward].cumsum()
        r20, r50, r80 = (
            away.ravel()[outward[np.searchsorted(growth, share * growth.max())]]
            for share in (0.2, 0.5, 0.8)
        )
        row = {"radius": extent.radius, "bright": extent.bright} if sized else {}
        row["concentration"] = 5 * np.log10(r80 / max(r20, 0.3))
        row["half_light"] = r50 / extent.radius
        row["asymmetry"] = np.abs(grey - grey[::-1, ::-1])[own].sum() / total
        weight = np.where(own, grey.clip(0), 0)
        moments = [(weight * m).sum() for m in (x * x, y * y, x * y)]
        spread = np.hypot(moments[0] - moments[1], 2 * moments[2])
        row["elongation"] = spread / (moments[0] + moments[1])
        for scale in (40, 16):
            smooth = ndimage.gaussian_filter(grey, side / scale)
            row[f"detail{scale}"] = (grey - smooth)[own].std() / extent.bright
        for name, where in (
            ("inner", away < max(2.0, extent.radius / 4)),
            ("outer", (away > extent.radius / 3) & own),
        ):
            red, green, blue = light[where].mean(0)
            all_light = max(red + green + blue, 1e-3)
            row[f"{name}_red"] = (red - green) / all_light
            row[f"{name}_blue"] = (blue - green) / all_light
        rows.append(row)
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def features(views: Pixels, model: torch.nn.Module) -> Floats:
    """Pool what the network sees, image by image."""
    planes = torch.from_numpy(views).permute(0, 3, 1, 2)
    with torch.inference_mode():
        pooled = [
            model.features(part.float() / 255).mean(dim=(2, 3))
            for part in planes.split(32)
        ]
    return torch.cat(pooled).double().numpy()


def auc(judge: Pipeline, real: Floats, drawn: Floats) -> tuple[float, float]:
    """Cross-validated AUC of the judge, and its scatter over the repeats."""
    values = np.concatenate((real, drawn))
    truth = np.repeat((0, 1), (len(real), len(drawn)))
    folds = RepeatedStratifiedKFold(n_splits=4, n_repeats=2, random_state=0)
    scores = cross_val_score(judge, values, truth, cv=folds, scoring="roc_auc")
    return round(float(scores.mean()), 3), round(float(scores.std() / 2), 3)


def trees() -> Pipeline:
    """Judge of statistics."""
    return make_pipeline(
        HistGradientBoostingClassifier(
            max_iter=80,
            max_depth=3,
            learning_rate=0.1,
            min_samples_leaf=8,
            class_weight="balanced",
        )
    )


def line() -> Pipeline:
    """Judge of features."""
    return make_pipeline(
        StandardScaler(),
        PCA(48, random_state=0),
        LogisticRegression(C=0.1, max_iter=500, class_weight="balanced"),
    )


def table(statistics: dict[str, Floats]) -> Floats:
    """Columns for the trees."""
    return np.stack(list(statistics.values()), axis=1)


def distances(real: dict[str, Floats], drawn: dict[str, Floats]) -> dict[str, object]:
    """Medians side by side and the KS distance, the largest first."""
    rows = {}
    for name, values in real.items():
        one, two = (v[np.isfinite(v)] for v in (values, drawn[name]))
        rows[name] = {
            "ks": round(float(ks_2samp(one, two).statistic), 3),
            "real": [round(float(q), 3) for q in np.percentile(one, (16, 50, 84))],
            "simulated": [round(float(q), 3) for q in np.percentile(two, (16, 50, 84))],
        }
    return dict(sorted(rows.items(), key=lambda row: -row[1]["ks"]))


def describe(images: Pixels, model: torch.nn.Module, *, frames: bool) -> dict:
    """Everything the judges look at."""
    views = np.stack([standardize(rgb, VIEW) for rgb in images])
    if frames:
        statistics = background(images) | galaxy(images, sized=True)
    else:
        statistics = galaxy(views, sized=False)
    return {"statistics": statistics, "features": features(views, model)}


def as_sdss(frames: Pixels, seed: int) -> Pixels:
    """Show frames as SDSS would: coarser pixels, more noise, redder, black sky.

    The Galaxy Zoo cut-outs are as wide as the galaxy asks for, so that those of small
    ones are enlarged, noise and all.
    """
    rng = np.random.default_rng(seed)
    shown = np.empty_like(frames)
    for i, rgb in enumerate(frames):
        extent = find_extent(rgb)
        side = round(FRAME / SDSS_PX)
        light = (rgb / 255 - extent.sky) * 255 * rng.uniform(*EXPOSURE)
        light = ndimage.gaussian_filter(light, (1.2, 1.2, 0))
        small = np.stack([shrink(light[..., c], side) for c in range(3)], axis=2)
        grey = small.mean(2, keepdims=True)
        small = grey + SATURATION * (small - grey) + SDSS_TINT * grey
        noise = rng.normal(0, rng.uniform(*SDSS_NOISE), small.shape)
        small = (small + ndimage.gaussian_filter(noise, (0.6, 0.6, 0)) + 3).clip(0, 255)
        half = min(side, rng.uniform(2.8, 4.5) * extent.radius / SDSS_PX) / 2
        box = (side / 2 - half,) * 2 + (side / 2 + half,) * 2
        drawn = Image.fromarray(small.astype(np.uint8))
        drawn = drawn.resize((FRAME, FRAME), Image.Resampling.BICUBIC, box=box)
        buffer = io.BytesIO()
        drawn.save(buffer, "JPEG", quality=92)
        shown[i] = np.asarray(Image.open(buffer))
    return shown


def shrink(plane: Floats, side: int) -> Floats:
    """Average a plane over larger pixels."""
    drawn = Image.fromarray(plane.astype(np.float32))
    return np.asarray(drawn.resize((side, side), Image.Resampling.BOX), np.float64)


def described_once(path: Path, make: Callable[[], dict]) -> dict:
    """Keep the description of real images: they stay the same."""
    if not path.is_file():
        made = make()
        np.savez(path, features=made["features"], **made["statistics"])
    with np.load(path) as file:
        statistics = {name: file[name] for name in file.files if name != "features"}
        return {"statistics": statistics, "features": file["features"]}


def chosen(described: dict, rows: Sequence[int] | npt.NDArray[np.intp]) -> dict:
    """Pick some rows of a description."""
    return {
        "statistics": {k: v[rows] for k, v in described["statistics"].items()},
        "features": described["features"][rows],
    }


def compare(real: dict, drawn: dict) -> dict[str, object]:
    """Let both judges separate two descriptions."""
    by_trees = auc(trees(), table(real["statistics"]), table(drawn["statistics"]))
    by_line = auc(line(), real["features"], drawn["features"])
    return {
        "n_real": len(real["features"]),
        "n_simulated": len(drawn["features"]),
        "auc_statistics": by_trees,
        "auc_features": by_line,
        "statistics": distances(real["statistics"], drawn["statistics"]),
    }


def sheet(real: Pixels, labels: Floats, drawn: Pixels, classes: Floats) -> Image.Image:
    """Six real and six simulated views of each class."""
    rows = []
    for label in range(10):
        both = (real[labels == label][:6], drawn[classes == label][:6])
        row = [standardize(rgb, VIEW) for some in both for rgb in some]
        rows.append(np.concatenate(row, axis=1))
    return Image.fromarray(np.concatenate(rows))


def read_ten() -> tuple[Pixels, Floats]:
    """Read the 60 images of Galaxy10 and their classes."""
    ten = load_galaxies(DATA / "galaxy10_real60.h5", image_size=FRAME, field=1.0)
    return np.asarray(ten.images), ten.labels


def read_zoo() -> tuple[Pixels, Floats]:
    """At most 180 of each coarse class of the Galaxy Zoo 2 train part."""
    path = DATA / "galaxyzoo2_5class_train_val.zip"
    train = load_galaxies(path, image_size=FRAME, field=1.0).subset("train")
    each = [np.flatnonzero(train.labels == k)[:MOST] for k in range(len(GROUPS))]
    rows = np.concatenate(each)
    return np.asarray(train.images)[rows], train.labels[rows]


def beside_sdss(drawn: Pixels, classes: Floats, model: torch.nn.Module) -> dict:
    """Compare each coarse class of Galaxy Zoo 2 with the classes that it holds.

    As they are, and as SDSS would show them: what is left then is not the survey.
    """
    zoo, labels = read_zoo()
    real = described_once(
        OUT / "real_sdss.npz", lambda: describe(zoo, model, frames=False)
    )
    result = {}
    for name, images in (("sdss", drawn), ("sdsslike", as_sdss(drawn, seed=0))):
        views = describe(images, model, frames=False)
        for k, (group, members) in enumerate(GROUPS.items()):
            some = np.flatnonzero(np.isin(classes, members))
            own = np.flatnonzero(labels == k)
            found = compare(chosen(real, own), chosen(views, some))
            result[f"{name}_{group}"] = found
    return result


def main() -> None:
    """Draw, measure, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="what was changed in the simulator")
    parser.add_argument("--num", type=int, default=600)
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--quick", action="store_true", help="DECaLS alone")
    parser.add_argument("--galaxies", type=Path, help="npz with images and labels")
    args = parser.parse_args()
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    if args.galaxies:
        with np.load(args.galaxies) as file:
            drawn, classes = file["images"], file["labels"]
    else:
        config = SimulateConfig(num=args.num, image_size=FRAME, seed=args.seed)
        drawn, classes = simulate(config)
    model = load(WEIGHTS).model
    ten, ten_labels = read_ten()
    frames = describe(drawn, model, frames=True)
    framed = described_once(
        OUT / "real_decals.npz", lambda: describe(ten, model, frames=True)
    )
    result = {"decals": compare(framed, frames)}
    if not args.quick:
        result |= beside_sdss(drawn, classes, model)
    row = {
        "name": args.name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "num": len(drawn),
        "decals_statistics": result["decals"]["auc_statistics"][0],
        "decals_features": result["decals"]["auc_features"][0],
    }
    for judge in ("statistics", "features"):
        for name in ("sdss", "sdsslike") if not args.quick else ():
            each = [result[f"{name}_{group}"][f"auc_{judge}"][0] for group in GROUPS]
            row[f"{name}_{judge}"] = round(float(np.mean(each)), 3)
            row[f"{name}_{judge}_each"] = dict(zip(GROUPS, each, strict=True))
    with (OUT / "rows.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    (OUT / f"{args.name}.json").write_text(json.dumps(row | result, indent=1))
    sheet(ten, ten_labels, drawn, classes).save(OUT / f"{args.name}.png")
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
