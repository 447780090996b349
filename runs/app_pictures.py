"""Draw the pictures of the page for the documentation: ``docs/images/app_*.jpg``.

``python runs/app_pictures.py [--weights s] [--out docs/images] [--chromium PATH]``: it
starts the page, does in a real browser what a person does, with simulated galaxies, and
takes pictures of it, as wide as a desk and as narrow as a phone.
"""

import argparse
import io
import shutil
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from dmagnet.app import serving
from dmagnet.config.app_config import AppConfig

WIDE, PHONE = {"width": 1180, "height": 900}, {"width": 390, "height": 844}
PHONE_SHOWN = 1500  # px of the page's height
WAIT_MS = 300_000
LAYERS = ("stage1", "stage3", "lam")
QUALITY = 80  # of the files


def shoot(page: Page, path: Path, **settings: Any) -> None:
    """Take a picture of the whole page."""
    page.wait_for_timeout(500)  # until what moves stands still
    shot = page.screenshot(full_page=True, **settings)
    with Image.open(io.BytesIO(shot)) as whole:
        whole.convert("RGB").save(path, quality=QUALITY, optimize=True)
    print(path)


def opened(browser: Browser, url: str, size: dict[str, int]) -> Page:
    page = browser.new_context(viewport=size, device_scale_factor=1).new_page()
    page.set_default_timeout(WAIT_MS)
    page.goto(url)
    page.locator("#sample").wait_for()
    return page


def galaxy(page: Page, name: str) -> None:
    """Choose the drawing of a class, and wait for its reasons."""
    page.locator(f"#example-{name}").click()
    page.locator(".dm-answer figcaption", has_text=f"simulated {name}").wait_for()
    page.get_by_role("tab", name="Why").click()
    page.locator(".dm-why").wait_for()


def dream(page: Page, out: Path) -> None:
    page.get_by_role("tab", name="Dream").click()
    for layer in LAYERS:
        page.locator("#layers").get_by_label(layer, exact=True).check()
    page.locator("#start-dream").click()
    page.locator(".dm-dreams h3").first.wait_for()
    page.locator(".dm-progress").wait_for()
    shoot(page, out / "app_dreaming.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", default="s")
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    config = AppConfig(port=0)
    with (
        serving(config, weights=given.weights, device="cpu") as server,
        sync_playwright() as driver,
    ):
        browser = driver.chromium.launch(
            executable_path=given.chromium, args=["--no-sandbox"]
        )
        page = opened(browser, server.url, WIDE)
        galaxy(page, "loose-spiral")
        shoot(page, given.out / "app_why.jpg")
        dream(page, given.out)
        galaxy(page, "edge-on-bulge")
        page.get_by_role("tab", name="Compare").click()
        page.locator(".dm-compare").wait_for()
        shoot(page, given.out / "app_compare.jpg")
        phone = opened(browser, server.url, PHONE)
        galaxy(phone, "barred")
        part = {"x": 0, "y": 0, "width": PHONE["width"], "height": PHONE_SHOWN}
        shoot(phone, given.out / "app_phone.jpg", clip=part)
        browser.close()


if __name__ == "__main__":
    main()
