"""The whole study of one network: dreams, probes, re-dreams, and the verdicts.

Every number is measured on the trained network and on its controls.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from dmagnet.config import MeasureConfig, RedreamConfig, to_dict
from dmagnet.dreaming.objectives import Energy
from dmagnet.dreaming.redream import redream_residuals
from dmagnet.dreaming.targets import Network
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.measuring import sample
from dmagnet.measuring.bench import Bench, set_up
from dmagnet.measuring.hypotheses import PARAMETERS
from dmagnet.measuring.parts import Parts
from dmagnet.measuring.probes import features_by_depth, light_in_rings
from dmagnet.measuring.verdicts import Measured, Result, judge
from dmagnet.network.checkpoint import weights_hash
from dmagnet.storage.arrays import Ints
from dmagnet.storage.environment import Announce, counter
from dmagnet.storage.records import Arrays

LIGHT = "light alone"
STEPS = "random steps"
MOST_PROBED = 2  # networks of each kind: probes are slow
Kinds = Mapping[str, list[Arrays]]


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that was measured.

    Attributes
    ----------
    layers : tuple of str
        In order of depth.
    labels : (N,) ndarray
        Classes of the galaxies that were dreamed on.
    dreams : dict of str to dict of str to (S, N, L) ndarray
        By kind of network ("trained" and the controls) and name of the number.
    attention : dict of str to (R, N) ndarray
        By kind: LAM's attention inside a Petrosian radius over the share of area, of R
        networks.
    probes : dict of str to list of dict of str to ndarray
        By kind, one for each network; see `dmagnet.measuring.sample.probe_numbers`.
    redreams : dict of str to (P, N) ndarray
        By kind and "random steps": change of the detail in each pass.
    verdicts : list of Result
        The stated hypotheses.
    """

    layers: tuple[str, ...]
    labels: Ints
    dreams: dict[str, Arrays]
    attention: Arrays
    probes: dict[str, list[Arrays]]
    redreams: Arrays
    verdicts: list[Result]


def run_study(
    network: Network, galaxies: Galaxies, out: Path, config: MeasureConfig,
    count: Announce | None = None,
) -> Study:  # fmt: skip
    """Measure a network and its controls, and judge what is claimed."""
    bench = set_up(network, galaxies, config)
    control = bench.networks.get("shuffled labels", [])
    question = {
        "config": to_dict(replace(config, shuffled_labels=None)),
        "weights": weights_hash(network.model),
        "shuffled_labels": [weights_hash(each.model) for each in control],
        "galaxies": [galaxies.data_hash, *map(str, galaxies.ids)],
    }
    parts = Parts(out / "parts", question)
    dreams = _dream(bench, parts, config, count)
    attention = _attend(bench, parts, count)
    probes = _probe(bench, galaxies, parts, count)
    redreams = _redream(bench, parts, config, count)
    light = sample.motif_share(bench.images, bench.aperture).numpy()
    return Study(
        layers=bench.layers,
        labels=bench.labels,
        dreams=dreams,
        attention=attention,
        probes=probes,
        redreams=redreams,
        verdicts=judge(_measured(dreams, attention, probes, redreams, light)),
    )


def _dream(
    bench: Bench, parts: Parts, config: MeasureConfig, count: Announce | None
) -> dict[str, Arrays]:
    """Dream every layer with every network; the last axis is depth."""
    dreams: dict[str, Arrays] = {}
    for kind, networks in bench.networks.items():
        tick = counter(count, f"Dreaming, {kind}", config.seeds * len(bench.layers))
        rows: list[list[Arrays]] = []
        for seed in range(config.seeds):
            network = networks[seed % len(networks)]
            row = []
            for layer in bench.layers:
                make = partial(
                    sample.dream_numbers, network, bench.images, bench.aperture, layer,
                    config=config.dream, seed=seed,
                )  # fmt: skip
                row.append(parts.get(f"dreams-{kind}-{seed}-{layer}", make))
                tick(seed * len(bench.layers) + len(row))
            rows.append(row)
        dreams[kind] = {
            name: np.stack([np.stack([x[name] for x in row], -1) for row in rows])
            for name in rows[0][0]
        }
    return dreams


