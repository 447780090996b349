"""The knobs of the page in the browser: where it listens, and what it refuses."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal

from dmagnet.config.checks import Between, Checked
from dmagnet.config.classify_config import CutoutConfig


@dataclass(frozen=True, kw_only=True)
class AppConfig(Checked):
    """Where the page listens, and how much it lets people do at a time.

    Attributes
    ----------
    host : str
        Address to listen on; 0.0.0.0 lets other machines in.
    port : int
        Port to listen on; 0 takes a free one.
    max_upload_mb : float
        Largest file that is taken, in MB.
    max_dreams : int
        Dreams at a time, of all people together.
    max_waiting : int
        Dreams that may wait for their turn.
    max_galaxies : int
        Galaxies that one page reads at a time, and keeps; the oldest are forgotten.
    max_sessions : int
        Open pages whose galaxies are kept; the oldest are forgotten first.
    per_second : float
        Questions a second that one address may ask for long.
    burst : int
        Questions it may ask at once.
    keep_s : float
        Seconds after which an uploaded file is gone, read or not.
    views : Literal[1, 2, 4, 8] | None
        Flips and quarter turns to average over; if not given, as the weights were
        calibrated.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Between(0, 65_535)] = 7860
    max_upload_mb: Annotated[float, Between(0.01, 100_000)] = 64.0
    max_dreams: Annotated[int, Between(1, 1000)] = 2
    max_waiting: Annotated[int, Between(0, 1000)] = 8
    max_galaxies: Annotated[int, Between(1, 10_000)] = 40
    max_sessions: Annotated[int, Between(1, 100_000)] = 64
    per_second: Annotated[float, Between(0.1, 100_000)] = 10.0
    burst: Annotated[int, Between(1, 1_000_000)] = 60
    keep_s: Annotated[float, Between(1, 86_400)] = 60.0
    views: Literal[1, 2, 4, 8] | None = None
    cutout: CutoutConfig = dataclasses.field(
        default_factory=lambda: CutoutConfig(retries=1, timeout=20.0)
    )

    @property
    def max_upload_bytes(self) -> int:
        """Return the size of the largest file that is taken.

        Returns
        -------
        int
            Bytes.
        """
        return round(self.max_upload_mb * 1e6)
