"""Checks of questions to the page: one of its functions, files that were uploaded.

The question is written anew from what was checked; gradio reads nothing else.
"""

import json
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

PASSED = ("data", "fn_index", "session_hash", "event_id")
NAME = re.compile(r"[\w-]{1,128}", re.ASCII)  # of a page, of an event
FILE = {"path", "url", "orig_name", "meta"}  # one of these makes it a file
META = {"_type": "gradio.FileData"}
GIVEN = "/gradio_api/file="  # where the page's own script says that an upload is


class Refused(Exception):  # noqa: N818 - an answer to the one who asks
    """A request that is answered in one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status, self.line = status, line


def checked(
    body: bytes, path: str, host: str, uploads: Path, functions: Collection[int]
) -> bytes:
    """Read a question, and write it anew without what nobody needs."""
    try:
        asked = json.loads(body, parse_constant=_no_number)
        if not isinstance(asked, dict):
            raise ValueError
        known = asked.get("fn_index")
        if known is not None and (type(known) is not int or known not in functions):
            raise Refused(404, "There is no such function; see /gradio_api/info.")
        for name in ("session_hash", "event_id"):
            if not isinstance(asked.get(name, ""), str | None):
                raise Refused(400, f"Expected {name} to be a word.")
            if asked.get(name) and not NAME.fullmatch(asked[name]):
                raise Refused(400, f"Expected {name} of letters, digits, - and _.")
        if "/call/v2/" not in path:  # there the names are those of the function's
            asked = {name: asked[name] for name in PASSED if name in asked}
        plain = _plain(asked, lambda file: _is_ours(file, host, uploads))
        return json.dumps(plain).encode()
    except (ValueError, RecursionError):
        raise Refused(400, "Expected a question in JSON.") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are no JSON


def _plain(value: Any, is_ours: Callable[[dict[str, Any]], bool]) -> Any:
    """Leave of each file its path, and refuse any that was not uploaded."""
    if isinstance(value, list):
        return [_plain(each, is_ours) for each in value]
    if not isinstance(value, dict):
        return value
    if FILE.isdisjoint(value):
        return {name: _plain(each, is_ours) for name, each in value.items()}
    if not is_ours(value):
        raise Refused(403, "Only files that were uploaded are read.")
    return {"path": value["path"], "meta": META}


def _is_ours(file: dict[str, Any], host: str, uploads: Path) -> bool:
    """Recognize an upload by its one path, and by its address."""
    path, url, name = (file.get(key) for key in ("path", "url", "orig_name"))
    if not isinstance(path, str) or "\0" in path:
        return False
    if path != str(Path(path).resolve()) or Path(path).parent.parent != uploads:
        return False
    if url:  # the page's script does not quote it, others do
        root, _, at = url.partition(GIVEN) if isinstance(url, str) else ("no", "", "")
        if root not in ("", f"http://{host}", f"https://{host}"):
            return False
        if path not in (at, unquote(at)):
            return False
    if name is not None and not (isinstance(name, str) and not set(name) & set("/\0")):
        return False
    return file.get("meta") in (None, META)
