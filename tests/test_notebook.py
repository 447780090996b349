"""Galaxies from memory, and answers that show themselves in a notebook."""

import ast
import base64
import gc
import importlib
import io
import re
import sys
import time
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import QTable
from astropy.wcs import WCS
from PIL import Image

import dmagnet
from dmagnet.cli.door import VERBS
from dmagnet.config import CutoutConfig, DreamConfig, RedreamConfig, SimulateConfig
from dmagnet.errors import DataError
from dmagnet.pictures.inputs import as_files
from dmagnet.simulator import simulate, write_hdf5
from dmagnet.storage.environment import bars, loading

QUICK = DreamConfig(steps=1, octaves=1)


@pytest.fixture(scope="module")
def galaxies():
    return simulate(SimulateConfig(num=2, image_size=128))[0]


def planes():
    header = WCS(naxis=2)
    header.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    header.wcs.crval, header.wcs.crpix = (150.0, 2.0), (64.5, 64.5)
    header.wcs.cdelt = (-0.262 / 3600, 0.262 / 3600)
    y, x = np.mgrid[:128, :128] - 63.5
    return np.exp(-np.hypot(x / 9, y / 5)).astype(np.float32), header


def answers(given):
    return dmagnet.classify(given, weights="xs", device="cpu")


def test_a_galaxy_in_memory_has_the_answer_of_its_file(galaxies, tmp_path):
    Image.fromarray(galaxies[0]).save(tmp_path / "one.png")
    wanted = answers(tmp_path / "one.png")["p5"][0]
    tensor = torch.from_numpy(galaxies[0]).permute(2, 0, 1) / 255
    for form in (Image.fromarray(galaxies[0]), galaxies[0], galaxies[0] / 255, tensor):
        assert answers(form)["p5"][0] == pytest.approx(wanted), type(form)


def test_several_galaxies_in_memory_have_a_row_each(galaxies, tmp_path):
    tensors = torch.from_numpy(galaxies).permute(0, 3, 1, 2) / 255
    wanted = list(answers(galaxies)["p5"])
    assert len(set(wanted)) == 2
    for form in (list(galaxies), tensors, [Image.fromarray(g) for g in galaxies]):
        assert list(answers(form)["p5"]) == pytest.approx(wanted)


def test_fits_in_memory_has_its_position(tmp_path):
    values, wcs = planes()
    hdu = fits.PrimaryHDU(values, wcs.to_header())
    hdu.writeto(tmp_path / "one.fits")
    whole = answers(tmp_path / "one.fits")
    cutout = Cutout2D(values, (63.5, 63.5), 128, wcs=wcs)
    for form in (hdu, fits.HDUList([hdu]), cutout):
        table = answers(form)
        assert table["ra"][0].value == pytest.approx(150, abs=1e-3)
        assert table["p5"][0] == pytest.approx(whole["p5"][0], abs=1e-5)


def test_a_real_image_is_answered_alike_as_a_file_an_hdu_and_a_cutout(shared):
    path = shared / "fits" / "decals_dr5_grz_162_example_b.fits"
    wanted = answers(path)
    with fits.open(path) as file:
        (given,) = answers(file[0])
        plane, wcs = file[0].data[1], WCS(file[0].header, naxis=2)
        cut = Cutout2D(plane, (80.5, 80.5), 160, wcs=wcs)
        red = answers([cut, fits.PrimaryHDU(cut.data, cut.wcs.to_header())])
    for name in ("ra", "dec", "class_name", *(f"p{k}" for k in range(10))):
        assert given[name] == wanted[name][0], name
        assert red[name][0] == red[name][1], name


def test_what_is_no_image_is_refused_in_a_line():
    with pytest.raises(DataError, match="Cutout2D, got dict"):
        answers([{}])


def test_arrays_without_pixels_and_damaged_images_are_refused_in_a_line(tmp_path):
    for given in (np.array(1.0), np.array(["a.jpg"]), np.ones((9, 9), complex)):
        with pytest.raises(DataError, match="expected an array of numbers"):
            dmagnet.classify(given)
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(whole := io.BytesIO(), "JPEG")
    cut = Image.open(io.BytesIO(whole.getvalue()[:1500]))
    with pytest.raises(DataError, match="expected a whole image, got one damaged"):
        dmagnet.classify(cut)


def test_paths_are_handed_on_as_they_are(tmp_path):
    with as_files(tmp_path) as paths:
        assert paths is tmp_path


def pictures(answer):
    found = re.findall(r"base64,([^\"]+)", answer._repr_html_())
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in found]


def test_an_explanation_shows_itself(galaxies):
    (found,) = dmagnet.explain(galaxies[0], weights="xs")
    (picture,) = pictures(found)
    assert picture.width > 2 * picture.height  # the galaxy and two maps beside it
    assert found.class_names[found.probabilities.argmax()] in found._repr_html_()


