"""Pictures of every form and damage: an image where there is one, a flag elsewhere."""

import dataclasses
import gzip
import io
import itertools
import os
import re
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dmagnet.config import SourceConfig
from dmagnet.pictures import crop_side, resize
from dmagnet.pictures.inputs import (
    NO_CLASS,
    Flag,
    Item,
    archives,
    list_items,
    read_picture,
)

RNG = np.random.default_rng(11)
SIDE, FIELD = 32, 0.75


def galaxy(side=64):
    """A bright blob on a noisy dark sky, as bytes."""
    y, x = np.mgrid[:side, :side] - side / 2
    glow = 200 * np.exp(-np.hypot(x, 2 * y) / (side / 8))
    noise = RNG.normal(20, 4, (side, side, 3))
    return (noise + glow[..., None] * [1, 0.8, 0.6]).clip(0, 255).astype(np.uint8)


PIXELS = galaxy()


def read(path, config=None, **settings):
    config = config or SourceConfig(**settings)
    items = list(list_items(str(path), config))
    assert len(items) == 1
    return read_picture(items[0], SIDE, FIELD, config)


def rgb(path, **settings):
    picture = read(path, **settings)
    assert picture.rgb is not None, picture.item.reason
    assert picture.rgb.shape == (SIDE, SIDE, 3)
    assert picture.rgb.dtype == np.uint8
    return picture.rgb.astype(int)


def refused(picture, flag):
    assert picture.rgb is None
    assert picture.item.flag & flag, picture.item
    assert picture.item.reason
    assert "\n" not in picture.item.reason


def expected(pixels=PIXELS):
    return resize(pixels[None], SIDE, FIELD)[0].astype(int)


