"""One call, one dream: from a picture and a layer's name to images and their record."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from torch import Tensor

from dmagnet.config.dream_config import DreamConfig, RedreamConfig
from dmagnet.dreaming.compose import Objective
from dmagnet.dreaming.dream_record import Dream, Floats, Moment, PassRecord, Redream
from dmagnet.dreaming.octaves import DreamFrame, check_images, octave_frames
from dmagnet.dreaming.redream import Pass, redream_frames
from dmagnet.dreaming.scorer import Scorer
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

Trajectory = Literal["step", "octave"]
Watch = Callable[[DreamFrame], None]


def dream(
    image: Picture | Sequence[Picture],
    layer: str = "lam",
    *,
    model: AnyModel,
    class_name: str | None = None,
    guide: Picture | None = None,
    objective: Objective | None = None,
    config: DreamConfig | None = None,
    trajectory: Trajectory = "step",
    watch: Watch | None = None,
) -> Dream:
    """Dream what a layer, or a class, sees in a galaxy.

    Parameters
    ----------
    image : path, array, tensor, or a sequence of these
        FITS, JPEG, PNG...; (H, W), (H, W, 3) or (H, W, 4) array; (B, 3, H, W) tensor in
        [0, 1]. It is dreamed at its own size; if the network sees all galaxies at one
        size and it is no tensor, as the network sees it.
    layer : str
        Name of the layer whose energy to raise; see `dmagnet.dreaming.layer_names`.
    model : path, Checkpoint or nn.Module
        A run folder, what `dmagnet.load` returns, or any network for such images.
    class_name : str, optional
        Raise the score of this class instead.
    guide : path, array or tensor, optional
        Take after what the layer sees in this image.
    objective : Objective, optional
        Raise this instead: anything from `dmagnet.dreaming`.
    config : DreamConfig, optional
        Steps, octaves and the rest.
    trajectory : {"step", "octave"}
        Record class probabilities after each step, or only after the first and last of
        each octave, which is faster.
    watch : callable, optional
        Called with each `DreamFrame`.

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
    """
    network = open_network(model)
    config = config or DreamConfig()
    cutouts, images = as_batch(image, network=network)
    check_images(images)
    target = choose_target(network, layer, class_name, guide, objective)
    images = images.to(network.device)
    return dream_target(
        network, images, target, config,
        cutouts=cutouts, trajectory=trajectory, watch=watch,
    )  # fmt: skip


def choose_target(
    network: Network,
    layer: str,
    class_name: str | None = None,
    guide: Picture | None = None,
    objective: Objective | None = None,
) -> Target:
    """Decide between layer, class, guide and objective."""
    if sum(x is not None for x in (class_name, guide, objective)) > 1:
        raise ConfigError("expected one of class_name, guide and objective, got more")
    if objective is not None:
        return Target(type(objective).__name__.lower(), "objective", objective)
    if class_name is not None:
        return class_target(network, class_name)
    if guide is None:
        return layer_target(network, layer)
    return layer_target(network, layer, as_batch(guide, network=network)[1][0])


def dream_target(
    network: Network,
    images: Tensor,
    target: Target,
    config: DreamConfig,
    *,
    cutouts: tuple[Cutout, ...] = (),
    trajectory: Trajectory = "step",
    watch: Watch | None = None,
) -> Dream:
    """Do what `dream` does when all is open already.

    Parameters
    ----------
    network : Network
        What dreams.
    images : (B, 3, H, W) Tensor in [0, 1]
        The galaxies, on the device of the network.
    target : Target
        What to dream.
    config : DreamConfig
        Steps, octaves and the rest.
    cutouts : tuple of Cutout
        Kept with the result.
    trajectory : {"step", "octave"}
        See `dream`.
    watch : callable, optional
        Called with each `DreamFrame`.

    Returns
    -------
    Dream
        As `dream`.

    Raises
    ------
    ConfigError
        As `dream`.
    """
    scorer = Scorer(network.model, target.objective, images)
    trace = []
    for frame in octave_frames(scorer, images, config):
        ends = trajectory == "step" or frame.step in (0, 1, config.steps)
        trace.append(_moment(frame, network.judge(frame.images) if ends else None))
        if watch:
            watch(frame)
    return Dream(
        images=frame.images, start=images, cutouts=cutouts, target=target,
        scores=_scores(scorer, images, frame.images),
        probabilities=_verdicts(network, images, frame.images), trace=tuple(trace),
        class_names=network.class_names, config=config,
        provenance=provenance_of(network),
    )  # fmt: skip


def _moment(frame: DreamFrame, probabilities: Floats | None) -> Moment:
    height, width = frame.images.shape[2:]
    scores = frame.scores.cpu().numpy()
    return Moment(frame.octave, frame.step, (height, width), scores, probabilities)


def _scores(scorer: Scorer, *stages: Tensor) -> Floats:
    return np.stack([scorer.score(images).cpu().numpy() for images in stages])


def _verdicts(network: Network, *stages: Tensor) -> Floats | None:
    each = [
        verdict for images in stages if (verdict := network.judge(images)) is not None
    ]
    return np.stack(each) if each else None


def redream(
    image: Picture | Sequence[Picture],
    layer: str = "lam",
    *,
    model: AnyModel,
    class_name: str | None = None,
    guide: Picture | None = None,
    objective: Objective | None = None,
    config: RedreamConfig | None = None,
    watch: Watch | None = None,
) -> Redream:
    """Dream a galaxy again and again at several resolutions, without blurring it.

    Parameters
    ----------
    image : path, array, tensor, or a sequence of these
        As for `dream`.
    layer : str
        Name of the layer whose energy to raise.
    model : path, Checkpoint or nn.Module
        As for `dream`.
    class_name : str, optional
        Raise the score of this class instead.
    guide : path, array or tensor, optional
        Take after what the layer sees in this image.
    objective : Objective, optional
        Raise this instead.
    config : RedreamConfig, optional
        The schedule of sides, and how to dream at each.
    watch : callable, optional
        Called with each `DreamFrame` of each pass.

    Returns
    -------
    Redream
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
    network = open_network(model)
    config = config or RedreamConfig()
    side = config.schedule[-1] if config.schedule else None
    cutouts, images = as_batch(image, network=network, side=side)
    check_images(images)
    target = choose_target(network, layer, class_name, guide, objective)
    return redream_target(
        network, images.to(network.device), target, config,
        cutouts=cutouts, watch=watch,
    )  # fmt: skip


