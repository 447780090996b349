"""Start from trained weights: what is kept, and a head that fits the new classes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from dmagnet.classes import matched
from dmagnet.config.train_config import ModelConfig, TrainConfig
from dmagnet.errors import ConfigError
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.training.batches import central_view

SHAPE = ("size", "dilations", "fusion", "reduction", "lam")
BATCH = 64
STRENGTH = 10.0  # of the pull on a new head, in galaxies; see `fit_head`
MAX_STEPS = 100  # of L-BFGS; it needs about thirty


def what_is_kept(parent: Checkpoint, class_names: Sequence[str]) -> tuple[str, ...]:
    """Describe what is kept of the weights, and what starts anew.

    Parameters
    ----------
    parent : Checkpoint
        The weights to start from.
    class_names : sequence of str
        Classes of the data.

    Returns
    -------
    tuple of str
        About the head, and about the calibration if there was one.
    """
    rows = matched(class_names, parent.class_names)
    names = list(class_names)
    if len(rows) == len(names):
        head = f"the weights know these {len(names)} classes: their head is kept"
    elif rows:
        fresh = ", ".join(name for k, name in enumerate(names) if k not in rows)
        head = (
            f"the weights know {len(rows)} of these {len(names)} classes; the head "
            f"learns anew: {fresh}"
        )
    else:
        head = (
            f"the weights know none of these {len(names)} classes: a new head is "
            "trained"
        )
    if parent.calibration is None:
        return (head,)
    return (
        head,
        "the calibration of the weights does not hold after training; "
        "'dmagnet calibrate' makes a new one",
    )


def start_of(
    parent: Checkpoint, galaxies: Galaxies, config: TrainConfig, device: torch.device
) -> DMAGNet:
    """Make the network from which training goes on.

    Parameters
    ----------
    parent : Checkpoint
        The weights to start from; left as they are.
    galaxies : Galaxies
        What to train on; images of side `TrainConfig.frame_size`.
    config : TrainConfig
        Its network must have the shape of the weights.
    device : torch.device
        Where features are computed for a new head.

    Returns
    -------
    DMAGNet
        With all weights of the parent but the head. That has the parent's rows where
        names match; unless all do, it is then fitted by `fit_head`.

    Raises
    ------
    ConfigError
        If the network is to have another shape.
    """
    _check_shape(parent.model.config, config.model)
    num = len(galaxies.class_names)
    model = DMAGNet(replace(config.model, num_classes=num))
    state = dict(parent.model.state_dict())
    rows = matched(galaxies.class_names, parent.class_names)
    for name in ("head.weight", "head.bias"):
        head = torch.zeros(num, *state[name].shape[1:])
        if rows:
            head[list(rows)] = state[name][list(rows.values())].cpu()
        state[name] = head
    model.load_state_dict(state)
    train = galaxies.subset("train").fully_labeled()
    large = train.images.shape[1] >= config.image_size  # others are refused later
    if len(rows) < num and len(train) and large:
        views = torch.from_numpy(train.images).permute(0, 3, 1, 2)
        features = pooled(model, views, config.image_size, device)
        fit_head(model.head, features, torch.from_numpy(train.labels))
    return model


@torch.no_grad()
def pooled(
    model: DMAGNet, images: Tensor, image_size: int, device: torch.device
) -> Tensor:
    """Compute what the head sees of each image."""
    was_training = model.training
    model.eval().to(device)
    done = []
    for batch in torch.split(images, BATCH):
        views = central_view(batch.to(device), image_size)
        done.append(model.features(views).mean((2, 3)).float().cpu())
    model.train(was_training).cpu()
    return torch.cat(done)


def fit_head(
    head: nn.Linear, features: Tensor, labels: Tensor, strength: float = STRENGTH
) -> None:
    """Fit the last layer alone, in place, before anything else is trained.

    Parameters
    ----------
    head : nn.Linear
        (C) to (K); the fit starts from its weights and is pulled to them.
    features : (N, C) float
        From `pooled`.
    labels : (N,) int64
        Classes from 0 to K - 1.
    strength : float
        How strong the pull is; one unit is as strong as one galaxy.

    Notes
    -----
    Multinomial logistic regression on standardized features, with the penalty
    ``strength / (2 N)`` times the squared distance to the start. A random head would
    send large gradients through good features in the first steps and distort them;
    linear probing and then fine-tuning avoids it (Kumar et al. 2022, ICLR,
    arXiv:2202.10054, section 4).
    """
    mean, std = features.mean(0), features.std(0).clamp(min=1e-6)
    x = (features - mean) / std
    start = head.weight.detach() * std
    weight = start.clone().requires_grad_()
    bias = (head.bias + head.weight @ mean).detach().clone().requires_grad_()
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=MAX_STEPS, line_search_fn="strong_wolfe"
    )

    def _loss() -> Tensor:
        solver.zero_grad()
        misfit = nn.functional.cross_entropy(x @ weight.T + bias, labels)
        pull = strength / (2 * len(x)) * (weight - start).square().sum()
        loss: Tensor = misfit + pull
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        solver.step(_loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        head.weight.copy_(weight / std)
        head.bias.copy_(bias - (weight / std) @ mean)


def parent_of(parent: Checkpoint, class_names: Sequence[str]) -> dict[str, Any]:
    """Record for the provenance where training started."""
    rows = matched(class_names, parent.class_names)
    return {
        "weights_hash": parent.weights_hash,
        "version": parent.provenance.get("version"),
        "data_hash": parent.provenance.get("data_hash"),
        "kept_classes": [class_names[k] for k in rows],
    }


def _check_shape(there: ModelConfig, wanted: ModelConfig) -> None:
    for name in SHAPE:
        old, new = getattr(there, name), getattr(wanted, name)
        if old != new:
            raise ConfigError(
                f"{name}: expected that of the weights to start from, {old}, got "
                f"{new}; leave it out, or start from other weights"
            )