def test_a_list_of_explanations_shows_each(galaxies):
    assert len(pictures(dmagnet.explain(galaxies, weights="xs"))) == 2


def test_a_dream_of_a_galaxy_in_memory_needs_no_weights_and_shows_itself(galaxies):
    dreamed = dmagnet.dream(Image.fromarray(galaxies[0]), "stage2", config=QUICK)
    (picture,) = pictures(dreamed)
    assert picture.width > 2 * picture.height
    assert dreamed.provenance["weights_hash"] == dmagnet.load("s").weights_hash


def test_a_table_of_answers_shows_its_galaxies(galaxies, tmp_path):
    Image.fromarray(galaxies[0]).save(tmp_path / "a<b.png")
    (tmp_path / "broken.png").write_bytes(b"no image")
    table = answers([tmp_path, galaxies[1]])
    first, second = pictures(table)
    assert first.size == second.size == (128, 128)
    assert np.asarray(first).std() > 5
    page = table._repr_html_()
    assert re.search(rf"<b>{table['class_name'][0]} [01]\.\d\d</b><br>a&lt;b", page)
    assert "no class" in page
    assert "3 rows" in page
    assert len(pictures(table[table["id"] == "broken"])) == 0
    assert len(pictures(table[2:])) == 1


def test_a_table_shows_pictures_where_they_belong_also_when_sorted(galaxies):
    table = answers(list(galaxies))
    before = pictures(table)
    table.reverse()
    assert [p.tobytes() for p in pictures(table)] == [
        p.tobytes() for p in reversed(before)
    ]


def test_a_table_of_answers_is_written_as_any_other(galaxies, tmp_path):
    table = answers(galaxies)
    for name in ("t.ecsv", "t.fits"):
        with warnings.catch_warnings(action="ignore"):  # long keywords of FITS
            table.write(tmp_path / name)
        assert list(QTable.read(tmp_path / name)["id"]) == list(table["id"])


@pytest.mark.parametrize("change", ["column", "name", "mask", "class", "set", "meta"])
def test_a_table_of_answers_shows_itself_whatever_people_made_of_it(galaxies, change):
    table = answers(list(galaxies))
    name, column = table["class_name"][-1], f"p{table['class_index'][-1]}"
    match change:
        case "column":
            table.remove_column(column)
        case "name":
            table.rename_column(column, "z")
        case "mask":
            items, table = table.items, type(table)(table, masked=True)
            table.items = items
            for each in ("class_name", column, "set90", "reason"):
                table[each].mask = True
        case "class":
            table["class_name"][:] = "x<y"
        case "set":
            table["set90"][:] = "?"
        case "meta":
            table.meta.clear()
    page = table._repr_html_()
    if change == "class":
        assert "<b>x&lt;y</b>" in page
    else:
        assert change == "mask" or name in page


def test_images_of_every_mode_and_kind_of_number_are_read(galaxies):
    image = Image.fromarray(galaxies[0])
    wanted = answers(image)["p5"][0]
    flux = galaxies[0].mean(2) * 40
    hidden = np.ma.masked_array(flux, np.arange(128)[None] < np.full((128, 1), 8))
    for form in (
        *(image.convert(mode) for mode in ("CMYK", "HSV")),
        (galaxies[0] / 255).astype(np.float16),
        (torch.from_numpy(galaxies[0]) / 255).permute(2, 0, 1).bfloat16(),
    ):
        assert answers(form)["p5"][0] == pytest.approx(wanted, abs=0.02)
    wanted = answers(flux)["p5"][0]
    for form in (Image.fromarray(flux), flux.astype(np.longdouble)):
        assert answers(form)["p5"][0] == pytest.approx(wanted, abs=0.01)
    blank = np.where(hidden.mask, np.nan, flux)
    assert list(answers(hidden)["p5"]) == list(answers(blank)["p5"])


def test_a_tensor_without_colors_is_not_turned():
    values = torch.arange(12.0).reshape(3, 4)
    with as_files(values) as (path,):
        assert np.array_equal(fits.getdata(path), values.numpy())


def test_images_of_memory_leave_no_file_when_their_table_is_gone(galaxies):
    table = answers(galaxies[0])
    (item,) = table.items
    assert Path(item.path).is_file()
    del table
    gc.collect()
    assert not Path(item.path).parent.exists()


def test_a_training_and_an_evaluation_show_themselves(tmp_path, caplog):
    write_hdf5(tmp_path / "galaxies.h5", SimulateConfig(num=40, image_size=64))
    caplog.set_level("INFO", "dmagnet")
    run = dmagnet.train(
        tmp_path / "galaxies.h5", tmp_path / "run",
        recipe="smoke", device="cpu", epochs=1, dropout=0.3, zoom=1.0,
    )  # fmt: skip
    known = dmagnet.load(run.weights).config
    assert (known.model.size, known.model.dropout, known.augment.zoom) == (
        *("xs", 0.3, 1.0),
    )
    assert len(pictures(run)) == 1
    assert len(run.history) == 1
    seen = dmagnet.evaluate(
        tmp_path / "run", tmp_path / "galaxies.h5", tmp_path / "seen"
    )
    assert len(pictures(seen)) == 1
    assert f"n = {seen.metrics.n}" in seen._repr_html_()
    assert any("the val part" in line for line in caplog.messages)


