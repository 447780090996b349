"""The verb that classifies whatever an astronomer has."""

from dataclasses import dataclass, field
from typing import Annotated

from tyro.conf import OmitArgPrefixes, Positional, arg

from dmagnet.cli.screen import Out, bars, print_notes
from dmagnet.config.classify_config import (
    DEFAULT,
    ClassifyConfig,
    ClusterConfig,
    SourceConfig,
)


@dataclass(frozen=True, kw_only=True)
class ClassifyFlags(ClassifyConfig):
    """How to classify; how to read the inputs needs no prefix, those of cut-outs do."""

    source: Annotated[SourceConfig, OmitArgPrefixes] = field(
        default_factory=SourceConfig
    )
    cluster: Annotated[ClusterConfig, OmitArgPrefixes] = field(
        default_factory=ClusterConfig
    )


CLASSIFY = ClassifyFlags()


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
