"""Train on blobs in a process of its own, which may be told to die on the way."""

import os
import resource
import signal
from pathlib import Path

import lightning as L
import torch
from blobs import blobs

from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import weights_hash
from dmagnet.training import optimize


class DieAt(L.Callback):
    """At a step, kill this process, as a power cut would, or fill the disk."""

    def __init__(self, step, when):
        self.step, self.when = step, when

    def _die(self, trainer, when):
        if trainer.global_step != self.step:
            return
        if self.when == when:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.when == "full disk":
            # A limit on file size fails in the middle of a write, as a full disk does.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self._die(trainer, "before")

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self._die(trainer, "after")


def tiny(**changes):
    """Two epochs of three steps, with everything on that is random."""
    settings = {
        "image_size": 64,
        "epochs": 2,
        "batch_size": 12,
        "warmup_epochs": 1,
        "mixup": 0.2,
        "ema_decay": 0.9,
        "save_every_min": 0,
        "progressive": False,
        "scales": (1.0, 1.5),  # statistics rest in the last of six steps
        "model": ModelConfig(size="xs", num_classes=3),
    }
    return TrainConfig(**(settings | changes))


def train(out: Path, step: int = -1, when: str = "", epochs: int = 2):
    """Train into a folder; leave the hash of the weights in ``hash.txt``."""
    torch.set_num_threads(1)
    config = tiny(epochs=epochs)
    torch.manual_seed(0)
    model = DMAGNet(config.model)
    torch.manual_seed(int.from_bytes(os.urandom(4)))  # must not matter from here on
    callbacks = [DieAt(step, when)]
    optimize(
        model,
        blobs(48),
        config,
        out,
        accelerator="cpu",
        progress=False,
        callbacks=callbacks,
    )
    (out / "hash.txt").write_text(weights_hash(model))
