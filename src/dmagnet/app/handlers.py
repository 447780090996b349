"""A click, and what follows: ask for an answer, and show it or say what is wrong."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from dmagnet.app import words
from dmagnet.app.answers import DreamAnswer, Galaxy, Progress
from dmagnet.app.downloads import links_of
from dmagnet.app.sessions import Places, Session, Sessions
from dmagnet.app.work import USUAL, Work
from dmagnet.config.dream_config import DreamConfig
from dmagnet.errors import DataError, DmagnetError
from dmagnet.explaining.explanation import Explanation

FRAME_S = 0.15  # between two pictures of a dream: more the eye does not want
NO_ONE = "(none)"
NO_REASON = "Drop a galaxy: its reasons stand here."
NO_DREAM = "Choose layers, then dream."
NO_PAIR = "Drop two galaxies or more, then compare any two of them."
NO_FILES = "Drop a galaxy: its files stand here."

Update = Any  # what gradio shows: a value, an update of a component, or nothing new


class Handlers:
    """What the buttons of the page do."""

    def __init__(
        self, work: Work, sessions: Sessions, places: Places, uploads: Path
    ) -> None:
        self._work, self._sessions = work, sessions
        self._places, self._uploads = places, uploads.resolve()

    def look(self, file: str | None, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Classify what was dropped."""
        yield from self._shown(request, lambda: self._read(file))

    def look_at(self, place: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Classify what the survey shows at a position."""
        yield from self._shown(
            request, lambda: self._work.look_at(str(place)[:200], self._uploads)
        )

    def simulated(self, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Classify a galaxy that is drawn for it."""
        yield from self._shown(request, lambda: self._work.simulated(self._uploads))

    def _read(self, file: str | None) -> Galaxy:
        if not file:
            raise DataError("expected a file, got none; drop an image or a FITS file")
        path = Path(file).resolve()
        if not path.is_relative_to(self._uploads):
            raise DataError("expected a file that was uploaded, got another")
        if not path.is_file():
            raise DataError(f"{path.name}: was forgotten already; drop it again")
        return self._work.look(path, path.name)

    def _shown(
        self, request: gr.Request, look: Callable[[], Galaxy]
    ) -> Iterator[tuple[Any, ...]]:
        """Show a new galaxy: first what it is, then why."""
        session = self._session(request)
        try:
            galaxy = look()
        except DmagnetError as error:
            yield (words.alert(error), *[gr.skip()] * 7, None)
            return
        session.stop.set()  # a dream of the galaxy before would paint over this one
        number = session.add(galaxy)
        choices = [(_label(n, g), n) for n, g in sorted(session.galaxies.items())]
        others = [n for _, n in choices if n != number]
        first = words.answer(galaxy, self._work)
        pair = (
            gr.update(choices=choices, value=others[-1] if others else number),
            gr.update(choices=choices, value=number),
        )
        likeliest = self._work.class_names[int(galaxy.probabilities.argmax())]
        yield (
            first, words.empty("Looking for reasons..."), likeliest, NO_ONE,
            words.empty(NO_DREAM), *pair, self._files(session, number), None,
        )  # fmt: skip
        explanation = self._work.explain(galaxy)
        session.explained[number] = explanation
        yield (
            first, words.why(galaxy, explanation, self._work),
            *[gr.skip()] * 5, self._files(session, number), gr.skip(),
        )  # fmt: skip

    def why(
        self, target: str, against: str, methods: list[str], request: gr.Request
    ) -> tuple[Update, Update]:
        """Explain any class, also against another, by any method."""
        session = self._session(request)
        try:
            number, galaxy = session.galaxy()
            explanation = self._work.explain(
                galaxy,
                methods,
                target=None if target in (NO_ONE, None) else target,
                against=None if against in (NO_ONE, None) else against,
            )
        except DmagnetError as error:
            return words.alert(error), gr.skip()
        session.explained[number] = explanation
        shown = words.why(galaxy, explanation, self._work)
        return shown, self._files(session, number)

    def dream(
        self,
        layers: list[str],
        class_name: str,
        steps: float,
        side: int,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """Dream, and show it as it grows."""
        session = self._session(request)
        stop = session.new_dream()
        names = self._work.class_names
        done: list[DreamAnswer] = []
        try:
            number, galaxy = session.galaxy()
            config = DreamConfig(steps=int(steps))
            known = [name for name in self._work.layers if name in layers]
            layers = known + [name for name in layers if name not in known]
            wanted = None if class_name in (NO_ONE, None) else class_name
            with self._places.turn() as wait:
                while ahead := wait():
                    if stop.is_set():
                        yield self._ended(session, number, done, "Canceled.")
                        return
                    line = f"Waiting: {ahead} dream(s) must end before this one begins."
                    yield (words.dreams(done, names, line=line), *_busy(), gr.skip())
                frames = self._work.dream(
                    galaxy, layers, class_name=wanted, side=int(side), config=config,
                    stop=stop,
                )  # fmt: skip
                shown = 0.0
                for step in frames:
                    if isinstance(step, DreamAnswer):
                        done.append(step)
                    elif time.monotonic() - shown > FRAME_S:
                        yield (_stage(step, done, names), *_busy(), gr.skip())
                        shown = time.monotonic()
        except DmagnetError as error:
            yield (words.alert(error), *_free(), gr.skip())
            return
        line = "Canceled; what was dreamed until then is kept." if stop.is_set() else ""
        yield self._ended(session, number, done, line)

    def _ended(
        self, session: Session, number: int, done: list[DreamAnswer], line: str
    ) -> tuple[Any, ...]:
        """Show what there is, keep it, and let another dream begin."""
        if number in session.galaxies:
            session.dreams[number] = done
        if number != max(session.galaxies, default=0):  # another galaxy is shown by now
            return (gr.skip(), *_free(), gr.skip())
        shown = words.dreams(done, self._work.class_names, line=line)
        return (shown, *_free(), self._files(session, number))

    def cancel(self, request: gr.Request) -> None:
        """End the dream of a page at its next step."""
        self._session(request).stop.set()

    def compare(
        self, first: int | None, second: int | None, request: gr.Request
    ) -> str:
        """Show two galaxies side by side."""
        session = self._session(request)
        if first is None or second is None or first == second:
            return words.empty(NO_PAIR)
        try:
            pair = self._side(session, first), self._side(session, second)
        except DmagnetError as error:
            return words.alert(error)
        return words.compared(*pair, self._work)

    def _side(self, session: Session, wanted: int) -> tuple[str, Galaxy, Explanation]:
        number, galaxy = session.galaxy(int(wanted))
        return _label(number, galaxy), galaxy, self._work.explain(galaxy, USUAL[:1])

    def close(self, request: gr.Request) -> None:
        """Forget a page that was closed or loaded anew."""
        self._sessions.close(request.session_hash or "")

    def _session(self, request: gr.Request) -> Session:
        if not request.session_hash:  # a script without a page: nobody else sees it
            return Session()
        return self._sessions.of(request.session_hash)

    def _files(self, session: Session, number: int) -> str:
        return words.links(links_of(session, self._work, number))


def _label(number: int, galaxy: Galaxy) -> str:
    """Call a galaxy by its number and its name, so that no two are called the same."""
    return f"{number}: {galaxy.item.id[:40]}"


def _stage(step: Progress, done: list[DreamAnswer], names: tuple[str, ...]) -> str:
    line = f"Dreaming {step.target.name}, {step.number + 1} of {step.total}."
    return words.dreams(done, names, now=step, line=line)


def _busy() -> tuple[Update, Update]:
    """Let nobody begin a dream, but cancel it."""
    return gr.update(interactive=False), gr.update(interactive=True)


def _free() -> tuple[Update, Update]:
    return gr.update(interactive=True), gr.update(interactive=False)
