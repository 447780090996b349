"""What surrounds a job: variables of the environment, and who watches how far it is."""

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

# Called with the name and length of a stage; what it returns, with the number done.
Announce = Callable[[str, int | None], Callable[[int], None]]


def bars() -> Announce | None:
    """Return what shows progress in a notebook; elsewhere Python calls are silent."""
    return _bar if "ipykernel" in sys.modules else None


def _bar(name: str, total: int | None) -> Callable[[int], None]:
    from tqdm.std import tqdm  # not .auto: it warns where ipywidgets are missing

    bar = tqdm(desc=name, total=total, leave=False, disable=total == 1)

    def _count(done: int) -> None:
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return _count


def counter(
    announce: Announce | None, name: str, total: int | None
) -> Callable[[int], None]:
    """Begin a stage for who watches; call what it returns with the number done."""
    return announce(name, total) if announce else lambda _: None


@contextmanager
def logging_at(level: int, *names: str) -> Iterator[None]:
    """Let loggers tell what is as grave as that, and then what they told before."""
    loggers = [logging.getLogger(name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, usual in zip(loggers, before, strict=True):
            logger.setLevel(usual)


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables, and put back what was there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def loading() -> Iterator[None]:
    """Load without the garbage collector, which takes a sixth of the time."""
    usual = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if usual:
            gc.enable()
