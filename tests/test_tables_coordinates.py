"""Positions of tables: any unit, any spelling, any frame."""

import io
import math

import numpy as np
import pyarrow as pa
import pytest
from astropy import units as u
from astropy.coordinates import FK5, Angle, Latitude, Longitude, SkyCoord
from astropy.io import fits, votable
from astropy.io.votable.tree import CooSys
from astropy.table import QTable, Table
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from dmagnet.pictures.inputs import Flag, list_items
from dmagnet.pictures.tables.coordinates import System, degrees, places, unit_of

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
    system = System(("ra", "dec"), ("deg", "deg"), frame, equinox)
    nowhere, place = places([None, lon], [None, lat], system)
    assert (
        SkyCoord(place.ra, place.dec, unit="deg").separation(wanted) < 1e-6 * u.arcsec
    )
    assert math.isnan(nowhere.ra)


# what the heads of tables say

SKY = SkyCoord([150.1, 10.0], [2.2, -60.0], unit="deg")


def listed(path):
    items = list(list_items(path))
    assert all(item.flag == Flag.OK for item in items), items[0].reason
    found = SkyCoord([i.ra for i in items], [i.dec for i in items], unit="deg")
    assert (found.separation(SKY) < 0.05 * u.arcsec).all(), found


def store(table, path):
    """Write a table as its ending says."""
    forms = {".ecsv": "ascii.ecsv", ".fits": "fits", ".vot": "votable"}
    table.write(path, format=forms.get(path.suffix, "parquet"))
    return path


@pytest.mark.parametrize("unit", ["deg", "rad", "arcsec", "hour"])
@pytest.mark.parametrize("form", ["ecsv", "fits", "vot", "parquet", "arrow", "csv"])
def test_units_in_the_head_of_a_table_count(tmp_path, form, unit):
    angle = u.hourangle if unit == "hour" else u.Unit(unit)
    ra, dec = SKY.ra.to_value(angle), SKY.dec.deg
    table = Table({"RA": ra, "Dec": dec})
    table["RA"].unit, table["Dec"].unit = u.Unit(unit), "deg"
    if form == "arrow":
        kind = pa.schema(
            [
                pa.field("RA", pa.float64(), metadata={"unit": unit}),
                pa.field("Dec", pa.float64()),
            ]
        )
        parquet.write_table(pa.table([ra, dec], kind), tmp_path / "t.parquet")
        listed(tmp_path / "t.parquet")
    elif form == "csv":
        lines = [f"{a!r},{d!r}" for a, d in zip(ra.tolist(), dec.tolist(), strict=True)]
        text = "\n".join([f"RA ({unit}),Dec", *lines])
        (tmp_path / "t.csv").write_text(text)
        listed(tmp_path / "t.csv")
    else:
        listed(store(table, tmp_path / f"t.{form}"))


@pytest.mark.parametrize("form", ["ecsv", "fits", "vot", "parquet"])
def test_a_unit_that_is_no_angle_is_said_in_every_row(tmp_path, form):
    table = Table({"ra": SKY.ra.deg, "dec": SKY.dec.deg})
    table["ra"].unit = "Jy"
    for item in list_items(store(table, tmp_path / f"t.{form}")):
        assert item.flag == Flag.BAD_POSITION
        assert item.reason == "the unit 'Jy' of the column is no angle"


@pytest.mark.parametrize("form", ["ecsv", "parquet"])
@pytest.mark.parametrize("frame", ["icrs", "fk5", "fk4", "galactic"])
def test_a_sky_coord_of_astropy_comes_back_in_icrs(tmp_path, form, frame):
    table = QTable({"id": [1, 2], "coord": SKY.transform_to(frame)})
    listed(store(table, tmp_path / f"t.{form}"))


@pytest.mark.parametrize(
    ("frame", "names"),
    [
        ("fk4", ("_RAB1950", "_DEB1950")), ("fk4", ("RAB1950", "DEB1950")),
        ("galactic", ("GLON", "GLAT")), ("galactic", ("l", "b")),
        ("barycentricmeanecliptic", ("ELON", "ELAT")),
        ("supergalactic", ("SGL", "SGB")),
    ],
)  # fmt: skip
def test_columns_of_another_frame_are_known_by_their_names(tmp_path, frame, names):
    there = SKY.transform_to(frame).spherical
    store(Table([there.lon.deg, there.lat.deg], names=names), tmp_path / "t.fits")
    listed(tmp_path / "t.fits")


