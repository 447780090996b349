"""The page, listening: the network loaded once, every limit in front of it."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmagnet.app.limits import Gate
from dmagnet.app.sessions import Places, Sessions
from dmagnet.app.uploads import sweep, uploads_folder
from dmagnet.classifying.local import Device
from dmagnet.config.app_config import AppConfig
from dmagnet.config.classify_config import DEFAULT
from dmagnet.errors import ConfigError
from dmagnet.storage.environment import environment

if TYPE_CHECKING:
    from dmagnet.app.work import Work

SWEEP_S = 5.0  # between two looks for uploads that are old enough to go
GOODBYE_S = 3  # seconds for open connections when the page ends
CONNECTIONS = 512  # open at a time; those beyond are told to come again
# The only way to tell gradio where uploads go, and to be quiet; it reads the first
# whenever a file comes.
FOLDER, QUIET = "GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"


@dataclass(eq=False)
class Server:
    """A page that is being served.

    Attributes
    ----------
    url : str
        Where it is.
    sessions : Sessions
        The open pages.
    uploads : Path
        Folder of what people uploaded; it goes when the server does.
    """

    url: str
    sessions: Sessions
    uploads: Path
    _thread: threading.Thread = field(repr=False)

    def wait(self) -> None:
        """Serve until the server ends; Ctrl-C interrupts the wait."""
        while self._thread.is_alive():
            self._thread.join(0.5)


@contextmanager
def serving(
    config: AppConfig | None = None,
    *,
    weights: str | Path = DEFAULT,
    device: Device = "auto",
) -> Iterator[Server]:
    """Serve the page in a thread, warm, and leave nothing behind at the end.

    Parameters
    ----------
    config : AppConfig, optional
        Where to listen, and the limits.
    weights : str or Path
        ``s`` or ``xs`` of the package, a .safetensors file or a run folder.
    device : {"auto", "cpu", "gpu"}
        Where the network runs.

    Yields
    ------
    Server
        That answers already. Leaving ends it: dreams stop, files go.

    Raises
    ------
    ConfigError
        If the address is taken, or none of this machine's.
    CheckpointError
        If there are no such weights, or they cannot dream.
    """
    from dmagnet.app.work import Work

    config = config or AppConfig()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listening(config.host, config.port))
        uploads = stack.enter_context(uploads_folder())
        stack.enter_context(environment({FOLDER: str(uploads), QUIET: "False"}))
        work = Work(weights, config, uploads, device=device)
        stack.callback(work.close)
        stack.callback(work.rest, GOODBYE_S)
        work.warm()
        sessions = Sessions(config.max_sessions, config.max_galaxies)
        gate, end = _page(config, work, uploads, sessions)
        running = _running(gate, end, listener, sessions, uploads)
        yield stack.enter_context(running)


def _page(
    config: AppConfig, work: "Work", uploads: Path, sessions: Sessions
) -> tuple[Gate, Callable[[], None]]:
    """Put the page together, with the gate before all; and what ends its streams."""
    import gradio as gr
    from fastapi import FastAPI

    from dmagnet.app.handlers import Handlers
    from dmagnet.app.layout import page_of, questions_of, theme
    from dmagnet.app.words import script, style

    places = Places(config.max_dreams, config.max_waiting)
    handlers = Handlers(work, sessions, places, uploads)

    @contextlib.asynccontextmanager
    async def _sweeping(_app: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(_sweep(uploads, config.keep_s))
        try:
            yield
        finally:
            task.cancel()

    outer = FastAPI(lifespan=_sweeping, docs_url=None, redoc_url=None, openapi_url=None)
    _offer_files(outer, sessions, work)

    async def _mounted() -> Any:  # gradio wants an event loop to make its locks in
        page = page_of(work, handlers, config)
        # gradio takes any file of this machine from a page it did not launch itself.
        page.has_launched = True
        gr.mount_gradio_app(
            outer, page, path="/", server_name=config.host, server_port=config.port,
            footer_links=[], run_history=False, allowed_paths=[], show_error=False,
            max_file_size=config.max_upload_bytes, ssr_mode=False, mcp_server=False,
            enable_monitoring=False, pwa=False, theme=theme(),
            css=style(work), head=script(),
        )  # fmt: skip
        return page

    with ThreadPoolExecutor(1) as pool:  # a notebook has a loop of its own already
        page = pool.submit(asyncio.run, _mounted()).result()
    mount: Any = outer.routes[-1]
    gate = Gate(outer, config, uploads, questions_of(page))
    return gate, mount.app.stop_event.set


def _offer_files(outer: Any, sessions: Sessions, work: Any) -> None:
    """Give the files of a page to those who know its token."""
    from fastapi import Response

    from dmagnet.app.downloads import file_of

    @outer.get("/results/{token}/{name}")  # type: ignore[untyped-decorator]
    def _result(token: str, name: str) -> Response:
        session = sessions.by_token(token)
        found = file_of(session, work, name) if session else None
        if found is None:
            line = "There is no such file, or its page was closed."
            return Response(line, 404, media_type="text/plain")
        headers = {
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "no-store",
        }
        return Response(found[0], media_type=found[1], headers=headers)


async def _sweep(uploads: Path, keep_s: float) -> None:
    """Remove old uploads for as long as the page is there."""
    while True:
        await asyncio.sleep(min(SWEEP_S, keep_s))
        await asyncio.to_thread(sweep, uploads, keep_s)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Take the address before anything slow is done."""
    try:
        kind, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address[:2], family=kind, backlog=512)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port} ({error.strerror or error}); give "
            "another --port (0 takes a free one) or --host"
        ) from None
    with listener:
        yield listener


@contextmanager
def _running(
    app: Any,
    end: Callable[[], None],
    listener: socket.socket,
    sessions: Sessions,
    uploads: Path,
) -> Iterator[Server]:
    """Serve in a thread until the caller is done."""
    import uvicorn

    class _Polite(uvicorn.Server):
        """A server that closes the streams of open pages before it waits."""

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            """End, the open streams first."""
            end()  # pages hold a stream open for as long as they are
            await super().shutdown(sockets)

    settings = uvicorn.Config(
        app, log_level="error", access_log=False, lifespan="on",
        limit_concurrency=CONNECTIONS, timeout_keep_alive=20, server_header=False,
        timeout_graceful_shutdown=GOODBYE_S,
    )  # fmt: skip
    server = _Polite(settings)
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    thread = threading.Thread(
        target=server.run, args=([listener],), name="dmagnet-app", daemon=True
    )
    thread.start()
    known = Server(f"http://{shown}:{port}", sessions, uploads, thread)
    try:
        while not server.started:
            if not thread.is_alive():
                raise ConfigError("the page ended before it began; see above why")
            time.sleep(0.01)
        yield known
    finally:
        sessions.close_all()
        server.should_exit = True
        thread.join(3 * GOODBYE_S)
