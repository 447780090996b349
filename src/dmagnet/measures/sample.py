"""What the dreams of one layer look like, in numbers, for each galaxy and seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.config import DreamConfig
from dmagnet.dreams import Energy
from dmagnet.dreams.octaves import octave_frames
from dmagnet.dreams.scorer import Scorer
from dmagnet.measures.apertures import Aperture
from dmagnet.measures.energy import aperture_energy
from dmagnet.measures.morphology import measure_morphology
from dmagnet.measures.spectra import (
    azimuthal_modes,
    radial_power,
    share_below,
    spectral_centroid,
)
from dmagnet.measures.stability import seed_stability

Floats = NDArray[np.float32]
BATCH = 8  # dreams at a time; more leave the cache of a CPU core
MORPHOLOGY = ("concentration", "asymmetry", "smoothness", "gini", "m20")


@dataclass(frozen=True, eq=False)
class DreamSample:
    """The numbers of one layer's dreams.

    Attributes
    ----------
    numbers : dict of str to (S, N) ndarray
        One value for each seed and galaxy; see `dream_numbers`.
    trajectory : (F, N) ndarray
        Probability of each galaxy's own class after each step, of the first seed.
    stability : dict of str to ndarray
        How alike the dreams of different seeds are; see `seed_stability`.
    """

    numbers: dict[str, Floats]
    trajectory: Floats
    stability: dict[str, Floats]


def dream_sample(
    networks: Sequence[nn.Module],
    images: Tensor,
    labels: NDArray[np.int64],
    *,
    aperture: Aperture,
    layer: str,
    config: DreamConfig,
    seeds: int,
    progress: Callable[[int], None] | None = None,
) -> DreamSample:
    """Dream one layer on many galaxies with many seeds, and measure every dream.

    Parameters
    ----------
    networks : sequence of nn.Module
        One trained network, or several with random weights; seed s uses network
        s modulo their number.
    images : (N, 3, H, W) float in [0, 1]
        Galaxies.
    labels : (N,) int
        Their classes.
    aperture : Aperture
        Of the galaxies; the dreams are measured in the same.
    layer : str
        What to dream.
    config : DreamConfig
        How to dream.
    seeds : int
        Number of seeds.
    progress : callable, optional
        Called with the number of dreams done so far.

    Returns
    -------
    DreamSample
        Numbers, trajectory and stability.
    """
    rows: list[dict[str, Tensor]] = []
    details = []
    trajectory = np.empty(0, np.float32)
    for seed in range(seeds):
        network = networks[seed % len(networks)]
        scorer = Scorer(network, Energy(layer), images[:BATCH])
        parts, drawn, paths = [], [], []
        for start in range(0, len(images), BATCH):
            chosen = slice(start, start + BATCH)
            base, own = images[chosen], torch.from_numpy(labels[chosen])
            path = []
            for frame in octave_frames(scorer, base, config, seed=config.seed + seed):
                if seed == 0:
                    path.append(_own(network, frame.images, own))
            dreams = frame.images
            numbers = dream_numbers(base, dreams, aperture.pick(chosen))
            numbers["own_before"] = _own(network, base, own)
            numbers["own_after"] = _own(network, dreams, own)
            parts.append(numbers)
            drawn.append((dreams - base).half())
            paths.append(torch.stack(path) if path else torch.empty(0, len(base)))
            if progress:
                progress(seed * len(images) + start + len(base))
        rows.append({k: torch.cat([p[k] for p in parts]) for k in parts[0]})
        details.append(torch.cat(drawn))
        if seed == 0:
            trajectory = torch.cat(paths, dim=1).numpy()
    return DreamSample(
        numbers={k: _stack([row[k] for row in rows]) for k in rows[0]},
        trajectory=trajectory,
        stability={
            name: value.float().numpy()
            for name, value in seed_stability(torch.stack(details)).items()
        },
    )


def dream_numbers(
    base: Tensor, dreams: Tensor, aperture: Aperture
) -> dict[str, Tensor]:
    """Measure dreams against their galaxies.

    Parameters
    ----------
    base : (B, 3, H, W) float in [0, 1]
        Galaxies.
    dreams : (B, 3, H, W) float in [0, 1]
        Their dreams.
    aperture : Aperture
        Of the galaxies.

    Returns
    -------
    dict of str to (B,) Tensor
        Of the detail, dream minus galaxy: ``size`` (its root mean square), ``centroid``
        of its power spectrum in cycles per Petrosian radius, ``coherent`` (share of its
        power below one cycle per Petrosian radius), ``motif`` (share of its variance
        inside the galaxy in the azimuthal modes 2 to 4) and ``mode1`` to ``mode4``,
        ``inside1``, ``inside2``, ``inside_segment`` (share of its absolute value in one
        and two Petrosian radii and in the segment, over the share of area). Of the
        dream, in the galaxy's aperture: concentration, asymmetry, smoothness, Gini,
        M20, each as the change from the galaxy.
    """
    detail = dreams - base
    radius = aperture.r_petro
    spectrum = radial_power(detail, radius=radius)
    modes = azimuthal_modes(detail, aperture.x, aperture.y, radius, signed=True)
    numbers = {
        "size": detail.square().mean(dim=(1, 2, 3)).sqrt(),
        "centroid": spectral_centroid(*spectrum),
        "coherent": share_below(*spectrum, 1.0),
        "motif": modes[:, 1:].sum(dim=1),
    }
    numbers |= {f"mode{m}": modes[:, m - 1] for m in range(1, 5)}
    numbers |= aperture_energy(detail, aperture)
    before = measure_morphology(base, aperture=aperture)
    after = measure_morphology(dreams, aperture=aperture)
    for name in MORPHOLOGY:
        numbers[name] = getattr(after, name) - getattr(before, name)
    return numbers


@torch.no_grad()
def _own(network: nn.Module, images: Tensor, own: Tensor) -> Tensor:
    """Return the probability that a network gives to each galaxy's own class."""
    logits: Tensor = network(images.contiguous(memory_format=torch.channels_last))
    return logits.softmax(dim=1)[torch.arange(len(own)), own]


def _stack(rows: list[Tensor]) -> Floats:
    return torch.stack(rows).float().numpy()
