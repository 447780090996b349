"""Light profiles that galaxies and stars are built from.

Each profile integrates to one over the plane, so a flux in nanomaggies times a
profile per square arcsecond is a surface brightness.
"""

import math

import torch
from torch import Tensor

# Integral of sqrt(1 + pi x / 2) exp(-x) from 0: 1 + sqrt(pi a) / 2 e^(1/a) erfc(a^-1/2)
RADIAL_AREA = 1 + math.pi / 8**0.5 * math.exp(2 / math.pi) * math.erfc(
    (2 / math.pi) ** 0.5
)


def sersic_b(n: Tensor) -> Tensor:
    """Return the b_n that makes the effective radius enclose half of the light."""
    # The expansion of Ciotti & Bertin (1999, A&A 352, 447), eq. 18.
    return (
        2 * n
        - 1 / 3
        + 4 / (405 * n)
        + 46 / (25515 * n**2)
        + 131 / (1148175 * n**3)
        - 2194697 / (30690717750 * n**4)
    )


def sersic(radius_sq: Tensor, r_e: Tensor, n: Tensor) -> Tensor:
    """Return the Sersic profile of unit flux."""
    # Graham & Driver (2005, PASA 22, 118), eq. 1 and 4. Not truncated.
    b = sersic_b(n)
    log_total = (
        b + torch.lgamma(2 * n) + (2 * math.pi * n * r_e**2).log() - 2 * n * b.log()
    )
    power = ((radius_sq / r_e**2).clamp(min=1e-12).log() * (0.5 / n)).exp()
    return (b - log_total - b * power).exp()


def exponential(radius: Tensor, scale_length: Tensor) -> Tensor:
    """Return the exponential disc of unit flux, seen face-on."""
    # Freeman (1970, ApJ 160, 811).
    return (-radius / scale_length).exp() / (2 * math.pi * scale_length**2)


def edge_on_disc(
    along: Tensor, above: Tensor, scale_length: Tensor, scale_height: Tensor
) -> Tensor:
    """Return the self-gravitating exponential disc of unit flux, seen from its side."""
    # van der Kruit & Searle (1981, A&A 95, 105), eq. 5: x K1(x) sech^2(z / z0). For
    # speed x K1(x) is taken as sqrt(1 + pi x / 2) exp(-x), which has the shape of both
    # its limits, and normalized anew: it is within 2 per cent everywhere.
    x = along.abs() / scale_length
    # sech^2 as exponentials of a negative argument: no overflow far from the plane.
    fall = (-2 * above.abs() / scale_height).exp()
    vertical = 4 * fall / (1 + fall) ** 2
    radial = (1 + (math.pi / 2) * x).sqrt() * (-x).exp()
    return radial * vertical / (4 * RADIAL_AREA * scale_length * scale_height)


def ferrers_bar(
    along: Tensor, across: Tensor, length: Tensor, width: Tensor, boxiness: Tensor
) -> Tensor:
    """Return a flat bar of unit flux with a sharp end."""
    # The projected Ferrers profile 1 - rho^2 with the generalized ellipses of
    # Athanassoula et al. (1990, MNRAS 245, 130); Gadotti (2011, MNRAS 415, 3308) finds
    # exponents of 2.2 to 3.
    c = boxiness
    rho_c = (along.abs() / length).pow(c) + (across.abs() / width).pow(c)
    inverse = 1 / c
    log_area = 2 * torch.lgamma(1 + inverse) - torch.lgamma(1 + 2 * inverse)
    total = 2 * length * width * log_area.exp()  # area / 2, as (1 - rho^2) halves it
    return (1 - rho_c.clamp(max=1).pow(2 * inverse)) / total


def moffat(radius_sq: Tensor, fwhm: Tensor, beta: Tensor) -> Tensor:
    """Return the Moffat profile of a star, of unit flux."""
    # Moffat (1969, A&A 3, 455); Trujillo et al. (2001, MNRAS 328, 977).
    alpha_sq = (fwhm / 2) ** 2 / (2 ** (1 / beta) - 1)
    # log1p/exp is several times faster than a power of two tensors
    wings = (-beta * torch.log1p(radius_sq / alpha_sq)).exp()
    return (beta - 1) / (math.pi * alpha_sq) * wings


def moffat_kernel(fwhm_px: Tensor, beta: Tensor, size: int) -> Tensor:
    """Draw the point-spread function on a periodic grid, for a product of FFTs."""
    # One quadrant is enough: the kernel is even along both axes.
    step = torch.arange(size // 2 + 1, device=fwhm_px.device, dtype=fwhm_px.dtype)
    radius_sq = step[:, None] ** 2 + step**2
    quadrant = moffat(radius_sq, fwhm_px[..., None, None], beta[..., None, None])
    index = torch.arange(size, device=fwhm_px.device)
    index = torch.minimum(index, size - index)
    kernel = quadrant.index_select(-2, index).index_select(-1, index)
    return kernel / kernel.sum(dim=(-2, -1), keepdim=True)
