"""Ctrl-C, or SIGTERM, sent to a command that runs in this process."""

import os
import signal
import threading
import time
from contextlib import contextmanager


def unheard(number, frame):
    """Nobody listens: go on, so that the test sees it, and the suite lives."""


@contextmanager
def signaled(number, when, seconds=120):
    """Send a signal once something is so, while the body runs."""
    over = threading.Event()

    def watch():
        end = time.monotonic() + seconds
        while not over.wait(0.005) and time.monotonic() < end:
            if when():
                os.kill(os.getpid(), number)
                return

    # A suite that runs in the background may have been told to ignore Ctrl-C.
    listens = signal.default_int_handler if number == signal.SIGINT else unheard
    before, watcher = signal.signal(number, listens), threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        signal.signal(number, before)