@pytest.mark.parametrize(
    ("system", "equinox", "frame"),
    [("eq_FK4", "B1950", "fk4"), ("FK5", "J1975", FK5(equinox="J1975")),
     ("galactic", "", "galactic"), ("ICRS", "", "icrs"), ("eq_FK5", "J2000", "fk5")],
)  # fmt: skip
def test_the_coordinate_system_of_a_votable_counts(tmp_path, system, equinox, frame):
    there = SKY.transform_to(frame).spherical
    tree = votable.from_table(Table({"ra": there.lon.deg, "dec": there.lat.deg}))
    told = {"equinox": equinox} if equinox else {}
    tree.resources[0].coordinate_systems.append(CooSys(ID="sys", system=system, **told))
    for field in tree.get_first_table().fields:
        field.ref = "sys"
    tree.to_xml(str(tmp_path / "t.vot"))
    listed(tmp_path / "t.vot")


def test_the_frame_of_a_fits_table_counts(tmp_path):
    there = SKY.transform_to("fk4")
    hdu = fits.table_to_hdu(Table({"RA": there.ra.deg, "DEC": there.dec.deg}))
    hdu.header["RADESYS"], hdu.header["EQUINOX"] = "FK4", 1950.0
    hdu.writeto(tmp_path / "t.fits")
    listed(tmp_path / "t.fits")


@pytest.mark.parametrize(("equinox", "frame"), [(1950.0, "fk4"), (2000.0, "icrs")])
def test_an_equinox_alone_tells_the_frame_of_a_fits_table(tmp_path, equinox, frame):
    there = SKY.transform_to(frame)
    hdu = fits.table_to_hdu(Table({"RA": there.ra.deg, "DEC": there.dec.deg}))
    hdu.header["EQUINOX"] = equinox
    hdu.writeto(tmp_path / "t.fits")
    listed(tmp_path / "t.fits")


def test_each_row_may_say_its_own_frame(tmp_path):
    first, second = (
        SKY[0].transform_to("fk4"),
        SKY[1].transform_to(FK5(equinox="J1975")),
    )
    (tmp_path / "t.csv").write_text(
        "ra,dec,radesys,equinox\n"
        f"{first.ra.deg},{first.dec.deg},,B1950\n"
        f"{second.ra.deg},{second.dec.deg},FK5,1975\n"
    )
    listed(tmp_path / "t.csv")


def test_a_frame_without_a_name_is_said(tmp_path):
    hdu = fits.table_to_hdu(Table({"RA": SKY.ra.deg, "DEC": SKY.dec.deg}))
    hdu.header["RADESYS"] = "GAPPT"
    hdu.writeto(tmp_path / "t.fits")
    for item in list_items(tmp_path / "t.fits"):
        assert item.flag == Flag.BAD_POSITION
        assert item.reason == "the frame 'GAPPT' of the positions is not known"


def test_units_in_the_head_of_topcat_count(tmp_path):
    table = Table({"RA": SKY.ra.hourangle, "Dec": SKY.dec.rad})
    table["RA"].unit, table["Dec"].unit = "h", "rad"
    head = io.BytesIO()
    votable.from_table(table[:0]).to_xml(head)
    arrow = pa.table({"RA": table["RA"].data, "Dec": table["Dec"].data})
    key = b"IVOA.VOTable-Parquet.content"
    arrow = arrow.replace_schema_metadata({key: head.getvalue()})
    parquet.write_table(arrow, tmp_path / "t.parquet")
    listed(tmp_path / "t.parquet")


def test_cells_with_several_numbers_are_no_coordinates(tmp_path):
    columns = [
        fits.Column(name, "2D", array=[[10.0, 11.0]], unit="deg")
        for name in ("RA", "DEC")
    ]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "t.fits")
    (item,) = list_items(tmp_path / "t.fits")
    assert item.flag == Flag.BAD_POSITION
    assert "no coordinate" in item.reason
