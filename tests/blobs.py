"""Galaxies that are easy to draw and easy to tell apart."""

import numpy as np

from dmagnet.config import AugmentConfig, ModelConfig, TrainConfig
from dmagnet.galaxies import Galaxies

CONFIG = TrainConfig(
    image_size=64,
    epochs=8,
    batch_size=15,
    lr=3e-3,
    warmup_epochs=1,
    ema_decay=0.9,
    progressive=False,
    scales=(1.0, 1.0),
    label_smoothing=0.0,
    model=ModelConfig(size="xs", drop_path=0.0),
    augment=AugmentConfig(zoom=1.1),
)


def blobs(num=60, num_classes=3, side=64, seed=0):
    """Galaxies that are easy to tell apart: the class sets the axis ratio."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side - 0.5
    labels = np.arange(num) % num_classes
    images = np.empty((num, side, side, 3), np.uint8)
    for i, label in enumerate(labels):
        angle = rng.uniform(0, np.pi)
        ratio = 1 / (1 + 1.5 * label)
        u = x * np.cos(angle) + y * np.sin(angle)
        v = (y * np.cos(angle) - x * np.sin(angle)) / ratio
        light = np.exp(-np.hypot(u, v) / 0.12)[..., None] * rng.uniform(0.5, 1, 3)
        noise = rng.normal(0.05, 0.02, (side, side, 3))
        images[i] = (255 * (light + noise).clip(0, 1)).astype(np.uint8)
    split = np.array([0, 0, 0, 1])[(np.arange(num) // num_classes) % 4].astype(np.int8)
    nowhere = np.full(num, np.nan)
    return Galaxies(
        images=images,
        labels=labels.astype(np.int64),
        class_names=tuple(f"class {k}" for k in range(num_classes)),
        ids=np.array([f"blob:{i}" for i in range(num)]),
        ra=nowhere,
        dec=nowhere,
        redshift=nowhere,
        pxscale=nowhere,
        split=split,
        source="blobs",
        data_hash=f"blobs-{num}-{num_classes}-{side}-{seed}",
    )
