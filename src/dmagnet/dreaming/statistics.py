"""Statistics of galaxy pictures: their mean, their colors, their waves.

A base made of waves needs natural amplitudes and colors. Those in public code are
ImageNet's; ours are measured on simulated Galaxy10 frames, or on anybody's own.
"""

import functools
import json
from dataclasses import asdict, dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dmagnet.errors import DataError
from dmagnet.storage.arrays import Floats, Pixels
from dmagnet.storage.records import json_record

PACKAGED = "statistics.json"  # made by runs/dream_statistics.py
CHUNK = 64  # images at a time
FLAT = 1e-12  # variance; what is left of none by rounding


@dataclass(frozen=True)
class Statistics:
    """Mean color, covariance of colors and mean spectrum of a set of images.

    Attributes
    ----------
    mean : tuple of float
        Red, green, blue, in [0, 1].
    covariance : tuple of tuple of float
        (3, 3) of the colors of all pixels.
    profile : tuple of tuple of float
        (3, K) mean amplitude of the waves of each decorrelated color (see
        `color_matrix`) at 0, 1, 2... cycles per frame, over all directions.
    side : int
        Of the images measured, in px; waves are known up to half of it.
    num : int
        Images measured.
    """

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    profile: tuple[tuple[float, ...], ...]
    side: int
    num: int

    def write(self, path: Path) -> None:
        """Save as JSON.

        Parameters
        ----------
        path : Path
            Where to.
        """
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Statistics":
        """Read what `write` wrote.

        Parameters
        ----------
        path : Path
            A JSON file.

        Returns
        -------
        Statistics
            The same.

        Raises
        ------
        DataError
            If there is no such file, or if it holds something else.
        """
        with json_record(path, "what runs/dream_statistics.py writes") as values:
            return _from_json(values)


def _from_json(values: dict[str, Any]) -> Statistics:
    return Statistics(
        mean=tuple(map(float, values["mean"])),
        covariance=tuple(tuple(map(float, row)) for row in values["covariance"]),
        profile=tuple(tuple(map(float, row)) for row in values["profile"]),
        side=int(values["side"]),
        num=int(values["num"]),
    )


@functools.cache
def galaxy_statistics() -> Statistics:
    """Read the statistics that come with the package."""
    packaged = resources.files("dmagnet.dreaming").joinpath(PACKAGED)
    return _from_json(json.loads(packaged.read_text(encoding="utf-8")))


def mean_color(statistics: Statistics | None = None) -> Tensor:
    """Return the mean pixel."""
    return torch.tensor((statistics or galaxy_statistics()).mean)


def color_matrix(statistics: Statistics | None = None) -> Tensor:
    """Return the matrix that turns decorrelated colors into red, green, blue."""
    covariance = (statistics or galaxy_statistics()).covariance
    variances, axes = torch.linalg.eigh(torch.tensor(covariance, dtype=torch.float64))
    variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)
    # Eigenvectors have no sign of their own: the largest part is positive here.
    largest = axes.abs().argmax(dim=0, keepdim=True)
    axes = axes * axes.gather(0, largest).sign()
    matrix: Tensor = axes * (variances / variances[0]).sqrt()
    return matrix.float()


def decorrelate(images: Tensor, statistics: Statistics | None = None) -> Tensor:
    """Turn red, green, blue into decorrelated colors around the mean."""
    mean = mean_color(statistics).to(images)[:, None, None]
    undo = torch.linalg.pinv(color_matrix(statistics)).to(images)
    return torch.einsum("dc,bchw->bdhw", undo, images - mean)


def recolor(colors: Tensor, statistics: Statistics | None = None) -> Tensor:
    """Turn decorrelated colors into red, green, blue."""
    mean = mean_color(statistics).to(colors)[:, None, None]
    matrix = color_matrix(statistics).to(colors)
    return torch.einsum("dc,bchw->bdhw", matrix, colors) + mean


def cycles_per_frame(height: int, width: int) -> Tensor:
    """Compute the frequency of each wave of `torch.fft.rfft2`."""
    down = torch.fft.fftfreq(height, dtype=torch.float64)
    right = torch.fft.rfftfreq(width, dtype=torch.float64)
    return torch.hypot(down[:, None], right[None, :]) * max(height, width)


def magnitude_spectrum(
    height: int, width: int, statistics: Statistics | None = None
) -> Tensor:
    """Return the mean amplitude of each wave of a galaxy image."""
    profile = np.array((statistics or galaxy_statistics()).profile)
    side = (statistics or galaxy_statistics()).side
    known = min(side // 2, profile.shape[1] - 1)
    cycles = np.arange(1, known + 1)
    wanted = cycles_per_frame(height, width).clamp(min=1).numpy()
    tail = cycles > known * 2 / 3
    rows = []
    for amplitudes in np.maximum(profile[:, 1 : known + 1], 1e-12):
        logs = np.log(amplitudes)
        slope, offset = np.polyfit(np.log(cycles[tail]), logs[tail], 1)
        inside = np.interp(np.log(wanted), np.log(cycles), logs)
        beyond = slope * np.log(wanted) + offset
        rows.append(np.exp(np.where(wanted > known, beyond, inside)))
    spectrum = torch.from_numpy(np.stack(rows)).float()
    spectrum[:, 0, 0] = 0
    return spectrum


def check_pictures(images: npt.NDArray[Any]) -> None:
    """Refuse what is no stack of pictures with 8 bits a color."""
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
        raise DataError(
            "expected images of shape (N, H, W, 3) and type uint8, got "
            f"{images.dtype} of shape {images.shape}"
        )


def measure_statistics(images: Pixels) -> Statistics:
    """Measure the statistics of a set of images.

    Parameters
    ----------
    images : (N, H, W, 3) uint8
        An array or a memory map; read in pieces, twice.

    Returns
    -------
    Statistics
        Their mean color, the covariance of their pixels, their mean spectrum.

    Raises
    ------
    DataError
        If they are not of this form, or all of one color.
    """
    check_pictures(images)
    mean, covariance = _color_moments(images)
    if not np.any(np.diag(covariance) > FLAT):
        raise DataError("expected images that differ, got pixels of one color only")
    height, width = images.shape[1:3]
    colors = Statistics(
        tuple(mean.tolist()), tuple(map(tuple, covariance.tolist())), (), 0, len(images)
    )
    ring = cycles_per_frame(height, width).round().long().flatten()
    sums = torch.zeros(3, int(ring.max()) + 1, dtype=torch.float64)
    for start in range(0, len(images), CHUNK):
        part = torch.from_numpy(np.array(images[start : start + CHUNK]))
        part = decorrelate(part.permute(0, 3, 1, 2).double() / 255, colors)
        waves = torch.fft.rfft2(part, norm="forward").abs().sum(dim=0)
        sums.index_add_(1, ring, waves.flatten(1))
    profile = sums / ring.bincount() / len(images)
    rounded = [[float(f"{value:.6g}") for value in row] for row in profile.tolist()]
    found = tuple(map(tuple, rounded))
    return replace(colors, profile=found, side=max(height, width))


def _color_moments(
    images: Pixels,
) -> tuple[Floats, Floats]:
    total, products, pixels = np.zeros(3), np.zeros((3, 3)), 0
    for start in range(0, len(images), CHUNK):
        part = np.array(images[start : start + CHUNK]).reshape(-1, 3) / 255
        total += part.sum(axis=0)
        products += part.T @ part
        pixels += len(part)
    mean = total / max(pixels, 1)
    return mean, products / max(pixels, 1) - np.outer(mean, mean)
