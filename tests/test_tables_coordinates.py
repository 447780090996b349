"""Positions of tables: any unit, any spelling, any frame."""

import math

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import Angle, Latitude, Longitude, SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from dmagnet.tables.coordinates import System, degrees, places, unit_of

LONGITUDES = st.floats(0, 359.999)
LATITUDES = st.floats(-89.99, 89.99)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("deg", u.deg), ("Degrees", u.deg), ("DEG", u.deg), ("degree", u.deg),
        ("[deg]", u.deg), ("°", u.deg), ("d", u.deg), ("deg (J2000)", u.deg),
        ("degrees_east", u.deg), ("rad", u.rad), ("Radians", u.rad), ("mas", u.mas),
        ("arcsec", u.arcsec), ("ARCSEC", u.arcsec), ("arcminutes", u.arcmin),
        ("hour", u.hourangle), ("hours", u.hourangle), ("h", u.hourangle),
        ("hr", u.hourangle), ("HOURS", u.hourangle), ("hourangle", u.hourangle),
        ("hour angle", u.hourangle), ("h:m:s", u.hourangle), ('"h:m:s"', u.hourangle),
        ("hms", u.hourangle), ("hh:mm:ss.ss", u.hourangle), ("d:m:s", u.deg),
        ("dms", u.deg), ("dd mm ss", u.deg), ("s", u.hourangle / 3600),
        ("0.001 arcsec", u.mas), ("1e-3 deg", u.deg / 1000),
    ],
)  # fmt: skip
def test_units_are_known_however_they_are_spelled(text, unit):
    found = unit_of(text, hours=True)
    assert found == pytest.approx((1 * unit).to_value(u.deg))


@pytest.mark.parametrize("text", ["", "none", " - ", "--"])
def test_no_unit_is_no_unit(text):
    assert unit_of(text) is None


@pytest.mark.parametrize(
    "text", ["m", "Jy", "mag", "arcsec/yr", "mas / yr", "deg2", "pix", "K", "nonsense"]
)
def test_a_column_whose_unit_is_no_angle_gives_no_position(text):
    with pytest.raises(ValueError, match="is no angle"):
        unit_of(text, hours=True)
    (place,) = places([150.0], [2.0], System(units=(text, "deg")))
    assert math.isnan(place.ra)
    assert repr(text) in place.doubt


def test_time_is_an_angle_for_right_ascension_only():
    with pytest.raises(ValueError, match="is no angle"):
        unit_of("hours")


@settings(max_examples=30)
@given(LONGITUDES, LATITUDES)
@pytest.mark.parametrize("unit", ["deg", "rad", "hourangle", "arcmin", "mas"])
def test_numbers_of_any_unit_are_what_astropy_says(unit, lon, lat):
    ra, dec = (float((v * u.deg).to_value(unit)) for v in (lon, lat))
    wanted = Longitude(ra, unit).deg, Latitude(dec, unit).deg
    for cells in (
        (ra, dec),
        (repr(ra), repr(dec)),
        (np.float64(ra), repr(dec).encode()),
    ):
        (place,) = places([cells[0]], [cells[1]], System(units=(unit, unit)))
        assert (place.ra, place.dec) == pytest.approx(wanted, abs=1e-9)


@settings(max_examples=30)
@given(LONGITUDES, LATITUDES)
@pytest.mark.parametrize("sep", [":", " ", "hms"])
def test_sexagesimal_text_is_what_astropy_says(sep, lon, lat):
    ra = Angle(lon * u.deg).to_string(u.hour, sep=sep, precision=5, pad=True)
    other = "dms" if sep == "hms" else sep
    dec = Angle(lat * u.deg).to_string(
        u.deg, sep=other, precision=4, pad=True, alwayssign=True
    )
    (place,) = places([ra], [dec], System())
    assert (
        SkyCoord(place.ra, place.dec, unit="deg").separation(
            SkyCoord(ra, dec, unit=("hourangle", "deg"))
        )
        < 1e-6 * u.arcsec
    )
    (told,) = places([ra], [dec], System(units=('"h:m:s"', '"d:m:s"')))
    assert told == place


@pytest.mark.parametrize(
    ("cell", "unit", "hours", "wanted"),
    [
        ("150,1163", None, True, 150.1163), ("-2,2058", None, False, -2.2058),
        ("10:00:27,9", None, True, 150.11625), ("\u22122.5", None, False, -2.5),
        ("10h", None, True, 150.0), ("10h00.5m", None, True, 150.125),
        ("150d07m12s", None, True, 150.12),
        ("+02° 12\u2032 18\u2033", None, False, 2.205),
        ("12:34:60.0", None, True, 188.75), ("150:30:00", 1.0, True, 150.5),
        ("-00:30:00", None, False, -0.5), (" 150.5 ", None, True, 150.5),
        (150, None, True, 150.0), (np.float32(2.5), None, False, 2.5),
    ],
)  # fmt: skip
def test_cells_as_people_write_them(cell, unit, hours, wanted):
    assert degrees(cell, unit, hours=hours) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("cell", [None, "", "nan", "--", "NULL", float("nan"), b" "])
def test_an_empty_cell_is_no_position_and_no_doubt(cell):
    assert math.isnan(degrees(cell))
    (place,) = places([cell], [cell], System())
    assert place.doubt == ""


@pytest.mark.parametrize(
    "cell",
    ["9h60", "2..5", "abc", "1_000", "inf", "10:75:00", "1,234,5", "10:00:99", "1e999"],
)
def test_what_is_no_coordinate_is_named(cell):
    (place,) = places([cell], ["2.0"], System(names=("RA", "Dec")))
    assert math.isnan(place.ra)
    assert place.doubt == f"RA {cell!r} is no coordinate"


@pytest.mark.parametrize(("ra", "dec"), [(-999, -999), (400, 2), (10, 91), (10, None)])
def test_what_is_no_place_on_the_sky_is_named(ra, dec):
    (place,) = places([ra], [dec], System())
    assert place.doubt == f"no place on the sky: ra {ra}, dec {dec}"


@settings(max_examples=30)
@given(LONGITUDES, LATITUDES)
@pytest.mark.parametrize(
    ("frame", "equinox"),
    [("fk4", "B1950"), ("fk5", "J1975"), ("galactic", ""), ("supergalactic", ""),
     ("barycentricmeanecliptic", "J2000")],
)  # fmt: skip
def test_other_frames_become_icrs_as_skycoord_says(frame, equinox, lon, lat):
    told = {"equinox": equinox} if equinox else {}
    wanted = SkyCoord(lon, lat, unit="deg", frame=frame, **told).icrs
    system = System(frame=frame, equinox=equinox)
    nowhere, place = places([None, lon], [None, lat], system)
    assert (
        SkyCoord(place.ra, place.dec, unit="deg").separation(wanted) < 1e-6 * u.arcsec
    )
    assert math.isnan(nowhere.ra)
