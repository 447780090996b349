"""Dream again at other resolutions, and never blur the galaxy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.config.dream_config import DreamConfig, RedreamConfig
from dmagnet.config.train_config import SMALLEST_SIDE
from dmagnet.dreaming.maco import maco_dream
from dmagnet.dreaming.objectives import Objective
from dmagnet.dreaming.octaves import (
    DreamFrame,
    add,
    check_images,
    octave_frames,
    octave_sizes,
    resample,
)
from dmagnet.dreaming.scorer import Scorer
from dmagnet.dreaming.views import warp
from dmagnet.errors import ConfigError
from dmagnet.storage.records import Arrays, brief

STREAM = 2**32  # added to a seed: other numbers than those of the views


@dataclass(frozen=True, eq=False)
class Pass:
    """One pass of a re-dream.

    Attributes
    ----------
    number : int
        From 0.
    side : int
        Larger side at which it dreamed, in px.
    images : (B, 3, h, w) Tensor in [0, 1]
        The dream at that side.
    scores : (B,) Tensor
        Of those images.
    detail : (B, 3, h, w) Tensor
        What the dream added to the galaxy there.
    residual : (B,) Tensor
        How much the detail changed in this pass: the norm of the change over the
        norm of the detail before, both at the image's own size; NaN where there was
        no detail before.
    frame : DreamFrame
        The last step of the pass.
    probabilities : (B, K) ndarray or None
        Class probabilities of those images, where somebody asked for them.
    control : (B,) ndarray or None
        The residual of the same pass with steps at random, which ask no network: a
        detail settles by adding up alone.
    """

    number: int
    side: int
    images: Tensor
    scores: Tensor
    detail: Tensor
    residual: Tensor
    frame: DreamFrame
    probabilities: NDArray[Any] | None = None
    control: NDArray[Any] | None = None

    __repr__ = brief


def default_schedule(side: int, smallest: int = SMALLEST_SIDE) -> tuple[int, ...]:
    """Lay out a V-cycle as multigrid does: coarser, home, finer, home.

    Parameters
    ----------
    side : int
        Larger side of the image, in px.
    smallest : int
        The coarse pass is not below this, in px, unless the image is.

    Returns
    -------
    tuple of int
        Side of each pass; for 256 px 128, 256, 384, 256. For 128 px and a network that
        knows galaxies from 96 px on 96, 128, 192, 128.
    """
    return (max(side // 2, min(side, smallest)), side, side * 3 // 2, side)


def redream_frames(
    model: nn.Module,
    base: Tensor,
    objective: Objective,
    config: RedreamConfig | None = None,
    *,
    seed: int | Sequence[int] | None = None,
) -> Iterator[DreamFrame | Pass]:
    """Re-dream step by step: after the frames of each pass comes the `Pass`.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] in; it is copied and never touched.
    base : (B, 3, H, W) float in [0, 1]
        The galaxies.
    objective : Objective
        What to climb.
    config : RedreamConfig, optional
        The schedule, and how to dream.
    seed : int or sequence of int, optional
        One for all images or one for each; the config's if not given. Pass k adds k.

    Yields
    ------
    DreamFrame or Pass
        The images of the last pass are the re-dream; they have the galaxies' size.

    Raises
    ------
    ConfigError
        If the schedule does not end at the side of the image, or a pass is too small
        for the layer.
    DataError
        If the images are not of this form.

    Notes
    -----
    The state is the detail d, never the image. With P_r the resampling to side r and
    D_r the dream there, pass k works on x = P_r(base) + P_r(keep * d_k), and
    d_(k+1) = D_r(x) - P_r(base). The galaxy is read anew from the original at each
    pass, so any number of passes leaves it as sharp as it was; a chain of no steps is
    the galaxy itself, bit for bit.
    """
    check_images(base)
    scorer = Scorer(model, objective, base)
    yield from pass_frames(scorer, base, config or RedreamConfig(), seed=seed)


def pass_frames(
    scorer: Scorer,
    base: Tensor,
    config: DreamConfig | RedreamConfig,
    *,
    seed: int | Sequence[int] | None = None,
) -> Iterator[DreamFrame | Pass]:
    """Re-dream with a network that is prepared already; a dream is one pass."""
    height, width = base.shape[2:]
    home = max(height, width)
    if isinstance(config, RedreamConfig):
        keep, inner = config.keep, config.dream
        schedule = config.schedule or default_schedule(home, scorer.smallest)
    else:
        keep, inner, schedule = 0.0, config, (home,)
    if schedule[-1] != home:
        raise ConfigError(
            f"schedule: expected the last side to be the image's, {home} px, got "
            f"{schedule[-1]}; add {home} at the end"
        )
    sizes = [(round(height * s / home), round(width * s / home)) for s in schedule]
    for size in sizes:  # refuse now, not when the first passes are done
        octave_sizes(size, inner, scorer.stride, scorer.smallest)
    seed = inner.seed if seed is None else seed
    detail = torch.zeros_like(base)
    for number, (side, size) in enumerate(zip(schedule, sizes, strict=True)):
        ground = resample(base, size)
        start = add(ground, resample(keep * detail, size), inner)
        rolls = _add(seed, number)  # each pass rolls anew
        frame = None
        if inner.basis == "maco":
            frames: Iterator[DreamFrame] = maco_dream(scorer, start, inner, rolls)
        else:
            frames = octave_frames(scorer, start, inner, rolls, ground)
        for frame in frames:
            yield frame
        assert frame is not None  # a dream has at least one frame
        after = frame.images - ground
        yield Pass(
            number=number, side=side, images=frame.images,
            scores=scorer.score(frame.images), detail=after,
            residual=_residual(detail, after, base.shape[2:]), frame=frame,
        )  # fmt: skip
        detail = after


def _add(seed: int | Sequence[int], number: int) -> int | list[int]:
    if isinstance(seed, Sequence):
        return [one + number for one in seed]
    return seed + number


def _residual(before: Tensor, after: Tensor, size: Sequence[int]) -> Tensor:
    """Return how much a detail changed, at a common size; NaN where there was none."""
    old, new = resample(before, size).flatten(1), resample(after, size).flatten(1)
    length = old.norm(dim=1)
    change: Tensor = (new - old).norm(dim=1)
    return change / torch.where(length > 0, length, torch.nan)


class RandomSteps(Scorer):
    """Scores as another `Scorer`, but its gradient is white noise.

    A dream with it takes the same steps, of the same size, in any direction.
    """

    def __init__(self, scorer: Scorer, seed: int) -> None:
        self.__dict__.update(scorer.__dict__)
        self.generator = torch.Generator().manual_seed(seed + STREAM)

    def gradient(self, images: Tensor, views: int = 1) -> tuple[Tensor, Tensor]:
        """Score images (views x B, 3, H, W), and draw a direction for each."""
        drawn = torch.randn(images.shape, generator=self.generator).to(images)
        return self.score(images[: len(images) // views]), drawn


def redream_residuals(scorer: Scorer, base: Tensor, config: RedreamConfig) -> Arrays:
    """Follow how much each pass of a re-dream changes, beside steps at random.

    ``dream`` and ``random steps``, (P, B) each: the first of P passes is NaN.
    """
    return {
        "dream": _residuals(scorer, base, config),
        "random steps": random_residuals(scorer, base, config),
    }


def random_residuals(
    scorer: Scorer, base: Tensor, config: RedreamConfig
) -> NDArray[Any]:
    """Follow how much each pass changes where no network is asked: (P, B)."""
    # Tiles would ask the network for their gradients.
    whole = replace(config, dream=replace(config.dream, tile=0))
    return _residuals(RandomSteps(scorer, config.dream.seed), base, whole)


def _residuals(scorer: Scorer, base: Tensor, config: RedreamConfig) -> NDArray[Any]:
    steps = pass_frames(scorer, base, config)
    passes = [step.residual for step in steps if isinstance(step, Pass)]
    return torch.stack(passes).cpu().numpy()


def zoom_frames(
    model: nn.Module,
    images: Tensor,
    objective: Objective,
    config: DreamConfig | None = None,
    *,
    num_frames: int = 100,
    rate: float = 0.05,
) -> Iterator[Tensor]:
    """Dream, zoom into the dream, dream again: where does the network end up.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] in; it is copied and never touched.
    images : (B, 3, H, W) float in [0, 1]
        Where to start; forgotten after some frames.
    objective : Objective
        What to climb.
    config : DreamConfig, optional
        How to dream at each frame.
    num_frames : int
        How many frames.
    rate : float
        Share of the side that each zoom cuts off, 0 to 0.5.

    Yields
    ------
    (B, 3, H, W) Tensor in [0, 1]
        Picture after picture.

    Raises
    ------
    ConfigError
        If the rate is outside its range, and for what `dream_frames` refuses.
    DataError
        If the images are not of this form.

    Notes
    -----
    The zoom loop of Mordvintsev et al. (2015). Here, unlike in a re-dream, the image
    itself is fed back and the galaxy is lost: what remains is what the network makes
    of anything.
    """
    if not 0 <= rate <= 0.5:
        raise ConfigError(f"rate: expected 0 to 0.5, got {rate}")
    check_images(images)
    scorer = Scorer(model, objective, images)
    config = config or DreamConfig()
    yield from zoomed(scorer, images, config, num_frames=num_frames, rate=rate)


def zoomed(
    scorer: Scorer,
    images: Tensor,
    config: DreamConfig,
    *,
    num_frames: int,
    rate: float = 0.05,
) -> Iterator[Tensor]:
    """Zoom with a network that is prepared already."""
    kept = images.new_tensor([[1 - rate, 0, 0], [0, 1 - rate, 0]])  # of the frame
    for number in range(num_frames):
        for frame in octave_frames(scorer, images, config, config.seed + number):
            now = frame.images
        yield now
        images = warp(now, kept).clamp(0, 1)
