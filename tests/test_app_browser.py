"""The page in a real browser: what a person does, and what a person sees."""

import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from app_server import running
from PIL import Image

pytestmark = pytest.mark.slow

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install 'dmagnet[dev]'"
)

ROOT = Path(__file__).parents[1]
SHOTS = Path(os.environ.get("CI_ARTIFACTS") or ROOT / "out" / "screenshots")
NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
WAIT_MS = 120_000  # a busy machine is slow; each test has a fact, not a speed


@pytest.fixture(scope="module")
def browser():
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    scratch = tmp_path_factory.mktemp("browser") / "scratch"
    with running(scratch, "--burst", "500") as page:
        yield page
        assert page.log == ""
        assert [line for line in page.asked if "'127.0.0.1'" not in line] == []


@pytest.fixture
def tab(browser, page):
    """A new window on the page; what it asks of other hosts is kept, and refused."""
    with browser.new_context(viewport=WIDE) as context:
        tab = opened(context, page)
        yield tab
        assert tab.foreign == []


def opened(context, page):
    tab = context.new_page()
    tab.set_default_timeout(WAIT_MS)
    tab.foreign, tab.wrong = [], []

    def _route(route):
        if route.request.url.startswith((page.url, "data:", "blob:")):
            route.continue_()
        else:
            tab.foreign.append(route.request.url)
            route.abort()

    tab.route("**/*", _route)
    tab.on("pageerror", lambda error: tab.wrong.append(str(error)))
    tab.on("console", lambda said: said.type == "error" and tab.wrong.append(said.text))
    tab.goto(page.url)
    tab.locator("#sample").wait_for()
    return tab


@pytest.fixture(scope="module")
def galaxy(shared, tmp_path_factory):
    """A real galaxy as a file, outside of the repository."""
    folder = tmp_path_factory.mktemp("real")
    with zipfile.ZipFile(shared / "galaxy10_real60_jpeg.zip") as pack:
        name = next(n for n in sorted(pack.namelist()) if n.endswith(".jpg"))
        return Path(pack.extract(name, folder))


def shoot(tab, name):
    SHOTS.mkdir(parents=True, exist_ok=True)
    tab.screenshot(path=SHOTS / f"app-{name}.png", full_page=True)


def drop(tab, path):
    tab.locator("#drop input[type=file]").set_input_files(path)


def answered(tab, name):
    """Wait for the answer to a galaxy, and for its reasons; read the class."""
    tab.locator(".dm-answer", has_text=name).wait_for()
    tab.locator(".dm-why").wait_for(state="attached")
    return tab.locator(".dm-answer .dm-class").inner_text()


def simulated(tab):
    """Draw a galaxy, and wait for it."""
    tab.locator("#sample").click()
    return answered(tab, "simulated")


def go(tab, name):
    tab.get_by_role("tab", name=name).click()


def dream(tab, *layers, side="128 px", steps=None):
    go(tab, "Dream")
    for box in tab.locator("#layers input[type=checkbox]").all():
        box.uncheck()
    for layer in layers:
        tab.locator("#layers").get_by_label(layer, exact=True).check()
    tab.locator("#side").get_by_label(side).check()
    if steps:
        tab.locator("#steps input[type=number]").fill(str(steps))
        tab.keyboard.press("Tab")
    tab.locator("#start-dream").click()


def test_a_real_galaxy_is_dropped_and_its_class_is_read(tab, galaxy):
    drop(tab, galaxy)
    assert answered(tab, galaxy.stem)
    assert "%" in tab.locator(".dm-sure").inner_text()
    assert tab.locator(".dm-bars tbody tr").count() == 10
    assert "adds up to the score" in tab.locator(".dm-why").inner_text()
    shoot(tab, "real")


def test_the_page_asks_no_other_host_and_makes_no_error(tab):
    simulated(tab)
    for name in ("Dream", "Compare", "Files", "Why"):
        go(tab, name)
    assert tab.foreign == []
    assert tab.wrong == []


