"""From images to class probabilities, batch by batch."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from dmagnet.calibration import Judgement, tempered
from dmagnet.calibration.judgement import (
    BATCH,
    Answers,
    Classifier,
    Forward,
    views_to_take,
)
from dmagnet.calibration.judgement import look as look_with
from dmagnet.galaxies.augment import dihedral_views, turned_back
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.pictures.places import shares
from dmagnet.storage.arrays import Floats, Pixels, Singles

Progress = Callable[[int], None]


@torch.inference_mode()
def probabilities_of(model: nn.Module, images: Tensor, *, views: int = 1) -> Tensor:
    """Classify one batch.

    Parameters
    ----------
    model : nn.Module
        (B, 3, H, H) in [0, 1] to (B, K) logits, in evaluation mode.
    images : (B, 3, H, H) float in [0, 1]
        On the device of the model.
    views : {1, 2, 4, 8}
        Average over that many flips and quarter turns.

    Returns
    -------
    (B, K) float32
        Probabilities; rows sum to 1.
    """
    seen = dihedral_views(images, views_to_take(views, None))
    each = [model(_channels_last(view)).float().softmax(1) for view in seen]
    return torch.stack(each).mean(0)


def predict(
    model: nn.Module,
    images: Pixels,
    *,
    views: int = 1,
    temperature: float = 1.0,
    batch_size: int = BATCH,
    progress: Progress | None = None,
) -> Floats:
    """Classify a stack of images.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] to logits; its mode is restored afterwards.
    images : (N, H, H, 3) uint8
        In memory or as a memory map, at the side the model was trained for.
    views : {1, 2, 4, 8}
        See `probabilities_of`.
    temperature : float
        Of a calibration; it acts on the average over views.
    batch_size : int
        Images at a time.
    progress : callable, optional
        Called with the number of images done.

    Returns
    -------
    (N, K) float64
        Probabilities; rows sum to 1.
    """
    with evaluating(model):
        forward = _forward_of(model, lambda batch: (model(batch), None))
        each, _ = look_with(forward, images, views, batch_size, progress)
    mean: Floats = each.mean(axis=0)
    return mean if temperature == 1 else tempered(mean, temperature)


def features_of(model: DMAGNet, images: Tensor) -> Tensor:
    """Pool the features behind LAM: what the linear layer turns into scores.

    Parameters
    ----------
    model : DMAGNet
        In evaluation mode.
    images : (B, 3, H, H) float in [0, 1]
        On the device of the model.

    Returns
    -------
    (B, C) float32
        Means over the frame.
    """
    return model.features(_channels_last(images)).mean(dim=(2, 3)).float()


def look(
    model: DMAGNet,
    images: Pixels,
    *,
    views: int = 1,
    batch_size: int = BATCH,
    progress: Progress | None = None,
) -> tuple[Floats, Singles]:
    """Classify a stack of images view by view, and keep what was seen.

    Parameters
    ----------
    model : DMAGNet
        Its mode is restored afterwards.
    images : (N, H, H, 3) uint8
        At the side the model was trained for.
    views, batch_size, progress : int, int, callable
        As of `predict`.

    Returns
    -------
    probabilities : (views, N, K) float64
        As the network gives them; rows sum to 1.
    features : (views, N, C) float32
        Pooled behind LAM.
    """
    with evaluating(model):
        each, features = look_with(
            _with_features(model), images, views, batch_size, progress
        )
    return each, features


def judge(
    checkpoint: Checkpoint,
    images: Pixels,
    *,
    views: int | None = None,
    progress: Progress | None = None,
) -> Judgement:
    """Classify a stack of images, and measure how far to trust the answers.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network, with its calibration if it has one.
    images : (N, H, H, 3) uint8
        As the network wants to see them.
    views : {1, 2, 4, 8}, optional
        Flips and quarter turns to average over; as calibrated if not given.
    progress : callable, optional
        As of `predict`.

    Returns
    -------
    Judgement
        With out-of-distribution scores where the weights have a feature space, and
        disagreement where there are several views.
    """
    with evaluating(checkpoint.model):
        return classifier_of(checkpoint, views=views).judge(images, progress)


def classifier_of(
    checkpoint: Checkpoint,
    *,
    views: int | None = None,
    batch_size: int = BATCH,
    threads: int | None = None,
) -> Classifier:
    """Return a network of torch, in evaluation mode, as what classifies pictures."""
    model, config = checkpoint.model, checkpoint.config
    calibration = checkpoint.calibration
    space = calibration.space if calibration else None
    usual = torch.get_num_threads()

    @contextmanager
    def _some_threads() -> Iterator[None]:
        torch.set_num_threads(usual if threads is None else threads)  # of this thread
        try:
            yield
        finally:
            torch.set_num_threads(usual)

    return Classifier(
        class_names=tuple(checkpoint.class_names),
        image_size=config.image_size,
        sides=config.sides,
        field=config.field,
        radii=config.radii,
        weights_hash=checkpoint.weights_hash,
        calibration=calibration,
        ood_limit=space.limit if space else None,
        forward=_with_features(model),
        num_features=model.head.in_features,
        views=views_to_take(views, calibration),
        batch_size=batch_size,
        within=nullcontext if threads is None else _some_threads,
    )


def _with_features(model: DMAGNet) -> Forward:
    """Return what looks at a batch: logits (B, K) and pooled features (B, C)."""

    def _ask(batch: Tensor) -> tuple[Tensor, Tensor | None]:
        features = features_of(model, batch)
        return model.head(features), features

    return _forward_of(model, _ask)


def _forward_of(
    model: nn.Module, ask: Callable[[Tensor], tuple[Tensor, Tensor | None]]
) -> Forward:
    """Return what takes a batch to the network, and its answers to the processor."""
    device = next(model.parameters()).device

    @torch.inference_mode()
    def _forward(images: Pixels) -> Answers:
        logits, other = ask(_on_device(images, device))
        known = None if other is None else other.cpu().numpy()
        return logits.float().cpu().numpy(), known

    return _forward


def _on_device(images: Pixels, device: torch.device) -> Tensor:
    """Bring bytes to a device; (B, 3, H, W) float, channels last in memory."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255


