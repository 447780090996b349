"""The dreams of one layer in numbers, for each galaxy and seed."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.config.dream_config import DreamConfig
from dmagnet.dreaming.objectives import Energy
from dmagnet.dreaming.octaves import octave_frames
from dmagnet.dreaming.scorer import Scorer
from dmagnet.measuring.apertures import Aperture
from dmagnet.measuring.energy import aperture_energy
from dmagnet.measuring.morphology import measure_morphology
from dmagnet.measuring.representations import seed_stability
from dmagnet.measuring.spectra import (
    azimuthal_modes,
    radial_power,
    share_below,
    spectral_centroid,
)
from dmagnet.storage.records import Arrays

BATCH = 8  # dreams at a time; more leave the cache of a CPU core
MORPHOLOGY = ("concentration", "asymmetry", "smoothness", "gini", "m20")


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
) -> Arrays:
    """Dream one layer on many galaxies with many seeds, and measure every dream."""
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
    numbers = {k: torch.stack([row[k] for row in rows]).float() for k in rows[0]}
    alike = seed_stability(torch.stack(details))
    return {
        **{f"number_{k}": value.numpy() for k, value in numbers.items()},
        **{f"stability_{k}": value.float().numpy() for k, value in alike.items()},
        "trajectory": trajectory,
    }


def dream_numbers(
    base: Tensor, dreams: Tensor, aperture: Aperture
) -> dict[str, Tensor]:
    """Measure dreams against their galaxies."""
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
