"""Fluxes as colors, as the Legacy Survey viewer draws them.

Arrays of NumPy and tensors of torch alike: the simulator draws on a GPU, and reading a
FITS file needs no torch.
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

Flux = TypeVar("Flux", npt.NDArray[np.float32], "Tensor")

# Planes red, green, blue are z, r, g; the factors are per nanomaggy, from the
# viewer's map for g, r, z (Legacy Surveys, `dr2_rgb`).
GRZ_SCALES = {"g": 6.0, "r": 3.4, "z": 2.2}
SOFTENING = 20.0  # Q of Lupton et al. (2004, PASP 116, 133)
PEDESTAL = 0.03  # keeps sky noise visible on both sides of zero


def legacy_rgb(flux: Flux) -> Flux:
    """Draw g, r, z fluxes as the Legacy Survey viewer does.

    Parameters
    ----------
    flux : (..., 3, H, W) float array or tensor
        Nanomaggies per pixel in the order g, r, z.

    Returns
    -------
    (..., 3, H, W) float in [0, 1]
        Red, green, blue; of the kind that came in.

    Notes
    -----
    The arcsinh stretch of Lupton et al. (2004), eq. 1-2, on the mean of the scaled
    bands, with the viewer's constants and its clipping of each color on its own.
    """
    values: Any = flux  # arrays and tensors share the calls below
    scales = np.array([[[GRZ_SCALES[band]]] for band in "grz"], np.float32)
    if not isinstance(flux, np.ndarray):
        scales = values.new_tensor(scales)
    scaled = values * scales + PEDESTAL
    intensity = scaled.clip(min=0).mean(axis=-3, keepdims=True)
    bright = SOFTENING * intensity
    arcsinh = np.arcsinh(bright) if isinstance(flux, np.ndarray) else bright.arcsinh()
    stretched = arcsinh / SOFTENING**0.5
    rgb: Flux = scaled * stretched / intensity.clip(min=1e-6)
    return rgb[..., [2, 1, 0], :, :].clip(0, 1)
