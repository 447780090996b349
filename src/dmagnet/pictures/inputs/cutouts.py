"""Turn positions into images: ask a cut-out service politely, and never twice."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from anyio.from_thread import BlockingPortal, start_blocking_portal

from dmagnet.config.classify_config import CutoutConfig
from dmagnet.pictures.inputs.cutout_files import Failure, Shelf, place
from dmagnet.pictures.inputs.cutout_service import Found, Say, Service
from dmagnet.pictures.inputs.item import NO_CLASS, Item

LOOK_AHEAD = 256  # inputs whose images may be under way before they are needed


def fetched(
    items: Iterable[Item],
    config: CutoutConfig | None = None,
    *,
    cache: Path | None = None,
    progress: Say | None = None,
) -> Iterator[Item]:
    """Give every position among the inputs a file: its image.

    Parameters
    ----------
    items : iterable of Item
        Any kinds, any number; read only a little ahead of what is taken.
    config : CutoutConfig or None
        Whom to ask, for what, and how politely; None takes the defaults.
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
        If the images cannot be written.

    Notes
    -----
    Nothing is asked for, and no thread is started, before a position comes that is
    not in the cache. Leaving the generator, also by Ctrl-C, ends the requests under
    way; whole images stay, and the next run goes on from there.
    """
    ahead: deque[tuple[Item, Found | Future[Found] | None]] = deque()
    with ExitStack() as stack:
        desk = Desk(stack, config or CutoutConfig(), cache, progress)
        for item in items:
            ahead.append((item, desk.order(item)))
            while ahead and (len(ahead) > LOOK_AHEAD or _ready(ahead[0][1])):
                yield desk.hand_out(*ahead.popleft())
        while ahead:
            yield desk.hand_out(*ahead.popleft())


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
            where = place(ra, dec)
            if isinstance(where, Failure):
                return index, where
            return index, await service.get(where)

        running: set[asyncio.Task[tuple[int, Found]]] = set()
        for index, position in enumerate(positions):
            running.add(asyncio.create_task(numbered(index, *position)))
            if len(running) >= LOOK_AHEAD:
                done, running = await asyncio.wait(
                    running, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    yield task.result()
        for soonest in asyncio.as_completed(running):
            yield await soonest


class Desk:
    """Take orders in the caller's thread; the service works in another."""

    def __init__(
        self,
        stack: ExitStack,
        config: CutoutConfig,
        cache: Path | None,
        progress: Say | None,
    ) -> None:
        self._stack, self._progress = stack, progress
        self._config, self._cache = config, cache
        self._shelf: Shelf | None = None
        self._at_work: tuple[BlockingPortal, Service] | None = None

    def order(self, item: Item) -> Found | Future[Found] | None:
        """Look a position up, and order its image if it is not there."""
        if item.kind != "position" or item.flag & NO_CLASS:
            return None
        where = place(item.ra, item.dec)
        if isinstance(where, Failure):
            return where
        if self._shelf is None:
            self._shelf = Shelf.of(self._config, self._cache)
        if (known := self._shelf.find(where)) is not None:
            return known
        if self._at_work is None:
            portal = self._stack.enter_context(start_blocking_portal())
            service = Service(self._config, self._shelf, self._progress)
            self._stack.enter_context(portal.wrap_async_context_manager(service))
            self._at_work = portal, service
        portal, service = self._at_work
        return portal.start_task_soon(service.get, where)

    def hand_out(self, item: Item, found: Found | Future[Found] | None) -> Item:
        """Wait for an image, and write down what came of it."""
        if found is None:
            return item
        if isinstance(found, Future):
            found = found.result()
        where = place(item.ra, item.dec)
        if self._shelf is not None and not isinstance(where, Failure):
            item = replace(item, path=self._shelf.address(where))
        if isinstance(found, Failure):
            reasons = [reason for reason in (item.reason, found.reason) if reason]
            flag = item.flag | found.flag
            return replace(item, flag=flag, reason="; ".join(reasons))
        return replace(item, kind="file", files=(str(found),))


def _ready(found: Found | Future[Found] | None) -> bool:
    return not isinstance(found, Future) or found.done()
