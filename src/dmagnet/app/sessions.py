"""Sessions: what is kept of an open page, and for how long."""

import secrets
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dmagnet.app.answers import DreamAnswer, Galaxy
from dmagnet.errors import ConfigError
from dmagnet.explaining.explanation import Explanation

POLL_S = 0.2  # how often one who waits is told, and may give up


@dataclass(eq=False)
class Session:
    """One open page."""

    token: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    galaxies: dict[int, Galaxy] = field(default_factory=dict)
    dreams: dict[int, list[DreamAnswer]] = field(default_factory=dict)
    explained: dict[int, Explanation] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    drawn: Counter[int] = field(default_factory=Counter)  # of each class
    most: int = 1  # galaxies that are kept
    chosen: int = 0  # the one that is shown
    _count: int = 0

    def add(self, galaxy: Galaxy) -> int:
        """Keep a galaxy."""
        self._count += 1
        self.galaxies[self._count] = galaxy
        while len(self.galaxies) > self.most:
            oldest = min(self.galaxies)
            del self.galaxies[oldest]
            self.dreams.pop(oldest, None)
            self.explained.pop(oldest, None)
        return self._count

    def galaxy(self, number: int | None = None) -> tuple[int, Galaxy]:
        """Find a galaxy."""
        if not self.galaxies:
            raise ConfigError("expected a galaxy, got none yet; drop an image first")
        number = self.chosen if number is None else number
        if number not in self.galaxies:
            raise ConfigError(f"galaxy {number} is not kept any more; drop it again")
        return number, self.galaxies[number]

    def new_dream(self) -> threading.Event:
        """Begin a dream; one that is under way on this page ends."""
        self.stop.set()
        self.stop = threading.Event()
        return self.stop


class Sessions:
    """All open pages."""

    def __init__(self, most: int, most_galaxies: int) -> None:
        self._most, self._most_galaxies = most, most_galaxies
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._open)

    def of(self, name: str) -> Session:
        """Find a page, or open it."""
        with self._lock:
            session = self._open.pop(name, None)
            session = session or Session(most=self._most_galaxies)
            self._open[name] = session
            forgotten = [
                self._open.popitem(last=False)[1]
                for _ in range(len(self._open) - self._most)
            ]
        for each in forgotten:
            each.stop.set()
        return session

    def close(self, name: str) -> None:
        """Forget a page and all that it holds; its dream ends."""
        with self._lock:
            session = self._open.pop(name, None)
        if session:
            session.stop.set()

    def close_all(self) -> None:
        """Forget all pages; their dreams end."""
        with self._lock:
            pages, self._open = list(self._open.values()), OrderedDict()
        for page in pages:
            page.stop.set()

    def by_token(self, token: str) -> Session | None:
        """Find the page that a file belongs to."""
        with self._lock:
            pages = list(self._open.values())
        given = token.encode("utf-8", "surrogateescape")
        for page in pages:
            if secrets.compare_digest(page.token.encode(), given):
                return page
        return None


class Places:
    """So many dreams at a time, and so many that wait."""

    def __init__(self, most: int, waiting: int) -> None:
        self.most, self.waiting = most, waiting
        self._turns: list[object] = []  # those before `most` dream, the others wait
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[Callable[[], int]]:
        """Stand in the queue, and leave it at the end, however that comes."""
        mine = object()
        with self._changed:
            if len(self._turns) >= self.most + self.waiting:
                raise ConfigError(
                    f"{self.most} dreams are under way and {self.waiting} wait: try "
                    "again in a minute"
                )
            self._turns.append(mine)
        try:
            yield lambda: self._ahead(mine)
        finally:
            with self._changed:
                self._turns.remove(mine)
                self._changed.notify_all()

    def _ahead(self, mine: object) -> int:
        with self._changed:
            if self._turns.index(mine) >= self.most:
                self._changed.wait(POLL_S)
            return max(0, self._turns.index(mine) - self.most + 1)
