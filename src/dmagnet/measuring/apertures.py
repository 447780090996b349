"""Place, extent and sky of galaxies, found once; what of their dreams lies there."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import IntFlag
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.errors import DataError
from dmagnet.judging.predict import on_picture
from dmagnet.measuring import photometry
from dmagnet.measuring.asymmetry import clumps, most_symmetric_center, sky_asymmetry
from dmagnet.measuring.segments import find_sources, petrosian_segmentation, sky_boxes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

CAS_EXTENT = 1.5  # Petrosian radii that hold the galaxy (Conselice 2003)
MOST_DRIFT = 0.25  # Petrosian radii from the centroid to the most symmetric center
SCARCE_SKY = 0.01  # share of the frame
CACHED_PX = 2**16  # measured at a time on a processor

NoiseFrom = Literal["frame", "box"]
Record = TypeVar("Record", bound="DataclassInstance")


class ApertureFlag(IntFlag):
    """What speaks against a measurement; 0 is a good one."""

    GOOD = 0
    NO_SOURCE = 1  # nothing stands out from the sky: all values are NaN
    NO_RADIUS = 2  # light never falls to 0.2 of the mean within: all values are NaN
    NO_SKY = 4  # less than 1 % of the frame is away from sources
    CUT_OFF = 8  # a tenth or more of the 1.5 Petrosian radii is outside of the frame
    DRIFTED = 16  # no symmetric center near the centroid, which is used instead
    SPLIT = 32  # the segmentation had further pieces, which were dropped
    SMALL = 64  # Petrosian radius below 8 px: no smoothness
    NOT_POSITIVE = 128  # light does not add up to something positive


@dataclass(frozen=True, eq=False)
class Aperture:
    """The place, extent and sky of galaxies, for themselves and for their dreams.

    Attributes
    ----------
    x, y : (B,) float Tensor
        Center about which the galaxy is most symmetric, in px; the middle of the first
        pixel is 0. NaN, as the radii and the ellipse, where there is no galaxy.
    r_petro : (B,) float Tensor
        Petrosian radius of circles, px.
    a_petro : (B,) float Tensor
        Petrosian semi-major axis of ellipses, px.
    r_start : (B,) float Tensor
        Petrosian radius about the centroid, px; 1.5 times it is where asymmetry is
        looked at.
    ellipticity : (B,) float Tensor
        1 - b / a of the second moments.
    theta : (B,) float Tensor
        Angle of the major axis from x to y, radians.
    galaxy : (B, H, W) bool Tensor
        The detected source.
    segmentation : (B, H, W) bool Tensor
        Pixels above the brightness at `a_petro`, for Gini and M20.
    valid : (B, H, W) bool Tensor
        Pixels that belong to no other source.
    sky, sky_sigma : (B,) float Tensor
        Level and scatter of the sky, in the images' unit.
    sky_asymmetry : (B,) float Tensor
        Mean absolute difference of opposite pixels of sky.
    sky_clumps : (B,) float Tensor
        Mean light of the sky above its own smoothed image.
    flag : (B,) int Tensor
        Bits of `ApertureFlag`.
    """

    x: Tensor
    y: Tensor
    r_petro: Tensor
    a_petro: Tensor
    r_start: Tensor
    ellipticity: Tensor
    theta: Tensor
    galaxy: Tensor
    segmentation: Tensor
    valid: Tensor
    sky: Tensor
    sky_sigma: Tensor
    sky_asymmetry: Tensor
    sky_clumps: Tensor
    flag: Tensor

    def __len__(self) -> int:
        return len(self.flag)

    def pick(self, chosen: Tensor | slice) -> "Aperture":
        """Return the apertures of some galaxies; an index may come more than once."""
        return Aperture(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})


def grey(images: Tensor) -> Tensor:
    """Bring images to what is measured: one plane in double precision."""
    colored = images.ndim == 4 and images.shape[1] == 3
    if not (colored or images.ndim == 3) or not images.numel():
        raise DataError(
            "expected images of shape (B, H, W) or (B, 3, H, W), got "
            f"{tuple(images.shape)}; give one image as images[None]"
        )
    if not bool(images.isfinite().all()):
        raise DataError("expected finite pixels, got NaN or infinity; fill them first")
    return images.double().mean(dim=1) if colored else images.double()


def in_parts(images: Tensor) -> list[slice]:
    """Cut a batch so that the work on it fits into a processor's cache."""
    num = max(1, CACHED_PX // images[0].numel()) if images.is_cpu else len(images)
    return [slice(i, i + num) for i in range(0, len(images), num)]


def join(records: Sequence[Record]) -> Record:
    """Put the records of parts of a batch together."""
    names = [f.name for f in fields(records[0])]
    return type(records[0])(
        **{name: torch.cat([getattr(r, name) for r in records]) for name in names}
    )


@torch.no_grad()
def find_aperture(images: Tensor, *, noise: NoiseFrom = "frame") -> Aperture:
    """Find where galaxies are and how far they reach.

    Parameters
    ----------
    images : (B, H, W) or (B, 3, H, W)
        Any unit, with sky. The galaxy is the source at the center of the frame.
    noise : {"frame", "box"}
        Where the asymmetry and the clumps of the sky are measured, which are taken off
        those of the galaxy: wherever there is no source, or in one box of 32 px, the
        first in the order of rows, as in statmorph. The box is there to compare; a
        picture that is turned has another.

    Returns
    -------
    Aperture
        Also of galaxies that could not be found: their `ApertureFlag` says so.

    Raises
    ------
    DataError
        If the shape is another, there is no image, or a pixel is NaN or infinite.

    Notes
    -----
    Lotz, Primack & Madau (2004, AJ 128, 163) in the form of statmorph (Rodriguez-Gomez
    et al. 2019, MNRAS 483, 4140): the centroid of the source, the Petrosian radius
    about it, the center of least asymmetry within 1.5 of it, and the radii again about
    that center. Ours differ in the sky (above), and in that the asymmetry leaves out
    what lies beyond the frame, where statmorph has zeros.
    """
    images = grey(images)
    return join([_find_aperture(images[part], noise) for part in in_parts(images)])


def _find_aperture(images: Tensor, noise: NoiseFrom) -> Aperture:
    sources = find_sources(images)
    sky = sources.sky_mask
    if noise == "box":
        sky = sky_boxes(sources.galaxy, sources.others)
    light = photometry.Light.above(images, sources.sky, ~sources.others)
    asymmetric = sky_asymmetry(images, sky, sources.sky_sigma)

    x0, y0 = photometry.centroid(light.values * sources.galaxy)
    seen = x0.isfinite()
    # Images without a galaxy take part in the batch, and become NaN at the end.
    (x0, y0), some_radius = middle_of(images, x0, y0), min(images.shape[1:]) / 4
    r_start, found = photometry.petrosian(light, x0, y0)
    exists = seen & found
    r_start = r_start.nan_to_num(some_radius)

    x, y = most_symmetric_center(light, x0, y0, CAS_EXTENT * r_start, asymmetric)
    drifted = (x - x0).hypot(y - y0) > MOST_DRIFT * r_start
    x, y = torch.where(drifted, x0, x), torch.where(drifted, y0, y)

    r_petro, found = photometry.petrosian(light, x, y)
    exists &= found
    ellipticity, theta = photometry.ellipse(light.values * sources.galaxy, x, y)
    shape = 1 / (1 - ellipticity).nan_to_num(1).clamp(min=1e-3), theta.nan_to_num(0)
    a_petro, found = photometry.petrosian(light, x, y, shape)
    exists &= found
    segmentation, split = petrosian_segmentation(
        light, x, y, a_petro.nan_to_num(some_radius), shape
    )
    clumpy = clumps(light, r_petro.nan_to_num(some_radius))
    flag = torch.zeros_like(x0, dtype=torch.long)
    for bit, where in (
        (ApertureFlag.NO_SOURCE, ~seen),
        (ApertureFlag.NO_RADIUS, seen & ~exists),
        (ApertureFlag.NO_SKY, sources.sky_mask.double().mean(dim=(1, 2)) < SCARCE_SKY),
        (ApertureFlag.DRIFTED, exists & drifted),
        (ApertureFlag.SPLIT, exists & split),
    ):
        flag |= bit * where
    found_numbers = {
        "x": x, "y": y, "r_petro": r_petro, "a_petro": a_petro, "r_start": r_start,
        "ellipticity": ellipticity, "theta": theta,
    }  # fmt: skip
    return Aperture(
        **{k: v.where(exists, torch.nan) for k, v in found_numbers.items()},
        galaxy=sources.galaxy,
        segmentation=segmentation & exists[:, None, None],
        valid=~sources.others,
        sky=sources.sky,
        sky_sigma=sources.sky_sigma,
        sky_asymmetry=asymmetric,
        sky_clumps=(clumpy * sky).sum(dim=(1, 2)) / sky.sum(dim=(1, 2)).clamp(min=1),
        flag=flag,
    )


def middle_of(images: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Put the middle of the frame where there is no center."""
    height, width = images.shape[1:]
    return x.nan_to_num((width - 1) / 2), y.nan_to_num((height - 1) / 2)


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
        strength = on_picture(strength, size[1:])
    else:
        strength = F.interpolate(
            strength.mean(dim=1, keepdim=True), size=tuple(size[1:]), mode="bilinear",
            align_corners=False, antialias=True,
        )[:, 0]  # fmt: skip
    strength = strength / strength.sum(dim=(1, 2), keepdim=True)
    place = aperture.x, aperture.y
    masks = {
        "inside1": photometry.circle_overlap(*place, aperture.r_petro, size),
        "inside2": photometry.circle_overlap(*place, 2 * aperture.r_petro, size),
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
