"""Every knob on one page: name, type, default, help and limit, written once.

Configurations are frozen dataclasses; flags, JSON and checks follow from their
fields. Presets are functions in `dmagnet.recipes`. No torch in here.
"""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from typing_extensions import Doc

from dmagnet.errors import ConfigError

Size = Literal["xs", "s", "b"]
Precision = Literal["auto", "fp32", "bf16"]
SplitName = Literal["train", "val", "test", "all"]
Normalize = Literal["mean-abs", "std", "laplacian"]
Basis = Literal["pixel", "fourier"]


def _check(owner: object, name: str, low: float, high: float) -> None:
    value = getattr(owner, name)
    if not low <= value <= high:
        raise ConfigError(f"{name}: expected {low} to {high}, got {value}")


def _check_choice(owner: object, name: str, choices: tuple[str, ...]) -> None:
    value = getattr(owner, name)
    if value not in choices:
        raise ConfigError(
            f"{name}: expected one of {', '.join(choices)}, got {value!r}"
        )


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of the network; `dmagnet.model` turns the size into widths and depths.

    The last four fields exist for ablations, and so that a checkpoint says which
    network it holds.
    """

    size: Annotated[
        Size, Doc("network size: xs (0.9 M), s (2.3 M), b (5.6 M parameters)")
    ] = "s"
    num_classes: Annotated[
        int, Doc("number of classes; training takes it from the data")
    ] = 10
    dropout: Annotated[float, Doc("dropout before the last layer, 0 to 0.9")] = 0.2
    drop_path: Annotated[
        float, Doc("chance to skip the last block, rising with depth")
    ] = 0.1
    dilations: Annotated[tuple[int, ...], Doc("dilation of each branch of a block")] = (
        1,
        2,
        4,
    )
    fusion: Annotated[
        Literal["attention", "mean"],
        Doc("how a block adds its branches: learned weights or their mean"),
    ] = "attention"
    reduction: Annotated[
        int, Doc("a block's branches have 1/reduction of its channels")
    ] = 4
    lam: Annotated[bool, Doc("end with the Local Attention Module")] = True

    def __post_init__(self) -> None:
        """Refuse what the network cannot be built from."""
        _check_choice(self, "size", ("xs", "s", "b"))
        _check_choice(self, "fusion", ("attention", "mean"))
        _check(self, "num_classes", 2, 10_000)
        _check(self, "dropout", 0, 0.9)
        _check(self, "drop_path", 0, 0.9)
        _check(self, "reduction", 1, 16)
        if not self.dilations or min(self.dilations) < 1:
            raise ConfigError(
                f"dilations: expected one or more integers from 1, got {self.dilations}"
            )


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How a training image may differ from the one in the file.

    Flips, rotation by any angle, zoom and shift are one composed affine map; no
    crop that cuts companions off, and no CutMix: they change what Merging and
    Disturbed mean.
    """

    rotate: Annotated[bool, Doc("turn by any angle, and flip")] = True
    zoom: Annotated[float, Doc("largest zoom in or out, as a factor from 1 to 2")] = (
        1.25
    )
    shift: Annotated[float, Doc("largest shift, as a share of the side, 0 to 0.5")] = (
        0.06
    )
    brightness: Annotated[float, Doc("largest change of brightness, 0 to 0.9")] = 0.15
    gain: Annotated[float, Doc("largest change of one color's gain, 0 to 0.9")] = 0.08
    noise: Annotated[
        float, Doc("largest standard deviation of added noise, 0 to 0.5")
    ] = 0.02

    def __post_init__(self) -> None:
        """Refuse what would leave no galaxy in the frame."""
        _check(self, "zoom", 1, 2)
        _check(self, "shift", 0, 0.5)
        _check(self, "brightness", 0, 0.9)
        _check(self, "gain", 0, 0.9)
        _check(self, "noise", 0, 0.5)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train; recipes in `dmagnet.recipes` fill it in."""

    image_size: Annotated[
        int, Doc("side of the images the network sees, in px, from 64")
    ] = 256
    field: Annotated[
        float, Doc("central share of each frame to keep before resizing, 0.3 to 1")
    ] = 1.0
    epochs: Annotated[int, Doc("passes over the training images")] = 300
    batch_size: Annotated[int, Doc("images a step, over all devices")] = 256
    lr: Annotated[float, Doc("peak learning rate of AdamW")] = 2e-3
    weight_decay: Annotated[
        float, Doc("decay of weights; none on norms and biases")
    ] = 0.05
    warmup_epochs: Annotated[
        float, Doc("epochs of linear warm-up; at most half of them are")
    ] = 5.0
    label_smoothing: Annotated[
        float, Doc("share of the label spread over all classes")
    ] = 0.1
    ema_decay: Annotated[
        float, Doc("decay of the averaged weights; 0 keeps the last")
    ] = 0.999
    mixup: Annotated[float, Doc("alpha of mixup; 0 turns it off")] = 0.0
    progressive: Annotated[
        bool,
        Doc("train the first two thirds on smaller views (5/8, 13/16 of the side)"),
    ] = True
    logit_adjustment: Annotated[
        float, Doc("strength of the correction for class imbalance, 0 to 2")
    ] = 0.0
    precision: Annotated[
        Precision, Doc("fp32, bf16, or auto: bf16 where it is faster")
    ] = "auto"
    save_every_min: Annotated[
        float, Doc("minutes between checkpoints within an epoch")
    ] = 5.0
    seed: Annotated[int, Doc("seed of everything random, from 0")] = 0
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        """Refuse settings that cannot train."""
        _check(self, "image_size", 64, 4096)
        _check(self, "field", 0.3, 1)
        _check(self, "epochs", 1, 100_000)
        _check(self, "batch_size", 1, 65_536)
        _check(self, "lr", 0, 10)
        _check(self, "weight_decay", 0, 10)
        _check(self, "warmup_epochs", 0, 100_000)
        _check(self, "label_smoothing", 0, 0.9)
        _check(self, "ema_decay", 0, 0.99999)
        _check(self, "mixup", 0, 10)
        _check(self, "logit_adjustment", 0, 2)
        _check(self, "save_every_min", 0, 1e6)
        _check(self, "seed", 0, 2**31)
        _check_choice(self, "precision", ("auto", "fp32", "bf16"))

    @property
    def frame_size(self) -> int:
        """Compute at which side images are loaded, margin around the view included.

        Returns
        -------
        int
            Side in px; the margin fills the corners of rotated views.
        """
        return round(self.image_size / self.field)


@dataclass(frozen=True, kw_only=True)
class SimulateConfig:
    """How many galaxies to draw, and how large."""

    num: Annotated[int, Doc("galaxies to draw; the classes take turns")] = 1000
    image_size: Annotated[int, Doc("side of the images, in px, from 32")] = 256
    field: Annotated[
        float, Doc("central share of the 67 arcsec frame to draw, 0.1 to 1")
    ] = 1.0
    seed: Annotated[int, Doc("seed of everything random, from 0")] = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        _check(self, "field", 0.1, 1)
        _check(self, "num", 1, 100_000_000)
        _check(self, "image_size", 32, 4096)
        _check(self, "seed", 0, 2**31)


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
        _check(self, "steps", 0, 100_000)
        if self.octaves is not None:
            _check(self, "octaves", 1, 100)
        _check(self, "scale", 1.05, 4)
        _check(self, "step_size", 0, 1)
        _check(self, "jitter", 0, 0.5)
        _check_choice(self, "normalize", ("mean-abs", "std", "laplacian"))
        _check_choice(self, "basis", ("pixel", "fourier"))
        _check(self, "decay", 0, 3)
        if self.tile:
            _check(self, "tile", 64, 65_536)
        _check(self, "seed", 0, 2**31)


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
        _check(self, "keep", 0, 1)
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
        _check(self, "per_class", 2, 1_000_000)
        _check(self, "seeds", 2, 1000)
        _check(self, "chain_galaxies", 2, 1_000_000)


def to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration as plain values for JSON.

    Parameters
    ----------
    config : dataclass
        Any configuration of this module.

    Returns
    -------
    dict
        Names to values; nested configurations as nested dictionaries.
    """
    return dataclasses.asdict(config)


def train_config(values: dict[str, Any]) -> TrainConfig:
    """Read back what `to_dict` wrote of a `TrainConfig`.

    Parameters
    ----------
    values : dict
        As loaded from JSON.

    Returns
    -------
    TrainConfig
        The same configuration.
    """
    model = dict(values["model"])
    model["dilations"] = tuple(model["dilations"])
    augment = AugmentConfig(**values["augment"])
    return TrainConfig(**{**values, "model": ModelConfig(**model), "augment": augment})
