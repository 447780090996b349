"""A study on disk: its verdicts, numbers and figures."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from dmagnet.config import MeasureConfig, to_dict
from dmagnet.dreaming.targets import AnyModel, Network, open_network, provenance_of
from dmagnet.figures import depth_plots, save
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.measuring.hypotheses import PARAMETERS
from dmagnet.measuring.study import LIGHT, Study, run_study
from dmagnet.measuring.trends import Difference
from dmagnet.measuring.verdicts import Result
from dmagnet.storage.arrays import Floats
from dmagnet.storage.disk import beside, claimed, write_whole
from dmagnet.storage.environment import Announce, bars
from dmagnet.storage.records import plain_json, write_json

DIGITS = 5
FORM = 2  # of measure.json: 1 had seven layers and no third verdict
TITLES = {
    "local": "share of the detail that\n5 x 5 px of light predict",
    "centroid": "spectral centroid of the detail\n(cycles per Petrosian radius)",
    "coherent": "share of the detail's power\nbelow 1 cycle per Petrosian radius",
    "motif": "share of modes 2 to 4\nin the detail, 0.2 to 1 radius",
    "inside1": "detail inside 1 Petrosian radius\n(over share of area)",
    "size": "size of the detail\n(root mean square)",
}
STATISTICS = {"trend": "rho", "peak": "rho with the middle", "level": "level"}


def measure(
    model: AnyModel,
    galaxies: Galaxies,
    out: str | Path,
    config: MeasureConfig | None = None,
    *,
    count: Announce | None = None,
) -> Study:
    """Measure what a network dreams, judge what is claimed of it, and write it down.

    Parameters
    ----------
    model : path, Checkpoint or nn.Module
        A run folder, what `dmagnet.load` returns, or a `DMAGNet`; with LAM.
    galaxies : Galaxies
        Labeled galaxies that it was not trained on, at the side it was trained for.
    out : path
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
        If there is no such layer, or no LAM.
    CheckpointError
        If there are no whole weights.
    """
    out = Path(out)
    config = config or MeasureConfig()
    network = open_network(model)
    with claimed(out, "measure.json"):
        study = run_study(network, galaxies, out, config, count or bars())
        write_study(study, network, galaxies, config, out)
    return study


def write_study(
    study: Study, network: Network, galaxies: Galaxies, config: MeasureConfig, out: Path
) -> None:
    """Write ``measure.json``, the tables and the figures of a study."""
    depth = {
        title: {kind: numbers[name] for kind, numbers in study.dreams.items()}
        for name, title in TITLES.items()
    }
    titles = {"class": "class (macro F1)"}
    titles |= {name: f"{title} (R\u00b2)" for name, title in PARAMETERS.items()}
    probes = {title: _scores(study, name) for name, title in titles.items()}
    passes = [f"pass {i + 1}" for i in range(1, len(study.redreams["trained"]))]
    redreams = {kind: r[1:].T for kind, r in study.redreams.items()}
    short = [name.removeprefix("stages.") for name in study.layers]
    for name, figure in {
        "depth": depth_plots.depth_trends(short, depth),
        "probes": depth_plots.depth_trends(short, probes),
        "redreams": depth_plots.depth_trends(
            passes, {"change of the detail in a pass": redreams}
        ),
    }.items():
        save(figure, out / f"{name}.png")
    with beside(out / "hypotheses.ecsv") as part:
        flat = [
            {k: v for k, v in row.items() if k != "controls"} for row in rows_of(study)
        ]
        Table(rows=flat).write(part, format="ascii.ecsv", overwrite=True)
    write_whole(out / "hypotheses.md", hypotheses_markdown(study).encode())
    with beside(out / "dreams.fits") as part:
        dreams_table(study, galaxies).write(part, format="fits", overwrite=True)
    record = {
        "form": FORM,
        "layers": list(study.layers),
        "n": len(study.labels),
        "seeds": config.seeds,
        "config": {k: _said(v) for k, v in to_dict(config).items()},
        "class_names": list(galaxies.class_names),
        "hypotheses": rows_of(study),
        "dreams": {kind: _summary(n) for kind, n in study.dreams.items()},
        "attention": {k: np.nanmean(v) for k, v in study.attention.items()},
        "probes": {name: _scores(study, name) for name in ("class", *PARAMETERS)},
        "redreams": {k: np.median(v, axis=1) for k, v in study.redreams.items()},
        "data_hash": galaxies.data_hash,
        "provenance": provenance_of(network),
    }
    write_json(out / "measure.json", plain_json(record, DIGITS))


def rows_of(study: Study) -> list[dict[str, Any]]:
    """Bring the verdicts into rows, each with the control that is least behind."""
    return [_row(result) for result in study.verdicts]


def _row(result: Result) -> dict[str, Any]:
    stated = result.hypothesis
    name, closest = result.closest
    return {
        "name": stated.name,
        "claim": stated.claim,
        "prediction": stated.prediction,
        "expected": f"{STATISTICS[stated.kind]} {'>' if stated.sign > 0 else '<'} "
        f"{stated.reference:g}",
        "trained": result.value,
        "p": result.p_value,
        "p_holm": result.p_holm,
        "control": name,
        **_plain(closest),
        "controls": {k: _plain(v) for k, v in result.controls.items()},
        "n": result.n,
        "effect": stated.effect,
        "power": result.power,
        "verdict": result.verdict,
        "reason": result.reason,
    }


def _plain(difference: Difference) -> dict[str, float]:
    low, high = difference.interval
    return {
        "control_value": difference.control,
        "difference": difference.difference,
        "low": low,
        "high": high,
    }


def hypotheses_markdown(study: Study) -> str:
    """Bring the verdicts into a table for a page."""
    lines = [
        "| prediction | expected | trained | p (Holm) | closest control "
        "| difference [95 %] | n | power | verdict |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    claim = ""
    for row in rows_of(study):
        if row["claim"] != claim:
            claim = row["claim"]
            lines.append(f"| **\u201c{claim}\u201d** | | | | | | | | |")
        why = f" ({row['reason']})" if row["reason"] else ""
        lines.append(
            f"| {row['prediction']} | {row['expected']} | {row['trained']:.2f} "
            f"| {row['p_holm']:.2g} | {row['control']}: {row['control_value']:.2f} "
            f"| {row['difference']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}] "
            f"| {row['n']} | {row['power']:.2f} | {row['verdict']}{why} |"
        )
    return "\n".join(lines) + "\n"


def dreams_table(study: Study, galaxies: Galaxies) -> Table:
    """Bring the numbers of all dreams into one long table."""
    tables = []
    for kind, numbers in study.dreams.items():
        seed, galaxy, layer = np.indices(next(iter(numbers.values())).shape)
        own = np.array(galaxies.class_names)[study.labels[galaxy.ravel()]]
        tables.append(
            {
                "weights": np.full(seed.size, kind),
                "seed": seed.ravel(),
                "galaxy": galaxy.ravel(),
                "class": own,
                "layer": np.array(study.layers)[layer.ravel()],
                **{name: values.ravel() for name, values in numbers.items()},
            }
        )
    return Table({k: np.concatenate([t[k] for t in tables]) for k in tables[0]})


def _scores(study: Study, name: str) -> dict[str, Floats]:
    """Average the scores (R, L) of a probe over galaxies; light alone for all L."""
    found = {
        kind: np.stack([np.nanmean(p[f"probe_{name}"], axis=0) for p in each])
        for kind, each in study.probes.items()
    }
    found[LIGHT] = np.repeat(found[LIGHT], len(study.layers), axis=1)
    return found


def _said(setting: Any) -> Any:
    return str(setting) if isinstance(setting, Path) else setting


def _summary(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Mean and spread over galaxies of each number, layer by layer."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN for all is NaN
        for name, values in numbers.items():
            by_galaxy = np.nanmean(values, axis=0)
            found[name] = {
                "mean": np.nanmean(by_galaxy, axis=0),
                "std": np.nanstd(by_galaxy, axis=0),
            }
    return found
