"""The verb that embeds galaxies: what is alike, and a map."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Suppress, arg

from dmagnet.cli.classify import ClassifyFlags, run
from dmagnet.cli.screen import Inputs, MaybeOut, bars, print_notes
from dmagnet.config.classify_config import DEFAULT, ClassifyConfig
from dmagnet.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class EmbedFlags(ClassifyFlags):
    """How to embed: as to classify, with embeddings."""

    embeddings: Suppress[bool] = True


EMBED = EmbedFlags()


def embed(
    inputs: Inputs,
    config: Annotated[EmbedFlags, arg(name="")] = EMBED,
    *,
    out: MaybeOut = None,
    page: Annotated[Path | None, arg(name="map")] = None,
    near: str = "",
    weights: str = DEFAULT,
) -> None:
    """Embed galaxies: a table of classes and features, the nearest galaxies, a map.

    Parameters
    ----------
    inputs : tuple of str
        As for classify; or, without -o, a table that embed wrote before.
    config : EmbedFlags
        How to read and classify, and where.
    out : Path
        The table that classify writes, with one more column, of vectors.
    page : Path
        Write a map of the galaxies there, the most unusual first: one .html file.
    near : str
        Print the galaxies that are most like this one: an id of the table, or an image.
    weights : str
        Weights of the package, s or xs; or a run folder or .safetensors file.
    """
    from dmagnet.classifying.embeddings import check_form, read_embeddings
    from dmagnet.reporting.map_page import make_way_for_map, no_map, write_map

    if out is None and not (len(inputs) == 1 and (page or near)):
        raise ConfigError(
            "embed: expected a place for the table, -o; or one table that was embedded "
            "before, and --map or --near"
        )
    table = Path(inputs[0]) if out is None else out
    if page or near:
        check_form(table, given=out is None)
    if page:
        make_way_for_map(page, inputs)
    if out is not None:
        run(inputs, out, weights, config)
        print(out)
    if not page and not near:
        return
    galaxies = read_embeddings(table)
    if near:
        _print_near(galaxies, near, weights, config)
    if page and out is not None and (line := no_map(galaxies, page)):
        print_notes([line])
    elif page:
        given = None if out is None else inputs
        with bars() as bar:
            write_map(galaxies, page, inputs=given, config=config, announce=bar)
        print(f"page: {page}")


def _print_near(table: Any, near: str, weights: str, config: ClassifyConfig) -> None:
    """Print the galaxies of a table that are like one of it, or like an image."""
    from dmagnet.classifying.catalog_run import classify
    from dmagnet.classifying.embeddings import head_of, nearest
    from dmagnet.pictures.inputs.listing import refuse_absent

    to: Any = near
    if near not in table["id"]:
        try:
            refuse_absent((near,))
        except DataError as error:
            example = f"such as {table['id'][0]}" if len(table) else "which is empty"
            raise ConfigError(
                f"--near {near}: expected an id of the table, {example}, or an image; "
                "found neither"
            ) from error
        seen = classify(near, weights=weights, config=replace(config, engine="local"))
        if seen.meta["weights"] != head_of(table, "weights"):
            raise ConfigError(
                f"--weights {weights}: expected those that the table was made with, "
                f"whose hash begins with {head_of(table, 'weights')[:12]}"
            )
        to = seen["embedding"][0]
    for row in nearest(table, to):
        print(f"{row['distance']:.3f}  {row['class_name']:24} {row['id']}")
