"""The knobs of reading inputs of any form, and of classifying many."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from dmagnet.config.checks import Between, Checked
from dmagnet.config.dream_config import DreamConfig
from dmagnet.errors import ConfigError

DEFAULT = "s"  # the bundled weights, unless others are named
SERVICE = ("service",)  # where images of positions come from, unless tiles are named


Method = Literal[
    "evidence", "needed", "lam", "scales", "integrated_gradients", "grad_cam",
    "occlusion", "smoothgrad",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ColumnsConfig(Checked):
    """What the columns of a table are called, where its names do not say.

    Attributes
    ----------
    ra : str
        Column of the right ascension or, in another frame, the longitude; needs --dec.
    dec : str
        Column of the declination, or of the latitude.
    path : str
        Column of the images: their paths, or the images themselves.
    label : str
        Column of the classes, for verbs that read labels.
    id : str
        Column that names the rows; id, name, objid... if not given.
    """

    ra: str = ""
    dec: str = ""
    path: str = ""
    label: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        """Refuse half a position."""
        super().__post_init__()
        if bool(self.ra) != bool(self.dec):
            got = "--ra" if self.ra else "--dec"
            raise ConfigError(f"expected both --ra and --dec, or neither; got {got}")
        if self.ra and self.ra == self.dec:
            raise ConfigError(f"--ra, --dec: expected two columns, got {self.ra} twice")


@dataclass(frozen=True, kw_only=True)
class FilesConfig(ColumnsConfig):
    """How image files become pictures, and tables rows.

    Attributes
    ----------
    pixel_scale : float | None
        Arcsec a pixel, for images that do not say; taken as they are if not given.
    bands : str
        Bands of the planes in order, e.g. grz; from the header if not given.
    hdu : str
        Number or name of the FITS extension, or of one for each band (g,r,z); the
        first with an image if not given.
    mask : str
        Number or name of a FITS extension that hides pixels where it is not 0.
    """

    pixel_scale: Annotated[float, Between(1e-4, 3600)] | None = None
    bands: str = ""
    hdu: str = ""
    mask: str = ""


@dataclass(frozen=True, kw_only=True)
class LabelsConfig:
    """How labeled galaxies are read, and what their classes mean.

    Attributes
    ----------
    strict : bool
        Refuse unreadable images instead of leaving them out.
    meanings : Path | None
        JSON that gives each coarse class of the data the finer ones it may be:
        {"barred": ["Barred Spiral"], "edge-on": ["Edge-on without Bulge", "Edge-on
        with Bulge"]}.
    votes : str
        Columns of a table, with commas between them, that hold the volunteers' votes
        for each class, as counts or fractions.
    source : FilesConfig
        How to read image files and tables.
    """

    strict: bool = False
    meanings: Path | None = None
    votes: str = ""
    source: FilesConfig = dataclasses.field(default_factory=FilesConfig)


@dataclass(frozen=True, kw_only=True)
class SourceConfig(FilesConfig):
    """How inputs of any form become pictures.

    Attributes
    ----------
    dataset : str
        Name of the images in an HDF5 file; images if not given.
    """

    dataset: str = ""


@dataclass(frozen=True, kw_only=True)
class CutoutConfig(Checked):
    """Where images of positions come from, and how politely to ask.

    Attributes
    ----------
    tiles : tuple of str
        FITS mosaics or tiles with a WCS, their folders, or globs: each position is cut
        out of those it lies on; service asks the cut-out service.
    url : str
        Address of the service, .fits or .jpg, without what follows ?; the Legacy
        Surveys', or a mirror named by DMAGNET_CUTOUT_URL, if not given.
    layer : str
        Survey layer.
    bands : str
        Bands to ask for; of tiles all, if they have none of these.
    pixel_scale : float
        Arcsec a pixel.
    size : int
        Side, in px; tiles are cut to that angle in their own pixels.
    parallel : int
        Requests under way at a time, 1 to 32.
    per_second : float
        Most requests begun a second.
    retries : int
        Times to ask again for an image.
    wait : float
        Seconds before asking again; they double, up to a minute.
    timeout : float
        Seconds for one whole answer.
    """

    tiles: tuple[str, ...] = SERVICE
    url: str = ""
    layer: str = "ls-dr10"
    bands: str = "grz"
    pixel_scale: Annotated[float, Between(1e-4, 3600)] = 0.262
    size: Annotated[int, Between(8, 3000)] = 256
    parallel: Annotated[int, Between(1, 32)] = 4
    per_second: Annotated[float, Between(0.01, 1000)] = 10.0
    retries: Annotated[int, Between(0, 100)] = 5
    wait: Annotated[float, Between(0, 60)] = 1.0
    timeout: Annotated[float, Between(0.1, 3600)] = 60.0

    def __post_init__(self) -> None:
        """Refuse what is rude or cannot be."""
        super().__post_init__()
        if not self.tiles:
            raise ConfigError("tiles: expected FITS files or service, got none")
        if not self.bands.isalnum():
            raise ConfigError(f"bands: expected letters, e.g. grz, got {self.bands!r}")


@dataclass(frozen=True, kw_only=True)
class ClusterConfig(Checked):
    """What a Ray cluster gives to a run; with the engine ray only.

    Attributes
    ----------
    workers : int | None
        Processes of Ray that classify; as many as have room if not given.
    threads_per_worker : int
        Cores of each of them.
    ray_address : str
        Of a running Ray cluster, host:port or auto; else as RAY_ADDRESS says;
        without, one begins here and ends with the run.
    """

    workers: Annotated[int, Between(1, 100_000)] | None = None
    threads_per_worker: Annotated[int, Between(1, 1024)] = 1
    ray_address: str = ""


@dataclass(frozen=True, kw_only=True)
class ClassifyConfig(Checked):
    """How to classify many inputs.

    Attributes
    ----------
    views : Literal[1, 2, 4, 8] | None
        Flips and quarter turns to average over; if not given, as the weights were
        calibrated.
    image_size : int | None
        Side of what the network sees of each image, in px; as trained if not given.
        Smaller is faster, larger shows more.
    device : Literal["auto", "cpu", "gpu"]
        Where the network runs.
    engine : Literal["local", "ray"]
        This process, or a Ray cluster.
    overwrite : bool
        Replace a table of that name, once the new one is whole.
    strict : bool
        Stop at the first input that cannot be read.
    cache : Path | None
        Folder of the cut-outs; the user's cache if not given.
    batch_size : int
        Images the network sees at a time.
    threads : int | None
        Threads that read and decode; one per core if not given.
    chunk_size : int
        Inputs a chunk: what a killed run may have to do again.
    embeddings : bool
        Add a column with each galaxy's features, a vector of a few hundred numbers.
    """

    views: Literal[1, 2, 4, 8] | None = None
    image_size: Annotated[int, Between(64, 4096)] | None = None
    device: Literal["auto", "cpu", "gpu"] = "auto"
    engine: Literal["local", "ray"] = "local"
    overwrite: bool = False
    strict: bool = False
    cache: Path | None = None
    batch_size: Annotated[int, Between(1, 65_536)] = 32
    threads: Annotated[int, Between(1, 1024)] | None = None
    chunk_size: Annotated[int, Between(1, 1_000_000)] = 256
    embeddings: bool = False
    source: SourceConfig = dataclasses.field(default_factory=SourceConfig)
    cutout: CutoutConfig = dataclasses.field(default_factory=CutoutConfig)
    cluster: ClusterConfig = dataclasses.field(default_factory=ClusterConfig)


@dataclass(frozen=True, kw_only=True)
class ExplainConfig(Checked):
    """What to explain of galaxies, and how to read them.

    Attributes
    ----------
    methods : tuple of str
        How: evidence adds up to the score, needed searches what the class cannot do
        without; the last four need captum.
    target : str or int, optional
        Class to explain, by name or number; the likeliest if not given.
    against : str or int, optional
        Explain why that class rather than this.
    cache : Path, optional
        Folder of the cut-outs; the user's cache if not given.
    source : SourceConfig
        What the inputs do not say themselves.
    cutout : CutoutConfig
        Where images of positions come from.
    """

    methods: tuple[Method, ...] = ("evidence", "lam")
    target: str | int | None = None
    against: str | int | None = None
    cache: Path | None = None
    source: SourceConfig = dataclasses.field(default_factory=SourceConfig)
    cutout: CutoutConfig = dataclasses.field(default_factory=CutoutConfig)


@dataclass(frozen=True, kw_only=True)
class CuttingConfig(Checked):
    """How positions become a folder of cut-outs.

    Attributes
    ----------
    format : Literal["fits", "jpeg"]
        Fluxes of all bands with their WCS, or the picture that the networks see, with
        the same header as its comment.
    cache : Path | None
        Folder of what the service sent; the user's cache if not given.
    source : SourceConfig
        What table and tiles do not say themselves.
    cutout : CutoutConfig
        Where the images come from, and how large they are.
    """

    format: Literal["fits", "jpeg"] = "fits"
    cache: Path | None = None
    source: SourceConfig = dataclasses.field(default_factory=SourceConfig)
    cutout: CutoutConfig = dataclasses.field(default_factory=CutoutConfig)


@dataclass(frozen=True, kw_only=True)
class PageConfig(Checked):
    """What a page of a galaxy shows.

    Attributes
    ----------
    reference : Path, optional
        Labeled galaxies to compare with; simulated ones, drawn once into the user's
        cache, if not given.
    layers : tuple of str
        Layers to dream; none for no dreams.
    compare : bool
        Look for galaxies that are alike.
    classical : bool
        Measure classical morphology; statmorph's numbers come with dmagnet[astro].
    cache : Path, optional
        Folder for what is kept of the reference and for cut-outs; the user's cache if
        not given.
    dream : DreamConfig
        How to dream.
    source : SourceConfig
        What the inputs do not say themselves.
    cutout : CutoutConfig
        Where images of positions come from.
    """

    reference: Path | None = None
    layers: tuple[str, ...] = ("stage2", "stage4", "lam")
    compare: bool = True
    classical: bool = True
    cache: Path | None = None
    dream: DreamConfig = dataclasses.field(default_factory=DreamConfig)
    source: SourceConfig = dataclasses.field(default_factory=SourceConfig)
    cutout: CutoutConfig = dataclasses.field(default_factory=CutoutConfig)
