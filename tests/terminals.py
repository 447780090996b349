"""Run verbs in terminals: one process imports everything once, and forks for each verb.

Started as a script, it reads requests as lines of JSON, and answers each with one.
"""

import fcntl
import functools
import importlib
import itertools
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import traceback
from pathlib import Path

from rich.console import Console

ROWS, SECONDS = 24, 300  # the longest of a verb, on a busy machine
ESCAPE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")


class Terminals:
    """Terminals of any width to run verbs in."""

    def __enter__(self):
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(self, *_):
        self._server.kill()
        self._server.communicate()

    def __call__(self, *argv, columns=80, press=("", ""), smaller=None, **rest):
        """Run a verb; return its exit status and all that the terminal received.

        `press` is what to wait for and what to type then; `smaller` gives functions
        of the package other defaults; `stdout` is a file instead of the terminal;
        `drawing` interrupts rich when it lets go of its console for that time; the
        rest are variables of the environment.
        """
        stdout = rest.pop("stdout", None)
        drawing = rest.pop("drawing", 0)
        request = {
            "argv": [str(word) for word in argv],
            "columns": columns,
            "press": press,
            "smaller": smaller or {},
            "stdout": str(stdout or ""),
            "drawing": drawing,
            "environ": {"TERM": "xterm-256color", **rest},
        }
        print(json.dumps(request), file=self._server.stdin, flush=True)
        answer = json.loads(self._server.stdout.readline())
        return answer["status"], answer["text"]


def screen(text, columns=80):
    """Draw what a terminal received: its lines, and whether the cursor shows.

    Lines that were too long for the terminal are joined again.
    """
    rows, joined, row, column, cursor = {}, set(), 0, 0, True
    for part in re.split(r"(\x1b\[[?\d;]*[A-Za-z]|[\r\n])", text):
        escape = ESCAPE.fullmatch(part)
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
        elif escape is None:
            assert "\x1b" not in part, f"an escape that is not known here: {part!r}"
            for letter in part:
                if column == columns:
                    row, column = row + 1, 0
                    joined.add(row)
                before = rows.get(row, "").ljust(column)
                rows[row] = before[:column] + letter + before[column + 1 :]
                column += 1
        elif escape[2] == "A":
            row -= int(escape[1])
            assert row >= 0, "the cursor leaves the screen"
        elif escape[2] == "K":
            rows[row] = ""
            joined.discard(row)
        else:
            assert escape[2] in "hlm", f"an escape that is not known here: {part!r}"
            cursor = {"h": True, "l": False}.get(escape[2], cursor)
    lines = "".join(
        ("" if number in joined else "\n") + rows[number] for number in sorted(rows)
    )
    return [line.rstrip() for line in lines.split("\n") if line.strip()], cursor


def _serve():
    """Answer requests until there are no more."""
    for module in (
        *("reporting.assess", "cli.demo", "galaxies", "explaining", "simulator"),
        *("reporting.failures", "reporting.galaxy_pages", "dreaming.gallery"),
        *("measuring.study", "classifying", "training", "judging.trust"),
    ):
        importlib.import_module(f"dmagnet.{module}")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(**json.loads(line))) + "\n")
        sys.stdout.flush()


def _answer(*, press, **request):
    """Run one verb, and play the person at the terminal."""
    child, terminal = pty.fork()
    if not child:
        _child(**request)
    text, (awaited, typed), end = b"", press, time.monotonic() + SECONDS
    while True:
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
        if not ready:
            os.kill(child, signal.SIGKILL)
            text += b"\n(the test waited too long)"
            break
        try:
            block = os.read(terminal, 65536)
        except OSError:  # Linux, when the other side is closed
            break
        text += block
        if typed and awaited.encode() in text:
            time.sleep(0.2)  # people are not quicker than a row is drawn
            os.write(terminal, typed.encode())
            typed = ""
        if not block:
            break
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    return {"status": os.waitstatus_to_exitcode(status), "text": text.decode()}


def _child(*, argv, columns, smaller, stdout, drawing, environ):
    """Be a new process in a new terminal."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", ROWS, columns, 0, 0))
        if stdout:
            os.dup2(os.open(stdout, os.O_WRONLY | os.O_CREAT), 1)
        for name in ("COLUMNS", "LINES", "NO_COLOR"):  # as the suite's own terminal has
            os.environ.pop(name, None)
        os.environ.update(environ)
        sys.stdin = os.fdopen(0, encoding="utf-8")
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
        for name, defaults in smaller.items():
            module, _, function = name.rpartition(".")
            place = importlib.import_module(module)
            whole = getattr(place, function)
            setattr(place, function, functools.partial(whole, **defaults))
        if drawing:
            _interrupt_drawing(drawing)
        from dmagnet.cli import main

        status = main(argv)
        sys.stdout.flush()
    except SystemExit as stopped:
        status = int(stopped.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _interrupt_drawing(step):
    """Send Ctrl-C's signal from within rich, in the main thread."""
    before, steps = Console._exit_buffer, itertools.count(1)

    def exit_buffer(console):
        here = threading.current_thread() is threading.main_thread()
        if here and next(steps) == step:
            signal.raise_signal(signal.SIGINT)
        before(console)

    Console._exit_buffer = exit_buffer


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    _serve()
