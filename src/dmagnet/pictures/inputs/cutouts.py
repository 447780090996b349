"""Positions become images: ask a cut-out service politely, and never twice.

Slow when asked, patient when the service breaks.
"""

import asyncio
import contextlib
import itertools
import math
import random
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import httpx2
from anyio.from_thread import BlockingPortal, start_blocking_portal

from dmagnet import __version__
from dmagnet.config.classify_config import SERVICE, CutoutConfig, SourceConfig
from dmagnet.pictures.flags import NO_CLASS, Flag
from dmagnet.pictures.inputs import cutout_files
from dmagnet.pictures.inputs.cutout_files import AgainError, Failure, Position, Shelf
from dmagnet.pictures.inputs.footprints import open_tiles
from dmagnet.pictures.inputs.item import Item, flagged

Found = Path | Failure
Say = Callable[[str], None]
Ordered = Found | Future[Found] | None

LOOK_AHEAD = 256  # inputs whose images may be under way before they are needed
LONGEST_WAIT_S = 60.0  # between two attempts, when the service does not say
CONNECT_S = 15.0  # for a connection; a network that swallows packets shows itself
MAX_REDIRECTS = 5
GIVE_UP_AFTER = 16  # attempts without one image, if there never was one

_BUSY = (429, 503)  # they mean the client, not the image
_WORTH_A_RETRY = (408, 425, 429)  # of the client errors; and all server errors
_NO_SUCH_IMAGE = (404, 410)


def fetched(
    items: Iterable[Item],
    config: CutoutConfig | None = None,
    *,
    source: SourceConfig | None = None,
    cache: Path | None = None,
    progress: Say | None = None,
) -> Iterator[Item]:
    """Give every position among the inputs a file: its image.

    Parameters
    ----------
    items : iterable of Item
        Any kinds, any number; read only a little ahead of what is taken.
    config : CutoutConfig or None
        Whom to ask, for what, and how politely; None takes the defaults. Tiles are not
        asked but named: the item then tells which of them to read, and where.
    source : SourceConfig or None
        What tiles do not say themselves.
    cache : Path or None
        Folder that keeps the images; None takes `cutout_folder`.
    progress : callable or None
        Called with one line when the service makes us wait, and with an empty one
        when it has answered again; from another thread.

    Yields
    ------
    Item
        In the order they came. A position becomes a ``file``, or gets a flag and a
        reason; its ``path`` is the address of the cut-out either way. Anything else,
        and what has no class already, passes through.

    Raises
    ------
    ConfigError
        If the address of the service is none.
    DataError
        If the images cannot be written, or a tile cannot be used.

    Notes
    -----
    Nothing is asked for, and no thread is started, before a position comes that is
    not in the cache. Leaving the generator, also by Ctrl-C, ends the requests under
    way; whole images stay, and the next run goes on from there.
    """
    if config is not None and config.tiles != SERVICE:
        tiles = open_tiles(config, source or SourceConfig())
        yield from map(tiles.located, items)
        return
    ahead: deque[tuple[Item, Ordered]] = deque()
    with contextlib.ExitStack() as stack:
        desk = _Desk(stack, config or CutoutConfig(), cache, progress)
        for item in items:
            ahead.append(desk.order(item))
            while ahead and (len(ahead) > LOOK_AHEAD or _is_ready(ahead[0][1])):
                yield _handed_out(*ahead.popleft())
        while ahead:
            yield _handed_out(*ahead.popleft())


