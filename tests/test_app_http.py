"""The page as a process of its own, asked over plain HTTP."""

import gzip
import io
import lzma
import pickle
import re
import signal
import socket
import struct
import time
import zipfile
import zlib
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
from dmagnet.app.server import GOODBYE_S
from dmagnet.app.work import Work
from dmagnet.config import AppConfig, DreamConfig
from dmagnet.config.classify_config import CutoutConfig
from dmagnet.errors import DataError

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
        *("--max-galaxies", "3"),
    ]
    with running(scratch, *flags, end=signal.SIGHUP) as page:
        yield page
        port = sky.url.rpartition(":")[2].split("/")[0]
        others = [line for line in page.asked if port not in line]
        assert page.asked  # it is watched: to listen, it asks for its own address
        assert [line for line in others if "'127.0.0.1'" not in line] == []
        assert [line for line in others if "connect" in line or "send" in line] == []
    assert page.log == ""  # whatever was asked


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
    content = fetched(person, steps[-1][7], "galaxy1-table.ecsv").content
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


def test_a_table_of_positions_becomes_a_table_of_galaxies(person):
    rows = b"id,ra,dec\nnear,150.1,2.2\nwrong,10,95\nfar,150.2,2.3\nmore,150.3,2.3\n"
    *_, first, last = person.ask("look", [person.upload(rows, "places.csv")])
    told = text_of(first[9])
    assert re.search(r"near .* % far .* %", told)
    assert "2 not read" in told
    assert "wrong: " in told
    assert "only the first 3 were read" in told
    content = fetched(person, last[7], "galaxy1-table.csv").content
    assert [*QTable.read(io.BytesIO(content), format="ascii.csv")["id"]] == [
        "near", "far"
    ]  # fmt: skip
    *_, shown = person.ask("show", 2)
    assert "far" in text_of(shown[0])


def test_images_and_a_zip_of_them_become_one_table(person):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as pack:
        pack.writestr("inside/one.png", png_of(blob()))
        pack.writestr("notes.txt", "no image")
    given = (png_of(blob(tilt=1)), "alone.png"), (file.getvalue(), "pack.zip")
    *_, first, _ = person.ask("look", [person.upload(*each) for each in given])
    assert re.search(r"alone .* % inside/one .* %", text_of(first[9]))
    assert "not read" not in text_of(first[9])


def test_a_table_names_places_and_never_files_of_this_machine(person, tmp_path):
    (tmp_path / "secret.png").write_bytes(png_of(blob()))
    rows = f"id,path\nmine,{tmp_path / 'secret.png'}\nlost,{tmp_path / 'none.png'}\n"
    *_, last = person.ask("look", [person.upload(rows.encode(), "files.csv")])
    assert text_of(last[0]).startswith("That did not work.")
    assert len(set(re.findall("(?:mine|lost): ([^<]+)", last[9]))) == 1  # no oracle


def test_places_are_cut_out_of_mosaics_whose_folder_is_not_told(tmp_path):
    (tmp_path / "mosaic.fits").write_bytes(fits_of(fluxes()))
    tiles = CutoutConfig(tiles=(str(tmp_path / "mosaic.fits"),))
    work = Work("xs", AppConfig(cutout=tiles), tmp_path, device="cpu")
    try:
        galaxy = work.look(work.place(f"{RA} {DEC}"), tmp_path)
        assert galaxy.item.path == "mosaic.fits"
        with pytest.raises(DataError, match=r"^10\.00000 \+20\.00000: outside all"):
            work.look(work.place("10 20"), tmp_path)
    finally:
        work.close()


def test_the_page_to_share_is_one_file_and_holds_the_dreams(person):
    person.look(png_of(blob()), "mine.png")
    *_, end = person.ask("dream", ["stem"], "(none)", 1, 128)
    shared = fetched(person, end[3], "galaxy1-page.html").text
    assert shared.startswith("<!doctype html>")
    assert "mine" in text_of(shared)
    assert "What the network sees in it" in text_of(shared)
    assert set(re.findall(r'src="(\w+:?)', shared)) == {"data:"}


def test_the_first_click_on_a_class_shows_its_drawing_and_the_next_another(person):
    (first, _), (second, _) = person.ask("simulated"), person.ask("simulated")
    assert "simulated loose-spiral 1" in text_of(first[0])
    assert "wide open spiral arms" in text_of(first[0])
    assert "simulated edge-on-bulge 1" in text_of(second[0])


def test_a_position_without_an_image_is_called_by_it(person, sky, monkeypatch):
    monkeypatch.setattr(sky, "answers", ("garbage",))
    (only,) = person.ask("look_at", "10:00:30 +02:12:00")
    told = text_of(only[0])
    assert told.startswith("That did not work. 150.12500 +2.20000: ")
    assert "http" not in told


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
    "archive.zip": (b"PK\x03\x04" + bytes(100), "damaged"),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * ("bomb" in name)) for name in BAD],
)
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


