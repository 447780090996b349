"""Dream simulated galaxies for the documentation: sheets by layer, class and pass.

python runs/dream_pictures.py WEIGHTS docs/images

Writes dream_sheet.png, dream_classes.png and redream.png. The galaxies are drawn as
the network was trained to see them, with a seed that no training used.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from dmagnet.classes import CLASSES, NUM_CLASSES
from dmagnet.config import DreamConfig, RedreamConfig, SimulateConfig
from dmagnet.dreaming import make_request, write_dreams
from dmagnet.network import load
from dmagnet.simulator import simulate

LAYERS = ("stem", "stage1", "stage2", "stage3", "stage4", "lam")
WIDEST, QUALITY = 1500, 82  # px; of JPEG
STEP = 8  # sky noise does not compress: steps of 8 in each color shrink the file


def draw(folder: Path, weights: str, slugs: list[str], seed: int) -> list[Path]:
    """Draw one galaxy of each class that is named."""
    config = load(weights).config
    side, field = config.image_size, config.field
    if config.radii is not None:  # whole frames: the network's view is cut from them
        side, field = 256, 1.0
    images, labels = simulate(
        SimulateConfig(num=NUM_CLASSES, image_size=side, field=field, seed=seed)
    )
    paths = []
    for entry in CLASSES:
        if entry.slug in slugs:
            paths.append(folder / f"{entry.slug}.png")
            Image.fromarray(images[labels == entry.index][0]).save(paths[-1])
    return paths


def publish(picture: Image.Image, target: Path) -> None:
    """Write a picture for the documentation: as JPEG, or in few colors as PNG."""
    target.parent.mkdir(parents=True, exist_ok=True)
    small = picture.convert("RGB")
    small.thumbnail((WIDEST, WIDEST))
    if target.suffix == ".jpg":
        small.save(target, quality=QUALITY, optimize=True)
        return
    fewer = small.point(lambda value: min(255, (value + STEP // 2) // STEP * STEP))
    fewer.quantize().save(target, optimize=True)


def main() -> None:
    """Draw, dream, dream again, copy the sheets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="s, xs or a file")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=4000)
    parser.add_argument("--layer", default="stage3", help="layer of the re-dream")
    parser.add_argument(
        "--galaxies",
        nargs="+",
        default=["barred", "loose-spiral", "merging", "edge-on"],
    )
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        work = Path(folder)
        paths = draw(work, args.weights, args.galaxies, args.seed)
        asked = make_request(
            paths, args.weights, DreamConfig(), layers=LAYERS, classes=("all",)
        )
        write_dreams(asked, work / "dreams")
        for name in ("sheet", "classes"):
            sheet = Image.open(work / f"dreams/{name}.png")
            publish(sheet, args.out / f"dream_{name}.png")
        again = make_request(
            paths[:3], args.weights, RedreamConfig(), layers=(args.layer,)
        )
        write_dreams(again, work / "redream")
        publish(Image.open(work / "redream/sheet.png"), args.out / "redream.png")


if __name__ == "__main__":
    main()
