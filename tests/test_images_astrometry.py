"""Where on the sky an image lies, whatever dialect its header speaks."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.utils.data import get_pkg_data_filename
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from dmagnet.config import SourceConfig
from dmagnet.pictures.astrometry import icrs_of, pixel_of, sky_of
from dmagnet.pictures.inputs import Flag, list_items, read_picture
from dmagnet.pictures.opening import quiet

SIDE, SCALE = 64, 0.262
MIDDLE = (SIDE - 1) / 2
B1950 = SkyCoord(150, 2, unit="deg", frame="fk4").icrs.ra.deg
CATALOGUES = {  # frame of astropy, names of axes, other cards
    "fk5": ("RA---TAN", "DEC--TAN", {"RADESYS": "FK5", "EQUINOX": 1975.0}),
    "fk4": ("RA---TAN", "DEC--TAN", {"RADESYS": "FK4", "EQUINOX": 1950.0}),
    "fk4noeterms": ("RA---TAN", "DEC--TAN", {"RADESYS": "FK4-NO-E", "EQUINOX": 1950.0}),
    "icrs": ("RA---TAN", "DEC--TAN", {"RADESYS": "ICRS"}),
    "galactic": ("GLON-TAN", "GLAT-TAN", {"RADESYS": "FK5"}),
    "supergalactic": ("SLON-TAN", "SLAT-TAN", {}),
    "barycentricmeanecliptic": ("ELON-TAN", "ELAT-TAN", {"EQUINOX": 2000.0}),
}


def header(lon=150.0, lat=2.0, names=("RA---TAN", "DEC--TAN"), **cards):
    found = fits.Header()
    found["CTYPE1"], found["CTYPE2"] = names
    found["CRVAL1"], found["CRVAL2"] = lon, lat
    found["CRPIX1"] = found["CRPIX2"] = (SIDE + 1) / 2
    found["CD1_1"], found["CD2_2"] = -SCALE / 3600, SCALE / 3600
    found["CD1_2"] = found["CD2_1"] = 0.0
    found.update(cards)
    return found


def read(tmp_path, head, name="a.fits"):
    """Read a galaxy of noise under this header, as a run does."""
    y, x = np.mgrid[:SIDE, :SIDE] - MIDDLE
    planes = 9 * np.exp(-np.hypot(x, y) / 4) + np.random.default_rng(0).normal(
        0, 0.01, (3, SIDE, SIDE)
    )
    head = head.copy()
    head["BANDS"] = "grz"
    fits.writeto(tmp_path / name, planes.astype(np.float32), head)
    (item,) = list_items(tmp_path / name)
    return read_picture(item, 32, 1.0, SourceConfig())


def near(item, ra, dec, arcsec=0.05):
    found = SkyCoord(item.ra, item.dec, unit="deg")
    return found.separation(SkyCoord(ra, dec, unit="deg")) < arcsec * u.arcsec


@given(
    frame=st.sampled_from(sorted(CATALOGUES)),
    lon=st.floats(0, 359.99),
    lat=st.floats(-89, 89),
    swapped=st.booleans(),
)
def test_any_frame_and_order_of_axes_becomes_icrs_as_skycoord_says(
    frame, lon, lat, swapped
):
    first, second, cards = CATALOGUES[frame]
    head = header(lon, lat, (first, second), **cards)
    if swapped:
        head["CTYPE1"], head["CTYPE2"] = second, first
        head["CRVAL1"], head["CRVAL2"] = lat, lon
    with quiet():
        wcs, scale, notes = sky_of(head)
    assert notes == ()
    assert scale == pytest.approx((SCALE, SCALE))
    wanted = SkyCoord(lon, lat, unit="deg", frame=frame, **_equinox(cards, frame)).icrs
    ra, dec = icrs_of(wcs, MIDDLE, MIDDLE)
    assert SkyCoord(ra, dec, unit="deg").separation(wanted) < 0.05 * u.arcsec
    np.testing.assert_allclose(pixel_of(wcs, ra, dec), MIDDLE, atol=1e-3)
    ra, dec = icrs_of(wcs, 3.0, 50.0)
    np.testing.assert_allclose(pixel_of(wcs, ra, dec), (3, 50), atol=1e-3)


def _equinox(cards, frame):
    """Return the equinox as astropy writes it, for the frames that have one."""
    if frame in ("icrs", "galactic", "supergalactic"):
        return {}
    return {
        "equinox": ("B" if frame.startswith("fk4") else "J") + str(cards["EQUINOX"])
    }


def test_a_place_on_the_other_side_of_the_sky_is_no_pixel():
    wcs, _, _ = sky_of(header())
    assert np.isnan(pixel_of(wcs, 330, -2)).all()
    assert np.isnan(pixel_of(wcs, 10, 80)).all()


@pytest.mark.parametrize(
    ("cards", "ra"),
    [
        ({"RADESYS": "J2000"}, 150.0),
        ({"RADESYS": "FK5 (J2000)"}, 150.0),
        ({"RADESYS": "fk5"}, 150.0),
        ({"RADESYS": "icrs"}, 150.0),
        ({"RADESYS": 5}, 150.0),
        ({"RADESYS": "B1950"}, B1950),
        ({"RADECSYS": "FK4"}, B1950),
        ({"EQUINOX": 1950.0}, B1950),
        ({"EQUINOX": "1950.0"}, B1950),
        ({"EQUINOX": "J2000"}, 150.0),
        ({"EQUINOX": 0.0}, 150.0),
        ({"EQUINOX": 0.0, "RADESYS": "FK4"}, B1950),
        ({"CUNIT1": "degree", "CUNIT2": "degree"}, 150.0),
        ({"CUNIT1": "degrees", "CUNIT2": "DEG"}, 150.0),
        ({"CUNIT1": 1, "CUNIT2": 1}, 150.0),
        ({"CRVAL1": "150.0", "CD1_1": "-7.2777777E-05"}, 150.0),
        ({"CTYPE3": "FREQ", "CUNIT3": "nonsense", "CUNIT1": "DEG"}, 150.0),
    ],
)
def test_the_dialects_of_a_header_are_understood(tmp_path, cards, ra):
    head = header(**cards)
    item = read(tmp_path, head).item
    assert not item.flag & Flag.BAD_WCS
    assert item.ra == pytest.approx(ra, abs=1e-5)


@pytest.mark.parametrize(
    "cards",
    [
        {"RADESYS": "GCRS"},
        {"RADESYS": "GAPPT"},
        {"RADESYS": "nonsense"},
        {"CTYPE1": "HPLN-TAN", "CTYPE2": "HPLT-TAN"},
        {"CRVAL1": "150,0"},
        {"CUNIT1": "nonsense"},
        {"CRVAL1": 1e300},
        {"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "CRPIX1": 1e12},
    ],
)
def test_a_frame_that_nobody_knows_costs_the_position_and_not_the_class(
    tmp_path, cards
):
    picture = read(tmp_path, header(**cards))
    assert picture.rgb is not None
    assert np.isnan(picture.item.ra)
    assert np.isnan(picture.item.dec)
    assert picture.item.flag & Flag.BAD_WCS
    assert "\n" not in picture.item.reason


def test_lookup_tables_of_distortion_are_read_from_the_file():
    """Hubble's flt: the tables are extensions of the same file."""
    path = get_pkg_data_filename("data/dist_lookup.fits.gz", "astropy.wcs.tests")
    with quiet(), fits.open(path) as hdus:
        wcs, _, notes = sky_of(hdus[1].header, hdus)
        wanted = WCS(hdus[1].header, hdus)
        assert notes == ()
        for x, y in ((0, 0), (2000, 1000), (4095, 2047)):
            lon, lat = wanted.all_pix2world(x, y, 0)
            assert icrs_of(wcs, x, y) == pytest.approx((float(lon), float(lat)))
            np.testing.assert_allclose(pixel_of(wcs, lon, lat), (x, y), atol=0.01)


