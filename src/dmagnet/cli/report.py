"""The verbs that write pages: of galaxies, and of a run."""

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from dmagnet.cli.screen import MaybeOut, Out, bars, print_notes
from dmagnet.config.classify_config import SourceConfig
from dmagnet.config.dream_config import DreamConfig
from dmagnet.network.bundled import DEFAULT

LAYERS = ("stage2", "stage4", "lam")
SOURCE = SourceConfig()


def page(
    images: Positional[tuple[str, ...]],
    config: Annotated[SourceConfig, arg(name="")] = SOURCE,
    *,
    out: Out,
    weights: str = DEFAULT,
    reference: Path | None = None,
    layers: tuple[str, ...] = LAYERS,
    steps: int = 10,
    seed: int = 0,
    compare: bool = True,
    classical: bool = True,
) -> None:
    """Write one page a galaxy: class, evidence, dreams, morphology, what is alike.

    Parameters
    ----------
    images : tuple of str
        Images, FITS files, folders, globs, zips, .h5 or .npy stacks, tables of paths.
    config : SourceConfig
        What the images do not say themselves.
    out : Path
        Folder for the pages; an index comes with several.
    weights : str
        Weights of the package, s or xs; or a run folder or .safetensors file.
    reference : Path
        Labeled galaxies to compare with; simulated ones, drawn once, if not given.
    layers : tuple of str
        Layers to dream; a wrong name lists the right ones.
    steps : int
        Steps of a dream on each octave; 0 for no dreams.
    seed : int
        Of the dreams.
    compare : bool
        Look for galaxies that are alike.
    classical : bool
        Measure classical morphology; statmorph's numbers come with dmagnet[astro].
    """
    from dmagnet.pictures.inputs.listing import refuse_absent
    from dmagnet.reporting.galaxy_pages import write_pages

    refuse_absent(images)
    dream = DreamConfig(steps=steps, seed=seed)
    with bars() as bar:
        found = write_pages(
            images,
            out,
            weights=weights,
            reference=reference,
            layers=layers if steps else (),
            dream=dream,
            config=config,
            compare=compare,
            classical=classical,
            announce=bar,
        )
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
