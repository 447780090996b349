"""Positions to a folder of cut-outs, from local tiles and from the service."""

import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from legacy_server import LegacyServer
from PIL import Image

from dmagnet.classifying import write_catalog
from dmagnet.classifying.cutout_run import write_cutouts
from dmagnet.cli import main
from dmagnet.config import CutoutConfig, CuttingConfig, SourceConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.explaining.explanations import read_inputs
from dmagnet.network import load
from dmagnet.pictures import read_planes
from dmagnet.pictures.inputs import Flag, fetched, list_items, read_picture

SCALE, SIDE, SIZE = 0.262, 600, 64
# Column and row of the middle of a galaxy, and its size in px.
PLACES = {"a": (199.5, 219.5, 5), "b": (399.5, 299.5, 8), "c": (319.5, 449.5, 6)}
NOISE = {"g": 2e-3, "r": 3e-3, "z": 8e-3}


def sky(side=SIDE, start=(0, 0), turn=0.0):
    """The WCS of a part of one sky that begins at a column and a row."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.1, 2.2]
    wcs.wcs.crpix = np.array([(SIDE + 1) / 2] * 2) - start
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs.wcs.cd = np.array([[-cos, sin], [sin, cos]]) * SCALE / 3600
    return wcs


@pytest.fixture(scope="module")
def flux():
    """Three galaxies with noise in g, r, z, in nanomaggies."""
    y, x = np.mgrid[:SIDE, :SIDE]
    light = sum(
        np.exp(-np.hypot((x - a) / 2, y - b) / size) for a, b, size in PLACES.values()
    )
    dice = np.random.default_rng(1)
    planes = [
        light * c + dice.normal(0, s, light.shape)
        for c, s in zip((0.3, 0.6, 1), NOISE.values(), strict=True)
    ]
    return np.array(planes, np.float32)


def write(path, values, wcs, **cards):
    header = wcs.to_header()
    header.update({"BUNIT": "nanomaggy"} | cards)
    if path.suffix == ".fz":
        packed = fits.CompImageHDU(values, header, quantize_level=64)
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(path, overwrite=True)
    else:
        fits.writeto(path, values, header, overwrite=True)
    return str(path)


def mosaics(folder, flux, suffix=".fits", **cards):
    """One file a band, of names that do not say which."""
    return tuple(
        write(folder / f"m{i}{suffix}", plane, sky(), FILTER=f"{band} DECam", **cards)
        for i, (band, plane) in enumerate(zip("grz", flux, strict=True))
    )


def catalog(folder, places=PLACES, *rows):
    lines = ["id,ra,dec"]
    for name, (x, y, *_) in dict(places).items():
        place = sky().pixel_to_world(x, y)
        lines.append(f"{name},{place.ra.deg:.8f},{place.dec.deg:.8f}")
    path = folder / "t.csv"
    path.write_text("\n".join([*lines, *rows]) + "\n")
    return path


def cut(table, out, tiles, **settings):
    asked = {k: settings.pop(k) for k in ("size", "bands") if k in settings}
    cutout = CutoutConfig(tiles=tiles, **{"size": SIZE, **asked})
    outcome = write_cutouts(table, out, cutout=cutout, **settings)
    return Table.read(outcome.path), outcome


def part_of(flux, name):
    x, y, _ = PLACES[name]
    left, low = round(x + 0.5) - SIZE // 2, round(y + 0.5) - SIZE // 2
    return flux[:, low : low + SIZE, left : left + SIZE]


@pytest.mark.parametrize("suffix", [".fits", ".fits.fz"])
def test_a_cut_out_has_the_fluxes_of_its_part_of_each_band(tmp_path, flux, suffix):
    tiles = mosaics(tmp_path, flux, suffix)
    table, _ = cut(catalog(tmp_path), tmp_path / "out", tiles)
    assert list(table["path"]) == ["a.fits", "b.fits", "c.fits"]
    for name in PLACES:
        planes = read_planes(tmp_path / "out" / f"{name}.fits")
        atol = 1e-6 if suffix == ".fits" else 5e-4
        np.testing.assert_allclose(planes.values, part_of(flux, name), atol=atol)
        assert planes.bands == ("g", "r", "z")
        assert planes.factor == pytest.approx(1)


def test_the_wcs_of_a_cut_out_has_its_position_in_the_middle(tmp_path, flux):
    turned = tuple(
        write(tmp_path / f"{b}.fits", plane, sky(turn=30), FILTER=b)
        for b, plane in zip("grz", flux, strict=True)
    )
    table, _ = cut(catalog(tmp_path), tmp_path / "out", turned)
    for row in table:
        wcs = WCS(fits.getheader(tmp_path / "out" / row["path"]), naxis=2)
        x, y = wcs.all_world2pix(row["ra"], row["dec"], 0)
        assert np.hypot(x - (SIZE - 1) / 2, y - (SIZE - 1) / 2) < 1


@pytest.mark.parametrize("units", ["nanomaggy", "counts"])
def test_a_cut_out_gives_the_picture_that_its_tiles_give(tmp_path, flux, units):
    tiles, source = mosaics(tmp_path, flux, BUNIT=units), SourceConfig()
    cut(catalog(tmp_path), tmp_path / "out", tiles, size=256)
    config = CutoutConfig(tiles=tiles)
    straight = fetched(list_items(tmp_path / "t.csv"), config)
    again = list_items(tmp_path / "out" / "cutouts.ecsv")
    for one, other in zip(straight, again, strict=True):
        seen = [read_picture(item, 64, 0.75, source) for item in (one, other)]
        assert np.abs(seen[0].rgb.astype(int) - seen[1].rgb).max() <= 1
        assert seen[0].item.flag == seen[1].item.flag
        assert bool(seen[0].item.flag & Flag.NO_UNITS) == (units == "counts")


def test_a_position_outside_every_tile_is_a_row_without_a_file(tmp_path, flux, capsys):
    mosaics(tmp_path, flux)
    table = catalog(tmp_path, PLACES, "out,10,10", "bad,20,95")
    words = ["cutouts", str(table), "-o", str(tmp_path / "out"), "--cutout.size", "64"]
    assert main([*words, "--from", *map(str, tmp_path.glob("m?.fits"))]) == 0
    found = Table.read(tmp_path / "out" / "cutouts.ecsv")
    assert list(found["flag"][3:]) == [Flag.OUTSIDE_SURVEY, Flag.BAD_POSITION]
    assert found["reason"][3] == "outside all tiles"
    assert not any(found["path"][3:].filled(""))
    assert "note: 2 of 5 positions have no cut-out" in capsys.readouterr().err


def test_what_classify_says_is_next_reads_the_same_tiles(tmp_path, flux, capsys):
    mosaics(tmp_path, flux)
    table = str(catalog(tmp_path, {"a": PLACES["a"]}, "out,10,10"))
    tiles = ["--from", *map(str, tmp_path.glob("m?.fits"))]
    assert main(["classify", table, "--weights", "xs", "--id", "id", *tiles]) == 0
    (line,) = re.findall("^next: dmagnet (.*)$", capsys.readouterr().err, re.M)
    assert "--weights xs --id id --from " in line
    assert main(shlex.split(line.replace("FOLDER", str(tmp_path / "why")))) == 0
    assert "note: out: left out, outside all tiles" in capsys.readouterr().err


def test_without_any_cut_out_there_is_no_table(tmp_path, flux):
    tiles = mosaics(tmp_path, flux)
    table = catalog(tmp_path, {}, "out,10,10")
    with pytest.raises(
        DataError, match="none of 1 positions has a cut-out: outside all"
    ):
        cut(table, tmp_path / "out", tiles)
    assert not (tmp_path / "out" / "cutouts.ecsv").exists()


def test_of_tiles_that_overlap_the_one_whose_edge_is_farthest_is_cut(tmp_path, flux):
    left = write(tmp_path / "left.fits", flux[:, :, :420], sky(), BANDS="grz")
    right = write(
        tmp_path / "right.fits", flux[:, :, 240:], sky(start=(240, 0)), BANDS="grz"
    )
    table, _ = cut(catalog(tmp_path), tmp_path / "out", (left, right))
    assert list(table["tile"]) == [left, right, left]
    assert list(table["flag"]) == [0, 0, 0]
    for name in PLACES:
        values = read_planes(tmp_path / "out" / f"{name}.fits").values
        np.testing.assert_allclose(values, part_of(flux, name), atol=1e-6)


@pytest.mark.parametrize("how", ["noise", "brighter", "shifted"])
def test_overlapping_tiles_that_disagree_beyond_their_noise_are_flagged(
    tmp_path, flux, how
):
    dice = np.random.default_rng(5).normal(0, 1, flux.shape)
    other = flux + dice * np.array([[[s]] for s in NOISE.values()])
    if how != "noise":
        other = flux * 1.5 if how == "brighter" else np.roll(flux, 4, axis=2)
    one = write(tmp_path / "one.fits", flux, sky(), BANDS="grz")
    two = write(tmp_path / "two.fits", other.astype(np.float32), sky(), BANDS="grz")
    table, _ = cut(catalog(tmp_path), tmp_path / "out", (one, two))
    flag = 0 if how == "noise" else Flag.TILES_DISAGREE
    assert list(table["flag"]) == [flag] * 3
    if flag:
        assert "two.fits shows something else there than" in table["reason"][0]


def test_a_tile_that_is_blank_at_a_place_gives_way_to_another(tmp_path, flux):
    hole = flux.copy()
    hole[:, 200:240, 180:220] = np.nan
    one = write(tmp_path / "one.fits", hole, sky(), BANDS="grz")
    part = write(tmp_path / "two.fits", flux[:, :, :500], sky(), BANDS="grz")
    table, _ = cut(catalog(tmp_path), tmp_path / "out", (one, part))
    assert list(table["tile"]) == [part, one, one]
    alone, _ = cut(catalog(tmp_path), tmp_path / "alone", (one,))
    assert alone["flag"][0] == Flag.OUTSIDE_SURVEY
    assert "no values at this place" in alone["reason"][0]


def test_a_place_without_a_tile_of_each_band_says_which_is_missing(tmp_path, flux):
    g, r, z = mosaics(tmp_path, flux)
    write(tmp_path / "m1.fits", flux[1, :, 250:], sky(start=(250, 0)), FILTER="r")
    table, _ = cut(catalog(tmp_path), tmp_path / "out", (g, r, z))
    assert list(table["flag"]) == [Flag.MISSING_BAND, 0, 0]
    assert "outside all tiles of band r" in table["reason"][0]


def test_bands_are_those_asked_for_and_all_if_the_tiles_have_none_of_them(
    tmp_path, flux
):
    table, tiles = catalog(tmp_path), mosaics(tmp_path, flux)
    for asked, wanted in (("zg", ("z", "g")), ("uy", ("g", "r", "z"))):
        cut(table, tmp_path / asked, tiles, bands=asked)
        found = read_planes(tmp_path / asked / "a.fits").bands
        assert [name[0] for name in found] == list(wanted)


def test_bands_on_other_grids_are_brought_to_one(tmp_path, flux):
    g, r, z = mosaics(tmp_path, flux)
    write(tmp_path / "m1.fits", flux[1, 7:, 5:], sky(start=(5.4, 7)), FILTER="r")
    table, _ = cut(catalog(tmp_path), tmp_path / "out", (g, r, z))
    assert list(table["flag"] & Flag.OTHER_GRIDS) == [Flag.OTHER_GRIDS] * 3


def test_near_an_edge_a_cut_out_keeps_its_side_and_its_middle(tmp_path, flux):
    tiles = mosaics(tmp_path, flux)
    table, _ = cut(catalog(tmp_path, {"edge": (9.5, 299.5)}), tmp_path / "out", tiles)
    assert table["flag"][0] == Flag.SMALL_FIELD
    assert table["reason"][0] == "34 % of the cut-out has no values"
    values = read_planes(tmp_path / "out" / "edge.fits").values
    wanted = flux[:, 268:332, : 10 + SIZE // 2]
    np.testing.assert_allclose(values[:, :, SIZE // 2 - 10 :], wanted, atol=1e-6)
    assert np.isnan(values[:, :, : SIZE // 2 - 10]).all()


def test_a_packed_tile_is_unpacked_once(tmp_path, flux):
    """What is read again must come from the copy: the file itself is zeros by then."""
    (g, *_) = mosaics(tmp_path, flux, ".fits.fz")
    config = CutoutConfig(tiles=(g,), size=256)
    upwards = dict(reversed(PLACES.items()))  # c is read before all is unpacked
    items = list(fetched(list_items(catalog(tmp_path, upwards)), config)) * 2
    before = [read_picture(item, 64, 0.75, SourceConfig()).rgb for item in items]
    assert (before[0] == before[3]).all()
    status = Path(g).stat()
    with Path(g).open("r+b") as file:
        file.write(bytes(status.st_size))
    os.utime(g, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = [read_picture(item, 64, 0.75, SourceConfig()) for item in items]
    for one, other in zip(before, after, strict=True):
        assert other.rgb is not None, other.item.reason
        assert (one == other.rgb).all()


def test_a_stopped_run_goes_on(tmp_path, flux):
    table, tiles, out = catalog(tmp_path), mosaics(tmp_path, flux), tmp_path / "out"

    def stop(_name, _total):
        def count(done):
            if done == 2:
                raise KeyboardInterrupt

        return count

    with pytest.raises(KeyboardInterrupt):
        cut(table, out, tiles, announce=stop)
    assert sorted(p.name for p in out.glob("[!.]*")) == ["a.fits", "b.fits"]
    times = {p.name: p.stat().st_mtime_ns for p in out.glob("*.fits")}
    found, outcome = cut(table, out, tiles)
    assert (outcome.rows, outcome.without_class, len(found)) == (3, 0, 3)
    for name, time in times.items():
        assert (out / name).stat().st_mtime_ns == time
    whole, _ = cut(table, tmp_path / "other", tiles)
    assert [*map(str, found)] == [*map(str, whole)]


def test_other_settings_and_other_positions_are_cut_anew(tmp_path, flux):
    table, tiles, out = catalog(tmp_path), mosaics(tmp_path, flux), tmp_path / "out"
    cut(table, out, tiles)
    cut(table, out, tiles, size=32)
    assert fits.getheader(out / "a.fits")["NAXIS1"] == 32
    moved = catalog(tmp_path, PLACES | {"a": (230, 250)})
    cut(moved, out, tiles, size=32)
    wanted = sky().pixel_to_world(230, 250).ra.deg
    assert fits.getheader(out / "a.fits")["RA"] == pytest.approx(wanted)


def test_a_file_of_others_is_left_alone(tmp_path, flux):
    tiles, out = mosaics(tmp_path, flux), tmp_path / "out"
    out.mkdir()
    (out / "b.fits").write_text("mine")
    with pytest.raises(DataError, match=r"b\.fits: is there already and was not made"):
        cut(catalog(tmp_path), out, tiles)
    assert (out / "b.fits").read_text() == "mine"


def test_names_of_files_are_safe_and_each_has_its_own(tmp_path, flux):
    x, y, _ = PLACES["a"]
    ids = ["NGC 1/b", "NGC 1_b", "ngc_1_b", "../x", "twin", "twin", "µ Cep"]
    table = catalog(tmp_path, {})
    place = sky().pixel_to_world(x, y)
    rows = [f"{name},{place.ra.deg},{place.dec.deg}" for name in ids]
    table.write_text("\n".join(["id,ra,dec", *rows]) + "\n")
    found, _ = cut(table, tmp_path / "out", mosaics(tmp_path, flux))
    assert list(found["id"]) == ids
    assert list(found["path"][3:]) == [
        *("_x.fits", "twin@4.fits", "twin@5.fits", "µ_Cep.fits"),
    ]
    assert len({name.casefold() for name in found["path"]}) == len(ids)
    files = sorted(p.name for p in (tmp_path / "out").glob("*.fits"))
    assert files == sorted(found["path"])
    again, _ = cut(table, tmp_path / "out", mosaics(tmp_path, flux))
    assert [*map(str, again)] == [*map(str, found)]


@pytest.mark.parametrize("local", [True, False])
def test_a_jpeg_says_in_its_comment_what_a_fits_file_says_in_its_header(
    tmp_path, flux, local, serve
):
    server = serve()
    config = CuttingConfig(format="jpeg", cache=tmp_path / "cache")
    cutout = CutoutConfig(url=server.url, size=SIZE, per_second=1000)
    if local:
        cutout = CutoutConfig(tiles=mosaics(tmp_path, flux), size=SIZE)
    write_cutouts(catalog(tmp_path), tmp_path / "out", config=config, cutout=cutout)
    with Image.open(tmp_path / "out" / "a.jpg") as image:
        header = fits.Header.fromstring(image.info["comment"].decode(), sep="\n")
        assert image.size == (SIZE, SIZE)
        assert np.asarray(image)[SIZE // 2, SIZE // 2].min() > 100
    x, y = WCS(header, naxis=2).all_world2pix(header["RA"], header["DEC"], 0)
    assert np.hypot(x - (SIZE - 1) / 2, y - (SIZE - 1) / 2) < 1
    assert header["OBJECT"] == "a"


@pytest.fixture
def serve():
    servers = []

    def start(*answers):
        servers.append(LegacyServer(*answers))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def test_cut_outs_of_the_service_are_asked_for_once(tmp_path, serve):
    server = serve("image", "blank", "image")
    cutout = CutoutConfig(url=server.url, size=SIZE, per_second=1000, parallel=1)
    settings = {"cutout": cutout, "cache": tmp_path / "cache"}
    outcome = write_cutouts(catalog(tmp_path), tmp_path / "out", **settings)
    found = Table.read(outcome.path)
    assert list(found["flag"]) == [0, Flag.OUTSIDE_SURVEY, 0]
    assert list(found["path"].filled("")) == ["a.fits", "", "c.fits"]
    assert found["tile"][0].startswith(server.url)
    assert read_planes(tmp_path / "out" / "a.fits").bands == ("g", "r", "z")
    for cached in (tmp_path / "cache").rglob("*.fits"):
        cached.unlink()  # the folder itself knows
    write_cutouts(catalog(tmp_path), tmp_path / "out", **settings)
    assert len(server.queries) == 3


def test_a_service_of_jpegs_gives_no_fits_files(tmp_path, serve):
    url = serve().url.replace(".fits", ".jpg")
    cutout = CutoutConfig(url=url, size=SIZE, per_second=1000)
    settings = {"cutout": cutout, "cache": tmp_path / "cache"}
    with pytest.raises(ConfigError, match="add --format jpeg"):
        write_cutouts(catalog(tmp_path), tmp_path / "out", **settings)
    write_cutouts(catalog(tmp_path), tmp_path / "out", format="jpeg", **settings)
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 3


def test_a_table_with_paths_is_cut_at_its_positions(tmp_path, flux):
    tiles = mosaics(tmp_path, flux)
    cut(catalog(tmp_path), tmp_path / "out", tiles)
    again, _ = cut(tmp_path / "out" / "cutouts.ecsv", tmp_path / "two", tiles, size=32)
    assert list(again["path"]) == ["a.fits", "b.fits", "c.fits"]
    assert fits.getheader(tmp_path / "two" / "a.fits")["NAXIS1"] == 32


def test_tiles_may_be_a_folder_or_a_pattern_of_bands(tmp_path, flux):
    folder = tmp_path / "tiles"
    folder.mkdir()
    for band, plane in zip("grz", flux, strict=True):
        write(folder / f"x-{band}.fits", plane, sky(), FILTER=band)
    (folder / "notes.txt").write_text("of the survey")
    table = catalog(tmp_path)
    for tiles in (str(folder), str(folder / "x-{g,r,z}.fits"), str(folder / "*.fits")):
        found, _ = cut(table, tmp_path / "out", (tiles,))
        assert list(found["flag"]) == [0, 0, 0]


def test_a_pattern_names_the_bands_of_files_that_do_not(tmp_path, flux):
    for band, plane in zip("grz", flux, strict=True):
        write(tmp_path / f"x_{band}.fits", plane, sky())
    cut(catalog(tmp_path), tmp_path / "out", (str(tmp_path / "x_{g,r,z}.fits"),))
    assert read_planes(tmp_path / "out" / "a.fits").bands == ("g", "r", "z")


def test_a_tile_that_was_written_anew_lies_where_it_says_now(tmp_path, flux):
    path, table = tmp_path / "m.fits", catalog(tmp_path)
    write(path, flux, sky(), BANDS="grz")
    cut(table, tmp_path / "one", (str(path),))
    write(path, flux, sky(start=(2000, 0)), BANDS="grz")
    with pytest.raises(DataError, match="outside all tiles"):
        cut(table, tmp_path / "two", (str(path),))


def test_a_tile_that_cannot_be_used_is_refused_before_anything_is_begun(tmp_path, flux):
    plain, out = tmp_path / "plain.fits", tmp_path / "out"
    fits.writeto(plain, flux)
    with pytest.raises(DataError, match=r"plain\.fits: expected a FITS image with a W"):
        cut(catalog(tmp_path), out, (str(plain),))
    with pytest.raises(DataError, match=r"gone\.fits: expected images, found nothing"):
        cut(catalog(tmp_path), out, (str(tmp_path / "gone.fits"),))
    with pytest.raises(
        DataError, match=r"t\.csv: expected FITS images with a WCS, got others"
    ):
        cut(catalog(tmp_path), out, (str(tmp_path / "t.csv"),))
    assert not out.exists()


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path, capsys):
    table = tmp_path / "t.csv"
    table.write_text("id,lon,lat\na,1,2\n")
    words = ["cutouts", str(table), "-o", str(tmp_path / "out")]
    assert main(words) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert "expected a column path, or ra and dec; found id, lon, lat; --path" in line
    table.write_text("id,ra,dec\na,1,2\n")
    assert main([*words, "--id", "objid"]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.endswith("a column 'objid' (--id); found id, ra, dec")
    assert not (tmp_path / "out").exists()


def test_classify_cuts_the_same_table_out_of_tiles(tmp_path, flux):
    tiles = mosaics(tmp_path, flux)
    table = catalog(tmp_path, PLACES, "out,10,10")
    cutout = CutoutConfig(tiles=tiles)
    settings = {"weights": "xs", "device": "cpu", "cutout": cutout}
    write_catalog(table, tmp_path / "straight.ecsv", **settings)
    write_cutouts(table, tmp_path / "out", cutout=cutout)
    write_catalog(tmp_path / "out", tmp_path / "files.ecsv", **settings)
    one = Table.read(tmp_path / "straight.ecsv")
    other = Table.read(tmp_path / "files.ecsv")
    assert one["flag"][3] == Flag.OUTSIDE_SURVEY
    for k in range(10):
        np.testing.assert_allclose(one[f"p{k}"][:3], other[f"p{k}"], atol=2e-3)
    assert one.meta["settings"]["cutout"]["tiles"] == list(tiles)


def test_explain_and_page_read_the_same_table(tmp_path, flux):
    config = CutoutConfig(tiles=mosaics(tmp_path, flux))
    images, pictures, left, _ = read_inputs(
        load("xs"), catalog(tmp_path), SourceConfig(), config
    )
    assert len(images) == len(pictures) == 3
    assert not left


def test_cut_outs_of_a_real_image_are_its_pixels_where_the_table_says(shared, tmp_path):
    tile = shared / "fits" / "decals_dr5_grz_509_example_a.fits"
    with fits.open(tile) as file:
        whole, wcs = file[0].data, WCS(file[0].header, naxis=2)
    middle = (299.5, 201.5)  # of 64 px; the sky in between is not a grid of the tile's
    place = wcs.pixel_to_world(*middle)
    table = tmp_path / "t.csv"
    table.write_text(f"id,ra,dec\none,{place.ra.deg:.9f},{place.dec.deg:.9f}\n")
    rows, _ = cut(table, tmp_path / "out", (str(tile),))
    with fits.open(tmp_path / "out" / rows["path"][0]) as file:
        np.testing.assert_array_equal(file[0].data, whole[:, 170:234, 268:332])
        again = WCS(file[0].header, naxis=2).world_to_pixel(place)
    np.testing.assert_allclose(again, (31.5, 31.5), atol=1e-3)


def test_positions_beside_a_mosaic_say_how_to_cut_them_out(tmp_path, flux, caplog):
    first, *_ = mosaics(tmp_path, flux)
    listing = list_items([str(catalog(tmp_path)), first], SourceConfig())
    with caplog.at_level("INFO", "dmagnet"):
        listing.note_fetching(CutoutConfig(tiles=(first,)))
        assert not caplog.messages
        listing.note_fetching(CutoutConfig())
    wanted = (
        f"to cut them out of {first}, name these behind --from, not among the inputs"
    )
    assert caplog.messages == [f"positions are fetched; {wanted}"]


def test_a_row_without_a_cut_out_says_why_when_it_is_classified(tmp_path, flux):
    tiles = mosaics(tmp_path, flux)
    cut(catalog(tmp_path, PLACES, "out,10,10"), tmp_path / "out", tiles)
    *_, last = list_items(tmp_path / "out" / "cutouts.ecsv")
    assert (last.id, last.reason) == ("out", "outside all tiles")
