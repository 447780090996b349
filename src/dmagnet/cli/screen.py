"""Shared by verbs: where results go, notes, scores, progress bars."""

import io
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Timer
from types import FrameType
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from dmagnet.config import LabelsConfig, SplitName
from dmagnet.storage.environment import logging_at

Out = Annotated[Path, arg(aliases=["-o"])]
MaybeOut = Annotated[Path | None, arg(aliases=["-o"])]
Inputs = Positional[
    Annotated[tuple[str, ...], arg(metavar="INPUT...", help_behavior_hint="")]
]


@dataclass(frozen=True, kw_only=True)
class Trial(LabelsConfig):
    """Labeled galaxies to judge a network on.

    Attributes
    ----------
    split : SplitName | None
        Part to judge on; if not given, all galaxies that the network was not
        trained on, and the val part of a set that it was trained on.
    views : Literal[1, 2, 4, 8] | None
        Flips and quarter turns to average over; if not given, as the weights were
        calibrated.
    include_training : bool
        Judge also the galaxies that the network was trained on: no fair test.
    """

    split: SplitName | None = None
    views: Literal[1, 2, 4, 8] | None = None
    include_training: bool = False


LABELS, TRIAL = LabelsConfig(), Trial()
_muted = threading.Event()  # set by --quiet


def say(line: str) -> None:
    """Print a line for a person."""
    print(line, file=sys.stderr, flush=True)


def mute(wanted: bool) -> None:
    """Show progress and notes, or neither; errors and results are always told."""
    (_muted.set if wanted else _muted.clear)()


def print_notes(notes: Iterable[str], head: str = "note: ") -> None:
    """Print what to know about a result."""
    for note in () if _muted.is_set() else notes:
        say(f"{head}{note}")


class _Notes(logging.Handler):
    """Print what the package logs."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        print_notes([record.getMessage()])


@contextmanager
def notes_printed() -> Iterator[None]:
    """Print what the package logs as notes."""
    log, handler = logging.getLogger("dmagnet"), _Notes()
    log.addHandler(handler)
    try:
        with logging_at(logging.INFO, "dmagnet"):
            yield
    finally:
        log.removeHandler(handler)


def print_scores(metrics: Any) -> None:
    """Print in one line how well a network does."""
    low, high = metrics.intervals["accuracy"]
    print(
        f"n = {metrics.n}: accuracy {metrics.accuracy:.3f} [{low:.3f}, {high:.3f}], "
        f"macro F1 {metrics.macro_f1:.3f}, balanced accuracy "
        f"{metrics.balanced_accuracy:.3f}, ECE {metrics.ece:.3f}"
    )


@contextmanager
def bars() -> Iterator[Callable[[str, int | None], Callable[[int], None]]]:
    """Show progress: bars where a person watches, else one line for each stage."""
    if (
        _muted.is_set()
        or not sys.stderr.isatty()
        or os.environ.get("TERM") in ("dumb", "unknown")
    ):
        yield _told
        return
    from rich import progress as rich
    from rich.console import Console

    columns = [
        rich.TextColumn("{task.description:17}"),
        rich.BarColumn(),
        rich.MofNCompleteColumn(),
        rich.TaskProgressColumn("", show_speed=True),
        rich.TimeRemainingColumn(),
    ]
    # Results go to stdout, which may be a file; bars go where errors go.
    console = Console(stderr=True)
    with rich.Progress(*columns, console=console, transient=True) as progress:

        def _begin(name: str, total: int | None) -> Callable[[int], None]:
            task = progress.add_task(name, total=total)
            return lambda done: progress.update(task, completed=done)

        yield _begin


def _told(name: str, total: int | None) -> Callable[[int], None]:
    """Print in one line what begins."""
    print_notes([f"{name} ({total:,})" if total and total > 1 else name], "")
    return lambda _: None


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop a run as Ctrl-C does, and none of them break a bar.

    Batch systems send the first, a terminal that is closed the second.
    """
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGINT", "SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                    before = signal.signal(number, _interrupt)
                    stack.callback(signal.signal, number, before)
            stack.callback(setattr, sys, "unraisablehook", sys.unraisablehook)
            sys.unraisablehook = partial(_unheard, sys.unraisablehook)
        yield


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise, but not while rich draws: its console would keep what is printed next."""
    while frame:
        if frame.f_globals.get("__name__", "").startswith("rich."):
            return _again(number)
        frame = frame.f_back
    raise KeyboardInterrupt


def _again(number: int) -> None:
    """Send a signal to the main thread a moment later, if it still matters then."""

    def _send() -> None:
        if signal.getsignal(number) is not _interrupt:
            return
        if hasattr(signal, "pthread_kill"):  # which wakes a thread that waits
            signal.pthread_kill(threading.main_thread().ident or 0, number)
        else:
            signal.raise_signal(number)

    Timer(0.02, _send).start()


def _unheard(usual: Callable[[Any], Any], dropped: Any) -> None:
    """Interrupt again if Python dropped it, as it does in callbacks of weak references.

    A moment later, or it would be dropped in here.
    """
    if issubclass(dropped.exc_type, KeyboardInterrupt):
        _again(signal.SIGINT)
    else:
        usual(dropped)


class _OwnStream(io.FileIO):
    """A stream that notes why it cannot write, so that the work goes on."""

    trouble = ""

    def write(self, data: Any) -> int:
        """Write, or pretend to."""
        try:
            return super().write(data)
        except BrokenPipeError:  # the reader, say `head`, has seen enough
            return len(data)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            return len(data)


def open_streams() -> Callable[[], str]:
    """Make sure that stdout and stderr are there and can write any name.

    A stream that was closed would give its number to the next file that is opened, and
    what is printed would end up in it. What is returned is to be called at the end: it
    says why results could not be printed, if so.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
    out = _open(1, "stdout")
    _open(2, "stderr")

    def _close() -> str:
        sys.stdout.flush()
        return out.trouble if out else ""

    return _close


def _open(number: int, name: str) -> _OwnStream | None:
    """Take the place of a stream of Python's, but not of what a caller put there."""
    before = getattr(sys, name)
    try:
        ours = before is None or before.fileno() == number
    except (OSError, ValueError):  # it is no file
        ours = False
    if not ours or os.name == "nt":  # whose consoles are no files either
        if isinstance(before, io.TextIOWrapper):
            before.reconfigure(errors="backslashreplace")
        return None
    raw = _OwnStream(number, "w", closefd=False)
    stream = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=before.encoding if before else None,
        errors="backslashreplace",
        line_buffering=number != 1 or raw.isatty(),
    )
    setattr(sys, name, stream)
    return raw
