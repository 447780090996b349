"""One page says of a galaxy what the network, the rulers and its neighbors say."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from html_page import Page, assert_everybody_can_read_it, assert_it_needs_nothing_else
from PIL import Image

import dmagnet
from dmagnet.cli import main
from dmagnet.config import DreamConfig, SimulateConfig, SourceConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.explaining import explain_images
from dmagnet.judging.predict import look
from dmagnet.pictures.inputs import Item, list_items, read_picture
from dmagnet.reporting import (
    measure_classical,
    nearest,
    open_reference,
    portraits,
    write_pages,
)
from dmagnet.reporting.galaxy_page import entry_of, render_index, render_portrait
from dmagnet.reporting.portrait import page_names
from dmagnet.simulator import simulate

TRAP = "<script>alert(1)</script>"
QUICK = {"layers": ("stage1",), "dream": DreamConfig(steps=1, octaves=1)}
BARE = {"layers": (), "compare": False, "classical": False}


@pytest.fixture(scope="module")
def checkpoint():
    return dmagnet.load("xs")


@pytest.fixture(scope="module")
def simulated():
    return simulate(SimulateConfig(num=10, image_size=128, seed=11))[0]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def reference(checkpoint, cache):
    return open_reference(checkpoint, cache=cache, num_simulated=30)


@pytest.fixture(scope="module")
def portrait(checkpoint, reference, simulated, tmp_path_factory):
    path = tmp_path_factory.mktemp("galaxy") / "spiral.png"
    Image.fromarray(simulated[5]).save(path)
    item = Item(id="spiral.png", path=str(path), files=(str(path),), ra=150.1, dec=-2.5)
    view = reference.galaxies.images[5:6]
    explanations = explain_images(checkpoint, view, methods=(), items=[item])
    (found,) = portraits(checkpoint, explanations, reference=reference, **QUICK)
    return found


@pytest.fixture(scope="module")
def text(portrait):
    return render_portrait(portrait, index="index.html")


# The page


def test_the_page_of_a_galaxy_has_all_its_parts(text):
    ids = {section["id"] for section in Page(text).all("section")}
    assert ids == {
        *("answer", "evidence", "attention", "dreams", "morphology", "alike"),
        "provenance",
    }


def test_the_page_of_a_galaxy_needs_nothing_else(text):
    assert_it_needs_nothing_else(text)


def test_everybody_can_read_the_page_of_a_galaxy(text):
    assert_everybody_can_read_it(text)


def test_the_page_says_class_probabilities_set_and_families(portrait, text):
    said = " ".join(Page(text).text.split())
    why = portrait.explanation
    name = why.class_names[int(why.probabilities.argmax())]
    assert f"spiral.png: {name}" in said
    for share in why.probabilities:
        assert f"{100 * share:.1f} %" in said
    rows = text.split('id="evidence"')[0]
    assert rows.count("<td>yes</td>") == len(why.set90) + len(why.set95)
    for family in ("face-on disc", "edge-on", "smooth", "irregular"):
        assert family in said


def test_evidence_adds_up_to_the_logits_on_the_page(checkpoint, portrait, text):
    views = checkpoint.calibration.views if checkpoint.calibration else 1
    _, features = look(checkpoint.model, portrait.explanation.rgb[None], views=views)
    weight = checkpoint.model.head.weight.detach().numpy()
    bias = checkpoint.model.head.bias.detach().numpy()
    logits = features[:, 0].mean(0) @ weight.T + bias
    np.testing.assert_allclose(portrait.logits, logits, atol=1e-4)
    for k in portrait.order[:2]:
        assert f"adds up to {logits[k]:+.2f}" in text
    first, second = portrait.order[:2]
    assert f"adds up to {logits[first] - logits[second]:+.2f}" in text


def test_the_frame_in_the_picture_as_given_is_the_view_of_the_network(portrait):
    left, top, side = portrait.box
    assert left == top == pytest.approx((1 - side) / 2)
    assert 0.1 < side < 1


def test_a_position_links_to_the_sky(text):
    (link,) = [a["href"] for a in Page(text).all("a") if a["href"].startswith("http")]
    assert "ra=150.10000&dec=-2.50000" in link


def test_a_galaxy_unlike_those_of_training_is_pointed_out(portrait):
    odd = replace(portrait.explanation, ood=9.0, ood_flag=True)
    text = render_portrait(replace(portrait, explanation=odd))
    assert "Unlike the training galaxies" in text
    assert "Unlike the galaxies" not in render_portrait(
        replace(portrait, explanation=replace(odd, ood=0.5, ood_flag=False))
    )


def test_classes_of_ones_own_have_no_families(portrait):
    why = portrait.explanation
    own = replace(why, class_names=("a", TRAP, *(f"class {k}" for k in range(8))))
    text = render_portrait(replace(portrait, explanation=own))
    assert_everybody_can_read_it(text)
    assert "<script" not in text
    assert "family" not in text


def test_without_calibration_nothing_is_promised(checkpoint, portrait):
    bare = replace(checkpoint, calibration=None)
    view = portrait.explanation.rgb[None]
    why = explain_images(bare, view, methods=())
    (found,) = portraits(bare, why, layers=(), classical=False)
    text = render_portrait(found)
    assert_everybody_can_read_it(text)
    assert "Nine times in ten" not in text
    assert "cannot say whether" in text


# Neighbors


def test_the_galaxy_itself_is_not_its_neighbor(reference, portrait):
    assert portrait.neighbors
    for one in portrait.neighbors:
        assert not np.array_equal(one.rgb, portrait.explanation.rgb)
    distances = [one.distance for one in portrait.neighbors]
    assert distances == sorted(distances)
    assert sum(count for _, count in portrait.votes) == 20


def test_neighbors_are_those_of_a_plain_search(reference):
    found = nearest(reference, reference.features[:1], num=3)[0][0]
    spread = reference.features.std(axis=0)
    spread[spread == 0] = 1
    off = (reference.features - reference.features[0]) / spread
    distance = np.sqrt((off**2).mean(axis=1))
    order = np.argsort(distance)[1:4]
    assert [one.id for one in found] == list(reference.galaxies.ids[order])
    np.testing.assert_allclose([o.distance for o in found], distance[order], rtol=1e-4)


def test_simulated_references_are_drawn_once(checkpoint, cache, reference):
    files = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    again = open_reference(checkpoint, cache=cache, num_simulated=30)
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == files
    np.testing.assert_array_equal(again.features, reference.features)


def test_a_damaged_cache_is_made_anew(checkpoint, tmp_path):
    first = open_reference(checkpoint, cache=tmp_path, num_simulated=2)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    again = open_reference(checkpoint, cache=tmp_path, num_simulated=2)
    np.testing.assert_array_equal(again.features, first.features)


def test_labeled_data_of_any_classes_can_be_the_reference(
    checkpoint, simulated, tmp_path
):
    for name, image in zip(("odd", "even"), simulated, strict=False):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        Image.fromarray(image).save(folder / "a.png")
    found = open_reference(checkpoint, tmp_path / "data", cache=tmp_path / "cache")
    assert set(found.galaxies.class_names) == {"odd", "even"}
    side = checkpoint.config.image_size
    assert found.galaxies.images.shape[1:] == (side, side, 3)
    assert "2 labeled galaxies of data" in found.words


def test_a_galaxy_is_seen_the_same_as_input_and_as_reference(
    checkpoint, simulated, tmp_path
):
    for name in ("even", "odd"):
        path = tmp_path / "data" / name / "a.png"
        path.parent.mkdir(parents=True)
        Image.fromarray(simulated[7]).save(path)
    found = open_reference(checkpoint, tmp_path / "data", cache=tmp_path / "cache")
    (item,), trained = list_items(path), checkpoint.config
    seen = read_picture(
        item, trained.image_size, trained.field, SourceConfig(), radii=trained.radii
    )
    np.testing.assert_array_equal(seen.rgb, found.galaxies.images[0])


# Classical morphology


def test_our_measures_and_statmorphs_stand_side_by_side(portrait):
    pytest.importorskip("statmorph")
    rows = {row["name"]: row for row in portrait.classical.rows()}
    for name in ("Concentration C", "Gini", "Petrosian radius"):
        assert rows[name]["ours"] == pytest.approx(rows[name]["statmorph"], rel=0.1)
    assert rows["S\u00e9rsic index n"]["ours"] is None
    assert rows["S\u00e9rsic index n"]["statmorph"] > 0


def test_without_statmorph_the_page_says_how_to_get_it(simulated, monkeypatch):
    monkeypatch.setitem(sys.modules, "statmorph", None)
    (found,) = measure_classical([simulated[5]])
    assert np.isfinite(found.ours["gini"])
    assert not found.statmorph
    assert "pip install 'dmagnet[astro]'" in found.notes[-1]


def test_a_picture_of_nothing_has_no_numbers_but_notes():
    noise = np.random.default_rng(0).normal(30, 4, (64, 64, 3))
    (found,) = measure_classical([noise.clip(0, 255).astype(np.uint8)])
    (flat,) = measure_classical([np.full((64, 64, 3), 30, np.uint8)])
    assert found.notes
    assert flat.notes
    assert all(row["name"] for row in flat.rows())


# Files


@pytest.fixture(scope="module")
def pages(checkpoint, simulated, tmp_path_factory):
    """Pages of a file with a wicked name and of a FITS file with a wicked header."""
    folder = tmp_path_factory.mktemp("pages")
    wicked = folder / "<img src=x onerror=alert(1)>.png"
    Image.fromarray(simulated[1]).save(wicked)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ("RA---TAN", "DEC--TAN"), (150.0, 2.0)
    wcs.wcs.crpix, wcs.wcs.cdelt = (64, 64), (-0.5 / 3600, 0.5 / 3600)
    header = wcs.to_header()
    header["OBJECT"] = header["BUNIT"] = "<script>alert(2)</script>"
    planes = simulated[8].transpose(2, 0, 1)[:, ::-1].astype(np.float32)
    fits.writeto(folder / "sky.fits", planes, header)
    (folder / "broken.png").write_bytes(b"\x89PNG, and no more")
    inputs = [wicked, folder / "sky.fits", folder / "broken.png"]
    return write_pages(inputs, folder / "out", weights=checkpoint, **BARE)


def test_several_galaxies_have_an_index_that_leads_to_each(pages):
    assert pages.first.name == "index.html"
    index = pages.first.read_text()
    assert_it_needs_nothing_else(index)
    assert_everybody_can_read_it(index)
    links = {a["href"] for a in Page(index).all("a") if a["href"] != "#main"}
    assert links == {path.name for path in pages.pages}
    for path in pages.pages:
        assert 'href="index.html"' in path.read_text()


def test_markup_in_names_and_headers_is_shown_as_text(pages):
    for path in (pages.first, *pages.pages):
        text = path.read_text()
        assert_it_needs_nothing_else(text)
        assert "<script" not in text
        assert "<img src=x" not in text
    assert "<img src=x onerror=alert(1)>" in Page(pages.first.read_text()).text
    assert not [path for path in pages.pages if set(path.name) & set("<>&'\"")]


def test_what_is_no_picture_is_noted_and_has_no_page(pages):
    assert len(pages.pages) == 2
    assert any("broken.png" in note and "no page" in note for note in pages.notes)


def test_the_record_has_the_numbers_of_the_pages(pages, checkpoint):
    record = json.loads(pages.record.read_text())
    assert record["class_names"] == list(checkpoint.class_names)
    assert len(record["galaxies"]) == 2
    sky = record["galaxies"][1]
    assert (sky["ra"], sky["dec"]) == pytest.approx((150, 2), abs=0.01)
    assert sum(sky["probabilities"]) == pytest.approx(1, abs=1e-4)
    assert record["provenance"]["weights_hash"] == checkpoint.weights_hash


def test_one_galaxy_has_a_page_without_an_index(checkpoint, simulated, tmp_path):
    path = tmp_path / "one.png"
    Image.fromarray(simulated[0]).save(path)
    found = write_pages(path, tmp_path / "out", weights=checkpoint, **BARE)
    assert found.first == tmp_path / "out" / "one.html"
    assert "index.html" not in found.first.read_text()
    assert not (tmp_path / "out" / "index.html").exists()


def test_names_of_pages_are_safe_and_no_two_alike():
    ids = ("../../etc/passwd", "a.png", "A.fits.fz", "index.png", "\u00e9 <b>", "")
    items = [Item(id=one, path="") for one in ids]
    names = page_names(items)
    assert len({name.lower() for name in names}) == len(items)
    assert "index" not in names
    for name in names:
        assert not set(name) - set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-"
        )
        assert not name.startswith(".")


def test_inputs_without_a_picture_are_refused(checkpoint, tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="expected a picture, got none"):
        write_pages(tmp_path / "a.png", tmp_path / "out", weights=checkpoint, **BARE)


def test_a_layer_that_does_not_exist_is_refused_before_anything(
    checkpoint, simulated, tmp_path
):
    Image.fromarray(simulated[0]).save(tmp_path / "a.png")
    asked = {**BARE, "layers": ("stage9",)}
    with pytest.raises(ConfigError, match="stage9"):
        write_pages(tmp_path / "a.png", tmp_path / "out", weights=checkpoint, **asked)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(checkpoint, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DataError, match="a file lies where a folder is needed"):
        write_pages(tmp_path, tmp_path / "out", weights=checkpoint, **BARE)


def test_an_index_counts_the_classes(portrait):
    entries = [entry_of(portrait, "a.html"), entry_of(portrait, "b.html")]
    text = render_index(entries, portrait.provenance)
    assert f"{entries[0].answer}&nbsp;2." in text


def test_the_verb_writes_a_page_and_says_where(simulated, tmp_path, capsys):
    path = tmp_path / "one.png"
    Image.fromarray(simulated[0]).save(path)
    out = tmp_path / "out"
    parts = ["--steps", "0", "--no-compare", "--no-classical"]
    assert main(["page", str(path), "-o", str(out), "--weights", "xs", *parts]) == 0
    assert f"page: {out / 'one.html'}" in capsys.readouterr().out
    ids = {s["id"] for s in Page((out / "one.html").read_text()).all("section")}
    assert ids == {"answer", "evidence", "attention", "provenance"}
