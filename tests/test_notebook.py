"""Galaxies from memory, and answers that show themselves in a notebook."""

import base64
import io
import re

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.wcs import WCS
from PIL import Image

import dmagnet
from dmagnet.config import DreamConfig, SimulateConfig
from dmagnet.errors import DataError
from dmagnet.pictures.inputs import as_files
from dmagnet.simulator import simulate

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


def test_what_is_no_image_is_refused_in_a_line():
    with pytest.raises(DataError, match="Cutout2D, got dict"):
        answers([{}])


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


def test_a_dream_of_a_galaxy_in_memory_needs_no_weights_and_shows_itself(galaxies):
    dreamed = dmagnet.dream(Image.fromarray(galaxies[0]), "stage2", config=QUICK)
    (picture,) = pictures(dreamed)
    assert picture.width > 2 * picture.height
    assert dreamed.provenance["weights_hash"] == dmagnet.load("s").weights_hash


def test_what_there_is_can_be_completed():
    assert {"classify", "dream", "explain", "measure"} <= set(dir(dmagnet))
    assert not [name for name in dir(dmagnet) if name.startswith("_P")]
