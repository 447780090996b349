"""The knobs of the network, of training and of simulated galaxies."""

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal

from dmagnet.config.checks import Between, Checked
from dmagnet.errors import ConfigError

SMALLEST_SIDE = 64  # px of an image; below, LAM would have fewer than 8x8 places

Size = Literal["xs", "s", "b"]
Precision = Literal["auto", "fp32", "bf16"]
SplitName = Literal["train", "val", "test", "all"]


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Checked):
    """The shape of the network; its size stands for widths and depths.

    The last four fields exist for ablations, and so that a checkpoint says which
    network it holds.

    Attributes
    ----------
    size : Size
        Network size: xs (0.6 M), s (1.7 M), b (4.2 M parameters).
    num_classes : int
        Number of classes; training takes it from the data.
    dropout : float
        Dropout before the last layer, 0 to 0.9.
    drop_path : float
        Chance to skip the last block, rising with depth.
    dilations : tuple[int, ...]
        Dilation of each branch of a block.
    fusion : Literal["attention", "mean"]
        How a block adds its branches: learned weights or their mean.
    reduction : int
        A block's branches have 1/reduction of its channels.
    lam : bool
        End with the Local Attention Module.
    """

    size: Size = "s"
    num_classes: Annotated[int, Between(2, 10_000)] = 10
    dropout: Annotated[float, Between(0, 0.9)] = 0.2
    drop_path: Annotated[float, Between(0, 0.9)] = 0.1
    dilations: tuple[int, ...] = (1, 2, 4)
    fusion: Literal["attention", "mean"] = "attention"
    reduction: Annotated[int, Between(1, 16)] = 4
    lam: bool = True

    def __post_init__(self) -> None:
        """Refuse what the network cannot be built from."""
        super().__post_init__()
        if not 1 <= len(self.dilations) <= 16 or not (
            1 <= min(self.dilations) <= max(self.dilations) <= 64
        ):
            raise ConfigError(
                "dilations: expected 1 to 16 integers from 1 to 64, got "
                f"{str(self.dilations)[:60]}"
            )


@dataclass(frozen=True, kw_only=True)
class AugmentConfig(Checked):
    """How a training image may differ from the one in the file.

    Flips, rotation by any angle, zoom and shift are one composed affine map; no
    crop that cuts companions off, and no CutMix: they change what Merging and
    Disturbed mean.

    Attributes
    ----------
    rotate : bool
        Turn by any angle, and flip.
    zoom : float
        Largest zoom in or out, as a factor from 1 to 2.
    shift : float
        Largest shift, as a share of the side, 0 to 0.5.
    brightness : float
        Largest change of brightness, 0 to 0.9.
    gain : float
        Largest change of one color's gain, 0 to 0.9.
    noise : float
        Largest standard deviation of added noise, 0 to 0.5.
    blur : float
        Largest sigma of a Gaussian blur, as a share of the side, 0 to 0.1.
    """

    rotate: bool = True
    zoom: Annotated[float, Between(1, 2)] = 1.25
    shift: Annotated[float, Between(0, 0.5)] = 0.06
    brightness: Annotated[float, Between(0, 0.9)] = 0.15
    gain: Annotated[float, Between(0, 0.9)] = 0.08
    noise: Annotated[float, Between(0, 0.5)] = 0.02
    blur: Annotated[float, Between(0, 0.1)] = 0.0


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Checked):
    """How to train; recipes in `dmagnet.config.recipes` fill it in.

    Attributes
    ----------
    image_size : int
        Side of the images the network sees, in px, from 64.
    epochs : int
        Passes over the training images.
    batch_size : int
        Images a step, over all devices.
    lr : float
        Peak learning rate of AdamW.
    seed : int
        Seed of everything random, from 0.
    field : float
        Central share of each frame to keep before resizing, 0.3 to 1.
    radii : float | None
        Side of the view in isophotal radii: every galaxy is brought to one size and
        brightness, 1 to 20; None takes images as they are.
    weight_decay : float
        Decay of weights; none on norms and biases.
    warmup_epochs : float
        Epochs of linear warm-up; at most half of them are.
    label_smoothing : float
        Share of the label spread over all classes.
    ema_decay : float
        Decay of the averaged weights; 0 keeps the last.
    mixup : float
        Alpha of mixup; 0 turns it off.
    scales : tuple[float, float]
        Smallest and largest side of the training views, as shares of image_size, 0.25
        to 4; drawn anew for each batch, so that the network knows all of them.
    progressive : bool
        Train the first 60 % of the epochs on views of half to three quarters of the
        side.
    mask_weight : float
        Weight of the loss that draws evidence to where a galaxy shows its class, for
        those that have a mask, 0 to 10.
    logit_adjustment : float
        Strength of the correction for class imbalance, 0 to 2.
    precision : Precision
        Number format: fp32, bf16, or auto (bf16 where it is faster).
    save_every_min : float
        Minutes between checkpoints within an epoch.
    """

    image_size: Annotated[int, Between(SMALLEST_SIDE, 4096)] = 256
    epochs: Annotated[int, Between(1, 100_000)] = 300
    batch_size: Annotated[int, Between(1, 65_536)] = 256
    lr: Annotated[float, Between(0, 10)] = 2e-3
    seed: Annotated[int, Between(0, 2**31)] = 0
    field: Annotated[float, Between(0.3, 1)] = 1.0
    radii: Annotated[float, Between(1, 20)] | None = None
    weight_decay: Annotated[float, Between(0, 10)] = 0.05
    warmup_epochs: Annotated[float, Between(0, 100_000)] = 5.0
    label_smoothing: Annotated[float, Between(0, 0.9)] = 0.1
    ema_decay: Annotated[float, Between(0, 0.99999)] = 0.999
    mixup: Annotated[float, Between(0, 10)] = 0.0
    scales: tuple[float, float] = (0.75, 1.5)
    progressive: bool = True
    mask_weight: Annotated[float, Between(0, 10)] = 0.1
    logit_adjustment: Annotated[float, Between(0, 2)] = 0.0
    precision: Precision = "auto"
    save_every_min: Annotated[float, Between(0, 1e6)] = 5.0
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        """Refuse sides that are out of order."""
        super().__post_init__()
        low, high = self.scales
        if not 0.25 <= low <= high <= 4:
            raise ConfigError(
                "scales: expected the smallest and the largest share of the side, 0.25 "
                f"to 4, got {low} and {high}"
            )

    @property
    def sides(self) -> tuple[int, int]:
        """Compute the smallest and the largest side that training shows.

        Returns
        -------
        tuple of int
            In px.
        """
        low, high = (round(self.image_size * scale) for scale in self.scales)
        return max(low, SMALLEST_SIDE), max(high, SMALLEST_SIDE)

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
class SimulateConfig(Checked):
    """How many galaxies to draw, and how large.

    Attributes
    ----------
    num : int
        Galaxies to draw; the classes take turns.
    image_size : int
        Side of the images, in px, from 32.
    field : float
        Central share of the 67 arcsec frame to draw, 0.1 to 1.
    seed : int
        Seed of everything random, from 0.
    """

    num: Annotated[int, Between(1, 100_000_000)] = 1000
    image_size: Annotated[int, Between(32, 4096)] = 256
    field: Annotated[float, Between(0.1, 1)] = 1.0
    seed: Annotated[int, Between(0, 2**31)] = 0
