"""The knobs of dreams, and of what is measured of them."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from dmagnet.config.checks import Between, Checked, check_range, settled
from dmagnet.errors import ConfigError

Normalize = Literal["mean-abs", "std", "laplacian"]
Basis = Literal["fourier", "pixel", "maco", "galaxy"]
FEWEST_LAYERS = 3  # with a first, a middle and a last one
CLIMBING = ("fourier", "pixel")  # bases that climb from a galaxy, octave by octave
READ_BY_MACO = ("basis", "steps", "views", "seed")


@dataclass(frozen=True, kw_only=True)
class DreamConfig(Checked):
    """How to dream: the ascent, the octaves, the views, what holds the image back.

    Attributes
    ----------
    steps : int
        Steps on each octave, from 0.
    octaves : int | None
        Scales, coarse to fine; if not given 4, or as many as fit.
    scale : float
        Ratio of the sides of two octaves, 1.05 to 4.
    basis : Basis
        Climb in waves with the colors of galaxies, or in pixels; or only turn the
        phases of galaxies' waves (MACO); or, without images, in the parameters of
        simulated galaxies.
    step_size : float
        Size of the first step, in units of white: of waves of random sign its RMS, of
        pixels its mean.
    fade : float
        Last step over the first, 0 to 1.
    views : int
        Random views of each image whose gradients are averaged in a step.
    rotate : float
        Views are turned by up to this, in degrees, 0 to 180.
    rescale : float
        Views show more or less of the image, by up to this share, 0 to 0.5.
    shift : float
        Views are shifted by up to this share of half the side, 0 to 0.5.
    flip : bool
        Every other view is a mirror image.
    noise : float
        Standard deviation of the noise added to views, in units of white, 0 to 1.
    jitter : float
        Views are rolled by up to this share of the side, 0 to 0.5.
    strength : float
        RMS of what is added, at most, in units of white; 0 for no limit.
    tv : float
        Weight of the total variation of what is added, against the objective's.
    keep_color : bool
        Change brightness only.
    normalize : Normalize
        How a gradient in pixels becomes a step: by mean size, spread, or band by band.
    decay : float
        Fall of the waves' amplitudes with frequency, 0 to 3.
    tile : int
        Side of tiles for images larger than it, in px; 0 for no tiles.
    seed : int
        Seed of everything random, from 0.
    """

    steps: Annotated[int, Between(0, 100_000)] = 8
    octaves: Annotated[int, Between(1, 100)] | None = None
    scale: Annotated[float, Between(1.05, 4)] = 1.4
    basis: Basis = "fourier"
    step_size: Annotated[float, Between(0, 1)] = 0.02
    fade: Annotated[float, Between(0, 1)] = 0.1
    views: Annotated[int, Between(1, 1024)] = 4
    rotate: Annotated[float, Between(0, 180)] = 180.0
    rescale: Annotated[float, Between(0, 0.5)] = 0.1
    shift: Annotated[float, Between(0, 0.5)] = 0.06
    flip: bool = True
    noise: Annotated[float, Between(0, 1)] = 0.0
    jitter: Annotated[float, Between(0, 0.5)] = 0.0
    # The plain dream adds this much to the 60 real Galaxy10 images (docs/results).
    strength: Annotated[float, Between(0, 1)] = 15 / 255
    tv: Annotated[float, Between(0, 10)] = 0.0
    keep_color: bool = False
    normalize: Normalize = "mean-abs"
    decay: Annotated[float, Between(0, 3)] = 1.0
    tile: int = 512
    seed: Annotated[int, Between(0, 2**31)] = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be dreamed."""
        super().__post_init__()
        if self.tile:  # 0 turns them off
            check_range(self, "tile", 64, 65_536)
        if self.basis == "maco":
            check_range(self, "steps", 1, 100_000)
            for field in dataclasses.fields(self):
                value = getattr(self, field.name)
                if field.name not in READ_BY_MACO and value != field.default:
                    raise ConfigError(
                        f"{field.name}: expected the default, as maco does not read "
                        f"it, got {value}; leave it out, and --plain too"
                    )

    def check_climbs(self) -> None:
        """Refuse a basis that does not climb from a galaxy, octave by octave."""
        if self.basis not in CLIMBING:
            raise ConfigError(
                f"basis: expected {' or '.join(CLIMBING)}, got {self.basis}, which "
                "keeps no galaxy to dream on; use dmagnet dream, or dmagnet.dreaming."
                f"{self.basis}_frames"
            )

    @classmethod
    def plain(cls, **settings: Any) -> "DreamConfig":
        """Return the Deep Dream of Mordvintsev, Olah & Tyka (2015).

        Parameters
        ----------
        **settings
            Fields that shall differ from it.

        Returns
        -------
        DreamConfig
            Ten even steps an octave in pixels along one gradient, rolled at random.
        """
        return settled(cls.plain, cls(**PLAIN), settings)