def fits_head(*cards):
    """A FITS file that says what it likes, and has a block of data."""
    cards = ("SIMPLE  =                    T", "BITPIX  =                  -32", *cards)
    return b"".join(card.ljust(80).encode() for card in (*cards, "END")).ljust(5760)


def zip_of(content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("a.fits", content)
    return file.getvalue()


def png_head(wide, high, content):
    """A PNG of any size that it likes to say."""

    def chunk(kind, data):
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(content))
    return b"\x89PNG\r\n\x1a\n" + head + data + chunk(b"IEND", b"")


def saved(kind, pictures=1, side=128):
    file = io.BytesIO()
    first, *others = (Image.new("P", (side, side), n) for n in range(pictures))
    more = {"save_all": True, "append_images": others} if others else {}
    (first if others else first.convert("RGB")).save(file, kind, **more)
    return file.getvalue()


ABSURD = fits_head("NAXIS   =           2000000000")
HOSTILE = {
    "axes.fits": ABSURD, "axes.fits.gz": gzip.compress(ABSURD),
    "negative.fits": fits_head("NAXIS   =                   -5"),
    "long.fits": fits_head("NAXIS   = 1", "NAXIS1  =  9999999999999"),
    "zip.fits": zip_of(bytes(50_000_000)), "xz.fits": lzma.compress(bytes(50_000_000)),
    "large.png": png_head(9000, 9500, bytes(20_000_000)),
    "larger.png": png_head(2_000_000, 2_000_000, b""),
    "frames.gif": saved("GIF", pictures=30, side=1000), "cut.avif": saved("AVIF")[:-40],
    "cut.jp2": saved("JPEG2000")[:300], "cut.tif": saved("TIFF")[:5000],
    "header.ppm": b"P6 99999999 99999999 255\n", "words.eps": b"%!PS\n{} loop\n",
    "rows.csv": b"id,magnitude\n" + b"1,10.0\n" * 1_000_000,
    "stack.h5": b"\x89HDF\r\n\x1a\n" + bytes(5000), "a.npy": pickle.dumps([1]),
    "page.svg": b'<svg><image href="http://127.0.0.1:9/x"/></svg>',
    "entities.vot": b'<!DOCTYPE a [<!ENTITY b "b"><!ENTITY c "&b;&b;">]><VOTABLE/>',
}  # fmt: skip


@pytest.mark.slow
def test_after_each_hostile_file_a_jpeg_is_read_at_once(person):
    file = io.BytesIO()
    Image.fromarray(blob()).save(file, "JPEG")

    def seconds():
        begun = time.monotonic()
        assert "calibrated" in person.look(file.getvalue(), "good.jpg")
        return time.monotonic() - begun

    usual = max(seconds() for _ in range(3))
    slow = {}
    for name, content in HOSTILE.items():
        (only,) = person.ask("look", person.upload(content, name))
        assert text_of(only[0]).startswith(f"That did not work. {name}: ")
        slow[name] = seconds()
    # 2 s where the machine has nothing else to do
    assert {name: s for name, s in slow.items() if s > max(2, 5 * usual)} == {}


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


def test_a_picture_that_nobody_uploaded_is_not_read(person, page, tmp_path):
    (tmp_path / "secret.png").write_bytes(png_of(blob()))
    mine = person.upload(png_of(blob()))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for path in (tmp_path / "secret.png", f"{host}/../../..{mine['path']}"):
            assert person.join("look", mine | {"path": str(path)}).status_code == 403
        assert person.join("look", mine | {"url": f"{host}/a"}).status_code == 403
        listener.settimeout(0.2)
        with pytest.raises(TimeoutError):
            listener.accept()  # nobody came for it


ODD = [
    ("queue/join", {"data": [], "fn_index": -1, "session_hash": "a"}),
    ("queue/join", {"data": [], "fn_index": 99, "session_hash": "a"}),
    ("queue/join", {"data": [], "session_hash": "a"}), ("queue/join", {}),
    ("queue/join", {"data": [], "fn_index": 0}), ("run/nothing", {"data": []}),
    ("run/look", {"data": []}), ("run/look", {"data": ["a", 2]}), ("run/why", {}),
    ("run/dream", {"data": [["lam"], "x", -5, 1e300]}), ("call/nothing", {"data": []}),
    ("run/compare", {"data": [{}, "x"]}), ("call/v2/nothing", {}),
    ("call/v2/look", {}), ("call/v2/look_at", {"nothing": 1}), ("upload", {}),
    ("cancel", {"session_hash": 7}), ("reset", {}), ("heartbeat/a", {}), ("info", {}),
]  # fmt: skip


