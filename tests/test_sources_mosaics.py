"""Galaxies of a table, cut out of the images on which they lie together."""

import gzip
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from dmagnet.config import SourceConfig
from dmagnet.pictures import read_planes
from dmagnet.pictures.inputs import NO_CLASS, Flag, list_items, read_picture
from dmagnet.pictures.opening import _kept_mosaic
from dmagnet.pictures.sections import Around

SCALE, SIDE, FRAME = 0.262, 700, 256
# Column and row of the middle of a galaxy, and its size in px.
PLACES = {"a": (227.5, 227.5, 5), "b": (471.5, 440.5, 8), "c": (349.5, 349.5, 6)}


def blob(x, y, size, shape=(SIDE, SIDE)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-np.hypot((columns - x) * 0.5, rows - y) / size)


def sky(side=SIDE, scale=SCALE, turn=0.0):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.1, 2.2], [(side + 1) / 2] * 2
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.cd = np.array([[-cos, sin], [sin, cos]]) * scale / 3600
    return wcs


@pytest.fixture(scope="module")
def flux():
    """Three galaxies with noise in g, r, z, in nanomaggies."""
    light = sum(blob(*place) for place in PLACES.values())
    noise = np.random.default_rng(1).normal(0, 1, (3, SIDE, SIDE))
    colors, sigmas = ([[[v]] for v in w] for w in ((0.3, 0.6, 1), (2e-3, 3e-3, 8e-3)))
    return (light * colors + noise * sigmas).astype(np.float32)


def catalog(folder, rows, columns="id,path,ra,dec"):
    path = folder / "cat.csv"
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


def rows_of(wcs, name="m.fits"):
    found = []
    for key, (x, y, _) in PLACES.items():
        place = wcs.pixel_to_world(x, y)
        found.append(f"{key},{name},{place.ra.deg:.8f},{place.dec.deg:.8f}")
    return found


def write(path, values, wcs=None, **cards):
    header = wcs.to_header() if wcs is not None else fits.Header()
    header.update({"BANDS": "grz"} | cards)
    fits.writeto(path, values, header, overwrite=True)
    return path


def pictures(path, side=64, radii=None, **settings):
    config = SourceConfig(**settings)
    return [read_picture(item, side, 0.75, config, radii=radii) for item in
            list_items(path, config)]  # fmt: skip


@pytest.fixture
def apart(tmp_path, flux):
    """The same galaxies, each cut out by hand, and their pictures."""

    def _read(**settings):
        found = {}
        for key, (x, y, _) in PLACES.items():
            left, low = round(x - (FRAME - 1) / 2), round(y - (FRAME - 1) / 2)
            part = flux[:, low : low + FRAME, left : left + FRAME]
            wcs = sky()
            wcs.wcs.crpix -= [left, low]
            (found[key],) = pictures(
                write(tmp_path / f"{key}.fits", part, wcs), **settings
            )
        return found

    return _read


def same(one, other, most=2):
    assert np.abs(one.rgb.astype(int) - other.rgb.astype(int)).max() <= most


