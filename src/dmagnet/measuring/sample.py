"""Numbers of one network: its dreams, its attention, what probes read."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmagnet.config.dream_config import DreamConfig
from dmagnet.dreaming.objectives import Energy
from dmagnet.dreaming.octaves import octave_frames
from dmagnet.dreaming.targets import Network
from dmagnet.judging.predict import batches_of
from dmagnet.measuring import spectra
from dmagnet.measuring.apertures import Aperture, aperture_energy
from dmagnet.measuring.hypotheses import PARAMETERS
from dmagnet.measuring.morphology import measure_morphology
from dmagnet.measuring.probes import (
    IMAGES_AT_ONCE,
    Probe,
    probe_classes,
    probe_parameter,
)
from dmagnet.network.dmagnet import DMAGNet
from dmagnet.storage.arrays import Floats, Ints, Pixels, Singles
from dmagnet.storage.records import Arrays

BATCH = 8  # dreams at a time; more leave the cache of a CPU core
PATCH_PX = 5  # of the galaxy, from which the detail at a place is predicted
MOTIFS = (2, 3, 4)


def dream_numbers(
    network: Network, base: Tensor, aperture: Aperture, layer: str, *,
    config: DreamConfig, seed: int,
) -> Arrays:  # fmt: skip
    """Dream one layer on galaxies, and measure what was added: (N,) each."""
    scorer = network.scorer(Energy(layer), base[:BATCH])
    details = []
    for start in range(0, len(base), BATCH):
        some = base[start : start + BATCH]
        for frame in octave_frames(scorer, some, config, seed=config.seed + seed):
            last = frame.images
        details.append(last - some)
    return measure_details(base, torch.cat(details), aperture)


def measure_details(base: Tensor, detail: Tensor, aperture: Aperture) -> Arrays:
    """Measure what dreams added to galaxies."""
    spectrum = spectra.radial_power(detail, radius=aperture.r_petro)
    numbers = {
        "size": detail.square().mean(dim=(1, 2, 3)).sqrt(),
        "local": local_share(base, detail),
        "centroid": spectra.spectral_centroid(*spectrum),
        "coherent": spectra.share_below(*spectrum, 1.0),
        "motif": motif_share(detail, aperture),
        "inside1": aperture_energy(detail, aperture)["inside1"],
    }
    return {name: values.float().numpy() for name, values in numbers.items()}


def motif_share(images: Tensor, aperture: Aperture) -> Tensor:
    """Measure the share of modes 2 to 4 in the variance inside galaxies."""
    place = aperture.x, aperture.y, aperture.r_petro
    return spectra.azimuthal_modes(images, *place, MOTIFS, signed=True).sum(dim=1)


def local_share(base: Tensor, detail: Tensor) -> Tensor:
    """Measure how much of a detail the galaxy's light at each place predicts (R^2).

    A linear function of the 5 x 5 px around, in three colors, fitted to each galaxy.
    """
    edge = PATCH_PX // 2
    patches = F.unfold(F.pad(base, (edge,) * 4, mode="reflect"), PATCH_PX).double()
    found = []
    for light, added in zip(patches.mT, detail.flatten(2).mT.double(), strict=True):
        x, y = light - light.mean(dim=0), added - added.mean(dim=0)
        left = y - x @ torch.linalg.lstsq(x.mT @ x, x.mT @ y).solution
        found.append(1 - left.square().sum() / y.square().sum().clamp(min=1e-12))
    return torch.stack(found)


@torch.no_grad()
def attention_inside(model: nn.Module, images: Tensor, aperture: Aperture) -> Arrays:
    """Measure how much of LAM's attention is inside a Petrosian radius: (N,)."""
    inside = torch.full_like(aperture.r_petro, torch.nan)
    if isinstance(model, DMAGNet) and model.config.lam:
        inside = aperture_energy(model.attention_maps(images), aperture)["inside1"]
    return {"inside1": inside.numpy()}


def physical_parameters(images: Pixels) -> Arrays:
    """Measure the shapes of galaxies that probes are asked for."""
    parts = []
    for chunk in batches_of(images, IMAGES_AT_ONCE, torch.device("cpu")):
        found = measure_morphology(chunk)
        parts.append([getattr(found, name).double().numpy() for name in PARAMETERS])
    return dict(zip(PARAMETERS, np.concatenate(parts, axis=1), strict=True))


def probe_numbers(
    features: Mapping[str, Singles],
    labels: Ints,
    parameters: Mapping[str, Floats],
) -> Arrays:
    """Ask linear probes what can be read off each layer."""
    numbers: Arrays = {}
    for name in ("class", *PARAMETERS):
        probes: list[Probe] = [
            probe_classes(values, labels)
            if name == "class"
            else probe_parameter(values, parameters[name])
            for values in features.values()
        ]
        last = probes[-1]
        numbers[f"probe_{name}"] = np.stack([p.per_galaxy for p in probes], axis=1)
        numbers[f"shuffled_{name}"] = np.array([p.control for p in probes])
        numbers[f"selectivity_{name}"] = last.per_galaxy - last.control_per_galaxy
    return numbers
