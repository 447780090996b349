"""The whole study of one network: dreams, reach, probes, chains, and the verdicts.

Every number is measured on the trained network and on networks with random weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

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
    config: MeasureConfig | None = None,
    *,
    count: Counter = silent,
) -> Study:
    """Measure a network's dreams, and judge what is claimed of them.

    Parameters
    ----------
    network : Network
        The trained network.
    galaxies : Galaxies
        Held-out galaxies at the side that the network was trained for.
    out : Path
        Folder; a study that was stopped goes on there.
    config : MeasureConfig, optional
        How many galaxies and seeds.
    count : callable
        Name and total in, a counter out; shows progress.

    Returns
    -------
    Study
        All measurements and verdicts.

    Raises
    ------
    DataError
        If a class has too few galaxies, or the folder holds another study.
    ConfigError
        If there is no such layer.
    """
    config = config or MeasureConfig()
    question = {
        "config": to_dict(config),
        "weights": weights_hash(network.model),
        "galaxies": [galaxies.data_hash, *map(str, galaxies.ids)],
    }
    parts = Parts(out / "parts", _plain(question))
    bench = Bench(network.model, galaxies, config)
    dreams, stability, trajectory = _dream_all(bench, parts, count)
    reach, attention = _look_all(bench, parts, count)
    probes, likeness = _probe_all(bench, parts, count)
    few = bench.images[bench.few]
    tick = count("Chains", len(bench.layers) * 3)
    chains = parts.get(
        "chains",
        lambda: chain_numbers(
            bench.model, bench.controls[0], few, bench.layers,
            config=config.dream, progress=tick,
        ),
    )  # fmt: skip
    tock = count("Forgetting", None)  # other layers than those that are dreamed
    cascade = parts.get(
        "cascade",
        lambda: cascade_numbers(
            bench.model, few, bench.layers,
            fitting=bench.fitting, config=config.dream, progress=tock,
        ),
    )  # fmt: skip
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
        cascade=cascade,
        verdicts=judge(_measured(dreams, reach, attention, probes)),
    )


def _plain(question: Mapping[str, Any]) -> dict[str, Any]:
    """Return the question as it comes back from JSON: lists for tuples."""
    import json

    plain: dict[str, Any] = json.loads(json.dumps(question))
    return plain


def _dream_all(
    bench: Bench, parts: Parts, count: Counter
) -> tuple[dict[str, Arrays], dict[str, Arrays], Arrays]:
    numbers: dict[str, Arrays] = {}
    stability: dict[str, Arrays] = {}
    trajectory: Arrays = {}
    each = bench.config.seeds * len(bench.images)
    for kind in KINDS:
        columns = []
        for layer in bench.layers:
            tick = count(f"Dreaming {layer}", each)

            def _make(layer: str = layer, kind: str = kind, tick: Any = tick) -> Arrays:
                sample = dream_sample(
                    bench.networks(kind), bench.images, bench.labels,
                    aperture=bench.aperture, layer=layer, config=bench.config.dream,
                    seeds=bench.config.seeds, progress=tick,
                )  # fmt: skip
                return {
                    **{f"number_{k}": v for k, v in sample.numbers.items()},
                    **{f"stability_{k}": v for k, v in sample.stability.items()},
                    "trajectory": sample.trajectory,
                }

            columns.append(parts.get(f"dreams-{kind}-{layer}", _make))
            tick(each)
        numbers[kind] = _along_layers(columns, "number_")
        stability[kind] = _along_layers(columns, "stability_")
        if kind == "trained":
            trajectory = {
                layer: column["trajectory"]
                for layer, column in zip(bench.layers, columns, strict=True)
            }
    return numbers, stability, trajectory


def _along_layers(columns: list[Arrays], prefix: str) -> Arrays:
    """Stack what each layer has under a name; the last axis is depth."""
    names = [name for name in columns[0] if name.startswith(prefix)]
    return {
        name.removeprefix(prefix): np.stack([c[name] for c in columns], axis=-1)
        for name in names
    }


def _look_all(
    bench: Bench, parts: Parts, count: Counter
) -> tuple[dict[str, Arrays], dict[str, Arrays]]:
    reach, attention = {}, {}
    what = bench.images, bench.aperture
    for kind in KINDS:
        networks = bench.networks(kind)
        tick = count(f"Looking, {kind}", len(networks))
        fields, maps = [], []
        for i, network in enumerate(networks):
            fields.append(
                parts.get(
                    f"reach-{kind}-{i}",
                    partial(reach_numbers, network, *what, bench.layers),
                )
            )
            gated = network if kind == "trained" else bench.shuffled[i]
            maps.append(
                parts.get(
                    f"attention-{kind}-{i}", partial(attention_numbers, gated, *what)
                )
            )
            tick(i + 1)
        reach[kind] = {k: np.stack([f[k] for f in fields]) for k in fields[0]}
        attention[kind] = {k: np.stack([m[k] for m in maps]) for k in maps[0]}
    return reach, attention


def _probe_all(
    bench: Bench, parts: Parts, count: Counter
) -> tuple[dict[str, list[Arrays]], Arrays]:
    images, labels = bench.all.images, bench.all.labels
    physical = parts.get("physical", lambda: physical_parameters(images))
    probes: dict[str, list[Arrays]] = {}
    for kind in KINDS:
        networks = bench.networks(kind)[:NUM_PROBED_CONTROLS]
        tick = count(f"Probing, {kind}", len(networks))
        probes[kind] = []
        for i, network in enumerate(networks):

            def _make(network: nn.Module = network) -> Arrays:
                return probe_numbers(network, images, labels, physical, bench.layers)

            probes[kind].append(parts.get(f"probes-{kind}-{i}", _make))
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

    def _both(pick: Callable[[str], NDArray[Any]]) -> Measured:
        return Measured(values=pick("trained"), control=pick("random"))

    def _probed(name: str) -> Measured:
        return _both(lambda kind: np.stack([p[name] for p in probes[kind]]))

    names = ("class", *PARAMETERS)
    return {
        "reach68": _both(lambda kind: reach[kind]["reach68"]),
        "attention_reach68": _both(lambda kind: reach[kind]["reach68"][..., -1]),
        "attention_inside": _both(lambda kind: attention[kind]["attention_inside"]),
        "detail_centroid": _both(lambda kind: dreams[kind]["centroid"]),
        "detail_motifs": _both(lambda kind: dreams[kind]["motif"]),
        "detail_coherence": _both(lambda kind: dreams[kind]["coherent"]),
        **{f"probe_{name}": _probed(f"probe_{name}") for name in names},
        **{f"selectivity_{name}": _probed(f"selectivity_{name}") for name in names},
    }
