"""All maps by name: of the network itself, and of captum."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmagnet.calibration.judgement import views_to_take
from dmagnet.classes import find_class
from dmagnet.dreaming.layers import private_copy
from dmagnet.errors import ConfigError
from dmagnet.explaining import borrowed
from dmagnet.explaining.borrowed import TargetScore
from dmagnet.explaining.curves import lead
from dmagnet.explaining.maps import attention_map, enlarged, evidence_maps, scale_map
from dmagnet.explaining.needed import needed
from dmagnet.judging.predict import batches_of, over_views
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.storage.arrays import Ints, Pixels, Singles

OWN = ("evidence", "needed", "lam", "scales")
BORROWED = ("integrated_gradients", "grad_cam", "occlusion", "smoothgrad")
METHODS = (*OWN, *BORROWED)
BATCH = 16

Class = str | int
Classes = Class | Sequence[int] | NDArray[np.integer]


def attribute(
    checkpoint: Checkpoint,
    images: Pixels,
    method: str = "evidence",
    *,
    target: Classes,
    against: Classes | None = None,
    views: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Singles:
    """Attribute the score of a class to pixels.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network.
    images : (N, S, S, 3) uint8
        As the network wants to see them.
    method : str
        One of `METHODS`.
    target : str, int or sequence of int
        A class by name, short name or number; or one number for each picture.
    against : str, int or sequence of int, optional
        Explain why ``target`` rather than this.
    views : {1, 2, 4, 8}, optional
        Of ``evidence``, ``lam`` and ``scales``: average over so many flips and
        quarter turns, turned back; if not given, as the calibration was
        fitted, and one look without any. Others are of the pictures as they stand.
    progress : callable, optional
        Called with the number of pictures done so far.

    Returns
    -------
    (N, S, S) float32
        Above 0 for the class, below 0 against it (or for ``against``). ``lam`` and
        ``scales`` do not depend on the class.

    Raises
    ------
    ConfigError
        If there is no such method or class, a method needs captum and it is not
        installed, the network has no LAM, or ``views`` is none of 1, 2, 4 and 8.
    """
    _check(method)
    views = views_to_take(views, checkpoint.calibration)
    num = len(images)
    names = checkpoint.class_names
    classes = torch.full((num, 2), -1)
    classes[:, 0] = torch.from_numpy(class_numbers(names, target, num))
    if against is not None:
        classes[:, 1] = torch.from_numpy(class_numbers(names, against, num))
    model = private_copy(checkpoint.model)
    assert isinstance(model, DMAGNet)
    device = next(model.parameters()).device
    batches = batches_of(images, BATCH, device)
    chosen = torch.split(classes.to(device), BATCH)
    done: list[Tensor] = []
    for batch, some in zip(batches, chosen, strict=False):
        done.append(maps_of(model, batch, method, some, views=views).cpu())
        if progress:
            progress(sum(map(len, done)))
    side = images.shape[1]
    maps = torch.cat(done) if done else torch.zeros(0, side, side)
    return maps.float().numpy()


def maps_of(
    model: DMAGNet, images: Tensor, method: str, classes: Tensor, *, views: int = 1
) -> Tensor:
    """Make maps (B, S, S) of a batch by a `private_copy`; classes as of `lead`."""
    _check(method)
    make: Callable[[Tensor], Tensor]
    match method:
        case "needed":
            return needed(model, images, classes).float()
        case "evidence":
            make = partial(_evidence, model, classes=classes)
        case "lam":
            make = partial(attention_map, model)
        case "scales":
            make = partial(scale_map, model)
        case _:
            borrow = getattr(borrowed, method)
            found: Tensor = borrow(TargetScore(model), images, classes)
            return found.float()
    with torch.no_grad():
        return over_views(make, images, views).float()


def _check(method: str) -> None:
    if method not in METHODS:
        raise ConfigError(
            f"no method {method!r}; the methods are: {', '.join(METHODS)}"
        )


def class_numbers(names: Sequence[str], wanted: Classes, num: int) -> Ints:
    """Find classes by name or number."""
    if isinstance(wanted, str):
        return np.full(num, find_class(names, wanted), np.int64)
    numbers = np.asarray(wanted)
    if numbers.ndim == 0:
        numbers = np.full(num, numbers)
    if numbers.shape != (num,) or numbers.dtype.kind not in "iu":
        raise ConfigError(
            f"classes: expected one for all or one for each of {num} pictures, got "
            f"{numbers.dtype} of shape {numbers.shape}"
        )
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(names):
        raise ConfigError(
            f"classes: expected numbers from 0 to {len(names) - 1}, got "
            f"{numbers.min()} to {numbers.max()}"
        )
    return numbers.astype(np.int64)


def _evidence(model: DMAGNet, images: Tensor, classes: Tensor) -> Tensor:
    return enlarged(lead(evidence_maps(model, images), classes), images.shape[2])
