"""Serve training views: the whole set lives on the device as one uint8 tensor."""

from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmagnet.config.train_config import SMALLEST_SIDE, TrainConfig
from dmagnet.galaxies.augment import augment

GROWN_AFTER = 0.6  # of the epochs: until then progressive views are small
EARLY = (0.5, 0.75)  # of the side: a fifth to a half of the work
STEP = 16  # px: every other step of the network's stride


class Steps:
    """The numbers of an epoch's batches, as a loader."""

    def __init__(self, num: int) -> None:
        self.num = num

    def __len__(self) -> int:
        return self.num

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(range(self.num))

    def state_dict(self) -> dict[str, int]:
        """Let Lightning resume this loader in the middle of an epoch."""
        return {"num": self.num}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Accept what `state_dict` gave."""


def step_seed(*parts: int) -> int:
    """Mix a seed with epoch, batch and rank into one number."""
    words = np.random.SeedSequence(list(parts)).generate_state(1, np.uint64)
    return int(words[0] >> np.uint64(1))


def view_size(config: TrainConfig, epoch: int, number: int) -> int:
    """Draw the side of a batch's views, the same on every device."""
    low, high = config.scales
    if config.progressive and epoch < GROWN_AFTER * config.epochs:
        low, high = min(low, EARLY[0]), min(high, EARLY[1])
    draw = np.random.default_rng(step_seed(config.seed, epoch, number + 1, 0)).random()
    side = config.image_size * low * (high / low) ** draw  # even in log
    return max(round(float(side) / STEP) * STEP, SMALLEST_SIDE)


class GalaxyBatches(L.LightningDataModule):
    """Training views and validation images of one labeled set.

    Parameters
    ----------
    train : tuple of ndarray
        Images (N, S, S, 3) uint8 with S = image_size / field, and labels (N,) or
        votes (N, K).
    val : tuple of ndarray
        The same, for validation; may be empty.
    config : TrainConfig
        Batch size, view size, augmentation and seed.
    masks : (N, S, S) uint8 ndarray, optional
        Where each training galaxy shows its class.
    """

    def __init__(
        self,
        train: tuple[NDArray[np.uint8], NDArray[Any]],
        val: tuple[NDArray[np.uint8], NDArray[Any]],
        config: TrainConfig,
        masks: NDArray[np.uint8] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.images, self.labels = _tensors(*train)
        self.masks = None if masks is None else torch.from_numpy(masks)
        self.val_images, self.val_labels = _tensors(*val)

    @property
    def steps_per_epoch(self) -> int:
        """Count the whole batches in the training set."""
        return max(len(self.labels) // self.config.batch_size, 1)

    def draw(
        self, epoch: int, number: int, device: torch.device, rank: int, world: int
    ) -> tuple[Tensor, Tensor, torch.Generator]:
        """Draw one batch as a pure function of seed, epoch, number and rank."""
        if self.images.device != device:
            self.images, self.labels = self.images.to(device), self.labels.to(device)
        seed, size = self.config.seed, self.config.batch_size
        order = torch.Generator().manual_seed(step_seed(seed, epoch))
        shuffled = torch.randperm(len(self.labels), generator=order)
        mine = shuffled[number * size : (number + 1) * size][rank::world].to(device)
        generator = torch.Generator(device)
        generator.manual_seed(step_seed(seed, epoch, number + 1, rank))
        frames = self.images[mine]
        if self.masks is not None:
            masks = self.masks[mine.to(self.masks.device)].to(device)
            frames = torch.cat([frames, masks[:, None]], dim=1)
        views = augment(
            frames,
            self.config.augment,
            image_size=self.config.image_size,
            view_size=view_size(self.config, epoch, number),
            generator=generator,
        )
        return views, self.labels[mine], generator

    def train_dataloader(self) -> Steps:
        """Serve the numbers of an epoch's batches."""
        return Steps(self.steps_per_epoch)

    def val_dataloader(self) -> Steps:
        """Serve the numbers of the validation batches."""
        return Steps(-(-len(self.val_labels) // self.config.batch_size))

    def draw_val(self, number: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Draw a validation batch: the central view, nothing random."""
        size = self.config.batch_size
        rows = slice(number * size, (number + 1) * size)
        views = central_view(self.val_images[rows].to(device), self.config.image_size)
        return views, self.val_labels[rows].to(device)


def central_view(images: Tensor, image_size: int) -> Tensor:
    """Cut the middle out of square frames."""
    start = (images.shape[-1] - image_size) // 2
    end = start + image_size
    return images[..., start:end, start:end].float() / 255


def _tensors(images: NDArray[np.uint8], labels: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """Wrap images as (N, 3, S, S) uint8, and labels, without copying pixels."""
    pixels = images if images.flags.writeable else np.array(images)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(labels)