def redream_target(
    network: Network,
    images: Tensor,
    target: Target,
    config: RedreamConfig,
    *,
    cutouts: tuple[Cutout, ...] = (),
    watch: Watch | None = None,
) -> Redream:
    """Do what `redream` does when all is open already.

    Parameters
    ----------
    network : Network
        What dreams.
    images : (B, 3, H, W) Tensor in [0, 1]
        The galaxies, on the device of the network.
    target : Target
        What to dream.
    config : RedreamConfig
        The schedule, and how to dream.
    cutouts : tuple of Cutout
        Kept with the result.
    watch : callable, optional
        Called with each `DreamFrame`.

    Returns
    -------
    Redream
        As `redream`.

    Raises
    ------
    ConfigError
        As `redream`.
    """
    scorer = Scorer(network.model, target.objective, images)
    passes = []
    for event in redream_frames(network.model, images, target.objective, config):
        if isinstance(event, Pass):
            scores = scorer.score(event.images).cpu().numpy()
            residual = event.residual.cpu().numpy()
            passes.append(
                PassRecord(event.number, event.side, event.images, scores, residual,
                           network.judge(event.images))
            )  # fmt: skip
        elif watch:
            watch(event)
    last = passes[-1].images
    return Redream(
        images=last, start=images, cutouts=cutouts, target=target,
        scores=_scores(scorer, images, last),
        probabilities=_verdicts(network, images, last), passes=tuple(passes),
        class_names=network.class_names, config=config,
        provenance=provenance_of(network),
    )  # fmt: skip