def test_a_picture_is_cut_and_resized_as_the_training_data_are(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    picture = read(tmp_path / "a.png")
    assert picture.item.flag == Flag.OK
    np.testing.assert_array_equal(picture.rgb, expected())


@pytest.mark.parametrize(
    ("name", "options", "tolerance"),
    [
        ("a.jpg", {"quality": 95, "subsampling": 0}, 8),
        ("a.webp", {"lossless": True}, 0),
        ("a.tif", {}, 0),
        ("a.tiff", {"compression": "tiff_lzw"}, 0),
        ("a.bmp", {}, 0),
    ],
)
def test_every_usual_format_gives_the_same_picture(tmp_path, name, options, tolerance):
    Image.fromarray(PIXELS).save(tmp_path / name, **options)
    assert abs(rgb(tmp_path / name) - expected()).max() <= tolerance


@pytest.mark.parametrize("form", ["grey", "16 bit", "alpha", "CMYK", "animated"])
def test_unusual_colors_are_read_without_a_flag(tmp_path, form):
    path, image = tmp_path / "a.png", Image.fromarray(PIXELS)
    wanted, tolerance = expected(), 0
    if form == "grey":
        image.convert("L").save(path)
        wanted = expected(np.repeat(np.array(image.convert("L"))[..., None], 3, 2))
    elif form == "16 bit":
        grey = np.array(image.convert("L"))
        Image.fromarray(grey.astype(np.uint16) * 257).save(path)
        wanted = expected(np.repeat(grey[..., None], 3, 2))
    elif form == "alpha":
        image.putalpha(255)
        image.save(path)
    elif form == "CMYK":
        path = tmp_path / "a.tif"
        image.convert("CMYK").save(path)
    else:
        path, tolerance = tmp_path / "a.gif", 40  # 256 colors
        image.save(path, save_all=True, append_images=[Image.new("RGB", (64, 64))])
    assert abs(rgb(path) - wanted).max() <= tolerance
    assert read(path).item.flag == Flag.OK


def test_a_large_jpeg_decoded_small_looks_the_same(tmp_path):
    big = Image.fromarray(PIXELS).resize((1024, 1024), Image.Resampling.BICUBIC)
    big.save(tmp_path / "a.jpg", quality=95)
    whole = resize(np.asarray(Image.open(tmp_path / "a.jpg"))[None], SIDE, FIELD)[0]
    assert abs(rgb(tmp_path / "a.jpg") - whole.astype(int)).mean() < 1


# where the scale is known


def test_a_finer_image_is_cut_to_the_same_angle_on_the_sky(tmp_path):
    Image.fromarray(galaxy(512)).save(tmp_path / "a.png")
    seen = rgb(tmp_path / "a.png", pixel_scale=0.131)
    whole = np.asarray(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(seen, expected(whole))


@pytest.mark.parametrize("field", [0.75, 0.706, 0.5, 1.0])
def test_an_image_of_the_training_scale_is_cut_as_one_without_a_scale(tmp_path, field):
    Image.fromarray(galaxy(256)).save(tmp_path / "a.png")
    item = next(iter(list_items(tmp_path)))
    known = read_picture(item, SIDE, field, SourceConfig(pixel_scale=0.262))
    unknown = read_picture(item, SIDE, field, SourceConfig())
    np.testing.assert_array_equal(known.rgb, unknown.rgb)


def test_an_image_that_shows_less_gets_sky_around_it_and_a_flag(tmp_path):
    image = np.full((64, 64, 3), 30, np.uint8)
    image[16:48, 16:48] = 200
    Image.fromarray(image).save(tmp_path / "a.png")
    field_px = FIELD * 256  # at the scale of the frames
    picture = read(tmp_path / "a.png", pixel_scale=0.262)
    assert picture.item.flag == Flag.SMALL_FIELD
    assert f"{100 * 64 / field_px:.0f} %" in picture.item.reason
    bright = picture.rgb[..., 0] > 115
    assert bright.sum() == pytest.approx((32 * SIDE / field_px) ** 2, rel=0.3)
    assert (picture.rgb[:8] == 30).all()
    assert bright[SIDE // 2, SIDE // 2]


def test_the_finest_scale_needs_no_memory(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    assert read(tmp_path / "a.png", pixel_scale=1e-4).item.flag == Flag.SMALL_FIELD


# what cannot be read


def damage(tmp_path, how):
    path, image = tmp_path / "a.jpg", Image.fromarray(PIXELS)
    image.save(path)
    if how == "truncated":
        path.write_bytes(path.read_bytes()[:700])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_text("no image")
    elif how == "folder":
        path.unlink()
        path.mkdir()
    elif how == "missing":
        path.unlink()
    elif how == "1x1":
        Image.new("RGB", (1, 1)).save(path)
    elif how == "one color":
        Image.new("RGB", (64, 64), (9, 20, 60)).save(path)
    elif how == "float":
        path = tmp_path / "a.tif"
        Image.fromarray(PIXELS[..., 0].astype(np.float32)).save(path)
    elif how == "20,000 px":
        path = tmp_path / "a.png"
        Image.new("1", (20_000, 20_000)).save(path)
    elif how == "bomb":
        path = tmp_path / "a.png"
        Image.new("L", (11_000, 11_000)).save(path, compress_level=9)
    elif how == "fits by name":
        path = path.rename(tmp_path / "a.fits")
        path.write_bytes(b"x" * 5000)
    return Item(id="a", path=str(path), files=(str(path),))


@pytest.mark.parametrize(
    ("how", "flag"),
    [
        ("truncated", Flag.UNREADABLE),
        ("empty", Flag.UNREADABLE),
        ("text", Flag.UNREADABLE),
        ("folder", Flag.UNREADABLE),
        ("float", Flag.UNREADABLE),
        ("fits by name", Flag.UNREADABLE),
        ("missing", Flag.NOT_FOUND),
        ("1x1", Flag.TOO_SMALL),
        ("one color", Flag.NO_VALUES),
        ("20,000 px", Flag.TOO_LARGE),
        ("bomb", Flag.TOO_LARGE),
    ],
)
def test_a_bad_image_is_a_row_with_a_flag_and_one_line(tmp_path, how, flag):
    refused(read_picture(damage(tmp_path, how), SIDE, FIELD, SourceConfig()), flag)


def test_what_a_wrong_suffix_hides_is_read_by_its_first_bytes(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.fits")
    np.testing.assert_array_equal(rgb(tmp_path / "a.fits"), expected())


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="root may read everything"
)
def test_a_file_that_is_not_ours_to_read_says_so(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    refused(read(tmp_path / "a.png"), Flag.UNREADABLE)


def test_an_item_that_has_no_class_already_is_not_opened(tmp_path):
    item = Item(id="a", path="", flag=Flag.FETCH_FAILED, reason="no answer")
    picture = read_picture(item, SIDE, FIELD, SourceConfig())
    assert picture.rgb is None
    assert picture.item is item


def test_a_picture_becomes_the_columns_of_a_row(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    row = read(tmp_path / "a.png").to_dict()
    assert list(row) == ["id", "path", "ra", "dec", "flag", "reason"]
    assert row["id"] == "a"


# stacks and zips


def stacked(path, images, **columns):
    if path.suffix == ".npy":
        np.save(path, images)
    else:
        with h5py.File(path, "w") as file:
            file["images"] = images
            for name, values in columns.items():
                file[name] = values
    return path


@pytest.mark.parametrize("name", ["a.h5", "a.npy"])
@pytest.mark.parametrize("form", ["bytes", "planes first", "floats", "grey"])
def test_rows_of_stacks_are_read_in_every_form(tmp_path, name, form):
    images = np.stack([PIXELS, PIXELS[::-1]])
    wanted = [expected(image) for image in images]
    if form == "planes first":
        images = images.transpose(0, 3, 1, 2)
    elif form == "floats":
        images = images / np.float32(255)
    elif form == "grey":
        images = images[..., 1]
        wanted = [expected(np.repeat(g[..., None], 3, 2)) for g in images]
    items = list_items(stacked(tmp_path / name, images))
    for item, picture in zip(items, wanted, strict=True):
        seen = read_picture(item, SIDE, FIELD, SourceConfig())
        assert seen.item.flag == Flag.OK
        assert abs(seen.rgb.astype(int) - picture).max() <= 1


def test_positions_and_pixel_scales_of_a_stack_are_used(tmp_path):
    images = np.stack([PIXELS, PIXELS])
    columns = {"ra": [10.0, 20.0], "dec": [-5.0, np.nan], "pxscale": [0.262, np.nan]}
    first, second = list_items(stacked(tmp_path / "a.h5", images, **columns))
    assert (first.ra, first.dec) == (10.0, -5.0)
    assert np.isnan(second.ra)
    config = SourceConfig()
    flags = [read_picture(i, SIDE, FIELD, config).item.flag for i in (first, second)]
    assert flags == [Flag.SMALL_FIELD, Flag.OK]


def test_a_row_beyond_the_end_is_flagged(tmp_path):
    path = stacked(tmp_path / "a.h5", PIXELS[None])
    item = next(iter(list_items(f"{path}::7")))
    refused(read_picture(item, SIDE, FIELD, SourceConfig()), Flag.NOT_FOUND)


def test_fluxes_in_a_stack_are_drawn_by_the_bands_given(tmp_path):
    flux = np.exp(-np.hypot(*(np.mgrid[:64, :64] - 32)) / 6).astype(np.float32)
    flux = np.stack([0.1 * flux, 0.2 * flux, 0.3 * flux])
    flux += RNG.normal(0, 0.003, flux.shape)
    path = stacked(tmp_path / "a.npy", flux[None].astype(np.float32))
    named = read(path, bands="grz")
    assert named.item.flag == Flag.OK
    assert named.rgb[16, 16].min() > 2 * np.median(named.rgb)
    guessed = read(path).item.flag
    assert guessed == Flag.NO_UNITS | Flag.OTHER_BANDS
    refused(read(path, bands="gr"), Flag.BAD_SHAPE)


@pytest.mark.parametrize("last", [False, True])
def test_planes_of_more_bands_are_drawn_by_their_names_or_from_blue_to_red(
    tmp_path, last
):
    planes = np.stack([galaxy()[..., 0] * f for f in (0.5, 1.0, 1.2, 1.4, 1.6)])
    cube = (planes / 100).astype(np.float32)
    images = np.stack([cube.transpose(1, 2, 0) if last else cube] * 2)
    path = stacked(tmp_path / "a.h5", images)
    (named, _) = (
        read_picture(item, SIDE, FIELD, SourceConfig(bands="ugriz"))
        for item in list_items(str(path), SourceConfig())
    )
    assert named.item.flag == Flag.OK
    plain = next(iter(list_items(str(path), SourceConfig())))
    plain = read_picture(plain, SIDE, FIELD, SourceConfig())
    assert plain.item.flag & Flag.OTHER_BANDS
    assert "from blue to red" in plain.item.reason
    assert plain.rgb is not None
    wrong = read(path.with_name("a.h5::1"), bands="grz")
    refused(wrong, Flag.BAD_SHAPE)
    assert "expected 3 bands, got (5, " in wrong.item.reason


@pytest.mark.parametrize("dtype", ["i8", "i4", "i2", "u2", "f4", "f8"])
@pytest.mark.parametrize("form", ["color", "grey", "alpha", "colors first"])
def test_whole_numbers_up_to_255_are_the_picture_of_the_bytes(tmp_path, dtype, form):
    pixels = {
        "color": PIXELS,
        "grey": PIXELS[..., 0],
        "alpha": np.dstack([PIXELS, np.full(PIXELS.shape[:2], 250, np.uint8)]),
        "colors first": PIXELS.transpose(2, 0, 1),
    }[form]
    plain = read(stacked(tmp_path / "a.npy", pixels[None]))
    other = read(stacked(tmp_path / "b.npy", pixels[None].astype(dtype)))
    assert other.item.flag == plain.item.flag
    np.testing.assert_array_equal(other.rgb, plain.rgb)


def test_holes_in_a_picture_of_floats_are_filled_with_sky(tmp_path):
    whole = PIXELS / np.float32(255)
    holed = whole.copy()
    holed[:9, :9] = np.nan
    marked = holed.copy()
    marked[:9, :9] = -999
    plain = rgb(stacked(tmp_path / "a.npy", whole[None]))
    one = read(stacked(tmp_path / "b.npy", holed[None]))
    other = read(stacked(tmp_path / "c.npy", marked[None]))
    assert one.item.flag == other.item.flag == Flag.SOME_NAN
    assert abs(one.rgb.astype(int) - plain).mean() < 2
    np.testing.assert_array_equal(one.rgb, other.rgb)


def test_members_of_a_zip_are_read_in_place_fits_and_damage_included(tmp_path):
    from astropy.io import fits

    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    flux = RNG.normal(0, 1, (64, 64)).astype(np.float32)
    flux[30:34, 30:34] = 90
    fits.writeto(tmp_path / "b.fits", flux)
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "x/a.png")
        archive.write(tmp_path / "b.fits", "x/b.fits")
        archive.writestr("x/c.jpg", b"no image")
        archive.writestr("x/readme.txt", "no image")
        archive.writestr("__MACOSX/x/a.png", "no image")
    items = list(list_items(tmp_path / "z.zip"))
    assert [item.id for item in items] == ["x/a", "x/b", "x/c"]
    pictures = [read_picture(i, SIDE, FIELD, SourceConfig()) for i in items]
    np.testing.assert_array_equal(pictures[0].rgb, expected())
    assert pictures[1].item.flag == Flag.ONE_BAND | Flag.NO_UNITS
    refused(pictures[2], Flag.UNREADABLE)
    missing = dataclasses.replace(items[0], key="x/gone.png")
    refused(read_picture(missing, SIDE, FIELD, SourceConfig()), Flag.NOT_FOUND)


def tarred(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def encoded(pixels):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("mode", ["w:", "w:gz"])
def test_members_of_a_tar_are_read_in_place_in_its_order(tmp_path, mode):
    long = "long/" * 40 + "b.png"
    files = {
        "./x/z.png": encoded(PIXELS), long: encoded(PIXELS[::-1]), "x/c.jpg": b"none",
        "x/readme.txt": b"no image", "x/.hidden.png": b"no image",
    }  # fmt: skip
    path = tarred(tmp_path / ("z.tar" if mode == "w:" else "z.tgz"), files, mode)
    items = list(list_items(path))
    assert [item.id for item in items] == ["x/z", long[:-4], "x/c"]
    pictures = [read_picture(i, SIDE, FIELD, SourceConfig()) for i in items]
    np.testing.assert_array_equal(pictures[0].rgb, expected())
    np.testing.assert_array_equal(pictures[1].rgb, expected(PIXELS[::-1]))
    refused(pictures[2], Flag.UNREADABLE)
    np.testing.assert_array_equal(rgb(f"{path}::x/z.png"), expected())
    refused(read(f"{path}::x/gone.png"), Flag.NOT_FOUND)


def test_a_packed_tar_is_unpacked_once_by_many_threads(tmp_path, monkeypatch):
    pixels = {f"{k}.png": np.roll(PIXELS, k, axis=0) for k in range(60)}
    files = {name: encoded(image) for name, image in pixels.items()}
    items = list(list_items(tarred(tmp_path / "z.tar.gz", files)))
    begun, again = [], gzip._GzipReader._rewind

    def rewind(self):
        begun.append(1)
        again(self)

    monkeypatch.setattr(gzip._GzipReader, "_rewind", rewind)
    with ThreadPoolExecutor(8) as pool:
        one = partial(read_picture, side=SIDE, field=FIELD, config=SourceConfig())
        seen = list(pool.map(one, items))
    assert len(begun) <= 1  # after its first header was looked at
    for picture, image in zip(seen, pixels.values(), strict=True):
        np.testing.assert_array_equal(picture.rgb, expected(image))
    back = read_picture(items[0], SIDE, FIELD, SourceConfig()).rgb
    np.testing.assert_array_equal(back, expected(pixels["0.png"]))


def test_little_of_a_packed_tar_is_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "PASSED", 1 << 16)
    files = {f"{k}.png": RNG.bytes(1 << 14) for k in range(40)}
    path = tarred(tmp_path / "z.tar.gz", files)
    items = list(list_items(path))
    for item in (items[3], items[39], items[38], items[0]):  # backwards too
        with archives.read_member(str(path), item.key, item.row) as file:
            assert file.read() == files[item.key]
    tar = archives.kept_open(archives._Tar, "a tar", str(path))
    assert 0 < sum(map(len, tar._passed.values())) <= 1 << 16


def test_a_tar_that_was_cut_short_gives_what_it_has_and_a_row_that_says_so(tmp_path):
    files = {f"{k}.png": encoded(PIXELS) for k in range(4)}
    path = tarred(tmp_path / "z.tar", files, "w:")
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"IEND")])
    *whole, last, says = list_items(path)
    assert [item.id for item in whole] == ["0", "1", "2"]
    refused(read_picture(last, SIDE, FIELD, SourceConfig()), Flag.UNREADABLE)
    assert "unexpected end of data" in says.reason


def test_absurd_numbers_in_a_tar_ask_for_no_memory_and_come_to_an_end(tmp_path):
    for kind, size in ((tarfile.XHDTYPE, 1 << 40), (tarfile.REGTYPE, -512)):
        info = tarfile.TarInfo("a.png")
        info.type, info.size = kind, size
        path = tmp_path / f"{size}.tar"
        path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(10240))
        items = list(itertools.islice(list_items(path), 5))
        assert items[-1].flag == Flag.UNREADABLE
        assert re.search("a name of|negative length", items[-1].reason)
        assert len(items) < 5


def test_a_file_that_changes_during_a_run_is_opened_again(tmp_path):
    path = stacked(tmp_path / "a.npy", PIXELS[None])
    item = next(iter(list_items(path)))
    before = read_picture(item, SIDE, FIELD, SourceConfig()).rgb
    path.unlink()
    refused(read_picture(item, SIDE, FIELD, SourceConfig()), Flag.NOT_FOUND)
    stacked(path, np.stack([PIXELS[::-1]] * 2))
    after = read_picture(item, SIDE, FIELD, SourceConfig()).rgb
    assert (before != after).any()


# fuzz


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Small whole files of every form, by suffix."""
    from astropy.io import fits

    folder = tmp_path_factory.mktemp("samples")
    image = Image.fromarray(PIXELS[:24, :24])
    for suffix in ("jpg", "png", "webp", "tif", "gif"):
        image.save(folder / f"a.{suffix}")
    cube = RNG.normal(0, 1, (3, 12, 12)).astype(np.float32)
    fits.writeto(folder / "a.fits", cube, fits.Header({"BANDS": "grz"}))
    (folder / "a.fits.gz").write_bytes(gzip.compress((folder / "a.fits").read_bytes()))
    hdus = [fits.PrimaryHDU(), fits.CompImageHDU(cube[0])]
    fits.HDUList(hdus).writeto(folder / "a.fits.fz")
    stacked(folder / "a.npy", PIXELS[None, :24, :24])
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(folder / "a.png", "a.png")
    return {path.name.partition(".")[2]: path.read_bytes() for path in folder.iterdir()}


FORMS = ["jpg", "png", "webp", "tif", "gif", "fits", "fits.gz", "fits.fz", "npy", "zip"]


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    form=st.sampled_from(FORMS),
    cut=st.floats(0, 1),
    spots=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4),
)
@pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged TIFF files
def test_no_damage_raises(samples, tmp_path, form, cut, spots):
    damaged = bytearray(samples[form])
    for place, value in spots:
        damaged[int(place * (len(damaged) - 1))] = value
    path = tmp_path / f"a.{form}"
    path.write_bytes(damaged[: int(cut * len(damaged)) or None] if cut < 1 else damaged)
    items = [Item(id="a", path=str(path), files=(str(path),))]
    if form == "npy":
        items = [Item(id="a", path="", kind="row", files=(str(path),), row=0)]
    elif form == "zip":
        items = list(list_items([path, "none.jpg"]))
    for item in items:
        picture = read_picture(item, SIDE, FIELD, SourceConfig())
        assert (picture.rgb is None) == bool(picture.item.flag & NO_CLASS)
        assert (picture.item.flag == 0) == (not picture.item.reason)


def test_a_npy_header_that_is_no_python_is_a_damaged_file(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((1, 24, 24, 3), np.uint8))
    damaged = (tmp_path / "a.npy").read_bytes().replace(b"(1, 24", b"\x001, 24")
    (tmp_path / "a.npy").write_bytes(damaged)
    item = Item(id="a", path="", kind="row", files=(str(tmp_path / "a.npy"),), row=0)
    picture = read_picture(item, SIDE, FIELD, SourceConfig())
    assert picture.item.flag == Flag.UNREADABLE


def test_the_crop_of_the_real_images_is_that_of_the_training(shared):
    source = shared / "galaxy10_real60_jpeg.zip"
    items = list(list_items(source))
    assert len(items) == 60
    with zipfile.ZipFile(source) as archive, archive.open(items[7].key) as file:
        image = np.array(Image.open(file).convert("RGB"))
    picture = read_picture(items[7], 128, 0.706, SourceConfig())
    np.testing.assert_array_equal(picture.rgb, resize(image[None], 128, 0.706)[0])
    assert crop_side(256, 0.706) == 180


def test_the_real_stack_and_the_real_zip_hold_the_same_galaxies(shared):
    config = SourceConfig()
    stack = list_items(shared / "galaxy10_real60.h5")
    archive = list_items(shared / "galaxy10_real60_jpeg.zip")
    rows = [read_picture(item, 32, 1.0, config).rgb for item in stack]
    files = [read_picture(item, 32, 1.0, config).rgb for item in archive]
    nearest = [min(np.abs(r.astype(int) - f).mean() for f in files) for r in rows]
    assert max(nearest) < 4  # the zip is JPEG