def test_an_odd_question_is_answered_and_leaves_no_trace_in_the_log(person, page):
    for where, asked in ODD:
        answer = person.http.post(f"/gradio_api/{where}", json=asked)
        assert 400 <= answer.status_code < 500, (where, asked)
        assert answer.text.count("\n") <= 1
    for where in (
        "gradio_api/queue/data?session_hash=nobody", "gradio_api/call/look/nobody",
        f"assets/{'a' * 300}", f"svelte/{'a' * 5000}", "assets/%00",
        "gradio_api/upload_progress?upload_id=nobody",
    ):  # fmt: skip
        assert person.http.get(f"/{where}").status_code < 500
    odd_host = {"x-forwarded-host": "[::", "x-forwarded-proto": "http"}
    assert person.http.get("/config", headers=odd_host).status_code < 500
    files = {"files": ("", b"no name")}
    assert person.http.post("/gradio_api/upload", files=files).status_code < 500
    assert page.log == ""


@pytest.mark.parametrize(
    ("function", "data"),
    [("look", ["a path"]), ("look", [[7]]), ("look", []), ("look_at", []),
     ("why", ["nothing", 7, "x"]), ("dream", [["nothing"], "(none)", "x", 128]),
     ("dream", [["lam"], "(none)", 1e300, 999]), ("compare", [{}, 7])],
)  # fmt: skip
def test_data_that_a_function_cannot_take_are_told_to_the_asker(
    person, page, function, data
):
    person.join(function, *data).raise_for_status()
    with pytest.raises(AssertionError, match="expected what /gradio_api/info says"):
        [*person.answers()]
    assert page.log == ""


def test_an_upload_that_breaks_off_leaves_no_trace_in_the_log(person, page):
    host, port = page.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as line:
        head = "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 500"
        path = "/gradio_api/upload"
        line.sendall(f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{head}".encode())
        line.sendall(b"\r\n\r\n--x\r\nabc")
        time.sleep(0.2)
    assert "calibrated" in person.look(png_of(blob()))
    assert page.log == ""


def test_a_file_of_a_page_is_given_to_those_who_know_its_token_alone(person, page):
    steps = [*person.ask("look", person.upload(png_of(blob())))]
    href = next(iter(files_of(steps[-1][7])))
    assert httpx.get(f"{page.url}/{href}").status_code == 200
    token = href.split("/")[1]
    for where in (
        href.replace(token, "a" * len(token)), f"results/{token}/galaxy1-table.py",
        f"results/{token}/galaxy9-table.csv", f"results/{token}/..%2f..%2fetc%2fpasswd",
    ):  # fmt: skip
        assert httpx.get(f"{page.url}/{where}").status_code == 404


def test_another_host_name_is_not_ours(person):
    assert person.http.get("/config", headers={"host": "evil.org"}).status_code == 400


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_canceled_dream_is_kept_as_far_as_it_came(person):
    person.look(png_of(blob()))
    steps = person.ask("dream", ["stem", "lam"], "(none)", 40, 256)
    next(steps)
    person.join("cancel").raise_for_status()
    *_, end = steps
    told = text_of(end[0])
    assert "Canceled; what was dreamed until then is kept." in told
    assert re.search(r"stem, \d+ % of its steps", told)
    dream = opened(person, end[3], "galaxy1-dream-stem.fits")
    assert dream[0].data.shape == (3, 256, 256)
    assert 0 < dream[0].header["DONE"] < 1
    assert "galaxy1-dream-lam.fits" not in end[3]  # it was not begun


def test_another_network_says_what_it_thinks_of_a_dreamed_class(person):
    person.look(png_of(blob()))
    *_, end = person.ask("dream", [], "Barred Spiral", 1, 128)
    told = text_of(end[0])
    assert re.search(
        r"Another network \((s|xs)\) finds Barred Spiral likely with", told
    )
    *_, end = person.ask("dream", ["stem"], "(none)", 1, 128)
    assert "Another network" not in text_of(end[0])


def test_the_other_network_is_opened_only_when_a_class_is_dreamed(tmp_path):
    work = Work("xs", AppConfig(), tmp_path, device="cpu")
    try:
        galaxy = work.look(work.simulated(tmp_path, 7), tmp_path)
        once = DreamConfig(steps=1, octaves=1)
        list(work.dream(galaxy, ["lam"], config=once))
        assert "_judge" not in vars(work)
        *_, end = work.dream(galaxy, [], class_name="merging", config=once)
        assert end.judge[0] == "s"
    finally:
        work.close()


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


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_dreams_ends_the_page_at_once(tmp_path):
    scratch = tmp_path / "app" / "scratch"
    scratch.parent.mkdir()
    with running(scratch, "--max-dreams", "2") as page, ExitStack() as stack:
        people = [stack.enter_context(Person(page.url)) for _ in range(2)]
        for each in people:
            each.look(png_of(blob()))
            next(each.ask("dream", ["lam"], "(none)", 40, 256))
        began = time.monotonic()
    assert time.monotonic() - began < 3 * GOODBYE_S  # what may be waited for
