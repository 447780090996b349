"""The knobs of reading inputs of any form, and of classifying many."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from typing_extensions import Doc

from dmagnet.config.checks import check_choice, check_range
from dmagnet.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """How inputs of any form become pictures."""

    pixel_scale: Annotated[
        float | None,
        Doc(
            "arcsec a pixel, for images that do not say; taken as they are if not given"
        ),
    ] = None
    bands: Annotated[
        str, Doc("bands of the planes in order, e.g. grz; from the header if not given")
    ] = ""
    hdu: Annotated[
        str,
        Doc(
            "number or name of the FITS extension, or of one for each band (g,r,z); "
            "the first with an image if not given"
        ),
    ] = ""
    mask: Annotated[
        str,
        Doc("number or name of a FITS extension that hides pixels where it is not 0"),
    ] = ""
    dataset: Annotated[
        str, Doc("name of the images in an HDF5 file; images if not given")
    ] = ""
    table_id: Annotated[
        str,
        Doc("column of a table that names its rows; id, name, objid... if not given"),
    ] = ""

    def __post_init__(self) -> None:
        """Refuse what no image has."""
        if self.pixel_scale is not None:
            check_range(self, "pixel_scale", 1e-4, 3600)


@dataclass(frozen=True, kw_only=True)
class CutoutConfig:
    """Where images of positions come from, and how politely to ask."""

    url: Annotated[
        str,
        Doc(
            "address of the service, .fits or .jpg, without what follows ?; the "
            "Legacy Surveys', or a mirror named by DMAGNET_CUTOUT_URL, if not given"
        ),
    ] = ""
    layer: Annotated[str, Doc("survey layer")] = "ls-dr10"
    bands: Annotated[str, Doc("bands to ask for")] = "grz"
    pixel_scale: Annotated[float, Doc("arcsec a pixel")] = 0.262
    size: Annotated[int, Doc("side, in px")] = 256
    parallel: Annotated[int, Doc("requests under way at a time, 1 to 32")] = 4
    per_second: Annotated[float, Doc("most requests begun a second")] = 10.0
    retries: Annotated[int, Doc("times to ask again for an image")] = 5
    wait: Annotated[
        float, Doc("seconds before asking again; they double, up to a minute")
    ] = 1.0
    timeout: Annotated[float, Doc("seconds for one whole answer")] = 60.0

    def __post_init__(self) -> None:
        """Refuse what is rude or cannot be."""
        check_range(self, "pixel_scale", 1e-4, 3600)
        check_range(self, "size", 8, 3000)
        check_range(self, "parallel", 1, 32)
        check_range(self, "per_second", 0.01, 1000)
        check_range(self, "retries", 0, 100)
        check_range(self, "wait", 0, 60)
        check_range(self, "timeout", 0.1, 3600)
        if not self.bands.isalnum():
            raise ConfigError(f"bands: expected letters, e.g. grz, got {self.bands!r}")


@dataclass(frozen=True, kw_only=True)
class ClusterConfig:
    """What a Ray cluster gives to a run; with the engine ray only."""

    workers: Annotated[
        int | None,
        Doc("processes of Ray that classify; as many as have room if not given"),
    ] = None
    threads_per_worker: Annotated[int, Doc("cores of each of them")] = 1
    ray_address: Annotated[
        str,
        Doc(
            "of a running Ray cluster, host:port or auto; else as RAY_ADDRESS says; "
            "without, one begins here and ends with the run"
        ),
    ] = ""

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        if self.workers is not None:
            check_range(self, "workers", 1, 100_000)
        check_range(self, "threads_per_worker", 1, 1024)


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig:
    """How to classify many inputs."""

    chunk_size: Annotated[
        int, Doc("inputs a chunk: what a killed run may have to do again")
    ] = 256
    batch_size: Annotated[int, Doc("images the network sees at a time")] = 32
    views: Annotated[
        int | None,
        Doc(
            "1, or 8 to average over all flips and quarter turns; if not given, as the "
            "weights were calibrated (those of the package: 8)"
        ),
    ] = None
    threads: Annotated[
        int | None, Doc("threads that read and decode; one a core if not given")
    ] = None
    strict: Annotated[bool, Doc("stop at the first input that cannot be read")] = False
    engine: Annotated[
        Literal["local", "ray"], Doc("this process, or a Ray cluster")
    ] = "local"
    device: Annotated[Literal["auto", "cpu", "gpu"], Doc("where the network runs")] = (
        "auto"
    )
    cache: Annotated[
        Path | None, Doc("folder of the cut-outs; the user's cache if not given")
    ] = None
    overwrite: Annotated[
        bool, Doc("replace a table of that name, once the new one is whole")
    ] = False
    source: SourceConfig = dataclasses.field(default_factory=SourceConfig)
    cutout: CutoutConfig = dataclasses.field(default_factory=CutoutConfig)
    cluster: ClusterConfig = dataclasses.field(default_factory=ClusterConfig)

    def __post_init__(self) -> None:
        """Refuse what cannot run."""
        check_choice(self, "engine", ("local", "ray"))
        check_choice(self, "device", ("auto", "cpu", "gpu"))
        check_range(self, "chunk_size", 1, 1_000_000)
        check_range(self, "batch_size", 1, 65_536)
        if self.views not in (None, 1, 8):
            raise ConfigError(f"views: expected 1 or 8, got {self.views}")
        if self.threads is not None:
            check_range(self, "threads", 1, 1024)
