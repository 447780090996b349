"""One call, one dream: from a picture and a layer's name to images and their record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from torch import Tensor

from dmagnet.config.checks import settled
from dmagnet.config.classify_config import DEFAULT
from dmagnet.config.dream_config import DreamConfig, RedreamConfig
from dmagnet.dreaming.maco import MACO_STEPS
from dmagnet.dreaming.objectives import Objective
from dmagnet.dreaming.octaves import DreamFrame, check_images
from dmagnet.dreaming.redream import Pass, pass_frames, random_residuals
from dmagnet.dreaming.sheets import to_bytes
from dmagnet.dreaming.targets import (
    AnyModel,
    Network,
    Picture,
    Target,
    as_batch,
    class_target,
    layer_target,
    open_network,
    provenance_of,
)
from dmagnet.errors import ConfigError
from dmagnet.pictures.cutout import Cutout
from dmagnet.storage.arrays import AnyFloats
from dmagnet.storage.environment import bars
from dmagnet.storage.records import brief

SHOWN = 4  # galaxies in a notebook
Trajectory = Literal["step", "octave", "none"]
Watch = Callable[[DreamFrame], None]


@dataclass(frozen=True, eq=False)
class Moment:
    """What was known after one step.

    Attributes
    ----------
    octave : int
        From 0, the coarsest.
    step : int
        From 1; 0 where there are no steps.
    size : tuple of int
        Height and width of the octave, in px.
    scores : (B,) ndarray
        Of the images before the step, rolled as the engine saw them.
    probabilities : (B, K) ndarray or None
        Class probabilities of the images after the step, at the octave's size.
    """

    octave: int
    step: int
    size: tuple[int, int]
    scores: AnyFloats
    probabilities: AnyFloats | None

    __repr__ = brief


@dataclass(frozen=True, eq=False, kw_only=True)
class Dream:
    """Dreams of one target on B images, and how they came about.

    Attributes
    ----------
    images, start : (B, 3, H, W) Tensor in [0, 1]
        The dreams, and the galaxies they began with.
    cutouts : tuple of Cutout
        The pictures that were read.
    target : Target
        What was dreamed.
    scores : (2, B) ndarray
        Of the galaxies and of the dreams.
    probabilities : (2, B, K) ndarray or None
        Class probabilities of both.
    class_names : tuple of str
        Of the K classes.
    provenance : dict
        Versions and weights.
    config : DreamConfig or RedreamConfig
        How it was dreamed.
    trace : tuple of Moment
        Step after step.
    passes : tuple of Pass
        Pass after pass, with numbers as arrays; a dream has one.
    """

    images: Tensor
    start: Tensor
    cutouts: tuple[Cutout, ...]
    target: Target
    scores: AnyFloats
    probabilities: AnyFloats | None
    class_names: tuple[str, ...]
    provenance: dict[str, Any]
    config: DreamConfig | RedreamConfig
    trace: tuple[Moment, ...]
    passes: tuple[Pass, ...]

    __repr__ = brief

    @property
    def detail(self) -> Tensor:
        """What the dream added."""
        return self.images - self.start

    def _repr_html_(self) -> str:
        """Show galaxies, dreams and what was added in a notebook."""
        from dmagnet.figures.overlays import detail_picture, galaxy_grid
        from dmagnet.figures.saving import inline

        pictures, captions = [], []
        for i in range(min(len(self.images), SHOWN)):
            pictures += [
                to_bytes(self.start[i]),
                to_bytes(self.images[i]),
                detail_picture(self.detail[i].cpu().numpy()),
            ]
            before, after = self.scores[:, i]
            captions += ["galaxy", f"dreamed, {before:.3g} to {after:.3g}", "added"]
        told = f"{self.target.name}: {len(self.images)} dreamed"
        return inline(galaxy_grid(np.stack(pictures), captions, num_columns=3), told)


def dream(
    image: Picture | Sequence[Picture],
    layer: str | Objective = "lam",
    *,
    weights: AnyModel = DEFAULT,
    class_name: str | None = None,
    guide: Picture | None = None,
    config: DreamConfig | None = None,
    trajectory: Trajectory = "step",
    watch: Watch | None = None,
    **settings: Any,
) -> Dream:
    """Dream what a layer, or a class, sees in a galaxy.

    Parameters
    ----------
    image : path, image, or a sequence of these
        FITS, JPEG, PNG...; a PIL image, HDU or Cutout2D; (H, W), (H, W, 3) or
        (H, W, 4) array; (B, 3, H, W) tensor in [0, 1]. It is dreamed at its own size;
        if the network sees all galaxies at one size and it is no tensor, as the network
        sees it, at the largest side that it was trained at.
    layer : str or Objective
        Name of the layer whose energy to raise, see `dmagnet.dreaming.layer_names`; or
        anything else to raise, see `dmagnet.dreaming`.
    weights : str, path, Checkpoint or nn.Module
        ``s`` or ``xs`` of the package, a run folder, what `dmagnet.load` returns, or
        any network for such images.
    class_name : str, optional
        Raise the score of this class instead.
    guide : path, array or tensor, optional
        Take after what the layer sees in this image.
    config : DreamConfig, optional
        Steps, octaves and the rest.
    trajectory : {"step", "octave", "none"}
        Record class probabilities after each step, only after the first and last of
        each octave, which is faster, or not at all.
    watch : callable, optional
        Called with each `DreamFrame`.
    **settings
        Fields of ``config`` by name, in its place: ``steps=20``...

    Returns
    -------
    Dream
        The dreams with scores and class probabilities along the way.

    Raises
    ------
    DataError
        If the image is none, or holds NaN.
    ConfigError
        If there is no such layer or class, if the image is too small for it, or if the
        objective has no gradient.
    CheckpointError
        If there are no whole weights.

    Examples
    --------
    >>> import torch, dmagnet
    >>> galaxy = torch.rand(1, 3, 64, 64)
    >>> settings = dmagnet.config.DreamConfig(steps=1, octaves=1)
    >>> dreamed = dmagnet.dream(galaxy, "stage2", weights="xs", config=settings)
    >>> dreamed.images.shape
    torch.Size([1, 3, 64, 64])
    """
    config = settled(dream, config or DreamConfig(), settings)
    network = open_network(weights)
    cutouts, images = as_batch(image, network=network)
    target = _target(network, layer, class_name, guide)
    return dream_target(
        network, images, target, config,
        cutouts=cutouts, trajectory=trajectory, watch=watch or _bar(config),
    )  # fmt: skip


def redream(
    image: Picture | Sequence[Picture],
    layer: str | Objective = "lam",
    *,
    weights: AnyModel = DEFAULT,
    class_name: str | None = None,
    guide: Picture | None = None,
    config: RedreamConfig | None = None,
    watch: Watch | None = None,
    **settings: Any,
) -> Dream:
    """Dream a galaxy again and again at several resolutions, without blurring it.

    Parameters
    ----------
    image : path, array, tensor, or a sequence of these
        As for `dream`.
    layer : str or Objective
        As for `dream`.
    weights : str, path, Checkpoint or nn.Module
        As for `dream`.
    class_name : str, optional
        As for `dream`.
    guide : path, array or tensor, optional
        As for `dream`.
    config : RedreamConfig, optional
        The schedule of sides, and how to dream at each.
    watch : callable, optional
        As for `dream`.
    **settings
        Fields of ``config`` by name, in its place: ``keep=0.5``...

    Returns
    -------
    Dream
        The dreams, with score, residual and class probabilities after each pass.

    Raises
    ------
    DataError
        If the image is none, or holds NaN.
    ConfigError
        If the schedule does not end at the image's side, and as `dream`.
    CheckpointError
        If there are no whole weights.
    """
    config = settled(redream, config or RedreamConfig(), settings)
    network = open_network(weights)
    watch = watch or _bar(config.dream)
    side = config.schedule[-1] if config.schedule else network.image_size
    cutouts, images = as_batch(image, network=network, side=side)
    target = _target(network, layer, class_name, guide)
    return dream_target(
        network, images, target, config,
        cutouts=cutouts, trajectory="none", watch=watch,
    )  # fmt: skip


def _target(
    network: Network, layer: str | Objective, class_name: str | None, guide: Any
) -> Target:
    """Decide between layer, class, guide and objective."""
    own = isinstance(layer, Objective)
    if sum((own, class_name is not None, guide is not None)) > 1:
        raise ConfigError("expected one of class_name, guide and objective, got more")
    if isinstance(layer, Objective):
        return Target(type(layer).__name__.lower(), "objective", layer)
    if class_name is not None:
        return class_target(network, class_name)
    if guide is None:
        return layer_target(network, layer)
    return layer_target(network, layer, as_batch(guide, network=network)[1][0])


def _bar(config: DreamConfig) -> Watch | None:
    """Show the steps of a dream, or of each pass of a re-dream, in a notebook."""
    show = bars()
    if show is None:
        return None
    count: Callable[[int], None] | None = None
    done = 0

    def _count(frame: DreamFrame) -> None:
        nonlocal done, count
        if count is None or (frame.octave == 0 and frame.step <= 1):
            octaves = MACO_STEPS if config.basis == "maco" else frame.octaves
            done, count = 0, show("Dreaming", config.steps * octaves)
        done += 1
        count(done)

    return _count


def dream_target(
    network: Network,
    images: Tensor,
    target: Target,
    config: DreamConfig | RedreamConfig,
    *,
    cutouts: tuple[Cutout, ...] = (),
    trajectory: Trajectory = "step",
    watch: Watch | None = None,
) -> Dream:
    """Dream or re-dream when all is open; a dream is a re-dream of one pass."""
    check_images(images)
    images = images.to(network.device)
    scorer = network.scorer(target.objective, images)
    inner = config.dream if isinstance(config, RedreamConfig) else config
    trace, passes = [], []
    for event in pass_frames(scorer, images, config):
        if isinstance(event, Pass):
            passes.append(_recorded(event, network))
            continue
        asked = trajectory == "octave" and event.step in (0, 1, inner.steps)
        judged = network.judge(event.images) if asked or trajectory == "step" else None
        size = (event.images.shape[2], event.images.shape[3])
        scores = event.scores.cpu().numpy()
        trace.append(Moment(event.octave, event.step, size, scores, judged))
        if watch:
            watch(event)
    if isinstance(config, RedreamConfig):
        control = random_residuals(scorer, images, config)
        passes = [
            replace(one, control=number)
            for one, number in zip(passes, control, strict=True)
        ]
    ends: Any = [network.judge(images), passes[-1].probabilities]
    return Dream(
        images=passes[-1].images, start=images, cutouts=cutouts, target=target,
        scores=np.stack([scorer.score(images).cpu().numpy(), passes[-1].scores]),
        probabilities=None if ends[0] is None else np.stack(ends),
        class_names=network.class_names, config=config,
        provenance=provenance_of(network), trace=tuple(trace), passes=tuple(passes),
    )  # fmt: skip


def _recorded(event: Pass, network: Network) -> Pass:
    """Judge a pass, and keep its numbers as arrays."""
    numbers: dict[str, Any] = {
        "scores": event.scores.cpu().numpy(),
        "residual": event.residual.cpu().numpy(),
        "probabilities": network.judge(event.images),
    }
    return replace(event, **numbers)
