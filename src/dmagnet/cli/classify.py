"""The verbs that cut positions out, and classify whatever an astronomer has."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from dmagnet.cli.screen import Out, bars, print_notes
from dmagnet.config.classify_config import (
    DEFAULT,
    SERVICE,
    ClassifyConfig,
    ClusterConfig,
    CutoutConfig,
    CuttingConfig,
    SourceConfig,
)


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


@dataclass(frozen=True, kw_only=True)
class ClassifyFlags(ClassifyConfig):
    """How to classify; how to read the inputs needs no prefix, those of cut-outs do."""

    source: Annotated[SourceConfig, OmitArgPrefixes] = field(
        default_factory=SourceConfig
    )
    cutout: CutoutFlags = field(default_factory=CutoutFlags)
    cluster: Annotated[ClusterConfig, OmitArgPrefixes] = field(
        default_factory=ClusterConfig
    )


@dataclass(frozen=True, kw_only=True)
class CuttingFlags(CuttingConfig):
    """How positions become a folder of cut-outs."""

    source: Annotated[SourceConfig, OmitArgPrefixes] = field(
        default_factory=SourceConfig
    )
    cutout: CutoutFlags = field(default_factory=CutoutFlags)


CLASSIFY, CUTTING = ClassifyFlags(), CuttingFlags()


def cutouts(
    tables: Positional[tuple[str, ...]],
    config: Annotated[CuttingFlags, arg(name="")] = CUTTING,
    *,
    out: Out,
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
    from dmagnet.pictures.inputs.listing import refuse_absent

    refuse_absent(tables)
    with bars(rate=True) as bar:
        outcome = write_cutouts(
            tables,
            out,
            config=config,
            announce=bar,
            tell=lambda line: print_notes([line] if line else []),
        )
    print_notes(outcome.notes)
    if outcome.without_class:
        print_notes(
            [f"{outcome.without_class} of {outcome.rows} positions have no cut-out: "
             "see flag and reason"]
        )  # fmt: skip
    print(outcome.path)


def classify(
    inputs: Positional[tuple[str, ...]],
    config: Annotated[ClassifyFlags, arg(name="")] = CLASSIFY,
    *,
    out: Out,
    weights: str = DEFAULT,
) -> None:
    """Classify images or positions, any number of them, into a table.

    Parameters
    ----------
    inputs : tuple of str
        Images, FITS files, folders, globs, zips, .h5 or .npy stacks; tables of paths or
        of positions.
    config : ClassifyFlags
        How to read and classify, and where.
    out : Path
        The table: .ecsv, .csv, .fits, .vot or .parquet. A stopped run goes on when the
        same command is given again.
    weights : str
        Weights of the package, s or xs; or a run folder, .safetensors or .onnx file.
    """
    from dmagnet.classifying.catalog_run import write_catalog
    from dmagnet.pictures.inputs.listing import refuse_absent

    refuse_absent(inputs)
    with bars(rate=True) as bar:
        outcome = write_catalog(
            inputs,
            out,
            weights=weights,
            config=config,
            announce=bar,
            tell=lambda line: print_notes([line] if line else []),
        )
    print_notes(outcome.notes)
    if outcome.without_class:
        print_notes(
            [f"{outcome.without_class} of {outcome.rows} rows have no class: see flag "
             "and reason"]
        )  # fmt: skip
    print(outcome.path)
