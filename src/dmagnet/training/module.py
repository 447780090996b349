"""The step that training repeats, as a LightningModule."""

import math
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from dmagnet.config.train_config import TrainConfig
from dmagnet.errors import ConfigError
from dmagnet.galaxies.augment import COLORS, mixup
from dmagnet.galaxies.votes import ONE
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.pictures.places import shares
from dmagnet.training.batches import GalaxyBatches

LAST_LR_SHARE = 0.005  # where the cosine ends, as a share of the peak
GRADIENT_CLIP = 1.0  # norm; keeps the first steps of AdamW in check
SETTLED_AFTER = 0.7  # of the steps: from then on batch statistics stay as they are
MEMORY = 50  # batches that the running statistics remember


class TrainingModule(L.LightningModule):
    """Any network from images in [0, 1] to logits, with loss and schedule.

    Parameters
    ----------
    model : nn.Module
        (B, 3, S, S) float in [0, 1] to (B, K) logits.
    config : TrainConfig
        Loss, optimizer and schedule.
    class_shares : (K,) float Tensor
        Share of each class among the training images.
    membership : (K + M, K) bool Tensor, optional
        Classes that each label allows, see `Galaxies`; if not given, each
        label is a class.

    Raises
    ------
    ConfigError
        If mixup is to blend labels that leave the class open.

    Notes
    -----
    See `partial_loss` and, for labels that are votes, `votes_loss`. Galaxies with a
    mask of where they show their class add ``mask_weight`` times `mask_loss`: the
    network is to be right for the right reason
    (Ross et al. 2017, IJCAI, arXiv:1703.03717; they penalize gradients outside of a
    mask, here the exact evidence is correlated with it). Class imbalance is met by
    logit adjustment (Menon et al. 2021, ICLR, eq. 10): ``logit_adjustment`` times the
    log share is added to the logits while training only.
    """

    prior: Tensor
    membership: Tensor

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        class_shares: Tensor,
        membership: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        prior = config.logit_adjustment * class_shares.clamp(min=1e-12).log()
        self.register_buffer("prior", prior, persistent=False)
        num_classes = len(class_shares)
        if membership is None:
            membership = torch.eye(num_classes, dtype=torch.bool)
        if config.mixup > 0 and len(membership) > num_classes:
            raise ConfigError(
                f"mixup: expected 0 where labels leave the class open, got "
                f"{config.mixup}"
            )
        self.register_buffer("membership", membership.float(), persistent=False)
        self.val_accuracy = MulticlassAccuracy(num_classes, average="micro")
        self.val_f1 = MulticlassF1Score(num_classes, average="macro")

    @property
    def batches(self) -> GalaxyBatches:
        """Find the data of the trainer that runs this module."""
        source: GalaxyBatches = self.trainer.datamodule  # type: ignore[attr-defined]
        return source

    def training_step(self, number: int, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Draw a batch and compute its loss."""
        trainer = self.trainer
        with trainer.profiler.profile("draw_batch"):  # type: ignore[attr-defined]
            images, labels, generator = self.batches.draw(
                self.current_epoch,
                batch_idx,
                self.device,
                trainer.global_rank,
                trainer.world_size,
            )
            targets = self._targets(labels)
            if self.config.mixup > 0:
                images, targets = mixup(images, targets, self.config.mixup, generator)
            images, masks = images[:, :COLORS], images[:, COLORS:]
            images = images.contiguous(memory_format=torch.channels_last)
        # Dropout reads torch's global state; tie it to the step, so that a run that
        # resumes here continues with the same numbers.
        torch.manual_seed(generator.initial_seed())
        self._settle_statistics()
        logits, pull = self._answers(images, masks, targets)
        logits = logits + self.prior
        if labels.ndim > 1:
            loss = votes_loss(logits, targets)
        else:
            loss = partial_loss(logits, targets, self.config.label_smoothing)
        loss = loss + self.config.mask_weight * pull
        shown: dict[str, Any] = {"batch_size": len(labels), "on_step": False}
        self.log("train_loss", loss, on_epoch=True, prog_bar=True, **shown)
        return loss

    def _targets(self, labels: Tensor) -> Tensor:
        """Look up the classes that labels allow; votes are what they are."""
        return labels if labels.ndim > 1 else self.membership[labels]

    def _settle_statistics(self) -> None:
        """Let batch norm learn its statistics, then work with them as judging does."""
        # The views of a batch have one side, and the statistics of that side; judging
        # has the average over all sides, for which no weight would be trained.
        if len(set(self.config.scales)) == 1:
            return
        step, steps = self.global_step, int(self.trainer.estimated_stepping_batches)
        for part in self.model.modules():
            if isinstance(part, _BatchNorm):
                part.momentum = max(1 / MEMORY, 1 / (step + 1))
                part.train(step < SETTLED_AFTER * steps)

    def _answers(
        self, images: Tensor, masks: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return logits, and how far the evidence lies from the masks."""
        known, model = masks.flatten(1).any(1), self.model
        if not isinstance(model, DMAGNet) or not known.any():
            return model(images).float(), images.new_zeros(())
        features, weights = model.features(images), model.head.weight
        # What all classes share decides nothing between them.
        own = (weights - weights.mean(0))[targets[known].argmax(1)]
        evidence = torch.einsum("bchw,bc->bhw", features[known].float(), own.float())
        return model.scores(features).float(), mask_loss(evidence, masks[known])

    def validation_step(self, number: int, batch_idx: int) -> None:  # noqa: ARG002
        """Judge one validation batch."""
        images, labels = self.batches.draw_val(number, self.device)
        images = images.contiguous(memory_format=torch.channels_last)
        logits = self.model(images).float()
        allowed = self._targets(labels)
        loss = (votes_loss if labels.ndim > 1 else partial_loss)(logits, allowed)
        most = allowed == allowed.max(1, keepdim=True).values
        labels = (logits.softmax(1) * most).argmax(1)  # the best of what it may be
        self.val_accuracy(logits, labels)
        self.val_f1(logits, labels)
        shown: dict[str, Any] = {
            "on_step": False,
            "on_epoch": True,
            "batch_size": len(labels),
        }
        self.log("val_loss", loss, **shown)
        self.log("val_accuracy", self.val_accuracy, prog_bar=True, **shown)
        self.log("val_macro_f1", self.val_f1, **shown)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Clip the gradients, which no precision used here scales."""
        nn.utils.clip_grad_norm_(self.parameters(), GRADIENT_CLIP)

    def configure_optimizers(self) -> Any:
        """Set up AdamW with warm-up and cosine."""
        decayed = [p for p in self.parameters() if p.ndim > 1]
        others = [p for p in self.parameters() if p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": self.config.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=self.config.lr,
            fused=True,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        epochs = self.config.epochs
        warmup = min(self.config.warmup_epochs, epochs / 2) * steps / epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: lr_share(step, warmup, steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def partial_loss(logits: Tensor, allowed: Tensor, smoothing: float = 0.0) -> Tensor:
    """Compute the loss of labels that may leave the class open."""
    # The likelihood of a superset label (Jin & Ghahramani 2002, NIPS 15). With one
    # class allowed it is the cross-entropy with label smoothing of torch; shares
    # (mixup) are read as soft targets.
    log_p = logits.log_softmax(1)
    soft = allowed.sum(1) < 1.5
    one = -(allowed * log_p).sum(1)
    some = -(log_p + allowed.clamp(min=1e-30).log()).logsumexp(1)
    spread = -log_p.mean(1)
    loss = (1 - smoothing) * torch.where(soft, one, some) + smoothing * spread
    return loss.mean()


def votes_loss(logits: Tensor, votes: Tensor) -> Tensor:
    """Compute minus the log likelihood of votes (B, K): shares, or counts."""
    # Counts are Dirichlet-multinomial, as in Zoobot (Walmsley et al. 2022, MNRAS 509,
    # 3966): what volunteers say of a galaxy scatters more than dice do.
    # Zoobot's concentrations are 1 to 100, with a mean that is no softmax of anything;
    # here they are exp(score). Their mean is then the softmax, so that probabilities,
    # calibration and all else stay as they are, and their sum, on which no probability
    # depends, says how much of the scatter is doubt. One vote is cross-entropy.
    log_p = logits.log_softmax(1)
    soft = -(votes * log_p).sum(1)
    # In 64 bits, where there are any: these are small differences of large numbers.
    wide = torch.float32 if logits.device.type == "mps" else torch.float64
    alpha, votes = logits.to(wide).exp(), votes.to(wide)
    num, whole = votes.sum(1), alpha.sum(1)
    ways = torch.lgamma(num + 1) - torch.lgamma(votes + 1).sum(1)
    each = (torch.lgamma(votes + alpha) - torch.lgamma(alpha)).sum(1)
    counted = torch.lgamma(num + whole) - torch.lgamma(whole) - ways - each
    return torch.where(num < ONE, soft, counted.float()).mean()


def mask_loss(evidence: Tensor, masks: Tensor) -> Tensor:
    """Compute 1 minus the correlation of maps (B, h, w) with masks (B, 1, H, W)."""
    # Of the size of the evidence nothing is asked: only where there is more of it.
    there = _at_places(masks[:, 0], evidence.shape[1:])
    each = [_standardized(maps.flatten(1)) for maps in (evidence, there)]
    return 1 - (each[0] * each[1]).mean()


def _at_places(masks: Tensor, size: tuple[int, ...]) -> Tensor:
    """Average masks (B, H, W) around the pixels on which places are centered."""
    # Not over tiles: what is drawn for a place is drawn around its middle.
    down, across = (
        torch.from_numpy(share / share.sum(0)).to(masks)
        for share in map(shares, size, masks.shape[1:])
    )
    return down.T @ masks @ across


def _standardized(rows: Tensor) -> Tensor:
    centered = rows - rows.mean(1, keepdim=True)
    return centered / (rows.std(1, correction=0, keepdim=True) + 1e-4)


def lr_share(step: int, warmup: float, steps: int) -> float:
    """Compute the learning rate of a step as a share of the peak."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(steps - warmup, 1)
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1)))
    return LAST_LR_SHARE + (1 - LAST_LR_SHARE) * cosine


def weight_averaging(decay: float) -> WeightAveraging:
    """Keep an exponential moving average of weights and batch statistics."""

    def _average(old: Tensor, new: Tensor, num_averaged: Tensor | int) -> Tensor:
        if not old.is_floating_point():
            return new  # counters
        n = int(num_averaged)
        return torch.lerp(old, new, 1 - min(decay, (1 + n) / (10 + n)))

    return WeightAveraging(use_buffers=True, avg_fn=_average)
