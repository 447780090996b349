"""The gate: refuses what is too large, too often, or not ours to give."""

import asyncio
import json
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dmagnet.app.questions import Refused, checked
from dmagnet.config.app_config import AppConfig

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOCAL = ("127.0.0.1", "::1", "localhost")  # addresses that nobody else reaches
ANY = ("", "0.0.0.0", "::")  # every address of this machine, by any name
UPLOAD, OWN = "/gradio_api/upload", "/results/"
# What the page and a script need. Not in here, and so never given: files by path or by
# address, proxies, monitoring, deep links, recordings, other people's runs.
OPEN = ("/", "/config", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json")
OPEN_BELOW = (
    *("/assets/", "/static/", "/svelte/", OWN, f"{UPLOAD}_progress"),
    *("/gradio_api/queue/", "/gradio_api/heartbeat/", "/gradio_api/call/"),
    *(
        "/gradio_api/info",
        "/gradio_api/run/",
        "/gradio_api/cancel",
        "/gradio_api/reset",
    ),
    *("/gradio_api/startup-events", "/gradio_api/app_id", "/gradio_api/theme.css"),
    UPLOAD,
)
FRAME = 4096  # bytes around the file in an upload: its name, the form's marks
MAX_WORDS = 262_144  # bytes of a question that is no file
PATIENCE, PATIENCE_S = 8_000_000, 5.0  # bytes and seconds of a body that is refused
UPLOAD_S, QUESTION_S = 300.0, 30.0  # seconds for the whole of one
MAX_UPLOADS = 32  # at a time; and files of the largest size that are kept
MAX_ADDRESSES = 10_000  # that are remembered
PAGE_FACTOR = 20  # files of the page for each question that may be asked
FAILED = 500  # what gradio answers when it could not read a question
ODD = 400, "Expected a question as the page asks it; see /gradio_api/info."
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Bucket:
    """So many at once, so many a second for long, for each of many names."""

    def __init__(
        self,
        per_second: float,
        burst: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.per_second, self.burst, self._clock = per_second, burst, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Ask for one."""
        now = self._clock()
        left, then = self._left.pop(name, (self.burst, now))
        left = min(self.burst, left + (now - then) * self.per_second)
        given = left >= 1
        self._left[name] = (left - given, now)
        while len(self._left) > MAX_ADDRESSES:
            self._left.popitem(last=False)
        return 0.0 if given else (1 - left) / self.per_second


class Gate:
    """Stand before the page: let in what may come in, and say in words what may not."""

    def __init__(
        self, app: App, config: AppConfig, uploads: Path, functions: Collection[int]
    ) -> None:
        self._app, self._config = app, config
        self._folder, self._functions = uploads.resolve(), functions
        self._hosts = {*LOCAL, config.host.lower()}
        self._questions = Bucket(config.per_second, config.burst)
        self._files = Bucket(
            config.per_second * PAGE_FACTOR, config.burst * PAGE_FACTOR
        )
        self._uploads = 0
        self._came: deque[tuple[float, int]] = deque()  # when, and how many bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # the page uses no web sockets
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal:
            await _heard_out(receive, headers)
            await _refuse(send, *refusal)
            return
        begun = False

        async def _sent(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                if message["status"] == FAILED and not scope["path"].startswith(OWN):
                    raise Refused(*ODD)  # and the traceback of gradio goes
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            begun = True
            await send(message)

        try:
            if scope["method"] != "POST":
                await self._app(scope, receive, _sent)
            elif scope["path"] == UPLOAD:
                await self._upload(scope, receive, _sent)
            else:
                await self._question(scope, receive, _sent, headers)
        except Refused as refused:
            if begun:
                await send({"type": "http.response.body", "body": b""})
            else:
                await _refuse(send, refused.status, refused.line, 0)
        except RuntimeError:  # a stream that nobody knows, or that the page ended
            if not begun:
                raise
            await send({"type": "http.response.body", "body": b""})

    def _refusal(
        self, scope: Scope, headers: dict[str, bytes]
    ) -> tuple[int, str, float] | None:
        """Return what is wrong with a request, by its head alone."""
        path, method = scope["path"], scope["method"]
        host = headers.get("host", b"").decode("latin-1").lower()
        if not self._is_served(host):
            line = f"Expected this page's own name, got {host[:80]!r}; see --host."
            return 400, line, 0
        known = path in OPEN or path.startswith(OPEN_BELOW)
        if ".." in path.split("/") or not known:
            return 404, "There is nothing here.", 0
        if method not in ("GET", "HEAD", "POST"):
            return 405, f"{method} is not for this page.", 0
        if _is_foreign(method, f"{scope.get('scheme', 'http')}://{host}", headers):
            return 403, "Another site's page may not ask this one.", 0
        return self._too_much(scope, headers)

    def _is_served(self, host: str) -> bool:
        """Return whether a name is ours: none that someone else's server gave us is."""
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name in self._hosts or bool(name and self._config.host in ANY)

    def _too_much(
        self, scope: Scope, headers: dict[str, bytes]
    ) -> tuple[int, str, float] | None:
        """Return whether a request comes too soon after others, or is too large."""
        path, method = scope["path"], scope["method"]
        bucket = self._questions if method == "POST" else self._files
        wait = bucket.take((scope.get("client") or ("",))[0])
        if wait:
            line = f"Too many requests: wait {wait:.1f} s, then go on more slowly."
            return 429, line, wait
        length = headers.get("content-length", b"0")
        most = self._most(path)
        if not length.isdigit() or (method == "POST" and int(length) > most):
            return 413, self._too_large(path), 0
        if path == UPLOAD and self._is_full(int(length)):
            return 429, "Too many uploads at a time: try again in a moment.", 5
        return None

    def _is_full(self, size: int) -> bool:
        """Return whether so many more bytes are too many until old uploads are gone."""
        oldest = time.monotonic() - self._config.keep_s
        while self._came and self._came[0][0] < oldest:
            self._came.popleft()
        there = sum(each for _, each in self._came) + size
        most = MAX_UPLOADS * self._config.max_upload_bytes
        return self._uploads >= MAX_UPLOADS or there > most

    def _most(self, path: str) -> int:
        if path == UPLOAD:
            return self._config.max_upload_bytes + FRAME
        return MAX_WORDS

    def _too_large(self, path: str) -> str:
        if path != UPLOAD:
            return f"Expected a question of at most {MAX_WORDS} bytes."
        return (
            f"Expected a file of at most {self._config.max_upload_mb:g} MB, got more: "
            "cut the galaxy out first, or classify large images with dmagnet classify."
        )

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count what comes, and stop reading where it is too much or takes too long."""
        most, seen = self._most(UPLOAD), 0

        async def _counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise Refused(413, self._too_large(UPLOAD))
            return message

        self._uploads += 1
        try:
            async with asyncio.timeout(UPLOAD_S):
                await self._app(scope, _counted, send)
        except TimeoutError:
            raise Refused(408, "The upload took too long: try again.") from None
        except Refused:
            if seen > most:
                raise Refused(413, self._too_large(UPLOAD)) from None
            raise
        finally:
            self._uploads -= 1
            self._came.append((time.monotonic(), seen))

    async def _question(
        self, scope: Scope, receive: Receive, send: Send, headers: dict[str, bytes]
    ) -> None:
        """Read a question whole, and pass on what may be asked."""
        path, asked, more = scope["path"], b"", True
        try:
            async with asyncio.timeout(QUESTION_S):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return  # the asker went away
                    asked += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(asked) > MAX_WORDS:
                        raise Refused(413, self._too_large(path))
        except TimeoutError:
            raise Refused(408, "The question took too long: try again.") from None
        host = headers["host"].decode("latin-1")
        body = checked(asked, path, host, self._folder, self._functions)
        given = False

        async def _again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, _again, send)


def _is_foreign(method: str, ours: str, headers: dict[str, bytes]) -> bool:
    """Recognize a request that a page of another site or port makes."""
    site = headers.get("sec-fetch-site", b"none")
    follows = method != "POST" and headers.get("sec-fetch-mode") == b"navigate"
    if site not in (b"none", b"same-origin") and not follows:
        return True
    origin = headers.get("origin", b"").decode("latin-1").lower()
    if not origin and method == "POST":
        parts = headers.get("referer", b"").decode("latin-1").lower().split("/")
        origin = "/".join(parts[:3])
    return bool(origin) and origin != ours


async def _heard_out(receive: Receive, headers: dict[str, bytes]) -> None:
    """Let a short body come before the refusal: many listen only when they are done."""
    length = headers.get("content-length", b"0")
    if not length.isdigit() or not 0 < int(length) <= PATIENCE:
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            while (await receive()).get("more_body", False):
                pass


async def _refuse(send: Send, status: int, line: str, wait_s: float) -> None:
    """Answer in one line, and read no further."""
    body = json.dumps({"detail": line, "error": line}).encode()
    headers = [
        *HEADERS,
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if wait_s:
        headers.append((b"retry-after", str(max(1, round(wait_s))).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
