"""Numbers that stand for no value, and numbers that only look so."""

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmagnet.config import SourceConfig
from dmagnet.pictures import draw, read_planes
from dmagnet.pictures.blanks import fluxes, is_bytes
from dmagnet.pictures.inputs import Flag, list_items, read_picture

RNG = np.random.default_rng(4)
N = 96
Y, X = np.mgrid[:N, :N] - (N - 1) / 2
GALAXY = np.exp(-np.hypot(X, 2 * Y) / 6)
SKIES = {  # level, noise, peak: nanomaggies, counts, counts with their sky, a model
    "nanomaggies": (0.0, 0.003, 2.0),
    "counts": (0.0, 3.0, 5000.0),
    "sky": (1000.0, 30.0, 20_000.0),
    "no noise": (0.0, 0.0, 2.0),
}
USED = (-99, -999, -9999, -32768, -(2**31), 1e30, -1e31, 3e38, np.inf)
WHERE = {
    "border": X < -30,
    "corner": X + Y < -70,
    "spots": (np.arange(N * N) % 97 == 0).reshape(N, N),
    "most": np.maximum(np.abs(X), np.abs(Y)) > 24,
    "middle": np.hypot(X, Y) < 5,
}


def planes(kind="nanomaggies", count=3):
    level, noise, peak = SKIES[kind]
    colors = np.array([0.5, 1.0, 1.6])[:count, None, None]
    data = level + colors * peak * GALAXY + noise * RNG.normal(0, 1, (count, N, N))
    return data.astype(np.float32)


def picture(path, data, **cards):
    fits.writeto(path, data, fits.Header(cards), overwrite=True)
    (item,) = list_items(str(path))
    return read_picture(item, 64, 0.75, SourceConfig())


def same_as_nan(tmp_path, data, hidden, value, **cards):
    marked, holed = data.copy(), data.astype(np.float32)
    marked[..., hidden], holed[..., hidden] = value, np.nan
    one = picture(tmp_path / "marked.fits", marked, **cards)
    cards.pop("BLANK", None)
    other = picture(tmp_path / "holed.fits", holed, **cards)
    assert one.item.flag == other.item.flag
    assert one.item.flag & Flag.SOME_NAN
    np.testing.assert_array_equal(one.rgb, other.rgb)
    return one.item.reason


@pytest.mark.parametrize("value", USED)
@pytest.mark.parametrize("kind", SKIES)
def test_numbers_that_surveys_use_for_no_value_are_found_wherever_they_are(kind, value):
    for name, hidden in WHERE.items():
        data = planes(kind)
        data[:, hidden] = value
        flux, _ = fluxes(data)
        np.testing.assert_array_equal(~np.isfinite(flux[1]), hidden, name)


@given(
    value=st.sampled_from([-99.0, -999.0, -9999.0, -32768.0, 1e30, -1e5, 7e6]),
    kind=st.sampled_from(["nanomaggies", "counts", "sky"]),
    where=st.sampled_from(sorted(WHERE)),
    known=st.booleans(),
)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_number_for_no_value_changes_a_picture_as_nan_does(
    tmp_path, value, kind, where, known
):
    cards = {"BANDS": "grz", "BUNIT": "nanomaggy" if known else "adu"}
    reason = same_as_nan(tmp_path, planes(kind), WHERE[where], value, **cards)
    count = 3 * int(WHERE[where].sum())
    assert f"{count} of {value:.7g}" in reason
    assert f"{count} pixels without a value (NaN) were filled with sky" in reason


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint16, np.float32])
def test_the_number_that_the_header_names_is_no_value(tmp_path, dtype):
    data = (planes("sky", 1)[0]).round().astype(dtype)
    blank = 1017  # in the midst of the sky
    hidden = data == 1017
    path = tmp_path / "a.fits"
    fits.writeto(path, data, overwrite=True)
    raw = path.read_bytes()
    shown = blank - 32768 if dtype == np.uint16 else blank
    end = raw.index(b"END" + b" " * 77)
    card = f"BLANK   = {shown:>20}".ljust(80).encode()
    path.write_bytes(raw[:end] + card + raw[end : end + 80] + raw[end + 160 :])
    read = read_planes(path)
    assert hidden.sum() > 20
    np.testing.assert_array_equal(~np.isfinite(read.values[0]), hidden)


