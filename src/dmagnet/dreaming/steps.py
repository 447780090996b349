"""From a gradient to the change of one step: in pixels, in bands, in waves."""

import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from dmagnet.config.dream_config import DreamConfig
from dmagnet.dreaming.statistics import color_matrix

FAINT = 1e-3  # of the RMS of all waves: weaker ones hold rounding
ROUNDING = 1e-6  # of float32, with a margin: weaker bands hold nothing else
FLATTEST = 0.01  # least spread of a gradient over its mean size
PYRAMID_LEVELS = 4
SMALLEST_BAND = 8  # px; below, a band holds too few pixels for its RMS to mean much
BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)
MEMORY = (0.9, 0.99)  # of Adam's means; 0.999, torch's own, forgets nothing in 24 steps


# Turns gradients (B, 3, h, w) into changes of about a size, in units of white.
StepRule = Callable[[Tensor, float], Tensor]


def steps_of(config: DreamConfig, images: Tensor) -> StepRule:
    """Choose how to step on images of this shape."""
    if config.basis == "pixel":
        return functools.partial(pixel_step, normalize=config.normalize)
    return Waves(images, config.decay)


def pixel_step(gradient: Tensor, size: float, normalize: str = "mean-abs") -> Tensor:
    """Follow the gradient, scaled to a mean change or to a spread."""
    if normalize == "laplacian":
        gradient = laplacian_normalize(gradient)
    scale = gradient.abs().mean(dim=(1, 2, 3), keepdim=True)
    if normalize == "std":
        # The gradient of a mean over many places is tiny, its square may be zero.
        gradient = gradient / scale
        spread = gradient.std(dim=(1, 2, 3), keepdim=True).clamp(min=FLATTEST)
        return gradient * (size / spread)
    return gradient / scale * size


class Waves:
    """Adam in the waves of an image, in the colors of galaxies."""

    # The basis of Olah, Mordvintsev & Schubert (2017, lucid): the image is a sum of
    # waves of frequency f and amplitude 1/max(f, 1/side)^decay in decorrelated colors,
    # and Adam (Kingma & Ba 2015) climbs in the waves. Deviations: the colors are those
    # of galaxies, not of ImageNet; the image is not squeezed by a sigmoid but cut, as
    # the sky has a true black; what is climbed is what is added to the image, so that a
    # dream of no steps is the image itself; a step of size 1 in all waves of random
    # sign changes the image by an RMS of 1.

    def __init__(self, images: Tensor, decay: float) -> None:
        batch, _, height, width = images.shape
        self.size = (height, width)
        self.scale = _amplitudes(self.size, decay, images.device)
        colors = color_matrix().to(images.device, torch.float32)
        self.colors = colors * (math.sqrt(3) / colors.norm())
        shape = (batch, 3, height, width // 2 + 1)
        with torch.inference_mode(False):
            self.waves = torch.zeros(shape, dtype=torch.complex64, device=images.device)
            self.optimizer = torch.optim.Adam(
                [self.waves], lr=1.0, betas=MEMORY, eps=FAINT
            )

    @torch.no_grad()
    def __call__(self, gradient: Tensor, size: float) -> Tensor:
        """Change the images by about `size`, in units of white."""
        own = torch.einsum("dc,bdhw->bchw", self.colors, even(gradient).float())
        slope = torch.fft.rfft2(own, norm="ortho") * self.scale
        strength = slope.abs().square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        self.waves.zero_()
        self.waves.grad = -slope / strength  # Adam walks down
        self.optimizer.param_groups[0]["lr"] = size
        self.optimizer.step()
        change = torch.fft.irfft2(self.waves * self.scale, s=self.size, norm="ortho")
        return torch.einsum("dc,bchw->bdhw", self.colors, change).to(gradient)


@functools.lru_cache(maxsize=8)
def _amplitudes(size: tuple[int, int], decay: float, device: torch.device) -> Tensor:
    """Return the amplitude of each wave, of an RMS of 1 over all of the plane."""
    down = torch.fft.fftfreq(size[0], device=device)
    frequency = torch.hypot(down[:, None], torch.fft.fftfreq(size[1], device=device))
    scale = (frequency * max(size)).clamp(min=1) ** -decay
    # Adam steps by 1 in the real and in the imaginary part.
    scale = scale / (2 * scale.square().mean()).sqrt()
    return scale[:, : size[1] // 2 + 1]


def laplacian_normalize(gradient: Tensor, levels: int = PYRAMID_LEVELS) -> Tensor:
    """Give every scale of a gradient the same strength."""
    # The Laplacian pyramid of Burt & Adelson (1983) with their 5-tap binomial kernel,
    # as TensorFlow's Deep Dream notebook (2015) uses it. Deviations: borders are
    # reflected, the RMS is that of each image, not of the batch, and bands below 1e-6
    # of the gradient's RMS stay weak: they hold rounding.
    bands: list[Tensor] = []
    current = even(gradient)
    weakest = ROUNDING * rms(current)
    while len(bands) < levels - 1 and min(current.shape[2:]) >= 2 * SMALLEST_BAND:
        low = _halve(current)
        bands.append(current - _expand(low, current.shape[2:]))
        current = low
    merged = current / torch.maximum(rms(current), weakest)
    for band in reversed(bands):
        equal = band / torch.maximum(rms(band), weakest)
        merged = _expand(merged, band.shape[2:]) + equal
    return merged


def rms(images: Tensor) -> Tensor:
    """Return the root mean square of each image: (B, 1, 1, 1), above 0."""
    scale = images.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return scale.clamp(min=torch.finfo(scale.dtype).tiny)


def even(gradient: Tensor) -> Tensor:
    """Divide each gradient by its largest number: none is lost in rounding then."""
    peak = gradient.abs().amax(dim=(1, 2, 3), keepdim=True)
    return gradient / peak.clamp(min=torch.finfo(peak.dtype).tiny)


def _kernel(images: Tensor) -> Tensor:
    taps = torch.tensor(BINOMIAL, device=images.device, dtype=images.dtype) / 16
    return torch.outer(taps, taps).expand(images.shape[1], 1, 5, 5)


def _halve(images: Tensor) -> Tensor:
    """Blur, and keep every other row and column."""
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect")
    return F.conv2d(padded, _kernel(images), stride=2, groups=images.shape[1])


def _expand(low: Tensor, size: torch.Size) -> Tensor:
    """Bring every pixel back to where `_halve` took it from, and blur."""
    padded = F.pad(low, (1, 1, 1, 1), mode="replicate")
    wide = F.conv_transpose2d(
        padded, 4 * _kernel(low), stride=2, padding=2, output_padding=1,
        groups=low.shape[1],
    )  # fmt: skip
    return wide[..., 2 : 2 + size[0], 2 : 2 + size[1]]
