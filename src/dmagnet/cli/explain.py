"""The verb that says why."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from dmagnet.cli.classify import ReadingFlags
from dmagnet.cli.screen import Inputs, Out, bars, print_notes
from dmagnet.config.classify_config import DEFAULT, ExplainConfig


@dataclass(frozen=True, kw_only=True)
class ExplainFlags(ReadingFlags, ExplainConfig):
    """What to explain, and how to read the inputs."""

    target: Annotated[str | int | None, arg(aliases=["--classes"])] = None


EXPLAIN = ExplainFlags()


def explain(
    images: Inputs,
    config: Annotated[ExplainFlags, arg(name="")] = EXPLAIN,
    *,
    out: Out,
    weights: str = DEFAULT,
) -> None:
    """Show which places speak for the class of each galaxy.

    Parameters
    ----------
    images : tuple of str
        As for classify: files, folders, globs, archives, stacks, tables.
    config : ExplainFlags
        What to explain, and how to read the inputs.
    out : Path
        Folder for pictures, FITS files with the WCS of the view, and explain.json.
    weights : str
        Run folder, .safetensors file, or s or xs of the package.
    """
    from dmagnet.explaining.explanations import explain as run
    from dmagnet.pictures.inputs.listing import refuse_absent

    refuse_absent(images)
    notes: list[str] = []
    with bars() as bar:
        found = run(
            images,
            weights=weights,
            out=out,
            config=config,
            announce=bar,
            tell=notes.append,
        )
    print_notes(notes)
    for each in found:
        sure = each.probabilities[each.target]
        print(f"{each.item.id}: {each.question} ({100 * sure:.0f} %)")
    print(out / "explain.json")
