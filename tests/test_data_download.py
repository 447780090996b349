import hashlib
import re
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from dmagnet.errors import DataError
from dmagnet.galaxies import fetch
from dmagnet.galaxies.download import BLOCK_BYTES, data_folder

CONTENT = np.random.default_rng(7).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "Galaxy10_DECals.h5"
WORK = f".{NAME}.dmagnet-part"
RESUMED = f"bytes={len(CONTENT) // 2 // BLOCK_BYTES * BLOCK_BYTES}-"


class Server(ThreadingHTTPServer):
    """A real server on this machine; `behave` says how it answers."""

    daemon_threads = True

    def __init__(self, behave="range", *, content=CONTENT, etag='"one"', failures=0):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave, self.content, self.etag = behave, content, etag
        self.failures = failures  # how many requests to answer badly first
        self.requests = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/files/{NAME}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        bad = len(server.requests) <= server.failures
        if server.behave.isdigit() and (bad or not server.failures):
            self.send_error(int(server.behave))
            return
        first = self.first_byte()
        if first >= len(server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(server.content)}")
            self.end_headers()
            return
        last = len(server.content)
        if server.behave == "window":
            last = min(last, first + 100_000)
        body = server.content[first:last]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.etag)
        if first:
            total = len(server.content)
            self.send_header("Content-Range", f"bytes {first}-{last - 1}/{total}")
        self.end_headers()
        if server.behave == "cut" and bad:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.wfile.write(body)

    def first_byte(self):
        match = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", self.server.etag) == self.server.etag
        if not match or not same or self.server.behave == "no range":
            return 0
        return int(match[1])

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    servers = []

    def start(*args, **kwargs):
        servers.append(Server(*args, **kwargs))
        return servers[-1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def get(folder, server, *mirrors, sha256=SHA256, retries=2):
    return fetch(
        folder,
        url=server.url,
        mirrors=tuple(mirror.url for mirror in mirrors),
        sha256=sha256,
        progress=False,
        retries=retries,
        wait_s=0.01,
    )


def partial(folder, name="file"):
    (folder / WORK).mkdir(exist_ok=True)
    return folder / WORK / name


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_download_gets_its_name_and_leaves_nothing_else(tmp_path, serve):
    path = get(tmp_path, serve())
    assert path == tmp_path / NAME
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == [NAME]


def test_a_file_that_is_there_needs_no_connection(tmp_path, serve):
    server = serve()
    get(tmp_path, server)
    get(tmp_path, server)
    assert len(server.requests) == 1


def test_another_file_of_that_name_is_left_alone(tmp_path, serve):
    (tmp_path / NAME).write_bytes(CONTENT[:-1] + b"x")
    with pytest.raises(DataError, match=r"left alone; move it away"):
        get(tmp_path, serve())
    assert (tmp_path / NAME).read_bytes() == CONTENT[:-1] + b"x"


def test_a_partial_file_of_others_is_not_gone_on_with(tmp_path, serve):
    (tmp_path / f"{NAME}.part").write_bytes(CONTENT[:1000])
    server = serve()
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert "Range" not in server.requests[0]
    assert (tmp_path / f"{NAME}.part").read_bytes() == CONTENT[:1000]


def test_a_capital_hash_is_the_same_hash(tmp_path, serve):
    assert get(tmp_path, serve(), sha256=SHA256.upper()).read_bytes() == CONTENT


def test_a_cut_connection_goes_on_where_it_was_cut(tmp_path, serve):
    server = serve("cut", failures=1)
    assert get(tmp_path, server).read_bytes() == CONTENT
    first, second = server.requests
    assert "Range" not in first
    assert second["Range"] == RESUMED
    assert second["If-Range"] == '"one"'


def test_the_next_call_goes_on_where_the_last_one_gave_up(tmp_path, serve):
    server = serve("cut", failures=1)
    with pytest.raises(DataError, match=r"no connection; 0 MB are kept"):
        get(tmp_path, server, retries=0)
    assert names(tmp_path) == [WORK]
    assert get(tmp_path, server, retries=0).read_bytes() == CONTENT
    assert server.requests[1]["Range"] == RESUMED
    assert names(tmp_path) == [NAME]


def test_a_server_that_ignores_ranges_starts_from_the_beginning(tmp_path, serve):
    partial(tmp_path).write_bytes(CONTENT[:1000])
    server = serve("no range")
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert server.requests[0]["Range"] == "bytes=1000-"


def test_a_file_changed_on_the_server_starts_from_the_beginning(tmp_path, serve):
    server = serve("cut", etag='"two"')
    partial(tmp_path).write_bytes(b"old" * 1000)
    partial(tmp_path, "file.etag").write_text(f'{server.url}\n"one"')
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_a_spoiled_partial_file_costs_a_fresh_start(tmp_path, serve):
    partial(tmp_path).write_bytes(b"old" * 1000)
    server = serve()
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert ["Range" in request for request in server.requests] == [True, False]


def test_a_complete_partial_file_only_needs_its_name(tmp_path, serve):
    partial(tmp_path).write_bytes(CONTENT)
    assert get(tmp_path, serve()).read_bytes() == CONTENT


def test_a_partial_file_longer_than_the_file_is_dropped(tmp_path, serve):
    partial(tmp_path).write_bytes(CONTENT + b"more")
    assert get(tmp_path, serve()).read_bytes() == CONTENT


def test_a_server_that_sends_a_window_at_a_time_is_asked_for_the_next(tmp_path, serve):
    partial(tmp_path).write_bytes(CONTENT[:100_000])
    server = serve("window")
    assert get(tmp_path, server, retries=1).read_bytes() == CONTENT
    assert [r["Range"] for r in server.requests] == ["bytes=100000-", "bytes=200000-"]


def test_a_mirror_goes_on_with_what_the_source_sent(tmp_path, serve):
    mirror = serve(etag='"other"')
    source = serve("cut", failures=9)
    assert get(tmp_path, source, mirror, retries=0).read_bytes() == CONTENT
    assert mirror.requests[0]["Range"] == RESUMED


def test_a_busy_server_is_asked_again(tmp_path, serve):
    server = serve("503", failures=2)
    assert get(tmp_path, server).read_bytes() == CONTENT
    assert len(server.requests) == 3


def test_attempts_are_bounded(tmp_path, serve):
    server = serve("503")
    with pytest.raises(DataError, match="status 503"):
        get(tmp_path, server, retries=3)
    assert len(server.requests) == 4


def test_a_missing_file_is_not_asked_for_twice_and_the_mirror_helps(tmp_path, serve):
    server = serve("404")
    assert get(tmp_path, server, serve()).read_bytes() == CONTENT
    assert len(server.requests) == 1


def test_another_file_never_gets_the_name(tmp_path, serve):
    with pytest.raises(DataError, match=r"another file \(sha256\)"):
        get(tmp_path, serve(content=b"garbage" * 99))
    assert names(tmp_path) == []


def test_garbage_at_the_source_falls_back_to_the_mirror(tmp_path, serve):
    assert get(tmp_path, serve(content=b"garbage"), serve()).read_bytes() == CONTENT


def test_without_a_connection_the_error_is_one_line_that_says_what_to_do(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DataError) as caught:
        fetch(
            tmp_path,
            url=f"http://127.0.0.1:{port}/{NAME}",
            mirrors=(),
            progress=False,
            retries=0,
        )
    line = str(caught.value)
    assert "no connection" in line
    assert f"into {tmp_path}" in line
    assert "\n" not in line


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, serve):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match="could not write"):
        get(tmp_path / "taken", serve())


def test_the_environment_names_the_folder(tmp_path, serve, monkeypatch):
    monkeypatch.setenv("DMAGNET_DATA_DIR", str(tmp_path / "data"))
    assert data_folder() == tmp_path / "data"
    assert get(None, serve()) == tmp_path / "data" / NAME


@pytest.mark.parametrize(
    ("name", "value"),
    [("SSL_CERT_FILE", "/no/such/file"), ("ALL_PROXY", "foo://127.0.0.1:1")],
)
def test_an_environment_that_cannot_be_used_is_one_line(
    tmp_path, monkeypatch, name, value
):
    monkeypatch.setenv(name, value)
    with pytest.raises(DataError, match=r"proxies and certificates .* see ALL_PROXY"):
        fetch(tmp_path)
    assert not [*tmp_path.iterdir()]
