"""Concentration, asymmetry, smoothness, Gini and M20 of galaxies and of dreams."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dmagnet.errors import DataError
from dmagnet.measuring.apertures import (
    CAS_EXTENT,
    Aperture,
    ApertureFlag,
    find_aperture,
    grey,
    in_parts,
    join,
    middle_of,
)
from dmagnet.measuring.asymmetry import (
    BOX,
    SMALLEST_BOX_PX,
    asymmetry_about,
    smoothness,
)
from dmagnet.measuring.photometry import (
    Light,
    circle_overlap,
    ellipse,
    enclosed,
    gini,
    m20,
    radii_of_shares,
)

SHARES = (0.2, 0.5, 0.8)
FLUX_EXTENT = 2.0  # Petrosian radii
MOST_CUT_OFF = 0.1  # share of the area


@dataclass(frozen=True, eq=False)
class Morphology:
    """The shape of galaxies in numbers, (B,) each; NaN is what could not be measured.

    Attributes
    ----------
    concentration : Tensor
        5 log10(r80 / r20).
    asymmetry : Tensor
        Light that differs from that on the other side, over all light.
    smoothness : Tensor
        Light in clumps, over all light: the larger, the less smooth.
    gini : Tensor
        0 where all pixels are equally bright, 1 where one has all the light.
    m20 : Tensor
        log10 of the second moment of the brightest fifth over that of all light.
    r_petro, r20, r50, r80 : Tensor
        Petrosian radius, and circles with shares of the light within 1.5 of it; px.
    ellipticity, theta : Tensor
        1 - b / a, and the angle of the major axis from x to y in radians.
    x, y : Tensor
        Center, px; the middle of the first pixel is 0.
    flux : Tensor
        Light within 2 Petrosian radii.
    sky, sky_sigma : Tensor
        Level of the sky that was taken off, and its scatter.
    flag : Tensor of int
        Bits of `ApertureFlag`; 0 is a good measurement.
    """

    concentration: Tensor
    asymmetry: Tensor
    smoothness: Tensor
    gini: Tensor
    m20: Tensor
    r_petro: Tensor
    r20: Tensor
    r50: Tensor
    r80: Tensor
    ellipticity: Tensor
    theta: Tensor
    x: Tensor
    y: Tensor
    flux: Tensor
    sky: Tensor
    sky_sigma: Tensor
    flag: Tensor


@torch.no_grad()
def measure_morphology(
    images: Tensor, *, aperture: Aperture | None = None
) -> Morphology:
    """Measure the classical morphology of a batch.

    Parameters
    ----------
    images : (B, H, W) or (B, 3, H, W)
        Any unit; of colors the mean is taken. In pictures with a stretch the values are
        those of the picture, and not of the flux that papers quote.
    aperture : Aperture, optional
        Where to measure, as `find_aperture` found it: that of galaxies for their
        dreams. Center, radii, segmentation and sky are then kept, and only the light
        within counts. Found in the images if not given.

    Returns
    -------
    Morphology
        One number each, and a flag.

    Raises
    ------
    DataError
        If the shape is another, there is no image, a pixel is NaN or infinite, or the
        aperture is that of images of another number or size.

    Notes
    -----
    Conselice (2003, ApJS 147, 1) and Lotz, Primack & Madau (2004, AJ 128, 163), as in
    statmorph (Rodriguez-Gomez et al. 2019, MNRAS 483, 4140); `find_aperture` and
    `dmagnet.measuring.asymmetry.smoothness` say where ours differ.
    """
    aperture = find_aperture(images) if aperture is None else aperture
    images = grey(images)
    if images.shape != aperture.valid.shape:
        raise DataError(
            f"expected images of the aperture's shape {tuple(aperture.valid.shape)}, "
            f"got {tuple(images.shape)}; find their aperture anew"
        )
    return join(
        [_measure(images[part], aperture.pick(part)) for part in in_parts(images)]
    )


def _measure(images: Tensor, aperture: Aperture) -> Morphology:
    exists = aperture.x.isfinite()
    # Where there is no galaxy any place will do: the values become NaN at the end.
    (x, y), some = middle_of(images, aperture.x, aperture.y), min(images.shape[1:]) / 4
    r_petro = aperture.r_petro.nan_to_num(some)
    extent = CAS_EXTENT * r_petro
    r_asymmetry = CAS_EXTENT * aperture.r_start.nan_to_num(some)
    light = Light.above(images, aperture.sky, aperture.valid)

    radii = radii_of_shares(light, x, y, extent, SHARES)
    flux, _ = enclosed(light, x, y, FLUX_EXTENT * r_petro[:, None])
    ellipticity, theta = ellipse(light.values * aperture.galaxy, x, y)
    measured = {
        "concentration": 5 * (radii[:, 2] / radii[:, 0]).log10(),
        "asymmetry": asymmetry_about(light, x, y, r_asymmetry, aperture.sky_asymmetry),
        "smoothness": smoothness(
            light, (x, y), r_petro, CAS_EXTENT, aperture.sky_clumps
        ),
        "gini": gini(light.values, aperture.segmentation),
        "m20": m20(light.values, aperture.segmentation),
        "r_petro": aperture.r_petro,
        "r20": radii[:, 0],
        "r50": radii[:, 1],
        "r80": radii[:, 2],
        "ellipticity": ellipticity,
        "theta": theta,
        "x": aperture.x,
        "y": aperture.y,
        "flux": flux[:, 0],
    }
    measured = {k: v.where(exists, torch.nan) for k, v in measured.items()}
    inside = circle_overlap(x, y, extent, images.shape).sum(dim=(1, 2))
    lost = 1 - inside / (torch.pi * extent.square())
    flag = aperture.flag.clone()
    for bit, where in (
        (ApertureFlag.CUT_OFF, lost >= MOST_CUT_OFF),
        (ApertureFlag.SMALL, r_petro * BOX < SMALLEST_BOX_PX),
        (ApertureFlag.NOT_POSITIVE, radii.isnan().any(dim=1) | measured["m20"].isnan()),
    ):
        flag |= bit * (where & exists)
    return Morphology(
        **measured, sky=aperture.sky, sky_sigma=aperture.sky_sigma, flag=flag
    )
