"""What an exported file says about itself: classes, image size, where it came from."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from dmagnet import __version__
from dmagnet.config.checks import check_range, from_dict
from dmagnet.errors import CheckpointError, ConfigError
from dmagnet.storage.records import as_written, plain_object

FORMAT = 3  # 1 had no radii, sets or out-of-distribution score; 2 no views
KEY = "dmagnet"  # of the ONNX metadata, as in our safetensors files
INPUT = "images"
PROBABILITIES, LOGITS, OOD = "probabilities", "logits", "ood"
_WRITTEN = "what 'dmagnet export' writes"
_AGAIN = "the file was altered: copy or export it again"
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
    radii : float or None
        Side of the images in isophotal radii, where all galaxies are seen at one size.
    weights_hash : str
        Of the weights it was made from, as `dmagnet.network.checkpoint` computes it.
    temperature : float
        By what the logits are divided in the graph before the softmax.
    thresholds : (float, float) or None
        Least probability of a class in the sets of 90 and 95 %.
    views : {1, 8}
        Over how many views answers are averaged unless somebody asks otherwise.
    has_ood : bool
        Whether the graph has the output ``ood``.
    ood_limit : float or None
        Score above which a galaxy is unlike those of the training; None without one.
    calibration : dict
        What the calibration was fitted on.
    provenance : dict
        What the checkpoint recorded of its training.
    dmagnet : str
        Version that wrote the file.
    """

    class_names: tuple[str, ...]
    image_size: int
    field: float
    weights_hash: str
    radii: float | None = None
    temperature: float = 1.0
    thresholds: tuple[float, float] | None = None
    views: int = 1
    has_ood: bool = False
    ood_limit: float | None = None
    calibration: dict[str, Any] = dataclasses.field(default_factory=dict)
    provenance: dict[str, Any] = dataclasses.field(default_factory=dict)
    dmagnet: str = __version__

    def __post_init__(self) -> None:
        """Refuse what no network can be used with.

        Raises
        ------
        ConfigError
            If a value is out of its range, or two classes have one name.
        """
        check_range(self, "image_size", 64, 4096)
        check_range(self, "field", 0.3, 1)
        if self.radii is not None:
            check_range(self, "radii", 1, 20)
        if len(set(self.class_names)) < max(len(self.class_names), 1):
            raise ConfigError(
                f"class_names: expected different ones, "
                f"got {str(self.class_names)[:60]}"
            )

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
    if version > FORMAT:
        raise CheckpointError(
            f"{name}: format {version} is newer than this dmagnet {__version__} "
            f"reads ({FORMAT}); update dmagnet"
        )
    if version < FORMAT:
        raise CheckpointError(
            f"{name}: format {version} is of an older dmagnet, expected {FORMAT}; "
            "export the network again"
        )
    blank = _with_digest(content, digest, _NO_DIGEST)
    if hashlib.sha256(blank).hexdigest() != digest:
        raise CheckpointError(f"{name}: differs from its recorded digest; {_AGAIN}")
    with as_written(name, _WRITTEN, _AGAIN, error=CheckpointError):
        return from_dict(Header, values)
