import asyncio
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from legacy_server import LegacyServer
from PIL import Image

from dmagnet import __version__
from dmagnet.config import CutoutConfig, SourceConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.pictures.inputs import Flag, Item
from dmagnet.pictures.inputs.cutout_files import (
    Failure,
    Position,
    Shelf,
    cutout_folder,
    place,
    retry_after,
)
from dmagnet.pictures.inputs.cutouts import (
    GIVE_UP_AFTER,
    LOOK_AHEAD,
    fetch_cutouts,
    fetched,
)
from dmagnet.pictures.inputs.reading import read_picture

BAD = ["408", "429", "500", "502", "503", "cut", "cut unsized", "short", "garbage"]
BAD += ["page", "other size", "huge"]
QUICK = CutoutConfig(size=32, per_second=1000, wait=0.005, timeout=5)


@pytest.fixture
def serve():
    servers = []

    def start(*answers, **kwargs):
        servers.append(LegacyServer(*answers, **kwargs))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def at(*places):
    """Items at (ra, dec), or at dec 0."""
    pairs = [(p, 0.0) if isinstance(p, int | float) else p for p in places]
    return [Item(id=f"g{ra:g}", path="t.csv", kind="position", ra=ra, dec=dec)
            for ra, dec in pairs]  # fmt: skip


def get(cache, server, *places, **knobs):
    config = replace(QUICK, url=server.url, **knobs)
    return list(fetched(at(*places), config, cache=cache))


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def free_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


# What comes


def test_a_position_becomes_the_file_that_the_service_sent(tmp_path, serve):
    (item,) = get(tmp_path, serve(), (150.1163, -2.2058))
    assert (item.kind, item.flag, item.id) == ("file", Flag.OK, "g150.116")
    with fits.open(item.files[0]) as hdus:
        assert hdus[0].data.shape == (3, 32, 32)
        assert hdus[0].header["CRVAL1"] == 150.1163
        assert hdus[0].header["CRVAL2"] == -2.2058


def test_what_came_can_be_read(tmp_path, serve):
    items = get(tmp_path, serve("image", "blank"), 10, 20, size=256, parallel=1)
    seen, blank = [read_picture(one, 96, 0.75, SourceConfig()) for one in items]
    assert seen.rgb.shape == (96, 96, 3)
    assert seen.item.flag == Flag.OK
    assert (seen.item.ra, seen.item.id) == (10, "g10")
    assert blank.rgb is None
    assert blank.item == items[1]


def test_the_path_is_the_address_of_the_cutout(tmp_path, serve):
    server = serve()
    (item,) = get(tmp_path, server, (1e-5, -45.5), layer="ls-dr9", bands="gr")
    query = "ra=0.00001&dec=-45.5&layer=ls-dr9&pixscale=0.262&size=32&bands=gr"
    assert item.path == f"{server.url}?{query}"
    assert server.queries == [dict(pair.split("=") for pair in query.split("&"))]


def test_the_service_learns_who_asks(tmp_path, serve):
    server = serve()
    get(tmp_path, server, 1)
    assert server.headers[0]["User-Agent"] == f"dmagnet/{__version__}"


@pytest.mark.parametrize("bad", ["cut", "short", "page", "other size"])
def test_pictures_come_as_well(tmp_path, serve, bad):
    server = serve(bad, "image")
    url = server.url.replace(".fits", ".jpg")
    (item,) = fetched(at(1), replace(QUICK, url=url), cache=tmp_path)
    with Image.open(item.files[0]) as image:
        assert (image.size, image.format) == ((32, 32), "JPEG")
    assert len(server.queries) == 2


def test_a_picture_of_nothing_is_outside_the_survey(tmp_path, serve):
    url = serve("blank").url.replace(".fits", ".jpg")
    (item,) = fetched(at(1), replace(QUICK, url=url), cache=tmp_path)
    assert item.flag == Flag.OUTSIDE_SURVEY


