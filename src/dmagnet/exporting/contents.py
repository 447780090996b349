"""What an ONNX file holds, looked at before anything opens it; no package needed.

ONNX is protobuf: fields, each with a number and a kind (protobuf.dev, Encoding); the
numbers are those of onnx.proto.
"""

from collections.abc import Iterator
from typing import Any

from dmagnet.errors import CheckpointError

# Message by message, in which field which other one lies.
INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 14: "entry", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        5: "tensor",
        6: "graph",
        10: "tensor",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor", 2: "tensor"},
}
DOMAINS = (b"", b"ai.onnx")  # of the operators that every runtime has
MOST_DEEP = 32  # graphs within graphs; an exported network has none


def metadata_of(content: bytes, name: str) -> dict[str, str]:
    """Read the metadata of a file, and refuse one that needs more than itself."""
    found: dict[str, str] = {}
    try:
        for kind, fields in _messages(memoryview(content), "model"):
            values = dict(fields)
            # Field 13 says where, 14 that a tensor is elsewhere.
            if kind == "tensor" and (13 in values or values.get(14)):
                raise CheckpointError(
                    f"{name}: keeps weights in other files, which are not opened; "
                    "expected one file that 'dmagnet export' wrote"
                )
            domain = {"opset": 1, "node": 7}.get(kind)
            if domain and bytes(values.get(domain, b"")) not in DOMAINS:
                raise CheckpointError(
                    f"{name}: needs operators of {bytes(values[domain])[:40]!r}, which "
                    "are not ONNX's; expected a file that 'dmagnet export' wrote"
                )
            if kind == "entry":
                key, text = (bytes(values.get(n, b"")) for n in (1, 2))
                found[key.decode()] = text.decode()
    except CheckpointError:
        raise
    except (ValueError, IndexError, TypeError) as error:
        raise CheckpointError(
            f"{name}: not a whole ONNX file ({error}); copy or export it again"
        ) from error
    return found


def _messages(
    content: memoryview, kind: str, depth: int = 0
) -> Iterator[tuple[str, list[tuple[int, Any]]]]:
    """Yield a message and those inside it, each with its fields."""
    if depth > MOST_DEEP:
        raise ValueError(f"more than {MOST_DEEP} messages in each other")
    fields = list(_fields(content))
    yield kind, fields
    for number, value in fields:
        if inner := INSIDE.get(kind, {}).get(number):
            yield from _messages(memoryview(value), inner, depth + 1)


def _fields(content: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field: a whole number, or bytes."""
    at = 0
    while at < len(content):
        tag, at = _number(content, at)
        value: Any
        if tag & 7 == 0:
            value, at = _number(content, at)
        else:
            if tag & 7 == 2:
                size, at = _number(content, at)
            else:
                size = {1: 8, 5: 4}.get(tag & 7, len(content) + 1)
            value, at = content[at : at + size], at + size
            if at > len(content):
                raise ValueError(f"{at - len(content)} bytes are missing")
        yield tag >> 3, value


def _number(content: memoryview, at: int) -> tuple[int, int]:
    """Read a whole number, seven bits a byte, and return where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = content[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError("a number of more than ten bytes")
