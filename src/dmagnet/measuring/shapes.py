"""Numbers from the pixels of a galaxy: centroid, ellipse, Gini and M20."""

import torch
from torch import Tensor

from dmagnet.measuring.photometry import pixel_offsets

BRIGHTEST = 0.2  # share of the light that M20 looks at


def centroid(light: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean place of the light."""
    total = light.sum(dim=(1, 2))
    total = total.where(total > 0, torch.nan)
    zero = torch.zeros_like(total)
    right, down = pixel_offsets(zero, zero, light.shape)
    x, y = ((light * axis).sum(dim=(1, 2)) / total for axis in (right, down))
    return x, y


def ellipse(light: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Measure ellipticity and orientation from second moments."""
    # The ellipse with the same second moments (Bertin & Arnouts 1996, A&AS 117, 393).
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
    """Measure how unequally light is shared out among pixels."""
    # Lotz et al. (2004, AJ 128, 163), eq. 6, with their absolute values.
    values = light.abs().where(segmentation, -1.0).flatten(1).sort(dim=1).values
    num = segmentation.sum(dim=(1, 2))
    places = torch.arange(1, values.shape[1] + 1, device=light.device)
    rank = places - (values.shape[1] - num)[:, None]  # the galaxy's come last
    values = values.clamp(min=0)
    weighted = ((2 * rank - num[:, None] - 1) * values).sum(dim=1)
    total = values.sum(dim=1)
    return (weighted / ((num - 1) * total)).where((num > 1) & (total > 0), torch.nan)


def m20(light: Tensor, segmentation: Tensor) -> Tensor:
    """Measure how far out the brightest fifth of the light is."""
    # Lotz et al. (2004, AJ 128, 163), eq. 7-8. The moments are about the centroid,
    # which makes that of all light the least.
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
