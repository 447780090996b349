"""Classify anything: list it, read it, see it, keep it, write the table."""

import tempfile
import weakref
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dmagnet.classifying.local import classify_chunks, open_for
from dmagnet.classifying.table import check_name, write_table
from dmagnet.classifying.table_columns import (
    About,
    Rows,
    about_of,
    doubt_of_size,
    to_qtable,
    without_class,
)
from dmagnet.config.checks import settled
from dmagnet.config.classify_config import DEFAULT, SERVICE, ClassifyConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.pictures.inputs import Item, Listing, as_files, list_items
from dmagnet.pictures.inputs.cutouts import fetched
from dmagnet.pictures.inputs.footprints import open_tiles
from dmagnet.storage.disk import (
    make_way,
    refusals_of_the_disk,
    refuse_replacing,
    says_so,
)
from dmagnet.storage.environment import Announce, bars, counter

if TYPE_CHECKING:  # one image needs no store
    from dmagnet.classifying.answer_table import Answers
    from dmagnet.classifying.store import ChunkStore

Tell = Callable[[str], None]
Inputs = str | Path | Sequence[str | Path]

CLASSIFY = ClassifyConfig()
SHOWN = 3  # reasons why nothing could be classified


@dataclass(frozen=True)
class Outcome:
    """The result of a run.

    Attributes
    ----------
    path : Path
        The table.
    rows, without_class : int
        One for each input, and those without a class, whose ``reason`` says why.
    notes : tuple of str
        What a person should know.
    about : About or None
        Classes, weights and settings of the table; None of a table of cut-outs.
    classes, reasons : dict of str to int
        How many galaxies of each class there are, and how many rows with each reason.
    """

    path: Path
    rows: int
    without_class: int
    notes: tuple[str, ...]
    about: About | None = None
    classes: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)


def write_catalog(
    inputs: Inputs,
    out: Path,
    *,
    weights: Path | str | None = None,
    config: ClassifyConfig = CLASSIFY,
    announce: Announce | None = None,
    tell: Tell | None = None,
    **settings: Any,
) -> Outcome:
    """Classify any number of inputs into a table, in constant memory.

    A run of several chunks that was stopped goes on when the same call is made again;
    what it has done is kept in a folder beside the table, ``<out>.parts``, which is
    removed at the end.

    Parameters
    ----------
    inputs : path or sequence of paths
        Files, folders, globs, zips, stacks, tables; see `list_items`.
    out : Path
        The table; its ending says the format: .ecsv, .csv, .fits, .vot, .parquet.
    weights, config, announce, tell : optional
        As of `classify`.
    **settings
        As of `classify`.

    Returns
    -------
    Outcome
        Where the table is, and how many rows have no class.

    Raises
    ------
    ConfigError
        If the table is there already, or a run of other settings is half done there.
    DataError
        If no input could be classified (then there is no table), the disk refuses, or
        an input cannot be read and ``config.strict`` is set.
    CheckpointError
        If the weights cannot be opened.
    """
    out, config = check_name(out), settled(write_catalog, config, settings)
    with _filled(inputs, out, weights, config, announce=announce, tell=tell) as run:
        return _written(out, run)


def classify(
    inputs: Any,
    *,
    weights: Path | str | None = None,
    out: Path | str | None = None,
    config: ClassifyConfig = CLASSIFY,
    announce: Announce | None = None,
    tell: Tell | None = None,
    **settings: Any,
) -> "Answers":
    """Classify images of galaxies.

    Parameters
    ----------
    inputs : path, image, or a sequence of these
        Files, folders, globs, zips, stacks, tables of paths or of positions; PIL
        images, arrays, tensors, HDUs or Cutout2D, see
        `dmagnet.pictures.inputs.as_files`.
    weights : path or str, optional
        ``s`` or ``xs`` of the package, an .onnx file, a .safetensors file or a run
        folder; ``s`` if not given.
    out : path or str, optional
        Write the table there too, and go on with a run that was stopped there.
    config : ClassifyConfig
        How to read and classify, and where.
    announce : callable, optional
        Called with a name and a total, returns what to call with the count done.
    tell : callable, optional
        Called with a line when the cut-out service makes us wait, and with none after.
    **settings
        Fields of ``config`` by name, in its place: ``device="cpu"``, ``views=1``...

    Returns
    -------
    Answers
        A `QTable` with a row for each input, in memory; in a notebook it shows their
        pictures. For many millions use `dmagnet.classifying.write_catalog`, which
        holds none.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        As `write_catalog`.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from dmagnet.config import SimulateConfig
    >>> from dmagnet.simulator import simulate
    >>> images, _ = simulate(SimulateConfig(num=1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.fromarray(images[0]).save(f"{folder}/galaxy.png")
    ...     table = classify(folder, weights="xs", device="cpu")
    >>> table.colnames[:2], len(table)
    (['id', 'path'], 1)
    """
    place = None if out is None else check_name(Path(out))
    config = settled(classify, config, settings)
    with ExitStack() as stack:
        paths, told = stack.enter_context(as_files(inputs)), announce or bars()
        filled = _filled(paths, place, weights, config, announce=told, tell=tell)
        with filled as run:
            table = None
            if run.store is None or run.store.finished is None:
                from dmagnet.classifying.answer_table import Answers  # needs astropy

                table = Answers(to_qtable(run.rows(), run.about), copy=False)
                table.meta["notes"] = list(run.notes)
                table.items = run.first
            if place is not None:
                _written(place, run)
        if table is not None:
            # Images that were in memory are files for as long as they can be shown.
            weakref.finalize(table, stack.pop_all().close)
            return table
    anew = replace(config, overwrite=True)  # that run's rows may be gone
    return classify(
        inputs, weights=weights, out=out, config=anew, announce=announce, tell=tell
    )


