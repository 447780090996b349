import gzip

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from dmagnet.errors import DataError
from dmagnet.pictures import (
    Cutout,
    from_array,
    legacy_rgb,
    read_fits,
    read_image,
    rgb_hdu,
)

RNG = np.random.default_rng(5)
FLUX = RNG.normal(0, 0.02, (3, 40, 50)).astype(np.float32)
FLUX[:, 30, 10] = 3.0  # a star in FITS row 30, column 10, counted from 0


def sky(scale_arcsec=0.262, distorted=False):
    """A tangent-plane WCS as the cut-out service writes it."""
    wcs = WCS(naxis=2)
    tail = "-SIP" if distorted else ""
    wcs.wcs.ctype = [f"RA---TAN{tail}", f"DEC--TAN{tail}"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.1, 2.2], [25.5, 20.5]
    wcs.wcs.cd = np.diag([-scale_arcsec, scale_arcsec]) / 3600
    return wcs


def write(path, data, wcs=None, **cards):
    header = fits.Header() if wcs is None else wcs.to_header()
    header.update(cards)
    fits.writeto(path, data, header)
    return path


def where(wcs, x, y):
    return np.ravel(wcs.all_pix2world([[x, y]], 0))


def test_a_cube_of_g_r_z_is_drawn_as_the_viewer_draws_it_top_row_first(tmp_path):
    cutout = read_fits(write(tmp_path / "a.fits", FLUX, BANDS="grz"))
    drawn = legacy_rgb(torch.from_numpy(FLUX)).permute(1, 2, 0).numpy()
    assert cutout.rgb.dtype == np.float32
    np.testing.assert_allclose(cutout.rgb[::-1], drawn, atol=1e-6)
    assert cutout.notes == ()


def test_bands_are_found_by_their_names_in_any_order(tmp_path):
    plain = read_fits(write(tmp_path / "a.fits", FLUX, BANDS="grz"))
    more = np.stack([FLUX[2], np.full_like(FLUX[0], 9), FLUX[0], FLUX[1]])
    other = read_fits(write(tmp_path / "b.fits", more, BANDS="zigr"))
    np.testing.assert_array_equal(plain.rgb, other.rgb)


def test_a_cube_without_names_of_bands_is_taken_as_g_r_z_with_a_note(tmp_path):
    cutout = read_fits(write(tmp_path / "a.fits", FLUX))
    assert "taken as g, r, z" in cutout.notes[0]


def test_the_wcs_finds_the_star_that_the_picture_shows(tmp_path):
    cutout = read_fits(write(tmp_path / "a.fits", FLUX, sky(), BANDS="grz"))
    row, column = np.unravel_index(cutout.rgb.sum(2).argmax(), cutout.rgb.shape[:2])
    here = where(cutout.wcs, column, cutout.rgb.shape[0] - 1 - row)
    np.testing.assert_allclose(here, where(sky(), 10, 30), atol=1e-12)


def test_the_pixel_scale_is_in_arcseconds(tmp_path):
    cutout = read_fits(write(tmp_path / "a.fits", FLUX, sky(0.4), BANDS="grz"))
    assert cutout.pixel_scale == pytest.approx(0.4)
    assert Cutout(cutout.rgb).pixel_scale is None


@pytest.mark.parametrize("side", [20, 40, 61])
@pytest.mark.parametrize("matrix", ["PC", "CD"])
def test_a_resized_square_keeps_the_sky_under_it(tmp_path, side, matrix):
    path = write(tmp_path / "a.fits", FLUX, sky(), BANDS="grz")
    if matrix == "CD":
        with fits.open(path, mode="update") as hdus:
            for axis in (1, 2):
                hdus[0].header.remove(f"CDELT{axis}")
                step = hdus[0].header.pop(f"PC{axis}_{axis}")
                hdus[0].header[f"CD{axis}_{axis}"] = step
    whole = read_fits(path)
    part = whole.square(side)
    assert part.rgb.shape == (side, side, 3)
    # The square is columns 5 to 44 of the 50, all 40 rows; edges at halves.
    for share in (0.0, 0.3, 1.0):
        x, y = 5 + 40 * share - 0.5, 40 * share - 0.5
        new = side * share - 0.5
        np.testing.assert_allclose(
            where(part.wcs, new, new), where(whole.wcs, x, y), atol=1e-10
        )
    assert part.pixel_scale == pytest.approx(0.262 * 40 / side)


