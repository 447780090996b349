"""Deep Dream: climb at several scales, coarse to fine, and keep the galaxy's detail."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmagnet.config.dream_config import DreamConfig
from dmagnet.config.train_config import SMALLEST_SIDE
from dmagnet.dreaming.objectives import Objective
from dmagnet.dreaming.scorer import Scorer, check_gradient
from dmagnet.dreaming.steps import rms, steps_of
from dmagnet.dreaming.tiles import TiledScorer
from dmagnet.dreaming.views import Views
from dmagnet.errors import ConfigError, DataError
from dmagnet.storage.records import brief

MAX_OCTAVES = 4  # Mordvintsev et al. (2015)
# At a time, of all images and views; LAM of size s takes 1.2 kB for each: 2.5 GB.
BATCH_PIXELS = 8 * 512 * 512


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

    __repr__ = brief


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
    size: Sequence[int],
    config: DreamConfig,
    stride: int = 1,
    smallest: int = SMALLEST_SIDE,
) -> list[tuple[int, int]]:
    """Lay out the octaves."""
    smallest = max(smallest, 2 * stride)
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
            f"that the layer or the network can take; use at most octaves={fitting}"
        )
    height, width = size
    shrink = [config.scale**i for i in range(octaves - 1, -1, -1)]
    return [(round(height / by), round(width / by)) for by in shrink]


def add(images: Tensor, detail: Tensor, config: DreamConfig) -> Tensor:
    """Add detail and cut to [0, 1]: all colors alike where color is to be kept."""
    if config.keep_color:
        low, high = images.aminmax(dim=1, keepdim=True)
        detail = detail.mean(dim=1, keepdim=True).clamp(-low, 1 - high)
    return (images + detail).clamp_(0, 1)


def ascend(
    images: Tensor,
    ground: Tensor,
    scorer: Scorer | TiledScorer,
    views: Views,
    rates: Sequence[float],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Climb at one resolution, a step for each rate."""
    config = views.config
    step = steps_of(config, images)
    for rate in rates:
        scores, gradient = _mean_gradient(images, scorer, views)
        check_gradient(gradient, scorer.objective)
        if config.tv:
            rough = _roughness(images - ground)
            gradient = gradient / rms(gradient) - config.tv * (rough / rms(rough))
        if config.keep_color:
            gradient = gradient.mean(dim=1, keepdim=True).expand_as(gradient)
        raised = add(images, step(gradient, rate), config)
        images = _limited(raised, ground, config.strength)
        yield images, scores


def _mean_gradient(
    images: Tensor, scorer: Scorer | TiledScorer, views: Views
) -> tuple[Tensor, Tensor]:
    """Average score and gradient over random views, as one batch where it fits."""
    drawn = views.draw(images)
    fit = 1 if isinstance(scorer, TiledScorer) else BATCH_PIXELS // images[:, 0].numel()
    scores, slope = torch.zeros((), device=images.device), torch.zeros_like(images)
    with torch.inference_mode(False), torch.enable_grad():
        leaf = images.detach()
        leaf = (leaf.clone() if leaf.is_inference() else leaf).requires_grad_()
        while seen := [view(leaf) for view in islice(drawn, max(fit, 1))]:
            together = torch.cat(seen) if len(seen) > 1 else seen[0]
            score, part = scorer.gradient(together.detach(), len(seen))
            if together is not leaf:
                (part,) = torch.autograd.grad(together, leaf, part)
            share = len(seen) / views.num
            scores, slope = scores + score * share, slope + part * share
    return scores, slope


def _roughness(detail: Tensor) -> Tensor:
    """Return the slope of the total variation (Rudin, Osher & Fatemi 1992)."""
    down = F.pad(detail.diff(dim=2).sign(), (0, 0, 1, 1))
    right = F.pad(detail.diff(dim=3).sign(), (1, 1))
    return down[:, :, :-1] - down[:, :, 1:] + right[..., :-1] - right[..., 1:]


def _limited(images: Tensor, ground: Tensor, strength: float) -> Tensor:
    """Shrink what was added to an RMS, the same share everywhere."""
    if not strength:
        return images
    detail = images - ground
    share = strength / rms(detail)
    return torch.where(share < 1, ground + detail * share, images)


def step_rates(config: DreamConfig, num: int) -> list[float]:
    """Lay out the sizes of all steps of a dream: from the first down a cosine."""
    # The schedule of Loshchilov & Hutter (2017), to `fade` of the first step.
    share = [(1 + math.cos(math.pi * k / num)) / 2 for k in range(num)]
    return [config.step_size * (config.fade + (1 - config.fade) * s) for s in share]


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
    The octaves are those of Mordvintsev, Olah & Tyka (2015): each works on the image
    at its size plus the detail dreamed so far; only that detail is ever enlarged, and
    the image is read anew at each size, so a dream of zero steps is the image, bit for
    bit. By default steps follow the mean gradient of random views, in waves, as lucid
    does (Olah, Mordvintsev & Schubert 2017), get smaller, and add no more than an RMS
    of ``strength``. `DreamConfig.plain` is the dream of 2015. Deviations: steps are
    normalized for each image of a batch alone, the plain dream's jitter is an eighth of
    the side at each octave (32 px at 256), and pixels are kept in [0, 1].
    """
    config = config or DreamConfig()
    check_images(images)
    scorer = Scorer(model, objective, images)
    yield from octave_frames(scorer, images, config, seed)


def octave_frames(
    scorer: Scorer,
    images: Tensor,
    config: DreamConfig,
    seed: int | Sequence[int] | None = None,
    base: Tensor | None = None,
) -> Iterator[DreamFrame]:
    """Do what `dream_frames` does with a network that is prepared already.

    What is added is counted from `base`, where the images hold dreamed detail already.
    """
    config.check_climbs()
    still = not scorer.objective.rolls
    views = Views(config.seed if seed is None else seed, config, still=still)
    if len(views.generators) not in (1, len(images)):
        raise ConfigError(
            f"seed: expected one, or one for each of the {len(images)} images, got "
            f"{len(views.generators)}"
        )
    sizes = octave_sizes(images.shape[2:], config, scorer.stride, scorer.smallest)
    images = images.detach().contiguous(memory_format=torch.channels_last)
    # Before the first step: a layer that cannot be tiled is refused at once.
    large = config.tile and max(sizes[-1]) > config.tile
    tiled = TiledScorer(scorer, config.tile) if large else None
    rates = step_rates(config, config.steps * len(sizes))
    detail = torch.zeros_like(images)
    for octave, size in enumerate(sizes):
        ground = resample(images, size)
        now = add(ground, resample(detail, size), config)
        climber = tiled if tiled and max(size) > config.tile else scorer
        own = rates[octave * config.steps : (octave + 1) * config.steps]
        origin = ground if base is None else resample(base, size)
        ascent = ascend(now, origin, climber, views, own)
        for step, (now, scores) in enumerate(ascent, start=1):
            yield DreamFrame(now, scores, octave, step, len(sizes))
        detail = now - ground
    if config.steps == 0:
        yield DreamFrame(now, scorer.score(now), len(sizes) - 1, 0, len(sizes))