async def fetch_cutouts(
    positions: Iterable[tuple[float, float]],
    config: CutoutConfig | None = None,
    *,
    cache: Path | None = None,
    progress: Say | None = None,
) -> AsyncIterator[tuple[int, Found]]:
    """Fetch images of positions, for programs that have an event loop of their own."""
    config = config or CutoutConfig()
    async with Service(config, Shelf.of(config, cache), progress) as service:

        async def numbered(index: int, ra: float, dec: float) -> tuple[int, Found]:
            where = cutout_files.place(ra, dec)
            if isinstance(where, Failure):
                return index, where
            return index, await service.get(where)

        todo = (numbered(index, *each) for index, each in enumerate(positions))
        running: set[asyncio.Task[tuple[int, Found]]] = set()
        while True:
            more = itertools.islice(todo, LOOK_AHEAD - len(running))
            running |= set(map(asyncio.create_task, more))
            if not running:
                return
            done, running = await asyncio.wait(
                running, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                yield task.result()


@dataclass
class _Desk:
    """Take orders in the caller's thread; the service works in another."""

    stack: contextlib.ExitStack
    config: CutoutConfig
    cache: Path | None
    progress: Say | None

    @cached_property
    def _shelf(self) -> Shelf:
        return Shelf.of(self.config, self.cache)

    @cached_property
    def _at_work(self) -> tuple[BlockingPortal, "Service"]:
        portal = self.stack.enter_context(start_blocking_portal())
        service = Service(self.config, self._shelf, self.progress)
        self.stack.enter_context(portal.wrap_async_context_manager(service))
        return portal, service

    def order(self, item: Item) -> tuple[Item, Ordered]:
        """Look a position up, and order its image if it is not there."""
        if item.kind != "position" or item.flag & NO_CLASS:
            return item, None
        where = cutout_files.place(item.ra, item.dec)
        if isinstance(where, Failure):
            return item, where
        item = replace(item, path=self._shelf.address(where))
        if (known := self._shelf.find(where)) is not None:
            return item, known
        portal, service = self._at_work
        return item, portal.start_task_soon(service.get, where)


def _handed_out(item: Item, found: Ordered) -> Item:
    """Wait for an image, and note what came of it."""
    if isinstance(found, Future):
        found = found.result()
    if isinstance(found, Failure):
        return flagged(item, found.flag, found.reason)
    return item if found is None else replace(item, kind="file", files=(str(found),))


def _is_ready(found: Ordered) -> bool:
    return not isinstance(found, Future) or found.done()


class Service:
    """A cut-out service, for use within one event loop."""

    def __init__(
        self, config: CutoutConfig, shelf: Shelf, say: Say | None = None
    ) -> None:
        self._config, self._shelf = config, shelf
        self._say: Say = say or (lambda _: None)
        self._slots = asyncio.Semaphore(config.parallel)
        self._door = asyncio.Lock()
        self._next = -math.inf  # when the next request may begin
        self._asked: dict[Position, asyncio.Task[Found]] = {}
        self._over = asyncio.Event()  # nothing more is asked, for this reason:
        self._reason = ""
        self._reached = False  # it answered, whatever it was
        self._useful = False  # it gave an image, or one that is blank
        self._failures = 0  # attempts in a row

    async def __aenter__(self) -> Self:
        connect = min(CONNECT_S, self._config.timeout)
        agent = f"dmagnet/{__version__}"
        self._client = httpx2.AsyncClient(
            # packed answers may unpack to any size
            headers={"User-Agent": agent, "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(None, connect=connect),
            limits=httpx2.Limits(max_connections=self._config.parallel),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    async def get(self, position: Position) -> Found:
        """Ask for an image; while it is under way, others who ask wait with us."""
        if position not in self._asked:
            task = asyncio.create_task(self._fetch(position))
            task.add_done_callback(lambda _: self._asked.pop(position, None))
            self._asked[position] = task
        return await asyncio.shield(self._asked[position])

    async def _fetch(self, position: Position) -> Found:
        """Look, ask, and ask again."""
        if (known := self._shelf.find(position)) is not None:
            return known
        config = self._config
        for attempt in itertools.count():
            try:
                return await self._ask(position)
            except AgainError as error:
                if attempt == config.retries:
                    reason = self._reason or f"{self._shelf.host}: {error}"
                    return Failure(Flag.FETCH_FAILED, reason)
                pause = self._growing(attempt + 1) + random.uniform(0, config.wait)
                pause = max(error.pause, min(pause, LONGEST_WAIT_S))
                if not self._over.is_set():
                    seconds = max(pause, self._left())
                    self._say(f"{self._shelf.host}: {error}; again in {seconds:.0f} s")
            await self._rest(pause)
        raise AssertionError

    async def _ask(self, position: Position) -> Found:
        """Ask once, in turn."""
        async with self._slots:
            async with self._door:  # one after another, an interval or a rest apart
                while self._left() > 0 and not self._over.is_set():
                    await self._rest(self._left())
                now = asyncio.get_running_loop().time()
                self._next = now + 1 / self._config.per_second
            if self._over.is_set():
                return Failure(Flag.FETCH_FAILED, self._reason)
            try:
                found = await self._download(position)
            except AgainError as error:
                self._count(str(error), error.pause, of_service=error.of_service)
                raise
        if isinstance(found, Failure) and found.flag == Flag.FETCH_FAILED:
            self._count(found.reason, 0, of_service=True, final=True)
        else:
            if self._failures:
                self._say("")
            self._failures = 0
        return found

    async def _download(self, position: Position) -> Found:
        """Have the whole answer, checked and kept, in time."""
        reached = False
        request = self._client.build_request("GET", self._shelf.address(position))
        try:
            async with asyncio.timeout(self._config.timeout):
                for _ in range(MAX_REDIRECTS + 1):
                    answer = await self._client.send(request, stream=True)
                    async with contextlib.aclosing(answer):
                        if not answer.has_redirect_location:
                            reached = self._reached = True
                            body = await self._body(answer)
                            break
                        request = _followed(request.url, answer.next_request)
                else:
                    raise _RefusedError("sends us in circles")
            return await asyncio.to_thread(self._keep, position, body)
        except _RefusedError as error:
            return Failure(Flag.FETCH_FAILED, f"{self._shelf.host} {error}")
        except TimeoutError as error:
            reason = f"no whole answer in {self._config.timeout:g} s"
            raise AgainError(reason, of_service=not reached) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            reason = "the connection was cut" if reached else "no connection"
            raise AgainError(reason, of_service=not reached) from error

    async def _body(self, answer: httpx2.Response) -> bytes | Failure:
        """Read what came, if its status is that of an image, and no further than one.

        An answer may also say that there never is one, or perhaps later.
        """
        code, host = answer.status_code, self._shelf.host
        if code in _NO_SUCH_IMAGE:
            reason = f"{host} has no image there (status {code})"
            return Failure(Flag.OUTSIDE_SURVEY, reason)
        if code >= 500 or code in _WORTH_A_RETRY:
            pause = cutout_files.retry_after(answer.headers.get("Retry-After", ""))
            raise AgainError(f"status {code}", pause, of_service=code in _BUSY)
        if code >= 300:
            return Failure(Flag.FETCH_FAILED, f"{host} refuses: status {code}")
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise AgainError("expected an image, got a packed answer")
        body, limit = bytearray(), cutout_files.largest(self._config)
        async for block in answer.aiter_raw():
            body += block
            if len(body) > limit:
                raise AgainError(f"expected at most {limit} bytes, got more")
        return bytes(body)

    def _keep(self, position: Position, body: bytes | Failure) -> Found:
        """Check and keep an answer, in a thread of its own."""
        if isinstance(body, Failure):
            return body
        failure = cutout_files.examine(body, self._config, self._shelf.suffix)
        if failure is not None and failure.flag == Flag.FETCH_FAILED:
            return failure
        path = self._shelf.keep(position, failure or body)
        self._useful = True
        return failure or path

    def _count(
        self, reason: str, pause: float, *, of_service: bool, final: bool = False
    ) -> None:
        """Slow down for all, or give up, after a failure that is not one image's."""
        self._failures += 1
        free = 0 if of_service else 2 * self._config.parallel
        if self._failures > free:
            pause = max(pause, self._growing(self._failures - free))
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now + pause)
        few = final or not self._reached
        most = self._config.retries + 1 if few else GIVE_UP_AFTER
        if self._useful or self._over.is_set() or self._failures < most:
            return
        what = "was given up" if self._reached else "cannot be reached"
        self._reason = f"{self._shelf.host} {what}: {reason}"
        self._say(self._reason)
        self._over.set()

    def _growing(self, tries: int) -> float:
        """Double a pause with every attempt."""
        return min(self._config.wait * 2.0 ** min(tries - 1, 16), LONGEST_WAIT_S)

    def _left(self) -> float:
        """Return how long nobody may begin, in seconds."""
        return max(0.0, self._next - asyncio.get_running_loop().time())

    async def _rest(self, seconds: float) -> None:
        """Wait, but not when there is nothing more to wait for."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)


class _RefusedError(Exception):
    """The service sends us where nobody told us to ask."""


def _followed(url: httpx2.URL, request: httpx2.Request | None) -> httpx2.Request:
    """Refuse another host; the same one may ask for HTTPS instead of HTTP."""
    if request is None:
        raise _RefusedError("sends us to an address that is none")
    target = request.url
    upgraded = (url.scheme, target.scheme) == ("http", "https")
    same = (target.scheme, target.port) == (url.scheme, url.port)
    if target.host != url.host or not (same or upgraded):
        other = f"{target.scheme}://{target.netloc.decode('ascii', 'replace')}"
        raise _RefusedError(
            f"sends us to {other[:80]}; if you trust it, name it with --cutout.url"
        )
    return request
