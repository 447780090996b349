"""The verbs that cut positions out, and classify whatever an astronomer has."""

import math
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from json import dumps as to_json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import OmitArgPrefixes, arg

from dmagnet.classes import family_of
from dmagnet.cli.screen import Inputs, MaybeOut, Out, bars, print_notes
from dmagnet.config.classify_config import (
    DEFAULT,
    SERVICE,
    ClassifyConfig,
    ClusterConfig,
    CutoutConfig,
    CuttingConfig,
    SourceConfig,
)
from dmagnet.errors import ConfigError

if TYPE_CHECKING:
    from dmagnet.classifying.catalog_run import Outcome

FEW = 20  # rows that are shown without -o
REASONS = 5  # that are told at the end
BATCH_ROWS = 1024
WIDE = 160  # columns of a table that goes into a pipe or a file


@dataclass(frozen=True, kw_only=True)
class CutoutFlags(CutoutConfig):
    """Where images of positions come from; the flag of the tiles is short."""

    tiles: Annotated[
        tuple[str, ...],
        arg(
            name="from",
            prefix_name=False,
            metavar="TILE...|service",
            help="FITS mosaics or tiles with a WCS, their folders, or globs; or the "
            "cut-out service.",
        ),
    ] = SERVICE


SOURCE, TILES, CLUSTER = SourceConfig(), CutoutFlags(), ClusterConfig()


@dataclass(frozen=True, kw_only=True)
class ReadingFlags:
    """How to read inputs needs no prefix; how to cut them out does."""

    source: Annotated[SourceConfig, OmitArgPrefixes] = SOURCE
    cutout: CutoutFlags = TILES


@dataclass(frozen=True, kw_only=True)
class ClassifyFlags(ReadingFlags, ClassifyConfig):
    """How to classify."""

    cluster: Annotated[ClusterConfig, OmitArgPrefixes] = CLUSTER


@dataclass(frozen=True, kw_only=True)
class CuttingFlags(ReadingFlags, CuttingConfig):
    """How positions become a folder of cut-outs."""


CLASSIFY, CUTTING = ClassifyFlags(), CuttingFlags()


def cutouts(
    tables: Inputs, config: Annotated[CuttingFlags, arg(name="")] = CUTTING, *, out: Out
) -> None:
    """Cut positions out of mosaics, or fetch them, into a folder that every verb takes.

    Parameters
    ----------
    tables : tuple of str
        Tables with positions: columns ra and dec, and an id that names the files.
    config : CuttingFlags
        Where the images come from, and how large they are.
    out : Path
        Folder for the cut-outs and their table, cutouts.ecsv. A stopped run goes on
        when the same command is given again.
    """
    from dmagnet.classifying.cutout_run import write_cutouts

    outcome = _watched(write_cutouts, tables, out, config=config)
    if outcome.without_class:
        print_notes(
            [f"{outcome.without_class} of {outcome.rows} positions have no cut-out: "
             "see flag and reason"]
        )  # fmt: skip
    print(outcome.path)


def classify(
    inputs: Inputs,
    config: Annotated[ClassifyFlags, arg(name="")] = CLASSIFY,
    *,
    out: MaybeOut = None,
    weights: str = DEFAULT,
    json: bool = False,
) -> None:
    """Classify images or positions, any number of them; show the answers, or keep them.

    Parameters
    ----------
    inputs : tuple of str
        Images, FITS files, folders, globs, zips, tars, stacks; tables of paths or of
        positions.
    config : ClassifyFlags
        How to read and classify, and where.
    out : Path
        The table: .ecsv, .csv, .fits, .vot or .parquet; - prints .csv. A stopped run
        goes on when the same command is given again. Without -o, answers are printed.
    weights : str
        Weights of the package, s or xs; or a run folder, .safetensors or .onnx file.
    json : bool
        Print each row as a line of JSON.
    """
    kept = out if out and str(out) != "-" else None
    if kept and json:
        raise ConfigError(f"--json prints the rows: leave out -o {kept}")
    if kept:
        run(inputs, kept, weights, config)
        print(kept)
        return
    with TemporaryDirectory(prefix="dmagnet-") as folder:
        name = "rows.csv" if out and not json else "rows.parquet"
        _show(run(inputs, Path(folder) / name, weights, config), as_json=json)


