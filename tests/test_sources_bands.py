"""One image a band: on one grid of pixels, in one unit, from blue to red."""

import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from dmagnet.config import SourceConfig
from dmagnet.pictures import read_planes
from dmagnet.pictures.inputs import Flag, list_items, read_picture
from dmagnet.pictures.planes import stacked

RNG = np.random.default_rng(8)
SIDE, FIELD = 64, 0.75
DOUBTS = Flag.SMALL_FIELD | Flag.SOME_NAN


def wcs(*, scale=0.262, shape=(128, 128), ra=150.1, turn=0.0, shift=(0, 0), flip=1):
    made = WCS(naxis=2)
    made.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    made.wcs.crval = [ra, 2.2]
    made.wcs.crpix = [(n + 1) / 2 + s for n, s in zip(shape[::-1], shift, strict=True)]
    angle = np.radians(turn)
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    made.wcs.cd = np.diag([-flip, 1.0]) @ rotation * scale / 3600
    return made


def seen(made, shape=(128, 128), noise=0.001):
    """A lopsided galaxy, and a star beside it, as pixels of this grid show them.

    In nanomaggies a square of 0.262 arcsec.
    """
    y, x = np.mgrid[: shape[0], : shape[1]]
    ra, dec = made.all_pix2world(x, y, 0)
    east = (ra - 150.1) * 3600 * np.cos(np.radians(2.2)) / 0.262
    north = (dec - 2.2) * 3600 / 0.262
    light = 2 * np.exp(-np.hypot(east, 2 * north) / 8)
    light += 3 * np.exp(-((east - 20) ** 2 + (north - 12) ** 2) / 8)
    return (light + RNG.normal(0, noise, shape)).astype(np.float32)


def write(path, data, made=None, **cards):
    header = fits.Header() if made is None else made.to_header()
    header.update(cards)
    fits.writeto(path, data, header, overwrite=True)


def picture(path, **settings):
    config = SourceConfig(**settings)
    (item,) = list_items(str(path), config)
    return read_picture(item, SIDE, FIELD, config)


def three(folder, last, shape=(128, 128), unit="nanomaggy", **cards):
    """Bands g and r on one grid, z on another; and all on one, for comparison."""
    for band, factor in zip("grz", (0.5, 1.0, 1.6), strict=True):
        plain = seen(wcs()) * np.float32(factor)
        write(folder / f"right_{band}.fits", plain, wcs(), BUNIT=unit)
        if band == "z" and last is not None:
            area = np.abs(np.linalg.det(last.wcs.cd)) * (3600 / 0.262) ** 2
            plain = seen(last, shape) * np.float32(factor * area)
        grid = last if band == "z" else wcs()
        write(folder / f"other_{band}.fits", plain, grid, BUNIT=unit, **cards)
    return picture(folder / "right_{g,r,z}.fits"), picture(
        folder / "other_{g,r,z}.fits"
    )


def apart(one, other):
    return np.abs(one.rgb.astype(int) - other.rgb.astype(int)).mean()


@pytest.mark.parametrize(
    ("grid", "shape"),
    [
        ({"shift": (5, -7)}, (128, 128)),
        ({"shift": (0.5, 0.5)}, (128, 128)),
        ({"flip": -1}, (128, 128)),
        ({"turn": 30}, (128, 128)),
        ({"scale": 0.4}, (128, 128)),
        ({"scale": 0.131}, (256, 256)),
        ({"shape": (100, 140)}, (100, 140)),
        ({"turn": 90, "scale": 0.3, "shape": (150, 160)}, (150, 160)),
    ],
)
@pytest.mark.parametrize("unit", ["nanomaggy", "adu"])
def test_bands_of_different_grids_are_brought_to_one(tmp_path, grid, shape, unit):
    right, other = three(tmp_path, wcs(**{"shape": shape, **grid}), shape, unit)
    assert other.item.flag & ~DOUBTS == right.item.flag & ~DOUBTS | Flag.OTHER_GRIDS
    assert "brought to the grid of the other bands by the WCS" in other.item.reason
    assert apart(right, other) < (4 if unit == "adu" else 2.5)


def test_counts_of_larger_pixels_are_shared_out(tmp_path):
    three(tmp_path, wcs(scale=0.524, shape=(64, 64)), (64, 64), unit="adu")
    names = ("r", "z")
    each = [read_planes(tmp_path / f"other_{name}.fits") for name in names]
    r, z = stacked(each, names).values[:, 20:-20, 20:-20]
    assert float(z.sum() / r.sum()) == pytest.approx(1.6, rel=0.02)


