"""Pages of many galaxies, an index of them, and the numbers as a record."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dmagnet.config.checks import settled
from dmagnet.config.classify_config import DEFAULT, PageConfig
from dmagnet.explaining.explanation import Explanation
from dmagnet.explaining.explanations import Inputs, explain_images, read_inputs
from dmagnet.network.bundled import load
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.reporting.galaxy_page import Entry, entry_of, render_index, render_portrait
from dmagnet.reporting.page import write_page
from dmagnet.reporting.portrait import PAGE, portraits
from dmagnet.reporting.reference import open_reference
from dmagnet.storage.disk import claimed
from dmagnet.storage.environment import Announce, bars, counter
from dmagnet.storage.records import write_json

RECORD, INDEX = "galaxies.json", "index.html"


@dataclass(frozen=True)
class Pages:
    """What `write_pages` wrote."""

    first: Path  # the index, or the page where there is one galaxy
    pages: tuple[Path, ...]  # one a galaxy, in the order of the inputs
    record: Path  # all numbers of all pages, and where they come from
    notes: tuple[str, ...] = ()  # what to know


def write_pages(
    inputs: Inputs,
    out: str | Path,
    *,
    weights: str | Path | Checkpoint = DEFAULT,
    config: PageConfig = PAGE,
    announce: Announce | None = None,
    **settings: Any,
) -> Pages:
    """Write one page for each galaxy: what it is called, why, and what is like it.

    Parameters
    ----------
    inputs : path or sequence of paths
        Images, folders, globs, zips, stacks, tables of paths or of positions; see
        `dmagnet.pictures.inputs.list_items`.
    out : path
        Folder; it may hold pages already, and those of the same name are replaced.
    weights : str, Path or Checkpoint
        ``s`` or ``xs`` of the package, a .safetensors file or a run folder.
    config : PageConfig
        What to show, and how to read the inputs.
    announce : callable, optional
        Called with a name and a total; returns what to call with the number done.
    **settings
        Fields of ``config`` by name, in its place: ``compare=False``...

    Returns
    -------
    Pages
        The files. Each page is one HTML file that needs nothing else.

    Raises
    ------
    DataError
        If there is no picture among the inputs, the reference cannot be read, or the
        disk refuses.
    ConfigError
        If there is no such layer.
    CheckpointError
        If the weights cannot be opened.
    """
    checkpoint = weights if isinstance(weights, Checkpoint) else load(weights)
    config, announce = settled(write_pages, config, settings), announce or bars()
    out = Path(out)
    with claimed(out, RECORD):
        explanations, notes = _explained(checkpoint, inputs, config)
        known = None
        if config.compare:
            known = open_reference(
                checkpoint, config.reference, cache=config.cache, announce=announce
            )
        count = counter(announce, "Pages", len(explanations))
        index = INDEX if len(explanations) > 1 else ""
        written: list[tuple[Path, Entry, dict[str, Any]]] = []
        provenance: dict[str, Any] = {}
        for portrait in portraits(
            checkpoint, explanations, reference=known, config=config, progress=count
        ):
            path = write_page(
                out / f"{portrait.name}.html",
                partial(render_portrait, portrait, index=index),
            )
            written.append((path, entry_of(portrait, path.name), portrait.to_dict()))
            provenance = portrait.provenance
        record = {
            "class_names": list(checkpoint.class_names),
            "galaxies": [row for _, _, row in written],
            "provenance": provenance,
        }
        write_json(out / RECORD, record)
        pages = tuple(path for path, _, _ in written)
        first = pages[0]
        if index:
            entries = [entry for _, entry, _ in written]
            first = write_page(out / INDEX, partial(render_index, entries, provenance))
        return Pages(first, pages, out / RECORD, notes)


def _explained(
    checkpoint: Checkpoint, inputs: Inputs, config: PageConfig
) -> tuple[list[Explanation], tuple[str, ...]]:
    """Read and judge the inputs; those that are no pictures become notes."""
    cache = config.cache and config.cache / "cutouts"
    images, pictures, left_out, notes = read_inputs(
        checkpoint, inputs, config.source, config.cutout, cache=cache
    )
    items = [each.item for each in pictures]
    lines = [f"{item.path}: {item.reason}; it has no page" for item in left_out]
    return explain_images(checkpoint, images, methods=(), items=items), (*notes, *lines)
