"""The page as a process of its own, and someone who asks it over plain HTTP."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx
from gradio_client.utils import apply_diff

# Every Python process of the page notes whom it asks for what, by name or by number.
WATCH = """
import os, sys
def note(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        told = args[-1]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        told = args[:2]
    else:
        return
    with open(os.environ["WATCHED"], "a") as file:
        file.write(f"{event} {told}\\n")
sys.addaudithook(note)
"""
# A job in the background of a shell begins with Ctrl-C ignored, one of nohup with the
# end of its terminal.
RUN = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "from dmagnet.cli import main; sys.exit(main(sys.argv[1:]))"
)


@dataclass
class Page:
    """A page that is served."""

    url: str
    scratch: Path  # where the process may put temporary files
    process: subprocess.Popen

    @property
    def uploads(self):
        """The files that people uploaded and that are still there."""
        return [path for path in self.scratch.glob("*/files/**/*") if path.is_file()]

    @property
    def log(self):
        """What the page said of faults."""
        return (self.scratch.parent / "stderr.txt").read_text()

    @property
    def asked(self):
        """Whom the page asked for what."""
        return (self.scratch.parent / "asked.txt").read_text().splitlines()


@contextmanager
def running(scratch, *flags, end=signal.SIGINT):
    """Run ``dmagnet app`` with the smallest network on a free port, watched."""
    scratch.mkdir(exist_ok=True)
    watch = scratch.parent / "watch"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH)
    (scratch.parent / "asked.txt").touch()
    paths = os.pathsep.join(filter(None, [str(watch), os.environ.get("PYTHONPATH")]))
    settings = {"TMPDIR": str(scratch), "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    settings |= {"WATCHED": str(scratch.parent / "asked.txt")}
    with (scratch.parent / "stderr.txt").open("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, "app", "--weights", "xs", "--port", "0",
             "--device", "cpu", *flags],
            stdout=subprocess.PIPE, stderr=errors, text=True,
            env=os.environ | settings,
        )  # fmt: skip
        try:
            told = ""
            while "http://" not in told:
                told = process.stdout.readline()
                assert told, (scratch.parent / "stderr.txt").read_text()
            url = re.search(r"http://\S+", told)[0]
            yield Page(url, scratch, process)
        finally:
            process.send_signal(end)
            process.communicate(timeout=120)
    assert process.returncode == 0, (scratch.parent / "stderr.txt").read_text()
    left = [path for path in scratch.rglob("*") if "dmagnet" in str(path)]
    assert left == []  # an end by Ctrl-C or with the terminal leaves nothing behind


class Person:
    """Someone with a page open, as a browser without pictures."""

    def __init__(self, url):
        self.url, self.session = url, uuid.uuid4().hex
        self.http = httpx.Client(base_url=url, timeout=60)
        functions = self.http.get("/config").json()["dependencies"]
        self.functions = {each["api_name"]: each["id"] for each in functions}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.close()

    def upload(self, content, name="galaxy.png"):
        """Give a file; what the page calls it comes back."""
        answer = self.http.post("/gradio_api/upload", files={"files": (name, content)})
        answer.raise_for_status()
        (path,) = answer.json()
        return {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}

    def join(self, function, *data):
        """Ask; the answer is not waited for."""
        return self.http.post(
            "/gradio_api/queue/join",
            json={
                "data": data,
                "fn_index": self.functions[function],
                "session_hash": self.session,
            },
        )

    def ask(self, function, *data):
        """Ask, and read what comes, step by step: the data of each step."""
        asked = self.join(function, *data).raise_for_status()
        yield from self.answers(asked.json()["event_id"])

    def answers(self, event=None):
        """Read the answer that is under way; each step is whole, not what changed."""
        shown = None
        where = f"/gradio_api/queue/data?session_hash={self.session}"
        with self.http.stream("GET", where) as stream:
            for line in stream.iter_lines():
                if not line.startswith("data:"):
                    continue
                told = json.loads(line[5:])
                if event and told.get("event_id") not in (event, None):
                    continue  # of a button that was clicked meanwhile
                if told["msg"] == "process_generating":
                    data = told["output"]["data"]
                    if shown is not None:
                        pairs = zip(shown, data, strict=True)
                        data = [apply_diff(before, change) for before, change in pairs]
                    shown = data
                    yield [*shown]
                if told["msg"] == "process_completed":
                    assert told["success"], told
                    if shown is None:
                        yield told["output"]["data"]
                    return

    def look(self, content, name="galaxy.png"):
        """Drop a file; the first answer, as text."""
        shown = self.ask("look", self.upload(content, name))
        first = text_of(next(shown)[0])
        for _ in shown:
            pass
        return first

    @contextmanager
    def staying(self):
        """Keep the page open, as a browser does, and close it at the end."""
        where, host = urlsplit(self.url), self.url.removeprefix("http://")
        with socket.create_connection((where.hostname, where.port)) as line:
            asked = f"GET /gradio_api/heartbeat/{self.session} HTTP/1.1\r\nHost: {host}"
            line.sendall(f"{asked}\r\n\r\n".encode())
            assert line.recv(100)
            yield


def text_of(markup):
    """Read HTML as a person does."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", markup)).split())
