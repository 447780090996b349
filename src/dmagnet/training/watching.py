"""Progress of a training, shown once."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, TQDMProgressBar

from dmagnet.storage.environment import Announce


def watching(progress: bool, announce: Announce | None) -> list[Callback]:
    """Choose who shows how far it is: never two, which would draw over each other."""
    if announce is not None:
        return [_Counted(announce)]
    return [TQDMProgressBar(leave=False)] if progress else []


class _Counted(Callback):
    """Count the steps for whoever shows them."""

    def __init__(self, announce: Announce) -> None:
        self._announce = announce

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:  # noqa: ARG002
        """Announce the number of steps."""
        if trainer.is_global_zero:
            steps = int(trainer.estimated_stepping_batches)
            self._count = self._announce("Training", steps)
            self._count(trainer.global_step)

    def on_train_batch_end(self, trainer: L.Trainer, *_: Any) -> None:
        """Count the steps done."""
        if trainer.is_global_zero:
            self._count(trainer.global_step)