def test_a_distorted_wcs_is_dropped_with_a_note_when_the_image_is_resized(tmp_path):
    wcs = sky(distorted=True)
    header = wcs.to_header()
    header.update(A_ORDER=2, B_ORDER=2, A_2_0=1e-5, B_0_2=1e-5)
    fits.writeto(tmp_path / "a.fits", FLUX, header)
    whole = read_fits(tmp_path / "a.fits")
    assert whole.wcs.has_distortion
    part = whole.square(20)
    assert part.wcs is None
    assert "distortions" in part.notes[-1]


def test_one_band_becomes_grey_with_dark_sky_and_a_white_core(tmp_path):
    y, x = np.mgrid[:60, :60]
    flux = 100 + 800 * np.exp(-np.hypot(x - 30, y - 30) / 4)
    flux += RNG.normal(0, 1, (60, 60))
    cutout = read_fits(write(tmp_path / "a.fits", flux.astype(np.float32)))
    assert (cutout.rgb[..., 0] == cutout.rgb[..., 2]).all()
    assert 0.08 < np.median(cutout.rgb[:8]) < 0.15  # as dark as the viewer's sky
    assert cutout.rgb.max() == 1.0
    assert cutout.wcs is None


def test_the_grey_does_not_depend_on_the_unit_or_the_level_of_the_sky(tmp_path):
    flux = RNG.normal(0, 1, (30, 30)) + 50 * np.eye(30)
    one = read_fits(write(tmp_path / "a.fits", flux)).rgb
    other = read_fits(write(tmp_path / "b.fits", 300 * flux + 1e4)).rgb
    np.testing.assert_allclose(one, other, atol=2e-3)


def test_integers_with_a_scale_and_a_blank_are_read_as_their_values(tmp_path):
    counts = np.arange(400, dtype=np.int16).reshape(20, 20)
    header = fits.Header({"BSCALE": 0.5, "BZERO": 10.0, "BLANK": 7})
    with (tmp_path / "a.fits").open("wb") as file:
        hdu = fits.PrimaryHDU(counts)
        hdu.header.update(header)
        file.write(bytes(hdu.header.tostring(), "ascii"))
        file.write(counts.astype(">i2").tobytes().ljust(2880, b"\0"))
    cutout = read_fits(tmp_path / "a.fits")
    assert cutout.notes[0] == "1 pixels without a value (NaN) were filled with sky"
    assert cutout.rgb[0, -1, 0] > cutout.rgb[-1, -1, 0]


def test_a_constant_image_is_sky_not_an_error(tmp_path):
    rgb = read_fits(write(tmp_path / "a.fits", np.full((9, 9), 4.0))).rgb
    assert np.ptp(rgb) == 0
    assert rgb.max() < 0.15


def test_missing_pixels_become_sky_with_a_note(tmp_path):
    flux = FLUX.copy()
    flux[:, 3, 4] = np.nan
    cutout = read_fits(write(tmp_path / "a.fits", flux, BANDS="grz"))
    assert np.isfinite(cutout.rgb).all()
    assert cutout.notes == ("3 pixels without a value (NaN) were filled with sky",)
    assert abs(float(cutout.rgb[40 - 1 - 3, 4].mean()) - np.median(cutout.rgb)) < 0.1


def test_the_first_image_is_found_behind_empty_and_table_extensions(tmp_path):
    table = fits.BinTableHDU(Table({"a": [1]}))
    hdus = [fits.PrimaryHDU(), table, fits.ImageHDU(FLUX, name="SCI")]
    hdus.append(fits.ImageHDU(FLUX[0], name="ERR"))
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    assert read_fits(tmp_path / "a.fits").rgb.shape == (40, 50, 3)
    assert read_fits(tmp_path / "a.fits", hdu="SCI").rgb.shape == (40, 50, 3)
    grey = read_fits(tmp_path / "a.fits", hdu=3).rgb
    assert (grey[..., 0] == grey[..., 1]).all()


