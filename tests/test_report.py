"""The page holds everything itself, can be read by everybody, and escapes names."""

import re
from dataclasses import replace

import numpy as np
import pytest
from html_page import (
    Page,
    assert_everybody_can_read_it,
    assert_it_needs_nothing_else,
)

from dmagnet.errors import DataError
from dmagnet.judging import reliability, score
from dmagnet.reporting import Examples, Report, write_report
from dmagnet.reporting.page import MAX_BYTES
from dmagnet.reporting.report_page import render

NAMES = ("round", "<script>alert(1)</script>", 'edge"on', "merging & more")


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


def test_the_page_needs_nothing_else(page, text):
    assert_it_needs_nothing_else(text)
    assert len(page.all("img")) == 8 + 2 * 8 + 6
    links = [a["href"] for a in page.all("a") if not a["href"].startswith("#")]
    assert links == ["https://example.org/?a=1&b=2"]


def test_everybody_can_read_the_page(text):
    assert_everybody_can_read_it(text)


def test_names_from_outside_are_escaped(text):
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<title>A &lt;b&gt;report&lt;/b&gt;</title>" in text
    assert "&lt;xs&gt;" in text
    assert "dmagnet classify &lt;IMAGES&gt;" in text


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


def test_right_and_wrong_are_told_apart_in_each_class():
    examples = some_report().examples
    right = examples.probabilities.argmax(axis=1) == examples.labels
    text = render(bare_report(examples=examples)).split('id="confusion"')[0]
    groups = text.split("<h3>Labeled ")[1:]
    assert len(groups) == len(set(examples.labels))
    for group, label in zip(groups, sorted(set(examples.labels)), strict=True):
        named_right, _, named_wrong = group.partition("<h4>Named wrong")
        mine = examples.labels == label
        assert named_right.count("<li>") == (mine & right).sum()
        assert named_wrong.count("<li>") == (mine & ~right).sum()


def test_the_text_of_a_map_says_where_it_is_highest_and_lowest():
    report = some_report()
    mask = np.ones((8, 6, 6))
    mask[:, 0, 5], mask[:, 3, 3] = 3.3, 0.25
    masked = replace(report.attention, masks=mask)
    text = render(bare_report(attention=masked))
    told = "Most at the top right (3.3 even shares), least in the middle (0.25)."
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


def noise_report(num, side):
    labels, probs = some_guesses()
    noise = np.random.default_rng(2).integers(0, 255, (side, side, 3), dtype=np.uint8)
    which = np.arange(num) % len(labels)
    many = np.broadcast_to(noise, (num, *noise.shape))
    return bare_report(examples=Examples(many, labels[which], probs[which]))


def test_a_page_too_large_shows_its_galaxies_smaller(tmp_path):
    path = write_report(tmp_path, noise_report(100, 256))
    assert path.stat().st_size < MAX_BYTES
    assert 'width="200"' in path.read_text() or 'width="128"' in path.read_text()


@pytest.mark.slow
def test_a_page_too_large_even_so_is_refused_and_not_written(tmp_path):
    with pytest.raises(DataError, match="show fewer examples"):
        write_report(tmp_path, noise_report(450, 128))
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
