"""The documentation's pictures of pages: of a galaxy, of its index, of a run's report.

    OMP_NUM_THREADS=2 python runs/pages.py [--weights s] [--out runs/out/pages]

Draws simulated galaxies as files, writes their pages (`dmagnet.reporting.write_pages`),
evaluates the weights on other simulated galaxies, dreams and explains three of the
first into the same run folder, writes its report, and takes screenshots with Debian's
Chromium into ``docs/images``: page_galaxy.jpg, page_phone.jpg, page_index.jpg and
report_run.jpg. Needs playwright and Chromium; no picture of a real galaxy comes in.
"""

import argparse
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from dmagnet import load
from dmagnet.classes import CLASSES
from dmagnet.cli.demo import simulated_galaxies
from dmagnet.config import DreamConfig, SimulateConfig
from dmagnet.dreaming import make_request, write_dreams
from dmagnet.explaining import explain
from dmagnet.reporting import report_run, write_pages
from dmagnet.reporting.assess import assess
from dmagnet.simulator import simulate

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SEED = 5
NUM_JUDGED = 400
LAYERS = ("stage1", "stage2", "stage3", "stage4", "lam")
DREAMED = (1, 5, 9)  # Merging, Barred Spiral, Edge-on with Bulge
SHOWN = "barred"
DESK, PHONE = 1100, 390
QUALITY = 82  # of JPEG: colors of maps would be many in a PNG


def draw(folder: Path) -> list[Path]:
    """Draw one galaxy of each class as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    images, _ = simulate(SimulateConfig(num=len(CLASSES), seed=SEED))
    files = [folder / f"{entry.slug}.png" for entry in CLASSES]
    for path, image in zip(files, images, strict=True):
        Image.fromarray(image).save(path)
    return files


def run_folder(weights: str, files: list[Path], out: Path) -> Path:
    """Evaluate, dream and explain into one folder, and report it."""
    checkpoint = load(weights)
    config = checkpoint.config
    galaxies = simulated_galaxies(
        0,
        NUM_JUDGED,
        image_size=config.image_size,
        seed=SEED + 1,
        field=config.field,
        radii=config.radii,
    )
    some = [files[number] for number in DREAMED]
    write_dreams(
        make_request(some, weights, DreamConfig(), layers=LAYERS), out / "dreams"
    )
    explain(some, weights=checkpoint, out=out / "why")
    assess(checkpoint, galaxies, out, title="DMAGNet on simulated galaxies")
    return report_run(out)


def shoot(browser: Browser, page: Path, name: str, width: int, height: int) -> None:
    """Take a picture of the top of a page."""
    opened = browser.new_page(viewport={"width": width, "height": height})
    opened.goto(page.resolve().as_uri())
    path = IMAGES / f"{name}.jpg"
    opened.screenshot(path=path, type="jpeg", quality=QUALITY)
    opened.close()
    print(path)


def main() -> None:
    """Make the pages and their pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="s")
    parser.add_argument("--out", type=Path, default=Path("runs/out/pages"))
    parser.add_argument("--reference", type=Path)
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    files = draw(given.out / "galaxies")
    pages = write_pages(
        files, given.out / "pages", weights=given.weights, reference=given.reference
    )
    report = run_folder(given.weights, files, given.out / "run")
    galaxy = given.out / "pages" / f"{SHOWN}.html"
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        shoot(browser, galaxy, "page_galaxy", DESK, 2900)
        shoot(browser, galaxy, "page_phone", PHONE, 1500)
        shoot(browser, pages.first, "page_index", DESK, 1100)
        shoot(browser, report, "report_run", DESK, 2600)
        browser.close()


if __name__ == "__main__":
    main()
