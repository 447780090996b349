"""One polite client of a cut-out service: slow when asked, patient when it breaks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

import anyio
import httpx2
import tenacity

from dmagnet import __version__
from dmagnet.config.classify_config import CutoutConfig
from dmagnet.pictures.inputs.cutout_answers import NotAnImageError, examine, largest
from dmagnet.pictures.inputs.cutout_files import Failure, Position, Shelf
from dmagnet.pictures.inputs.cutout_pace import Pace, retry_after
from dmagnet.pictures.inputs.item import Flag

Found = Path | Failure
Say = Callable[[str], None]

LONGEST_WAIT_S = 60.0  # between two attempts, when the service does not say
CONNECT_S = 15.0  # for a connection; a network that swallows packets shows itself
MAX_REDIRECTS = 5
GIVE_UP_AFTER = 16  # attempts without one image, if there never was one

_BUSY = (429, 503)  # they mean the client, not the image
_WORTH_A_RETRY = (408, 425, 429)  # of the client errors; and all server errors
_NO_SUCH_IMAGE = (404, 410)


class Service:
    """A cut-out service, for use within one event loop."""

    def __init__(
        self, config: CutoutConfig, shelf: Shelf, say: Say | None = None
    ) -> None:
        self._config, self._shelf = config, shelf
        self._say: Say = say or (lambda _: None)
        self._slots = asyncio.Semaphore(config.parallel)
        self._pace = Pace(1 / config.per_second)
        self._asked: dict[Position, asyncio.Task[Found]] = {}
        self._over = asyncio.Event()  # nothing more is asked, for this reason:
        self._reason = ""
        self._reached = False  # it answered, whatever it was
        self._useful = False  # it gave an image, or one that is blank
        self._failures = 0  # attempts in a row
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        connect = min(CONNECT_S, self._config.timeout)
        client = httpx2.AsyncClient(
            # packed answers may unpack to any size
            headers={
                "User-Agent": f"dmagnet/{__version__}",
                "Accept-Encoding": "identity",
            },
            timeout=httpx2.Timeout(None, connect=connect),
            limits=httpx2.Limits(max_connections=self._config.parallel),
        )
        self._client = await self._exits.enter_async_context(client)
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = list(self._asked.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._exits.aclose()

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
        attempts = tenacity.AsyncRetrying(
            sleep=self._sleep,
            stop=tenacity.stop_after_attempt(self._config.retries + 1),
            wait=self._pause,
            retry=tenacity.retry_if_exception_type(_AgainError),
            before_sleep=self._before_sleep,
            reraise=True,
        )
        try:
            return await attempts(self._ask, position)
        except _AgainError as error:
            reason = self._reason or f"{self._shelf.host}: {error}"
            return Failure(Flag.FETCH_FAILED, reason)

    async def _ask(self, position: Position) -> Found:
        """Ask once, in turn."""
        async with self._slots:
            await self._pace.turn(self._over)
            if self._over.is_set():
                return Failure(Flag.FETCH_FAILED, self._reason)
            try:
                found = await self._download(position)
            except _AgainError as error:
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
        try:
            with anyio.fail_after(self._config.timeout):
                async with self._answer(self._shelf.address(position)) as answer:
                    reached = self._reached = True
                    if (refusal := self._refusal(answer)) is not None:
                        return refusal
                    body = await self._body(answer)
            return await asyncio.to_thread(self._keep, position, body)
        except _RefusedError as error:
            return Failure(Flag.FETCH_FAILED, f"{self._shelf.host} {error}")
        except TimeoutError as error:
            reason = f"no whole answer in {self._config.timeout:g} s"
            raise _AgainError(reason, of_service=not reached) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            reason = "the connection was cut" if reached else "no connection"
            raise _AgainError(reason, of_service=not reached) from error
        except NotAnImageError as error:
            raise _AgainError(str(error)) from error

    @asynccontextmanager
    async def _answer(self, address: str) -> AsyncIterator[httpx2.Response]:
        """Ask, and follow the service where it sends us, on its own host only."""
        request = self._client.build_request("GET", address)
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._client.send(request, stream=True)
            try:
                if not answer.has_redirect_location:
                    yield answer
                    return
                request = _followed(request.url, answer.next_request)
            finally:
                await answer.aclose()
        raise _RefusedError("sends us in circles")

    def _refusal(self, answer: httpx2.Response) -> Failure | None:
        """Sort an answer by its status: an image, never one, or perhaps later."""
        code = answer.status_code
        if code in _NO_SUCH_IMAGE:
            reason = f"{self._shelf.host} has no image there (status {code})"
            return Failure(Flag.OUTSIDE_SURVEY, reason)
        if code >= 500 or code in _WORTH_A_RETRY:
            pause = retry_after(answer.headers.get("Retry-After", ""))
            raise _AgainError(f"status {code}", pause, of_service=code in _BUSY)
        if code >= 300:
            reason = f"{self._shelf.host} refuses: status {code}"
            return Failure(Flag.FETCH_FAILED, reason)
        return None

    async def _body(self, answer: httpx2.Response) -> bytes:
        """Read what came; more than any image has is not read to its end."""
        body, limit = bytearray(), largest(self._config)
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise NotAnImageError("expected an image, got a packed answer")
        async for block in answer.aiter_raw():
            body += block
            if len(body) > limit:
                raise NotAnImageError(f"expected at most {limit} bytes, got more")
        return bytes(body)

    def _keep(self, position: Position, body: bytes) -> Found:
        """Check and keep an answer, in a thread of its own."""
        failure = examine(body, self._config, self._shelf.suffix)
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
        self._pace.hold(pause)
        if self._useful or self._over.is_set():
            return
        host, tries = self._shelf.host, self._failures
        few = final or not self._reached
        if tries < (self._config.retries + 1 if few else GIVE_UP_AFTER):
            return
        what = "was given up" if self._reached else "cannot be reached"
        self._reason = f"{host} {what}: {reason}"
        self._say(self._reason)
        self._over.set()

    def _growing(self, tries: int) -> float:
        """Double a pause with every attempt."""
        return min(self._config.wait * 2.0 ** min(tries - 1, 16), LONGEST_WAIT_S)

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Pause as long as the service asks for, at least ever longer, by chance."""
        error = state.outcome.exception() if state.outcome else None
        asked = error.pause if isinstance(error, _AgainError) else 0.0
        return max(asked, self._jitter(state))

    @property
    def _jitter(self) -> tenacity.wait_exponential_jitter:
        wait = self._config.wait
        return tenacity.wait_exponential_jitter(
            multiplier=wait, max=LONGEST_WAIT_S, jitter=wait
        )

    def _before_sleep(self, state: tenacity.RetryCallState) -> None:
        if state.outcome and state.next_action and not self._over.is_set():
            seconds = max(state.next_action.sleep, self._pace.left)
            error = state.outcome.exception()
            self._say(f"{self._shelf.host}: {error}; again in {seconds:.0f} s")

    async def _sleep(self, seconds: float) -> None:
        """Wake up early if there is nothing more to wait for."""
        with anyio.move_on_after(seconds):
            await self._over.wait()


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


class _AgainError(Exception):
    """No image this time; `pause` is how long the service wants to be left alone."""

    def __init__(
        self, reason: str, pause: float = 0.0, *, of_service: bool = False
    ) -> None:
        super().__init__(reason)
        self.pause, self.of_service = pause, of_service
