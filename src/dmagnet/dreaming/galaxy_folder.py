"""Dreams in the space of galaxies as a folder: pictures, sheets, parameters."""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table
from PIL import Image

from dmagnet.config import GalaxyConfig, to_dict, typed
from dmagnet.dreaming.galaxy import GALAXY, Climb, dream_galaxies, kinds_of
from dmagnet.dreaming.objectives import Logit
from dmagnet.dreaming.sheets import SheetRow, to_bytes, write_pages, write_png
from dmagnet.dreaming.targets import Network, Target, provenance_of
from dmagnet.errors import DataError
from dmagnet.simulator.parameters import PARAMETERS, Galaxy, values_of
from dmagnet.simulator.truth import EdgeOns, Spheroids
from dmagnet.storage.disk import beside, claimed, refuse_others
from dmagnet.storage.environment import Announce, counter
from dmagnet.storage.records import json_record, plain_json, write_json

RECORD = "galaxies.json"
MOMENTS = ("start", "end")
QUANTILES = {"low": 0.16, "median": 0.5, "high": 0.84}
UNITS = {"pixel": "arcsec", "scale_length": "arcsec", "inclination": "deg"}
DIGITS = 4
SAID = ("probability", "judged", "bar_share", "pitch", "companion_share", "bulge_share")


def write_galaxies(
    network: Network,
    targets: Sequence[Target],
    out: Path,
    config: GalaxyConfig = GALAXY,
    *,
    judge: Network | None = None,
    announce: Announce | None = None,
) -> list[Path]:
    """Dream targets into a folder, or go on there; a table and sheets for each."""
    request = plain_json(
        {
            "config": to_dict(config),
            "provenance": provenance_of(network),
            "judge": judge and judge.weights_hash,
        }
    )
    num_kinds = len(kinds_of(config))  # refuses what no galaxy has
    with claimed(out):
        path = out / RECORD
        if path.is_file():
            entries = _entries(path, request)
        else:
            refuse_others(out)
            entries = {}
        # before the first picture: a run that is stopped there can go on
        write_json(path, record := {**request, "targets": entries})
        missing = {t.slug: t for t in targets if t.slug not in entries}
        total = (config.steps + 1) * num_kinds * len(missing)
        show = counter(announce, "Dreaming", total)
        done = itertools.count(1)
        for slug, target in missing.items():
            climbs = dream_galaxies(
                network, target, config, judge=judge, count=lambda: show(next(done))
            )
            entries[slug] = _write_target(target, climbs, out, network)
            write_json(path, record)
        written = [name for each in targets for name in entries[each.slug]["files"]]
        # pictures of single galaxies lie in folders
        return [out / name for name in (*written, RECORD) if "/" not in name]


