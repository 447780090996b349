"""The whole study of one network: dreams, reach, probes, chains, and the verdicts.

Every number is measured on the trained network and on networks with random weights.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmagnet.config.checks import to_dict
from dmagnet.config.dream_config import MeasureConfig
from dmagnet.dreaming.targets import Network
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.measuring.bench import Bench
from dmagnet.measuring.chains import cascade_numbers, chain_numbers
from dmagnet.measuring.depth import (
    attention_numbers,
    physical_parameters,
    probe_numbers,
    reach_numbers,
)
from dmagnet.measuring.hypotheses import PARAMETERS
from dmagnet.measuring.parts import Parts
from dmagnet.measuring.representations import cka_table
from dmagnet.measuring.sample import dream_sample
from dmagnet.measuring.verdicts import Measured, Result, judge
from dmagnet.network.checkpoint import weights_hash
from dmagnet.storage.records import Arrays

KINDS = ("trained", "random")
NUM_PROBED_CONTROLS = 3  # random networks that are probed: probes are slow
Counter = Callable[[str, int | None], Callable[[int], None]]


def silent(name: str, total: int | None) -> Callable[[int], None]:  # noqa: ARG001
    """Show no progress."""
    return lambda _done: None


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
        By kind, "trained" or "random", and name of the number.
    reach, attention : dict of str to dict of str to ndarray
        By kind; (R, N, L) and (R, N), R networks. Of attention the control has the
        trained weights shuffled, since fresh ones leave it neutral.
    probes : dict of str to list of dict of str to ndarray
        By kind, one for each network; see `dmagnet.measuring.depth.probe_numbers`.
    stability : dict of str to dict of str to ndarray
        By kind: ``ssim`` and ``cosine`` (N, L), ``galaxies``, ``seeds``, ``rest`` (L,).
    trajectory : dict of str to (F, N) ndarray
        By layer: probability of each galaxy's own class in the trained network.
    likeness : dict of str to (L, L) ndarray
        Debiased CKA: ``trained``, ``random``, and ``between`` the two.
    chains, cascade : dict of str to ndarray
        See `dmagnet.measuring.chains`.
    verdicts : list of Result
        The stated hypotheses.
    """

    layers: tuple[str, ...]
    labels: NDArray[np.int64]
    dreams: dict[str, Arrays]
    reach: dict[str, Arrays]
    attention: dict[str, Arrays]
    probes: dict[str, list[Arrays]]
    stability: dict[str, Arrays]
    trajectory: Arrays
    likeness: Arrays
    chains: Arrays
    cascade: Arrays
    verdicts: list[Result]


def run_study(
    network: Network,
    galaxies: Galaxies,
    out: Path,
    config: MeasureConfig,
    count: Counter = silent,
) -> Study:
    """Measure a network's dreams, and judge what is claimed of them."""
    question = {
        "config": to_dict(config),
        "weights": weights_hash(network.model),
        "galaxies": [galaxies.data_hash, *map(str, galaxies.ids)],
    }
    parts = Parts(out / "parts", json.loads(json.dumps(question)))
    bench = Bench(network.model, galaxies, config)
    dreams, stability, trajectory = _dream_all(bench, parts, count)
    reach, attention = _look_all(bench, parts, count)
    probes, likeness = _probe_all(bench, parts, count)
    what = bench.images[bench.few], bench.layers
    tick = count("Chains", len(bench.layers) * 3)
    chained = partial(
        chain_numbers,
        bench.model,
        bench.controls[0],
        *what,
        config=config.dream,
        progress=tick,
    )
    chains = parts.get("chains", chained)
    tick = count("Forgetting", None)  # other layers than those that are dreamed
    forgot = partial(
        cascade_numbers,
        bench.model,
        *what,
        fitting=bench.fitting,
        config=config.dream,
        progress=tick,
    )
    return Study(
        layers=bench.layers,
        labels=bench.labels,
        dreams=dreams,
        reach=reach,
        attention=attention,
        probes=probes,
        stability=stability,
        trajectory=trajectory,
        likeness=likeness,
        chains=chains,
        cascade=parts.get("cascade", forgot),
        verdicts=judge(_measured(dreams, reach, attention, probes)),
    )