def test_order_is_kept_whatever_comes_first(tmp_path, serve):
    server = serve(delay=lambda query: 0.2 if query["ra"] == "1" else 0)
    items = get(tmp_path, server, 1, 2, 3, 4)
    assert [item.id for item in items] == ["g1", "g2", "g3", "g4"]


def test_what_is_no_position_passes_untouched_between_positions(tmp_path, serve):
    file = Item(id="a", path="a.jpg", files=("a.jpg",))
    lost = Item(id="b", path="t.csv", kind="position", flag=Flag.NOT_FOUND)
    config = replace(QUICK, url=serve().url)
    out = list(fetched([*at(1), file, lost, *at(2)], config, cache=tmp_path))
    assert [item.id for item in out] == ["g1", "a", "b", "g2"]
    assert out[1] is file
    assert out[2] is lost


def test_without_positions_nothing_is_started_or_made(tmp_path):
    file = Item(id="a", path="a.jpg", files=("a.jpg",))
    before = threading.active_count()
    threads = {threading.active_count() for _ in fetched([file] * 3, cache=tmp_path)}
    assert threads == {before}
    assert names(tmp_path) == []


# What is asked


def test_a_second_run_asks_for_nothing(tmp_path, serve):
    server = serve()
    first = get(tmp_path, server, 1, 2, 3)
    server.stop()
    assert get(tmp_path, server, 1, 2, 3) == first
    assert len(server.queries) == 3


def test_the_same_place_is_asked_for_once(tmp_path, serve):
    server = serve(delay=0.05)
    items = get(tmp_path, server, 350, (-10, 0), (350 + 1e-9, -0.0), (350, 1))
    assert len({item.files for item in items}) == 2
    assert len(server.queries) == 2


def test_every_setting_that_shapes_an_image_has_its_own_image(tmp_path, serve):
    server = serve()
    changed = [{"layer": "ls-dr9"}, {"bands": "gr"}, {"size": 16}, {"pixel_scale": 0.5}]
    files = [get(tmp_path, server, 1, **knobs)[0].files for knobs in [{}, *changed]]
    assert len(set(files)) == len(server.queries) == 5


def test_at_most_so_many_requests_are_under_way(tmp_path, serve):
    server = serve(delay=0.03)
    get(tmp_path, server, *range(20), parallel=3)
    assert server.most_at_work == 3


def test_requests_keep_their_distance(tmp_path, serve):
    server = serve()
    get(tmp_path, server, *range(11), per_second=50)
    assert server.times[-1] - server.times[0] > 0.9 * 10 / 50


def test_inputs_are_read_only_a_little_ahead(tmp_path, serve):
    taken = []
    endless = (taken.append(i) or at(i % 360)[0] for i in itertools.count())
    config = replace(QUICK, url=serve(delay=0.2).url)
    stream = fetched(endless, config, cache=tmp_path)
    for _ in range(3):
        next(stream)
    stream.close()
    assert 3 < len(taken) <= LOOK_AHEAD + 3


def test_a_mirror_can_be_named_by_the_environment(tmp_path, serve, monkeypatch):
    mirror = serve()
    monkeypatch.setenv("DMAGNET_CUTOUT_URL", mirror.url)
    list(fetched(at(1), QUICK, cache=tmp_path))
    assert len(mirror.queries) == 1


def test_cutouts_are_kept_where_data_are(tmp_path, monkeypatch):
    monkeypatch.setenv("DMAGNET_DATA_DIR", str(tmp_path))
    assert cutout_folder() == tmp_path / "cutouts"


def test_an_address_that_is_none_is_refused(tmp_path):
    config = replace(QUICK, url="legacysurvey.org/cutout.fits")
    with pytest.raises(ConfigError, match=r"expected an address like https://"):
        list(fetched(at(1), config, cache=tmp_path))


# What goes wrong, and is asked for again


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_answer_is_asked_for_again(tmp_path, serve, bad):
    server = serve(bad, bad, "image")
    (item,) = get(tmp_path, server, 1)
    assert item.flag == Flag.OK
    assert len(server.queries) == 3
    assert names(tmp_path) == ["1_0.fits"]