def test_what_is_hidden_under_a_pedestal_becomes_sky():
    for level in (0.0, 0.02, 3.0):  # of them the second is too low to be taken off
        data = planes() + np.float32(level)
        whole, _ = draw(data, "grz")
        data[:, WHERE["corner"]] = np.nan
        rgb, _ = draw(data, "grz")
        sky = np.median(whole[WHERE["corner"]], axis=0)
        np.testing.assert_allclose(rgb[WHERE["corner"]].mean(0), sky, atol=0.04)


# what is none


@pytest.mark.parametrize("kind", SKIES)
def test_images_without_such_numbers_keep_every_pixel(kind):
    data = planes(kind)
    flux, notes = fluxes(data)
    np.testing.assert_array_equal(flux, data)
    assert notes == ()


@pytest.mark.parametrize("kind", SKIES)
@pytest.mark.parametrize("limit", [0.01, 0.05, 0.3])
def test_a_saturated_star_is_no_missing_value(kind, limit):
    level, _, peak = SKIES[kind]
    star = 5000 * peak * np.exp(-((X - 20) ** 2 + (Y - 20) ** 2) / 12)
    data = planes(kind, 1) + star.astype(np.float32)
    data = np.minimum(data, np.float32(level + limit * 5000 * peak))
    assert (data == data.max()).sum() >= 16
    assert fluxes(data)[1] == ()


@pytest.mark.parametrize("form", ["zeros", "clipped", "whole numbers", "stamp", "hole"])
def test_zeros_and_limits_are_no_missing_values(form):
    data = planes("counts")
    if form == "zeros":
        data[:, WHERE["border"]] = 0
    elif form == "clipped":
        data = data.clip(0)
    elif form == "whole numbers":
        data = data.round()
    elif form == "stamp":  # all but the galaxy was masked
        data[:, GALAXY < 0.01] = 0
    else:  # a few pixels that the reduction took too much from
        data[:, 5, 5:9] = [-350, -420.5, -280, -999.5]
    flux, notes = fluxes(data)
    np.testing.assert_array_equal(flux, data)
    assert notes == ()


def test_a_usual_number_among_its_like_is_a_flux():
    data = RNG.normal(0, 50, (1, 256, 256)).round()
    assert (data == -99).sum() >= 16
    assert fluxes(data)[1] == ()


def test_a_border_of_zeros_far_below_the_sky_is_no_sky(tmp_path):
    cards = {"BUNIT": "adu"}
    reason = same_as_nan(tmp_path, planes("sky", 1)[0], WHERE["border"], 0, **cards)
    assert "of 0" in reason


def test_real_images_keep_every_pixel(shared):
    for path in sorted((shared / "fits").iterdir()):
        assert Flag.SOME_NAN not in dict(read_planes(path).notes)


# pictures in larger types


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int16, np.uint16, float])
def test_whole_numbers_up_to_255_are_a_picture_in_any_type(dtype):
    pixels = RNG.integers(0, 256, (20, 20, 3)).astype(dtype)
    assert is_bytes(pixels)
    assert not is_bytes(pixels + pixels.dtype.type(300))
    assert not is_bytes(pixels - pixels.dtype.type(1)) or dtype == np.uint16
    assert not is_bytes((pixels > 9).astype(dtype))  # 0 and 1
    if dtype is float:
        assert not is_bytes(pixels / 2)


def test_a_picture_saved_as_fits_is_one_in_any_type(tmp_path):
    pixels = (255 * planes("no noise") / 4).round().clip(0, 255).astype(np.uint8)
    plain = picture(tmp_path / "a.fits", pixels)
    for dtype in (np.int16, np.int32, np.int64, np.float32, np.float64):
        other = picture(tmp_path / "b.fits", pixels.astype(dtype))
        assert other.item.flag == plain.item.flag
        np.testing.assert_array_equal(other.rgb, plain.rgb)
    assert picture(tmp_path / "b.fits", pixels.astype(float), BUNIT="nmgy").item.flag
