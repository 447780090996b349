"""A click, and what follows: ask for an answer, and show it or say what is wrong."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from dmagnet.app import words
from dmagnet.app.answers import DreamAnswer, Galaxy, Progress
from dmagnet.app.downloads import links_of
from dmagnet.app.sessions import Places, Session, Sessions
from dmagnet.app.words import NO_ONE
from dmagnet.app.work import ORDER, USUAL, Work
from dmagnet.classes import CLASS_NAMES
from dmagnet.config.dream_config import DreamConfig
from dmagnet.errors import DataError, DmagnetError
from dmagnet.explaining.explanation import Explanation
from dmagnet.pictures.inputs.item import Item

FRAME_S = 0.15  # between two pictures of a dream: more the eye does not want

Update = Any  # what gradio shows: a value, an update of a component, or nothing new


class Handlers:
    """What the buttons of the page do."""

    def __init__(
        self, work: Work, sessions: Sessions, places: Places, uploads: Path
    ) -> None:
        self._work, self._sessions = work, sessions
        self._places, self._uploads = places, uploads.resolve()

    def look(
        self, files: list[str] | None, request: gr.Request
    ) -> Iterator[tuple[Any, ...]]:
        """Classify what was dropped: images, zips of them, tables of positions."""
        yield from self._shown(request, lambda _: self._given(files))

    def look_at(self, place: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Classify what the survey shows at a position."""
        yield from self._shown(request, lambda _: [self._work.place(str(place)[:200])])

    def simulated(
        self, request: gr.Request, name: str = ""
    ) -> Iterator[tuple[Any, ...]]:
        """Classify a galaxy that is drawn for it, of this class, or of any."""

        def _drawn(session: Session) -> list[Item]:
            index = min(ORDER, key=session.drawn.__getitem__)
            if name in CLASS_NAMES:
                index = CLASS_NAMES.index(name)
            session.drawn[index] += 1
            number = session.drawn[index] - 1
            return [self._work.simulated(self._uploads, index, number)]

        yield from self._shown(request, _drawn)

    def show(self, number: float, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Show one of the galaxies again."""
        session = self._session(request)
        try:
            session.chosen, _ = session.galaxy(int(number or 0))
        except DmagnetError as error:
            yield _alone(words.alert(error))
            return
        yield from self._presented(session, gr.skip())

    def _given(self, files: list[str] | None) -> list[Item]:
        if not files:
            raise DataError("expected a file, got none; drop an image or a FITS file")
        held: list[Item] = []
        for path in (Path(file).resolve() for file in files):
            if not path.is_relative_to(self._uploads):
                raise DataError("expected a file that was uploaded, got another")
            if not path.is_file():
                raise DataError(f"{path.name}: was forgotten already; drop it again")
            held += self._work.held(path)
        return held

    def _shown(
        self, request: gr.Request, items: Callable[[Session], list[Item]]
    ) -> Iterator[tuple[Any, ...]]:
        """Read new galaxies, and show the first: what it is, then why."""
        session = self._session(request)
        try:
            listed = items(session)
        except DmagnetError as error:
            yield _alone(words.alert(error))
            return
        session.stop.set()  # a dream of the galaxy before would paint over this one
        most, came, lost = session.most, list[int](), list[str]()
        table = partial(words.galaxies, session.galaxies, self._work)
        for done, item in enumerate(listed[:most]):
            if done and self._sessions.by_token(session.token) is not session:
                return  # nobody looks any more
            _keep(listed[done:])
            try:
                came.append(session.add(self._work.look(item, self._uploads)))
            except DmagnetError as error:
                lost.append(str(error))
            if len(listed) > 1:
                line = f"{done + 1} of {min(most, len(listed))} read"
                yield _alone(gr.skip(), table(lost, line))
        if len(listed) > most:
            lost.append(
                f"only the first {most} were read; dmagnet classify takes any number"
            )
        if not came:
            alone = len(lost) == 1
            told = lost[0] if alone else f"none of {len(lost)} inputs could be read"
            yield _alone(words.alert(told), gr.skip() if alone else table(lost))
            return
        session.chosen = came[0]
        several = len(session.galaxies) > 1 or lost
        yield from self._presented(session, table(lost) if several else "")

    def _presented(self, session: Session, table: Any) -> Iterator[tuple[Any, ...]]:
        """Show the galaxy that was chosen."""
        number, galaxy = session.galaxy()
        choices = [(_label(n, g), n) for n, g in sorted(session.galaxies.items())]
        others = [n for _, n in choices if n != number]
        first = words.answer(galaxy, self._work)
        pair = (
            gr.update(choices=choices, value=others[-1] if others else number),
            gr.update(choices=choices, value=number),
        )
        names = self._work.class_names
        dreamed = session.dreams.get(number)
        stage = words.dreams(dreamed, names) if dreamed else words.empty(words.NO_DREAM)
        yield (
            first, words.empty("Looking for reasons..."),
            names[int(galaxy.probabilities.argmax())], NO_ONE, stage, *pair,
            self._files(session, number), None, table,
        )  # fmt: skip
        explanation = self._work.explain(galaxy)
        session.explained[number] = explanation
        yield (
            first, words.why(galaxy, explanation, self._work),
            *[gr.skip()] * 5, self._files(session, number), *[gr.skip()] * 2,
        )  # fmt: skip

    def why(
        self, target: str, against: str, methods: list[str], request: gr.Request
    ) -> tuple[Update, Update]:
        """Explain any class, also against another, by any method."""
        session = self._session(request)
        if not session.galaxies:
            return words.empty(words.NO_REASON), gr.skip()
        try:
            number, galaxy = session.galaxy()
            explanation = self._work.explain(
                galaxy, methods, target=_named(target), against=_named(against)
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
            with self._places.turn() as wait:
                while ahead := wait():
                    if stop.is_set():
                        yield self._ended(session, number, done, "Canceled.")
                        return
                    line = f"Waiting: {ahead} dream(s) must end before this one begins."
                    yield (words.dreams(done, names, line=line), *_busy(), gr.skip())
                frames = self._work.dream(
                    galaxy, layers, class_name=_named(class_name), side=int(side),
                    config=config, stop=stop,
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
        if number != session.chosen:  # another galaxy is shown by now
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
            return words.empty(words.NO_PAIR)
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


def _named(choice: str | None) -> str | None:
    """Read the choice of a class, or of none."""
    return None if choice == NO_ONE else choice


def _label(number: int, galaxy: Galaxy) -> str:
    """Call a galaxy by its number and its name, so that no two are called the same."""
    return f"{number}: {galaxy.item.id[:40]}"


def _stage(step: Progress, done: list[DreamAnswer], names: tuple[str, ...]) -> str:
    line = f"Dreaming {step.target.name}, {step.number + 1} of {step.total}."
    return words.dreams(done, names, now=step, line=line)


def _keep(items: list[Item]) -> None:
    """Let the uploads that are still to be read stay longer."""
    for file in {file for item in items for file in item.files}:
        with suppress(OSError):
            os.utime(file)


def _alone(answer: Any, table: Any = None) -> tuple[Any, ...]:
    """Show something in the place of the answer, and leave the rest."""
    return answer, *[gr.skip()] * 7, None, gr.skip() if table is None else table


def _busy() -> tuple[Update, Update]:
    """Let nobody begin a dream, but cancel it."""
    return gr.update(interactive=False), gr.update(interactive=True)


def _free() -> tuple[Update, Update]:
    return gr.update(interactive=True), gr.update(interactive=False)