def test_a_layer_is_dreamed_live_and_offered_as_a_file(tab):
    simulated(tab)
    dream(tab, "stage1", side="256 px", steps=20)  # long enough to be seen
    tab.locator(".dm-progress").wait_for()
    tab.locator(".dm-dreams h3", has_text="stage 1").wait_for()
    assert tab.locator(".dm-dreams img").count() == 3
    shoot(tab, "dream")
    go(tab, "Files")
    with tab.expect_download() as download:
        tab.get_by_role("link", name="dream stage1, FITS").click()
    assert download.value.suggested_filename == "galaxy1-dream-stage1.fits"
    assert Path(download.value.path()).read_bytes().startswith(b"SIMPLE")


def test_a_dream_is_canceled_and_another_begins(tab):
    simulated(tab)
    dream(tab, "lam", side="256 px", steps=40)
    tab.locator(".dm-progress").wait_for()
    tab.locator("#cancel-dream").click()
    tab.locator("#dreams", has_text="Canceled").wait_for()
    assert tab.locator(".dm-progress").count() == 0
    tab.locator(".dm-dreams h3", has_text="% of its steps").wait_for()
    assert tab.locator(".dm-dreams img").count() == 3  # what was dreamed until then
    shoot(tab, "canceled")
    go(tab, "Files")
    with tab.expect_download() as download:
        tab.get_by_role("link", name="dream lam, PNG").click()
    with Image.open(download.value.path()) as picture:
        assert picture.size == (256, 256)
    dream(tab, "stem", steps=1)
    tab.locator(".dm-dreams h3", has_text="stem").wait_for()


def test_a_broken_file_is_told_and_the_next_one_is_read(tab, tmp_path):
    broken = tmp_path / "broken <img src=x onerror=alert(1)>.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    drop(tab, broken)
    alert = tab.get_by_role("alert").filter(has_text="That did not work.")
    alert.wait_for()
    assert "expected an image" in alert.inner_text()
    assert tab.locator("#answer img").count() == 0  # the name is text
    assert tab.get_by_role("alert").count() == 1
    assert tab.locator("[data-testid^=toast]").count() == 0
    assert len(tab.locator("#answer").inner_text().splitlines()) == 1
    shoot(tab, "broken")
    tab.set_viewport_size(PHONE)
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    shoot(tab, "broken-phone")
    tab.set_viewport_size(WIDE)
    assert simulated(tab)


def test_a_file_of_any_name_is_read(tab, tmp_path):
    odd = tmp_path / "a#b?c%20 d&e='f' é.png"
    Image.effect_noise((64, 64), 90).convert("RGB").save(odd)
    drop(tab, odd)
    tab.locator(".dm-answer").wait_for()
    assert "é" in tab.locator(".dm-answer figcaption").inner_text()
    assert tab.wrong == []


def test_a_reload_in_the_middle_of_a_dream_gives_a_page_that_works(tab):
    simulated(tab)
    dream(tab, "lam", side="256 px", steps=40)
    tab.locator(".dm-progress").wait_for()
    tab.reload()
    tab.locator("#sample").wait_for()
    assert tab.locator(".dm-answer").count() == 0  # nothing was kept
    simulated(tab)
    dream(tab, "stem", steps=1)
    tab.locator(".dm-dreams h3", has_text="stem").wait_for()


@pytest.mark.slow
def test_two_people_at_once_see_their_own_galaxies(tab, browser, page):
    with browser.new_context(viewport=PHONE) as context:
        other = opened(context, page)
        tab.locator("#sample").click()
        other.locator("#example-merging").click()
        answered(tab, "simulated")
        answered(other, "simulated")
        dream(tab, "stem", steps=1)
        dream(other, "stage2", steps=1)
        tab.locator(".dm-dreams h3", has_text="stem").wait_for()
        other.locator(".dm-dreams h3", has_text="stage 2").wait_for()
        mine, theirs = (
            each.locator(".dm-answer figcaption").inner_text() for each in (tab, other)
        )
        assert mine != theirs
        shoot(other, "phone")
        width = other.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]  # nothing hangs over the side of a phone