def test_bands_of_one_grid_stay_as_they_are(tmp_path):
    right, other = three(tmp_path, wcs(shift=(0.05, 0)))
    assert other.item.flag == right.item.flag
    planes = read_planes(tmp_path / "other_z.fits").values
    three(tmp_path, wcs(), HISTORY="reduced on another day", MJD_OBS=5e4)
    assert not picture(tmp_path / "other_{g,r,z}.fits").item.flag & Flag.OTHER_GRIDS
    assert planes.shape == (1, 128, 128)


@pytest.mark.parametrize("how", ["elsewhere", "the other side", "beside it"])
def test_a_band_of_another_part_of_the_sky_is_missing(tmp_path, how):
    ra = {"elsewhere": 160.1, "the other side": 330.1, "beside it": 150.107}[how]
    other = three(tmp_path, wcs(ra=ra))[1]
    assert other.rgb is None
    assert other.item.flag == Flag.MISSING_BAND
    assert other.item.reason == (
        "band z: expected the same part of the sky, got another"
    )


def test_a_band_without_a_wcs_is_laid_on_the_others_and_said(tmp_path):
    right, other = three(tmp_path, None)
    assert other.item.flag == right.item.flag | Flag.OTHER_GRIDS
    line = "no WCS in z: laid pixel by pixel on the other bands"
    assert other.item.reason.startswith(line)
    write(tmp_path / "other_r.fits", seen(wcs(turn=9)), wcs(turn=9), BUNIT="nmgy")
    lost = picture(tmp_path / "other_{g,r,z}.fits")
    assert lost.item.flag == Flag.MISSING_BAND
    assert "expected a WCS in each band" in lost.item.reason


def test_a_distorted_grid_and_another_frame_are_brought_over(tmp_path):
    made = wcs(shift=(3, 3))
    header = made.to_header()
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"
    header.update(A_ORDER=2, B_ORDER=2, A_2_0=2e-4, B_0_2=2e-4)
    right, _ = three(tmp_path, wcs())
    bent = WCS(header)
    fits.writeto(
        tmp_path / "other_z.fits",
        seen(bent) * np.float32(1.6),
        fits.Header([*header.cards, ("BUNIT", "nanomaggy")]),
        overwrite=True,
    )
    other = picture(tmp_path / "other_{g,r,z}.fits")
    assert other.item.flag & Flag.OTHER_GRIDS
    assert apart(right, other) < 2.5


def test_extensions_of_different_grids_are_brought_to_one(tmp_path):
    right, _ = three(tmp_path, wcs())
    hdus = [fits.PrimaryHDU()]
    for band, factor, flip in zip("grz", (0.5, 1.0, 1.6), (1, -1, 1), strict=True):
        grid = wcs(flip=flip)
        header = grid.to_header()
        header.update(BUNIT="nanomaggy", FILTER=band)
        hdus.append(fits.ImageHDU(seen(grid) * np.float32(factor), header, name=band))
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    other = picture(tmp_path / "a.fits", hdu="g,r,z")
    assert other.item.flag & ~DOUBTS == Flag.OTHER_GRIDS
    assert apart(right, other) < 2.5


def test_the_view_lies_where_the_grid_of_the_bands_is(tmp_path):
    other = three(tmp_path, wcs(scale=0.131, shape=(256, 256)), (256, 256))[1]
    assert other.item.ra == pytest.approx(150.1, abs=1e-6)
    scales = other.wcs.proj_plane_pixel_scales()
    assert scales[1].to_value("arcsec") == pytest.approx(0.131)


def test_the_misaligned_bands_of_the_cases_are_one_galaxy(case):
    folder = case("bands_misaligned")
    right = picture(folder / "right_{g,r,z}.fits")
    for name in ("shift", "mirror"):
        other = picture(folder / f"{name}_{{g,r,z}}.fits")
        assert other.item.flag & Flag.OTHER_GRIDS
        assert apart(right, other) < 1
    assert picture(folder / "scale_{g,r,z}.fits").item.flag & Flag.OTHER_GRIDS
    assert picture(folder / "sky_{g,r,z}.fits").item.flag == Flag.MISSING_BAND


# what the primary header says


def extension(path, data, primary=(), **cards):
    first = fits.PrimaryHDU()
    first.header.update(dict(primary))
    header = wcs().to_header()
    header.update(cards)
    fits.HDUList([first, fits.ImageHDU(data, header)]).writeto(path, overwrite=True)
    return path


def factor(tmp_path, primary=(), **cards):
    data = seen(wcs())
    planes = read_planes(extension(tmp_path / "a.fits", data, primary, **cards))
    return planes.factor


