"""What verbs have in common: where results go, notes, scores, progress bars."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

from tyro.conf import arg

Out = Annotated[Path, arg(aliases=["-o"])]
MaybeOut = Annotated[Path | None, arg(aliases=["-o"])]


def print_notes(notes: Iterable[str]) -> None:
    """Tell a person what to know about a result.

    Parameters
    ----------
    notes : iterable of str
        Lines.
    """
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


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
    """Show progress where a person watches.

    Parameters
    ----------
    rate : bool
        Say also how many a second.

    Yields
    ------
    callable
        A name and a total in, a counter out.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class _Rate(ProgressColumn):
        """So many a second, lately."""

        def render(self, task: Task) -> Text:
            """Write it.

            Parameters
            ----------
            task : Task
                As rich counts it.

            Returns
            -------
            Text
                Nothing before there is a rate.
            """
            speed = task.finished_speed or task.speed
            return Text(f"{speed:.0f}/s" if speed else "")

    columns = [
        TextColumn("{task.description:17}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([_Rate()] if rate else []),
        TimeRemainingColumn(),
    ]
    with Progress(
        *columns, disable=not sys.stderr.isatty(), transient=True
    ) as progress:

        def _begin(name: str, total: int | None) -> Callable[[int], None]:
            task = progress.add_task(name, total=total)
            return lambda done: progress.update(task, completed=done)

        yield _begin


@contextmanager
def termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM, as batch systems send it, stop a run as Ctrl-C does."""

    def _stop(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