def test_two_galaxies_are_compared_side_by_side(tab):
    simulated(tab)
    name = tab.locator(".dm-answer figcaption").inner_text()
    tab.locator("#sample").click()
    tab.locator(".dm-answer figcaption").filter(has_not_text=name).wait_for()
    go(tab, "Compare")
    tab.locator(".dm-compare").wait_for()
    assert tab.locator(".dm-compare img").count() == 4
    shoot(tab, "compare")


def test_a_drawn_class_is_clicked_explained_in_a_sentence_and_announced(tab):
    tab.locator("#example-edge-on-bulge").click()
    answered(tab, "simulated edge-on-bulge 1")
    assert "with a bulge in its middle." in tab.locator(".dm-sentence").inner_text()
    status = tab.locator("#dm-said[role=status]")
    assert "simulated edge-on-bulge 1: Edge-on with Bulge" in status.inner_text()
    tab.locator("summary", has_text="What the ten classes mean").click()
    assert tab.get_by_role("img", name="Drawing: ").count() == 10
    shoot(tab, "classes")


def test_a_table_of_galaxies_sorts_and_shows_by_keyboard_also_on_a_phone(
    tab, shared, tmp_path
):
    tab.set_viewport_size(PHONE)
    with zipfile.ZipFile(shared / "galaxy10_real60_jpeg.zip") as pack:
        names = [n for n in sorted(pack.namelist()) if n.endswith(".jpg")][::20]
        for k, name in enumerate(names):
            (tmp_path / f"{'long' * 12}{k}.jpg").write_bytes(pack.read(name))
    drop(tab, sorted(tmp_path.iterdir()))
    tab.locator(".dm-why").wait_for()
    rows = tab.locator(".dm-galaxies tbody tr")
    assert rows.count() == 3
    tab.get_by_role("button", name="Sure").focus()
    for state in ("ascending", "descending"):
        tab.keyboard.press("Enter")
        values = [float(e.get_attribute("data-value")) for e in rows.locator("td").all()
                  if e.get_attribute("data-value")]  # fmt: skip
        assert values == sorted(values, reverse=state == "descending")
        assert tab.locator(f".dm-galaxies [aria-sort={state}]").count() == 1
    last = rows.locator(".dm-show").last
    name = last.inner_text()
    last.focus()
    tab.keyboard.press("Enter")
    tab.locator(".dm-answer figcaption", has_text=name).wait_for()
    assert last.evaluate("each => each === document.activeElement")
    assert last.get_attribute("aria-current") == "true"
    go(tab, "Compare")
    tab.locator(".dm-compare").wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    shoot(tab, "table-phone")
    go(tab, "Files")
    with tab.expect_download() as download:
        tab.get_by_role("link", name="HTML").click()
    assert name in Path(download.value.path()).read_text()


def test_every_control_has_a_name_a_focus_and_a_place_for_the_keyboard(tab):
    simulated(tab)
    for image in tab.locator("img").all():
        assert image.get_attribute("alt")
    tab.get_by_role("button", name="Ask about another class").click()
    tab.locator("#against input").wait_for()
    snapshot = tab.locator("main").aria_snapshot()
    unnamed = r"- (button|textbox|combobox|checkbox|tab|columnheader)(:| \[|$)"
    assert re.findall(unnamed, snapshot, re.MULTILINE) == []
    tab.locator("#place textarea, #place input").first.focus()
    seen = {}
    for _ in range(20):
        tab.keyboard.press("Tab")
        focused = tab.evaluate_handle("document.activeElement")
        style = focused.evaluate("each => getComputedStyle(each).outlineStyle")
        seen[focused.evaluate("each => each.closest('[id]')?.id")] = style
        # none stays open behind
        tab.wait_for_function("document.querySelectorAll('[role=listbox]').length < 2")
    assert {"fetch", "target", "against", "methods"} <= set(seen)
    bare = {name for name, style in seen.items() if style != "solid"}
    assert bare <= {None}  # behind the last control comes the page itself
