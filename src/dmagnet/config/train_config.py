"""The knobs of the network, of training and of simulated galaxies."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal

from typing_extensions import Doc

from dmagnet.config.checks import check_choice, check_range
from dmagnet.errors import ConfigError

Size = Literal["xs", "s", "b"]
Precision = Literal["auto", "fp32", "bf16"]
SplitName = Literal["train", "val", "test", "all"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape of the network; its size stands for widths and depths.

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
        check_choice(self, "size", ("xs", "s", "b"))
        check_choice(self, "fusion", ("attention", "mean"))
        check_range(self, "num_classes", 2, 10_000)
        check_range(self, "dropout", 0, 0.9)
        check_range(self, "drop_path", 0, 0.9)
        check_range(self, "reduction", 1, 16)
        if not 1 <= len(self.dilations) <= 16 or not (
            1 <= min(self.dilations) <= max(self.dilations) <= 64
        ):
            raise ConfigError(
                "dilations: expected 1 to 16 integers from 1 to 64, got "
                f"{str(self.dilations)[:60]}"
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
    blur: Annotated[
        float, Doc("largest sigma of a Gaussian blur, as a share of the side, 0 to 0.1")
    ] = 0.0

    def __post_init__(self) -> None:
        """Refuse what would leave no galaxy in the frame."""
        check_range(self, "zoom", 1, 2)
        check_range(self, "shift", 0, 0.5)
        check_range(self, "brightness", 0, 0.9)
        check_range(self, "gain", 0, 0.9)
        check_range(self, "noise", 0, 0.5)
        check_range(self, "blur", 0, 0.1)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train; recipes in `dmagnet.config.recipes` fill it in."""

    image_size: Annotated[
        int, Doc("side of the images the network sees, in px, from 64")
    ] = 256
    field: Annotated[
        float, Doc("central share of each frame to keep before resizing, 0.3 to 1")
    ] = 1.0
    radii: Annotated[
        float | None,
        Doc(
            "side of the view in isophotal radii: every galaxy is brought to one size "
            "and brightness, 1 to 20; None takes images as they are"
        ),
    ] = None
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
        check_range(self, "image_size", 64, 4096)
        check_range(self, "field", 0.3, 1)
        if self.radii is not None:
            check_range(self, "radii", 1, 20)
        check_range(self, "epochs", 1, 100_000)
        check_range(self, "batch_size", 1, 65_536)
        check_range(self, "lr", 0, 10)
        check_range(self, "weight_decay", 0, 10)
        check_range(self, "warmup_epochs", 0, 100_000)
        check_range(self, "label_smoothing", 0, 0.9)
        check_range(self, "ema_decay", 0, 0.99999)
        check_range(self, "mixup", 0, 10)
        check_range(self, "logit_adjustment", 0, 2)
        check_range(self, "save_every_min", 0, 1e6)
        check_range(self, "seed", 0, 2**31)
        check_choice(self, "precision", ("auto", "fp32", "bf16"))

    @property
    def frame_size(self) -> int:
        """Compute at which side images are loaded, margin around the view included.

        Returns
        -------
        int
            Side in px; the margin fills the corners of rotated views.
        """
        return round(self.image_size / self.field)

    @property
    def frame_radii(self) -> float | None:
        """Compute how much sky a loaded frame shows, margin included.

        Returns
        -------
        float or None
            Side in isophotal radii; None where galaxies keep their sizes.
        """
        return None if self.radii is None else self.radii / self.field


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
        check_range(self, "field", 0.1, 1)
        check_range(self, "num", 1, 100_000_000)
        check_range(self, "image_size", 32, 4096)
        check_range(self, "seed", 0, 2**31)
