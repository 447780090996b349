"""The verbs that write pages: of galaxies, and of a run."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, Suppress, arg

from dmagnet.cli.classify import ReadingFlags
from dmagnet.cli.screen import Inputs, MaybeOut, Out, bars, print_notes
from dmagnet.config.classify_config import DEFAULT, PageConfig
from dmagnet.config.dream_config import DreamConfig

DREAM = DreamConfig()


@dataclass(frozen=True, kw_only=True)
class PageFlags(ReadingFlags, PageConfig):
    """What a page shows, and how to read the images."""

    dream: Suppress[DreamConfig] = DREAM
    cache: Suppress[Path | None] = None


PAGE = PageFlags()


def page(
    images: Inputs,
    config: Annotated[PageFlags, arg(name="")] = PAGE,
    *,
    out: Out,
    weights: str = DEFAULT,
    steps: int = 8,
    seed: int = 0,
) -> None:
    """Write one page per galaxy: class, evidence, dreams, morphology, similar galaxies.

    Parameters
    ----------
    images : tuple of str
        Images, FITS files, folders, globs, zips, tars, stacks; tables of paths or of
        positions.
    config : PageFlags
        What to show, and how to read the images.
    out : Path
        Folder for the pages; an index comes with several.
    weights : str
        Weights of the package, s or xs; or a run folder or .safetensors file.
    steps : int
        Steps of a dream on each octave; 0 for no dreams.
    seed : int
        Of the dreams.
    """
    from dmagnet.pictures.inputs.listing import refuse_absent
    from dmagnet.reporting.galaxy_pages import write_pages

    refuse_absent(images)
    config = replace(
        config,
        layers=config.layers if steps else (),
        dream=DreamConfig(steps=steps, seed=seed),
    )
    with bars() as bar:
        found = write_pages(images, out, weights=weights, config=config, announce=bar)
    print_notes(found.notes)
    print(found.record)
    print(f"page: {found.first}")


def report(run: Positional[Path], *, out: MaybeOut = None) -> None:
    """Write one page of all that a run folder holds, to mail, print or archive.

    Parameters
    ----------
    run : Path
        Folder that train, evaluate, demo, dream, measure, explain or failures wrote.
    out : Path
        The .html file to write; report.html in the run folder if not given.
    """
    from dmagnet.reporting.run_report import report_run

    print(f"page: {report_run(run, out)}")
