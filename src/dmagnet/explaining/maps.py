"""Maps that the network itself gives, exactly: evidence, attention and scales."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.dreaming.layers import read
from dmagnet.judging.predict import on_picture
from dmagnet.network import DMA, DMAGNet

LEAST = 2.0**-6  # of an even share: less is none


def evidence_maps(model: DMAGNet, images: Tensor) -> Tensor:
    """Divide the score of every class among the places of the picture.

    Parameters
    ----------
    model : DMAGNet
        In evaluation mode.
    images : (B, 3, S, S) float in [0, 1]
        On the device of the model.

    Returns
    -------
    (B, K, h, w) float32
        Evidence for each class; a map adds up to the logit of its class.

    Notes
    -----
    Behind LAM there are only a mean over places and a linear layer, so that the logit
    is a sum over places: E_k(p) = (w_k . f(p) + b_k) / (h w), as in class activation
    maps (Zhou et al. 2016, CVPR, eq. 2). Deviation: the bias is spread evenly, so that
    nothing is left over. ``h = w = S / 8``.
    """
    features = model.features(images)
    head = model.head
    num = features.shape[2] * features.shape[3]
    maps: Tensor = F.conv2d(features, head.weight[:, :, None, None], head.bias) / num
    return maps.float()


def enlarged(maps: Tensor, side: int) -> Tensor:
    """Bring maps to the pixels of the picture, without changing their sums."""
    area = maps.shape[-2] * maps.shape[-1] / side**2
    scaled = on_picture(maps, (side, side)) * area
    # Places at the rim have more or fewer pixels than others.
    missing = maps.sum(dim=(-2, -1)) - scaled.sum(dim=(-2, -1))
    return scaled + (missing / side**2)[..., None, None]


def attention_map(model: DMAGNet, images: Tensor) -> Tensor:
    """Show by how many doublings a place has more than an even share of attention."""
    shares = on_picture(model.attention_maps(images), images.shape[2:])
    return shares.clamp(min=LEAST).log2()


def blocks_of(model: DMAGNet) -> dict[str, DMA]:
    """Return the DMA blocks of a network by name."""
    layers = {name: model.layer(name) for name in model.layer_names}
    return {name: layer for name, layer in layers.items() if isinstance(layer, DMA)}


def scale_weights(model: DMAGNet, images: Tensor) -> dict[str, Tensor]:
    """Return how much each DMA block weighs each of its scales.

    Parameters
    ----------
    model : DMAGNet
        In evaluation mode.
    images : (B, 3, S, S) float in [0, 1]
        On the device of the model.

    Returns
    -------
    dict of str to (B, branches) float
        For each block the softmax weights of its branches, averaged over channels;
        a row adds up to 1. Branches are in the order of their dilations.
    """
    looks = _looks(model, images)
    return {name: weights.mean(dim=2) for name, (weights, _) in looks.items()}


def scale_map(model: DMAGNet, images: Tensor) -> Tensor:
    """Show where the network looks wide, and where it looks close."""
    total = images.new_zeros(len(images), *images.shape[2:])
    looks = _looks(model, images)
    for weights, branches in looks.values():
        places = torch.linspace(-1, 1, len(branches), device=images.device)
        each = zip(branches, weights.unbind(1), strict=True)
        norms = [(branch * w[:, :, None, None]).norm(dim=1) for branch, w in each]
        loud = torch.stack(norms, dim=1)  # (B, scales, h, w)
        share = loud / loud.sum(dim=1, keepdim=True).clamp(min=1e-9)
        lean = (share * places[None, :, None, None]).sum(dim=1)
        total += on_picture(lean, images.shape[2:])
    return total / max(1, len(looks))


def _looks(model: DMAGNet, images: Tensor) -> dict[str, tuple[Tensor, list[Tensor]]]:
    """Return weights (B, scales, C/4) and branch outputs of every DMA block."""
    blocks = blocks_of(model)
    branches = {
        name: [f"{name}.{branch}" for branch in block.branches]
        for name, block in blocks.items()
    }
    found = read(model, images, [each for names in branches.values() for each in names])
    looks = {}
    for name, block in blocks.items():
        scales = [found[each] for each in branches[name]]
        looks[name] = block.scale_weights(scales), scales
    return looks
