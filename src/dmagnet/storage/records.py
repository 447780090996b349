"""Records of a verb, read back: whole and as written, or refused in one line."""

import json
import math
import struct
import tokenize
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from dmagnet import __version__
from dmagnet.errors import CheckpointError, ConfigError, DataError, DmagnetError
from dmagnet.storage.disk import beside, open_file, write_whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = dict[str, "NDArray[Any]"]

AGAIN = "make it again, or take it away"
MOST_BYTES = 2**28  # of JSON: the record of 100,000 dreams has a third of that
SHOWN = 48  # characters of a value in one line


@contextmanager
def as_written(
    path: Path | str,
    expected: str,
    advice: str = AGAIN,
    *,
    error: type[DmagnetError] = DataError,
) -> Iterator[None]:
    """Refuse in one line a record that is not as it was written."""
    try:
        yield
    except (CheckpointError, DataError):
        raise
    except (
        *(OSError, EOFError, BadZipFile, MemoryError, RuntimeError, UnpicklingError),
        *(struct.error, zlib.error, tokenize.TokenError, SyntaxError),
        *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError),
    ) as problem:
        raise error(
            f"{path}: expected {expected}, got {_in_words(problem)}; {advice}"
        ) from problem


def _in_words(problem: Exception) -> str:
    if isinstance(problem, FileNotFoundError):
        return "nothing"
    if isinstance(problem, OSError):
        return problem.strerror or str(problem)
    if isinstance(problem, ConfigError):  # of `dmagnet.config.from_dict`
        return f"others ({problem})"
    if isinstance(problem, KeyError):
        return f"none with {problem}"
    if isinstance(problem, RecursionError | MemoryError):
        return "more than fits into memory"
    return " ".join(str(problem).split())[:160]


def read_json(
    path: Path,
    expected: str,
    advice: str = AGAIN,
    *,
    error: type[DmagnetError] = DataError,
) -> dict[str, Any]:
    """Read a record in JSON."""
    with as_written(path, expected, advice, error=error), open_file(path) as file:
        content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES / 1e6:.0f} MB")
        return plain_object(content)


@contextmanager
def json_record(
    path: Path, expected: str, advice: str = AGAIN
) -> Iterator[dict[str, Any]]:
    """Read a record in JSON, and name it too where what it holds is found wanting."""
    with as_written(path, expected, advice):
        yield read_json(path, expected, advice)


def differences(old: Any, new: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Walk through nested settings: the name of each that differs, before and now."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            inner = f"{name}.{key}" if name else key
            yield from differences(old.get(key), new.get(key), inner)
    elif old != new:
        yield name, old, new


def stamp() -> dict[str, str]:
    """Return which version made something, and when."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"version": __version__, "date": now}


def write_json(path: Path, record: dict[str, Any]) -> None:
    """Write a record in JSON, whole or not at all."""
    write_whole(path, f"{json.dumps(record, indent=1, allow_nan=False)}\n".encode())


def plain_json(value: Any, digits: int | None = None) -> Any:
    """Turn values into those of JSON, at any depth; null for what is not finite."""
    if hasattr(value, "tolist"):  # of NumPy
        value = value.tolist()
    if isinstance(value, dict):
        return {name: plain_json(entry, digits) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(entry, digits) for entry in value]
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    return value if digits is None else round(value, digits)


def plain_object(text: str | bytes) -> dict[str, Any]:
    """Read an object of JSON."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise TypeError(f"a {type(values).__name__}, no object")
    # Half a pair of surrogates is JSON and is text in Python, but never a file's.
    json.dumps(values, ensure_ascii=False).encode()
    return values


def write_arrays(
    path: Path, arrays: Mapping[str, Any], is_ours: Callable[[Path], bool] | None = None
) -> None:
    """Write named arrays, whole or not at all; what may be replaced, as `beside`."""
    import numpy as np

    with beside(path, is_ours) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def read_arrays(path: Path, expected: str, advice: str = AGAIN) -> Arrays:
    """Read named arrays."""
    import numpy as np  # `--help` needs none

    with (
        as_written(path, expected, advice),
        open_file(path) as raw,
        np.load(raw, allow_pickle=False) as file,
    ):
        return dict(file)


def brief(record: Any) -> str:
    """Write a record that holds arrays in one line, by their types and shapes."""
    values = ((f.name, getattr(record, f.name)) for f in fields(record) if f.repr)
    told = ", ".join(f"{name}={_in_short(value)}" for name, value in values)
    return f"{type(record).__name__}({told})"


def _in_short(value: Any) -> str:
    if getattr(value, "shape", ()) and hasattr(value, "dtype"):
        return f"<{value.dtype} {tuple(value.shape)}>"
    if is_dataclass(value):
        return repr(value)
    if isinstance(value, dict):
        told = ", ".join(f"{name}: {_in_short(one)}" for name, one in value.items())
        text = f"{{{told}}}"
    else:
        text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."
