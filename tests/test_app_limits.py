"""What the page refuses before anything reads it, over real connections."""

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx2 as httpx
import pytest
import uvicorn

from dmagnet.app.limits import Bucket, Gate, sweep
from dmagnet.config.serving import AppConfig
from dmagnet.errors import ConfigError

MB = 1_000_000


async def echo(scope, receive, send):
    """Say how much came."""
    if scope["type"] == "lifespan":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


@contextmanager
def listening(uploads, **limits):
    """Put a gate on a port of this machine, and give someone who asks it."""
    server = uvicorn.Server(
        uvicorn.Config(
            Gate(echo, AppConfig(max_upload_mb=1, **limits), uploads),
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
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: here\r\n"
        b"Content-Length: 2147483648\r\n\r\n"
    )
    begun = time.monotonic()
    _, answer = sent(gate, head)
    assert " 413 " in answer.splitlines()[0]
    assert "at most 1 MB" in answer
    assert time.monotonic() - begun < 2


def test_a_stream_that_does_not_say_its_size_ends_where_it_is_too_large(gate):
    head = (
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: here\r\n"
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
    for content in (b"{", b"\xff\xfe", b"[" * 100_000):
        assert gate.post("/gradio_api/queue/join", content=content).status_code == 400


def test_a_question_may_name_uploads_and_no_other_file(gate, tmp_path):
    mine, other = gate.uploads / "a" / "b.png", tmp_path / "secret.png"
    other.write_bytes(b"secret")
    (gate.uploads / "link.png").symlink_to(other)
    refused = [
        str(other), "/etc/passwd", f"{gate.uploads}/../secret.png", "http://else.org/a",
        f"{gate.uploads}/link.png", f"{gate.uploads}-else/b.png", "a\0b", 7, None,
    ]  # fmt: skip

    def status(path):
        asked = {"data": [[{"deep": {"path": path, "url": None}}]]}
        return gate.post("/gradio_api/queue/join", json=asked).status_code

    assert status(str(mine)) == 200
    assert [status(path) for path in refused] == [403] * len(refused)


def test_a_question_reaches_the_page_as_it_was_asked(gate):
    body = json.dumps({"data": ["x" * 1000]}).encode()
    assert gate.post("/gradio_api/queue/join", content=body).text == str(len(body))


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
    _, answer = sent(gate, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert " 404 " in answer.splitlines()[0]


def test_another_sites_page_may_not_ask(gate):
    foreign = {"sec-fetch-site": "cross-site"}
    answer = gate.post("/gradio_api/queue/join", json={}, headers=foreign)
    assert answer.status_code == 403


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


def test_more_bytes_than_may_lie_there_are_refused_until_old_ones_are_gone(tmp_path):
    with listening(tmp_path, keep_s=2) as http:
        begun = time.monotonic()
        files = [http.post("/gradio_api/upload", content=bytes(MB)) for _ in range(33)]
        answers = [answer.status_code for answer in files]
        if time.monotonic() - begun < 2:
            assert answers == [200] * 32 + [429]
        time.sleep(2)
        assert http.post("/gradio_api/upload", content=bytes(MB)).status_code == 200


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
