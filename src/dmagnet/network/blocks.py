"""The parts: dilated multi-scale attention, local attention, and what they share."""

import copy
from collections import OrderedDict
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 3,
    stride: int = 1,
    dilation: int = 1,
) -> nn.Conv2d:
    """Return a convolution without bias that keeps the side, or halves it."""
    padding = dilation * (kernel_size // 2)
    return nn.Conv2d(
        in_channels, out_channels, kernel_size, stride, padding, dilation, bias=False
    )


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm, SiLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        dilation: int = 1,
    ) -> None:
        super().__init__(
            conv(in_channels, out_channels, kernel_size, stride, dilation),
            nn.BatchNorm2d(out_channels),
            nn.SiLU(inplace=True),
        )


class DropPath(nn.Module):
    """Skip a residual branch for some images while training (Huang et al. 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Zero the branch of whole images, and scale up the others."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = torch.empty(len(x), 1, 1, 1, device=x.device).bernoulli_(keep)
        return x * (mask / keep).to(x.dtype)


class DMA(nn.Module):
    """Dilated Multi-scale Attention: look at several scales, weigh them per galaxy.

    Parameters
    ----------
    channels : int
        Channels in and out, a multiple of 4.
    dilations : tuple of int
        Dilation of each branch; one branch makes a plain bottleneck.
    fusion : {"attention", "mean"}
        Learned weights for each image and channel, or the plain mean.
    reduction : int
        The branches work on 1/reduction of the channels.
    drop_path : float
        Chance to skip the block while training.

    Notes
    -----
    The branches are dense 3x3 convolutions at a quarter of the channels:
    depthwise ones are several times slower to train at equal work. The weights
    are those of selective kernels (Li et al. 2019, CVPR, eq. 1-5) with dilated
    branches instead of larger kernels. `scale_weights` reads them.
    """

    def __init__(
        self,
        channels: int,
        *,
        dilations: tuple[int, ...] = (1, 2, 4),
        fusion: str = "attention",
        reduction: int = 4,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        inner = channels // reduction
        self.reduce = ConvNormAct(channels, inner, kernel_size=1)
        self.branches = nn.ModuleDict(
            {f"d{d}": ConvNormAct(inner, inner, dilation=d) for d in dilations}
        )
        self.attend: nn.Module | None = None
        if fusion == "attention" and len(dilations) > 1:
            hidden = max(inner // 2, 16)
            self.attend = nn.Sequential(
                nn.Linear(inner, hidden),
                nn.SiLU(inplace=True),
                nn.Linear(hidden, len(dilations) * inner),
            )
        norm = nn.BatchNorm2d(channels)
        # Blocks start close to the identity (LayerScale, Touvron et al. 2021).
        nn.init.constant_(norm.weight, 0.1)
        self.expand = nn.Sequential(conv(inner, channels, kernel_size=1), norm)
        self.drop_path = DropPath(drop_path)

    def scale_weights(self, scales: list[Tensor]) -> Tensor:
        """Weigh the branches for each image and channel.

        Parameters
        ----------
        scales : list of (B, C/4, H, W) float
            Outputs of the S branches.

        Returns
        -------
        (B, S, C/4) float
            Weights that sum to 1 over the scales.
        """
        b, c = scales[0].shape[:2]
        if self.attend is None:
            return scales[0].new_full((b, len(scales), c), 1 / len(scales))
        pooled = sum(scales[1:], scales[0]).mean(dim=(2, 3))  # (B, C/4)
        weights: Tensor = self.attend(pooled).view(b, len(scales), c).softmax(dim=1)
        return weights

    def forward(self, x: Tensor) -> Tensor:
        """Add what the weighted scales see.

        Parameters
        ----------
        x : (B, C, H, W) float
            Features.

        Returns
        -------
        (B, C, H, W) float
            Features of the same shape.
        """
        y = self.reduce(x)
        scales = [branch(y) for branch in self.branches.values()]
        weights = self.scale_weights(scales)[..., None, None]  # (B, S, C/4, 1, 1)
        # Branch by branch: stacking them first copies out of channels_last.
        fused = scales[0] * weights[:, 0]
        for k in range(1, len(scales)):
            fused = fused + scales[k] * weights[:, k]
        refined: Tensor = x + self.drop_path(self.expand(fused))
        return refined


class LAM(nn.Module):
    """Local Attention Module: share the volume out among the places of the picture.

    Parameters
    ----------
    channels : int
        Channels in and out, from 8.

    Notes
    -----
    The factor of a place is its share in a softmax over all places, times their
    number, so that 1 is an even share; all channels of a place have the same. The gate
    is a bottleneck of an eighth of the channels with 3x3 convolutions of dilation 1
    and 2: a place is judged by the 9x9 around it, at the resolution of the features.
    At the start the gate is 0 everywhere and the module the identity.

    Deviations from GALD (Li et al. 2019, BMVC, section 3.3): no strides, which leave a
    gate of one place on small pictures; one factor for all channels; and places
    compete, where there each has a sigmoid of its own. ``docs/log.md`` has the trials.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(channels // 8, 1)
        last = nn.Conv2d(inner, 1, 3, padding=1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.gate = nn.Sequential(
            ConvNormAct(channels, inner, kernel_size=1),
            ConvNormAct(inner, inner),
            ConvNormAct(inner, inner, dilation=2),
            last,
        )

    def factor(self, x: Tensor) -> Tensor:
        """Compute by how much each place is multiplied.

        Parameters
        ----------
        x : (B, C, H, W) float
            Features.

        Returns
        -------
        (B, 1, H, W) float32, above 0
            Of mean 1 over the places of a picture; below 1 suppresses, above 1 raises.
        """
        logits = self.gate(x).float()
        height, width = logits.shape[2:]
        shares = logits.flatten(1).softmax(dim=1).view_as(logits)
        factors: Tensor = shares * (height * width)
        return factors

    def forward(self, x: Tensor) -> Tensor:
        """Multiply the features by the local factor.

        Parameters
        ----------
        x : (B, C, H, W) float
            Features.

        Returns
        -------
        (B, C, H, W) float
            Refined features.
        """
        refined: Tensor = x * self.factor(x).to(x.dtype)
        return refined


def folded(model: nn.Module) -> nn.Module:
    """Make a network of one's own compute the same with fewer passes, in place."""
    fold_norms(model.eval().requires_grad_(False))
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def without_hooks(model: nn.Module) -> nn.Module:
    """Copy a network without the hooks of its user."""
    empty: dict[int, Any] = {
        id(hooks): OrderedDict() for m in model.modules() for hooks in _hooks_of(m)
    }
    return copy.deepcopy(model, empty)


def _hooks_of(module: nn.Module) -> tuple[dict[int, Any], ...]:
    return (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )


def fold_norms(model: nn.Module, kept: Collection[nn.Module] = ()) -> None:
    """Merge each batch norm into the convolution before it, in place."""
    for sequence in [m for m in model.modules() if isinstance(m, nn.Sequential)]:
        for i, (first, second) in enumerate(pairwise(sequence)):
            if (
                type(first) is nn.Conv2d
                and type(second) is nn.BatchNorm2d
                and second.track_running_stats
                and first not in kept
                and second not in kept
            ):
                sequence[i] = fuse_conv_bn_eval(first, second)
                sequence[i + 1] = nn.Identity().eval()