PLAIN: dict[str, Any] = {
    "steps": 10, "basis": "pixel", "step_size": 1.5 / 255, "fade": 1.0, "views": 1,
    "rotate": 0.0, "rescale": 0.0, "shift": 0.0, "flip": False, "jitter": 0.125,
    "strength": 0.0,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RedreamConfig(Checked):
    """How to dream again and again at several resolutions.

    Attributes
    ----------
    schedule : tuple[int, ...]
        Side of each pass, in px; the last is the image's own. If not given: half,
        whole, one and a half, whole.
    keep : float
        Share of the detail that goes into the next pass, 0 to 1.
    """

    schedule: tuple[int, ...] = ()
    keep: Annotated[float, Between(0, 1)] = 1.0
    dream: DreamConfig = dataclasses.field(default_factory=DreamConfig)

    def __post_init__(self) -> None:
        """Refuse what cannot be dreamed."""
        super().__post_init__()
        for side in self.schedule:
            if not 16 <= side <= 65_536:
                raise ConfigError(f"schedule: expected sides from 16 px, got {side}")
        self.dream.check_climbs()


@dataclass(frozen=True, kw_only=True)
class GalleryConfig(Checked):
    """What to dream, on what, and what to make of it.

    Attributes
    ----------
    layers : tuple of str
        Layers to dream; a wrong name lists the right ones.
    classes : tuple of str
        Classes to dream, by name or number, or all.
    guide : Path, optional
        Let the layers take after this image.
    index : tuple of int
        Rows of .h5 files.
    image_size : int, optional
        Bring the central square of each image to this side, in px; otherwise images
        are dreamed at their own size, or as a network sees them that sees all galaxies
        at one size.
    animate : bool
        Make GIF and MP4 films of the steps.
    zoom : int
        Make also a film of this many frames that zooms into its own dream.
    device : str
        Where to dream: auto, cpu or gpu.
    """

    layers: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    guide: Path | None = None
    index: tuple[int, ...] = ()
    image_size: Annotated[int, Between(16, 16_384)] | None = None
    animate: bool = False
    zoom: Annotated[int, Between(0, 100_000)] = 0
    device: Literal["auto", "cpu", "gpu"] = "auto"


@dataclass(frozen=True, kw_only=True)
class MacoConfig(Checked):
    """How to find phases (`dmagnet.dreaming.maco_frames`).

    Attributes
    ----------
    size : int
        Side of the picture in px, unless the start gives it.
    batch : int
        Pictures at a time, unless the start gives it; each from phases of its own.
    steps : int
        Steps, from 1.
    seed : int
        Of the phases, the crops and the noise.
    crops : int
        Random crops of each picture that the network sees in a step.
    boxes : tuple of float
        Smallest and largest side of a crop, as shares of the picture's shorter side.
        Smaller crops, such as the paper's (0.05, 0.5), show textures and no galaxies.
    view : int, optional
        Side to which crops are resized for the network, in px; half the picture's
        larger side if not given, and no less than 64.
    noise : float
        Largest standard deviation of the noise added to crops, 0 to 1.
    lr : float
        Size of the steps, in radians, to 10.
    """

    size: Annotated[int, Between(16, 65_536)] = 256  # below, there are hardly any waves
    batch: Annotated[int, Between(1, 65_536)] = 1
    steps: Annotated[int, Between(1, 1_000_000)] = 256
    seed: Annotated[int, Between(0, 2**31)] = 0
    crops: Annotated[int, Between(1, 65_536)] = 8
    boxes: tuple[float, float] = (0.5, 1.0)
    view: int | None = None
    noise: Annotated[float, Between(0, 1)] = 0.08
    lr: Annotated[float, Between(1e-9, 10)] = 0.3

    def __post_init__(self) -> None:
        """Refuse boxes that no picture has."""
        super().__post_init__()
        if not 0 < self.boxes[0] <= self.boxes[1] <= 1:
            raise ConfigError(
                f"boxes: expected 0 < smallest <= largest <= 1, got {self.boxes}"
            )


@dataclass(frozen=True, kw_only=True)
class GalaxyConfig(Checked):
    """How to dream galaxies of the simulator (`dmagnet.dreaming.galaxy_frames`).

    Attributes
    ----------
    starts : int
        Galaxies of each kind to start from.
    kinds : tuple of str
        Kinds of galaxies: disc, edge-on, spheroid.
    parameters : tuple of str
        Parameters of the simulator that are free; all if not given.
    steps : int
        Steps, from 0.
    nights : int
        Pictures of each galaxy in a step, each of another night.
    lr : float
        Size of the steps, in logits of a parameter's share of its range, to 10.
    seed : int
        Of the starts, the nights and the turns.
    """

    starts: Annotated[int, Between(1, 1000)] = 8
    kinds: tuple[str, ...] = ("disc", "edge-on", "spheroid")
    parameters: tuple[str, ...] = ()
    steps: Annotated[int, Between(0, 100_000)] = 30
    nights: Annotated[int, Between(1, 64)] = 1
    lr: Annotated[float, Between(1e-6, 10)] = 0.5
    seed: Annotated[int, Between(0, 2**31)] = 0


@dataclass(frozen=True, kw_only=True)
class MeasureConfig(Checked):
    """How many dreams to measure, and of what.

    Attributes
    ----------
    per_class : int
        Galaxies of each class to dream on, or all of a smaller class.
    seeds : int
        Dreams of each galaxy and layer; as many random and shuffled networks.
    layers : tuple[str, ...]
        Layers in order of depth, three or more; if not given the stem, the entrance
        and the blocks of every stage, and lam.
    shuffled_labels : Path, optional
        Weights of a network of the same size that was trained on shuffled labels: one
        more control.
    """

    per_class: Annotated[int, Between(2, 1_000_000)] = 5
    seeds: Annotated[int, Between(2, 1000)] = 2
    layers: tuple[str, ...] = ()
    shuffled_labels: Path | None = None
    dream: DreamConfig = dataclasses.field(default_factory=DreamConfig)

    def __post_init__(self) -> None:
        """Refuse what gives no numbers."""
        super().__post_init__()
        self.dream.check_climbs()
        check_range(self.dream, "steps", 1, 100_000)
        if self.layers and len(self.layers) < FEWEST_LAYERS:
            raise ConfigError(
                f"layers: expected {FEWEST_LAYERS} or more, for a trend with depth, "
                f"got {len(self.layers)}; add some, or leave them out for all"
            )
