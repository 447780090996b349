"""Files that mean harm, or are broken in ways that harm: each is a row, and soon."""

import io
import itertools
import os
import random
import socket
import subprocess
import sys
import threading
import time
import warnings
import zlib

import damage
import h5py
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from dmagnet.config import SourceConfig
from dmagnet.errors import DataError
from dmagnet.galaxies import load_galaxies
from dmagnet.pictures import ImageError, draw, legacy_rgb, read_planes
from dmagnet.pictures.inputs import NO_CLASS, Flag, list_items, read_picture
from dmagnet.pictures.opening import quiet
from dmagnet.pictures.raster import (
    LARGE,
    one_large_at_a_time,
    part_of,
    strips,
    take_turn,
)

NOISE = np.random.default_rng(1).normal(0, 1, (3, 32, 32)).astype(np.float32)


def read(path):
    (item,) = list_items([str(path)])
    return read_picture(item, 64, 0.75, SourceConfig())


def in_bytes(*hdus):
    out = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(out)
    return out.getvalue()


def numbered(content, key, value, nth=1):
    """Overwrite a number in the n-th card of this name."""
    at = -1
    for _ in range(nth):
        at = content.index(f"{key:8}= ".encode(), at + 1)
    return content[: at + 10] + f"{value:>20}".encode() + content[at + 30 :]


def extensions():
    return in_bytes(fits.PrimaryHDU(), fits.ImageHDU(NOISE[0]), fits.ImageHDU(NOISE))


def compressed():
    plane = fits.CompImageHDU(NOISE[0], compression_type="GZIP_1")
    return in_bytes(fits.PrimaryHDU(), plane)


ABSURD = ["-1", "-5000", "999999999999", "9" * 19, "1E400", "2.5", "T", "'a'", ""]


@pytest.mark.parametrize("value", ABSURD)
@pytest.mark.parametrize(
    "key", ["NAXIS", "NAXIS1", "NAXIS3", "BITPIX", "PCOUNT", "GCOUNT"]
)
def test_an_absurd_number_in_a_header_is_a_damaged_file(tmp_path, key, value):
    content = in_bytes(fits.PrimaryHDU(), fits.ImageHDU(NOISE))
    path = tmp_path / "a.fits"
    nth = 2 if key in ("NAXIS", "BITPIX") else 1  # of the extension
    path.write_bytes(numbered(content, key, value, nth))
    assert read(path).item.flag == Flag.UNREADABLE


@pytest.mark.parametrize("value", [10**6, 10**17, -1])
@pytest.mark.parametrize("key", ["TFIELDS", "NAXIS2", "PCOUNT"])
def test_an_absurd_number_in_a_table_is_one_line(tmp_path, key, value):
    columns = [fits.Column("path", "9A", array=["a.png"]), fits.Column("x", "0A")]
    content = in_bytes(fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns))
    path = tmp_path / "a.fits"
    path.write_bytes(numbered(content, key, value))
    assert read(path).item.flag == Flag.UNREADABLE


@pytest.mark.parametrize("key", ["ZNAXIS", "ZNAXIS1", "ZTILE1", "NAXIS2", "PCOUNT"])
@pytest.mark.parametrize("value", [-5, 10**15, 10**17])
def test_an_absurd_number_in_a_packed_image_is_a_flag(tmp_path, key, value):
    path = tmp_path / "a.fits.fz"
    path.write_bytes(numbered(compressed(), key, value))
    assert read(path).item.flag & NO_CLASS


def test_what_is_damaged_behind_the_image_does_not_matter(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(numbered(extensions(), "NAXIS1", -32, nth=2))
    assert not read(path).item.flag & NO_CLASS
    with pytest.raises(ImageError, match="NAXIS1 = -32"):
        read_planes(path, hdu=2)


def other_files(folder):
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    (folder / "device").symlink_to("/dev/zero")
    (folder / "folder").mkdir()
    return [folder / name for name in ("pipe", "socket", "device")]


@pytest.mark.parametrize(
    "suffix", [".jpg", ".fits", ".fits.gz", ".zip", ".tar", ".h5", ".npy"]
)
def test_what_is_no_file_is_refused_at_once(tmp_path, suffix):
    for path in other_files(tmp_path):
        found = read(path.rename(path.with_name(path.name + suffix)))
        assert found.item.flag == Flag.UNREADABLE
        assert "a pipe, socket or device" in found.item.reason


@pytest.mark.parametrize("start", [b"PK\3\4", b"\xfd7zXZ\0", b"\x1f\x9d"])
def test_an_archive_is_not_unpacked_in_place_of_fits(tmp_path, start):
    path = tmp_path / "a.fits"
    path.write_bytes(start + bytes(9000))
    found = read(path).item
    assert found.flag == Flag.UNREADABLE
    assert "an archive" in found.reason


def test_a_tile_that_unpacks_to_more_than_an_image_is_refused(tmp_path):
    image = fits.CompImageHDU(
        np.ones((64, 64), np.float32), compression_type="GZIP_1", tile_shape=(64, 64)
    )
    image.writeto(tmp_path / "whole.fits")
    packer = zlib.compressobj(wbits=31)
    bomb = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(300))])
    bomb = np.frombuffer(bomb + packer.flush(), np.uint8)
    column = fits.Column("COMPRESSED_DATA", f"1PB({len(bomb)})")
    table = fits.BinTableHDU.from_columns([column], nrows=1)
    table.data["COMPRESSED_DATA"][0] = bomb
    whole = fits.open(tmp_path / "whole.fits", disable_image_compression=True)
    with whole:
        table.header.update({k: v for k, v in whole[1].header.items() if k[0] == "Z"})
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits.fz")
    found = read(tmp_path / "a.fits.fz").item
    assert found.flag == Flag.TOO_LARGE
    assert "a tile" in found.reason or "tiles of an image" in found.reason


