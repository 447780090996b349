"""The documentation's picture of a galaxy's page.

    OMP_NUM_THREADS=2 python runs/pages.py [--weights s] [--out runs/out/pages]

Draws simulated galaxies as files, writes their pages (`dmagnet.reporting.write_pages`),
and takes a screenshot of one with Debian's Chromium: ``docs/images/page_galaxy.jpg``.
Needs playwright and Chromium; no picture of a real galaxy comes in.
"""

import argparse
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from dmagnet.classes import CLASSES
from dmagnet.config import SimulateConfig
from dmagnet.reporting import write_pages
from dmagnet.simulator import simulate

PICTURE = Path(__file__).parents[1] / "docs/images/page_galaxy.jpg"
SEED = 5
SHOWN = "barred"
DESK, HIGH = 1100, 2900  # px
QUALITY = 82  # of JPEG: colors of maps would be many in a PNG


def draw(folder: Path) -> list[Path]:
    """Draw one galaxy of each class as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    images, _ = simulate(SimulateConfig(num=len(CLASSES), seed=SEED))
    files = [folder / f"{entry.slug}.png" for entry in CLASSES]
    for path, image in zip(files, images, strict=True):
        Image.fromarray(image).save(path)
    return files


def main() -> None:
    """Make the pages and their pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="s")
    parser.add_argument("--out", type=Path, default=Path("runs/out/pages"))
    parser.add_argument("--reference", type=Path)
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    files = draw(given.out / "galaxies")
    write_pages(
        files, given.out / "pages", weights=given.weights, reference=given.reference
    )
    galaxy = given.out / "pages" / f"{SHOWN}.html"
    with sync_playwright() as play:
        browser = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        opened = browser.new_page(viewport={"width": DESK, "height": HIGH})
        opened.goto(galaxy.resolve().as_uri())
        opened.screenshot(path=PICTURE, type="jpeg", quality=QUALITY)
        browser.close()


if __name__ == "__main__":
    main()
