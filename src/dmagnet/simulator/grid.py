"""The pixels of a frame, and where a galaxy lies on them."""

from dataclasses import dataclass

import torch
from torch import Tensor

FRAME_ARCSEC = 67.072  # 256 px of 0.262 arcsec: the frame of Galaxy10 DECaLS
PIXEL_ARCSEC = 0.262


@dataclass(frozen=True)
class Grid:
    """The pixels that a batch is drawn on; all lengths are in arcsec."""

    size: int
    scale: float
    device: torch.device

    @classmethod
    def of_frame(cls, size: int, device: torch.device, field: float = 1.0) -> "Grid":
        """Return the grid that covers a frame, or the middle of one."""
        return cls(size, field * FRAME_ARCSEC / size, device)

    def wider(self, margin: int) -> "Grid":
        """Return the grid with a margin around it."""
        return Grid(self.size + 2 * margin, self.scale, self.device)

    @property
    def area_arcmin2(self) -> float:
        """Compute the area of sky that the grid covers."""
        return (self.size * self.scale / 60) ** 2

    def axis(self) -> Tensor:
        """Return the centers of the pixels along one side."""
        pixels = torch.arange(self.size, device=self.device, dtype=torch.float32)
        return (pixels - (self.size - 1) / 2) * self.scale


@dataclass(frozen=True)
class Pose:
    """Where galaxies lie on the sky and how they are turned."""

    x: Tensor
    y: Tensor
    angle: Tensor

    def along_across(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Turn positions on the sky into positions along the axes of each galaxy."""
        cos, sin = (f(self.angle)[:, None] for f in (torch.cos, torch.sin))
        dx, dy = x - self.x[:, None], y - self.y[:, None]
        along = (cos * dx)[:, None, :] + (sin * dy)[:, :, None]
        across = (-sin * dx)[:, None, :] + (cos * dy)[:, :, None]
        return along, across
