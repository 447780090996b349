"""Numbers from the pixels of a galaxy: centroid, ellipse, Gini and M20."""

import torch
from torch import Tensor

from dmagnet.measures.photometry import pixel_offsets

BRIGHTEST = 0.2  # share of the light that M20 looks at


def centroid(light: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean place of the light.

    Parameters
    ----------
    light : (B, H, W) float
        Above the sky; zero outside of the galaxy.

    Returns
    -------
    tuple of (B,) Tensor
        Its x and y in px; NaN where the light is not positive.
    """
    total = light.sum(dim=(1, 2))
    total = total.where(total > 0, torch.nan)
    zero = torch.zeros_like(total)
    right, down = pixel_offsets(zero, zero, light.shape)
    x, y = ((light * axis).sum(dim=(1, 2)) / total for axis in (right, down))
    return x, y


def ellipse(light: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Measure ellipticity and orientation from second moments.

    Parameters
    ----------
    light : (B, H, W) float
        Above the sky; zero outside of the galaxy.
    x, y : (B,) float
        Center, px.

    Returns
    -------
    tuple of (B,) Tensor
        Ellipticity 1 - b / a, and angle of the major axis from x to y in radians,
        -pi / 2 to pi / 2.

    Notes
    -----
    The ellipse with the same second moments (Bertin & Arnouts 1996, A&AS 117, 393).
    """
    right, down = pixel_offsets(x, y, light.shape)
    total = light.sum(dim=(1, 2))
    xx, yy, xy = (
        (light * product).sum(dim=(1, 2)) / total
        for product in (right**2, down**2, right * down)
    )
    mean, spread = (xx + yy) / 2, ((xx - yy) / 2).hypot(xy)
    axes = torch.stack((mean + spread, mean - spread)).abs().sqrt()
    ratio = axes.amin(dim=0) / axes.amax(dim=0)
    return 1 - ratio, 0.5 * torch.atan2(2 * xy, xx - yy)


def gini(light: Tensor, segmentation: Tensor) -> Tensor:
    """Measure how unequally light is shared out among pixels.

    Parameters
    ----------
    light : (B, H, W) float
        Above the sky.
    segmentation : (B, H, W) bool
        The galaxy's pixels.

    Returns
    -------
    (B,) float
        0 where all are equally bright, 1 where one has all the light; NaN for less
        than two pixels, or no light.

    Notes
    -----
    Lotz et al. (2004, AJ 128, 163), eq. 6, with their absolute values.
    """
    values = light.abs().where(segmentation, -1.0).flatten(1).sort(dim=1).values
    num = segmentation.sum(dim=(1, 2))
    places = torch.arange(1, values.shape[1] + 1, device=light.device)
    rank = places - (values.shape[1] - num)[:, None]  # the galaxy's come last
    values = values.clamp(min=0)
    weighted = ((2 * rank - num[:, None] - 1) * values).sum(dim=1)
    total = values.sum(dim=1)
    return (weighted / ((num - 1) * total)).where((num > 1) & (total > 0), torch.nan)


def m20(light: Tensor, segmentation: Tensor) -> Tensor:
    """Measure how far out the brightest fifth of the light is.

    Parameters
    ----------
    light : (B, H, W) float
        Above the sky.
    segmentation : (B, H, W) bool
        The galaxy's pixels.

    Returns
    -------
    (B,) float
        Its second moment over that of all light, as log10; NaN where the light or a
        moment is not positive.

    Notes
    -----
    Lotz et al. (2004, AJ 128, 163), eq. 7-8. The moments are about the centroid, which
    makes that of all light the least.
    """
    light = light * segmentation
    x, y = centroid(light)
    right, down = pixel_offsets(x, y, light.shape)
    moments = light * (right.square() + down.square())
    values = light.flatten(1).sort(dim=1).values
    fainter = values.cumsum(dim=1)
    reached = fainter >= (1 - BRIGHTEST) * fainter[:, -1:]
    faintest = values.gather(1, reached.int().argmax(dim=1, keepdim=True))
    bright = light >= faintest[:, :, None]
    share = (moments * bright).sum(dim=(1, 2)) / moments.sum(dim=(1, 2))
    return share.where(share > 0, torch.nan).log10()
