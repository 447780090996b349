"""A study on disk: its verdicts, numbers and figures."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from dmagnet.config.checks import to_dict
from dmagnet.config.dream_config import MeasureConfig
from dmagnet.dreaming.targets import AnyModel, Network, open_network, provenance_of
from dmagnet.figures import Figure, depth_plots, to_png
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.measuring.hypotheses import PARAMETERS, Hypothesis
from dmagnet.measuring.study import KINDS, Counter, Study, run_study, silent
from dmagnet.storage.disk import beside, claimed
from dmagnet.storage.records import Arrays

TITLES = {
    "centroid": "spectral centroid of the detail\n(cycles per Petrosian radius)",
    "coherent": "share of the detail's power\nbelow 1 cycle per Petrosian radius",
    "motif": "share of modes 2 to 4\nin the detail, 0.2 to 1 radius",
    "inside1": "detail inside 1 Petrosian radius\n(over share of area)",
    "size": "size of the detail\n(root mean square)",
    "concentration": "change of concentration",
    "asymmetry": "change of asymmetry",
    "gini": "change of Gini",
    "m20": "change of M20",
}
STATISTICS = {"trend": "rho", "peak": "rho with the middle", "level": "level"}
RUNS_SHOWN = {"trained": "trained", "random": "random weights", "walk": "random steps"}


def measure(
    model: AnyModel,
    galaxies: Galaxies,
    out: Path,
    config: MeasureConfig | None = None,
    *,
    count: Counter = silent,
) -> Study:
    """Measure what a network dreams, judge what is claimed of it, and write it down.

    Parameters
    ----------
    model : path, Checkpoint or nn.Module
        A run folder, what `dmagnet.load` returns, or any network for such images.
    galaxies : Galaxies
        Labeled galaxies that it was not trained on, at the side it was trained for.
    out : Path
        Folder; a study that was stopped goes on there.
    config : MeasureConfig, optional
        How many galaxies and seeds.
    count : callable, optional
        Name and total in, a counter out; shows progress.

    Returns
    -------
    Study
        All measurements and verdicts; also in ``measure.json``, tables and figures.

    Raises
    ------
    DataError
        If a class has too few galaxies, or the folder holds another study.
    ConfigError
        If there is no such layer.
    CheckpointError
        If there are no whole weights.
    """
    config = config or MeasureConfig()
    network = open_network(model)
    with claimed(out, "measure.json"):
        study = run_study(network, galaxies, out, config, count)
        write_study(study, network, galaxies, config, out)
    return study


def write_study(
    study: Study, network: Network, galaxies: Galaxies, config: MeasureConfig, out: Path
) -> None:
    """Write ``measure.json``, the tables and the figures of a study."""
    for name, figure in _figures(study, galaxies.images.shape[1]).items():
        with beside(out / f"{name}.png") as part:
            part.write_bytes(to_png(figure))
    with beside(out / "hypotheses.ecsv") as part:
        hypotheses_table(study).write(part, format="ascii.ecsv", overwrite=True)
    with beside(out / "hypotheses.md") as part:
        part.write_text(hypotheses_markdown(study), encoding="utf-8")
    with beside(out / "dreams.fits") as part:
        dreams_table(study, galaxies).write(part, format="fits", overwrite=True)
    record = {
        "layers": list(study.layers),
        "n": len(study.labels),
        "seeds": config.seeds,
        "config": to_dict(config),
        "class_names": list(galaxies.class_names),
        "hypotheses": [_plain_verdict(row) for row in hypotheses_table(study)],
        "dreams": {kind: _summary(n) for kind, n in study.dreams.items()},
        "reach": {kind: _summary(n) for kind, n in study.reach.items()},
        "stability": {
            kind: {
                k: _listed(v.mean(axis=0) if v.ndim > 1 else v) for k, v in n.items()
            }
            for kind, n in study.stability.items()
        },
        "attention": {
            kind: {k: _listed(np.nanmean(v)) for k, v in n.items()}
            for kind, n in study.attention.items()
        },
        "probes": {
            kind: {
                name: _listed(_scores(networks, name))
                for name in ("class", *PARAMETERS)
            }
            for kind, networks in study.probes.items()
        },
        "likeness": {k: _listed(v) for k, v in study.likeness.items()},
        "chains": {k: _listed(_typical(v)) for k, v in study.chains.items()},
        "forgetting": {
            "forgotten": study.cascade["forgotten"].tolist(),
            **{k: _listed(_typical(study.cascade[k])) for k in ("ssim", "cosine")},
        },
        "data_hash": galaxies.data_hash,
        "provenance": provenance_of(network),
    }
    path = out / "measure.json"
    with beside(path) as part:
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def hypotheses_table(study: Study) -> Table:
    """Bring the verdicts into a table."""
    return Table(
        rows=[
            {
                "name": r.hypothesis.name,
                "claim": r.hypothesis.claim,
                "prediction": r.hypothesis.prediction,
                "statistic": STATISTICS[r.hypothesis.kind],
                "expected": _expected(r.hypothesis),
                "trained": r.value,
                "p": r.p_value,
                "p_holm": r.p_holm,
                "random": r.control,
                "difference": r.difference,
                "low": r.interval[0],
                "high": r.interval[1],
                "n": r.n,
                "verdict": r.verdict,
            }
            for r in study.verdicts
        ]
    )


def _expected(stated: Hypothesis) -> str:
    return f"{'>' if stated.sign > 0 else '<'} {stated.reference:g}"


def hypotheses_markdown(study: Study) -> str:
    """Bring the verdicts into a table for a page."""
    lines = [
        "| prediction | expected | trained | p (Holm) | random weights "
        "| difference [95 %] | n | verdict |",
        "|---|---|---|---|---|---|---|---|",
    ]
    claim = ""
    for row in hypotheses_table(study):
        if row["claim"] != claim:
            claim = row["claim"]
            lines.append(f"| **\u201c{claim}\u201d** | | | | | | | |")
        lines.append(
            f"| {row['prediction']} | {row['statistic']} {row['expected']} "
            f"| {row['trained']:.2f} | {row['p_holm']:.2g} | {row['random']:.2f} "
            f"| {row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}] "
            f"| {row['n']} | {row['verdict']} |"
        )
    return "\n".join(lines) + "\n"


def dreams_table(study: Study, galaxies: Galaxies) -> Table:
    """Bring the numbers of all dreams into one long table."""
    names = list(next(iter(study.dreams.values())))
    columns: dict[str, Any] = {n: [] for n in ("weights", "seed", "galaxy", "layer")}
    for kind, numbers in study.dreams.items():
        shape = numbers[names[0]].shape
        seed, galaxy, layer = np.indices(shape)
        columns["weights"].append(np.full(seed.size, kind))
        columns["seed"].append(seed.ravel())
        columns["galaxy"].append(galaxy.ravel())
        columns["layer"].append(np.array(study.layers)[layer.ravel()])
        for name in names:
            columns.setdefault(name, []).append(numbers[name].ravel())
    table = Table({name: np.concatenate(parts) for name, parts in columns.items()})
    own = np.array(galaxies.class_names)[study.labels[table["galaxy"]]]
    table.add_column(own, name="class", index=3)
    return table


def _figures(study: Study, home: int) -> dict[str, Figure]:
    def _pair(numbers: Mapping[str, Mapping[str, Any]], name: str) -> tuple[Any, Any]:
        return numbers["trained"][name], numbers["random"][name]

    layers, alike, chains = study.layers, study.likeness, study.chains
    trends = {
        "reach of one unit, 68 %\n(Petrosian radii)": _pair(study.reach, "reach68"),
        **{title: _pair(study.dreams, name) for name, title in TITLES.items()},
        "likeness of two seeds (SSIM)": _pair(study.stability, "ssim"),
    }
    titles = {name: f"{title} (R\u00b2)" for name, title in PARAMETERS.items()}
    probes = {
        title: (_scores(study.probes["trained"], n), _scores(study.probes["random"], n))
        for n, title in {"class": "class (macro F1)", **titles}.items()
    }
    tables = {
        "CKA, trained": alike["trained"],
        "CKA, random weights": alike["random"],
        "CKA, trained (up) and random (right)": alike["between"],
    }
    return {
        "depth": depth_plots.depth_trends(layers, trends),
        "probes": depth_plots.probe_curves(layers, probes),
        "likeness": depth_plots.likeness_tables(layers, tables),
        "trajectory": depth_plots.class_paths(study.trajectory),
        "resolution": depth_plots.chain_curves(
            layers,
            chains["response_sides"].tolist(),
            home,
            {name: chains[f"{kind}_response"] for kind, name in RUNS_SHOWN.items()},
            {kind: chains[f"{kind}_residual"] for kind in KINDS},
        ),
        "forgetting": depth_plots.forgetting(
            study.cascade["forgotten"].tolist(), layers, study.cascade["ssim"]
        ),
    }


def _scores(networks: Sequence[Arrays], name: str) -> NDArray[np.float64]:
    """Average the scores (L, 4) of a probe over networks."""
    mean: NDArray[np.float64] = np.mean([p[f"score_{name}"] for p in networks], axis=0)
    return mean


def _summary(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Mean and spread over galaxies of each number, layer by layer."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN for all is NaN
        for name, values in numbers.items():
            by_galaxy = np.nanmean(values, axis=0)
            found[name] = {
                "mean": _listed(np.nanmean(by_galaxy, axis=0)),
                "std": _listed(np.nanstd(by_galaxy, axis=0)),
            }
    return found


def _typical(values: NDArray[Any]) -> NDArray[Any]:
    """Return the median over galaxies, the last axis, where there are galaxies."""
    median: NDArray[Any] = np.median(values, axis=-1) if values.ndim > 1 else values
    return median


def _listed(values: Any) -> Any:
    """Return numbers for JSON: rounded, and null for NaN."""
    if np.ndim(values):
        return [_listed(value) for value in values]
    return None if not np.isfinite(values) else round(float(values), 5)


def _plain_verdict(row: Any) -> dict[str, Any]:
    plain = {name: row[name].item() for name in row.colnames}
    return {k: _listed(v) if isinstance(v, float) else v for k, v in plain.items()}
