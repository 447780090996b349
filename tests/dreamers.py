"""Small things to dream with: a network that learned nothing, and a galaxy."""

import numpy as np
import torch
from PIL import Image

from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, save

CLASSES = ("0_round", "1_Spiral_arms", "Merging")


def weights(folder, seed=0, radii=None):
    """A run folder with a small network for three classes."""
    torch.manual_seed(seed)
    config = ModelConfig(size="xs", num_classes=3)
    model = DMAGNet(config).eval()
    train = TrainConfig(image_size=64, radii=radii, model=config)
    save(folder / "weights.safetensors", Checkpoint(model, train, CLASSES))
    return folder


def galaxy(height=64, width=64, seed=0):
    """An oblique disc with a star beside it, on noise; (H, W, 3) uint8."""
    y, x = np.mgrid[:height, :width]
    dy, dx = (y - 0.45 * height) / height, (x - 0.55 * width) / width
    disc = np.exp(-np.hypot(dx + 0.5 * dy, 2 * dy - dx) / 0.12)
    star = np.exp(-((y - 8) ** 2 + (x - 12) ** 2) / 3.0)
    noise = np.random.default_rng(seed).normal(0.08, 0.02, (height, width, 3))
    colors = np.array([1.0, 0.85, 0.7])
    rgb = noise + disc[..., None] * colors + star[..., None]
    return (rgb.clip(0, 1) * 255).astype(np.uint8)


def picture(path, **how):
    """Write the galaxy as an image file."""
    Image.fromarray(galaxy(**how)).save(path)
    return path
