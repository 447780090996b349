"""Embeddings: from images to a table, its nearest galaxies and its map."""

import base64
import hashlib
import io
import json
import re
import sys
import zipfile
from contextlib import chdir
from dataclasses import replace
from shutil import copyfile
from types import ModuleType

import numpy as np
import pytest
from astropy.table import QTable
from html_page import Page, assert_everybody_can_read_it
from PIL import Image

import dmagnet
from dmagnet.classes import CLASS_NAMES
from dmagnet.classifying.embeddings import read_embeddings
from dmagnet.cli import main
from dmagnet.errors import ConfigError, DataError
from dmagnet.reporting import map_page
from dmagnet.reporting.map_page import (
    Map,
    arranged,
    pictured,
    pictures_of,
    render_map,
    write_map,
)
from dmagnet.reporting.page import MAX_BYTES, write_page

NUM, DIM = 40, 12
WEIGHTS = "xs"


def some_table(num=NUM, **columns):
    """A table as embed writes it; the last row has no class."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 10, num)
    p = rng.dirichlet(np.ones(10), num)
    vectors = rng.normal(size=(num, DIM)) * np.linspace(0.1, 9, DIM)
    vectors[-1] = np.nan
    seen = np.isfinite(columns.get("embedding", vectors)[:, 0])
    table = {
        "id": [f"galaxy {i}" for i in range(num)],
        "path": [""] * num,
        "ra": np.full(num, np.nan),
        "dec": np.full(num, np.nan),
        # As astropy reads a null among whole numbers.
        "class_index": np.where(seen, classes, np.nan),
        "class_name": np.array(CLASS_NAMES)[classes],
        **{f"p{k}": p[:, k] for k in range(10)},
        "ood": np.where(np.isfinite(vectors[:, 0]), rng.random(num), np.nan),
        "embedding": vectors.astype(np.float32),
    }
    return QTable(table | columns)


def distances(vectors):
    """Distances of all pairs, in standard deviations, from the definition."""
    scaled = vectors / vectors.std(axis=0)
    return np.sqrt(((scaled[:, None] - scaled[None]) ** 2).mean(axis=2))


def some_map(num, side=64):
    """A map of the most galaxies that a page has, with pictures that pack badly."""
    rng = np.random.default_rng(0)
    found = Map(
        rows=np.arange(num),
        ids=[f"J{i:06d}.{i:06d}+{i:06d}" for i in range(num)],
        places=rng.integers(0, 65_536, (num, 2)).astype(np.uint16),
        classes=rng.integers(0, 10, num),
        class_names=CLASS_NAMES,
        sure=rng.random(num).astype(np.float32),
        scores=np.sort(rng.random(num).astype(np.float32))[::-1],
        alike=rng.integers(0, num, (num, map_page.NUM_ALIKE)),
        notes=("<i>a note</i>",),
        provenance={"axes": "PCA", "unusual": "distance", "settings": {}},
    )
    noise = rng.integers(0, 256, (side, side, 3), np.uint8)
    return replace(found, pictures={int(k): noise for k in pictured(found)})


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("galaxies")
    y, x = np.mgrid[:80, :80] - 40.0
    for i in range(9):
        glow = np.exp(-((x / (3 + i)) ** 2 + (y / (9 + i % 5)) ** 2))
        rgb = (250 * glow[..., None] * [1, 0.8, 0.6]).astype(np.uint8)
        Image.fromarray(rgb).save(folder / f"g{i}.png")
    return folder


@pytest.fixture(scope="module")
def embedded(images, tmp_path_factory):
    """What the verb leaves: a table and its map."""
    out = tmp_path_factory.mktemp("out") / "t.fits"
    words = [str(images), "-o", str(out), "--map", str(out.with_suffix(".html"))]
    assert main(["embed", *words, "--weights", WEIGHTS]) == 0
    return out


def test_the_nearest_are_those_of_the_least_distance_in_standard_deviations():
    table = some_table()
    expected = distances(table["embedding"][:-1])[5]
    found = dmagnet.nearest(table, "galaxy 5", num=7)
    order = np.argsort(expected)[1:8]
    assert list(found["id"]) == [f"galaxy {i}" for i in order]
    np.testing.assert_allclose(found["distance"], expected[order], rtol=1e-5)


def test_a_galaxy_of_another_table_is_found_by_its_embedding():
    table = some_table()
    found = dmagnet.nearest(table, table["embedding"][5], num=2)
    assert found["id"][0] == "galaxy 5"
    assert found["distance"][0] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("galaxy", "expected the id of a galaxy of the table"),
        (NUM - 1, "rows without a class have none"),
        (np.ones(3), f"an embedding of {DIM} numbers"),
    ],
)
def test_what_has_no_embedding_has_no_neighbors(to, words):
    with pytest.raises(DataError, match=words):
        dmagnet.nearest(some_table(), to)


def test_a_table_without_embeddings_says_how_to_make_them():
    with pytest.raises(DataError, match="make it with 'dmagnet embed'"):
        dmagnet.nearest(QTable({"id": ["a"]}), "a")


def test_a_map_has_the_most_unusual_first_and_no_row_without_a_class():
    table = some_table()
    found = arranged(table)
    assert list(found.rows) == list(np.argsort(-table["ood"][:-1]))
    assert found.notes == ("1 rows without a class are left out.",)


def test_neighbors_on_a_map_are_the_nearest_without_itself():
    table = some_table()
    found = arranged(table)
    between = distances(table["embedding"][found.rows])
    np.testing.assert_array_equal(found.alike, np.argsort(between)[:, 1:7])


def test_twins_are_neighbors_and_none_is_its_own():
    vectors = np.ones((NUM, DIM)) * np.arange(NUM)[:, None] // 10
    found = arranged(some_table(embedding=vectors.astype(np.float32)))
    assert not (found.alike == np.arange(NUM)[:, None]).any()
    assert found.alike.shape == (NUM, map_page.NUM_ALIKE)


def test_without_a_calibration_unusual_is_what_is_far_from_the_table():
    table = some_table(ood=np.full(NUM, np.nan))
    table["embedding"][7] += 100
    found = arranged(table)
    assert found.ids[0] == "galaxy 7"
    assert "galaxies of this table" in found.provenance["unusual"]


def test_of_more_than_a_page_holds_the_most_unusual_stay_and_others_are_drawn(
    monkeypatch,
):
    monkeypatch.setattr(map_page, "MOST", 20)
    monkeypatch.setattr(map_page, "NUM_UNUSUAL", 6)
    table = some_table()
    found = arranged(table)
    assert list(found.rows[:6]) == list(np.argsort(-table["ood"][:-1])[:6])
    assert len(set(found.rows)) == 20
    assert (np.diff(found.scores) <= 0).all()
    assert found.notes[1].startswith(
        "Of 39 galaxies the 6 most unusual are here, and 14"
    )


def test_pictures_are_of_the_most_unusual_and_of_all_parts_of_the_map():
    places = np.full((5000, 2), 100, np.uint16)
    places[-1] = 60_000  # the most usual, alone in its part
    found = replace(some_map(5000), places=places)
    chosen = list(pictured(found))
    assert chosen[:1000] == list(range(1000))
    assert 4999 in chosen[:1002]
    assert len(set(chosen)) == len(chosen) == map_page.NUM_PICTURES


def test_fewer_than_eight_galaxies_have_no_map():
    with pytest.raises(DataError, match="expected 8 galaxies or more"):
        arranged(some_table(7))


def test_the_axes_are_principal_components_of_features_in_standard_deviations():
    table = some_table()
    found = arranged(table)
    features = table["embedding"][found.rows]
    scaled = (features - features.mean(0)) / features.std(0)
    places = scaled @ np.linalg.svd(scaled, full_matrices=False)[2][:2].T
    for k in (0, 1):
        assert abs(np.corrcoef(places[:, k], found.places[:, k])[0, 1]) > 0.9999
    assert "principal components" in found.provenance["axes"]


def test_the_axes_are_those_of_umap_where_it_is_installed(monkeypatch):
    """A stand-in with the one call that is made; umap-learn itself is large."""

    class UMAP:
        def __init__(self, random_state, n_jobs):
            assert (random_state, n_jobs) == (0, 1)

        def fit_transform(self, features):
            return features[:, :2]

    umap = ModuleType("umap")
    umap.UMAP = UMAP
    monkeypatch.setitem(sys.modules, "umap", umap)
    found = arranged(some_table())
    assert found.provenance["axes"].startswith("UMAP")
    first = some_table()["embedding"][found.rows, 0]
    assert np.corrcoef(first, found.places[:, 0])[0, 1] == pytest.approx(1, abs=1e-4)


def test_the_largest_page_with_pictures_of_noise_stays_below_ten_megabytes(tmp_path):
    found = some_map(map_page.MOST)
    page = write_page(tmp_path / "map.html", lambda side: render_map(found, side))
    assert MAX_BYTES / 2 < page.stat().st_size <= MAX_BYTES


def test_the_page_can_be_read_by_everybody_and_shows_names_as_text():
    text = render_map(replace(some_map(30), ids=["</script><b>&"] * 30))
    assert_everybody_can_read_it(text)
    assert "<b>" not in text.replace("</script><b>", "")
    assert text.count("</script>") == 2
    assert "&lt;i&gt;a note" in text


def test_the_page_runs_its_own_script_alone():
    page = Page(text := render_map(some_map(30)))
    policy = next(m for m in page.all("meta") if "http-equiv" in m)["content"]
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:")
    assert "unsafe-inline" not in policy.partition("script-src")[2]


def test_the_verb_writes_the_table_of_classify_with_embeddings(embedded, images):
    expected = dmagnet.classify(images, weights=WEIGHTS, embeddings=True)
    found = read_embeddings(embedded)
    assert found.colnames == expected.colnames
    np.testing.assert_array_equal(found["embedding"], expected["embedding"])


def shown(page):
    """What a page says of its galaxies: ids, and how many have a picture."""
    text = page.read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    rows = np.frombuffer(base64.b64decode(data["rows"]), "<u2")
    return sorted(data["ids"]), int((rows.reshape(9, -1)[:, 5] > 0).sum())


def test_a_map_made_with_its_table_shows_every_galaxy(embedded):
    page = embedded.with_suffix(".html")
    assert shown(page) == ([f"g{i}" for i in range(9)], 9)


def test_a_map_of_a_finished_table_is_the_same(embedded, tmp_path, capsys):
    page = tmp_path / "again.html"
    assert main(["embed", str(embedded), "--map", str(page)]) == 0
    assert page.read_bytes() == embedded.with_suffix(".html").read_bytes()
    assert capsys.readouterr().out == f"page: {page}\n"


@pytest.mark.parametrize("how", ["by path", "by name"])
def test_galaxies_of_one_name_have_each_its_own_picture(images, tmp_path, how):
    folders = [images, tmp_path / "blue"]
    folders[1].mkdir()
    for path in images.iterdir():  # red is bright in the first folder only
        pixels = np.asarray(Image.open(path))[..., ::-1]
        Image.fromarray(pixels).save(folders[1] / path.name)
    table = dmagnet.classify(folders, weights=WEIGHTS, embeddings=True)
    found = arranged(table)
    inputs = None if how == "by path" else folders
    pictures = dict(pictures_of(table, found, inputs, map_page.MAP))
    assert len(pictures) == 18
    for place, rgb in pictures.items():
        is_red = rgb[..., 0].sum() > rgb[..., 2].sum()
        assert is_red == str(table["path"][found.rows[place]]).startswith(str(images))


def test_pictures_that_are_gone_are_left_out(embedded, tmp_path):
    table = read_embeddings(embedded)
    table["path"] = "gone.png"
    page = write_map(table, tmp_path / "map.html")
    assert shown(page)[1] == 0
    assert "no picture" in page.read_text()


def test_a_real_galaxy_turned_over_is_nearest_to_itself(shared, tmp_path):
    with zipfile.ZipFile(shared / "galaxy10_real60_jpeg.zip") as packed:
        names = sorted(n for n in packed.namelist() if "_0" in n and n.endswith("jpg"))
        seen = [Image.open(io.BytesIO(packed.read(name))) for name in names[:10]]
    turned = [image.transpose(Image.Transpose.ROTATE_90) for image in seen]
    table, others = (  # one view of each: else both would be averages of the same
        dmagnet.embed(some, weights=WEIGHTS, views=1) for some in (seen, turned)
    )
    found = [
        dmagnet.nearest(table, each, num=1)["id"][0] for each in others["embedding"]
    ]
    assert found == list(table["id"])


def test_the_call_writes_the_map_of_images_in_memory_too(images, tmp_path):
    seen = [Image.open(path) for path in sorted(images.iterdir())]
    out = tmp_path / "map.html"
    table = dmagnet.embed(seen, map=out, weights=WEIGHTS)
    assert shown(out) == (sorted(table["id"]), 9)
    assert table["embedding"].shape[0] == 9
    with pytest.raises(ConfigError, match=r"ends in \.html"):
        dmagnet.embed(seen, tell=print, map=tmp_path / "map.png", weights=WEIGHTS)


def test_near_prints_the_galaxies_that_are_like_one_of_the_table(embedded, capsys):
    assert main(["embed", str(embedded), "--near", "g4"]) == 0
    lines = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert lines == list(dmagnet.nearest(read_embeddings(embedded), "g4")["id"])


def test_near_takes_an_image_too(embedded, images, capsys):
    words = ["--near", str(images / "g4.png"), "--weights", WEIGHTS]
    assert main(["embed", str(embedded), *words]) == 0
    first = capsys.readouterr().out.splitlines()[0].split()
    assert (first[0], first[-1]) == ("0.000", "g4")


def test_an_image_is_not_compared_through_other_weights(embedded, images, capsys):
    words = ["--near", str(images / "g4.png"), "--weights", "s"]
    assert main(["embed", str(embedded), *words]) == 1
    assert "expected those that the table was made with" in capsys.readouterr().err


def test_near_says_what_an_id_looks_like_if_there_is_none_of_that_name(
    embedded, capsys
):
    assert main(["embed", str(embedded), "--near", "g99"]) == 1
    said = "g99: expected an id of the table, such as g0, or an image; found neither"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "expected a place for the table, -o"),
        (["-o", "t.csv", "--map", "m.html"], "expected a table of embeddings"),
        (["-o", "t.fits", "--map", "m.pdf"], "expected a name that ends in .html"),
        (["-o", "t.fits", "--map", "mine.html"], "was not made by dmagnet"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_done(
    images, tmp_path, capsys, words, said
):
    (tmp_path / "mine.html").write_text("mine")
    with chdir(tmp_path):
        assert main(["embed", str(images), *words]) == 1
    assert said in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.html"]


@pytest.mark.parametrize("name", ["t.vot", "t"])
def test_a_table_that_does_not_give_vectors_back_is_refused(tmp_path, name):
    with pytest.raises(ConfigError, match="expected a table of embeddings"):
        read_embeddings(tmp_path / name)


@pytest.mark.parametrize("name", ["t.parquet", "t.fits", "t.ecsv"])
def test_a_damaged_table_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"nothing of this kind")
    with pytest.raises(DataError, match="expected a table that 'dmagnet embed' wrote"):
        read_embeddings(tmp_path / name)


@pytest.fixture
def few(images, tmp_path):
    """Three galaxies."""
    folder = tmp_path / "few"
    folder.mkdir()
    for path in sorted(images.iterdir())[:3]:
        copyfile(path, folder / path.name)
    return folder


def test_a_table_of_few_galaxies_is_kept_without_a_map(few, tmp_path, capsys, caplog):
    table, page = tmp_path / "t.parquet", tmp_path / "m.html"
    words = [str(few), "-o", str(table), "--map", str(page), "--weights", WEIGHTS]
    assert main(["embed", *words]) == 0
    line = "expected 8 galaxies or more with an embedding, found 3"
    assert f"note: map: {line}" in capsys.readouterr().err
    assert table.exists()
    assert not page.exists()
    with caplog.at_level("INFO", "dmagnet"):
        assert len(dmagnet.embed(few, map=page, weights=WEIGHTS)) == 3
    assert line in caplog.text
    assert not page.exists()


def test_images_in_place_of_a_table_say_how_to_write_one(few, capsys):
    assert main(["embed", str(few), "--near", "new.jpg"]) == 1
    line = f"write one first: dmagnet embed {few} -o galaxies.parquet"
    assert line in capsys.readouterr().err
