"""Explanations on disk and on the sky: any input in, DS9 finds the source again."""

import json
import typing

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_scales
from PIL import Image

import dmagnet
from dmagnet.cli import main
from dmagnet.config import SimulateConfig, SourceConfig
from dmagnet.config.classify_config import Method
from dmagnet.errors import DataError
from dmagnet.explaining import METHODS, explain
from dmagnet.explaining.explanation import stems
from dmagnet.figures import to_png
from dmagnet.figures.overlays import evidence_figure, overlay
from dmagnet.pictures.inputs import list_items, read_picture
from dmagnet.simulator import simulate

CENTER = 150.1, 2.2
STAR = SkyCoord(150.1 + 6 / 3600, 2.2 + 4 / 3600, unit="deg")  # beside the galaxy


def sky(shape, scale):
    """A WCS that is turned, with its reference away from the middle."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = CENTER, [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    turn = np.deg2rad(25)
    matrix = np.array([[-np.cos(turn), np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    wcs.wcs.cd = matrix * scale / 3600
    return wcs


def write(path, shape, scale):
    """A galaxy in the middle and a star beside it, in g, r, z."""
    wcs = sky(shape, scale)
    y, x = np.mgrid[: shape[0], : shape[1]]
    middle = wcs.world_to_pixel(SkyCoord(*CENTER, unit="deg"))
    light = 0.8 * np.exp(-np.hypot(x - middle[0], y - middle[1]) * scale / 2.5)
    star = wcs.world_to_pixel(STAR)
    wide = 2 * (1.2 / scale) ** 2
    light += 3 * np.exp(-((x - star[0]) ** 2 + (y - star[1]) ** 2) / wide)
    flux = np.stack([light, light, light]) * scale**2
    flux += np.random.default_rng(0).normal(0, 0.03 * scale**2, flux.shape)
    header = wcs.to_header()
    fits.writeto(path, flux.astype(np.float32), header, overwrite=True)
    return path


def brightest(rgb, place, near=7):
    """The centroid of what is bright near a place; FITS pixels from 0, from below."""
    light = rgb[::-1].mean(axis=2).astype(float)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]]
    close = np.hypot(x - place[0], y - place[1]) < near
    top = light * close
    top = np.where(top > 0.6 * top.max(), top, 0)
    return (top * x).sum() / top.sum(), (top * y).sum() / top.sum()


@pytest.fixture(scope="module")
def network():
    return dmagnet.load("xs")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two JPEGs of simulated galaxies."""
    folder = tmp_path_factory.mktemp("pictures")
    drawn, _ = simulate(SimulateConfig(num=10, image_size=128, seed=3))
    for name, i in (("one", 3), ("two", 6)):
        Image.fromarray(drawn[i]).save(folder / f"{name}.jpg", quality=95)
    return folder


@pytest.mark.parametrize("radii", [3.0, None])
@pytest.mark.parametrize(
    ("shape", "scale"),
    [((256, 256), 0.262), ((201, 310), 0.262), ((720, 700), 0.1), ((60, 70), 0.6)],
)
def test_a_source_has_its_position_in_the_view(tmp_path, shape, scale, radii):
    path = write(tmp_path / "a.fits", shape, scale)
    config = SourceConfig(bands="grz")
    (item,) = list_items(path, config)
    picture = read_picture(item, 96, 0.706, config, radii=radii)
    wcs, notes = picture.view_wcs()
    assert wcs is not None
    assert not notes
    place = wcs.world_to_pixel(STAR)
    assert 0 < place[0] < 95
    assert 0 < place[1] < 95
    found = brightest(picture.rgb, place)
    assert np.hypot(found[0] - place[0], found[1] - place[1]) < 0.6
    turned = wcs.pixel_to_world(*place)
    assert turned.separation(STAR).arcsec < 1e-6


def test_the_view_keeps_angles_on_the_sky(tmp_path):
    path = write(tmp_path / "a.fits", (256, 256), 0.262)
    config = SourceConfig(bands="grz")
    (item,) = list_items(path, config)
    wcs, _ = read_picture(item, 96, 0.706, config).view_wcs()
    step = proj_plane_pixel_scales(wcs) * u.deg
    assert np.allclose(step.to_value("arcsec"), 0.706 * 256 * 0.262 / 96, rtol=0.01)