@pytest.mark.parametrize("radii", [None, 3.0])
@pytest.mark.parametrize(
    "form", ["plain", "gz", "fz", "zip", "scaled", "bands last", "second HDU", "bands"]
)
def test_each_galaxy_of_a_mosaic_is_that_of_its_own_cut_out(
    tmp_path, flux, apart, form, radii
):
    name, columns, settings = "m.fits", "id,path,ra,dec", {}
    if form == "fz":
        packed = fits.CompImageHDU(flux, sky().to_header(), quantize_level=64)
        packed.header["BANDS"] = "grz"
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(tmp_path / name)
    elif form == "scaled":
        hdu = fits.PrimaryHDU(flux.copy(), sky().to_header())
        hdu.scale("int32", bscale=1e-6, bzero=1.0)
        hdu.header["BANDS"] = "grz"
        hdu.writeto(tmp_path / name)
    elif form == "bands last":
        last = np.ascontiguousarray(flux.transpose(1, 2, 0))
        write(tmp_path / name, last, sky())
    elif form == "second HDU":
        second = fits.ImageHDU(flux, sky().to_header(), name="SCI")
        second.header["BANDS"] = "grz"
        other = fits.PrimaryHDU(np.zeros((40, 40), np.float32))
        fits.HDUList([other, second]).writeto(tmp_path / name)
        settings = {"hdu": "SCI"}
    elif form == "bands":
        for band, plane in zip("grz", flux, strict=True):
            write(tmp_path / f"m_{band}.fits", plane, sky(), BANDS=band, BUNIT="nmgy")
        name, columns = "m_g.fits,m_r.fits,m_z.fits", "id,path_g,path_r,path_z,ra,dec"
    else:
        write(tmp_path / name, flux, sky())
    if form == "gz":
        name = "m.fits.gz"
        (tmp_path / name).write_bytes(gzip.compress((tmp_path / "m.fits").read_bytes()))
    elif form == "zip":
        with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
            archive.write(tmp_path / "m.fits", "in/m.fits")
        name = "z.zip::in/m.fits"
    table = catalog(tmp_path, rows_of(sky(), name), columns)
    seen = pictures(table, radii=radii, **settings)
    for picture, (key, wanted) in zip(seen, apart(radii=radii).items(), strict=True):
        assert picture.item.id == key
        assert picture.item.flag == wanted.item.flag == Flag.OK, picture.item.reason
        same(picture, wanted, 12 if form == "fz" else 2)
        np.testing.assert_allclose(
            picture.item.radius_px, wanted.item.radius_px, rtol=0.05
        )


def test_class_position_and_wcs_of_a_cut_agree(tmp_path, flux):
    """The pixel at the row's position, by the WCS of the view, is its middle."""
    wcs = sky(turn=30)
    write(tmp_path / "m.fits", flux, wcs)
    edge = wcs.pixel_to_world(40.3, 670.8)
    line = f"edge,m.fits,{edge.ra.deg:.8f},{edge.dec.deg:.8f}"
    for radii in (None, 3.0):
        for picture in pictures(
            catalog(tmp_path, [*rows_of(wcs), line]), 96, radii=radii
        ):
            view, notes = picture.view_wcs()
            place = SkyCoord(picture.item.ra, picture.item.dec, unit=u.deg)
            x, y = view.world_to_pixel(place)
            assert notes == ()
            assert abs(x - 47.5) < 1.5
            assert abs(y - 47.5) < 1.5
            if picture.item.id in ("a", "b"):
                bright = picture.rgb.astype(int).sum(2)[::-1]
                low, left = np.unravel_index(bright.argmax(), bright.shape)
                assert np.hypot(left - x, low - y) < 3


def test_lookup_tables_and_sip_follow_the_part():
    from astropy.utils.data import get_pkg_data_filename

    from dmagnet.pictures.astrometry import icrs_of, sky_of
    from dmagnet.pictures.cutout import moved_wcs
    from dmagnet.pictures.opening import quiet

    for name, number in (("dist_lookup.fits.gz", 1), ("sip.fits", 0)):
        path = get_pkg_data_filename(f"data/{name}", "astropy.wcs.tests")
        with quiet(), fits.open(path) as hdus:
            wcs, _, _ = sky_of(hdus[number].header, hdus)
            part = moved_wcs(wcs, (100, 50))
            for x, y in ((3.0, 7.0), (20.5, 60.0)):
                wanted = icrs_of(wcs, x + 100, y + 50)
                assert icrs_of(part, x, y) == pytest.approx(wanted, abs=1e-9)


def test_a_place_near_the_edge_stays_in_the_middle_with_sky_around_it(tmp_path, flux):
    light = 2 * blob(30, 670, 12) + np.random.default_rng(0).normal(
        0, 0.004, flux.shape
    )
    write(tmp_path / "m.fits", light.astype(np.float32), sky())
    place = sky().pixel_to_world(30, 670)
    row = f"edge,m.fits,{place.ra.deg:.8f},{place.dec.deg:.8f}"
    (picture,) = pictures(catalog(tmp_path, [row]))
    assert picture.item.flag == Flag.SMALL_FIELD
    assert "shows 31 %" in picture.item.reason  # 59 of 192 px
    bright = picture.rgb.astype(int).sum(2)
    row, column = np.unravel_index(bright.argmax(), bright.shape)
    assert abs(row - 31.5) < 2
    assert abs(column - 31.5) < 2


