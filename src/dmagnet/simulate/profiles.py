"""How light falls off: the profiles that galaxies and stars are built from.

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
    """Return the b_n that makes the effective radius enclose half of the light.

    Parameters
    ----------
    n : (...) float, 0.36 to 10
        Sersic index.

    Returns
    -------
    (...) float
        The root of 2 gamma(2n, b) = Gamma(2n), to 1e-4 for n >= 0.5.

    Notes
    -----
    The expansion of Ciotti & Bertin (1999, A&A 352, 447), eq. 18.
    """
    return (
        2 * n
        - 1 / 3
        + 4 / (405 * n)
        + 46 / (25515 * n**2)
        + 131 / (1148175 * n**3)
        - 2194697 / (30690717750 * n**4)
    )


def sersic(radius_sq: Tensor, r_e: Tensor, n: Tensor) -> Tensor:
    """Return the Sersic profile of unit flux.

    Parameters
    ----------
    radius_sq : (...) float, from 0
        Square of the (elliptical) radius, in the unit of `r_e`.
    r_e : (...) float
        Effective radius: it encloses half of the light.
    n : (...) float, 0.36 to 10
        Sersic index: 0.5 Gaussian, 1 exponential, 4 de Vaucouleurs.

    Returns
    -------
    (...) float
        Light per unit area of a round galaxy; divide by the axis ratio where the
        radius is that of an ellipse's major axis.

    Notes
    -----
    Graham & Driver (2005, PASA 22, 118), eq. 1 and 4. Not truncated.
    """
    b = sersic_b(n)
    log_total = (
        b + torch.lgamma(2 * n) + (2 * math.pi * n * r_e**2).log() - 2 * n * b.log()
    )
    power = ((radius_sq / r_e**2).clamp(min=1e-12).log() * (0.5 / n)).exp()
    return (b - log_total - b * power).exp()


def exponential(radius: Tensor, scale_length: Tensor) -> Tensor:
    """Return the exponential disc of unit flux, seen face-on.

    Parameters
    ----------
    radius : (...) float, from 0
        Radius in the plane of the disc.
    scale_length : (...) float
        Scale length in the same unit; 1.678 of it hold half of the light.

    Returns
    -------
    (...) float
        Light per unit area; divide by the cosine of the inclination on the sky.

    Notes
    -----
    Freeman (1970, ApJ 160, 811).
    """
    return (-radius / scale_length).exp() / (2 * math.pi * scale_length**2)


def edge_on_disc(
    along: Tensor, above: Tensor, scale_length: Tensor, scale_height: Tensor
) -> Tensor:
    """Return the self-gravitating exponential disc of unit flux, seen from its side.

    Parameters
    ----------
    along : (...) float
        Distance from the center along the disc.
    above : (...) float
        Distance from the plane of the disc.
    scale_length : (...) float
        Exponential scale length, in the same unit.
    scale_height : (...) float
        The z0 of sech^2(z / z0), in the same unit.

    Returns
    -------
    (...) float
        Light per unit area.

    Notes
    -----
    van der Kruit & Searle (1981, A&A 95, 105), eq. 5: x K1(x) sech^2(z / z0). For
    speed x K1(x) is taken as sqrt(1 + pi x / 2) exp(-x), which has the shape of both
    its limits, and normalized anew: it is within 2 per cent everywhere.
    """
    x = along.abs() / scale_length
    # sech^2 as exponentials of a negative argument: no overflow far from the plane.
    fall = (-2 * above.abs() / scale_height).exp()
    vertical = 4 * fall / (1 + fall) ** 2
    radial = (1 + (math.pi / 2) * x).sqrt() * (-x).exp()
    return radial * vertical / (4 * RADIAL_AREA * scale_length * scale_height)


def ferrers_bar(
    along: Tensor, across: Tensor, length: Tensor, width: Tensor, boxiness: Tensor
) -> Tensor:
    """Return a flat bar of unit flux with a sharp end.

    Parameters
    ----------
    along, across : (...) float
        Coordinates along and across the bar.
    length, width : (...) float
        Semi-axes in the same unit; there is no light outside.
    boxiness : (...) float
        Exponent of the generalized ellipse: 2 is an ellipse, more is a box.

    Returns
    -------
    (...) float
        Light per unit area.

    Notes
    -----
    The projected Ferrers profile 1 - rho^2 with the generalized ellipses of
    Athanassoula et al. (1990, MNRAS 245, 130); Gadotti (2011, MNRAS 415, 3308)
    finds exponents of 2.2 to 3.
    """
    c = boxiness
    rho_c = (along.abs() / length).pow(c) + (across.abs() / width).pow(c)
    inverse = 1 / c
    log_area = 2 * torch.lgamma(1 + inverse) - torch.lgamma(1 + 2 * inverse)
    total = 2 * length * width * log_area.exp()  # area / 2, as (1 - rho^2) halves it
    return (1 - rho_c.clamp(max=1).pow(2 * inverse)) / total


def moffat(radius_sq: Tensor, fwhm: Tensor, beta: Tensor) -> Tensor:
    """Return the Moffat profile of a star, of unit flux.

    Parameters
    ----------
    radius_sq : (...) float, from 0
        Square of the distance from the star.
    fwhm : (...) float
        Full width at half maximum, in the unit of the distance.
    beta : (...) float, above 1
        Steepness of the wings.

    Returns
    -------
    (...) float
        Light per unit area.

    Notes
    -----
    Moffat (1969, A&A 3, 455); Trujillo et al. (2001, MNRAS 328, 977).
    """
    alpha_sq = (fwhm / 2) ** 2 / (2 ** (1 / beta) - 1)
    # log1p/exp is several times faster than a power of two tensors
    wings = (-beta * torch.log1p(radius_sq / alpha_sq)).exp()
    return (beta - 1) / (math.pi * alpha_sq) * wings


def moffat_kernel(fwhm_px: Tensor, beta: Tensor, size: int) -> Tensor:
    """Draw the point-spread function on a periodic grid, for a product of FFTs.

    Parameters
    ----------
    fwhm_px : (...) float
        Full width at half maximum in pixels.
    beta : (...) float, above 1
        Steepness of the wings.
    size : int
        Side of the grid in pixels.

    Returns
    -------
    (..., size, size) float
        Kernels that sum to one, with the peak at [0, 0] and wrapped around.
    """
    # One quadrant is enough: the kernel is even along both axes.
    step = torch.arange(size // 2 + 1, device=fwhm_px.device, dtype=fwhm_px.dtype)
    radius_sq = step[:, None] ** 2 + step**2
    quadrant = moffat(radius_sq, fwhm_px[..., None, None], beta[..., None, None])
    index = torch.arange(size, device=fwhm_px.device)
    index = torch.minimum(index, size - index)
    kernel = quadrant.index_select(-2, index).index_select(-1, index)
    return kernel / kernel.sum(dim=(-2, -1), keepdim=True)
