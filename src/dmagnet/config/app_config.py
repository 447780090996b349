"""The knobs of the page in the browser: where it listens, and what it refuses."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated

from typing_extensions import Doc

from dmagnet.config.checks import check_range
from dmagnet.config.classify_config import CutoutConfig
from dmagnet.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class AppConfig:
    """Where the page listens, and how much it lets people do at a time."""

    host: Annotated[
        str, Doc("address to listen on; 0.0.0.0 lets other machines in")
    ] = "127.0.0.1"
    port: Annotated[int, Doc("port to listen on; 0 takes a free one")] = 7860
    max_upload_mb: Annotated[float, Doc("largest file that is taken, in MB")] = 64.0
    max_dreams: Annotated[int, Doc("dreams at a time, of all people together")] = 2
    max_waiting: Annotated[int, Doc("dreams that may wait for their turn")] = 8
    max_sessions: Annotated[
        int, Doc("open pages whose galaxies are kept; the oldest are forgotten first")
    ] = 64
    per_second: Annotated[
        float, Doc("questions a second that one address may ask for long")
    ] = 10.0
    burst: Annotated[int, Doc("questions it may ask at once")] = 60
    keep_s: Annotated[
        float, Doc("seconds after which an uploaded file is gone, read or not")
    ] = 60.0
    views: Annotated[
        int | None,
        Doc(
            "1, or 8 to average over all flips and quarter turns; if not given, as the "
            "weights were calibrated (those of the package: 8)"
        ),
    ] = None
    cutout: CutoutConfig = dataclasses.field(
        default_factory=lambda: CutoutConfig(retries=1, timeout=20.0)
    )

    def __post_init__(self) -> None:
        """Refuse what cannot be served."""
        check_range(self, "port", 0, 65_535)
        check_range(self, "max_upload_mb", 0.01, 100_000)
        check_range(self, "max_dreams", 1, 1000)
        check_range(self, "max_waiting", 0, 1000)
        check_range(self, "max_sessions", 1, 100_000)
        check_range(self, "per_second", 0.1, 100_000)
        check_range(self, "burst", 1, 1_000_000)
        check_range(self, "keep_s", 1, 86_400)
        if self.views not in (None, 1, 8):
            raise ConfigError(f"views: expected 1 or 8, got {self.views}")

    @property
    def max_upload_bytes(self) -> int:
        """Say how large a file may be.

        Returns
        -------
        int
            Bytes.
        """
        return round(self.max_upload_mb * 1e6)
