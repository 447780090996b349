"""Networks that only look: norms folded into the convolutions before them."""

import copy
from collections import OrderedDict
from collections.abc import Collection
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def folded(model: nn.Module) -> nn.Module:
    """Copy a network for classifying: it computes the same with fewer passes."""
    copied = without_hooks(model).eval().requires_grad_(False)
    fold_norms(copied)
    return copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


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
