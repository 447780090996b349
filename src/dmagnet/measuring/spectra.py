"""Power spectra and azimuthal modes of images and of dreams' details."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.errors import DataError

NUM_RINGS = 24
NUM_ANGLES = 128
ANNULUS = (0.2, 1.0)  # radii, between which modes are measured


def radial_power(
    images: Tensor,
    *,
    radius: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Measure the power spectrum of images, averaged over directions and colors.

    Parameters
    ----------
    images : (B, C, H, W) or (B, H, W) float
        Images, or details of dreams.
    radius : (B,) float, optional
        Petrosian radius of each galaxy in px, to count cycles per galaxy.

    Returns
    -------
    frequency : (F,) or (B, F) float
        Of each annulus in cycles per px, up to 0.5; with a radius, (B, F) in cycles per
        radius. One annulus for each cycle per smaller side.
    power : (B, F) float
        Mean density in each annulus, in squared brightness times px^2, so that the
        level of white noise is its variance.

    Raises
    ------
    DataError
        If the images are not of this form.

    Notes
    -----
    ``P(k) = mean of abs(FFT(w (x - m)))^2 near k / (H W mean(w^2))``, with m the
    w-weighted mean, so that no power is left at zero frequency. The sum over all waves
    over H W is the variance, weighted by w^2 (Parseval); annuli stop where the first of
    them is cut by the border of the plane of frequencies.

    A Hann window is applied because neither galaxies nor dreams are periodic: the
    jump from one border to the other would leak power that falls as f^-2 only, above
    what smooth details hold. It costs two cycles of resolution, and weighs the middle
    of the frame, where the galaxy is, more.
    """
    x = as_batch(images)
    height, width = x.shape[2:]
    weight = _taper(x)
    mean = (x * weight).sum(dim=(2, 3), keepdim=True) / weight.sum()
    waves = torch.fft.rfft2((x - mean) * weight).abs().square().mean(dim=1)
    density = waves / (height * width * weight.square().mean())  # (B, H, W//2+1)
    down = torch.fft.fftfreq(height, device=x.device, dtype=x.dtype)
    right = torch.fft.rfftfreq(width, device=x.device, dtype=x.dtype)
    distance = torch.hypot(down[:, None], right).flatten()
    # Of a real image half the waves are stored; those of inner columns stand for two.
    times = torch.full_like(right, 2)
    times[0] = 1
    if width % 2 == 0:
        times[-1] = 1
    times = times.expand(height, -1).flatten()
    side = min(height, width)
    annulus = (distance * side).round().long()
    inside = (annulus >= 1) & (annulus <= side // 2)
    annulus, times = annulus[inside] - 1, times[inside]
    cells = x.new_zeros(side // 2).index_add_(0, annulus, times)
    middle = x.new_zeros(side // 2)
    middle = middle.index_add_(0, annulus, times * distance[inside]) / cells
    power = x.new_zeros(len(x), side // 2)
    held = density.flatten(1)[:, inside] * times
    power = power.index_add_(1, annulus, held) / cells
    if radius is not None:
        middle = middle * radius.to(middle)[:, None]
    return middle, power


def _taper(images: Tensor) -> Tensor:
    """Return the weight (H, W) of each pixel."""
    down, right = (
        torch.hann_window(n, periodic=False, dtype=images.dtype, device=images.device)
        for n in images.shape[2:]
    )
    return down[:, None] * right


def as_batch(images: Tensor) -> Tensor:
    """Return images with axes (B, C, H, W) in single precision or better."""
    if images.ndim not in (3, 4) or not images.is_floating_point():
        raise DataError(
            "expected floating-point images of shape (B, C, H, W) or (B, H, W), got "
            f"{str(images.dtype).removeprefix('torch.')} of shape {tuple(images.shape)}"
        )
    if min(images.shape[-2:]) < 4:
        raise DataError(f"expected images from 4 px, got {tuple(images.shape[-2:])}")
    if images.dtype in (torch.float16, torch.bfloat16):
        images = images.float()
    return images if images.ndim == 4 else images[:, None]


def spectral_centroid(frequency: Tensor, power: Tensor) -> Tensor:
    """Compute the frequency around which an image varies."""
    variance = power * frequency
    return (variance * frequency).sum(dim=1) / variance.sum(dim=1)


def share_below(frequency: Tensor, power: Tensor, limit: float = 1.0) -> Tensor:
    """Compute the share of an image's variance in slow waves."""
    variance = power * frequency
    step = (frequency[..., -1:] - frequency[..., :1]) / (frequency.shape[-1] - 1)
    inside = ((limit - frequency) / step + 0.5).clamp(0, 1)
    return (variance * inside).sum(dim=1) / variance.sum(dim=1)


def azimuthal_modes(
    images: Tensor,
    x: Tensor,
    y: Tensor,
    radius: Tensor,
    modes: Sequence[int] = (1, 2, 3, 4),
    *,
    signed: bool = False,
) -> Tensor:
    """Measure lopsidedness (m = 1), bars and two arms (2), three, four arms.

    Parameters
    ----------
    images : (B, C, H, W) or (B, H, W) float
        Galaxies, or details of dreams.
    x, y : (B,) float
        Centers in px, 0 at the middle of the first pixel.
    radius : (B,) float
        Petrosian radii in px.
    modes : sequence of int
        Which m, from 1 to 63.
    signed : bool
        False for galaxies: amplitudes over the mean brightness. True for details of
        dreams, whose mean is about zero: shares of the variance in the annulus.

    Returns
    -------
    (B, M) float
        One column for each mode; NaN where no ring lies within the frame.

    Raises
    ------
    DataError
        If the images are not of this form.

    Notes
    -----
    On 24 rings from 0.2 to 1 radius, evenly spaced in log r and sampled bilinearly at
    128 angles, a_m(r) is the mean of I(r, theta) exp(-i m theta). The result is
    ``sum_r w 2 abs(a_m) / sum_r w a_0``, the A_m/A_0 of Rix & Zaritsky (1995, ApJ
    447, 82) with rings weighted by their area, w ~ r^2. Of a signed image it is
    ``sum_r w 2 abs(a_m)^2 / sum_r w mean((I - I_0)^2)``, I_0 the annulus' mean: over
    all m > 0 these add up to the non-axisymmetric share. Amplitudes are added over
    rings without their phases, so that winding arms count as much as straight ones.
    Colors are added. Rings that leave the frame are left out.
    """
    batch = as_batch(images)
    rings, area = polar_rings(batch, (x, y), radius, ANNULUS)
    if not modes or not all(1 <= m < NUM_ANGLES // 2 for m in modes):
        raise DataError(f"modes: expected 1 to {NUM_ANGLES // 2 - 1}, got {modes}")
    waves = torch.fft.rfft(rings, dim=3, norm="forward")
    weight = area[:, None, :] / area.sum(dim=1)[:, None, None]  # NaN without rings
    picked = waves[..., list(modes)].abs()
    if not signed:
        strength = 2 * picked
        whole = (weight * waves[..., 0].real).sum(dim=(1, 2))
    else:
        strength = 2 * picked.square()
        mean = (weight * rings.mean(dim=3)).sum(dim=2)[..., None, None]
        deviation = (rings - mean).square().mean(dim=3)
        whole = (weight * deviation).sum(dim=(1, 2))
    shares: Tensor = (weight[..., None] * strength).sum(dim=(1, 2)) / whole[:, None]
    return shares


def polar_rings(
    images: Tensor, center: tuple[Tensor, Tensor], radius: Tensor,
    bounds: tuple[float, float], *, num_rings: int = NUM_RINGS,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Sample rings (B, C, R, T), even in log r; areas (B, R), 0 outside the frame."""
    b, _, height, width = images.shape
    x, y, radius = (v.to(images).view(b, 1, 1) for v in (*center, radius))
    steps = torch.linspace(0, 1, num_rings, device=images.device, dtype=images.dtype)
    share = bounds[0] * (bounds[1] / bounds[0]) ** steps
    angle = torch.arange(NUM_ANGLES, device=images.device, dtype=images.dtype)
    angle = angle * (2 * torch.pi / NUM_ANGLES)
    r = radius * share[:, None]  # (B, R, 1)
    right, down = x + r * angle.cos(), y + r * angle.sin()  # (B, R, T)
    scaled = (2 * right / (width - 1) - 1, 2 * down / (height - 1) - 1)
    grid = torch.stack(scaled, dim=3)
    rings = F.grid_sample(images, grid, align_corners=True, padding_mode="border")
    inside = (grid.abs() <= 1 + 1e-6).all(dim=3).all(dim=2)
    return rings, r[..., 0].square() * inside