def test_a_place_outside_the_image_is_a_flag(tmp_path, flux):
    write(tmp_path / "m.fits", flux, sky())
    rows = ["near,m.fits,150.2,2.2", "far,m.fits,10,80", "opposite,m.fits,330.1,-2.2"]
    for picture in pictures(catalog(tmp_path, rows)):
        assert picture.rgb is None
        assert picture.item.flag == Flag.OUTSIDE_IMAGE
        assert "does not lie in the image" in picture.item.reason


def test_an_image_cut_for_its_galaxy_is_read_as_ever(tmp_path, flux):
    part = flux[:, 222:478, 222:478]
    write(tmp_path / "c.fits", part, sky(FRAME))
    (alone,) = pictures(tmp_path / "c.fits")
    table = catalog(tmp_path, ["c,c.fits,150.10005,2.20005"])  # 1 px off
    (told,) = pictures(table)
    assert (told.rgb == alone.rgb).all()
    assert told.item.flag == alone.item.flag == Flag.OK
    assert told.item.ra == 150.10005


def test_a_picture_without_wcs_shows_no_two_places(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    write(tmp_path / "b.fits", rgb.transpose(2, 0, 1).astype(np.float32))
    for name in ("a.png", "b.fits"):
        rows = [f"1,{name},150.1,2.2", f"2,{name},150.1,2.3"]
        for picture in pictures(catalog(tmp_path, rows)):
            assert picture.rgb is None
            assert picture.item.flag == Flag.OUTSIDE_IMAGE
            assert "WCS" in picture.item.reason
        (alone,) = pictures(catalog(tmp_path, rows[:1]))
        assert not alone.item.flag & NO_CLASS
        twice = [f"1,{name},150.1,2.2", f"2,{name},150.1,2.2"]
        assert not any(
            p.item.flag & NO_CLASS for p in pictures(catalog(tmp_path, twice))
        )


def test_a_galaxy_larger_than_the_frame_is_cut_out_whole(tmp_path):
    light = 0.4 * blob(500, 520, 30, (1200, 1200)) + np.random.default_rng(0).normal(
        0, 0.003, (3, 1200, 1200)
    )
    write(tmp_path / "m.fits", light.astype(np.float32), sky(1200))
    place = sky(1200).pixel_to_world(500, 520)
    row = f"big,m.fits,{place.ra.deg:.8f},{place.dec.deg:.8f}"
    (picture,) = pictures(catalog(tmp_path, [row]), radii=3.0)
    assert picture.item.radius_px * 3 > FRAME
    assert picture.item.flag == Flag.OK


def test_of_a_mosaic_of_any_size_only_the_part_is_read(tmp_path):
    """A hole of 20,000 x 20,000 px, 1.6 GB, with one galaxy."""
    side, path = 20_000, tmp_path / "m.fits"
    header = fits.PrimaryHDU(np.zeros((1, 1), np.float32)).header
    header.update(sky(side).to_header())
    header["NAXIS1"] = header["NAXIS2"] = side
    header["FILTER"], header["BUNIT"] = "r", "nmgy"
    raw = header.tostring().encode()
    x, y = 15_000, 3_000
    galaxy = blob(128, 128, 9, (256, 256)) + np.random.default_rng(0).normal(
        0, 0.003, (256, 256)
    )
    with path.open("wb") as file:
        file.write(raw)
        for row, values in enumerate(galaxy.astype(">f4")):
            file.seek(len(raw) + 4 * ((y - 128 + row) * side + x - 128))
            file.write(values.tobytes())
        file.truncate(len(raw) + -(-4 * side * side // 2880) * 2880)
    place = sky(side).pixel_to_world(x, y)
    row = f"m.fits,{place.ra.deg:.8f},{place.dec.deg:.8f}"
    (picture,) = pictures(catalog(tmp_path, [f"far,{row}"]))
    assert picture.item.flag == Flag.ONE_BAND
    assert picture.rgb[32, 32].min() > 100
    planes = read_planes(path, around=Around(place.ra.deg, place.dec.deg, 67.0))
    assert planes.values.shape == (1, 256, 256)


def test_threads_share_an_open_mosaic(tmp_path, flux):
    write(tmp_path / "m.fits", flux, sky())
    write(tmp_path / "n.fits", flux[:, ::-1].copy(), sky())
    rows = [*rows_of(sky()), *rows_of(sky(), "n.fits")]
    items = list(list_items(catalog(tmp_path, rows)))
    alone = [read_picture(item, 32, 0.75, SourceConfig()).rgb for item in items]
    _kept_mosaic.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        many = list(
            pool.map(lambda i: read_picture(i, 32, 0.75, SourceConfig()), items * 3)
        )
    for picture, wanted in zip(many, alone * 3, strict=True):
        assert (picture.rgb == wanted).all()
    assert _kept_mosaic.cache_info().currsize == 2


def test_a_mosaic_that_was_written_anew_is_read_anew(tmp_path, flux):
    write(tmp_path / "m.fits", flux, sky())
    table = catalog(tmp_path, rows_of(sky()))
    first = pictures(table)
    write(tmp_path / "m.fits", np.concatenate([flux, flux[:1]])[1:] * 3, sky())
    assert (first[0].rgb != pictures(table)[0].rgb).any()


def test_a_mosaic_that_is_damaged_is_a_flag_in_each_row(tmp_path, flux):
    path = write(tmp_path / "m.fits", flux, sky())
    path.write_bytes(path.read_bytes()[:5_000_000])
    for picture in pictures(catalog(tmp_path, rows_of(sky()))):
        assert picture.item.flag == Flag.UNREADABLE


@pytest.mark.parametrize(
    ("kind", "cards"),
    [
        ("i2", {}), ("i2", {"BLANK": 5}), ("u2", {}), ("u1", {}), ("i8", {}),
        ("f8", {}), ("i4", {"BSCALE": 0.1, "BZERO": 3.0, "BLANK": 5}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_a_part_has_the_values_of_the_whole(tmp_path, kind, cards, packed):
    values = np.random.default_rng(0).integers(0, 99, (120, 150)).astype(kind)
    path = tmp_path / "a.fits"
    header = fits.PrimaryHDU(values).header
    header.update(cards | dict(sky(120).to_header()))
    stored = (
        values.astype(f">{kind}") if kind != "u2" else (values - 32768).astype(">i2")
    )
    raw = header.tostring().encode() + stored.tobytes()
    path.write_bytes(raw + b"\0" * (-len(raw) % 2880))
    if packed and kind[0] != "f" and kind != "i8":
        with fits.open(path, do_not_scale_image_data=True) as hdus:
            tiles = fits.CompImageHDU(hdus[0].data, hdus[0].header)
            fits.HDUList([fits.PrimaryHDU(), tiles]).writeto(path, overwrite=True)
    whole = read_planes(path).values
    place = sky(120).pixel_to_world(50, 70)
    part = read_planes(path, around=Around(place.ra.deg, place.dec.deg, 20 * SCALE))
    assert part.values.shape == (1, 20, 20)
    np.testing.assert_array_equal(part.values[0], whole[0, 60:80, 40:60])


def test_a_row_that_is_nowhere_has_no_class_where_others_share_its_mosaic(
    tmp_path, flux
):
    write(tmp_path / "m.fits", flux, sky())
    rows = [*rows_of(sky()), "lost,m.fits,here,there"]
    *found, lost = pictures(catalog(tmp_path, rows))
    assert not any(picture.item.flag & NO_CLASS for picture in found)
    assert lost.rgb is None
    assert lost.item.flag & NO_CLASS == Flag.OUTSIDE_IMAGE
