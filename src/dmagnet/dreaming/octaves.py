"""Deep Dream: climb at several scales, coarse to fine, and keep the galaxy's detail."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import index

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmagnet.config.dream_config import DreamConfig
from dmagnet.config.train_config import SMALLEST_SIDE
from dmagnet.dreaming.objectives import Objective
from dmagnet.dreaming.scorer import HasGradient, Scorer, check_gradient
from dmagnet.dreaming.statistics import color_matrix
from dmagnet.dreaming.tiles import TiledScorer
from dmagnet.errors import ConfigError, DataError

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


MAX_OCTAVES = 4  # Mordvintsev et al. (2015)


@dataclass(frozen=True, eq=False)
class DreamFrame:
    """A dream after one step.

    Attributes
    ----------
    images : (B, 3, h, w) Tensor in [0, 1]
        At the side of the octave.
    scores : (B,) Tensor
        Of the images before the step.
    octave : int
        From 0, the coarsest.
    step : int
        From 1 within the octave; 0 for an octave of no steps.
    octaves : int
        How many there are.
    """

    images: Tensor
    scores: Tensor
    octave: int
    step: int
    octaves: int


def check_images(images: Tensor) -> None:
    """Refuse what cannot be dreamed.

    Parameters
    ----------
    images : Tensor
        Should be (B, 3, H, W), floating point, in [0, 1], finite.

    Raises
    ------
    DataError
        If it is not.
    """
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise DataError(
            "expected floating-point images of shape (B, 3, H, W), got "
            f"{str(images.dtype).removeprefix('torch.')} of shape "
            f"{tuple(images.shape)}; repeat a grey image three times, drop alpha"
        )
    if images.numel() == 0:
        raise DataError(
            f"expected at least one image of at least one px, got {tuple(images.shape)}"
        )
    images = images.detach()
    if not bool(images.isfinite().all()):
        raise DataError("expected finite pixels, got NaN or infinity; fill them first")
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        raise DataError(
            f"expected pixels from 0 to 1, got {low:.4g} to {high:.4g}; "
            "divide 8-bit values by 255"
        )


def resample(images: Tensor, size: Sequence[int]) -> Tensor:
    """Bring images to a size.

    Parameters
    ----------
    images : (B, C, H, W) float
        Images or details.
    size : sequence of int
        Height and width.

    Returns
    -------
    (B, C, h, w) float
        Bilinear, with antialiasing where it shrinks; the very same tensor where the
        size is right already.
    """
    if tuple(images.shape[2:]) == tuple(size):
        return images
    resized = F.interpolate(
        images, size=tuple(size), mode="bilinear", align_corners=False, antialias=True
    )
    # Weights add up to 1 but for rounding, which may lift white above 1.
    return resized.clamp(images.min(), images.max())


def octave_sizes(
    size: Sequence[int], config: DreamConfig, stride: int = 1
) -> list[tuple[int, int]]:
    """Lay out the octaves."""
    smallest = max(SMALLEST_SIDE, 2 * stride)
    if min(size) < 2 * stride:
        raise ConfigError(
            f"expected an image of at least {2 * stride} px for a layer of stride "
            f"{stride}, got {min(size)} px; enlarge it or choose an earlier layer"
        )
    fitting = 1
    while min(size) / config.scale**fitting >= smallest and fitting < 100:
        fitting += 1
    octaves = min(MAX_OCTAVES, fitting) if config.octaves is None else config.octaves
    if octaves > fitting:
        side = round(min(size) / config.scale ** (octaves - 1))
        raise ConfigError(
            f"octaves={octaves} would start at {side} px, below the {smallest} px "
            f"that the layer can take; use at most octaves={fitting}"
        )
    height, width = size
    shrink = [config.scale**i for i in range(octaves - 1, -1, -1)]
    return [(round(height / by), round(width / by)) for by in shrink]


class Jitter:
    """Random rolls, the same for every image of a batch or one stream for each."""

    def __init__(self, seed: int | Sequence[int], share: float) -> None:
        seeds = seed if isinstance(seed, Sequence) else [index(seed)]
        self.share = share
        self.generators = [torch.Generator().manual_seed(s) for s in seeds]

    def draw(self, size: Sequence[int]) -> list[tuple[int, int]]:
        """Draw the next rolls."""
        most = [round(side * self.share) for side in size]
        return [
            (_uniform(most[0], generator), _uniform(most[1], generator))
            for generator in self.generators
        ]


def _uniform(most: int, generator: torch.Generator) -> int:
    return int(torch.randint(-most, most + 1, (), generator=generator))


def _roll(images: Tensor, shifts: list[tuple[int, int]], sign: int) -> Tensor:
    if len(shifts) == 1:
        return images.roll((sign * shifts[0][0], sign * shifts[0][1]), (2, 3))
    rolled = torch.empty_like(images)  # also in memory layout, unlike a stack
    for i, (down, right) in enumerate(shifts):
        rolled[i] = images[i].roll((sign * down, sign * right), (1, 2))
    return rolled


def ascend(
    images: Tensor, scorer: HasGradient, objective: Objective,
    config: DreamConfig, jitter: Jitter,
) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
    """Climb at one resolution."""
    for _ in range(config.steps):
        shifts = jitter.draw(images.shape[2:])
        scores, gradient = scorer.gradient(_roll(images, shifts, 1))
        check_gradient(gradient, objective)
        change = step_from(_roll(gradient, shifts, -1), config)
        images = (images + change).clamp_(0, 1)
        yield images, scores


def dream_frames(
    model: nn.Module,
    images: Tensor,
    objective: Objective,
    config: DreamConfig | None = None,
    *,
    seed: int | Sequence[int] | None = None,
) -> Iterator[DreamFrame]:
    """Dream step by step: the caller may look, save, show progress, or stop.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] in; it is copied and never touched.
    images : (B, 3, H, W) float in [0, 1]
        Where the dream starts, on the device of the network.
    objective : Objective
        What to climb; ``-objective`` to walk down.
    config : DreamConfig, optional
        Octaves, steps, jitter and the rest.
    seed : int or sequence of int, optional
        One for all images or one for each; the config's if not given.

    Yields
    ------
    DreamFrame
        One for each step of each octave; at least one. The last has the size of the
        image and is the dream.

    Raises
    ------
    DataError
        If the images are not of this form.
    ConfigError
        If the network has no such layer, if the image or an octave is too small, or if
        the objective has no gradient.

    Notes
    -----
    The algorithm of Mordvintsev, Olah & Tyka (2015). An octave works on the image at
    its size plus the detail dreamed so far; only that detail is ever enlarged, and the
    image is read anew at each size, so a dream of zero steps is the image, bit for bit.
    Deviations: steps are normalized for each image of a batch alone, jitter is an
    eighth of the side at each octave (32 px at 256), and pixels are kept in [0, 1].
    """
    config = config or DreamConfig()
    check_images(images)
    scorer = Scorer(model, objective, images)
    yield from octave_frames(scorer, images, config, seed=seed)


def octave_frames(
    scorer: Scorer,
    images: Tensor,
    config: DreamConfig,
    *,
    seed: int | Sequence[int] | None = None,
) -> Iterator[DreamFrame]:
    """Do what `dream_frames` does with a network that is prepared already."""
    if config.basis == "galaxy":
        raise ConfigError(
            "basis: expected pixel or fourier for images, got galaxy, which draws its "
            "own; see dmagnet.dreaming.galaxy_frames"
        )
    share = config.jitter if scorer.objective.rolls else 0.0
    jitter = Jitter(config.seed if seed is None else seed, share)
    if len(jitter.generators) not in (1, len(images)):
        raise ConfigError(
            f"seed: expected one, or one for each of the {len(images)} images, got "
            f"{len(jitter.generators)}"
        )
    sizes = octave_sizes(images.shape[2:], config, scorer.stride)
    images = images.detach().contiguous(memory_format=torch.channels_last)
    # Before the first step: a layer that cannot be tiled is refused at once.
    large = config.tile and max(sizes[-1]) > config.tile
    tiled = TiledScorer(scorer, config.tile) if large else None
    detail = torch.zeros_like(images)
    for octave, size in enumerate(sizes):
        ground = resample(images, size)
        now = (ground + resample(detail, size)).clamp_(0, 1)
        climber: HasGradient = scorer
        if tiled and max(size) > config.tile:
            climber = tiled
        ascent = ascend(now, climber, scorer.objective, config, jitter)
        for step, (now, scores) in enumerate(ascent, start=1):
            yield DreamFrame(now, scores, octave, step, len(sizes))
        detail = now - ground
    if config.steps == 0:
        yield DreamFrame(now, scorer.score(now), len(sizes) - 1, 0, len(sizes))
