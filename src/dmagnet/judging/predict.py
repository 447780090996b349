"""From images to class probabilities, batch by batch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.calibration.judgement import Judgement, judgement_of, views_to_take
from dmagnet.calibration.space import FeatureSpace
from dmagnet.calibration.temperature import tempered
from dmagnet.errors import ConfigError
from dmagnet.galaxies.augment import dihedral_views, turned_back
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.pictures.places import shares

BATCH = 32  # larger activations leave the cache of a CPU core


@torch.inference_mode()
def probabilities_of(model: nn.Module, images: Tensor, *, views: int = 1) -> Tensor:
    """Classify one batch.

    Parameters
    ----------
    model : nn.Module
        (B, 3, H, H) in [0, 1] to (B, K) logits, in evaluation mode.
    images : (B, 3, H, H) float in [0, 1]
        On the device of the model.
    views : {1, 8}
        Average the probabilities over one view, or over all eight flips and quarter
        turns, which makes them independent of those.

    Returns
    -------
    (B, K) float32
        Probabilities; rows sum to 1.
    """
    if views == 1:
        seen = images[None]
    elif views == 8:
        seen = dihedral_views(images)
    else:
        raise ConfigError(f"views: expected 1 or 8, got {views}")
    each = [
        model(view.contiguous(memory_format=torch.channels_last)).float().softmax(1)
        for view in seen
    ]
    return torch.stack(each).mean(0)


def predict(
    model: nn.Module,
    images: NDArray[np.uint8],
    *,
    views: int = 1,
    temperature: float = 1.0,
    batch_size: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float64]:
    """Classify a stack of images.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] to logits; its mode is restored afterwards.
    images : (N, H, H, 3) uint8
        In memory or as a memory map, at the side the model was trained for.
    views : {1, 8}
        See `probabilities_of`.
    temperature : float
        Of the checkpoint's calibration; it acts on the average over views. The network
        as it is if not given.
    batch_size : int
        Images at a time.
    progress : callable, optional
        Called with the number of images done so far.

    Returns
    -------
    (N, K) float64
        Probabilities; rows sum to 1.

    Raises
    ------
    ConfigError
        If ``views`` is neither 1 nor 8.
    """
    done = []
    with evaluating(model):
        for batch in batches_of(images, batch_size, next(model.parameters()).device):
            done.append(probabilities_of(model, batch, views=views).cpu())
            if progress:
                progress(sum(map(len, done)))
    probabilities = torch.cat(done).double()
    each = (probabilities / probabilities.sum(1, keepdim=True)).numpy()
    return each if temperature == 1 else tempered(each, temperature)


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
    seen = images.contiguous(memory_format=torch.channels_last)
    return model.features(seen).mean(dim=(2, 3)).float()


@torch.inference_mode()
def look(
    model: DMAGNet,
    images: NDArray[np.uint8],
    *,
    views: int = 1,
    batch_size: int = BATCH,
    progress: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Classify a stack of images view by view, and keep what was seen.

    Parameters
    ----------
    model : DMAGNet
        Its mode is restored afterwards.
    images : (N, H, H, 3) uint8
        At the side the model was trained for.
    views : {1, 8}
        One look, or all eight flips and quarter turns.
    batch_size : int
        Images at a time.
    progress : callable, optional
        Called with the number of images done so far.

    Returns
    -------
    probabilities : (views, N, K) float64
        As the network gives them; rows sum to 1.
    features : (views, N, C) float32
        Pooled behind LAM.

    Raises
    ------
    ConfigError
        If ``views`` is neither 1 nor 8.
    """
    if views not in (1, 8):
        raise ConfigError(f"views: expected 1 or 8, got {views}")
    seen: list[Tensor] = []
    device = next(model.parameters()).device
    with evaluating(model):
        for batch in batches_of(images, batch_size, device):
            each = batch[None] if views == 1 else dihedral_views(batch)
            seen.append(torch.stack([features_of(model, view) for view in each]).cpu())
            if progress:
                progress(sum(part.shape[1] for part in seen))
        features = torch.cat(seen, dim=1)
        logits = model.head(features.to(device)).cpu()
    return logits.double().softmax(2).numpy(), features.numpy()