@pytest.mark.parametrize("bad", ["hang", "slow"])
def test_an_answer_that_does_not_end_is_given_up_in_time(tmp_path, serve, bad):
    server = serve(bad, "image")
    (item,) = get(tmp_path, server, 1, timeout=0.3)
    assert item.flag == Flag.OK


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("500", "status 500"),
        ("cut", "the connection was cut"),
        ("short", "a FITS file that is damaged or cut short"),
        ("garbage", "expected FITS, got other bytes"),
        ("page", "expected FITS, got a web page"),
        ("text", "expected FITS, got the text 'No such layer'"),
        ("other size", "expected 32 px, got 3 x 16 x 16"),
        ("packed:gzip", "expected an image, got a packed answer"),
    ],
)
def test_attempts_are_bounded_and_the_row_says_why(tmp_path, serve, bad, reason):
    server = serve(bad)
    (item,) = get(tmp_path, server, 1, retries=2)
    assert (item.kind, item.flag) == ("position", Flag.FETCH_FAILED)
    assert item.reason == f"127.0.0.1:{server.server_port}: {reason}"
    assert len(server.queries) == 3
    assert names(tmp_path) == []


ELSEWHERE = {
    "http://localhost:{port}/x": "sends us to http://localhost",
    "http://127.0.0.1:{other}/x": "sends us to http://127.0.0.1",
    "file:///etc/passwd": "sends us to file://",
    "ftp://127.0.0.1:{port}/": "sends us to ftp://",
    "http://[1": "sends us to http://%5B1",
    "http://127.0.0.1:99999999/": "sends us to http://127.0.0.1:99999999",
    "https://[::1/": "sends us to an address that is none",
    "//evil.example/": "sends us to http://evil.example",
    "/again": "sends us in circles",
    "": "refuses: status 302",
}


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_service_leads_nowhere_else(tmp_path, serve, place):
    other = serve("image")
    server = serve("image")
    place_there = place.format(port=server.server_port, other=other.server_port)
    server.answers = (f"to:{place_there}",)
    (item,) = get(tmp_path, server, 1)
    assert (item.kind, item.flag) == ("position", Flag.FETCH_FAILED)
    assert ELSEWHERE[place] in item.reason
    assert not other.queries


def test_a_service_may_lead_to_another_place_of_its_own(tmp_path, serve):
    server = serve("to:/viewer/cutout.fits?ra=1&dec=0&size=32&bands=grz", "image")
    (item,) = get(tmp_path, server, 1)
    assert item.flag == Flag.OK


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refusal_is_not_asked_for_again(tmp_path, serve, status):
    server = serve(str(status))
    (item,) = get(tmp_path, server, 1)
    assert item.flag == Flag.FETCH_FAILED
    assert f"status {status}" in item.reason
    assert len(server.queries) == 1


def test_bands_that_the_service_replaces_are_not_taken_for_those_asked_for(
    tmp_path, serve
):
    server = serve("other bands")
    (item,) = get(tmp_path, server, 1)
    assert item.flag == Flag.FETCH_FAILED
    assert "expected bands grz, got griz" in item.reason
    assert len(server.queries) == 1
    assert names(tmp_path) == []


def test_one_bad_position_does_not_cost_its_neighbors(tmp_path, serve):
    server = serve("image", "500", "500", "image")
    items = get(tmp_path, server, 1, 2, 3, parallel=1, retries=1)
    assert sum(item.flag == Flag.OK for item in items) >= 2


def test_a_busy_service_is_left_alone_by_everybody_as_long_as_it_asks(tmp_path, serve):
    server = serve("429:1", "image")
    items = get(tmp_path, server, 1, 2, 3, parallel=1)
    assert all(item.flag == Flag.OK for item in items)
    assert server.times[1] - server.times[0] >= 1


def test_a_rest_may_be_asked_for_by_date():
    later = datetime.now(UTC) + timedelta(seconds=90)
    assert 80 < retry_after(format_datetime(later, usegmt=True)) <= 90
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


@pytest.mark.parametrize("value", ["", "soon", "-5", "nan", "inf"])
def test_a_rest_that_is_no_time_is_none(value):
    assert retry_after(value) == 0


