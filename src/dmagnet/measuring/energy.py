"""Shares of a dream's detail or a map of attention that lie on the galaxy."""

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.errors import DataError
from dmagnet.judging.predict import on_picture
from dmagnet.measuring.apertures import Aperture
from dmagnet.measuring.photometry import circle_overlap


def aperture_energy(detail: Tensor, aperture: Aperture) -> dict[str, Tensor]:
    """Measure how much of something lies on the galaxy.

    Parameters
    ----------
    detail : (B, C, H, W) or (B, h, w) float
        What a dream added, of any size over the same frame, or a map of a network,
        either brought to the frame's size. The absolute value counts.
    aperture : Aperture
        Of the B galaxies.

    Returns
    -------
    dict of str to (B,) Tensor
        ``inside1`` and ``inside2``: share within one and two Petrosian radii, and
        ``inside_segment``: within the galaxy's segmentation, each over the share of
        the frame's area, so that 1 is no preference. NaN where there is no galaxy, or
        nothing to share out.

    Raises
    ------
    DataError
        If there are not as many maps as apertures.
    """
    if len(detail) != len(aperture):
        raise DataError(
            f"expected {len(aperture)} maps, one for each galaxy, got {len(detail)}"
        )
    size = aperture.segmentation.shape
    strength = detail.abs().double()
    if strength.ndim == 3:
        strength = on_picture(strength, (size[1], size[2]))
    else:
        strength = F.interpolate(
            strength.mean(dim=1, keepdim=True), size=tuple(size[1:]), mode="bilinear",
            align_corners=False, antialias=True,
        )[:, 0]  # fmt: skip
    strength = strength / strength.sum(dim=(1, 2), keepdim=True)
    place = aperture.x, aperture.y
    masks = {
        "inside1": circle_overlap(*place, aperture.r_petro, size),
        "inside2": circle_overlap(*place, 2 * aperture.r_petro, size),
        "inside_segment": aperture.segmentation.double(),
    }
    known = aperture.r_petro.isfinite()
    return {
        name: torch.where(
            known,
            (strength * mask).sum(dim=(1, 2)) / mask.mean(dim=(1, 2)),
            torch.nan,
        )
        for name, mask in masks.items()
    }