@pytest.mark.parametrize("half", ["no tables", "no axes"])
def test_lookup_tables_that_are_not_there_cost_neither_class_nor_position(
    tmp_path, half
):
    cards = {"CPDIS1": "LOOKUP", "DP1": "EXTVER: 1"}
    if half == "no axes":  # wcslib calls this a lack of memory
        cards = {"CPDIS1": "LOOKUP", "DP1.EXTVER": 1.0, "DP1.AXIS.1": 1.0}
    with quiet():
        picture = read(tmp_path, header(**cards))
    assert picture.rgb is not None
    assert near(picture.item, 150, 2)
    assert picture.item.flag & Flag.BAD_WCS
    assert "lookup tables" in picture.item.reason


@pytest.mark.parametrize("names", ["TAN", "TPV"])
def test_sip_without_its_suffix_is_read_without_a_word(tmp_path, capfd, names):
    sip = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5, "B_0_2": 1e-5}
    head = header(names=(f"RA---{names}", f"DEC--{names}"), **sip)
    wcs, _, notes = sky_of(head)
    assert capfd.readouterr() == ("", "")
    assert notes == ()
    assert wcs.has_distortion == (names == "TAN")


def test_sip_beside_the_terms_of_scamp_is_read_as_astropy_reads_it():
    path = get_pkg_data_filename("data/header_newlines.fits", "astropy.wcs.tests")
    head = fits.getheader(path)
    with quiet():
        wcs, _, notes = sky_of(head)
        wanted = WCS(head).all_pix2world(10, 20, 0)
    assert notes == ()
    assert icrs_of(wcs, 10, 20) == pytest.approx(tuple(map(float, wanted)))