@pytest.mark.parametrize("suffix", [".fits", ".fits.gz", ".fits.fz"])
def test_the_front_door_knows_fits_by_its_name_compressed_or_not(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    hdu = fits.CompImageHDU if suffix.endswith("fz") else fits.ImageHDU
    fits.HDUList([fits.PrimaryHDU(), hdu(FLUX[0])]).writeto(path)
    plain = read_fits(write(tmp_path / "plain.fits", FLUX[0]))
    assert np.abs(read_image(path).rgb - plain.rgb).max() < 0.05  # fz quantizes floats


def test_the_front_door_knows_fits_by_its_first_bytes(tmp_path):
    path = write(tmp_path / "a.fits", FLUX, BANDS="grz")
    other = path.rename(tmp_path / "cutout")
    assert read_image(other).rgb.shape == (40, 50, 3)


def test_a_picture_written_as_a_cube_comes_back_bit_for_bit(tmp_path):
    cutout = Cutout(RNG.random((30, 20, 3), np.float32), sky())
    rgb_hdu(cutout).writeto(tmp_path / "a.fits")
    back = read_image(tmp_path / "a.fits")
    np.testing.assert_array_equal(back.rgb, cutout.rgb)
    np.testing.assert_allclose(where(back.wcs, 3, 4), where(sky(), 3, 4), atol=1e-10)


def broken(tmp_path, how):
    path = tmp_path / "a.fits"
    if how == "missing":
        return path
    if how == "no image":
        fits.HDUList([fits.PrimaryHDU()]).writeto(path)
    elif how == "all NaN":
        write(path, np.full((3, 9, 9), np.nan))
    elif how == "one band all NaN":
        write(path, np.where(np.arange(3)[:, None, None] == 1, np.nan, FLUX))
    elif how == "two names for three planes":
        write(path, FLUX, BANDS="gr")
    elif how == "four axes":
        write(path, np.zeros((2, 2, 5, 5)))
    elif how == "a spectrum":
        write(path, np.zeros((60, 5, 5)))
    elif how == "text":
        path.write_text("no FITS")
    elif how == "truncated":
        path.write_bytes(write(tmp_path / "b.fits", FLUX).read_bytes()[:9000])
    elif how == "truncated gz":
        path = tmp_path / "a.fits.gz"
        packed = gzip.compress(write(tmp_path / "b.fits", FLUX).read_bytes())
        path.write_bytes(packed[: len(packed) // 2])
    return path


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", "found nothing"),
        ("no image", "expected an image in some HDU, found PrimaryHDU"),
        ("all NaN", "all NaN"),
        ("one band all NaN", "all NaN"),
        ("two names for three planes", "got 3 planes and BANDS='gr'"),
        ("four axes", "cut one out of it"),
        ("a spectrum", "got 60: a spectrum or slices of time; add up those of each"),
        ("text", "expected a whole FITS file"),
        ("truncated", "expected a whole FITS file"),
        ("truncated gz", "expected a whole FITS file"),
    ],
)
def test_what_is_no_fits_image_is_refused_in_one_line(tmp_path, how, says):
    with pytest.raises(DataError, match="fits") as caught:
        read_image(broken(tmp_path, how))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_hdu_that_is_not_there_is_refused(tmp_path):
    path = write(tmp_path / "a.fits", FLUX)
    for hdu in (5, "SCI"):
        with pytest.raises(DataError, match="no HDU"):
            read_fits(path, hdu=hdu)


# arrays


def test_bytes_reach_from_0_to_1_and_floats_stay_as_they_are():
    pixels = RNG.integers(0, 256, (5, 6, 3), np.uint8)
    np.testing.assert_allclose(from_array(pixels).rgb, pixels / 255, atol=1e-7)
    floats = RNG.random((5, 6, 3), np.float32)
    np.testing.assert_array_equal(from_array(floats).rgb, floats)


def test_a_grey_array_is_repeated_and_alpha_lies_over_black():
    grey = RNG.random((5, 6))
    assert np.ptp(from_array(grey).rgb, axis=2).max() == 0
    half = np.dstack([np.ones((2, 2, 3)), np.full((2, 2), 0.5)])
    np.testing.assert_allclose(from_array(half).rgb, 0.5)


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((3, 8, 8)), "put colors last"),
        (np.zeros((0, 8, 3)), "expected an array of shape"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.full((4, 4), 200.0), "divide 8-bit values by 255"),
        (np.zeros((4, 4), np.int64), "got int64"),
    ],
)
def test_an_array_that_is_no_picture_is_refused(array, says):
    with pytest.raises(DataError, match=says):
        read_image(array)


# real cut-outs


def test_real_cut_outs_are_read_each_with_what_its_header_says(shared):
    scales = {
        "decals_dr5_grz_162_example_b": 0.262,
        "hsc_multiband_cut1": 0.168,
        "m51_dss_like_512": None,
        "sdss_g_167_587722984439545906": None,
    }
    for name, scale in scales.items():
        cutout = read_image(shared / "fits" / f"{name}.fits")
        assert cutout.rgb.ndim == 3
        assert cutout.pixel_scale == (scale and pytest.approx(scale, rel=1e-3))
        assert 0 <= cutout.rgb.min() < 0.1
        assert cutout.rgb.max() > 0.7
