"""The page as a process of its own, asked over plain HTTP."""

import gzip
import io
import re
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2 as httpx
import numpy as np
import pytest
from app_server import Person, running, text_of
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from legacy_server import LegacyServer
from PIL import Image

from dmagnet import classify

pytest.importorskip(
    "gradio", reason="the page needs gradio: pip install 'dmagnet[app]'"
)

KEEP_S = 3
RA, DEC = 150.1, 2.2


def blob(side=160, tilt=0.4):
    """A smooth galaxy in noise, as bytes."""
    y, x = np.mgrid[:side, :side] - side / 2
    u, v = x * np.cos(tilt) + y * np.sin(tilt), y * np.cos(tilt) - x * np.sin(tilt)
    light = 200 * np.exp(-np.hypot(u / 24, v / 14))
    noise = np.random.default_rng(0).normal(12, 3, (side, side, 3))
    return (light[..., None] * [1, 0.9, 0.7] + noise).clip(0, 255).astype(np.uint8)


def png_of(pixels):
    """A picture as a file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def fits_of(values, **cards):
    """An image in g, r, z with its place on the sky, as a file."""
    hdu = fits.PrimaryHDU(values)
    scale, middle = 0.262 / 3600, values.shape[-1] / 2 + 0.5
    hdu.header.update(
        BANDS="grz", CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=RA, CRVAL2=DEC,
        CRPIX1=middle, CRPIX2=middle, CD1_1=-scale, CD2_2=scale, BUNIT="nanomaggy",
    )  # fmt: skip
    hdu.header.update(cards)
    file = io.BytesIO()
    hdu.writeto(file)
    return file.getvalue()


def fluxes():
    """The blob as fluxes."""
    planes = np.moveaxis(blob().astype(np.float32)[::-1], 2, 0)[::-1]
    return (planes - 12) / 400


@pytest.fixture(scope="module")
def sky():
    server = LegacyServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def page(tmp_path_factory, sky):
    scratch = tmp_path_factory.mktemp("app") / "scratch"
    flags = [
        *("--keep-s", str(KEEP_S), "--cutout.url", sky.url, "--max-dreams", "1"),
        *("--max-waiting", "1", "--per-second", "1000", "--burst", "1000"),
    ]
    with running(scratch, *flags) as page:
        yield page
    left = [path for path in scratch.rglob("*") if "dmagnet" in str(path)]
    assert left == []  # an end by Ctrl-C leaves nothing behind


@pytest.fixture
def person(page):
    with Person(page.url) as person:
        yield person


def files_of(shown):
    """Find the files that a page offers, by their names."""
    return dict(re.findall(r'href="(results/[^"]+)" download="([^"]+)"', shown))


def fetched(person, shown, name):
    """Get one of the files that a page offers."""
    (where,) = [href for href, each in files_of(shown).items() if each == name]
    answer = person.http.get(f"/{where}")
    answer.raise_for_status()
    return answer


def test_a_galaxy_gets_class_confidence_sets_and_reasons(person):
    first, last = person.ask("look", person.upload(png_of(blob()), "my galaxy.png"))
    answer, reasons = text_of(first[0]), text_of(last[1])
    assert "my galaxy" in answer
    assert re.search(r"\d %", answer)
    assert "90 % set" in answer
    assert "95 % set" in answer
    assert "Unlike training?" in answer
    assert "The evidence adds up to the score" in reasons
    assert "Local attention" in reasons


def test_the_row_is_the_one_that_classify_writes(person, tmp_path):
    (tmp_path / "one.png").write_bytes(png_of(blob()))
    expected = classify(tmp_path / "one.png", weights="xs", device="cpu")[0]
    steps = [*person.ask("look", person.upload(png_of(blob()), "one.png"))]
    content = fetched(person, steps[-1][7], "galaxy1-row.ecsv").content
    got = QTable.read(io.BytesIO(content), format="ascii.ecsv")[0]
    assert got["path"] == "one.png"  # not where it lay for a moment
    for name in expected.colnames:
        if expected[name].dtype.kind == "f" and name != "path":
            np.testing.assert_allclose(got[name], expected[name], atol=2e-6)
        elif name != "path":
            assert str(got[name]) == str(expected[name]), name


def test_maps_and_dreams_of_a_fits_image_lie_where_the_galaxy_is(person):
    steps = [*person.ask("look", person.upload(fits_of(fluxes()), "one.fits"))]
    maps = fits.open(
        io.BytesIO(fetched(person, steps[-1][7], "galaxy1-maps.fits").content)
    )
    assert {"EVIDENCE", "LAM"} <= {hdu.name for hdu in maps}
    assert f"{RA:.5f}" in text_of(steps[0][0])
    *_, end = person.ask("dream", ["stem"], "(none)", 1, 128)
    dream = opened(person, end[3], "galaxy1-dream-stem.fits")
    assert dream[0].data.shape == (3, 128, 128)
    for hdu in (maps["EVIDENCE"], dream[0], dream["DETAIL"]):
        side = hdu.data.shape[-1]
        middle = WCS(hdu.header).celestial.pixel_to_world(
            side / 2 - 0.5, side / 2 - 0.5
        )
        assert middle.separation(
            type(middle)(RA, DEC, unit="deg")
        ).arcsec < 0.3  # fmt: skip
    png = fetched(person, end[3], "galaxy1-dream-stem.png").content
    assert Image.open(io.BytesIO(png)).size == (128, 128)


def test_a_position_becomes_a_galaxy(person):
    first, *_ = person.ask("look_at", "10:00:24 +02:12:00")
    assert "150.10000 +2.20000" in text_of(first[0])


def opened(person, shown, name):
    """Open one of the FITS files that a page offers."""
    return fits.open(io.BytesIO(fetched(person, shown, name).content))


@pytest.mark.parametrize(
    ("place", "told"),
    [("nowhere", "right ascension"), ("10 95", "declination"), ("", "got ''"),
     ("<b>1</b> 2", "<b>1</b> 2"), ("nan nan", "right ascension")],
)  # fmt: skip
def test_what_is_no_position_is_told_so(person, place, told):
    (only,) = person.ask("look_at", place)
    assert "That did not work." in text_of(only[0])
    assert told in text_of(only[0])
    assert "<b>1</b>" not in only[0]


BAD = {
    "empty.png": (b"", "empty"),
    "words.jpg": (b"no picture at all", "expected an image"),
    "cut.png": (png_of(blob())[:2000], "damaged"),
    "plain.png": (png_of(np.full((64, 64, 3), 7, np.uint8)), "one color"),
    "tiny.png": (png_of(blob()[:4, :4]), "at least 8 px"),
    "nan.fits": (fits_of(np.full((3, 64, 64), np.nan, np.float32)), "NaN"),
    "cut.fits": (fits_of(fluxes())[:9000], "FITS"),
    "table.fits": (b"SIMPLE  =                    T" + b" " * 2850, ""),
    "bomb.fits.gz": (gzip.compress(bytes(20_000_000)) * 60, "bomb.fits.gz"),
    "bands.fits": (fits_of(fluxes(), BANDS="<script>alert(1)</script>"), ""),
    "page.html": (b"<html><script>alert(1)</script></html>", "expected an image"),
    "archive.zip": (b"PK\x03\x04" + bytes(100), "expected an image"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_told_in_words(person, name):
    content, told = BAD[name]
    (only,) = person.ask("look", person.upload(content, name))
    text = text_of(only[0])
    assert text.startswith("That did not work.")
    assert name in text
    assert told in text
    assert "Traceback" not in text
    assert "/tmp" not in text
    assert "<script>" not in only[0]


def test_after_a_bad_file_a_good_one_is_read(person):
    [*person.ask("look", person.upload(b"bad", "bad.png"))]
    assert "calibrated" in person.look(png_of(blob()))


def test_markup_and_templates_in_a_name_are_text(person):
    name = "${7*7} {{7*7}} <img src=x onerror=alert(1)> ' \".png"
    first, *_ = person.ask("look", person.upload(png_of(blob()), name))
    assert "<img src=x" not in first[0]
    assert "img src=x onerror" in text_of(first[0])
    assert "49" not in text_of(first[0])[:40]


def test_a_name_cannot_leave_the_folder_of_uploads(person, page):
    for name in ("../../evil.png", "/etc/evil.png", "..\\evil.png", "a/../../evil.png"):
        path = Path(person.upload(png_of(blob()), name)["path"])
        assert path.resolve().is_relative_to(page.scratch)
        assert path.name.endswith("evil.png")


def test_a_picture_that_nobody_uploaded_is_not_read(person, tmp_path):
    (tmp_path / "secret.png").write_bytes(png_of(blob()))
    for path in (tmp_path / "secret.png", "http://127.0.0.1:9/a.png"):
        named = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
        assert person.join("look", named).status_code == 403


def test_a_file_of_a_page_is_given_to_those_who_know_its_token_alone(person, page):
    steps = [*person.ask("look", person.upload(png_of(blob())))]
    href = next(iter(files_of(steps[-1][7])))
    assert httpx.get(f"{page.url}/{href}").status_code == 200
    token = href.split("/")[1]
    for where in (
        href.replace(token, "a" * len(token)), f"results/{token}/galaxy1-row.py",
        f"results/{token}/galaxy9-row.csv", f"results/{token}/..%2f..%2fetc%2fpasswd",
    ):  # fmt: skip
        assert httpx.get(f"{page.url}/{where}").status_code == 404


def test_another_host_name_is_not_ours(person):
    assert person.http.get("/config", headers={"host": "evil.org"}).status_code == 400


def test_no_upload_stays_longer_than_it_was_said(person, page):
    person.look(png_of(blob()), "remember-me.png")
    assert any("remember-me" in path.name for path in page.uploads)
    for _ in range(100):
        time.sleep(0.2)
        if not page.uploads:
            break
    assert page.uploads == []


def test_a_page_that_is_closed_is_forgotten(person):
    with person.staying():
        steps = [*person.ask("look", person.upload(png_of(blob())))]
        href = next(iter(files_of(steps[-1][7])))
        assert person.http.get(f"/{href}").status_code == 200
    for _ in range(50):
        time.sleep(0.1)
        if person.http.get(f"/{href}").status_code == 404:
            break
    assert person.http.get(f"/{href}").status_code == 404


def test_ten_people_at_once_are_all_answered(page):
    def one(number):
        with Person(page.url) as person:
            return person.look(png_of(blob(tilt=number / 3)), f"g{number}.png")

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(one, range(10)))
    assert [f"g{number}" in answer for number, answer in enumerate(answers)] == [
        True
    ] * 10


def test_dreams_beyond_the_limit_wait_and_then_are_refused(page):
    with ExitStack() as stack:
        people = [stack.enter_context(Person(page.url)) for _ in range(3)]
        check_dreams(people)


def check_dreams(people):
    """Let three people dream where one may and one may wait."""
    told = []
    for each in people:
        each.look(png_of(blob()))
    for each in people:
        steps = each.ask("dream", ["lam"], "(none)", 40, 256)
        told.append((steps, text_of(next(steps)[0])))
    assert "Dreaming" in told[0][1]
    assert "Waiting: 1 dream(s)" in told[1][1]
    assert "1 dreams are under way and 1 wait" in told[2][1]
    for each, (steps, _) in zip(people, told, strict=True):
        each.join("cancel")
        assert len([*steps]) < 500  # they end


def test_what_cannot_be_dreamed_is_told(person):
    assert "drop an image first" in text_of(
        next(person.ask("dream", ["lam"], "(none)", 1, 128))[0]
    )
    person.look(png_of(blob()))
    assert "choose some" in text_of(next(person.ask("dream", [], "(none)", 1, 128))[0])


def test_two_galaxies_are_compared(person):
    person.look(png_of(blob()), "first.png")
    person.look(png_of(blob(tilt=2)), "second.png")
    (shown,) = person.ask("compare", 1, 2)
    text = text_of(shown[0])
    assert "1: first" in text
    assert "2: second" in text
    assert "The answers differ by" in text


def test_any_class_is_explained_also_against_another(person):
    person.look(png_of(blob()))
    (shown,) = person.ask("why", "Barred Spiral", "Edge-on with Bulge", ["evidence"])
    assert "speak for Barred Spiral rather than Edge-on with Bulge" in text_of(shown[0])
    assert "the difference of the scores" in text_of(shown[0])
