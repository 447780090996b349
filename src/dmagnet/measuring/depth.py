"""Reach, attention and probes of a network, layer by layer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.measuring.apertures import Aperture
from dmagnet.measuring.energy import aperture_energy, rank_correlation
from dmagnet.measuring.hypotheses import PARAMETERS
from dmagnet.measuring.morphology import measure_morphology
from dmagnet.measuring.probes import Probe, probe_classes, probe_parameter
from dmagnet.measuring.reach import effective_field
from dmagnet.measuring.representations import features_by_depth, participation_ratio
from dmagnet.network.dmagnet import DMAGNet

Floats = NDArray[np.float64]
FLAT = 1e-5  # a map that departs less from neutral does so by rounding


def reach_numbers(
    model: nn.Module, images: Tensor, aperture: Aperture, layers: Sequence[str]
) -> dict[str, Floats]:
    """Measure how far each layer looks, in units of each galaxy."""
    fields = [effective_field(model, layer, images) for layer in layers]
    radius = aperture.r_petro
    return {
        name: torch.stack([each / radius for each in radii], dim=1).double().numpy()
        for name, radii in (
            ("reach68", [field.radius68 for field in fields]),
            ("reach95", [field.radius95 for field in fields]),
        )
    }


@torch.no_grad()
def attention_numbers(
    model: nn.Module, images: Tensor, aperture: Aperture
) -> dict[str, Floats]:
    """Measure whether local attention lies on the galaxy."""
    if not isinstance(model, DMAGNet) or not model.config.lam:
        nothing = np.full(len(images), np.nan)
        return {"attention_inside": nothing, "attention_flux": nothing}
    shares = model.attention_maps(images)
    # A module that has learned nothing shares evenly, and so prefers no place.
    flat = (shares - 1).abs().amax(dim=(1, 2)) < FLAT
    inside = aperture_energy(shares, aperture)["inside1"]
    flux = rank_correlation(shares, images.mean(dim=1))
    return {
        "attention_inside": inside.masked_fill(flat, 1.0).numpy(),
        "attention_flux": flux.masked_fill(flat, 0.0).numpy(),
    }


def physical_parameters(images: NDArray[np.uint8]) -> dict[str, Floats]:
    """Measure the shapes of galaxies that probes are asked for."""
    parts = []
    for start in range(0, len(images), 64):
        chunk = torch.from_numpy(np.array(images[start : start + 64]))
        found = measure_morphology(chunk.permute(0, 3, 1, 2).float() / 255)
        parts.append([getattr(found, name).double().numpy() for name in PARAMETERS])
    return {
        name: np.concatenate([part[i] for part in parts])
        for i, name in enumerate(PARAMETERS)
    }


def probe_numbers(
    model: nn.Module,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    parameters: Mapping[str, Floats],
    layers: Sequence[str],
) -> dict[str, NDArray[Any]]:
    """Ask linear probes, layer by layer, what can be read there."""
    features = features_by_depth(model, images, layers)
    numbers: dict[str, NDArray[Any]] = {f"features_{n}": f for n, f in features.items()}
    numbers["dimension"] = np.array([participation_ratio(features[n]) for n in layers])
    for name in ("class", *parameters):
        probes = [
            probe_classes(features[layer], labels)
            if name == "class"
            else probe_parameter(features[layer], parameters[name])
            for layer in layers
        ]
        numbers |= _probe_rows(name, probes)
    return numbers


def _probe_rows(name: str, probes: list[Probe]) -> dict[str, Floats]:
    scores = [[p.score, *p.interval, p.control] for p in probes]
    last = probes[-1]
    return {
        f"probe_{name}": np.stack([p.per_galaxy for p in probes], axis=1),
        f"control_{name}": np.stack([p.control_per_galaxy for p in probes], axis=1),
        f"selectivity_{name}": last.per_galaxy - last.control_per_galaxy,
        f"score_{name}": np.array(scores),
    }