def test_python_calls_print_nothing(galaxies, tmp_path, capfd):
    write_hdf5(tmp_path / "galaxies.h5", SimulateConfig(num=40, image_size=64))
    dmagnet.embed(galaxies, weights="xs", device="cpu")
    out = tmp_path / "calibrated.safetensors"
    fitted = dmagnet.calibrate("xs", tmp_path / "galaxies.h5", out, split="all")
    assert fitted.calibration.temperature == dmagnet.load(out).calibration.temperature
    dmagnet.failures("xs", tmp_path / "galaxies.h5", tmp_path / "failures")
    assert dmagnet.audit(tmp_path / "galaxies.h5").num == 40
    assert capfd.readouterr() == ("", "")


def test_verbs_take_places_as_text(galaxies, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_hdf5(tmp_path / "galaxies.h5", SimulateConfig(num=20, image_size=64))
    assert (
        len(dmagnet.load_galaxies(str(dmagnet.prepare("galaxies.h5", "ready")))) == 20
    )
    fits.PrimaryHDU(planes()[0], planes()[1].to_header()).writeto("tile.fits")
    Path("places.csv").write_text("id,ra,dec\none,150,2\n")
    tiles = CutoutConfig(tiles=("tile.fits",))
    assert dmagnet.cutouts("places.csv", "cut", cutout=tiles).rows == 1
    dmagnet.explain("cut/one.fits", weights="xs", out="why")
    assert dmagnet.report("why").is_file()
    quick = {"layers": (), "compare": False}
    assert dmagnet.page(galaxies[0], "page", weights="xs", **quick).first.is_file()


def test_a_notebook_shows_how_far_it_is(galaxies, monkeypatch, capfd):
    assert bars() is None
    monkeypatch.setitem(sys.modules, "ipykernel", object())
    answers(list(galaxies))
    assert "Classifying" in capfd.readouterr().err
    dmagnet.explain(list(galaxies), weights="xs", methods=("lam",))
    assert "lam" in capfd.readouterr().err
    quick = DreamConfig(steps=3, octaves=1, views=1)
    small = {"layer": "stage2", "weights": "xs"}
    dmagnet.dream(torch.rand(1, 3, 96, 96), **small, config=quick)
    assert re.search(r"Dreaming.*/3 ", capfd.readouterr().err)
    passes = RedreamConfig(schedule=(96, 128), dream=quick)
    dmagnet.redream(torch.rand(1, 3, 128, 128), **small, config=passes)
    assert capfd.readouterr().err.count("0/3 ") == 2
    count = bars()("Working", 3)
    for done in (1, 2):
        time.sleep(0.15)  # a bar is drawn ten times a second
        count(done)
    assert "2/3" in capfd.readouterr().err


def test_every_verb_is_a_call_of_its_name():
    calls = {name: getattr(dmagnet, name) for name in VERBS if name != "app"}
    assert all(callable(call) for call in calls.values())
    assert set(VERBS) - {"app"} <= set(dir(dmagnet))


def test_an_editor_completes_what_there_is():
    tree = ast.parse(Path(dmagnet.__file__).with_suffix(".pyi").read_text())
    froms = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    told = {
        each.asname: getattr(importlib.import_module(node.module), each.name)
        for node in froms
        if node.module not in ("collections.abc", "typing", "dmagnet")
        for each in node.names
    }
    assert told == {
        name: getattr(dmagnet, name) for name in dir(dmagnet) if name in told
    }
    assert set(told) == set(dmagnet.__all__) - {"__version__"}


def test_a_verb_can_be_called_when_the_room_that_had_its_name_is_imported():
    import dmagnet.simulate
    from dmagnet.simulate import simulate as drawn

    assert drawn is simulate
    images, _ = dmagnet.simulate(num=1, image_size=64)
    assert images.shape == (1, 64, 64, 3)


def test_what_there_is_can_be_completed():
    assert {"classify", "dream", "explain", "measure"} <= set(dir(dmagnet))
    assert not [name for name in dir(dmagnet) if name.startswith("_P")]


@pytest.mark.parametrize("usual", [True, False], ids=["on", "off"])
def test_the_garbage_collector_rests_while_loading_and_is_left_as_it_was(usual):
    (gc.enable if usual else gc.disable)()
    try:
        with suppress(AttributeError), loading():
            assert not gc.isenabled()
            raise AttributeError
        assert gc.isenabled() is usual
    finally:
        gc.enable()
