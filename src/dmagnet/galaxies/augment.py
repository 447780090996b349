"""Turn, flip, zoom, shift and re-light batches of galaxies on their device.

A galaxy has no up, so any rotation and reflection of it is as likely as any other.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.config.train_config import AugmentConfig

COLORS = 3  # planes of a picture; what comes after them is a mask


def uniform(
    low: float, high: float, like: Tensor, generator: torch.Generator
) -> Tensor:
    """Draw one number in [low, high) for each image of a batch: (B,)."""
    draw = torch.rand(len(like), device=like.device, generator=generator)
    return low + (high - low) * draw


def random_affine(
    images: Tensor,
    config: AugmentConfig,
    image_size: int,
    view_size: int,
    generator: torch.Generator,
) -> Tensor:
    """Draw affine maps (B, 2, 3) from pixels (x, y) of images to those of views."""
    side = images.shape[-1]
    angle = uniform(0, 2 * torch.pi, images, generator)
    flip = torch.where(uniform(0, 1, images, generator) < 0.5, -1.0, 1.0)
    if not config.rotate:
        angle, flip = torch.zeros_like(angle), torch.ones_like(flip)
    log_zoom = torch.tensor(config.zoom).log().item()
    zoom = uniform(-log_zoom, log_zoom, images, generator).exp()  # even in log
    shift_x = uniform(-1, 1, images, generator) * config.shift * view_size
    shift_y = uniform(-1, 1, images, generator) * config.shift * view_size
    scale = zoom * view_size / image_size
    cos, sin = scale * angle.cos(), scale * angle.sin()
    linear = torch.stack(
        [torch.stack([cos * flip, -sin], -1), torch.stack([sin * flip, cos], -1)], -2
    )  # (B, 2, 2)
    source_center = torch.full((2,), (side - 1) / 2, device=images.device)
    view_center = torch.stack([shift_x, shift_y], -1) + (view_size - 1) / 2
    offset = view_center - linear @ source_center
    return torch.cat([linear, offset[..., None]], -1)


def sky_level(images: Tensor) -> Tensor:
    """Estimate the sky of each image and color.

    Parameters
    ----------
    images : (B, C, H, W) float
        Images; at most half of the pixels belong to a galaxy.

    Returns
    -------
    (B, C, 1, 1) float
        Median over a coarse grid of the pixels.
    """
    step = max(images.shape[-1] // 24, 1)
    grid = images[..., ::step, ::step].flatten(2)
    return grid.median(dim=2).values[..., None, None]


def augment(
    images: Tensor,
    config: AugmentConfig,
    *,
    image_size: int,
    view_size: int | None = None,
    generator: torch.Generator,
) -> Tensor:
    """Draw a new view of each galaxy.

    Parameters
    ----------
    images : (B, 3 or 4, H, H) uint8
        Square frames, at least ``image_size`` on a side; what lies outside the view
        fills the corners of rotated views with real sky. A fourth plane is a mask.
    config : AugmentConfig
        How far a view may differ.
    image_size : int
        Side of what a view shows, in px of the images.
    view_size : int, optional
        Side of the view in its own px; ``image_size`` if not given.
    generator : torch.Generator
        Source of randomness, on the device of the images.

    Returns
    -------
    (B, 3 or 4, view_size, view_size) float32 in [0, 1]
        The views; masks move with their images, and change in nothing else.

    Notes
    -----
    Flip, rotation, zoom and shift are one affine map and one interpolation; smaller
    views are averaged down from it. Beyond the frame there is sky at the image's own
    median, not black. Then a blur for the whole batch, brightness, gain for each
    color, and Gaussian noise.
    """
    size = view_size or image_size
    x = images.float().div_(255)
    sky = sky_level(x)
    sky[:, COLORS:] = 0
    drawn = max(size, image_size)
    maps = random_affine(x, config, image_size, drawn, generator)
    from kornia.geometry.transform import warp_affine  # slow to load: not to classify

    x = warp_affine(x.sub_(sky), maps, (drawn, drawn), align_corners=True)
    if size < drawn:  # a warp alone would skip pixels, and what it skips is grain
        x = F.interpolate(
            x, (size, size), mode="bilinear", align_corners=False, antialias=True
        )
    x, masks, sky = x[:, :COLORS], x[:, COLORS:], sky[:, :COLORS]
    if config.blur:
        x = _blurred(x, config.blur * size, generator)
    factor = 1 + config.brightness * uniform(-1, 1, x, generator)[:, None]
    gains = [1 + config.gain * uniform(-1, 1, x, generator) for _ in range(x.shape[1])]
    factor = (factor * torch.stack(gains, dim=1))[..., None, None]  # (B, 3, 1, 1)
    sigma = config.noise * uniform(0, 1, x, generator).view(-1, 1, 1, 1)
    half = (-(-len(x) // 2), *x.shape[1:])
    noise = torch.randn(half, device=x.device, generator=generator)
    noise = torch.cat([noise, -noise[: len(x) // 2]])  # normal numbers are dear
    # In place: on a CPU each pass over fresh memory costs as much as its arithmetic.
    x = x.add_(sky).mul_(factor).addcmul_(noise, sigma).clamp_(0, 1)
    return torch.cat([x, masks], dim=1) if masks.shape[1] else x


def _blurred(x: Tensor, largest: float, generator: torch.Generator) -> Tensor:
    """Blur every other batch; one kernel a batch is a fast convolution."""
    sigma, chance = torch.rand(2, device=x.device, generator=generator).tolist()
    sigma *= largest
    if chance < 0.5 or sigma < 0.2:  # narrower than a pixel's own width
        return x
    side = 2 * math.ceil(3 * sigma) + 1
    from kornia.filters import gaussian_blur2d  # as above

    return gaussian_blur2d(x, (side, side), (sigma, sigma))


def mixup(
    images: Tensor, targets: Tensor, alpha: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Blend each image and its target with those of another galaxy.

    Parameters
    ----------
    images : (B, C, H, W) float
        Views.
    targets : (B, K) float
        Class probabilities.
    alpha : float
        Both parameters of the Beta distribution of the share; above 0.
    generator : torch.Generator
        Source of randomness.

    Returns
    -------
    tuple of Tensor
        Images and targets of the same shapes.

    Notes
    -----
    Zhang et al. (2018, ICLR, arXiv 1710.09412), one share for the batch, drawn as
    the ratio of two Gamma variates.
    """
    gamma = torch.full((2,), alpha, device=images.device)
    first, second = torch._standard_gamma(gamma, generator=generator).tolist()
    share = first / (first + second) if first + second > 0 else 0.5
    partner = torch.randperm(len(images), device=images.device, generator=generator)
    mixed = share * images + (1 - share) * images[partner]
    return mixed, share * targets + (1 - share) * targets[partner]


def dihedral_views(images: Tensor, num: int = 8) -> Tensor:
    """Make flips and quarter turns of each image.

    Parameters
    ----------
    images : (B, C, H, H) Tensor
        Square images.
    num : int
        How many of the eight.

    Returns
    -------
    (num, B, C, H, H) Tensor
        The first is the image itself, the second its mirror image; pixels are moved,
        never interpolated.
    """
    turned = [images.rot90(k, dims=(2, 3)) for k in range((num + 1) // 2)]
    both = [view for one in turned for view in (one, one.flip(3))]
    return torch.stack(both[:num])


def turned_back(maps: Tensor) -> Tensor:
    """Turn what was made of `dihedral_views` back to how the images stand.

    Parameters
    ----------
    maps : (num, ..., H, H) Tensor
        One for each view, in their order.

    Returns
    -------
    (num, ..., H, H) Tensor
        ``turned_back(dihedral_views(images))`` is so many times the images.
    """
    upright = [m.flip(-1) if k % 2 else m for k, m in enumerate(maps)]
    turned = [m.rot90(-(k // 2), dims=(-2, -1)) for k, m in enumerate(upright)]
    return torch.stack(turned)
