"""Run the training, from a set of galaxies to a file of weights."""

import inspect
import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from dmagnet.config.train_config import Precision, TrainConfig
from dmagnet.errors import CheckpointError, ConfigError, DataError
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.network.checkpoint import WEIGHTS, Checkpoint, load, save
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.storage.disk import claimed
from dmagnet.storage.environment import Announce, logging_at
from dmagnet.storage.records import stamp
from dmagnet.training.batches import GalaxyBatches
from dmagnet.training.finetune import parent_of, start_of
from dmagnet.training.module import TrainingModule, weight_averaging
from dmagnet.training.run_folder import RESUME, enter, settings_of, state_of
from dmagnet.training.watching import watching

log = logging.getLogger("dmagnet")

# Where Lightning, torchrun and Slurm tell a process which one it is.
RANKS = ("LOCAL_RANK", "NODE_RANK", "RANK", "GROUP_RANK", "SLURM_PROCID")

# Arguments of Lightning's Trainer that follow from the settings.
OURS = (
    *("max_epochs", "check_val_every_n_epoch", "sync_batchnorm", "precision"),
    *("logger", "enable_progress_bar", "enable_model_summary"),
    *("num_sanity_val_steps", "limit_val_batches", "log_every_n_steps"),
)


def lightning_precision(precision: Precision, device: torch.device) -> Any:
    """Turn our word for a precision into Lightning's."""
    if precision == "auto":
        if device.type == "cuda":
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            fast = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
        precision = "bf16" if fast else "fp32"
    return "bf16-mixed" if precision == "bf16" else "32-true"


def fit(
    galaxies: Galaxies,
    config: TrainConfig,
    out: Path,
    *,
    start_from: DMAGNet | Checkpoint | None = None,
    progress: bool = True,
    announce: Announce | None = None,
    **trainer: Any,
) -> Path:
    """Train DMAGNet, or go on where a run was stopped.

    Parameters
    ----------
    galaxies : Galaxies
        Labeled images of side `TrainConfig.frame_size`, with their split.
    config : TrainConfig
        All knobs; the number of classes follows the data.
    out : Path
        Folder of the run. If it holds a run with the same settings, that run is
        resumed, or left as it is when it is finished; with more epochs, a finished run
        goes on: from its last step on the schedule is that of the longer run.
    start_from : DMAGNet or Checkpoint, optional
        Weights to start from instead of random ones: a network with one output a
        class, or a checkpoint of any classes (`dmagnet.training.finetune`).
    progress : bool
        Show Lightning's progress bar, unless `announce` shows another.
    announce : callable, optional
        Called with a name and the number of steps; returns what to call with the
        number of steps done.
    **trainer
        Of `lightning.Trainer`: ``accelerator``, ``devices`` (one if not given),
        ``num_nodes``, ``strategy``...

    Returns
    -------
    Path
        The weights, averaged over the last steps; see `dmagnet.network.checkpoint`.

    Raises
    ------
    DataError
        If a class has no training image, or images have another side.
    ConfigError
        If the weights to start from are of a network of another shape, or Lightning's
        Trainer has no such argument or the settings fix it.
    CheckpointError
        If the folder belongs to another run, or the disk refuses.
    """
    config = replace(
        config, model=replace(config.model, num_classes=len(galaxies.class_names))
    )
    _check_arguments(trainer)
    accelerator = trainer.get("accelerator", "auto")
    with claimed_by_first(out), isolate_rng():
        names, parent = galaxies.class_names, None
        if isinstance(start_from, Checkpoint):
            parent = parent_of(start_from, names)
        parent_hash = parent["weights_hash"] if parent else ""
        before = load(out / WEIGHTS) if (out / WEIGHTS).exists() else None
        finished = before.config.epochs if before else None
        settings = settings_of(config, names, galaxies.data_hash, parent_hash)
        enter(out, settings, finished)
        if finished == config.epochs:
            return out / WEIGHTS
        torch.manual_seed(config.seed)
        if isinstance(start_from, Checkpoint):
            device = torch.device(_device(accelerator))
            start_from = start_of(start_from, galaxies, config, device)
        model = start_from or DMAGNet(config.model)
        done = optimize(
            model, galaxies, config, out,
            progress=progress, announce=announce, **trainer,
        )  # fmt: skip
        if done.is_global_zero:
            center(model)
            provenance = {
                **stamp(),
                "data": galaxies.source,
                "data_hash": galaxies.data_hash,
                "num_train": int((galaxies.split == 0).sum()),
                "torch": torch.__version__,
                "precision": str(done.precision),
                "world_size": done.world_size,
                **({"parent": parent} if parent else {}),
                **({"went_on_after": _ends(before)} if before else {}),
            }
            save(
                out / WEIGHTS,
                Checkpoint(model.eval(), config, galaxies.class_names, provenance),
            )
            if before and before.calibration:
                log.info("the calibration was of the shorter run: calibrate anew")
        return out / WEIGHTS


def _ends(before: Checkpoint) -> list[int]:
    """List the epochs at which a run was finished before it went on."""
    return [*before.provenance.get("went_on_after", []), before.config.epochs]


@torch.no_grad()
def center(model: DMAGNet) -> None:
    """Take from every score what all classes share, which no probability depends on.

    Evidence for a class is then what speaks for it rather than for the others.
    """
    for part in (model.head.weight, model.head.bias):
        part.sub_(part.mean(dim=0, keepdim=True))