def _entries(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Read which targets are done, with all their files."""
    with json_record(path, f"a {RECORD} that dmagnet wrote") as record:
        done = typed(dict[str, dict[str, Any]], record["targets"], "targets")
        whole = {slug: e for slug, e in done.items() if _whole(path.parent, e)}
    if {name: record.get(name) for name in request} != request:
        raise DataError(
            f"{path.parent}: holds the dreams of another command; choose a new -o or "
            "delete it"
        )
    return whole


def _whole(folder: Path, entry: dict[str, Any]) -> bool:
    files = typed(list[str], entry["files"], "files")
    return all((folder / name).is_file() for name in files)


def _write_target(
    target: Target, climbs: dict[str, Climb], out: Path, network: Network
) -> dict[str, Any]:
    """Write one target, and return its entry of the record."""
    table = table_of(target, climbs)
    best, climb = next(iter(climbs.items()))
    files = [f"{target.slug}.ecsv"]
    with beside(out / files[0]) as part:
        table.write(part, format="ascii.ecsv", overwrite=True)
    for kind, each in climbs.items():
        for moment, at in zip(MOMENTS, (0, -1), strict=True):
            for i, image in enumerate(each.frames[at].images, start=1):
                files.append(f"{target.slug}/{kind}-{i:02d}-{moment}.png")
                write_png(Image.fromarray(to_bytes(image)), out / files[-1])
    ends = table[(table["kind"] == best) & (table["moment"] == "end")]
    rows = [
        SheetRow(_caption(ends[i]), [to_bytes(f.images[i]) for f in climb.frames])
        for i in range(len(ends))
    ]
    columns = [f"step {frame.step}" for frame in climb.frames]
    footer = f"starts of kind {best}; weights {network.weights_hash[:8]}"
    title = f"{target.name}, dreamed as a galaxy"
    files += write_pages(out / target.slug, rows, columns, title, footer)
    return {"name": target.name, "best": best, "files": files, "kinds": _spread(table)}


def table_of(target: Target, climbs: dict[str, Climb]) -> Table:
    """Lay out all galaxies, a row at the start and a row at the end for each."""
    known = {n: one for kind in climbs for n, one in PARAMETERS[kind].items()}
    number = getattr(target.objective, "class_index", None)
    rows = []
    for kind, climb in climbs.items():
        for at, moment in enumerate(MOMENTS):
            frame = climb.frames[-at]
            for i, galaxy in enumerate(frame.galaxies):
                row = {"kind": kind, "start": i + 1, "moment": moment}
                row["score"] = float(frame.scores[i])
                seen = {"probability": climb.probabilities, "judged": climb.judged}
                if isinstance(target.objective, Logit) and isinstance(number, int):
                    row |= {
                        n: p[at, i, number] for n, p in seen.items() if p is not None
                    }
                values = values_of(galaxy, PARAMETERS[kind])
                row["pixel"] = float(frame.pixel_arcsec[i])
                row |= _fixed(galaxy)
                row |= {n: float(values.get(n, math.nan)) for n in known}
                rows.append(row)
    table = Table(rows, meta={"dmagnet": f"{target.name}, dreamed as a galaxy"})
    for name, one in known.items():
        table[name].unit = one.unit or None
        if one.over:
            table[name].description = f"over {one.over.removeprefix('disc.')}"
    for name, unit in UNITS.items():
        table[name].unit = unit
    for column in table.itercols():
        if column.dtype.kind == "f":
            column.info.format = f".{DIGITS}g"
    return table


def _fixed(galaxy: Galaxy) -> dict[str, float]:
    """Tell what does not climb, and what follows from what does."""
    if isinstance(galaxy, Spheroids):
        return {"scale_length": math.nan, "arms": math.nan, "inclination": math.nan}
    if isinstance(galaxy, EdgeOns):
        length = float(galaxy.scale_length)
        return {"scale_length": length, "arms": math.nan, "inclination": 90.0}
    disc = galaxy.disc  # drawn flat
    return {
        "scale_length": float(disc.scale_length),
        "arms": float(disc.arms.number),
        "inclination": math.degrees(math.acos(disc.axis_ratio)),
    }


def _caption(row: Any) -> str:
    """Say what became of one galaxy, in a few numbers."""
    said = [
        f"{name} {row[name]:.2f}"
        for name in SAID
        if name in row.colnames and np.isfinite(row[name])
    ]
    return f"start {row['start']}: {', '.join(said)}".replace("_", " ")


def _spread(table: Table) -> dict[str, Any]:
    """Summarize each column by kind and moment."""
    found: dict[str, Any] = {}
    for kind, moment in dict.fromkeys(zip(table["kind"], table["moment"], strict=True)):
        some = table[(table["kind"] == kind) & (table["moment"] == moment)]
        found.setdefault(str(kind), {})[str(moment)] = {
            name: {
                key: float(np.quantile(some[name], share))
                for key, share in QUANTILES.items()
            }
            for name in some.colnames[3:]
            if np.isfinite(some[name]).all()
        }
    return plain_json(found, DIGITS)  # type: ignore[no-any-return]