def test_filters_of_webb_are_drawn_from_blue_to_red(case):
    folder = case("jwst_band_order")
    for number in (2, 5, 6, 8):
        files = (
            folder / f"{name}{number}_{{F115W,F150W,F200W}}.fits"
            for name in ("i2d", "inSCI")
        )
        split, whole = map(picture, files)
        assert split.item.reason == "F115W, F150W, F200W drawn as g, r, z"
        np.testing.assert_array_equal(split.rgb, whole.rgb)


def test_units_in_the_primary_header_are_those_of_the_extension(case):
    folder = case("primary_header")
    same = picture(folder / "same_r.fits")
    for name in ("hst_drz", "hsc_cutout"):
        other = picture(folder / f"{name}.fits")
        assert other.item.flag == Flag.ONE_BAND
        assert apart(same, other) < 1


def test_the_extension_counts_before_the_primary_header(tmp_path):
    assert factor(tmp_path, {"MAGZERO": 25.0}) == pytest.approx(0.1)
    assert factor(tmp_path, {"MAGZERO": 25.0}, MAGZERO=20.0) == pytest.approx(10)
    assert factor(tmp_path, {"MAGZERO": 25.0}, INHERIT=False) is None


def test_an_image_in_the_primary_hdu_says_nothing_of_an_extension(tmp_path):
    first = fits.PrimaryHDU(np.ones((9, 9)))
    first.header["MAGZERO"], first.header["FILTER"] = 25.0, "g"
    second = fits.ImageHDU(seen(wcs()))
    fits.HDUList([first, second]).writeto(tmp_path / "a.fits")
    planes = read_planes(tmp_path / "a.fits", hdu=1)
    assert planes.factor is None
    assert planes.bands == ()


def test_names_of_all_extensions_are_not_those_of_one(tmp_path):
    path = extension(tmp_path / "a.fits", seen(wcs()), {"BANDS": "grz"})
    assert read_planes(path).bands == ()
    cube = extension(tmp_path / "b.fits", np.stack([seen(wcs())] * 3), {"BANDS": "zrg"})
    assert read_planes(cube).bands == ("z", "r", "g")


# zero points


def test_counts_of_wfcam_have_no_known_unit_where_no_system_is_said(case):
    planes = read_planes(case("wfcam_counts") / "wfcam.fits")
    assert planes.bands == ("K",)
    assert planes.factor is None


@pytest.mark.parametrize(("system", "offset"), [("AB", 0.0), ("VEGA", 1.87)])
def test_counts_of_wfcam_are_those_of_its_exposure_and_system(case, system, offset):
    path = case("wfcam_counts") / "wfcam.fits"
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["PHOTSYS"] = system
    one_second = 10 ** (0.4 * (22.5 - 24.053 - offset))
    assert read_planes(path).factor == pytest.approx(one_second / 10, rel=1e-6)


@pytest.mark.parametrize(
    ("cards", "magnitude"),
    [
        ({"MAGZP": 20.5, "ORIGIN": "2MASS", "FILTER": "j"}, 20.5 + 0.94),
        ({"MAGZP": 20.5, "TELESCOP": "WISE", "BAND": 1}, 20.5 + 2.70),
        ({"MAGZP": 20.5, "TELESCOP": "WISE", "BAND": 4}, 20.5 + 6.62),
        ({"MAGZP": 20.5, "TELESCOP": "WISE"}, None),  # of which band?
        ({"PHOTZP": 30.0, "PHOTSYS": "VEGA", "FILTER": "Ks"}, 31.87),
        ({"PHOTZP": 30.0, "PHOTSYS": "AB", "TELESCOP": "ESO-VISTA"}, 30.0),
        ({"PHOTZP": 30.0, "FILTER": "Ks"}, 30.0),  # AB where nothing is said
        ({"MAGZEROP": 25.0}, 25.0),
        ({"MAGZERO": "25.0"}, 25.0),
        ({"ZPT": 25.0, "EXPTIME": 90.0}, 25.0),
        ({"MAGZPT": 25.0}, 25.0),
        ({"MAGZPT": 25.0, "EXPTIME": 1.0}, 25.0),
        ({"MAGZPT": 25.0, "EXPTIME": 90.0}, None),  # of a second, or of the exposure?
        ({"MAGZPT": 25.0, "EXPTIME": 90.0, "BUNIT": "adu/s"}, 25.0),
        ({"MAGZPT": 25.0, "EXPTIME": 100.0, "TELESCOP": "ESO-VST"}, 30.0),
        ({"MAGZPT": 25.0, "TELESCOP": "ESO-VST"}, None),
        ({"EXPTIME": 100.0, "HIERARCH FPA.TELESCOPE": "PS1"}, 30.0),
        ({"FLUXMAG0": 1e10, "EXPTIME": 90.0}, 25.0),
    ],
)
def test_a_zero_point_is_of_its_system_and_its_time(tmp_path, cards, magnitude):
    found = factor(tmp_path, cards)
    if magnitude is None:
        assert found is None
    else:
        assert found == pytest.approx(10 ** (0.4 * (22.5 - magnitude)), rel=1e-6)


