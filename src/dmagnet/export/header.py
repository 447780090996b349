"""What an exported file says about itself: classes, image size, where it came from."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from dmagnet import __version__
from dmagnet.errors import CheckpointError

FORMAT = 1
KEY = "dmagnet"  # of the ONNX metadata, as in our safetensors files
INPUT = "images"
PROBABILITIES, LOGITS = "probabilities", "logits"
_PLACE, _NO_DIGEST = '"digest": "{}"', "0" * 64


@dataclass(frozen=True, kw_only=True)
class Header:
    """What is needed to use an exported network, and to cite it.

    Attributes
    ----------
    class_names : tuple of str
        Name of each output.
    image_size : int
        Side of the images it was trained on, in px.
    field : float
        Share of the 67 arcsec frame that it sees.
    weights_hash : str
        Of the weights it was made from, as `dmagnet.checkpoint` computes it.
    temperature : float
        By what the logits are divided in the graph before the softmax.
    provenance : dict
        What the checkpoint recorded of its training.
    dmagnet : str
        Version that wrote the file.
    """

    class_names: tuple[str, ...]
    image_size: int
    field: float
    weights_hash: str
    temperature: float = 1.0
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    dmagnet: str = __version__

    def to_json(self) -> str:
        """Write it for the metadata of the file.

        Returns
        -------
        str
            JSON in ASCII, with room for the file's digest.
        """
        return json.dumps(
            {"format": FORMAT, **dataclasses.asdict(self), "digest": _NO_DIGEST}
        )


def sealed(content: bytes) -> bytes:
    """Put a file's digest into its header.

    Parameters
    ----------
    content : bytes
        A file with a header from `Header.to_json`.

    Returns
    -------
    bytes
        The same file; a change anywhere in it is noticed by `read_header`.
    """
    return _with_digest(content, _NO_DIGEST, hashlib.sha256(content).hexdigest())


def _with_digest(content: bytes, old: str, new: str) -> bytes:
    return content.replace(_PLACE.format(old).encode(), _PLACE.format(new).encode(), 1)


def read_header(text: str | None, content: bytes, name: str) -> Header:
    """Read what a file says about itself, and check that it is whole.

    Parameters
    ----------
    text : str or None
        Its metadata under `KEY`; None if there is none.
    content : bytes
        The whole file.
    name : str
        For messages.

    Returns
    -------
    Header
        Of a file that is as it was written.

    Raises
    ------
    CheckpointError
        If the file is not of dmagnet, of a newer format, or altered.
    """
    if text is None:
        raise CheckpointError(
            f"{name}: an ONNX file, but not of dmagnet; "
            "expected one that 'dmagnet export' wrote"
        )
    try:
        values = json.loads(text)
        version, digest = int(values.pop("format")), str(values.pop("digest"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(_altered(name)) from error
    if version > FORMAT:
        raise CheckpointError(
            f"{name}: format {version} is newer than this dmagnet {__version__} "
            f"reads ({FORMAT}); update dmagnet"
        )
    blank = _with_digest(content, digest, _NO_DIGEST)
    if hashlib.sha256(blank).hexdigest() != digest:
        raise CheckpointError(_altered(name))
    return Header(class_names=tuple(values.pop("class_names")), **values)


def _altered(name: str) -> str:
    return (
        f"{name}: differs from what 'dmagnet export' wrote; "
        "the file was altered: copy or export it again"
    )
