"""When the next request may begin."""

import asyncio
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import anyio

LONGEST_REST_S = 3600.0  # that a service may ask for


class Pace:
    """Let requests begin one after another, an interval apart, or after a rest."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._next = -math.inf
        self._door = asyncio.Lock()

    @property
    def left(self) -> float:
        """Tell how long nobody may begin."""
        return max(0.0, self._next - asyncio.get_running_loop().time())

    def hold(self, seconds: float) -> None:
        """Let nobody begin for a while."""
        now = asyncio.get_running_loop().time()
        self._next = max(self._next, now + seconds)

    async def turn(self, over: asyncio.Event) -> None:
        """Wait until it is our turn, which a rest may put off once more."""
        async with self._door:
            while self.left > 0 and not over.is_set():
                with anyio.move_on_after(self.left):
                    await over.wait()
            self._next = asyncio.get_running_loop().time() + self._interval


def retry_after(value: str) -> float:
    """Read how long a service wants to be left alone."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return 0.0
        if when.tzinfo is None:  # "-0000": UTC
            when = when.replace(tzinfo=UTC)
        seconds = (when - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST_REST_S) if math.isfinite(seconds) else 0.0
