"""What verbs have in common: where results go, notes, scores, progress bars."""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO, Annotated, Any

from tyro.conf import arg

Out = Annotated[Path, arg(aliases=["-o"])]
MaybeOut = Annotated[Path | None, arg(aliases=["-o"])]


def say(line: str) -> None:
    """Tell a person something; work goes on where nobody can hear it.

    Parameters
    ----------
    line : str
        For stderr.
    """
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def print_notes(notes: Iterable[str]) -> None:
    """Tell a person what to know about a result.

    Parameters
    ----------
    notes : iterable of str
        Lines.
    """
    for note in notes:
        say(f"note: {note}")


def print_scores(metrics: Any) -> None:
    """Say in one line how well a network does.

    Parameters
    ----------
    metrics : Metrics
        What `dmagnet.evaluate.score` returned.
    """
    low, high = metrics.intervals["accuracy"]
    print(
        f"n = {metrics.n}: accuracy {metrics.accuracy:.3f} [{low:.3f}, {high:.3f}], "
        f"macro F1 {metrics.macro_f1:.3f}, balanced accuracy "
        f"{metrics.balanced_accuracy:.3f}, ECE {metrics.ece:.3f}"
    )


@contextmanager
def bars(
    *, rate: bool = False
) -> Iterator[Callable[[str, int | None], Callable[[int], None]]]:
    """Show progress: bars where a person watches, else one line for each stage.

    Parameters
    ----------
    rate : bool
        Say also how many a second.

    Yields
    ------
    callable
        A name and a total in, a counter out.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") in ("dumb", "unknown"):
        yield _told
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn("{task.description:17}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([TaskProgressColumn("", show_speed=True)] if rate else []),
        TimeRemainingColumn(),
    ]
    # Results go to stdout, which may be a file; bars go where errors go.
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:

        def _begin(name: str, total: int | None) -> Callable[[int], None]:
            task = progress.add_task(name, total=total)
            return lambda done: progress.update(task, completed=done)

        yield _begin


def _told(name: str, total: int | None) -> Callable[[int], None]:
    """Say in one line what begins."""
    say(f"{name} ({total:,})" if total and total > 1 else name)
    return lambda _: None


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP stop a run as Ctrl-C does.

    Batch systems send the first, a terminal that is closed the second.
    """

    def _stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGTERM", "SIGHUP"):
                number = getattr(signal, name, None)  # Windows has no SIGHUP
                if number and signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                    stack.callback(signal.signal, number, signal.signal(number, _stop))
        yield


def open_streams() -> None:
    """Make sure that stdout and stderr are there and can write any name.

    A stream that was closed would give its number to the next file that is opened, and
    what is printed would end up in it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if not number else "w"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def close_streams() -> str:
    """Bring out what is still to be printed.

    Returns
    -------
    str
        Why it could not be printed; empty if it could.
    """
    trouble = ""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:  # the reader, say `head`, has seen enough
            _to_nowhere(stream)
        except OSError as error:
            trouble = trouble or error.strerror or str(error)
            _to_nowhere(stream)
    return trouble


def _to_nowhere(stream: IO[str]) -> None:
    """Drop what cannot be printed, or Python would try once more at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