def judge(
    checkpoint: Checkpoint,
    images: NDArray[np.uint8],
    *,
    views: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Judgement:
    """Classify a stack of images, and say how far to trust it.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network, with its calibration if it has one.
    images : (N, H, H, 3) uint8
        As the network wants to see them.
    views : {1, 8}, optional
        Average over one look or all eight flips and quarter turns; if not given, as
        the calibration was fitted, and one look without any.
    progress : callable, optional
        Called with the number of images done so far.

    Returns
    -------
    Judgement
        Calibrated probabilities, out-of-distribution scores where the weights have a
        feature space, disagreement where there are views.

    Raises
    ------
    ConfigError
        If ``views`` is neither 1 nor 8.
    """
    calibration = checkpoint.calibration
    views = views_to_take(views, calibration)
    each, features = look(checkpoint.model, images, views=views, progress=progress)
    space: FeatureSpace | None = calibration.space if calibration else None
    scores = None if space is None else np.stack([space.score(v) for v in features])
    return judgement_of(each, scores, calibration)


def on_picture(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring maps to the pixels of the picture.

    Parameters
    ----------
    maps : (..., h, w) float
        One number for each place.
    size : tuple of int
        Height and width of the picture, in px.

    Returns
    -------
    (..., height, width) float
        As `dmagnet.pictures.on_pixels`.
    """
    down, across = (
        torch.from_numpy(shares(places, pixels)).to(maps)
        for places, pixels in zip(maps.shape[-2:], size, strict=True)
    )
    return down @ maps @ across.T


def over_views(make: Callable[[Tensor], Tensor], images: Tensor, views: int) -> Tensor:
    """Average maps over the views that a network is asked about.

    Parameters
    ----------
    make : callable
        (B, 3, S, S) pictures to (B, ..., S, S) maps.
    images : (B, 3, S, S) float in [0, 1]
        Pictures.
    views : {1, 8}
        The pictures as they stand, or all eight flips and quarter turns.

    Returns
    -------
    (B, ..., S, S) float
        Each turned back to how its picture stands, and averaged.
    """
    if views == 1:
        return make(images)
    each = torch.stack([make(seen) for seen in dihedral_views(images)])
    return turned_back(each).mean(dim=0)


def attention(
    model: DMAGNet,
    images: NDArray[np.uint8],
    *,
    views: int = 1,
    batch_size: int = BATCH,
) -> NDArray[np.float32]:
    """Read where the Local Attention Module turned the volume up or down.

    Parameters
    ----------
    model : DMAGNet
        With its attention module.
    images : (N, H, W, 3) uint8
        Galaxies.
    views : {1, 8}
        Average over one look or all eight flips and quarter turns, turned back.
    batch_size : int
        Images at a time.

    Returns
    -------
    (N, H, W) float32 in (0.5, 1.5)
        By how much the features there become stronger; 1 leaves them as they are.
    """
    height, width = images.shape[1:3]

    def _factors(seen: Tensor) -> Tensor:
        return on_picture(model.attention_maps(seen), (height, width))

    with evaluating(model), torch.inference_mode():
        batches = batches_of(images, batch_size, model.mean.device)
        done = [over_views(_factors, batch, views).cpu() for batch in batches]
    return torch.cat(done).numpy()


def batches_of(
    images: NDArray[np.uint8], batch_size: int, device: torch.device
) -> Iterator[Tensor]:
    """Cut a stack of images into batches for the network.

    Parameters
    ----------
    images : (N, H, W, 3) uint8
        In memory or as a memory map.
    batch_size : int
        Images at a time.
    device : torch.device
        Where the batches go, as bytes; they become floats there.

    Yields
    ------
    (B, 3, H, W) float32 in [0, 1]
        Channels last in memory.
    """
    for start in range(0, len(images), batch_size):
        chunk = torch.from_numpy(np.array(images[start : start + batch_size]))
        yield chunk.to(device).permute(0, 3, 1, 2).float() / 255


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode, and back.

    Parameters
    ----------
    model : nn.Module
        Any network.

    Yields
    ------
    None
        While it is in evaluation mode.
    """
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