def test_threads_may_be_quiet_at_the_same_time_and_filters_come_back():
    before = list(warnings.filters)
    inside = threading.Barrier(4)

    def _warn():
        with quiet():
            inside.wait(10)  # all of them are within
            warnings.warn("not to be seen", UserWarning, stacklevel=1)

    threads = [threading.Thread(target=_warn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def stack(path, how):
    """Write ten images of 16 px that are not in this file, or not sane."""
    images = np.random.default_rng(2).integers(0, 255, (10, 16, 16, 3), np.uint8)
    secret = path.with_name("secret")
    secret.write_bytes(images.tobytes())
    with h5py.File(path.with_name("other.hdf5"), "w") as other:
        other["images"], other["ans"] = images, np.arange(10)
    with h5py.File(path, "w") as file:
        file["ans"] = np.arange(10)
        if how == "external storage":
            file.create_dataset(
                "images", images.shape, "u1", external=[(str(secret), 0, images.size)]
            )
        elif how == "virtual":
            layout = h5py.VirtualLayout(images.shape, "u1")
            layout[:] = h5py.VirtualSource(str(path.with_name("other.hdf5")), "images",
                                           images.shape)  # fmt: skip
            file.create_virtual_dataset("images", layout)
        elif how == "external link":
            file["images"] = h5py.ExternalLink("other.hdf5", "images")
        elif how == "soft link":
            file["there"] = h5py.ExternalLink("other.hdf5", "/")
            file["images"] = h5py.SoftLink("/there/images")
        elif how == "no values":
            file.create_dataset(
                "images", (10**9, 16, 16, 3), "u1", chunks=(1, 16, 16, 3)
            )
        elif how == "large chunks":
            file.create_dataset(
                "images", (10**5, 64, 64, 3), "u1", chunks=(10**5, 64, 64, 3),
                compression="gzip",
            )  # fmt: skip
        elif how == "bomb":
            made = file.create_dataset(
                "images", (10, 16, 16, 3), "u1", chunks=(10, 16, 16, 3),
                compression="gzip",
            )  # fmt: skip
            bomb = zlib.compress(bytes(1 << 29), 1)
            made.id.write_direct_chunk((0, 0, 0, 0), bomb)
    return path


HOW = [
    *("external storage", "virtual", "external link", "soft link"),
    *("no values", "large chunks", "bomb"),
]


@pytest.mark.parametrize("how", HOW)
def test_hdf5_reads_no_other_file_and_makes_no_room_without_end(tmp_path, how):
    path = stack(tmp_path / "a.h5", how)
    with pytest.raises(DataError):
        load_galaxies(path)
    try:
        items = list_items([str(path)])
    except DataError:  # no data set of images, however it is looked for
        return
    first = read_picture(next(iter(items)), 64, 0.75, SourceConfig())
    assert first.item.flag == Flag.UNREADABLE


@pytest.mark.parametrize("shape", [(2, 16, 16, 3), (2, 10_000, 10_000)])
def test_a_row_of_too_many_pixels_is_not_read(tmp_path, shape):
    path = tmp_path / "a.npy"
    made = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    made[0, :16, :16] = np.arange(16)[:, None] if len(shape) == 3 else 9
    made.flush()
    first = read_picture(next(iter(list_items([str(path)]))), 64, 0.75, SourceConfig())
    assert (first.item.flag == Flag.TOO_LARGE) == (len(shape) == 3)


# Very large images

PEAK = r"""
import re, sys
from pathlib import Path
from dmagnet.classifying import open_classifier
from dmagnet.config import SourceConfig
from dmagnet.pictures.inputs import list_items, read_picture
network = open_classifier("xs")
for path in sys.argv[1:]:
    (item,) = list_items([path])
    seen = read_picture(item, 64, 1.0, SourceConfig(), radii=network.radii)
    network.judge(seen.rgb[None])
    status = Path("/proc/self/status").read_text()  # rusage remembers the parent
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024
    print(peak, round(seen.item.radius_px), int(seen.item.flag & 65535))
"""


def galaxy(side):
    """A galaxy with a radius that grows with the side of the image: uint8."""
    y, x = np.mgrid[:100, :100] - 49.5
    profile = (200 * np.exp(-np.hypot(x, y) * 0.3)).astype(np.uint8)
    noise = np.random.default_rng(3).integers(0, 20, (97, 89), np.uint8)
    tiled = np.tile(noise, (side // 97 + 1, side // 89 + 1))[:side, :side]
    return np.kron(profile, np.ones((side // 100,) * 2, np.uint8)) + tiled


@pytest.mark.slow
def test_the_largest_images_are_read_in_1_gb(tmp_path):
    cube = np.stack([galaxy(5400)] * 3)
    fits.PrimaryHDU(cube, fits.Header({"BUNIT": "nanomaggy"})).writeto(
        tmp_path / "a.fits"
    )
    np.save(tmp_path / "b.npy", cube[None])
    Image.fromarray(galaxy(9400)).save(tmp_path / "c.png", compress_level=1)
    files = [str(tmp_path / name) for name in ("a.fits", "b.npy", "c.png")]
    done = subprocess.run(
        [sys.executable, "-c", PEAK, *files], capture_output=True, check=True, text=True
    )
    for line, side in zip(done.stdout.splitlines(), (5400, 5400, 9400), strict=True):
        peak, radius, flag = map(int, line.split())
        assert peak < 1024, done.stdout
        assert flag == 0
        assert 0.02 * side < radius < 0.3 * side, done.stdout


def test_the_radius_is_in_pixels_of_the_file_however_it_was_decoded(tmp_path):
    found = []
    for name in ("a.jpg", "a.png"):
        Image.fromarray(galaxy(2400)).save(tmp_path / name)
        (item,) = list_items([str(tmp_path / name)])
        seen = read_picture(item, 64, 1.0, SourceConfig(), radii=3.0)
        found.append(seen.item.radius_px)
    assert found[0] == pytest.approx(found[1], rel=0.02)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("height", "width"), [(5400, 5400), (5401, 3000), (8, 10_000_000), (4096, 4096)]
)
def test_of_a_large_image_the_middle_is_read_and_no_more_than_was_asked(
    height, width, known
):
    part = part_of(height, width, 1 << 22, known_scale=known)
    rows, columns = range(height)[part.rows], range(width)[part.columns]
    assert 0.5 * (1 << 21) < len(rows) * len(columns) <= 1 << 22
    for each, length in ((rows, height), (columns, width)):
        assert each[0] + each[-1] == pytest.approx(length - 1, abs=part.step)


def test_drawing_in_strips_is_drawing_at_once():
    flux = np.random.default_rng(4).normal(0, 0.01, (3, 1201, 1100)).astype(np.float32)
    rgb, _ = draw(flux, ("g", "r", "z"))
    assert len(list(strips(1201, 1100))) > 1
    np.testing.assert_array_equal(rgb, legacy_rgb(flux).transpose(1, 2, 0))


def test_one_large_image_at_a_time(tmp_path):
    at_work, most = [], []

    def _work():
        with one_large_at_a_time():
            take_turn(LARGE)
            take_turn(LARGE)  # it has the turn already
            at_work.append(1)
            most.append(len(at_work))
            time.sleep(0.02)
            at_work.pop()

    threads = [threading.Thread(target=_work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert most == [1, 1, 1, 1]


# Files damaged at random; benchmarks/damaged_files.py reads thousands


@pytest.mark.parametrize("form", damage.FORMS)
def test_damaged_files_are_rows_or_one_line(tmp_path, wholes, form):
    lines = []
    for number in range(12):
        dice = random.Random(f"suite-{form}-{number}")
        other = wholes[dice.choice(damage.FORMS)]
        path = tmp_path / f"{number}.{form}"
        path.write_bytes(damage.damaged(wholes[form], other, dice))
        try:
            items = list(itertools.islice(list_items([str(path)]), 20))
        except DataError as error:
            lines.append(str(error))
            continue
        for item in items:
            seen = read_picture(item, 64, 1.0, SourceConfig(), radii=3.0)
            assert (seen.rgb is None) == bool(seen.item.flag & NO_CLASS)
            lines.append(seen.item.reason)
    assert not [line for line in lines if "\n" in line]


@pytest.fixture(scope="module")
def wholes(tmp_path_factory):
    return damage.originals(tmp_path_factory.mktemp("whole"), 0)
