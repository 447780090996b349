"""Files are read by processes of their own: one that hangs or crashes is replaced."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from dmagnet.app.readers import READ_BYTES, Readers
from dmagnet.config import SourceConfig
from dmagnet.errors import DataError
from dmagnet.pictures.inputs.item import Item
from dmagnet.pictures.inputs.reading import read_picture

LIMIT_S = 4.0  # that a busy machine needs for a small picture, and more
SIDES, VIEW = (32, 64), (0.7, None)

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="stops processes and looks into /proc"
)


@pytest.fixture(scope="module")
def readers(tmp_path_factory):
    readers = Readers(2, SIDES, VIEW, tmp_path_factory.mktemp("scratch"))
    yield readers
    running = [*readers._all]
    readers.close()
    assert all(reader.poll() is not None for reader in running)


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """One reader alone."""
    readers = Readers(1, SIDES, VIEW, tmp_path_factory.mktemp("one"))
    yield readers
    readers.close()


@pytest.fixture
def quick(one, tmp_path):
    """One reader that is there by now, and has little time."""
    one._limit_s = 60
    one.read(picture(tmp_path))
    one._limit_s = LIMIT_S
    return one


def picture(folder, name="good.jpg"):
    path = folder / name
    pixels = np.random.default_rng(0).integers(0, 255, (96, 96, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return Item(id="good", path=name, files=(str(path),))


def fits_image(folder):
    hdu = fits.PrimaryHDU(np.random.default_rng(0).normal(1, 1, (3, 96, 96)))
    hdu.header.update(
        BANDS="grz", CTYPE1="RA---TAN", CTYPE2="DEC--TAN", CRVAL1=150.1, CRVAL2=2.2,
        CRPIX1=48.5, CRPIX2=48.5, CD1_1=-7e-5, CD1_2=1e-5, CD2_1=1e-5, CD2_2=7e-5,
    )  # fmt: skip
    hdu.writeto(folder / "a.fits")
    return Item(id="a", path="a.fits", files=(str(folder / "a.fits"),), ra=150.0)


def test_what_a_reader_gives_is_what_reading_it_here_gives(readers, tmp_path):
    for item in (picture(tmp_path), fits_image(tmp_path)):
        found, seen, wcs, notes = readers.read(item)
        for side, rgb in zip(SIDES, seen, strict=True):
            here = read_picture(item, side, VIEW[0], SourceConfig())
            np.testing.assert_array_equal(rgb, here.rgb)
            assert repr(found) == repr(here.item)  # NaN equals NaN
        expected, told = here.view_wcs()
        assert notes == told
        assert (wcs is None) == (expected is None)
        if wcs is not None:
            for place in ((0, 0), (20, 60), (63, 5)):
                there = expected.pixel_to_world(*place)
                assert wcs.pixel_to_world(*place).separation(there).arcsec < 1e-6


def test_why_there_is_no_picture_is_told(readers, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    item = Item(id="bad", path="bad.png", files=(str(tmp_path / "bad.png"),))
    with pytest.raises(DataError, match=r"bad\.png: expected an image"):
        readers.read(item)
    with pytest.raises(DataError, match=r"gone\.png: .*found nothing"):
        readers.read(Item(id="gone", path="gone.png", files=("/nowhere/gone.png",)))


@pytest.mark.slow
def test_a_reader_that_hangs_is_ended_and_another_reads_on(quick, tmp_path):
    (stopped,) = quick._all
    stopped.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    with pytest.raises(DataError, match=r"could not be read in 4 s"):
        quick.read(picture(tmp_path))
    assert time.monotonic() - begun >= LIMIT_S
    assert stopped.poll() == -signal.SIGKILL
    quick._limit_s = 60
    assert quick.read(picture(tmp_path))[1]


def test_a_reader_that_crashes_is_replaced(quick, tmp_path):
    (crashing,) = quick._all
    crashing.send_signal(signal.SIGSTOP)
    crash = threading.Timer(0.5, crashing.send_signal, [signal.SIGSEGV])
    go_on = threading.Timer(0.6, crashing.send_signal, [signal.SIGCONT])
    crash.start()
    go_on.start()
    with pytest.raises(DataError, match="could not be read; convert it"):
        quick.read(picture(tmp_path))
    quick._limit_s = 60
    assert quick.read(picture(tmp_path))[1]


def test_a_reader_that_the_system_ended_meanwhile_costs_no_answer(quick, tmp_path):
    (ended,) = quick._all
    ended.kill()
    ended.wait()
    quick._limit_s = 60
    assert quick.read(picture(tmp_path))[1]
    assert ended not in quick._all


def test_a_reader_takes_no_more_memory_than_one_file_may_need(readers, tmp_path):
    import resource

    readers.read(picture(tmp_path))
    readers.read(picture(tmp_path))  # both are there by now
    for reader in readers._all:
        most, _ = resource.prlimit(reader.pid, resource.RLIMIT_AS)
        own = int(Path(f"/proc/{reader.pid}/statm").read_text().split()[0])
        assert READ_BYTES / 2 < most - own * resource.getpagesize() <= READ_BYTES


@pytest.mark.slow
def test_readers_end_with_their_page_also_when_it_is_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; "
        "from dmagnet.app.readers import Readers; "
        f"readers = Readers(1, {SIDES}, {VIEW}, Path(sys.argv[1])); "
        "print(*(r.pid for r in readers._all), flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as page:
        reader = int(page.stdout.readline())
        page.kill()
    for _ in range(600):
        if is_gone(reader):
            break
        time.sleep(0.1)
    assert is_gone(reader)


def is_gone(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"  # where nobody asks how it ended


def test_a_file_in_the_folder_where_the_page_was_begun_is_not_run(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit('not ours')")
    item = picture(tmp_path)
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        readers = Readers(1, SIDES, VIEW, tmp_path)
        assert readers.read(item)[1]
        readers.close()
    finally:
        os.chdir(before)
