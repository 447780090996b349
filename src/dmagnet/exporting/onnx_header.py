"""An exported file, checked before anything opens it, and what it says about itself."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from dmagnet import __version__
from dmagnet.config.checks import Between, Checked, from_dict
from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.storage.records import as_written, plain_object

FORMAT = 3  # 1 had no radii, sets or out-of-distribution score; 2 no views
KEY = "dmagnet"  # of the ONNX metadata, as in our safetensors files
INPUT = "images"
PROBABILITIES, LOGITS, OOD = "probabilities", "logits", "ood"
_WRITTEN = "what 'dmagnet export' writes"
_AGAIN = "the file was altered: copy or export it again"
_PLACE, _NO_DIGEST = '"digest": "{}"', "0" * 64

# ONNX is protobuf: fields, each with a number and a kind (protobuf.dev, Encoding); the
# numbers are those of onnx.proto. Message by message, in which field another one lies:
_VALUES = {5: "tensor", 6: "graph", 10: "tensor", 11: "graph"}
INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 14: "entry", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": _VALUES | {22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
DOMAINS = (b"", b"ai.onnx")  # of the operators that every runtime has
MOST_DEEP = 32  # graphs within graphs; an exported network has none


@dataclass(frozen=True, kw_only=True)
class Header(Checked):
    """All that is needed to use an exported network, and to cite it.

    Attributes
    ----------
    class_names, image_size, sides, field, radii, weights_hash, ood_limit
        As of `dmagnet.classifying.Classifier`.
    temperature, thresholds, views
        As of `dmagnet.calibration.Calibration`; the graph divides by the temperature.
    has_ood : bool
        Whether the graph has the output ``ood``.
    calibration, provenance : dict
        What the calibration was fitted on, and what is recorded of the training.
    dmagnet : str
        Version that wrote the file.
    """

    class_names: tuple[str, ...]
    image_size: Annotated[int, Between(64, 4096)]
    field: Annotated[float, Between(0.3, 1)]
    weights_hash: str
    radii: Annotated[float, Between(1, 20)] | None = None
    sides: tuple[int, int] | None = None
    temperature: float = 1.0
    thresholds: tuple[float, float] | None = None
    views: Literal[1, 2, 4, 8] = 1
    has_ood: bool = False
    ood_limit: float | None = None
    calibration: dict[str, Any] = dataclasses.field(default_factory=dict)
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    dmagnet: str = __version__

    def __post_init__(self) -> None:
        """Refuse values out of their range, and two classes of one name."""
        super().__post_init__()
        if len(set(self.class_names)) < max(len(self.class_names), 1):
            raise ConfigError(
                f"class_names: expected different ones, "
                f"got {str(self.class_names)[:60]}"
            )

    def to_json(self) -> str:
        """Return it as the metadata of a file.

        Returns
        -------
        str
            JSON in ASCII, with room for the file's digest.
        """
        return json.dumps(
            {"format": FORMAT, **dataclasses.asdict(self), "digest": _NO_DIGEST}
        )


def sealed(content: bytes) -> bytes:
    """Put a file's digest into its header."""
    return _with_digest(content, _NO_DIGEST, hashlib.sha256(content).hexdigest())


def _with_digest(content: bytes, old: str, new: str) -> bytes:
    return content.replace(_PLACE.format(old).encode(), _PLACE.format(new).encode(), 1)


def read_header(text: str | None, content: bytes, name: str) -> Header:
    """Read what a file says about itself, and check that it is whole."""
    if text is None:
        raise CheckpointError(
            f"{name}: an ONNX file, but not of dmagnet; "
            "expected one that 'dmagnet export' wrote"
        )
    with as_written(name, _WRITTEN, _AGAIN, error=CheckpointError):
        values = plain_object(text)
        version, digest = int(values.pop("format")), str(values.pop("digest"))
    if version != FORMAT:
        told = (
            f"newer than this dmagnet {__version__} reads ({FORMAT}); update dmagnet"
            if version > FORMAT
            else f"of an older dmagnet, expected {FORMAT}; export the network again"
        )
        raise CheckpointError(f"{name}: format {version} is {told}")
    blank = _with_digest(content, digest, _NO_DIGEST)
    if hashlib.sha256(blank).hexdigest() != digest:
        raise CheckpointError(f"{name}: differs from its recorded digest; {_AGAIN}")
    with as_written(name, _WRITTEN, _AGAIN, error=CheckpointError):
        return from_dict(Header, values)


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
        kind, size = tag & 7, {1: 8, 5: 4}.get(tag & 7, len(content) + 1)
        if kind in (0, 2):
            size, at = _number(content, at)
        value: Any = size
        if kind:
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
