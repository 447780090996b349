"""The knobs of dreams, and of what is measured of them."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal

from typing_extensions import Doc

from dmagnet.config.checks import check_choice, check_range
from dmagnet.errors import ConfigError

Normalize = Literal["mean-abs", "std", "laplacian"]
Basis = Literal["pixel", "fourier"]


@dataclass(frozen=True, kw_only=True)
class DreamConfig:
    """How to dream: the knobs of the ascent, the octaves and the jitter."""

    steps: Annotated[int, Doc("steps on each octave, from 0")] = 10
    octaves: Annotated[
        int | None, Doc("scales, coarse to fine; if not given 4, or as many as fit")
    ] = None
    scale: Annotated[float, Doc("ratio of the sides of two octaves, 1.05 to 4")] = 1.4
    step_size: Annotated[
        float, Doc("mean change of a pixel in one step, in units of white")
    ] = 1.5 / 255
    jitter: Annotated[
        float, Doc("largest roll before a step, as a share of the side, 0 to 0.5")
    ] = 0.125
    normalize: Annotated[
        Normalize,
        Doc("how a gradient becomes a step: by mean size, spread, or band by band"),
    ] = "mean-abs"
    basis: Annotated[
        Basis, Doc("steps in pixels, or in waves with the colors of galaxies")
    ] = "pixel"
    decay: Annotated[
        float, Doc("fall of the waves' amplitudes with frequency, 0 to 3")
    ] = 1.0
    tile: Annotated[
        int, Doc("side of tiles for images larger than it, in px; 0 for no tiles")
    ] = 512
    seed: Annotated[int, Doc("seed of everything random, from 0")] = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be dreamed."""
        check_range(self, "steps", 0, 100_000)
        if self.octaves is not None:
            check_range(self, "octaves", 1, 100)
        check_range(self, "scale", 1.05, 4)
        check_range(self, "step_size", 0, 1)
        check_range(self, "jitter", 0, 0.5)
        check_choice(self, "normalize", ("mean-abs", "std", "laplacian"))
        check_choice(self, "basis", ("pixel", "fourier"))
        check_range(self, "decay", 0, 3)
        if self.tile:
            check_range(self, "tile", 64, 65_536)
        check_range(self, "seed", 0, 2**31)


@dataclass(frozen=True, kw_only=True)
class RedreamConfig:
    """How to dream again and again at several resolutions."""

    schedule: Annotated[
        tuple[int, ...],
        Doc(
            "side of each pass, in px; the last is the image's own. If not given: "
            "half, whole, one and a half, whole"
        ),
    ] = ()
    keep: Annotated[
        float, Doc("share of the detail that goes into the next pass, 0 to 1")
    ] = 1.0
    dream: DreamConfig = dataclasses.field(default_factory=DreamConfig)

    def __post_init__(self) -> None:
        """Refuse what cannot be dreamed."""
        check_range(self, "keep", 0, 1)
        for side in self.schedule:
            if not 16 <= side <= 65_536:
                raise ConfigError(f"schedule: expected sides from 16 px, got {side}")


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """How many dreams to measure, and of what."""

    per_class: Annotated[
        int, Doc("galaxies of each class to dream on, or all of a smaller class")
    ] = 20
    seeds: Annotated[
        int, Doc("dreams of each galaxy and layer; as many random networks")
    ] = 8
    layers: Annotated[
        tuple[str, ...],
        Doc(
            "layers in order of depth; if not given the stem, the stages, the middle "
            "of the longest stage, and lam"
        ),
    ] = ()
    chain_galaxies: Annotated[
        int, Doc("galaxies for re-dreams, other sizes and forgetful networks")
    ] = 20
    dream: DreamConfig = dataclasses.field(default_factory=DreamConfig)

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        check_range(self, "per_class", 2, 1_000_000)
        check_range(self, "seeds", 2, 1000)
        check_range(self, "chain_galaxies", 2, 1_000_000)