def test_an_absurd_rest_is_cut_to_an_hour():
    assert retry_after("1e9") == 3600


# What is not there


@pytest.mark.parametrize("word", ["blank", "edge", "no overlap"])
def test_a_place_outside_the_survey_is_flagged_and_remembered(tmp_path, serve, word):
    server = serve(word)
    for _ in range(2):
        (item,) = get(tmp_path, server, 1)
        assert item.flag == Flag.OUTSIDE_SURVEY
        assert item.reason.startswith("ls-dr10 ")
        assert item.path.startswith(server.url)
    assert len(server.queries) == 1


def test_a_missing_image_is_flagged_and_asked_for_the_next_time(tmp_path, serve):
    server = serve("404", "image")
    (item,) = get(tmp_path, server, 1)
    assert item.flag == Flag.OUTSIDE_SURVEY
    assert "status 404" in item.reason
    (item,) = get(tmp_path, server, 1)
    assert item.flag == Flag.OK


def test_a_band_that_the_survey_lacks_there_is_named(tmp_path, serve):
    (item,) = get(tmp_path, serve("no z"), 1)
    assert item.flag == Flag.MISSING_BAND
    assert item.reason == "ls-dr10 has no z image there"


@pytest.mark.parametrize(
    ("ra", "dec"), [(np.nan, 0), (10, np.nan), (10, 90.1), (400, 0), (-999, -999)]
)
def test_a_place_that_is_none_is_flagged_and_not_asked_for(tmp_path, serve, ra, dec):
    server = serve()
    bad, good = get(tmp_path, server, (ra, dec), 1)
    assert bad.flag == Flag.BAD_POSITION
    assert bad.path == "t.csv"
    assert good.flag == Flag.OK
    assert len(server.queries) == 1


def test_one_place_has_one_name():
    assert place(-0.1, -0.0) == place(359.9, 0) == Position(359.9, 0.0)
    assert place(360, 1) == place(0, 1) == place(-1e-12, 1)
    assert isinstance(place(float("inf"), 0), Failure)


# The service that is away


def test_a_host_that_cannot_be_reached_flags_the_rows_soon_and_says_one_line(tmp_path):
    url = f"http://127.0.0.1:{free_port()}/cutout.fits"
    lines, config = [], replace(QUICK, url=url)
    items = list(fetched(at(*range(30)), config, cache=tmp_path, progress=lines.append))
    assert {item.flag for item in items} == {Flag.FETCH_FAILED}
    (reason,) = {item.reason for item in items}
    assert "cannot be reached: no connection" in reason
    assert lines.count(reason) == 1
    assert "\n" not in reason


def test_a_host_that_never_gives_an_image_is_given_up(tmp_path, serve):
    server = serve("page")
    items = get(tmp_path, server, *range(50))
    assert {item.flag for item in items} == {Flag.FETCH_FAILED}
    assert len(server.queries) <= GIVE_UP_AFTER + QUICK.parallel
    assert "was given up" in items[-1].reason


def test_a_host_that_refuses_everything_is_given_up_sooner(tmp_path, serve):
    server = serve("403")
    items = get(tmp_path, server, *range(50))
    assert {item.flag for item in items} == {Flag.FETCH_FAILED}
    assert len(server.queries) <= QUICK.retries + 1 + QUICK.parallel


def test_a_host_that_comes_back_loses_no_row(tmp_path):
    port = free_port()
    server = LegacyServer(port=port)
    config = replace(QUICK, url=server.url, parallel=1, retries=8, wait=0.05)
    lines = []
    stream = fetched(at(1), config, cache=tmp_path, progress=lines.append)
    assert next(stream).flag == Flag.OK
    stream.close()
    server.stop()
    timer = threading.Timer(0.3, lambda: servers.append(LegacyServer(port=port)))
    servers = []
    timer.start()
    items = list(fetched(at(1, 2, 3), config, cache=tmp_path, progress=lines.append))
    timer.join()
    servers[0].stop()
    assert all(item.flag == Flag.OK for item in items)
    assert any("no connection; again in" in line for line in lines)
    assert lines[-1] == ""