@pytest.mark.parametrize(
    ("unit", "seconds"),
    [("ELECTRONS/S", 1), ("electron s-1", 1), ("ELECTRONS", 400), ("COUNTS", 400)],
)
def test_zero_points_of_hubble_are_those_of_a_second(tmp_path, unit, seconds):
    cards = {"TELESCOP": "HST", "EXPTIME": 400.0, "FILTER2": "F606W"}
    light = {"PHOTFLAM": 7.8e-20, "PHOTPLAM": 5920.0}
    found = factor(tmp_path, cards, BUNIT=unit, **light)
    zero = -2.5 * np.log10(7.8e-20) - 5 * np.log10(5920) - 2.408
    assert found == pytest.approx(10 ** (0.4 * (22.5 - zero)) / seconds, rel=1e-6)
    assert factor(tmp_path, cards, **light) is None  # counts of what time?


@pytest.mark.parametrize(("unit", "area"), [("mag", 1), ("mag/arcsec**2", 0.262**2)])
def test_magnitudes_become_fluxes(tmp_path, unit, area):
    linear = np.abs(seen(wcs())) + 1e-4
    data = 22.5 - 2.5 * np.log10(linear)
    planes = read_planes(extension(tmp_path / "a.fits", data, BUNIT=unit))
    np.testing.assert_allclose(planes.values[0], linear, rtol=1e-4)
    assert planes.factor == pytest.approx(area, rel=1e-6)


def test_sky_cells_of_pan_starrs_become_fluxes(tmp_path):
    linear, softening, offset = seen(wcs()) * 1000, 30.0, 1.7
    data = 2.5 * np.log10(np.e) * np.arcsinh((linear - offset) / (2 * softening))
    cards = {"BSOFTEN": softening, "BOFFSET": offset, "EXPTIME": 900.0}
    names = {"FPA.TELESCOPE": "PS1", "FPA.FILTER": "r.00000"}
    header = wcs().to_header()
    header.update(cards)
    for key, value in names.items():
        header[f"HIERARCH {key}"] = value
    packed = fits.ImageHDU(data.astype(np.float32), header)
    path = tmp_path / "a.fits.gz"
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path)
    assert gzip.decompress(path.read_bytes()).startswith(b"SIMPLE")
    planes = read_planes(path)
    np.testing.assert_allclose(planes.values[0], linear, rtol=1e-4, atol=1e-3)
    assert planes.bands == ("r.00000",)
    one_count = 10 ** (0.4 * (22.5 - 25)) / 900
    assert planes.factor == pytest.approx(one_count, rel=1e-5)


def test_bands_whose_frames_alone_differ_are_not_on_one_grid(tmp_path):
    made = wcs()
    for band in "grz":
        cards = {"BUNIT": "nanomaggy", "FILTER": band}
        if band == "r":  # the same numbers, a place 0.7 degrees away
            cards |= {"RADESYS": "FK4", "EQUINOX": 1950.0}
        write(tmp_path / f"{band}.fits", seen(made), made, **cards)
    found = picture(tmp_path / "{g,r,z}.fits")
    assert found.item.flag & Flag.MISSING_BAND


@pytest.mark.parametrize("unit", ["nanomaggy/arcsec^2", "nanomaggies / arcsec**2"])
def test_nanomaggies_of_a_square_arcsec_are_a_surface_brightness(tmp_path, unit):
    made = wcs(scale=0.4)
    write(tmp_path / "a.fits", seen(made), made, BUNIT=unit, FILTER="r")
    assert read_planes(tmp_path / "a.fits").factor == pytest.approx(0.262**2)


def test_a_pixel_scale_that_is_given_counts_for_one_file_a_band_as_for_a_cube(tmp_path):
    bands = [seen(wcs()) for _ in "grz"]
    for band, plane in zip("grz", bands, strict=True):
        write(tmp_path / f"a_{band}.fits", plane)
    write(tmp_path / "cube.fits", np.stack(bands), BANDS="grz")
    each = picture(tmp_path / "a_{g,r,z}.fits", pixel_scale=1.0)
    cube = picture(tmp_path / "cube.fits", pixel_scale=1.0)
    assert each.box == cube.box
    assert each.box[2] == 50  # 0.75 of 67.07 arcsec, not of the 128 px
