"""The pages in a browser: on a phone and a desk, by keyboard, offline, on paper."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from blobs import blobs

from dmagnet.calibration import Calibration
from dmagnet.classes import CLASS_NAMES
from dmagnet.config import DreamConfig, ModelConfig, TrainConfig
from dmagnet.explaining import explain_images
from dmagnet.judging import reliability, score
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.pictures.inputs import Item
from dmagnet.reporting import Classical, Examples, Report, portraits
from dmagnet.reporting.classical import QUANTITIES, SERSIC
from dmagnet.reporting.galaxy_page import entry_of, render_index, render_portrait
from dmagnet.reporting.galaxy_record import Neighbor
from dmagnet.reporting.map_page import COLORS, Map, render_map
from dmagnet.reporting.report_page import render
from dmagnet.reporting.report_record import Failed

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("Debian's chromium is not installed", allow_module_level=True)

PHONE, DESK = 360, 1280
LONG = "a_very_long_name_without_any_place_to_break_it_" * 3
# Contrast of all text that lies on a plain ground (WCAG 2.2), the header left aside.
CONTRASTS = """() => {
  const level = (rgb) => rgb.map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const color = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const c = color(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest('header')) continue;
    const pair = [level(color(getComputedStyle(e).color)), level(ground(e))];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) bad.push([e.tagName, e.className, e.textContent.trim(), ratio]);
  }
  return bad;
}"""


def some_portrait():
    torch.manual_seed(0)
    config = TrainConfig(image_size=64, model=ModelConfig(size="xs"))
    network = Checkpoint(
        DMAGNet(config.model).eval(),
        config,
        CLASS_NAMES,
        calibration=Calibration(1.0, (0.1, 0.05), None, {}),
    )
    image = blobs(1).images
    item = Item(id=f"{LONG}.fits", path="", ra=150.0, dec=2.0)
    why = explain_images(network, image, methods=(), items=[item])
    dream = DreamConfig(steps=1, octaves=1)
    (found,) = portraits(network, why, layers=("stage1",), dream=dream, classical=False)
    return replace(
        found,
        classical=Classical(
            dict.fromkeys(QUANTITIES, 1.25),
            dict.fromkeys((*QUANTITIES, *SERSIC), -1.5),
            ("statmorph says that its measures are suspect",),
        ),
        given=image[0],
        box=(0.2, 0.2, 0.6),
        neighbors=(Neighbor("a", LONG, 0.5, image[0]),) * 5,
        votes=((LONG, 20),),
        reference="500 simulated galaxies",
    )


def some_report():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(10, 0.5), size=80)
    labels = (probs.cumsum(axis=1) > rng.random((80, 1))).argmax(axis=1)
    galaxies = blobs(60)
    shown = Examples(galaxies.images, labels[:60], probs[:60])
    masks = rng.uniform(0.8, 1.2, (4, 4, 4))
    row = {
        "claim": "a claim", "prediction": "The deeper a layer, the " + "wider " * 30,
        "expected": "> 0", "trained": 0.9, "p_holm": 0.004, "n": 12,
        "control": "random weights", "control_value": 0.1, "difference": 0.5,
        "low": 0.25, "high": 0.75, "power": 0.875, "verdict": "holds", "reason": "",
    }  # fmt: skip
    failed = {
        "id": LONG, "label_name": LONG, "class_name": LONG,
        "probability": 0.5, "probability_of_label": 0.25,
    }  # fmt: skip
    metrics = score(labels, probs, CLASS_NAMES, num_bootstrap=10)
    return Report(
        title="A report",
        summary="What was done.",
        metrics=metrics,
        calibration=reliability(labels, probs),
        examples=shown,
        attention=Examples(galaxies.images[:4], labels[:4], probs[:4], masks),
        hypotheses=[row],
        failed=Failed(1, (failed,)),
        others=[(LONG, metrics)],
        history=[{"epoch": k, "train_loss": 2.0 - k} for k in (0, 1)],
        provenance={"hash": "0123456789" * 7, "settings": {LONG: LONG}},
        next_commands=[("dmagnet classify IMAGES... -o TABLE", "classify")],
    )


def some_map():
    """Twelve galaxies in a row, the odd ones without a picture."""
    num, across = 12, np.linspace(0, 65_535, 12)
    near = [[(i + k) % num for k in range(1, 7)] for i in range(num)]
    pictures = blobs(6).images
    return Map(
        rows=np.arange(num),
        ids=[f"galaxy {i}" for i in range(num - 1)] + [LONG],
        places=np.stack([across, across], 1).astype(np.uint16),
        classes=np.arange(num) % 10,
        class_names=CLASS_NAMES,
        sure=np.linspace(0.3, 1, num, dtype=np.float32),
        scores=np.linspace(3, 1, num, dtype=np.float32),
        alike=np.array(near),
        notes=("Two rows without a class are left out.",),
        provenance={"axes": "PCA", "unusual": "distance", "settings": {LONG: LONG}},
        pictures={2 * i: picture for i, picture in enumerate(pictures)},
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    portrait = some_portrait()
    index = [entry_of(portrait, "galaxy.html")] * 7
    texts = {
        "galaxy": render_portrait(portrait, index="index.html"),
        "index": render_index(index, portrait.provenance),
        "report": render(some_report()),
        "map": render_map(some_map()),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text)
    return folder


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        started = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(params=["galaxy", "index", "report", "map"])
def path(request, pages):
    return pages / f"{request.param}.html"


def opened(browser, path, width, **settings):
    """Open a page with everything unfolded; note what it asks the world for."""
    size = {"width": width, "height": 800}
    page = browser.new_context(viewport=size, offline=True, **settings).new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(Path(path).as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    return page, [url for url in asked if not url.startswith("data:")]


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_scrolls_sideways_and_nothing_is_asked_for(browser, path, width):
    page, asked = opened(browser, path, width)
    sides = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    broken = page.evaluate("[...document.images].filter(i => !i.naturalWidth).length")
    page.context.close()
    assert sides == [width, width]
    assert asked == [path.as_uri()]
    assert broken == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_stands_out(browser, path, scheme):
    page, _ = opened(browser, path, DESK, color_scheme=scheme)
    bad = page.evaluate(CONTRASTS)
    page.context.close()
    assert bad == []


def test_the_first_tab_skips_to_the_content_and_is_seen(browser, path):
    page, _ = opened(browser, path, PHONE)
    page.keyboard.press("Tab")
    link = page.evaluate(
        "(() => { const e = document.activeElement, box = e.getBoundingClientRect();"
        " return [e.textContent, box.left >= 0 && box.right <= innerWidth,"
        " getComputedStyle(e).outlineStyle]; })()"
    )
    page.keyboard.press("Enter")
    where = page.evaluate("document.activeElement.id")
    page.keyboard.press("Tab")
    inside = page.evaluate("document.activeElement.closest('main') !== null")
    page.context.close()
    assert link == ["Skip to the results", True, "solid"]
    assert where == "main"
    assert inside


def test_the_page_can_be_printed(browser, path):
    page, _ = opened(browser, path, DESK)
    page.emulate_media(media="print")
    gone = page.evaluate(
        "[...document.querySelectorAll('nav, .skip')].every("
        "e => getComputedStyle(e).display === 'none')"
    )
    paper = page.pdf(format="A4")
    page.context.close()
    assert gone
    assert paper.startswith(b"%PDF")


# The colors that a map shows, without those of its ground and of rings.
SHADES = """() => {
  const canvas = document.getElementById('points'), seen = {};
  const copy = new OffscreenCanvas(canvas.width, canvas.height);
  const pen = copy.getContext('2d', { willReadFrequently: true });
  pen.drawImage(canvas, 0, 0);
  const pixels = pen.getImageData(0, 0, copy.width, copy.height).data;
  const hex = v => v.toString(16).padStart(2, '0');
  for (let i = 0; i < pixels.length; i += 4)
    if (pixels[i + 3] > 200) {
      const color = [...pixels.slice(i, i + 3)].map(hex).join('');
      seen[color] = (seen[color] || 0) + 1;
    }
  return Object.keys(seen).filter(color => seen[color] > 20);
}"""
PLACE = """i => {
  const box = document.getElementById('points').getBoundingClientRect();
  const [x, y] = [i / 11, 1 - i / 11];
  return [
    box.left + 24 + x * (box.width - 48), box.top + 24 + y * (box.height - 48),
  ];
}"""


@pytest.fixture
def sky(browser, pages):
    """The map, open on a desk, and what its script complained of."""
    page, _ = opened(browser, pages / "map.html", DESK)
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text))
    page.locator("#sky").scroll_into_view_if_needed()
    yield page
    page.context.close()
    assert wrong == []


def settled(page):
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => setTimeout(r)))")


def test_hovering_a_galaxy_shows_its_picture_class_and_id(sky):
    sky.mouse.move(*sky.evaluate(PLACE, 2))
    tip = sky.locator("#tip")
    assert tip.is_visible()
    assert tip.inner_text().split("\n") == ["Round Smooth, 43\xa0%", "galaxy 2"]
    drawn = tip.locator("canvas").evaluate(
        "c => Math.max(...c.getContext('2d').getImageData(64, 64, 9, 9).data.filter("
        "(_, i) => i % 4 < 3))"
    )
    assert drawn > 50
    sky.mouse.move(*sky.evaluate(PLACE, 3))
    assert "no picture on this page" in tip.inner_text()
    sky.mouse.move(5, 5)
    assert not tip.is_visible()


def test_points_have_the_color_of_their_class_and_the_legend_hides_it(sky):
    assert set(sky.evaluate(SHADES)) >= {color[1:].lower() for color in COLORS}
    sky.get_by_role("button", name="Round Smooth 1", exact=True).click()
    settled(sky)
    assert COLORS[2][1:].lower() not in sky.evaluate(SHADES)
    pressed = sky.locator("[aria-pressed=false]")
    assert pressed.all_inner_texts() == ["Round Smooth 1"]
    sky.mouse.move(*sky.evaluate(PLACE, 2))
    assert not sky.locator("#tip").is_visible()


def test_a_click_shows_those_most_like_it_and_they_can_be_chosen(sky):
    sky.mouse.click(*sky.evaluate(PLACE, 4))
    chosen = sky.locator("#chosen")
    assert "galaxy 4" in chosen.inner_text()
    alike = chosen.locator("li button")
    assert [text.split("\n")[-1] for text in alike.all_inner_texts()] == [
        f"galaxy {i}" for i in range(5, 11)
    ]
    alike.first.click()
    assert chosen.inner_text().startswith("no picture on this page")
    assert "Number 6 of 12" in chosen.inner_text()


def test_the_most_unusual_lead_to_their_place_on_the_map(sky):
    cards = sky.locator("[data-place]")
    assert cards.first.locator(".file").inner_text() == "galaxy 0"
    cards.nth(2).click()
    assert "Number 3 of 12" in sky.locator("#chosen").inner_text()
    assert sky.evaluate("document.activeElement.id") == "points"


def test_the_map_is_walked_by_keyboard(sky):
    sky.locator("#points").focus()
    for key, number in (("n", 1), ("n", 2), ("ArrowRight", 3), ("ArrowLeft", 2)):
        sky.keyboard.press(key)
        assert f"Number {number} of 12" in sky.locator("#chosen").inner_text()
    sky.keyboard.press("Escape")
    assert not sky.locator("#chosen").is_visible()


def test_an_id_is_found_and_one_that_is_not_there_is_said(sky):
    sky.fill("#find", "laxy 10")
    sky.keyboard.press("Enter")
    assert "galaxy 10" in sky.locator("#chosen").inner_text()
    sky.fill("#find", "nothing")
    sky.keyboard.press("Enter")
    assert sky.locator("#missed").inner_text() == "not on this page"


def test_the_map_comes_closer_and_is_dragged(sky):
    sky.mouse.click(*sky.evaluate(PLACE, 6))
    sky.keyboard.press("+")
    settled(sky)
    x, y = sky.evaluate(PLACE, 6)
    sky.mouse.move(x + 60, y)
    sky.mouse.down()
    sky.mouse.move(x + 160, y, steps=4)
    sky.mouse.up()
    sky.mouse.move(x + 100, y)
    assert "galaxy 6" in sky.locator("#tip").inner_text()


def test_without_scripts_the_list_and_the_table_are_there(browser, pages):
    page, _ = opened(browser, pages / "map.html", DESK, java_script_enabled=False)
    text = page.content()
    page.context.close()
    assert "The map needs scripts, which are off" in text
    assert text.count("data-place=") == 12
