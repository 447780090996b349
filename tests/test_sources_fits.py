"""Fluxes of any bands, units and scales, as the network sees them."""

import gzip
import os

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from dmagnet.config import SourceConfig
from dmagnet.pictures import draw, legacy_rgb, opening, read_planes, resize
from dmagnet.pictures.bands import wavelength
from dmagnet.pictures.inputs import Flag, list_items, read_picture

RNG = np.random.default_rng(3)
SIDE, FIELD = 64, 0.75


def flux(side=256, total=60.0, noise=True):
    """A round galaxy in g, r, z, in nanomaggies of 0.262 arcsec pixels."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    shape = np.exp(-np.hypot(x, y) / (side / 24))
    planes = np.stack([s * shape for s in (0.5, 1.0, 1.6)]) * total / shape.sum()
    if noise:
        planes += RNG.normal(0, 1, planes.shape) * [[[0.0018]], [[0.0027]], [[0.0083]]]
    return planes.astype(np.float32)


FLUX = flux()


def sky(scale=0.262, side=256):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.1, 2.2], [(side + 1) / 2] * 2
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    return wcs.to_header()


def write(path, data, header=None, **cards):
    header = header.copy() if header else fits.Header()
    header.update(cards)
    fits.writeto(path, data, header, overwrite=True)
    return path


def read(path, **settings):
    config = SourceConfig(**settings)
    (item,) = list_items(str(path), config)
    return read_picture(item, SIDE, FIELD, config)


def close(one, other, mean=1.5):
    assert one is not None
    assert np.abs(one.astype(int) - other.astype(int)).mean() < mean


@pytest.fixture
def usual(tmp_path):
    """The cut-out as the service writes it, and its picture."""
    path = write(tmp_path / "usual.fits", FLUX, sky(), BANDS="grz")
    picture = read(path)
    assert picture.item.flag == Flag.OK
    return picture


def test_a_cut_out_of_the_service_is_the_viewers_picture_resized(usual):
    drawn = legacy_rgb(FLUX).transpose(1, 2, 0)[::-1]
    whole = np.round(drawn * 255).astype(np.uint8)
    wanted = resize(whole[None], SIDE, FIELD)[0]
    assert np.abs(usual.rgb.astype(int) - wanted).max() <= 1


def test_the_position_is_that_of_the_center(usual):
    assert usual.item.ra == pytest.approx(150.1, abs=1e-9)
    assert usual.item.dec == pytest.approx(2.2, abs=1e-9)


def test_a_position_in_other_coordinates_becomes_icrs(tmp_path):
    header = sky()
    header["CTYPE1"], header["CTYPE2"] = "GLON-TAN", "GLAT-TAN"
    header["CRVAL1"], header["CRVAL2"] = 122.93192, 27.12825  # the north pole
    header.remove("RADESYS")
    item = read(write(tmp_path / "a.fits", FLUX, header, BANDS="grz")).item
    assert item.dec == pytest.approx(90, abs=1e-3)


@pytest.mark.parametrize("form", ["gz", "fz", "second HDU", "by name", "bands last"])
def test_every_form_of_the_file_gives_the_same_picture(tmp_path, usual, form):
    path, header, settings = tmp_path / "a.fits", sky(), {}
    header["BANDS"] = "grz"
    if form == "gz":
        path = tmp_path / "a.fits.gz"
        path.write_bytes(gzip.compress((tmp_path / "usual.fits").read_bytes()))
    elif form == "fz":
        path = tmp_path / "a.fits.fz"
        packed = fits.CompImageHDU(FLUX, header, quantize_level=64)
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path)
    elif form == "bands last":
        write(path, np.ascontiguousarray(FLUX.transpose(1, 2, 0)), header)
    else:
        wanted = fits.ImageHDU(FLUX, header, name="SCI")
        other = fits.ImageHDU(FLUX[0], name="ERR")
        fits.HDUList([fits.PrimaryHDU(), other, wanted]).writeto(path)
        settings = {"hdu": "2" if form == "second HDU" else "SCI"}
    close(read(path, **settings).rgb, usual.rgb, mean=1.0)


def test_bands_in_another_order_and_more_of_them_change_nothing(tmp_path, usual):
    more = np.stack([FLUX[2], 9 * FLUX[1], FLUX[0], FLUX[1]])
    path = write(tmp_path / "a.fits", more, sky())
    for named in ("zigr", "z,i,g,r", "SDSS z,SDSS i,SDSS g,SDSS r"):
        picture = read(path, bands=named)
        close(picture.rgb, usual.rgb, 0.01)
        assert picture.item.flag == Flag.NO_UNITS  # taken as nanomaggies
    numbered = {f"BAND{i}": band for i, band in enumerate("zigr")}
    write(path, more, sky(), BUNIT="nanomaggy", **numbered)
    assert read(path).item.flag == Flag.OK


# units and scales


@pytest.mark.parametrize(
    ("cards", "factor"),
    [
        ({"BUNIT": "nanomaggy"}, 1.0),
        ({"BUNIT": "nJy"}, 1 / 3630.78),
        ({"BUNIT": "uJy/pixel"}, 1 / 3.63078),
        ({"BUNIT": "adu", "MAGZP": 25.0}, 0.1),
        ({"FLUXMAG0": 1e10}, 0.1),  # counts of magnitude 0: a zero point of 25
        ({"BUNIT": "MJy/sr"}, 0.44437),  # 1e6 Jy/sr * (0.262 arcsec)^2 / 3.6308e-6 Jy
    ],
)
def test_every_unit_leads_to_the_same_picture(tmp_path, usual, cards, factor):
    path = write(tmp_path / "a.fits", FLUX / np.float32(factor), sky(), **cards)
    picture = read(path, bands="grz")
    close(picture.rgb, usual.rgb, 0.1)
    assert picture.item.flag == Flag.OK


def test_counts_of_no_known_unit_are_brought_to_the_usual_noise(tmp_path):
    bright = flux(total=300)
    known = read(write(tmp_path / "a.fits", bright, sky(), BANDS="grz"))
    picture = read(write(tmp_path / "b.fits", 700 * bright + 40, sky()), bands="grz")
    assert picture.item.flag == Flag.NO_UNITS
    assert "look usual" in picture.item.reason
    close(picture.rgb, known.rgb, 4)


def test_fluxes_without_noise_and_unit_are_brought_to_the_usual_brightness(tmp_path):
    clean = flux(noise=False)
    picture = read(write(tmp_path / "a.fits", 5e4 * clean, sky()), bands="grz")
    assert "look usual" in picture.item.reason
    assert 100 < picture.rgb.max(axis=2)[28:36, 28:36].mean() <= 255
    assert np.median(picture.rgb) < 60


@pytest.mark.parametrize("scale", [0.131, 0.524])
def test_pixels_of_another_scale_show_the_same_sky_as_bright(tmp_path, usual, scale):
    """The same galaxy seen by another camera: flux a pixel follows its area."""
    side = round(256 * 0.262 / scale)
    finer = flux(1024, noise=False)
    share = 1024 // side
    planes = finer.reshape(3, side, share, side, share).sum((2, 4))
    path = write(tmp_path / "a.fits", planes, sky(scale, side), BUNIT="nanomaggy")
    picture = read(path, bands="grz")
    assert picture.item.flag == Flag.OK
    close(picture.rgb, usual.rgb, 4)  # of it 3 are the noise that this one lacks


def test_a_scale_in_the_header_counts_without_a_wcs(tmp_path):
    path = write(tmp_path / "a.fits", FLUX, BANDS="grz", PIXSCALE=0.131)
    assert read(path).item.flag == Flag.SMALL_FIELD
    given = read(write(path, FLUX, BANDS="grz"), pixel_scale=0.131)
    assert given.item.flag == Flag.SMALL_FIELD


# bands


@pytest.mark.parametrize(
    ("name", "telescope", "nm"),
    [
        ("r", "", 622), ("R", "", 658), ("HSC-I", "", 763), ("SDSS z", "", 905),
        ("g DECam SDSS c0001 4720.0 1520.0", "", 475), ("F606W", "HST ACS", 606),
        ("F160W", "HST WFC3", 1600), ("F200W", "JWST NIRCAM", 2000), ("VIS", "", 715),
        ("Ks", "", 2160), ("nonsense", "", np.nan), ("g'", "", 475), ("ip", "", 763),
        ("HSC-R2", "", 622), ("F660", "T80S", 660), ("J0660", "JAST80", 660),
    ],
)  # fmt: skip
def test_bands_are_known_by_the_names_surveys_give_them(name, telescope, nm):
    assert wavelength(name, telescope) == pytest.approx(nm, nan_ok=True)


def test_g_r_i_are_drawn_with_the_viewers_factor_for_i(tmp_path):
    colors, notes = draw(FLUX, ("g", "r", "i"))
    as_z = FLUX * np.array([1, 1, 3.0 / 2.2], np.float32)[:, None, None]
    drawn = legacy_rgb(as_z).transpose(1, 2, 0)
    np.testing.assert_allclose(colors, drawn, atol=1e-5)
    assert notes == ((Flag.OTHER_BANDS, "g, r, i drawn as g, r, z"),)
    picture = read(write(tmp_path / "a.fits", FLUX, sky(), BANDS="gri"))
    assert picture.item.flag == Flag.OTHER_BANDS


def test_of_many_bands_the_nearest_are_drawn_from_blue_to_red():
    planes = np.stack([FLUX[0]] * 4) * np.arange(1, 5)[:, None, None]
    _, notes = draw(planes, ("F160W", "F814W", "F435W", "F606W"), telescope="HST")
    assert notes[0][1] == "F435W, F606W, F814W drawn as g, r, z"


def test_two_bands_have_their_mean_between_them():
    rgb, _ = draw(np.stack([FLUX[0], FLUX[0]]), ("g", "z"))
    middle = rgb[128, 128]
    assert middle[0] < middle[1] < middle[2]


def test_one_band_is_drawn_in_grey_with_a_flag(tmp_path):
    path = write(tmp_path / "a.fits", FLUX[1], sky(), BUNIT="nmgy", FILTER="r")
    picture = read(path)
    assert picture.item.flag == Flag.ONE_BAND
    assert (picture.rgb[..., 0] == picture.rgb[..., 2]).all()
    guessed = read(write(path, 5000 * FLUX[1] + 900, sky()))
    assert guessed.item.flag == Flag.ONE_BAND | Flag.NO_UNITS
    close(guessed.rgb, picture.rgb, 12)


def test_a_sky_that_the_fluxes_contain_is_taken_off(tmp_path, usual):
    path = write(tmp_path / "a.fits", FLUX + 3, sky(), BUNIT="nmgy")
    close(read(path, bands="grz").rgb, usual.rgb, 4)


def test_one_file_a_band_is_one_picture(tmp_path, usual):
    for name in ("m1", "m2"):
        for band, plane in zip("grz", FLUX, strict=True):
            write(tmp_path / f"{name}_{band}.fits", plane, sky(), BUNIT="nmgy")
    (tmp_path / "m2_z.fits").unlink()
    first, second = list_items(str(tmp_path / "*_{band}.fits"))
    assert (first.id, second.id) == ("m1", "m2")
    assert first.path.endswith("m1_{g,r,z}.fits")
    picture = read_picture(first, SIDE, FIELD, SourceConfig())
    assert picture.item.flag == Flag.OK
    assert picture.item.ra == pytest.approx(150.1)
    close(picture.rgb, usual.rgb, 0.01)
    lacking = read_picture(second, SIDE, FIELD, SourceConfig())
    assert lacking.rgb is None
    assert lacking.item.flag == Flag.MISSING_BAND
    assert "band z" in lacking.item.reason


def test_bands_of_different_sizes_are_refused(tmp_path):
    write(tmp_path / "a_g.fits", FLUX[0])
    write(tmp_path / "a_r.fits", FLUX[1][:100])
    picture = read(tmp_path / "a_{g,r}.fits")
    assert picture.item.flag == Flag.BAD_SHAPE


# doubts and faults


def test_missing_pixels_are_sky_and_flagged(tmp_path, usual):
    holed = FLUX.copy()
    holed[:, 100, 20:40] = np.nan
    picture = read(write(tmp_path / "a.fits", holed, sky(), BANDS="grz"))
    assert picture.item.flag == Flag.SOME_NAN
    close(picture.rgb, usual.rgb, 0.5)


@pytest.mark.parametrize("kind", ["noise", "one band of noise", "negative"])
def test_an_image_without_a_source_is_doubted(tmp_path, kind):
    noise = RNG.normal(0, 0.004, FLUX.shape).astype(np.float32)
    planes = {"noise": noise, "one band of noise": noise[0], "negative": -FLUX - 0.1}
    bands = {} if kind == "one band of noise" else {"BANDS": "grz"}
    picture = read(write(tmp_path / "a.fits", planes[kind], sky(), **bands))
    assert picture.item.flag & Flag.NEGATIVE_FLUX
    assert (picture.rgb is None) == (kind == "negative")  # it is black


def test_a_galaxy_that_fills_the_image_is_not_called_noise(tmp_path):
    y, x = np.mgrid[:128, :128] - 64
    smooth = 5 * np.exp(-np.hypot(x, y) / 200) + RNG.normal(0, 0.004, (3, 128, 128))
    path = write(tmp_path / "a.fits", smooth.astype(np.float32), BANDS="grz")
    assert read(path).item.flag == Flag.OK


@pytest.mark.parametrize("how", ["singular", "absurd scale", "unknown projection"])
def test_a_broken_wcs_is_a_doubt_and_the_image_is_taken_as_it_is(tmp_path, usual, how):
    header = sky()
    if how == "singular":
        header["CDELT1"] = 0.0
    elif how == "absurd scale":
        header["CDELT1"] = header["CDELT2"] = 1.0  # degrees
    else:
        header["CTYPE1"], header["CTYPE2"] = "RA---XYZ", "DEC--XYZ"
    picture = read(write(tmp_path / "a.fits", FLUX, header, BANDS="grz"))
    assert picture.item.flag == Flag.BAD_WCS
    assert np.isnan(picture.item.ra)
    close(picture.rgb, usual.rgb, 0.01)


def faulty(tmp_path, how):
    path = tmp_path / "a.fits"
    if how == "no image":
        fits.HDUList([fits.PrimaryHDU()]).writeto(path)
    elif how == "all NaN":
        write(path, np.full((3, 64, 64), np.nan, np.float32))
    elif how == "all zero":
        write(path, np.zeros((3, 64, 64), np.float32), BANDS="grz")
    elif how == "one plane NaN":
        planes = FLUX.copy()
        planes[2] = np.nan
        write(path, planes, BANDS="grz")
    elif how == "one plane zero":
        planes = FLUX.copy()
        planes[0] = 0
        write(path, planes, BANDS="grz")
    elif how == "spectrum":
        write(path, np.zeros((40, 41, 42), np.float32))
    elif how == "tiny":
        write(path, np.eye(5, dtype=np.float32))
    elif how == "truncated":
        path.write_bytes(write(path, FLUX).read_bytes()[:50_000])
    elif how.startswith("huge"):
        side = 9_000 if how == "huge for its file" else 50_000
        header = fits.Header([("SIMPLE", True), ("BITPIX", -32), ("NAXIS", 2)])
        header["NAXIS1"] = header["NAXIS2"] = side
        path.write_bytes(header.tostring().encode() + b"\0" * 2880)
        if how == "huge":
            os.truncate(path, 2880 + 4 * side**2)  # the disk keeps no zeros
        elif how == "huge in gz":
            zeros = gzip.compress(bytes(1 << 26), 1)
            packed = gzip.compress(path.read_bytes()) + 2 * zeros
            path = tmp_path / "a.fits.gz"
            path.write_bytes(packed)
    return path


@pytest.mark.parametrize(
    ("how", "flag"),
    [
        ("no image", Flag.NO_IMAGE),
        ("all NaN", Flag.NO_VALUES),
        ("all zero", Flag.NO_VALUES),
        ("one plane NaN", Flag.MISSING_BAND),
        ("one plane zero", Flag.MISSING_BAND),
        ("spectrum", Flag.BAD_SHAPE),
        ("tiny", Flag.TOO_SMALL),
        ("truncated", Flag.UNREADABLE),
        ("huge", Flag.TOO_LARGE),
        ("huge in gz", Flag.TOO_LARGE),
        ("huge for its file", Flag.UNREADABLE),
    ],
)
def test_a_fits_file_without_a_galaxy_is_a_row_with_a_flag(
    tmp_path, monkeypatch, how, flag
):
    monkeypatch.setattr(opening, "MAX_UNPACKED", 1 << 27)  # not a GB in a test
    picture = read(faulty(tmp_path, how))
    assert picture.rgb is None
    assert picture.item.flag == flag, picture.item
    assert "\n" not in picture.item.reason
    assert str(tmp_path) not in picture.item.reason


def test_what_a_file_cannot_hold_is_not_made_room_for(tmp_path):
    reason = read(faulty(tmp_path, "huge for its file")).item.reason
    assert "got 5760 bytes of at least 324002880" in reason


def test_an_extension_that_is_not_there_is_flagged(tmp_path):
    path = write(tmp_path / "a.fits", FLUX)
    assert read(path, hdu="SCI").item.flag == Flag.NO_IMAGE
    assert read(path, hdu="4").item.flag == Flag.NO_IMAGE


def test_planes_keep_their_bands_and_their_unit(tmp_path):
    planes = read_planes(write(tmp_path / "a.fits", FLUX, sky(0.524), BUNIT="nmgy"))
    assert planes.scale == (pytest.approx(0.524), pytest.approx(0.524))
    assert planes.factor == pytest.approx(0.25)
    assert planes.bands == ()


# real files


def test_every_real_fits_file_has_a_class_and_the_flags_it_deserves(shared):
    flags = {
        "decals_dr5_grz_162_example_b": Flag.SMALL_FIELD,
        "decals_dr5_grz_509_example_a": Flag.OK,
        "hsc_multiband_cut1": Flag.SMALL_FIELD | Flag.OTHER_BANDS | Flag.NO_UNITS,
        "m51_dss_like_512": Flag.ONE_BAND | Flag.NO_UNITS,
        "sdss_g_167_587722984439545906": Flag.ONE_BAND | Flag.NO_UNITS,
        "sdss_g_167_587725552281976904": Flag.ONE_BAND | Flag.NO_UNITS,
    }
    found = {}
    for item in list_items(shared / "fits"):
        picture = read_picture(item, 128, 0.706, SourceConfig())
        assert picture.rgb is not None
        found[picture.item.id] = picture.item.flag
        if "decals" in item.id:
            assert np.isfinite([picture.item.ra, picture.item.dec]).all()
    assert found == flags


def hdus(path, *planes, mask=None, names="GRZ"):
    parts = [fits.PrimaryHDU()]
    parts += [fits.ImageHDU(p, name=n) for p, n in zip(planes, names, strict=True)]
    if mask is not None:
        parts.append(fits.ImageHDU(mask.astype(np.int16), name="DQ"))
    fits.HDUList(parts).writeto(path, overwrite=True)
    return path


def test_a_band_in_each_extension_is_drawn_as_a_cube_is(tmp_path):
    cube = read(write(tmp_path / "a.fits", FLUX, BANDS="grz"), pixel_scale=0.262)
    path = hdus(tmp_path / "b.fits", *FLUX[::-1], names=("z", "r", "g"))
    each = read(path, hdu="g,r,z", pixel_scale=0.262)
    assert not each.item.flag & (Flag.ONE_BAND | Flag.OTHER_BANDS)
    close(each.rgb, cube.rgb)


def test_extensions_of_different_shapes_are_no_image(tmp_path):
    path = hdus(tmp_path / "b.fits", FLUX[0], FLUX[1], FLUX[2, :100])
    picture = read(path, hdu="G,R,Z")
    assert picture.rgb is None
    assert picture.item.flag == Flag.BAD_SHAPE


def test_what_a_mask_hides_is_filled_with_sky(tmp_path):
    spoiled, mask = FLUX.copy(), np.zeros(FLUX.shape[1:], bool)
    mask[150:170, 150:170] = True
    spoiled[:, mask] = 30
    path = hdus(tmp_path / "b.fits", *spoiled, mask=mask)
    clean = hdus(tmp_path / "c.fits", *FLUX)
    hidden = read(path, hdu="G,R,Z", mask="DQ")
    assert hidden.item.flag & Flag.SOME_NAN
    close(hidden.rgb, read(clean, hdu="G,R,Z").rgb)


@pytest.mark.parametrize("mask", ["DQ", "7"])
def test_a_mask_that_is_not_there_or_does_not_fit_is_a_flag(tmp_path, mask):
    path = hdus(tmp_path / "b.fits", *FLUX, mask=np.zeros((5, 5)))
    picture = read(path, hdu="G,R,Z", mask=mask)
    assert picture.rgb is None
    assert picture.item.flag in (Flag.BAD_SHAPE, Flag.NO_IMAGE)


def test_a_cube_without_names_says_which_flag_names_its_bands(tmp_path):
    path = write(tmp_path / "a.fits", FLUX, sky())
    line = "the planes were taken as g, r, z; --bands names them"
    assert line in read(path).item.reason
    assert line not in read(path, bands="grz").item.reason
