"""All maps by name: of the network itself, and of captum."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmagnet.calibration.judgement import views_to_take
from dmagnet.classes import CLASSES, plain_names
from dmagnet.dreaming.layers import private_copy
from dmagnet.errors import ConfigError
from dmagnet.explaining import borrowed
from dmagnet.explaining.maps import attention_map, enlarged, evidence_maps, scale_map
from dmagnet.explaining.needed import needed
from dmagnet.judging.predict import batches_of, over_views
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.network.dmagnet import DMAGNet

OWN = ("evidence", "needed", "lam", "scales")
BORROWED = ("integrated_gradients", "grad_cam", "occlusion", "smoothgrad")
METHODS = (*OWN, *BORROWED)
READ = ("evidence", "lam", "scales")  # cheap: of every view that the weights ask for
BATCH = 16

Class = str | int
Classes = Class | Sequence[int] | NDArray[np.integer]
Floats = NDArray[np.float32]
Method = Callable[..., Tensor]


def attribute(
    checkpoint: Checkpoint,
    images: NDArray[np.uint8],
    method: str = "evidence",
    *,
    target: Classes,
    against: Classes | None = None,
    views: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Floats:
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
    views : {1, 8}, optional
        Of ``evidence``, ``lam`` and ``scales``: average over one look or all eight
        flips and quarter turns, turned back; if not given, as the calibration was
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
        installed, the network has no LAM, or ``views`` is neither 1 nor 8.
    """
    _check(method)
    views = views_to_take(views, checkpoint.calibration)
    num = len(images)
    targets = class_numbers(checkpoint.class_names, target, num)
    others = np.full(num, -1)
    if against is not None:
        others = class_numbers(checkpoint.class_names, against, num)
    model = private_copy(checkpoint.model)
    assert isinstance(model, DMAGNet)
    device = next(model.parameters()).device
    done: list[Tensor] = []
    start = 0
    for batch in batches_of(images, BATCH, device):
        rows = slice(start, start + len(batch))
        start += len(batch)
        classes = (
            torch.from_numpy(each[rows]).to(device) for each in (targets, others)
        )
        done.append(maps_of(model, batch, method, *classes, views=views).cpu())
        if progress:
            progress(start)
    side = images.shape[1]
    maps = torch.cat(done) if done else torch.zeros(0, side, side)
    return maps.float().numpy()


def maps_of(
    model: DMAGNet,
    images: Tensor,
    method: str,
    targets: Tensor,
    against: Tensor,
    *,
    views: int = 1,
) -> Tensor:
    """Make the maps of one batch.

    Parameters
    ----------
    model : DMAGNet
        A `dmagnet.dreaming.layers.private_copy`: frozen, in evaluation mode.
    images : (B, 3, S, S) float in [0, 1]
        On the device of the model.
    method : str
        One of `METHODS`.
    targets, against : (B,) int Tensor
        Classes; -1 in ``against`` for none.
    views : {1, 8}
        As for `attribute`.

    Returns
    -------
    (B, S, S) float
        As `attribute` returns them.

    Raises
    ------
    ConfigError
        If there is no such method, it needs captum and that is not installed, or the
        network has no LAM.
    """
    _check(method)
    make = partial(_FUNCTIONS[method], model, targets=targets, others=against)
    return over_views(make, images, views if method in READ else 1).float()


def _check(method: str) -> None:
    if method not in METHODS:
        raise ConfigError(
            f"no method {method!r}; the methods are: {', '.join(METHODS)}"
        )


def class_numbers(names: Sequence[str], wanted: Classes, num: int) -> NDArray[np.int64]:
    """Find classes by name or number."""
    if isinstance(wanted, str):
        return np.full(num, _by_name(names, wanted), np.int64)
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


def _by_name(names: Sequence[str], wanted: str) -> int:
    if wanted.isdecimal() and int(wanted) < len(names):
        return int(wanted)
    plain = plain_names(names)
    (asked,) = plain_names([wanted])
    slugs = dict(zip(plain_names([c.slug for c in CLASSES]),
                     plain_names([c.name for c in CLASSES]), strict=True))  # fmt: skip
    for each in (asked, slugs.get(asked)):
        if each in plain:
            return plain.index(each)
    raise ConfigError(f"no class {wanted!r}; the classes are: {', '.join(names)}")


@torch.no_grad()
def _evidence(
    model: DMAGNet, images: Tensor, targets: Tensor, others: Tensor
) -> Tensor:
    maps = evidence_maps(model, images)
    rows = torch.arange(len(images), device=images.device)
    chosen = maps[rows, targets]
    chosen = chosen - maps[rows, others.clamp(min=0)] * (others >= 0)[:, None, None]
    return enlarged(chosen, images.shape[2])


def _needed(model: DMAGNet, images: Tensor, targets: Tensor, others: Tensor) -> Tensor:
    return needed(model, images, targets, others)


@torch.no_grad()
def _lam(model: DMAGNet, images: Tensor, **_classes: Tensor) -> Tensor:
    return attention_map(model, images)


@torch.no_grad()
def _scales(model: DMAGNet, images: Tensor, **_classes: Tensor) -> Tensor:
    return scale_map(model, images)


def _of_captum(function: Callable[..., Tensor]) -> Method:
    def _call(
        model: DMAGNet, images: Tensor, targets: Tensor, others: Tensor
    ) -> Tensor:
        score = borrowed.TargetScore(model)
        result: Tensor = function(score, images, targets, others)
        return result

    return _call


_FUNCTIONS: dict[str, Method] = {
    "evidence": _evidence,
    "needed": _needed,
    "lam": _lam,
    "scales": _scales,
    **{name: _of_captum(getattr(borrowed, name)) for name in BORROWED},
}