def _attend(bench: Bench, parts: Parts, count: Announce | None) -> Arrays:
    """Measure the attention of each network."""
    look = partial(
        sample.attention_inside, images=bench.images, aperture=bench.aperture
    )
    found = _of_each(
        bench, parts, count, doing="Looking", name="attention", measure=look
    )
    return {k: np.stack([p["inside1"] for p in each]) for k, each in found.items()}


def _probe(
    bench: Bench, galaxies: Galaxies, parts: Parts, count: Announce | None
) -> dict[str, list[Arrays]]:
    """Probe each layer of the networks, and the light alone."""
    images, labels = galaxies.images, galaxies.labels
    physical = parts.get("physical", partial(sample.physical_parameters, images))
    light = partial(
        sample.probe_numbers, {LIGHT: light_in_rings(images)}, labels, physical
    )
    alone = parts.get("probes-light", light)

    def _layers(model: nn.Module) -> Arrays:
        features = features_by_depth(model, images, bench.layers)
        return sample.probe_numbers(features, labels, physical)

    found = _of_each(
        bench, parts, count, doing="Probing", name="probes", measure=_layers,
        most=MOST_PROBED,
    )  # fmt: skip
    return {LIGHT: [alone], **found}


def _of_each(
    bench: Bench, parts: Parts, count: Announce | None, *, doing: str, name: str,
    measure: Callable[[nn.Module], Arrays], most: int | None = None,
) -> dict[str, list[Arrays]]:  # fmt: skip
    """Measure networks of each kind: one part and one step of progress for each."""
    found: dict[str, list[Arrays]] = {}
    for kind, networks in bench.networks.items():
        some = networks[:most]
        tick, found[kind] = counter(count, f"{doing}, {kind}", len(some)), []
        for i, network in enumerate(some):
            make = partial(measure, network.model)
            found[kind].append(parts.get(f"{name}-{kind}-{i}", make))
            tick(i + 1)
    return found


def _redream(
    bench: Bench, parts: Parts, config: MeasureConfig, count: Announce | None
) -> Arrays:
    """Re-dream the last layer with each kind of network, and without."""
    objective, how = Energy(bench.layers[-1]), RedreamConfig(dream=config.dream)
    found: Arrays = {}
    for kind, (network, *_) in bench.networks.items():
        tick = counter(count, f"Re-dreaming, {kind}", 1)
        scorer = network.scorer(objective, bench.images)
        make = partial(redream_residuals, scorer, bench.images, how)
        residuals = parts.get(f"redreams-{kind}", make)
        found[kind] = residuals["dream"]
        found.setdefault(STEPS, residuals[STEPS])
        tick(1)
    return found


def _measured(
    dreams: Mapping[str, Arrays], attention: Arrays, probes: Kinds,
    redreams: Arrays, light: NDArray[np.floating],
) -> dict[str, Measured]:  # fmt: skip
    """Bring all numbers under the names that the hypotheses use."""
    middle = dreams["trained"]["motif"].shape[-1] // 3
    last = redreams[STEPS][-1]
    by_kind: dict[str, dict[str, NDArray[np.floating]]] = {
        "detail_local": {k: d["local"] for k, d in dreams.items()},
        "detail_centroid": {k: d["centroid"] for k, d in dreams.items()},
        "detail_motifs": {k: d["motif"] for k, d in dreams.items()},
        "detail_coherence": {k: d["coherent"] for k, d in dreams.items()},
        "motifs_beyond_light": {
            k: d["motif"][..., middle:-middle].mean(axis=-1) - light
            for k, d in dreams.items()
        },
        "attention_inside": dict(attention),
        "redream_settles": {
            k: last - passes[-1] for k, passes in redreams.items() if k != STEPS
        },
    }
    for of in ("class", *PARAMETERS):
        for name in (f"probe_{of}", f"selectivity_{of}"):
            by_kind[name] = {
                kind: np.stack([p[name] for p in found])
                for kind, found in probes.items()
                if kind != LIGHT or name.startswith("selectivity")
            }
    return {
        name: Measured(kinds.pop("trained"), kinds) for name, kinds in by_kind.items()
    }
