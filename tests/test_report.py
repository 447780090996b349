"""The page holds everything itself, can be read by everybody, and escapes names."""

import base64
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from dmagnet.errors import DataError
from dmagnet.evaluate import reliability, score
from dmagnet.report import MAX_BYTES, Examples, Report, render, write_report

NAMES = ("round", "<script>alert(1)</script>", 'edge"on', "merging & more")
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """Tags with attributes in order; complains of tags left open."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, *names):
        return [attrs for tag, attrs in self.tags if tag in names]


def some_guesses():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(4, 0.5), size=80)
    return (probs.cumsum(axis=1) > rng.random((80, 1))).argmax(axis=1), probs


def bare_report(**changes):
    bare = {"calibration": None, "examples": None, "attention": None, "history": ()}
    return some_report(**bare | changes)


def some_report(**changes):
    labels, probs = some_guesses()
    rng = np.random.default_rng(1)
    images = rng.integers(0, 255, (8, 64, 64, 3), dtype=np.uint8)
    masks = rng.uniform(0.8, 1.1, (8, 4, 4))
    report = Report(
        title="A <b>report</b>",
        summary="A network was trained & tested.",
        metrics=score(labels, probs, NAMES, num_bootstrap=50),
        calibration=reliability(labels, probs),
        examples=Examples(images, labels[:8], probs[:8]),
        examples_note="Drawn by lot.",
        attention=Examples(images, labels[:8], probs[:8], masks),
        history=[
            {"epoch": k, "train_loss": 2 - k, "val_accuracy": k} for k in range(2)
        ],
        provenance={
            "version": "0.1",
            "source": "https://example.org/?a=1&b=2",
            "trap": "javascript:alert(1)",
            "settings": {"model": {"size": "<xs>"}},
        },
        next_commands=[("dmagnet classify <IMAGES>", "name your own galaxies")],
    )
    return replace(report, **changes)


@pytest.fixture(scope="module")
def text():
    return render(some_report())


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_every_picture_is_inside_the_page_and_described(page):
    pictures = page.all("img")
    assert len(pictures) == 8 + 2 * 8 + 6
    for picture in pictures:
        kind, _, content = picture["src"].partition(";base64,")
        assert kind in ("data:image/png", "data:image/jpeg")
        with Image.open(io.BytesIO(base64.b64decode(content))) as image:
            image.load()
        assert len(picture["alt"]) > 20


def test_nothing_is_loaded_from_outside(page, text):
    links = [a["href"] for a in page.all("a") if not a["href"].startswith("#")]
    assert links == ["https://example.org/?a=1&b=2"]
    assert not page.all("script", "link", "iframe", "object", "embed")
    assert not re.search(r"@import|url\(", text)
    policy = next(m for m in page.all("meta") if "http-equiv" in m)
    assert policy["content"].startswith("default-src 'none'")


def test_names_from_outside_are_escaped(text):
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<title>A &lt;b&gt;report&lt;/b&gt;</title>" in text
    assert "&lt;xs&gt;" in text
    assert "dmagnet classify &lt;IMAGES&gt;" in text


def test_headings_are_in_order_under_one_title(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1


def test_a_screen_reader_and_a_phone_find_their_way(page):
    assert page.all("html") == [{"lang": "en"}]
    assert any("width=device-width" in m.get("content", "") for m in page.all("meta"))
    assert page.tags[[tag for tag, _ in page.tags].index("body") + 1] == (
        "a",
        {"class": "skip", "href": "#main"},
    )
    assert len(page.all("main")) == 1
    assert len(page.all("caption")) == len(page.all("table")) == 3
    assert all("scope" in cell for cell in page.all("th"))


def test_every_inner_link_and_label_has_its_target_once(page):
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = {a["href"][1:] for a in page.all("a") if a["href"].startswith("#")}
    labels = {s["aria-labeledby"] for s in page.all("section")}
    assert links | labels <= set(ids)


def test_what_scrolls_can_be_reached_by_keyboard(page):
    regions = [d for d in page.all("div") if "scroll" in d.get("class", "").split()]
    assert regions
    for region in regions:
        assert region["tabindex"] == "0"
        assert region["aria-label"]


def test_the_page_tells_the_numbers(page):
    report = some_report()
    said = " ".join(page.text.split())
    low, high = report.metrics.intervals["accuracy"]
    right = int(np.trace(report.metrics.confusion))
    assert f"{right} of 80 galaxies named right" in said
    assert f"{100 * report.metrics.accuracy:.1f} %" in said
    assert f"{100 * low:.1f} % to {100 * high:.1f} %" in said
    for entry in report.metrics.per_class:
        assert f"{entry.correct} of {entry.support}" in said


def test_right_and_wrong_are_told_apart(text):
    examples = some_report().examples
    num_wrong = int((examples.probabilities.argmax(axis=1) != examples.labels).sum())
    right, wrong = (
        text.split("Named right")[1].split('id="attention"')[0].split("Named wrong")
    )
    assert (right.count("<li>"), wrong.count("<li>")) == (8 - num_wrong, num_wrong)
    assert "label:" not in right
    assert wrong.count("label:") == num_wrong


def test_the_text_of_a_map_says_where_it_is_highest_and_lowest():
    report = some_report()
    mask = np.ones((8, 6, 6))
    mask[:, 0, 5], mask[:, 3, 3] = 1.25, 0.75
    masked = replace(report.attention, masks=mask)
    text = render(bare_report(attention=masked))
    told = "Up most at the top right (x 1.25), down most in the middle (x 0.75)."
    assert text.count(told) == 16  # as text and as description, for eight galaxies


def test_no_certainty_is_claimed_by_rounding():
    report = some_report()
    sure = np.tile([0.999, 0.001, 0, 0], (8, 1))
    text = render(bare_report(examples=replace(report.examples, probabilities=sure)))
    assert "over 99 % sure" in text
    assert "100 % sure" not in text


def test_the_same_report_makes_the_same_page(text):
    assert render(some_report()) == text


def test_a_report_without_extras_has_no_empty_sections():
    page = Page(render(bare_report(next_commands=())))
    ids = {section["id"] for section in page.all("section")}
    assert ids == {"numbers", "confusion", "classes", "risk", "provenance"}
    links = {a["href"] for a in page.all("a")}
    assert links == {"https://example.org/?a=1&b=2", "#main", *(f"#{i}" for i in ids)}


def test_perfect_guesses_and_an_empty_class_can_be_shown():
    perfect = score([0, 1, 1], np.eye(3)[[0, 1, 1]], "abc", num_bootstrap=10)
    text = render(bare_report(metrics=perfect))
    assert "There is no mistake." in text
    assert not re.search(r"\bnan\b", Page(text).text)


def test_the_page_is_written_whole_into_a_folder_or_a_file(tmp_path, text):
    assert write_report(tmp_path / "run", bare_report()).name == "report.html"
    path = write_report(tmp_path / "page.html", some_report())
    assert path.read_text() == text
    assert {entry.name for entry in tmp_path.rglob("*.*")} == {
        "report.html",
        "page.html",
    }


def test_twenty_large_galaxies_make_a_page_under_ten_megabytes(tmp_path):
    report = some_report()
    labels, probs = some_guesses()
    noise = np.random.default_rng(2).integers(0, 255, (20, 512, 512, 3), dtype=np.uint8)
    large = Examples(noise, labels[:20], probs[:20], np.full((20, 16, 16), 1.1))
    path = write_report(tmp_path, replace(report, examples=large, attention=large))
    assert path.stat().st_size < MAX_BYTES


def test_a_page_too_large_is_refused_and_not_written(tmp_path):
    labels, probs = some_guesses()
    noise = np.random.default_rng(2).integers(0, 255, (80, 320, 320, 3), dtype=np.uint8)
    many = Examples(
        np.concatenate([noise] * 2), np.tile(labels, 2), np.tile(probs, (2, 1))
    )
    with pytest.raises(DataError, match="show fewer examples"):
        write_report(tmp_path, bare_report(examples=many))
    assert not list(tmp_path.iterdir())


def test_examples_that_do_not_fit_are_refused():
    report = some_report()
    short = replace(report.examples, labels=report.examples.labels[:5])
    with pytest.raises(DataError, match="expected 8 labels"):
        render(bare_report(examples=short))


def contrast(one, two):
    """Contrast ratio of WCAG 2.2 of two hex colors."""
    levels = []
    for color in (one, two):
        part = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(
            part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4
        )
        levels.append(linear @ [0.2126, 0.7152, 0.0722])
    return (max(levels) + 0.05) / (min(levels) + 0.05)


def test_text_stands_out_in_light_and_in_dark(text):
    themes = re.findall(r":root \{([^}]*--page[^}]*--accent[^}]*)\}", text)[:2]
    assert len(themes) == 2
    for theme in themes:
        color = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", theme))
        for ink in ("ink", "soft", "accent"):
            for ground in ("page", "card"):
                assert contrast(color[ink], color[ground]) >= 4.5
