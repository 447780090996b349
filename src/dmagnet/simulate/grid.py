"""The pixels of a frame, and where a galaxy lies on them."""

from dataclasses import dataclass

import torch
from torch import Tensor

FRAME_ARCSEC = 67.072  # 256 px of 0.262 arcsec: the frame of Galaxy10 DECaLS
PIXEL_ARCSEC = 0.262


@dataclass(frozen=True)
class Grid:
    """The pixels that a batch is drawn on; all lengths are in arcsec.

    Attributes
    ----------
    size : int
        Side in pixels.
    scale : float
        Side of a pixel in arcsec.
    device : torch.device
        Where the images are.
    """

    size: int
    scale: float
    device: torch.device

    @classmethod
    def of_frame(cls, size: int, device: torch.device, field: float = 1.0) -> "Grid":
        """Return the grid that covers a frame, or the middle of one.

        Parameters
        ----------
        size : int
            Side in pixels.
        device : torch.device
            Where the images are.
        field : float
            Central share of the frame that is covered.

        Returns
        -------
        Grid
            Its pixels are ``field * FRAME_ARCSEC / size`` wide.
        """
        return cls(size, field * FRAME_ARCSEC / size, device)

    def wider(self, margin: int) -> "Grid":
        """Return the grid with a margin around it.

        Parameters
        ----------
        margin : int
            Pixels to add on each side.

        Returns
        -------
        Grid
            The same pixels and more.
        """
        return Grid(self.size + 2 * margin, self.scale, self.device)

    @property
    def area_arcmin2(self) -> float:
        """Compute the area of sky that the grid covers.

        Returns
        -------
        float
            Square arcmin.
        """
        return (self.size * self.scale / 60) ** 2

    def axis(self) -> Tensor:
        """Return the centers of the pixels along one side.

        Returns
        -------
        (size,) float
            Arcsec from the center of the frame.
        """
        pixels = torch.arange(self.size, device=self.device, dtype=torch.float32)
        return (pixels - (self.size - 1) / 2) * self.scale


@dataclass(frozen=True)
class Pose:
    """Where galaxies lie on the sky and how they are turned.

    Attributes
    ----------
    x, y : (N,) float
        Center in arcsec from the center of the frame.
    angle : (N,) float
        Position angle of the major axis in radians, from the x axis.
    """

    x: Tensor
    y: Tensor
    angle: Tensor

    def along_across(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Turn positions on the sky into positions along the axes of each galaxy.

        Parameters
        ----------
        x, y : (H or W,) or (N, H or W) float
            The columns' and the rows' positions in arcsec.

        Returns
        -------
        tuple of (N, H, W) float
            Arcsec along the major and along the minor axis.
        """
        cos, sin = (f(self.angle)[:, None] for f in (torch.cos, torch.sin))
        dx, dy = x - self.x[:, None], y - self.y[:, None]
        along = (cos * dx)[:, None, :] + (sin * dy)[:, :, None]
        across = (-sin * dx)[:, None, :] + (cos * dy)[:, :, None]
        return along, across
