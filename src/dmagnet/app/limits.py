"""What is refused before anything reads it: too large, too often, not ours to give."""

import asyncio
import json
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dmagnet.config.serving import AppConfig

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOCAL = ("127.0.0.1", "::1", "localhost")  # addresses that nobody else reaches
UPLOAD = "/gradio_api/upload"
# What the page and a script need. Not in here, and so never given: files by path or by
# address, proxies, monitoring, deep links, recordings, other people's runs.
OPEN = ("/", "/config", "/theme.css", "/favicon.ico", "/robots.txt", "/manifest.json")
OPEN_BELOW = (
    *("/assets/", "/static/", "/svelte/", "/results/", f"{UPLOAD}_progress"),
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
UPLOAD_S = 300.0  # seconds for a whole upload
MAX_UPLOADS = 32  # at a time; and files of the largest size that are kept
MAX_ADDRESSES = 10_000  # that are remembered
PAGE_FACTOR = 20  # files of the page for each question that may be asked
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


class TooLarge(Exception):  # noqa: N818 - a signal between two functions of this page
    """More came than may come."""


class Bucket:
    """So many at once, so many a second for long, for each of many names.

    Parameters
    ----------
    per_second : float
        How many a second for long.
    burst : float
        How many at once.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        per_second: float,
        burst: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.per_second, self.burst, self._clock = per_second, burst, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Ask for one.

        Parameters
        ----------
        name : str
            Who asks.

        Returns
        -------
        float
            0 if it is given; else the seconds until one will be there.
        """
        now = self._clock()
        left, then = self._left.pop(name, (self.burst, now))
        left = min(self.burst, left + (now - then) * self.per_second)
        given = left >= 1
        self._left[name] = (left - given, now)
        while len(self._left) > MAX_ADDRESSES:
            self._left.popitem(last=False)
        return 0.0 if given else (1 - left) / self.per_second


class Gate:
    """Stand before the page: let in what may come in, and say in words what may not.

    Parameters
    ----------
    app : ASGI application
        The page.
    config : AppConfig
        The limits.
    uploads : Path
        Folder of what people uploaded; a question may name no other file.
    """

    def __init__(self, app: App, config: AppConfig, uploads: Path) -> None:
        self._app, self._config = app, config
        self._folder = uploads.resolve()
        self._questions = Bucket(config.per_second, config.burst)
        self._files = Bucket(
            config.per_second * PAGE_FACTOR, config.burst * PAGE_FACTOR
        )
        self._uploads = 0
        self._came: deque[tuple[float, int]] = deque()  # when, and how many bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Parameters
        ----------
        scope : dict
            As ASGI describes it.
        receive : callable
            Gives the body.
        send : callable
            Takes the answer.
        """
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # the page uses no web sockets
        headers = {name.decode("latin-1"): value for name, value in scope["headers"]}
        refusal = self._refusal(scope, headers)
        if refusal:
            await _heard_out(receive, headers)
            await _refuse(send, *refusal)
        elif scope["method"] != "POST":
            await self._app(scope, receive, _with_headers(send))
        elif scope["path"] == UPLOAD:
            await self._upload(scope, receive, _with_headers(send))
        else:
            await self._question(scope, receive, _with_headers(send))

    def _refusal(
        self, scope: Scope, headers: dict[str, bytes]
    ) -> tuple[int, str, float] | None:
        """Say what is wrong with a request, by its head alone."""
        path, method = scope["path"], scope["method"]
        known = path in OPEN or path.startswith(OPEN_BELOW)
        if ".." in path.split("/") or not known:
            return 404, "There is nothing here.", 0
        if method not in ("GET", "HEAD", "POST"):
            return 405, f"{method} is not for this page.", 0
        if method == "POST" and headers.get("sec-fetch-site") == b"cross-site":
            return 403, "Another site's page may not ask this one.", 0
        return self._too_much(scope, headers)

    def _too_much(
        self, scope: Scope, headers: dict[str, bytes]
    ) -> tuple[int, str, float] | None:
        """Say whether a request comes too soon after others, or is too large."""
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
        """Tell whether so many bytes more are too many, until old uploads are gone."""
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
        most, seen, begun = self._config.max_upload_bytes + FRAME, 0, False

        async def _counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise TooLarge
            return message

        async def _noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        self._uploads += 1
        refusal = 408, "The upload took too long: try again."
        try:
            async with asyncio.timeout(UPLOAD_S):
                await self._app(scope, _counted, _noted)
        except TooLarge:
            refusal = 413, self._too_large(UPLOAD)
        except TimeoutError:
            pass
        else:
            return
        finally:
            self._uploads -= 1
            self._came.append((time.monotonic(), seen))
        if not begun:
            await _refuse(send, *refusal, 0)

    async def _question(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a question whole, and pass it on if it names no file but uploads."""
        parts: list[bytes] = []
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return  # the asker went away
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
            if sum(map(len, parts)) > MAX_WORDS:
                await _refuse(send, 413, self._too_large(scope["path"]), 0)
                return
        body = b"".join(parts)
        try:
            named = _paths(json.loads(body or b"null"))
        except (ValueError, RecursionError):
            await _refuse(send, 400, "Expected a question in JSON.", 0)
            return
        if not all(self._is_upload(path) for path in named):
            await _refuse(send, 403, "Only files that were uploaded are read.", 0)
            return
        given = False

        async def _again() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, _again, send)

    def _is_upload(self, path: object) -> bool:
        """Tell whether a path leads into the folder of uploads, also behind links."""
        if not isinstance(path, str) or "\0" in path:
            return False
        return Path(path).resolve().is_relative_to(self._folder)


def _paths(value: Any) -> list[Any]:
    """Find every path that a question names."""
    found, ahead = [], [value]
    while ahead:
        each = ahead.pop()
        if isinstance(each, dict):
            found += [each["path"]] if "path" in each else []
            ahead += each.values()
        elif isinstance(each, list):
            ahead += each
    return found


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


def _with_headers(send: Send) -> Send:
    """Tell the browser to load nothing from anywhere else."""

    async def _send(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return _send


def sweep(folder: Path, keep_s: float) -> int:
    """Remove what people uploaded some time ago.

    Parameters
    ----------
    folder : Path
        Of the uploads.
    keep_s : float
        Files that came less than so many seconds ago stay.

    Returns
    -------
    int
        How many files went.
    """
    gone, oldest = 0, time.time() - keep_s
    for path in sorted(folder.rglob("*"), reverse=True):  # what is inside comes first
        try:
            if path.lstat().st_ctime > oldest:
                continue
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink()
                gone += 1
        except OSError:  # in use, not empty yet, or gone already: the next round
            continue
    return gone