def test_files_have_the_place_of_the_galaxy_on_the_sky(tmp_path, network):
    path = write(tmp_path / "a.fits", (256, 256), 0.262)
    out = tmp_path / "out"
    (each,) = explain(
        path, weights=network, methods=("evidence", "scales"), out=out, target=5,
        against="merging", source=SourceConfig(bands="grz"),
    )  # fmt: skip
    with fits.open(out / "a.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["EVIDENCE", "SCALES"]
        for hdu in hdus:
            place = WCS(hdu.header).celestial.world_to_pixel(STAR)
            assert np.allclose(place, each.wcs.world_to_pixel(STAR), atol=1e-6)
        found = brightest(np.moveaxis(hdus[0].data[:, ::-1], 0, 2), place)
        assert np.hypot(found[0] - place[0], found[1] - place[1]) < 0.6
        assert np.array_equal(hdus[1].data[::-1], each.maps["evidence"])
        assert hdus[1].header["TARGET"] == "Barred Spiral"
        assert hdus[1].header["AGAINST"] == "Merging"
        assert hdus[1].header["WEIGHTS"] == network.weights_hash[:16]


def test_a_folder_has_pictures_and_a_record_of_all(tmp_path, network, pictures):
    (pictures / "broken.png").write_bytes(b"\x89PNG no")
    told = []
    found = explain(
        pictures, weights=network, methods=METHODS[2:4], out=tmp_path, tell=told.append
    )
    assert [each.item.id for each in found] == ["one", "two"]
    assert [line for line in told if "broken.png: left out" in line]
    text = (tmp_path / "explain.json").read_text()
    record = json.loads(text)
    assert "NaN" not in text
    assert record["weights_hash"] == network.weights_hash
    assert [entry["id"] for entry in record["galaxies"]] == ["one", "two"]
    assert [entry["id"] for entry in record["left_out"]] == ["broken"]
    for entry, each in zip(record["galaxies"], found, strict=True):
        assert entry["target"] == each.class_name
        assert abs(sum(entry["probabilities"].values()) - 1) < 1e-4
        for name in entry["files"].values():
            assert (tmp_path / name).stat().st_size > 0
        with Image.open(tmp_path / entry["files"]["lam"]) as picture:
            assert picture.size == (384, 384)


def test_inputs_without_a_picture_are_one_line(tmp_path, network):
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a\.png: expected a picture") as error:
        explain(path, weights=network)
    assert "\n" not in str(error.value)


def test_names_of_files_stay_in_their_folder():
    ids = ["../../etc/passwd", "a b", "a_b", "A_B", "...", "x" * 300, "<script>", "ü/é"]
    names = stems(ids)
    assert len({name.lower() for name in names}) == len(ids)
    for name in names:
        assert "/" not in name
        assert not name.startswith(".")
        assert 0 < len(name) <= 90
    assert names[:3] == ["etc_passwd", "a_b", "a_b-2"]


def test_an_overlay_leaves_zero_alone_and_tells_signs_apart():
    rgb = np.full((8, 8, 3), (90, 100, 110), np.uint8)
    values = np.zeros((8, 8))
    assert (overlay(rgb, values) == overlay(rgb, values)[0, 0, 0]).all()
    values[1, 1], values[6, 6] = 2.0, -2.0
    seen = overlay(rgb, values, reach=2.0).astype(int)
    assert seen[1, 1, 0] > seen[1, 1, 2] + 50
    assert seen[6, 6, 2] > seen[6, 6, 0] + 50
    assert np.ptp(seen[3, 3]) == 0
    for wrong, words in (
        (values[:4], "the form of the picture"),
        (values * np.nan, "NaN"),
    ):
        with pytest.raises(DataError, match=words):
            overlay(rgb, wrong)


def test_a_figure_shows_the_galaxy_and_every_map():
    rgb = np.zeros((8, 8, 3), np.uint8)
    maps = {name: np.eye(8) for name in METHODS}
    figure = evidence_figure(rgb, maps, title="a$b_{$: why")
    assert to_png(figure).startswith(b"\x89PNG")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    names = ["attention" if name == "lam" else name for name in METHODS]
    assert titles == ["galaxy", *(name.replace("_", " ") for name in names)]


def test_the_verb_knows_the_methods_and_explains(tmp_path, pictures, capsys):
    assert typing.get_args(Method) == METHODS
    name, out = str(pictures / "one.jpg"), str(tmp_path / "out")
    assert main(["explain", name, "-o", out, "--weights", "xs"]) == 0
    printed = capsys.readouterr().out
    assert "one: why " in printed
    assert (tmp_path / "out" / "one-evidence.png").is_file()
    assert main(["explain", name, "-o", out, "--weights", "xs", "--target", "x"]) == 1
    assert "no class 'x'; the classes are" in capsys.readouterr().err


def test_classes_is_another_name_of_target(tmp_path, pictures, capsys):
    words = [str(pictures / "one.jpg"), "-o", str(tmp_path / "out"), "--weights", "xs"]
    assert main(["explain", *words, "--classes", "x"]) == 1
    assert "no class 'x'; the classes are" in capsys.readouterr().err
