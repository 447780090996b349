"""Networks that learned nothing: what a trained one has to beat."""

import copy
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dmagnet.dreaming.octaves import check_images
from dmagnet.errors import ConfigError
from dmagnet.network.dmagnet import DMAGNet

How = Literal["fresh", "shuffled"]
IMAGES_AT_ONCE = 64


def randomized(
    model: nn.Module,
    seed: int,
    *,
    how: How = "fresh",
) -> nn.Module:
    """Copy a network and forget what it learned.

    Parameters
    ----------
    model : nn.Module
        The trained network; it is not touched.
    seed : int
        Of the new weights.
    how : {"fresh", "shuffled"}
        Weights as before training, or each tensor's trained values in random order:
        weights of the same sizes without their structure.

    Returns
    -------
    nn.Module
        A copy in evaluation mode on the same device. Its batch norms do not fit its
        weights: pass it through `calibrate_norms` before use.

    Raises
    ------
    ConfigError
        If a module has weights but no way to reset them.

    Notes
    -----
    A `DMAGNet` is built anew from its configuration, so that its blocks start near the
    identity and its LAM *as* the identity, as in training; where a control needs a LAM
    that does something, shuffle. A foreign network is reset module by module with
    ``reset_parameters``. The global random state is left as it was.
    """
    copied = copy.deepcopy(model).eval()
    if how == "shuffled":
        shuffled = copy.deepcopy(copied)
        shuffle(shuffled, torch.Generator().manual_seed(seed))
        new: dict[str, Tensor] = dict(shuffled.named_parameters())
    else:
        new = _fresh_state(copied, seed)
    copied.load_state_dict(new, strict=False)
    return copied


def _fresh_state(model: nn.Module, seed: int) -> dict[str, Tensor]:
    """Return a state from before training, drawn on the CPU."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if isinstance(model, DMAGNet):
            return DMAGNet(model.config).state_dict()
        fresh = copy.deepcopy(model).cpu()
        for name, module in fresh.named_modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
            elif next(module.parameters(recurse=False), None) is not None:
                raise ConfigError(
                    f"module {name!r} ({type(module).__name__}) has weights but no "
                    'reset_parameters; pass how="shuffled"'
                )
        return fresh.state_dict()


@torch.no_grad()
def shuffle(module: nn.Module, generator: torch.Generator) -> None:
    """Shuffle every tensor of weights in place."""
    for weight in module.parameters():
        order = torch.randperm(weight.numel(), generator=generator)
        weight.copy_(weight.flatten()[order.to(weight.device)].view_as(weight))


@torch.no_grad()
def calibrate_norms(model: nn.Module, images: Tensor) -> nn.Module:
    """Copy a network and fit its batch norms to images.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] in; it is not touched.
    images : (N, 3, H, W) float in [0, 1]
        Galaxies, some hundreds, on the device of the network.

    Returns
    -------
    nn.Module
        The copy, in evaluation mode.

    Raises
    ------
    DataError
        If the images are not of this form.

    Notes
    -----
    A network whose weights were replaced still divides by the spreads of the old ones,
    and its activations fade or blow up with depth: a control that is beaten by its
    scale, not by what it learned. Means and variances are averaged over parts of 64
    images. Only the norms are in training mode meanwhile, not dropout, unlike in
    `torch.optim.swa_utils.update_bn`.
    """
    check_images(images)
    copied = copy.deepcopy(model).eval()
    fit_norms(copied, [copied], torch.split(images, IMAGES_AT_ONCE))
    return copied


@torch.no_grad()
def fit_norms(
    model: nn.Module, parts: Iterable[nn.Module], batches: Iterable[Tensor]
) -> None:
    """Fit the batch norms in parts of a network to batches of images, in place."""
    norms = {m for part in parts for m in part.modules() if isinstance(m, _BatchNorm)}
    momenta = {norm: norm.momentum for norm in norms if norm.track_running_stats}
    if not momenta:
        return
    for norm in momenta:
        norm.reset_running_stats()
        norm.momentum = None  # a plain average over batches
        norm.train()
    for batch in batches:
        model(batch)
    for norm, momentum in momenta.items():
        norm.momentum = momentum
    model.eval()
