"""Fetch Galaxy10 DECaLS: 2.54 GB over lines that break."""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import pooch
import requests
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

from dmagnet.errors import DataError
from dmagnet.storage.disk import PART, claimed, data_folder, refusals_of_the_disk

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
_CUT = (
    requests.ConnectionError,
    requests.Timeout,
    requests.exceptions.ChunkedEncodingError,
)


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
    folder = Path(folder) if folder else None
    folder = data_folder() if folder is None else Path(folder)
    name = PurePosixPath(urlsplit(url).path).name
    work = folder / f".{name}{PART}"  # the partial file, its version, and a lock
    part = work / "file"
    failures = []
    with claimed(work), refusals_of_the_disk(folder):
        if (folder / name).exists():
            if pooch.file_hash(str(folder / name)) == sha256.lower():
                shutil.rmtree(work, ignore_errors=True)
                return folder / name
            raise DataError(
                f"{folder / name}: expected sha256 {sha256.lower()[:12]}..., got "
                "another or a damaged file, which is left alone; move it away"
            )
        for source in (url, *mirrors):
            downloader = _Downloader(part, progress, retries, wait_s)
            try:
                if _is_retrieved(source, sha256.lower(), downloader):
                    part.replace(folder / name)
                    shutil.rmtree(work, ignore_errors=True)
                    return folder / name
                failures.append(f"{urlsplit(source).netloc}: another file (sha256)")
            except requests.RequestException as error:
                failures.append(f"{urlsplit(source).netloc}: {_in_short(error)}")
        if not part.exists():
            shutil.rmtree(work, ignore_errors=True)
    kept = f"; {part.stat().st_size / 1e6:.0f} MB are kept" if part.exists() else ""
    raise DataError(
        f"{name}: expected a download, got {'; '.join(failures)}{kept}; check the "
        f"connection and run again, or put the file into {folder} yourself"
    )


def _is_retrieved(url: str, sha256: str, downloader: "_Downloader") -> bool:
    """Download and check; a spoiled partial file costs a fresh start."""
    part = downloader.part
    resumed = part.exists()
    downloader._download(url)
    if pooch.file_hash(str(part)) == sha256:
        return True
    part.unlink()
    downloader._tag.unlink(missing_ok=True)
    return resumed and _is_retrieved(url, sha256, downloader)


def _in_short(error: requests.RequestException) -> str:
    if error.response is not None:
        return f"status {error.response.status_code}"
    timed_out = isinstance(error, requests.Timeout)
    return "no answer in time" if timed_out else "no connection"


@dataclass(frozen=True)
class _Downloader:
    """Keeps a partial file between calls."""

    part: Path
    progress: bool
    retries: int
    wait_s: float

    def _download(self, url: str) -> None:
        """Bring the partial file to its end."""
        console = Console(stderr=True, quiet=not self.progress)
        columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            bar.add_task("", total=None)  # one for all attempts
            for attempt in range(self.retries + 1):
                try:
                    self._continue(url, bar)
                    break
                except requests.RequestException as error:
                    if attempt == self.retries or not _may_pass(error):
                        raise
                    time.sleep(min(self.wait_s * 2**attempt, LONGEST_WAIT_S))

    @property
    def _tag(self) -> Path:
        """Where the version of the partial file is noted, for If-Range."""
        return self.part.with_name(self.part.name + ".etag")

    def _continue(self, url: str, bar: Progress) -> None:
        """Ask for what is missing and append it."""
        have = self.part.stat().st_size if self.part.exists() else 0
        # a compressed answer could not be appended
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            noted = self._tag.read_text("utf-8") if self._tag.exists() else ""
            known_url, _, tag = noted.partition("\n")
            if known_url == url and tag:
                headers["If-Range"] = tag
        with requests.get(
            url, headers=headers, stream=True, timeout=TIMEOUT_S
        ) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                return  # nothing is missing, or the hash will tell
            answer.raise_for_status()
            first, total = _span(answer)
            if first != have:  # the server starts from the beginning
                have = 0
            tag = answer.headers.get("ETag", "")
            tag = answer.headers.get("Last-Modified", "") if tag[:2] == "W/" else tag
            self._tag.write_text(f"{url}\n{tag}", "utf-8")
            self._append(answer, have, total, bar)

    def _append(
        self, answer: requests.Response, have: int, total: int | None, bar: Progress
    ) -> None:
        """Write what comes, and refuse an answer that was cut."""
        task = bar.task_ids[0]
        bar.update(task, total=total, completed=have)
        with self.part.open("ab" if have else "wb") as out:
            for block in answer.iter_content(BLOCK_BYTES):
                out.write(block)
                bar.advance(task, len(block))
            size = out.tell()
        if total is not None and size != total:
            raise requests.ConnectionError(f"cut after {size} of {total} bytes")


def _may_pass(error: requests.RequestException) -> bool:
    """Return whether the same request may succeed a little later."""
    if error.response is None:
        return isinstance(error, _CUT)
    status = error.response.status_code
    return status >= 500 or status in _WORTH_A_RETRY


def _span(answer: requests.Response) -> tuple[int, int | None]:
    """Return the answer's first byte in the file, and the file's size if it tells."""
    if answer.status_code != requests.codes.partial_content:
        size = answer.headers.get("Content-Length", "")
        return 0, int(size) if size.isdigit() else None
    told = answer.headers.get("Content-Range", "").removeprefix("bytes ")
    first, size = told.partition("-")[0], told.rpartition("/")[2]
    return int(first) if first.isdigit() else 0, int(size) if size.isdigit() else None
