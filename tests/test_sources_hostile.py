"""Files that mean harm, or are broken in ways that harm: each is a row, and soon."""

import io
import os
import socket
import threading
import warnings

import numpy as np
import pytest
from astropy.io import fits

from dmagnet.config import SourceConfig
from dmagnet.images import ImageError, read_planes
from dmagnet.images.opening import quiet
from dmagnet.sources import NO_CLASS, Flag, list_items, read_picture

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


@pytest.mark.parametrize("suffix", [".jpg", ".fits", ".fits.gz", ".zip", ".h5", ".npy"])
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