class Filled(NamedTuple):
    """A run whose inputs all have their rows, in memory where there is no store."""

    rows: Rows
    num_items: int
    about: About
    notes: tuple[str, ...]
    first: list[Item]  # inputs, a chunk at most
    store: "ChunkStore | None" = None


@contextmanager
def _filled(
    inputs: Inputs,
    out: Path | None,
    weights: Path | str | None,
    config: ClassifyConfig,
    *,
    announce: Announce | None,
    tell: Tell | None,
) -> Iterator[Filled]:
    """Classify all inputs; those of one chunk in memory, since a kill loses a chunk."""
    listing, folder = _listed(inputs, out, config)
    weights, local = DEFAULT if weights is None else weights, config.engine == "local"
    here = config if local else replace(config, device="cpu")  # workers have the GPUs
    classifier = open_for(weights, here)
    about = about_of(config, classifier)
    doubts = (doubt,) if (doubt := doubt_of_size(classifier)) else ()
    desk: dict[str, Any] = {"source": config.source, "cache": config.cache}
    desk["progress"] = tell
    few = list(islice(listing, config.chunk_size + 1))
    begun = folder is not None and folder.is_dir()
    if local and len(few) <= config.chunk_size and not begun:
        count = _counter(announce, len(few), 0)
        if any(item.kind == "position" for item in few):
            few = list(fetched(few, config.cutout, **desk))
        only = [(0, few)] if few else []
        held = [rows for _, rows in classify_chunks(only, classifier, config)]
        count(len(few))
        notes = (*doubts, *listing.notes)
        yield Filled(lambda: iter(held), len(few), about, notes, few)
        return
    from dmagnet.classifying.store import open_store

    with ExitStack() as stack:
        if folder is None:
            scratch = tempfile.TemporaryDirectory(prefix="dmagnet-")
            folder = Path(stack.enter_context(scratch)) / "run"
        opened = open_store(folder, about, listing, config.chunk_size)
        store = stack.enter_context(opened)
        missing = array("q", store.missing())
        done = store.num_items - sum(map(store.size, missing))
        count = _counter(announce, store.num_items, done)
        listed = (item for number in missing for item in store.items(number))
        with closing(fetched(listed, config.cutout, **desk)) as items:  # type: ignore[type-var]
            chunks = ((n, list(islice(items, store.size(n)))) for n in missing)
            if local:
                finished = classify_chunks(chunks, classifier, config)
            else:
                from dmagnet.classifying.cluster import classify_on_cluster

                todo = len(missing)
                finished = classify_on_cluster(
                    chunks, todo, classifier, config, weights
                )
            with closing(finished):
                for number, rows in finished:
                    store.put(number, rows)
                    done += rows.num_rows
                    count(done)
        notes = (*doubts, *listing.notes, *store.notes)
        yield Filled(store.rows, store.num_items, about, notes, few, store)


def _counter(announce: Announce | None, total: int, done: int) -> Callable[[int], None]:
    """Begin to count what is done, if somebody wants to know."""
    count = counter(announce, "Classifying", total)
    count(done)
    return count


def _written(out: Path, run: Filled) -> Outcome:
    """Write the table and clear the way; tell what is in it."""
    store, about = run.store, run.about
    if store and store.finished:  # killed before it was cleared away
        store.remove()
        return Outcome(out, run.num_items, store.finished[1], run.notes, about)
    classes, reasons, missing = Counter[str](), Counter[str](), 0
    for rows in run.rows():
        missing += without_class(rows)
        for name, count in (("class_name", classes), ("reason", reasons)):
            for each in rows[name].value_counts():
                count[each["values"].as_py()] += each["counts"].as_py()
    told = [{w: n for w, n in c.most_common() if w} for c in (classes, reasons)]
    if missing == run.num_items:
        if store:
            store.remove()  # so that the run can begin anew
        why = [f"{reason} ({n})" for reason, n in told[1].items()]
        rest = len(why) - SHOWN
        more = f"; and {rest} other reasons" if rest > 0 else ""
        raise DataError(
            f"none of {run.num_items} inputs could be classified, so no table was "
            f"written: {'; '.join(why[:SHOWN])}{more}"
        )
    write_table(out, run.rows, about)
    if store:
        store.finish(missing)
    return Outcome(out, run.num_items, missing, run.notes, about, *told)


def _listed(
    inputs: Inputs, out: Path | None, config: ClassifyConfig
) -> tuple[Listing, Path | None]:
    """List the inputs, and name the folder of the run.

    A table is replaced if it is asked for, or the run goes on; an input never is.
    """
    several = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    if config.cutout.tiles != SERVICE:
        open_tiles(config.cutout, config.source)  # refused before anything is begun
    if out is None:
        listing = list_items(several, config.source)
        listing.note_fetching(config.cutout)
        return listing, None
    folder = out.with_name(f"{out.name}.parts")
    with refusals_of_the_disk(out):
        there = out.exists()
    refuse_replacing(out, *several)
    if there and not config.overwrite and not folder.is_dir():
        raise ConfigError(
            f"{out}: is there already; give another -o, or --overwrite to replace it"
        )
    make_way(out, says_so)
    listing = list_items(several, config.source)
    refuse_replacing(out, *listing.paths)
    for item in listing if there else ():
        refuse_replacing(out, *item.files)
    listing.note_fetching(config.cutout)
    return listing, folder
