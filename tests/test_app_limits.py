"""What the page refuses before anything reads it, over real connections."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
import pytest
import uvicorn

from dmagnet.app import limits
from dmagnet.app.limits import Bucket, Gate
from dmagnet.app.uploads import PREFIX, sweep, uploads_folder
from dmagnet.config.app_config import AppConfig
from dmagnet.errors import ConfigError

MB = 1_000_000
FUNCTIONS = (0, 1)
META = {"_type": "gradio.FileData"}


async def echo(scope, receive, send):
    """Give back what came; of an upload its size."""
    if scope["type"] == "lifespan":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if scope["path"].endswith("/upload"):
        body = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def listening(uploads, **limits):
    """Put a gate on a port of this machine, and give someone who asks it."""
    server = uvicorn.Server(
        uvicorn.Config(
            Gate(echo, AppConfig(max_upload_mb=1, **limits), uploads, FUNCTIONS),
            log_level="error", lifespan="off", ws="none",
        )
    )  # fmt: skip
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as http:
        http.uploads = uploads
        yield http
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """A gate for files up to 1 MB, and for any number of questions."""
    with listening(tmp_path_factory.mktemp("uploads"), burst=1000) as http:
        yield http


def sent(http, head, body=()):
    """Send bytes as they are; how many of the body went, and what was answered."""
    with socket.create_connection((http.base_url.host, http.base_url.port)) as line:
        line.settimeout(10)
        line.sendall(head)
        count = 0
        try:
            for part in body:
                line.sendall(part)
                count += len(part)
        except OSError:
            pass
        answer = b""
        try:
            while part := line.recv(65536):
                answer += part
        except ConnectionError:
            pass
    return count, answer.decode()


def test_two_gigabytes_are_refused_by_their_head_alone(gate):
    head = (
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 2147483648\r\n\r\n"
    )
    begun = time.monotonic()
    _, answer = sent(gate, head)
    assert " 413 " in answer.splitlines()[0]
    assert "at most 1 MB" in answer
    assert time.monotonic() - begun < 2


def test_a_stream_that_does_not_say_its_size_ends_where_it_is_too_large(gate):
    head = (
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    part = b"%x\r\n" % 65536 + bytes(65536) + b"\r\n"
    count, answer = sent(gate, head, (part for _ in range(4000)))  # 262 MB
    assert count < 32 * MB  # a little waits in the buffers of the system
    assert " 413 " in answer.splitlines()[0]


def test_a_file_of_the_largest_size_comes_through(gate):
    answer = gate.post("/gradio_api/upload", content=bytes(MB))
    assert (answer.status_code, answer.text) == (200, str(MB))


def test_a_long_question_is_refused(gate):
    assert gate.post("/gradio_api/queue/join", content=bytes(MB)).status_code == 413


def test_a_question_that_is_no_json_is_refused(gate):
    deep = b'{"data":' + b"[" * 20_000 + b"]" * 20_000 + b"}"
    for content in (
        b"{", b"\xff\xfe", b"[" * 100_000, deep, b"", b"null", b"[]", b"7", b"NaN",
        b'{"data": [NaN]}', b'{"data": [-Infinity]}', b'{"a": ' + b"9" * 9000 + b"}",
    ):  # fmt: skip
        assert gate.post("/gradio_api/queue/join", content=content).status_code == 400


def file_in(folder):
    """An upload as gradio lays it down."""
    path = folder / "a" / "b.png"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"picture")
    return path


def test_a_question_may_name_uploads_and_no_other_file(gate, tmp_path):
    mine, other = file_in(gate.uploads), tmp_path / "secret.png"
    other.write_bytes(b"secret")
    link = mine.with_name("link.png")
    link.symlink_to(other)
    up = gate.uploads
    refused = [
        str(other), "/etc/passwd", f"{up}/../secret.png", "http://else.org/a",
        str(link), f"{up}-else/a/b.png", "a\0b", f"{mine}\0", 7, None, "", [str(mine)],
        # resolved from here these are inside, and gradio fetches what has a scheme
        f"http://{'../' * 40}{mine}", f"http:/{'../' * 40}{mine}",
        f"https://127.0.0.1:9/../..{mine}", f"file://{mine}", f"//{mine}", f"./{mine}",
        f"{mine}/", f"{up}/a/./b.png", f"{up}/a//b.png", f"{up}/a/../a/b.png",
        str(up), str(mine.parent), f"{up}/%2e%2e/%2e%2e/etc/passwd/x",
        f"\\\\else\\a{mine}", f"data:image/png;base64,{mine}", f"file={mine}",
        f" {mine}", f"{mine}".replace("/", "%2f"), f"{up}/a/b.png\n/../c",
    ]  # fmt: skip

    def status(path):
        asked = {"data": [[{"deep": [{"path": path, "url": None}]}]]}
        return gate.post("/gradio_api/queue/join", json=asked).status_code

    assert status(str(mine)) == 200
    assert [(p, status(p)) for p in refused] == [(p, 403) for p in refused]


@pytest.mark.parametrize(
    "where", ["queue/join", "run/look", "call/look", "call/v2/look", "cancel", "reset"]
)
def test_a_file_says_no_more_than_its_path_wherever_it_is_sent(gate, where):
    mine = str(file_in(gate.uploads))
    host = f"{gate.base_url.host}:{gate.base_url.port}"
    given = f"http://{host}/gradio_api/file={mine}"

    def sent(**said):
        asked = {"data": [{"path": mine} | said]}
        return gate.post(f"/gradio_api/{where}", json=asked)

    answer = sent(url=given, orig_name="b.png", size=7, meta=META, is_stream=True)
    assert answer.status_code == 200
    assert answer.json() == {"data": [{"path": mine, "meta": META}]}
    foreign = [
        {"url": "http://else.org/a"}, {"url": f"http://else.org/gradio_api/file={mine}"},
        {"url": f"http://{host}@else.org/gradio_api/file={mine}"},
        {"url": f"http://{host}/gradio_api/file=/etc/passwd"}, {"url": 7},
        {"url": f"//else.org/gradio_api/file={mine}"}, {"url": f"{given}?x"},
        {"url": f"{given}/.."}, {"url": "http://[::"},
        {"url": "data:image/png;base64,AAAA"},
        {"orig_name": "http://else.org/a"}, {"orig_name": "../a"}, {"orig_name": {}},
        {"meta": {"_type": "http://else.org"}}, {"meta": META | {"path": "/etc"}},
        {"meta": "http://else.org/"}, {"path": "http://else.org/", "url": given},
    ]  # fmt: skip
    got = [sent(**said).status_code for said in foreign]
    assert [*zip(foreign, got, strict=True)] == [(said, 403) for said in foreign]
    for key in ("url", "orig_name", "meta"):  # no path at all
        asked = {"data": [{key: given}]}
        assert gate.post(f"/gradio_api/{where}", json=asked).status_code == 403


def test_of_two_files_of_one_name_the_one_that_was_checked_is_passed_on(gate):
    mine = str(file_in(gate.uploads))
    for first, last, status in ((mine, "http://a/", 403), ("http://a/", mine, 200)):
        body = f'{{"data": [{{"path": "{first}", "path": "{last}"}}]}}'
        answer = gate.post("/gradio_api/queue/join", content=body.encode())
        assert answer.status_code == status
    assert answer.json() == {"data": [{"path": mine, "meta": META}]}


def test_a_question_reaches_the_page_as_it_was_asked(gate):
    asked = {"data": ["x" * 1000, 1.5, None, ["é"]], "fn_index": 1, "session_hash": "a"}
    answer = gate.post("/gradio_api/queue/join", json=asked)
    assert answer.json() == asked
    others = {"batched": True, "event_data": {"a": 1}, "trigger_id": 7, "request": {}}
    assert gate.post("/gradio_api/queue/join", json=asked | others).json() == asked


@pytest.mark.parametrize("number", [-1, 2, 1 << 70, "0", "x", 1.0, 1e300, True, [], {}])
def test_a_function_that_there_is_not_is_no_question(gate, number):
    asked = {"data": [], "fn_index": number, "session_hash": "a"}
    for where in ("queue/join", "run/look", "call/look"):
        assert gate.post(f"/gradio_api/{where}", json=asked).status_code == 404


@pytest.mark.parametrize("name", [7, [], {}, "a/b", "..", "a\0", "x" * 1000, "\ud800"])
def test_a_page_is_called_by_a_plain_name(gate, name):
    for key in ("session_hash", "event_id"):
        content = json.dumps({"data": [], key: name}).encode()
        answer = gate.post("/gradio_api/queue/join", content=content)
        assert answer.status_code == 400


def test_a_question_that_comes_too_slowly_ends(gate, monkeypatch):
    monkeypatch.setattr(limits, "QUESTION_S", 0.2)
    head = (
        b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    _, answer = sent(gate, head)
    assert " 408 " in answer.splitlines()[0]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd", "/gradio_api/file=/etc/passwd", "/gradio_api/file/etc/passwd",
        "/file=/etc/passwd", "/gradio_api/proxy=http://else.org/", "/monitoring",
        "/assets/../../../../etc/passwd", "/assets/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2fetc/passwd", "/results/../../etc/passwd",
        "/gradio_api/deep_link", "/gradio_api/run-history/records", "/openapi.json",
        "/gradio_api/vibe-edit/", "/gradio_api/process_recording", "//etc/passwd",
    ],
)  # fmt: skip
def test_what_is_not_the_pages_own_is_not_there(gate, path):
    _, answer = sent(gate, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert " 404 " in answer.splitlines()[0]


def asked_from(http, headers, method="POST", path="/gradio_api/queue/join"):
    """Ask as a browser says that a page does; the status."""
    content = b"{}" if method == "POST" else None
    return http.request(method, path, content=content, headers=headers).status_code


def test_a_page_of_another_site_or_port_may_not_ask(gate):
    host, port = gate.base_url.host, gate.base_url.port
    foreign = [
        "http://else.org", f"http://{host}", f"http://{host}:{port + 1}", "null", "x",
        f"https://{host}:{port}", f"http://localhost:{port}", f"http://{host}:{port}.a.org",
        f"http://a@{host}:{port}", f"http://{host}:{port}/",
    ]  # fmt: skip
    for origin in foreign:
        assert asked_from(gate, {"origin": origin}) == 403, origin
        assert asked_from(gate, {"origin": origin}, "GET", "/config") == 403, origin
    for referer in ("http://else.org/a", f"http://{host}:{port + 1}/", "about:blank"):
        assert asked_from(gate, {"referer": referer}) == 403, referer
    for site in ("cross-site", "same-site"):  # the latter: another port of this host
        assert asked_from(gate, {"sec-fetch-site": site}) == 403
        assert asked_from(gate, {"sec-fetch-site": site}, "GET", "/config") == 403


def test_the_pages_own_script_and_scripts_without_a_page_may_ask(gate):
    ours = f"http://{gate.base_url.host}:{gate.base_url.port}"
    for headers in (
        {}, {"origin": ours}, {"origin": ours.upper().replace("HTTP", "http")},
        {"referer": f"{ours}/?a=http://else.org/"}, {"sec-fetch-site": "none"},
        {"origin": ours, "referer": f"{ours}/", "sec-fetch-site": "same-origin"},
    ):  # fmt: skip
        assert asked_from(gate, headers) == 200, headers


def test_a_link_from_another_site_leads_to_the_page(gate):
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    link["referer"] = "http://else.org/"
    assert asked_from(gate, link, "GET", "/") == 200
    assert asked_from(gate, link) == 403


def test_the_page_answers_to_its_own_name_alone(gate, tmp_path):
    port = gate.base_url.port
    for host in (
        f"localhost:{port}",
        f"127.0.0.1:{port}",
        f"[::1]:{port}",
        "LOCALHOST",
    ):
        assert asked_from(gate, {"host": host}) == 200, host
        own = {"host": host, "origin": f"http://{host.lower()}"}
        assert asked_from(gate, own) == 200, host
    for host in ("else.org", f"else.org:{port}", "localhost.else.org", "[::", "", "0"):
        assert asked_from(gate, {"host": host}) == 400, host
        assert asked_from(gate, {"host": host}, "GET", "/") == 400, host
    with listening(tmp_path, host="0.0.0.0") as everywhere:
        named = {"host": "galaxy.uni.org"}
        assert asked_from(everywhere, named) == 200
        assert (
            asked_from(everywhere, named | {"origin": "http://galaxy.uni.org"}) == 200
        )
        assert asked_from(everywhere, named | {"origin": "http://else.org"}) == 403


def test_other_methods_than_a_page_needs_are_refused(gate):
    assert gate.request("DELETE", "/config").status_code == 405


def test_the_browser_is_told_to_load_from_here_alone(gate):
    policy = gate.get("/config").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_a_flood_is_refused_and_told_when_to_come_again(tmp_path):
    with listening(tmp_path, burst=20, per_second=2) as http:
        answers = [http.post("/gradio_api/cancel", json={}) for _ in range(90)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert len(refused) > 40
        assert refused[0].headers["retry-after"] == "1"
        assert "Too many requests" in refused[0].json()["detail"]
        assert http.get("/config").status_code == 200  # looking is counted apart
        time.sleep(1)
        assert http.post("/gradio_api/cancel", json={}).status_code == 200


@pytest.mark.slow
def test_more_bytes_than_may_lie_there_are_refused_until_old_ones_are_gone(tmp_path):
    with listening(tmp_path, keep_s=2) as http:
        begun = time.monotonic()
        files = [http.post("/gradio_api/upload", content=bytes(MB)) for _ in range(33)]
        answers = [answer.status_code for answer in files]
        if time.monotonic() - begun < 2:
            assert answers == [200] * 32 + [429]
        time.sleep(2)
        assert http.post("/gradio_api/upload", content=bytes(MB)).status_code == 200


@pytest.mark.slow
def test_without_gradio_one_line_says_what_to_install():
    code = (
        "import sys; sys.modules['gradio'] = None; from dmagnet.cli import main; "
        "sys.exit(main(['app', '--port', '0']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install 'dmagnet[app]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate():
    now = [0.0]
    bucket = Bucket(2, 5, clock=lambda: now[0])
    assert [bucket.take("a") for _ in range(6)] == [0, 0, 0, 0, 0, 0.5]
    now[0] = 0.5
    assert bucket.take("a") == 0
    assert bucket.take("a") == 0.5
    assert bucket.take("b") == 0  # someone else's is full


def test_old_uploads_go_and_new_ones_stay(tmp_path):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    (inside / "old.png").write_bytes(b"")
    assert sweep(tmp_path, 60) == 0
    time.sleep(0.02)
    assert sweep(tmp_path, 0.01) == 1
    for _ in range(2):  # folders changed when what was in them went
        time.sleep(0.02)
        sweep(tmp_path, 0.01)
    assert list(tmp_path.iterdir()) == []


def test_uploads_of_a_page_that_was_killed_go_when_the_next_one_begins(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import time; from dmagnet.app.uploads import uploads_folder\n"
        "with uploads_folder() as folder:\n"
        "    (folder / 'a.png').touch(); print(folder, flush=True); time.sleep(600)"
    )
    foreign = tmp_path / f"{PREFIX}notes"  # by its name alone nothing is ours
    foreign.mkdir()
    (foreign / "lock").touch()
    (tmp_path / f"{PREFIX}link").symlink_to(foreign)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as page:  # fmt: skip
        folder = Path(page.stdout.readline().strip())
        with uploads_folder():
            assert (folder / "a.png").exists()  # its page is there
        page.kill()
    with uploads_folder() as mine:
        assert not folder.parent.exists()
        assert mine.is_dir()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"{PREFIX}notes", f"{PREFIX}link"}
    assert (foreign / "lock").exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"port": -1}, {"max_upload_mb": 0}, {"max_dreams": 0}, {"per_second": 0},
        {"views": 3}, {"keep_s": 0},
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_refused_by_its_name(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        AppConfig(**changes)