def _channels_last(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def on_picture(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bring maps (..., h, w) to the pixels of a picture of some height and width."""
    down, across = (
        torch.from_numpy(shares(places, pixels)).to(maps)
        for places, pixels in zip(maps.shape[-2:], size, strict=True)
    )
    return down @ maps @ across.T


def over_views(make: Callable[[Tensor], Tensor], images: Tensor, views: int) -> Tensor:
    """Average maps of pictures over their views, each turned back to how it stands."""
    if views == 1:
        return make(images)
    each = torch.stack([make(seen) for seen in dihedral_views(images, views)])
    return turned_back(each).mean(dim=0)


def attention(
    model: DMAGNet,
    images: Pixels,
    *,
    views: int = 1,
    batch_size: int = BATCH,
) -> Singles:
    """Read how the Local Attention Module shared the attention out.

    Parameters
    ----------
    model : DMAGNet
        With its attention module.
    images : (N, H, W, 3) uint8
        Galaxies.
    views, batch_size : int
        As of `predict`; views are turned back.

    Returns
    -------
    (N, H, W) float32, above 0
        Attention in even shares: 3 is three times as much as the mean place has.
    """

    def _factors(seen: Tensor) -> Tensor:
        return on_picture(model.attention_maps(seen), images.shape[1:3])

    with evaluating(model), torch.inference_mode():
        batches = batches_of(images, batch_size, model.mean.device)
        done = [over_views(_factors, batch, views).cpu() for batch in batches]
    return torch.cat(done).numpy()


def batches_of(
    images: Pixels, batch_size: int, device: torch.device
) -> Iterator[Tensor]:
    """Cut (N, H, W, 3) uint8 into batches (B, 3, H, W) in [0, 1] on a device."""
    for start in range(0, len(images), batch_size):
        yield _on_device(np.array(images[start : start + batch_size]), device)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and back."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
