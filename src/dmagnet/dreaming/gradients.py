"""From a gradient to a step: per image, so that a batch dreams as each does alone."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.config.dream_config import DreamConfig
from dmagnet.dreaming.statistics import color_matrix

ROUNDING = 1e-6  # of float32, with a margin: weaker bands hold nothing else
FLATTEST = 0.01  # least spread of a gradient over its mean size
PYRAMID_LEVELS = 4
SMALLEST_BAND = 8  # px; below, a band holds too few pixels for its RMS to mean much
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)


def step_from(gradient: Tensor, config: DreamConfig) -> Tensor:
    """Turn a gradient into the change of one step."""
    if config.basis == "fourier":
        gradient = fourier_precondition(gradient, config.decay)
    if config.normalize == "laplacian":
        gradient = laplacian_normalize(gradient)
    scale = gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
    if config.normalize == "std":
        # The gradient of a mean over many places is tiny, its square may be zero.
        gradient = gradient / scale
        spread = gradient.std(dim=(1, 2, 3), keepdim=True).clamp(min=FLATTEST)
        return gradient * (config.step_size / spread)
    return gradient / (scale / config.step_size)


def laplacian_normalize(gradient: Tensor, levels: int = PYRAMID_LEVELS) -> Tensor:
    """Give every scale of a gradient the same strength."""
    # The Laplacian pyramid of Burt & Adelson (1983) with their 5-tap binomial kernel,
    # as TensorFlow's Deep Dream notebook (2015) uses it. Deviations: borders are
    # reflected, bands are enlarged bilinearly, the RMS is that of each image, not of
    # the batch, and bands below 1e-6 of the gradient's RMS stay weak: they hold
    # rounding.
    bands: list[Tensor] = []
    peak = gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
    current = gradient / peak.clamp(min=torch.finfo(peak.dtype).tiny)
    weakest = ROUNDING * _rms(current)
    while len(bands) < levels - 1 and min(current.shape[2:]) >= 2 * SMALLEST_BAND:
        low = _halve(current)
        bands.append(current - _expand(low, current.shape[2:]))
        current = low
    bands.append(current)
    merged: Tensor | None = None
    for band in reversed(bands):
        equal = band / torch.maximum(_rms(band), weakest)
        merged = equal if merged is None else _expand(merged, band.shape[2:]) + equal
    assert merged is not None  # there is one band at least
    return merged


def _rms(band: Tensor) -> Tensor:
    return band.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()


def _halve(images: Tensor) -> Tensor:
    """Blur, and keep every other row and column."""
    taps = torch.tensor(BINOMIAL, device=images.device, dtype=images.dtype) / 16
    kernel = torch.outer(taps, taps).expand(images.shape[1], 1, 5, 5)
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect")
    return F.conv2d(padded, kernel, stride=2, groups=images.shape[1])


def _expand(low: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(low, size=tuple(size), mode="bilinear", align_corners=False)


def fourier_precondition(gradient: Tensor, decay: float) -> Tensor:
    """Follow a gradient as if the image were made of waves in natural colors."""
    # Images as decorrelated Fourier waves are the basis of Olah, Mordvintsev & Schubert
    # (2017). With image = base + A w for a linear map A, a gradient step in w moves the
    # image along A A^T g: the basis is a preconditioner of g, and needs neither own
    # parameters nor a way back, so that a dream of zero steps is the image itself. A
    # scales each frequency f by 1/max(f, 1/side)^decay and mixes colors with the square
    # root of the covariance of *galaxy* pixels, not of ImageNet's.
    size = (gradient.shape[2], gradient.shape[3])
    peak = gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
    even = gradient / peak.clamp(min=torch.finfo(peak.dtype).tiny)
    waves = torch.fft.rfft2(even) * _wave_scale(size, decay, gradient.device)
    smooth = torch.fft.irfft2(waves, s=size)
    root = color_matrix().to(gradient)
    return torch.einsum("dc,bchw->bdhw", root @ root.t(), smooth)


@functools.lru_cache(maxsize=8)
def _wave_scale(size: tuple[int, int], decay: float, device: torch.device) -> Tensor:
    """Return the square of the amplitude of each wave, 1 for the longest."""
    down = torch.fft.fftfreq(size[0], device=device)
    right = torch.fft.rfftfreq(size[1], device=device)
    frequency = torch.hypot(down[:, None], right[None, :]) * max(size)
    scale: Tensor = frequency.clamp(min=1) ** (-2 * decay)
    return scale
