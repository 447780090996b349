"""Classify anything: list it, read it, see it, keep it, write the table."""

import tempfile
from array import array
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from dmagnet.classifying.classifier import Classifier, Device
from dmagnet.classifying.engines import open_classifier
from dmagnet.classifying.local import Chunk, classify_chunks
from dmagnet.classifying.qtable import to_qtable
from dmagnet.classifying.store import ChunkStore, open_store
from dmagnet.classifying.table import check_name, write_table
from dmagnet.classifying.table_columns import About, settings_of, without_class
from dmagnet.config.classify_config import ClassifyConfig
from dmagnet.errors import ConfigError, DataError
from dmagnet.network.bundled import DEFAULT
from dmagnet.pictures.inputs.cutouts import fetched
from dmagnet.pictures.inputs.listing import list_items
from dmagnet.storage.disk import (
    make_way,
    refusals_of_the_disk,
    refuse_replacing,
    says_so,
)

Engine = Literal["local", "ray"]
Announce = Callable[[str, int | None], Callable[[int], None]]
Tell = Callable[[str], None]
Inputs = str | Path | Sequence[str | Path]

CLASSIFY = ClassifyConfig()
SHOWN = 3  # reasons why nothing could be classified


@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Attributes
    ----------
    path : Path
        The table.
    rows : int
        One for each input.
    without_class : int
        Rows that have no class; their ``flag`` and ``reason`` say why.
    notes : tuple of str
        What a person should know.
    """

    path: Path
    rows: int
    without_class: int
    notes: tuple[str, ...]


def write_catalog(
    inputs: Inputs,
    out: Path,
    *,
    weights: Path | str | None = None,
    config: ClassifyConfig = CLASSIFY,
    engine: Engine = "local",
    device: Device = "auto",
    cache: Path | None = None,
    overwrite: bool = False,
    announce: Announce | None = None,
    tell: Tell | None = None,
) -> Outcome:
    """Classify any number of inputs into a table, in constant memory.

    A run that was stopped goes on when the same call is made again; what it has done is
    kept in a folder beside the table, ``<out>.parts``, which is removed at the end.

    Parameters
    ----------
    inputs : path or sequence of paths
        Files, folders, globs, zips, stacks, tables; see `list_items`.
    out : Path
        The table; its ending says the format: .ecsv, .csv, .fits, .vot, .parquet.
    weights : path or str, optional
        ``s`` or ``xs`` of the package, an .onnx file, a .safetensors file or a run
        folder; ``s`` if not given.
    config : ClassifyConfig
        How to read and classify.
    engine : {"local", "ray"}
        This process, or a Ray cluster.
    device : {"auto", "cpu", "gpu"}
        Where the network runs.
    cache : Path, optional
        Folder of the cut-outs; the user's cache if not given.
    overwrite : bool
        Replace a table of that name, once the new one is whole.
    announce : callable, optional
        Called with a name and a total, returns what to call with the count done.
    tell : callable, optional
        Called with a line when the cut-out service makes the run wait, and with none
        when it answers again.

    Returns
    -------
    Outcome
        Where the table is, and how many rows have no class.

    Raises
    ------
    ConfigError
        If the table is there already, or a run of other settings is half done there.
    DataError
        If there is nothing to classify, no input could be classified (then there is no
        table), the disk refuses, or an input cannot be read and ``config.strict`` is
        set.
    CheckpointError
        If the weights cannot be opened.
    """
    out = check_name(out)
    folder = out.with_name(f"{out.name}.parts")
    _check_free(out, folder, inputs, overwrite=overwrite)
    with _filled(
        inputs, out, folder, weights=weights, config=config, engine=engine,
        device=device, cache=cache, announce=announce, tell=tell,
    ) as (store, about, notes):  # fmt: skip
        if store.finished is None:
            missing = sum(map(without_class, store.rows()))
            _refuse_nothing(store, missing)
            write_table(out, store.rows, about)
            store.finish(missing)
            store.finished = store.num_items, missing
        else:  # killed before it was cleared away
            store.remove()
    return Outcome(out, *store.finished, notes)


def classify(
    inputs: Inputs,
    *,
    weights: Path | str | None = None,
    out: Path | str | None = None,
    config: ClassifyConfig = CLASSIFY,
    engine: Engine = "local",
    device: Device = "auto",
    cache: Path | None = None,
    overwrite: bool = False,
    announce: Announce | None = None,
    tell: Tell | None = None,
) -> Any:
    """Classify images of galaxies.

    Parameters
    ----------
    inputs : path or sequence of paths
        Files, folders, globs, zips, stacks, tables of paths or of positions.
    weights : path or str, optional
        ``s`` or ``xs`` of the package, an .onnx file, a .safetensors file or a run
        folder; ``s`` if not given.
    out : path or str, optional
        Write the table there too, and go on with a run that was stopped there.
    config : ClassifyConfig
        How to read and classify.
    engine : {"local", "ray"}
        This process, or a Ray cluster.
    device : {"auto", "cpu", "gpu"}
        Where the network runs.
    cache : Path, optional
        Folder of the cut-outs; the user's cache if not given.
    overwrite : bool
        Replace a table of that name, once the new one is whole.
    announce : callable, optional
        Called with a name and a total, returns what to call with the count done.
    tell : callable, optional
        Called with a line when the cut-out service makes the run wait, and with none
        when it answers again.

    Returns
    -------
    QTable
        A row for each input, in memory. For many millions use
        `dmagnet.classifying.write_catalog`, which holds none.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        As `write_catalog`.
    """
    out = None if out is None else Path(out)
    with tempfile.TemporaryDirectory(prefix="dmagnet-") as scratch:
        folder = Path(scratch) / "run"
        if out is not None:
            folder = check_name(out).with_name(f"{out.name}.parts")
            _check_free(out, folder, inputs, overwrite=overwrite)
        with _filled(
            inputs, out, folder, weights=weights, config=config, engine=engine,
            device=device, cache=cache, announce=announce, tell=tell,
        ) as (store, about, notes):  # fmt: skip
            again = store.finished is not None  # killed before it was cleared away
            if again:
                store.remove()
            else:
                table = to_qtable(store.rows(), about)
                table.meta["notes"] = list(notes)
                if out is not None:
                    missing = sum(map(without_class, store.rows()))
                    _refuse_nothing(store, missing)
                    write_table(out, store.rows, about)
                    store.finish(missing)
    if again:
        return classify(
            inputs, weights=weights, out=out, config=config, engine=engine,
            device=device, cache=cache, overwrite=True, announce=announce, tell=tell,
        )  # fmt: skip
    return table


@contextmanager
def _filled(
    inputs: Inputs,
    out: Path | None,
    folder: Path,
    *,
    weights: Path | str | None,
    config: ClassifyConfig,
    engine: Engine,
    device: Device,
    cache: Path | None,
    announce: Announce | None,
    tell: Tell | None,
) -> Iterator[tuple[ChunkStore, About, tuple[str, ...]]]:
    """Bring a store to its end: every input has its row."""
    several = [inputs] if isinstance(inputs, str | Path) else list(inputs)
    listing = list_items(several, config.source)
    if out is not None:
        refuse_replacing(out, *listing.paths)
        for item in listing if out.exists() else ():
            refuse_replacing(out, *item.files)
    weights = DEFAULT if weights is None else weights
    classifier = open_classifier(
        weights,
        views=config.views,
        batch_size=config.batch_size,
        device="cpu" if engine == "ray" else device,  # its workers have the GPUs
        threads=1,
    )
    settings = settings_of(config, classifier)
    about = About(classifier.class_names, classifier.weights_hash, settings)
    with open_store(folder, about, listing, config.chunk_size) as store:
        missing = array("q", store.missing())
        done = store.num_items - sum(map(store.size, missing))
        count = announce("Classifying", store.num_items) if announce else None
        if count:
            count(done)
        with (
            closing(_chunks(store, missing, config, cache, tell)) as chunks,
            closing(
                _classified(
                    chunks,
                    len(missing),
                    classifier,
                    config,
                    engine=engine,
                    weights=weights,
                    device=device,
                )
            ) as finished,
        ):
            for number, rows in finished:
                store.put(number, rows)
                done += rows.num_rows
                if count:
                    count(done)
        yield store, about, (*listing.notes, *store.notes)


def _classified(
    chunks: Iterator[Chunk],
    total: int,
    classifier: Classifier,
    config: ClassifyConfig,
    *,
    engine: Engine,
    weights: Path | str,
    device: Device,
) -> Generator[tuple[int, pa.RecordBatch]]:
    """Begin to classify in the way that was asked for."""
    if engine == "local":
        return classify_chunks(chunks, classifier, config)
    if engine != "ray":
        raise ConfigError(f"engine: expected local or ray, got {engine!r}")
    from dmagnet.classifying.cluster import classify_on_cluster

    return classify_on_cluster(
        chunks, total, classifier, config, weights=weights, device=device
    )


def _chunks(
    store: ChunkStore,
    missing: Sequence[int],
    config: ClassifyConfig,
    cache: Path | None,
    tell: Tell | None,
) -> Generator[Chunk]:
    """Give the inputs of the chunks to do; positions become files on the way."""
    listed = (item for number in missing for item in store.items(number))
    items = fetched(listed, config.cutout, cache=cache, progress=tell)
    for number in missing:
        yield number, list(islice(items, store.size(number)))


def _refuse_nothing(store: ChunkStore, missing: int) -> None:
    """Say why there is no table if nothing has a class, and let the run begin anew."""
    if missing < store.num_items:
        return
    reasons = Counter(r for rows in store.rows() for r in rows["reason"].to_pylist())
    store.remove()
    told = "; ".join(f"{reason} ({n})" for reason, n in reasons.most_common(SHOWN))
    more = f"; and {len(reasons) - SHOWN} other reasons" if len(reasons) > SHOWN else ""
    raise DataError(
        f"none of {missing} inputs could be classified, so no table was written: "
        f"{told}{more}"
    )


def _check_free(out: Path, folder: Path, inputs: Inputs, *, overwrite: bool) -> None:
    """Refuse to replace a table, unless it is the one of a run that goes on."""
    given = [inputs] if isinstance(inputs, str | Path) else inputs
    with refusals_of_the_disk(out):
        there = out.exists()
    refuse_replacing(out, *given)
    if there and not overwrite and not folder.is_dir():
        raise ConfigError(
            f"{out}: is there already; give another -o, or --overwrite to replace it"
        )
    make_way(out, says_so)