def run(
    inputs: tuple[str, ...], out: Path, weights: str, config: ClassifyConfig
) -> "Outcome":
    """Classify into a table, and tell what was found."""
    from dmagnet.classifying.catalog_run import write_catalog

    begun = time.monotonic()
    outcome = _watched(write_catalog, inputs, out, weights=weights, config=config)
    print_notes(_found(outcome, time.monotonic() - begun), "")
    if not weights.endswith(".onnx"):  # explaining needs gradients
        print_notes([f"next: {_explaining(inputs, weights, config)}"], "")
    return outcome


def _watched(
    write: Callable[..., "Outcome"], inputs: tuple[str, ...], out: Path, **how: Any
) -> "Outcome":
    """Write a table of inputs that are all there, and tell what to know."""
    from dmagnet.pictures.inputs.listing import refuse_absent

    def _tell(line: str) -> None:
        print_notes([line] if line else [])

    refuse_absent(inputs)
    with bars() as bar:
        outcome = write(inputs, out, announce=bar, tell=_tell, **how)
    print_notes(outcome.notes)
    return outcome


def _explaining(inputs: tuple[str, ...], weights: str, config: ClassifyConfig) -> str:
    """Write the command that explains the first input, read in the same way."""
    words = ["dmagnet", "explain", inputs[0], "-o", "FOLDER"]
    words += ["--weights", weights] if weights != DEFAULT else []
    for name, value in asdict(config.source).items():
        words += [f"--{name.replace('_', '-')}", str(value)] if value else []
    tiles = config.cutout.tiles
    return shlex.join(words + (["--from", *tiles] if tiles != SERVICE else []))


def _found(outcome: "Outcome", seconds: float) -> Iterator[str]:
    """Say what was found, family by family, and what to know of it."""
    classified = outcome.rows - outcome.without_class
    rate = f"{seconds:.1f} s, {outcome.rows / max(seconds, 1e-3):,.1f} a second"
    yield f"{classified:,} of {outcome.rows:,} classified ({rate})"
    families: dict[str, list[str]] = {}
    totals: Counter[str] = Counter()
    for name, num in outcome.classes.items():
        family = family_of(name) or "classes"
        families.setdefault(family, []).append(f"{name} {num:,}")
        totals[family] += num
    for family, num in totals.most_common():
        yield f"  {family} {num:,}: {', '.join(families[family])}"
    for reason, num in [*outcome.reasons.items()][:REASONS]:
        yield f"  flagged {num:,}: {reason}"


def _show(outcome: "Outcome", *, as_json: bool) -> None:
    """Print the rows of a table: as CSV, as JSON, or for a person."""
    if outcome.path.suffix == ".csv":
        with outcome.path.open(encoding="utf-8") as file:
            shutil.copyfileobj(file, sys.stdout)
        return
    from pyarrow.parquet import ParquetFile

    assert outcome.about is not None  # of galaxies
    names = outcome.about.class_names
    with ParquetFile(outcome.path) as table:
        batches = table.iter_batches(BATCH_ROWS)
        rows = (row for batch in batches for row in batch.to_pylist())
        answers = (_answer(row, names) for row in rows)
        if as_json:
            for answer in answers:
                print(to_json(answer, ensure_ascii=False))
        else:
            _show_table(islice(answers, FEW), outcome.rows)


def _answer(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Put names in the place of numbers; what is not known is null."""
    from dmagnet.classifying.table_columns import BETWEEN, SETS

    known = {k: None if v == "" or _is_nan(v) else v for k, v in row.items()}
    p = {name: known.pop(f"p{k}") for k, name in enumerate(names)}
    for level in SETS:
        inside = (known[level] or "").split(BETWEEN)
        known[level] = [names[int(k)] for k in inside if k] or None
    return {**known, "probabilities": p}


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _show_table(answers: Iterable[dict[str, Any]], num: int) -> None:
    """Print some answers for a person."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for head in ("id", "class", "p", "or (90 % set)", "notes"):
        table.add_column(head, overflow="fold")
    for answer in answers:
        name, p = answer["class_name"], answer["probabilities"]
        others = [each for each in answer["set90"] or () if each != name]
        row = (answer["id"], name or "", f"{p[name]:.2f}" if name else "")
        table.add_row(*row, ", ".join(others), answer["reason"] or "")
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
    if num > FEW:
        print(f"... and {num - FEW:,} more: -o TABLE keeps all, -o - prints them")
