"""Fetch Galaxy10 DECaLS: 2.54 GB over lines that break."""

import shutil
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import httpx2
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from dmagnet.errors import DataError
from dmagnet.storage.disk import (
    PART,
    claimed,
    data_folder,
    file_hash,
    refusals_of_the_disk,
)

# Leung & Bovy, doi 10.5281/zenodo.10845026; the hash is the one astroNN checks.
GALAXY10_URL = "https://zenodo.org/records/10845026/files/Galaxy10_DECals.h5"
GALAXY10_MIRRORS = (
    "https://www.astro.utoronto.ca/~hleung/shared/Galaxy10/Galaxy10_DECals.h5",
)
GALAXY10_SHA256 = "19aefc477c41bb7f77ff07599a6b82a038dc042f889a111b0d4d98bb755c1571"

TIMEOUT_S = 30.0  # without a byte
LONGEST_WAIT_S = 60.0
BLOCK_BYTES = 2**16  # the most that a cut can lose
_WORTH_A_RETRY = (408, 425, 429)  # of the client errors; and all server errors


def fetch(
    folder: str | Path | None = None,
    *,
    url: str = GALAXY10_URL,
    mirrors: tuple[str, ...] = GALAXY10_MIRRORS,
    sha256: str = GALAXY10_SHA256,
    progress: bool = True,
    retries: int = 5,
    wait_s: float = 1.0,
) -> Path:
    """Download a file once, resuming after a cut, and check it before naming it.

    Parameters
    ----------
    folder : path or None
        Where to keep it; None takes `data_folder`.
    url : str
        Source; its last part is the name of the file.
    mirrors : tuple of str
        Tried in turn when the source fails.
    sha256 : str
        What the whole file must hash to.
    progress : bool
        Draw a progress bar on standard error.
    retries : int
        New attempts at each source after the first.
    wait_s : float
        Pause before the first of them; it doubles every time, up to a minute.

    Returns
    -------
    Path
        The file; without any connection if it is there already with this hash.

    Raises
    ------
    DataError
        If no source gives the file, or it cannot be written. What has come so far
        stays in a hidden file, and the next call goes on from there.
    """
    folder = Path(folder) if folder else data_folder()
    name = PurePosixPath(urlsplit(url).path).name
    work = folder / f".{name}{PART}"  # the partial file, its version, and a lock
    part = work / "file"
    failures = []
    client = _client()
    with client, claimed(work), refusals_of_the_disk(folder):
        if (folder / name).exists():
            if file_hash(folder / name) == sha256.lower():
                shutil.rmtree(work, ignore_errors=True)
                return folder / name
            raise DataError(
                f"{folder / name}: expected sha256 {sha256.lower()[:12]}..., got "
                "another or a damaged file, which is left alone; move it away"
            )
        download = partial(
            _download, client, part, progress=progress, retries=retries, wait_s=wait_s
        )
        for source in (url, *mirrors):
            try:
                if _is_retrieved(source, part, sha256.lower(), download):
                    part.replace(folder / name)
                    shutil.rmtree(work, ignore_errors=True)
                    return folder / name
                failures.append(f"{urlsplit(source).netloc}: another file (sha256)")
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                failures.append(f"{urlsplit(source).netloc}: {_in_short(error)}")
        if not part.exists():
            shutil.rmtree(work, ignore_errors=True)
    kept = f"; {part.stat().st_size / 1e6:.0f} MB are kept" if part.exists() else ""
    raise DataError(
        f"{name}: expected a download, got {'; '.join(failures)}{kept}; check the "
        f"connection and run again, or put the file into {folder} yourself"
    )


def _client() -> httpx2.Client:
    """Open what asks; the environment may name proxies and certificates."""
    try:
        return httpx2.Client(timeout=TIMEOUT_S, follow_redirects=True)
    except (ImportError, OSError, ValueError) as error:
        raise DataError(
            "fetch: expected proxies and certificates of the environment that can be "
            f"used, got {error}; see ALL_PROXY, HTTPS_PROXY and SSL_CERT_FILE"
        ) from error


def _is_retrieved(
    url: str, part: Path, sha256: str, download: Callable[[str], None]
) -> bool:
    """Download and check; a spoiled partial file costs a fresh start."""
    resumed = part.exists()
    download(url)
    if file_hash(part) == sha256:
        return True
    part.unlink()
    _tag_of(part).unlink(missing_ok=True)
    return resumed and _is_retrieved(url, part, sha256, download)


def _in_short(error: Exception) -> str:
    if isinstance(error, httpx2.HTTPStatusError):
        return f"status {error.response.status_code}"
    timed_out = isinstance(error, httpx2.TimeoutException)
    return "no answer in time" if timed_out else "no connection"


def _download(
    client: httpx2.Client,
    part: Path,
    url: str,
    *,
    progress: bool,
    retries: int,
    wait_s: float,
) -> None:
    """Bring a partial file to its end."""
    console = Console(stderr=True, quiet=not progress)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        bar.add_task("", total=None)  # one for all attempts
        for attempt in range(retries + 1):
            try:
                _continue(client, url, part, bar)
                return
            except httpx2.HTTPError as error:
                if attempt == retries or not _may_pass(error):
                    raise
                time.sleep(min(wait_s * 2**attempt, LONGEST_WAIT_S))


def _tag_of(part: Path) -> Path:
    """Where the version of the partial file is noted, for If-Range."""
    return part.with_name(part.name + ".etag")


def _continue(client: httpx2.Client, url: str, part: Path, bar: Progress) -> None:
    """Ask for what is missing, append it, and refuse an answer that was cut."""
    noted = _tag_of(part)
    have = part.stat().st_size if part.exists() else 0
    # a compressed answer could not be appended
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        told = noted.read_text("utf-8") if noted.exists() else ""
        known_url, _, tag = told.partition("\n")
        if known_url == url and tag:
            headers["If-Range"] = tag
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # nothing is missing, or the hash will tell
        answer.raise_for_status()
        first, total = _span(answer)
        if first != have:  # the server starts from the beginning
            have = 0
        tag = answer.headers.get("ETag", "")
        tag = answer.headers.get("Last-Modified", "") if tag[:2] == "W/" else tag
        noted.write_text(f"{url}\n{tag}", "utf-8")
        task = bar.task_ids[0]
        bar.update(task, total=total, completed=have)
        with part.open("ab" if have else "wb") as out:
            for block in answer.iter_raw(BLOCK_BYTES):
                out.write(block)
                bar.advance(task, len(block))
            size = out.tell()
    if total is not None and size != total:
        raise httpx2.ReadError(f"cut after {size} of {total} bytes")


def _may_pass(error: httpx2.HTTPError) -> bool:
    """Return whether the same request may succeed a little later."""
    if not isinstance(error, httpx2.HTTPStatusError):
        cut = isinstance(error, httpx2.TransportError)
        return cut and not isinstance(error, httpx2.UnsupportedProtocol)
    status = error.response.status_code
    return status >= 500 or status in _WORTH_A_RETRY


def _span(answer: httpx2.Response) -> tuple[int, int | None]:
    """Return the answer's first byte in the file, and the file's size if it tells."""
    if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
        size = answer.headers.get("Content-Length", "")
        return 0, int(size) if size.isdigit() else None
    told = answer.headers.get("Content-Range", "").removeprefix("bytes ")
    first, size = told.partition("-")[0], told.rpartition("/")[2]
    return int(first) if first.isdigit() else 0, int(size) if size.isdigit() else None
