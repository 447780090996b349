"""Fluxes as colors, as the Legacy Survey viewer draws them."""

import torch
from torch import Tensor

# Planes red, green, blue are z, r, g; the factors are per nanomaggy, from the
# viewer's map for g, r, z (Legacy Surveys, `dr2_rgb`).
GRZ_SCALES = {"g": 6.0, "r": 3.4, "z": 2.2}
SOFTENING = 20.0  # Q of Lupton et al. (2004, PASP 116, 133)
PEDESTAL = 0.03  # keeps sky noise visible on both sides of zero


def legacy_rgb(flux: Tensor) -> Tensor:
    """Draw g, r, z fluxes as the Legacy Survey viewer does.

    Parameters
    ----------
    flux : (..., 3, H, W) float
        Nanomaggies per pixel in the order g, r, z.

    Returns
    -------
    (..., 3, H, W) float in [0, 1]
        Red, green, blue.

    Notes
    -----
    The arcsinh stretch of Lupton et al. (2004), eq. 1-2, on the mean of the scaled
    bands, with the viewer's constants and its clipping of each color on its own.
    """
    scales = flux.new_tensor([GRZ_SCALES[band] for band in "grz"])
    scaled = flux * scales[:, None, None] + PEDESTAL
    intensity = scaled.clamp(min=0).mean(dim=-3, keepdim=True)
    stretched = torch.asinh(SOFTENING * intensity) / SOFTENING**0.5
    rgb: Tensor = scaled * stretched / intensity.clamp(min=1e-6)
    return rgb.flip(-3).clamp(0, 1)
