"""Effective receptive fields."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dmagnet.dreaming.layers import private_copy, read
from dmagnet.dreaming.octaves import check_images
from dmagnet.errors import ConfigError

NUM_PROBES = 8
IMAGES_AT_ONCE = 16


@dataclass(frozen=True, eq=False)
class Reach:
    """The effective receptive field of the central unit of a layer."""

    energy: Tensor
    x: Tensor
    y: Tensor
    rms: Tensor
    radius68: Tensor
    radius95: Tensor


def effective_field(
    model: nn.Module,
    layer: str,
    images: Tensor,
    *,
    num_probes: int = NUM_PROBES,
    seed: int = 0,
) -> Reach:
    """Measure where the central unit of a layer gets its activation from.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] in; it is copied and never touched.
    layer : str
        Name of the layer; a layer of vectors, such as ``logits``, is one unit.
    images : (B, 3, H, W) float in [0, 1]
        Galaxies, on the device of the network.
    num_probes : int
        Random sums of channels whose gradients are taken.
    seed : int
        Of the signs of these sums.

    Returns
    -------
    Reach
        The mean map, and sizes for each image.

    Raises
    ------
    ConfigError
        If there is no such layer or the network cannot take such images.
    DataError
        If the images are not of this form.

    Notes
    -----
    Luo, Li, Urtasun & Zemel (2016, NeurIPS, section 2), who follow the gradient of one
    central unit. A unit here is all channels of the central place: with signs s_c drawn
    by lot, the mean over draws of (d(sum_c s_c y_c)/dx)^2 is sum_c (dy_c/dx)^2, so a
    few backward passes stand for one per channel. The energy adds the three colors.
    Deviations: galaxies instead of noise as images; radii around the center of the
    energy, because at strides the central unit does not look at the central pixel; and
    radii that hold a share of the energy beside the RMS, which faint far tails, such
    as those of globally pooled weights, dominate.
    """
    check_images(images)
    if num_probes < 1:
        raise ConfigError(f"num_probes: expected 1 or more, got {num_probes}")
    network = private_copy(model, (layer,))
    maps = torch.cat(
        [
            _gradient_energy(
                network, layer, images[i : i + IMAGES_AT_ONCE], num_probes, seed
            )
            for i in range(0, len(images), IMAGES_AT_ONCE)
        ]
    )
    share = maps / maps.sum(dim=(1, 2), keepdim=True)  # NaN where blind
    rows, columns = _pixels(share)
    x = (share * columns).sum(dim=(1, 2))
    y = (share * rows).sum(dim=(1, 2))
    squared = (columns - x[:, None, None]).square() + (rows - y[:, None, None]).square()
    radius68, radius95 = _enclosing(share, squared.sqrt(), (0.68, 0.95))
    return Reach(
        energy=share.nanmean(dim=0),
        x=x,
        y=y,
        rms=(share * squared).sum(dim=(1, 2)).sqrt(),
        radius68=radius68,
        radius95=radius95,
    )


def _gradient_energy(
    network: nn.Module, layer: str, images: Tensor, num_probes: int, seed: int
) -> Tensor:
    """Return the squared input gradient (B, H, W) of the unit, mean over probes."""
    inputs = images.detach().requires_grad_()
    with torch.enable_grad():
        output = read(network, inputs, (layer,))[layer]
    if output.ndim == 4:
        output = output[:, :, output.shape[2] // 2, output.shape[3] // 2]
    if output.ndim != 2:
        raise ConfigError(
            f"layer {layer!r}: expected maps or vectors, got {output.ndim} axes; "
            "choose a layer of (B, C, h, w) or (B, C)"
        )
    energy = images.new_zeros(len(images), *images.shape[2:])
    if not output.requires_grad:
        return energy
    # The same signs for all images, so that a batch measures as its images alone.
    generator = torch.Generator().manual_seed(seed)
    scale = images.new_zeros(len(images), 1, 1, 1)  # squares of gradients underflow
    for probe in range(num_probes):
        signs = torch.randint(0, 2, output.shape[1:], generator=generator) * 2.0 - 1
        (gradient,) = torch.autograd.grad(
            (output @ signs.to(output)).sum(),
            inputs,
            retain_graph=probe < num_probes - 1,
        )
        if probe == 0:
            scale = gradient.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-30)
        energy += (gradient / scale).square().sum(dim=1) / num_probes
    return energy


def _pixels(maps: Tensor) -> tuple[Tensor, Tensor]:
    rows = torch.arange(maps.shape[1], device=maps.device, dtype=maps.dtype)
    columns = torch.arange(maps.shape[2], device=maps.device, dtype=maps.dtype)
    return rows[:, None], columns


def _enclosing(
    share: Tensor, distance: Tensor, parts: tuple[float, ...]
) -> tuple[Tensor, ...]:
    """Return the smallest radii (B,) that hold these parts of the energy."""
    ordered, order = distance.flatten(1).sort(dim=1)
    held = share.flatten(1).gather(1, order).cumsum(dim=1)
    found = []
    for part in parts:
        level = held.new_full((len(held), 1), part)
        index = torch.searchsorted(held.nan_to_num(), level)
        radius = ordered.gather(1, index.clamp(max=held.shape[1] - 1))[:, 0]
        found.append(radius)
    return tuple(found)