# The cache


def test_a_kept_image_that_a_crash_spoiled_is_asked_for_again(tmp_path, serve):
    server = serve()
    (item,) = get(tmp_path, server, 1)
    path = Path(item.files[0])
    whole = path.read_bytes()
    for spoiled in (b"", whole[:5000], b"\0" * len(whole)):
        path.write_bytes(spoiled)
        get(tmp_path, server, 1)
        assert path.read_bytes() == whole
    assert len(server.queries) == 4


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path, serve):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match=r"expected room for cut-outs, got") as caught:
        get(tmp_path / "taken", serve(), 1, 2, 3)
    assert "\n" not in str(caught.value)


def test_addresses_do_not_lead_out_of_the_cache(tmp_path):
    config = replace(QUICK, layer="../../x", url="http://h/a/cutout.fits")
    path = Shelf.of(config, tmp_path).keep(Position(1.0, 2.0), b"SIMPLE  =")
    assert tmp_path in path.resolve().parents


# Elsewhere


def test_it_works_where_an_event_loop_runs_already(tmp_path, serve):
    server = serve()

    async def cell():
        return get(tmp_path, server, 1, 2)

    assert all(item.flag == Flag.OK for item in asyncio.run(cell()))


def test_programs_with_an_event_loop_get_them_as_they_come(tmp_path, serve):
    server = serve(delay=lambda query: 0.3 if query["ra"] == "1" else 0)
    config = replace(QUICK, url=server.url)

    async def collect():
        places = [(1, 0), (2, 0), (3, 99), (4, 0)]
        return [one async for one in fetch_cutouts(places, config, cache=tmp_path)]

    found = asyncio.run(collect())
    assert found[-1][0] == 0
    kinds = {index: type(one) for index, one in found}
    assert kinds[2] is Failure
    assert all(issubclass(kinds[index], Path) for index in (0, 1, 3))


PROGRAM = """
import signal
import sys
from pathlib import Path
from dmagnet.config import CutoutConfig, SourceConfig
from dmagnet.pictures.inputs.cutouts import fetched
from dmagnet.pictures.inputs.item import Item
# A job in the background of a shell begins with Ctrl-C ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
url, cache, num = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
items = [Item(id=str(i), path="t", kind="position", ra=i, dec=0) for i in range(num)]
config = CutoutConfig(url=url, size=32, per_second=1000)
print("ready", flush=True)
for item in fetched(items, config, cache=cache):
    assert not item.flag, item.reason
print("done", flush=True)
"""


def start(server, cache, num):
    command = [sys.executable, "-c", PROGRAM, server.url, str(cache), str(num)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=env)


def wait_for(server, num):
    end = time.monotonic() + 30
    while len(server.queries) < num and time.monotonic() < end:
        time.sleep(0.005)
    assert len(server.queries) >= num


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path, serve):
    server = serve(delay=0.02)
    killed = start(server, tmp_path, 60)
    wait_for(server, 25)
    killed.kill()
    killed.communicate()
    asked = len(server.queries)
    kept = {name for name in names(tmp_path) if name.endswith(".fits")}
    assert 20 <= len(kept) < 60
    out, err = start(server, tmp_path, 60).communicate(timeout=60)
    assert out.endswith("done\n"), err
    again = [query["ra"] for query in server.queries[asked:]]
    assert sorted(again, key=int) == [
        str(i) for i in range(60) if f"{i}_0.fits" not in kept
    ]


def test_ctrl_c_ends_requests_under_way_at_once_and_keeps_what_came(tmp_path, serve):
    server = serve(*["image"] * 5, "hang")
    stopped = start(server, tmp_path, 60)
    wait_for(server, 9)
    before = time.monotonic()
    stopped.send_signal(signal.SIGINT)
    _, err = stopped.communicate(timeout=30)
    assert time.monotonic() - before < 3
    assert err.strip().splitlines()[-1] == "KeyboardInterrupt"
    assert len(names(tmp_path)) == 5