def _dream_all(
    bench: Bench, parts: Parts, count: Counter
) -> tuple[dict[str, Arrays], dict[str, Arrays], Arrays]:
    """Dream every layer; the last axis of the numbers is depth."""
    dreams, stability, trajectory = {}, {}, {}
    each = bench.config.seeds * len(bench.images)
    for kind in KINDS:
        columns: dict[str, Arrays] = {}
        for layer in bench.layers:
            tick = count(f"Dreaming {layer}", each)
            make = partial(
                dream_sample,
                bench.networks(kind),
                bench.images,
                bench.labels,
                aperture=bench.aperture,
                layer=layer,
                config=bench.config.dream,
                seeds=bench.config.seeds,
                progress=tick,
            )
            columns[layer] = parts.get(f"dreams-{kind}-{layer}", make)
            tick(each)
        dreams[kind] = _along_layers(columns, "number_")
        stability[kind] = _along_layers(columns, "stability_")
        if kind == "trained":
            trajectory = {name: c["trajectory"] for name, c in columns.items()}
    return dreams, stability, trajectory


def _along_layers(columns: Mapping[str, Arrays], prefix: str) -> Arrays:
    """Stack what each layer has under the names with a prefix."""
    first, *_ = columns.values()
    return {
        name.removeprefix(prefix): np.stack([c[name] for c in columns.values()], -1)
        for name in first
        if name.startswith(prefix)
    }


def _look_all(
    bench: Bench, parts: Parts, count: Counter
) -> tuple[dict[str, Arrays], dict[str, Arrays]]:
    """Measure the reach and the attention of each network."""
    reach, attention = {}, {}
    what = bench.images, bench.aperture
    for kind in KINDS:
        networks = bench.networks(kind)
        tick = count(f"Looking, {kind}", len(networks))
        fields, maps = [], []
        for i, network in enumerate(networks):
            look = partial(reach_numbers, network, *what, bench.layers)
            fields.append(parts.get(f"reach-{kind}-{i}", look))
            gated = network if kind == "trained" else bench.shuffled[i]
            attend = partial(attention_numbers, gated, *what)
            maps.append(parts.get(f"attention-{kind}-{i}", attend))
            tick(i + 1)
        reach[kind] = {k: np.stack([f[k] for f in fields]) for k in fields[0]}
        attention[kind] = {k: np.stack([m[k] for m in maps]) for k in maps[0]}
    return reach, attention


def _probe_all(
    bench: Bench, parts: Parts, count: Counter
) -> tuple[dict[str, list[Arrays]], Arrays]:
    """Probe the networks, and compare their representations."""
    images, labels = bench.all.images, bench.all.labels
    physical = parts.get("physical", partial(physical_parameters, images))
    probes: dict[str, list[Arrays]] = {kind: [] for kind in KINDS}
    for kind, found in probes.items():
        networks = bench.networks(kind)[:NUM_PROBED_CONTROLS]
        tick = count(f"Probing, {kind}", len(networks))
        for i, network in enumerate(networks):
            make = partial(
                probe_numbers, network, images, labels, physical, bench.layers
            )
            found.append(parts.get(f"probes-{kind}-{i}", make))
            tick(i + 1)

    def _likeness() -> Arrays:
        first, other = (
            {n: probes[kind][0][f"features_{n}"] for n in bench.layers}
            for kind in KINDS
        )
        return {
            "trained": cka_table(first),
            "random": cka_table(other),
            "between": cka_table(first, other),
        }

    return probes, parts.get("likeness", _likeness)


def _measured(
    dreams: Mapping[str, Arrays],
    reach: Mapping[str, Arrays],
    attention: Mapping[str, Arrays],
    probes: Mapping[str, list[Arrays]],
) -> dict[str, Measured]:
    """Bring all numbers under the names that the hypotheses use."""
    far = {kind: reach[kind]["reach68"] for kind in KINDS}
    pairs = {
        "reach68": far,
        "attention_reach68": {kind: far[kind][..., -1] for kind in KINDS},
        "attention_inside": {k: attention[k]["attention_inside"] for k in KINDS},
        "detail_centroid": {kind: dreams[kind]["centroid"] for kind in KINDS},
        "detail_motifs": {kind: dreams[kind]["motif"] for kind in KINDS},
        "detail_coherence": {kind: dreams[kind]["coherent"] for kind in KINDS},
    }
    for of in ("class", *PARAMETERS):
        for name in (f"probe_{of}", f"selectivity_{of}"):
            pairs[name] = {k: np.stack([p[name] for p in probes[k]]) for k in KINDS}
    return {name: Measured(*(of[k] for k in KINDS)) for name, of in pairs.items()}