def optimize(
    model: nn.Module,
    galaxies: Galaxies,
    config: TrainConfig,
    out: Path,
    *,
    progress: bool = True,
    announce: Announce | None = None,
    callbacks: Sequence[Callback] = (),
    **trainer: Any,
) -> L.Trainer:
    """Train any network from images in [0, 1] to logits, in place.

    Parameters
    ----------
    model : nn.Module
        (B, 3, S, S) to (B, K); holds the averaged weights afterwards.
    galaxies : Galaxies
        Labeled images of side `TrainConfig.frame_size`, with their split.
    config : TrainConfig
        All knobs.
    out : Path
        Folder for logs and the checkpoint to resume from; if it has one, training
        goes on from there.
    progress : bool
        Show Lightning's progress bar, unless `announce` shows another.
    announce : callable, optional
        Called with a name and the number of steps; returns what to call with the
        number of steps done.
    callbacks : sequence of Callback
        More of Lightning's callbacks.
    **trainer
        As for `fit`.

    Returns
    -------
    Trainer
        Lightning's trainer, after training.

    Raises
    ------
    DataError
        If a class has no training image, or images have another side.
    CheckpointError
        If the disk refuses a checkpoint; the last whole one stays.
    """
    _check_arguments(trainer)
    batches, shares = _batches(galaxies, config)
    membership = torch.from_numpy(galaxies.membership)
    resume = state_of(out)
    place: dict[str, Any]
    place = {"accelerator": "auto", "devices": 1, "num_nodes": 1, **trainer}
    accelerator = place["accelerator"]
    several = (place["devices"], place["num_nodes"]) != (1, 1)
    with quiet_lightning(), interruptible():
        engine = L.Trainer(
            max_epochs=config.epochs,
            check_val_every_n_epoch=max(config.epochs // 20, 1),
            sync_batchnorm=several and _device(accelerator) == "cuda",
            precision=_precision(config, accelerator),
            logger=[CSVLogger(out, "logs"), TensorBoardLogger(out, "tensorboard")],
            callbacks=[
                *_callbacks(config, out, config.epochs * batches.steps_per_epoch),
                *watching(progress, announce),
                *callbacks,
            ],
            enable_progress_bar=progress and announce is None,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            limit_val_batches=1.0 if len(batches.val_labels) else 0,
            log_every_n_steps=1,
            **place,
        )  # fmt: skip
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        try:
            engine.fit(
                TrainingModule(model, config, shares, membership),
                datamodule=batches,
                ckpt_path=resume,
                weights_only=True,
            )
        except OSError as error:
            raise CheckpointError(
                f"{out}: the disk refused a checkpoint ({error}); the last whole one "
                "is kept: free some space and run the same command again"
            ) from error
    return engine


def _check_arguments(trainer: dict[str, Any]) -> None:
    """Refuse what Lightning's Trainer does not take, or what is chosen here."""
    known = set(inspect.signature(L.Trainer).parameters) - set(OURS)
    if wrong := sorted(set(trainer) - known):
        raise ConfigError(
            f"{wrong[0]}: expected a setting, such as epochs, or an argument of "
            "lightning.Trainer that no setting fixes, such as devices"
        )


def _batches(galaxies: Galaxies, config: TrainConfig) -> tuple[GalaxyBatches, Tensor]:
    """Check the galaxies and hand them to the trainer, with the classes' shares."""
    train, val = galaxies.subset("train"), galaxies.subset("val")
    side = galaxies.images.shape[1]
    # Frames may come without their margin: the view is the same, its corners are not.
    square = galaxies.images.shape[1:] == (side, side, 3)
    if not square or not config.image_size <= side <= config.frame_size:
        raise DataError(
            f"{galaxies.source}: expected square images of {config.frame_size} px, got "
            f"{'x'.join(map(str, galaxies.images.shape[1:]))}; load them at that size"
        )
    told = train.votes if train.votes is not None else galaxies.membership[train.labels]
    if train.votes is not None and config.mixup > 0:
        raise ConfigError(
            f"mixup: expected 0 where labels are votes, got {config.mixup}"
        )
    counts = (told / told.sum(1, keepdims=True)).sum(0)
    empty = [galaxies.class_names[i] for i in np.flatnonzero(counts == 0)]
    if empty:
        raise DataError(
            f"{galaxies.source}: no training image of {', '.join(empty)}; add images "
            "or remove the class"
        )
    batches = GalaxyBatches(
        (train.images, train.labels if train.votes is None else train.votes),
        (val.images, val.labels if val.votes is None else val.votes),
        config,
        train.masks if config.mask_weight else None,
    )
    return batches, torch.from_numpy(counts / counts.sum()).float()


def _callbacks(config: TrainConfig, out: Path, steps: int) -> list[Callback]:
    """Choose what keeps the weights: now and then, and after the last step."""
    often: Any = {"train_time_interval": timedelta(minutes=config.save_every_min)}
    callbacks: list[Callback] = [
        ModelCheckpoint(
            dirpath=out,
            filename=Path(RESUME).stem,
            enable_version_counter=False,
            **when,
        )
        for when in (often, {"every_n_train_steps": steps})
    ]
    if config.ema_decay > 0:
        callbacks.append(weight_averaging(config.ema_decay))
    return callbacks


def _precision(config: TrainConfig, accelerator: str) -> Any:
    return lightning_precision(config.precision, torch.device(_device(accelerator)))


def _device(accelerator: str) -> str:
    cuda = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
    return "cuda" if cuda else "cpu"


@contextmanager
def claimed_by_first(out: Path) -> Iterator[None]:
    """Claim the folder in the first process; the others of a run follow it."""
    first = all(os.environ.get(name, "0") == "0" for name in RANKS)
    with claimed(out) if first else nullcontext():
        yield


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C mean what it means elsewhere in Python."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stopped:
        if isinstance(stopped.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence advice that does not apply to a loader of batch numbers."""
    with logging_at(logging.ERROR, "lightning.pytorch"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning.*")
        warnings.filterwarnings("ignore", module="torch.*")
        yield
