"""The network: a stem, four stages of blocks, local attention, a linear head."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dmagnet.config.train_config import SMALLEST_SIDE, ModelConfig
from dmagnet.errors import ConfigError
from dmagnet.network.blocks import DMA, LAM, ConvNormAct
from dmagnet.network.hub_mixin import Pretrained

# Mean and standard deviation of Galaxy10 DECaLS pixels in [0, 1], red green blue,
# as public code for the data set has them.
GALAXY10_MEAN = (0.1668, 0.1620, 0.1583)
GALAXY10_STD = (0.1282, 0.1176, 0.1112)


class Shape(NamedTuple):
    """What a size stands for: channels and blocks of the four stages."""

    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]


SHAPES = {
    "xs": Shape((32, 64, 128, 256), (1, 2, 4, 2)),
    "s": Shape((48, 96, 192, 352), (2, 3, 6, 3)),
    "b": Shape((64, 128, 288, 544), (2, 3, 8, 3)),
}


class Stage(nn.Module):
    """A convolution that changes side and width, then blocks of one width."""

    def __init__(
        self, in_channels: int, out_channels: int, stride: int, blocks: list[DMA]
    ) -> None:
        super().__init__()
        # Where the side stays, the first block looks around soon enough.
        kernel_size = 3 if stride > 1 else 1
        self.enter = ConvNormAct(in_channels, out_channels, kernel_size, stride)
        self.blocks = nn.ModuleDict(
            {f"block{i}": block for i, block in enumerate(blocks, start=1)}
        )

    def forward(self, x: Tensor) -> Tensor:
        """Run the stage."""
        x = self.enter(x)
        for block in self.blocks.values():
            x = block(x)
        return x


class DMAGNet(Pretrained, nn.Module):
    """Images in, one score per class out.

    Parameters
    ----------
    config : ModelConfig, optional
        Size, number of classes, and the switches of the ablations.

    Notes
    -----
    The network owns its normalization: images are in [0, 1] everywhere else.
    Stages 3 and 4 keep the side of stage 2, an eighth of the picture's, so that LAM
    and the evidence maps can be read: at 128 px they have 16x16 places, and 8x8 at
    the smallest side that is taken, 64 px. Pooling and one linear layer behind LAM
    make the score of a class the exact mean of its evidence map plus a bias.

    Examples
    --------
    >>> network = DMAGNet(ModelConfig(size="xs")).eval()
    >>> network(torch.rand(2, 3, 64, 64)).shape
    torch.Size([2, 10])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ModelConfig()
        widths, depths = SHAPES[config.size]
        self.register_buffer("mean", torch.tensor(GALAXY10_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(GALAXY10_STD).view(1, 3, 1, 1))
        self.stem = ConvNormAct(3, widths[0] // 2, stride=2)
        # On the CPU also where the shapes alone are asked for, on "meta".
        rising = torch.linspace(0, config.drop_path, sum(depths), device="cpu")
        rates = iter(rising.tolist())
        before = (widths[0] // 2, *widths)
        self.stages = nn.ModuleDict()
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            blocks = [
                DMA(
                    width,
                    dilations=config.dilations,
                    fusion=config.fusion,
                    reduction=config.reduction,
                    drop_path=next(rates),
                )
                for _ in range(depth)
            ]
            stride = 2 if i < 2 else 1
            self.stages[f"stage{i + 1}"] = Stage(before[i], width, stride, blocks)
        self.lam = LAM(widths[-1]) if config.lam else nn.Identity()
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(widths[-1], config.num_classes)

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Name all layers in order of depth.

        Returns
        -------
        tuple of str
            ``stem``, then each stage's blocks with their branches, ``lam``,
            ``logits``; `layer` takes each of them.
        """
        names = ["stem"]
        for stage_name, stage in self.stages.items():
            assert isinstance(stage, Stage)  # what __init__ put there
            for block_name, block in stage.blocks.items():
                assert isinstance(block, DMA)
                name = f"{stage_name}.{block_name}"
                names += [f"{name}.{branch}" for branch in block.branches]
                names.append(name)
            names.append(stage_name)
        return (*names, "lam", "logits")

    def layer(self, name: str) -> nn.Module:
        """Find a layer by its name.

        Parameters
        ----------
        name : str
            One of `layer_names`.

        Returns
        -------
        nn.Module
            The layer; its output is what the name stands for.

        Raises
        ------
        ConfigError
            If there is no such layer; the message lists those there are.
        """
        if name not in self.layer_names:
            known = ", ".join(self.layer_names)
            raise ConfigError(f"no layer {name!r}; the layers are: {known}")
        if name == "logits":
            return self.head
        module: nn.Module = self
        for part in name.split("."):
            for holder in ("stages", "blocks", "branches"):
                children = getattr(module, holder, None)
                if isinstance(children, nn.ModuleDict) and part in children:
                    module = children[part]
                    break
            else:
                module = module.get_submodule(part)
        return module

    def trunk(self, images: Tensor) -> Tensor:
        """Run the stem and the four stages.

        Parameters
        ----------
        images : (B, 3, H, W) float in [0, 1]
            Red, green, blue; sides from 64 px.

        Returns
        -------
        (B, C, H/8, W/8) float
            What LAM refines.
        """
        x: Tensor = (images - self.mean) / self.std
        x = self.stem(x)  # (B, C0/2, H/2, W/2)
        for stage in self.stages.values():
            x = stage(x)  # H/4, H/8, H/8, H/8
        return x

    def features(self, images: Tensor) -> Tensor:
        """Run the network up to and including LAM.

        Parameters
        ----------
        images : (B, 3, H, W) float in [0, 1]
            Red, green, blue; sides from 64 px.

        Returns
        -------
        (B, C, H/8, W/8) float
            What pooling and the linear layer turn into scores.
        """
        features: Tensor = self.lam(self.trunk(images))
        return features

    def attention_maps(self, images: Tensor) -> Tensor:
        """Show where LAM turns the volume up or down.

        Parameters
        ----------
        images : (B, 3, H, W) float in [0, 1]
            Red, green, blue; sides from 64 px.

        Returns
        -------
        (B, H/8, W/8) float32, above 0
            The factor of each place, of mean 1: 3 is three times an even share.

        Raises
        ------
        ConfigError
            If the network was built without LAM, or a side is too small.
        """
        if not isinstance(self.lam, LAM):
            raise ConfigError("this network has no LAM (its config says lam=False)")
        if min(images.shape[-2:]) < SMALLEST_SIDE:
            height, width = images.shape[-2:]
            raise ConfigError(
                f"images: expected sides from {SMALLEST_SIDE} px, so that LAM has 8x8 "
                f"places, got {height}x{width} px; enlarge them"
            )
        return self.lam.factor(self.trunk(images))[:, 0]

    def forward(self, images: Tensor) -> Tensor:
        """Score every class.

        Parameters
        ----------
        images : (B, 3, H, W) float in [0, 1]
            Red, green, blue; sides from 64 px.

        Returns
        -------
        (B, K) float
            Logits.
        """
        return self.scores(self.features(images))

    def scores(self, features: Tensor) -> Tensor:
        """Turn features into a score for every class.

        Parameters
        ----------
        features : (B, C, h, w) float
            From `features`.

        Returns
        -------
        (B, K) float
            Logits.
        """
        pooled = features.mean(dim=(2, 3))  # (B, C)
        logits: Tensor = self.head(self.dropout(pooled))
        return logits
