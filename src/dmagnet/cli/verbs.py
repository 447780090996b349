"""Verbs that train and judge, each as one call in the words of the command line.

The others are one function each elsewhere, and `dmagnet` has them under their names.
"""

import logging
import weakref
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from dmagnet.config import ClassifyConfig, LabelsConfig, TrainConfig
from dmagnet.config.checks import refuse_unknown, settled
from dmagnet.errors import ConfigError
from dmagnet.storage.disk import make_way, refuse_replacing, says_so
from dmagnet.storage.environment import Announce, bars, counter

if TYPE_CHECKING:  # each verb imports what it needs when it is called
    from dmagnet.classifying.answer_table import Answers
    from dmagnet.galaxies.galaxies import Galaxies
    from dmagnet.network.checkpoint import Checkpoint
    from dmagnet.reporting.assess import Assessment
    from dmagnet.reporting.failures import Failures

Place = str | Path
Device = Literal["auto", "cpu", "gpu"]
LABELS, CLASSIFY = LabelsConfig(), ClassifyConfig()
log = logging.getLogger("dmagnet")  # notes; the command line prints them


@dataclass(frozen=True)
class Run:
    """A finished training; in a notebook it shows its curves.

    Attributes
    ----------
    weights : Path
        The file of the trained network, which any verb takes.
    history : list of dict
        One row an epoch: ``epoch``, ``step``, losses and scores.
    """

    weights: Path
    history: list[dict[str, float]]

    def _repr_html_(self) -> str:
        """Show losses and scores by epoch."""
        from dmagnet.figures import inline, training_curves

        rows = [row for row in self.history if "val_accuracy" in row]
        told = f"val accuracy {rows[-1]['val_accuracy']:.3f}, " if rows else ""
        return inline(training_curves(self.history), f"{told}{self.weights}")


def train(
    data: Place,
    out: Place,
    *,
    config: TrainConfig | None = None,
    recipe: str | None = None,
    start: "Place | Checkpoint | None" = None,
    labels: LabelsConfig = LABELS,
    device: Device = "auto",
    announce: Announce | None = None,
    **settings: Any,
) -> Run:
    """Train DMAGNet, anew or from weights; the same call goes on with a stopped run.

    Parameters
    ----------
    data : path
        Prepared folder, .h5, folder, zip or tar of classes, or table with labels.
    out : path
        Folder of the run.
    config : TrainConfig, optional
        All knobs; those of the recipe if not given.
    recipe : {"smoke", "laptop", "gpu", "demo", "finetune"}, optional
        Where the knobs start from: laptop if not given, or finetune from ``start``.
    start : path, str or Checkpoint, optional
        Weights to go on from: s, xs, a run folder or a .safetensors file.
    labels : LabelsConfig
        How to read the galaxies and their labels.
    device : {"auto", "cpu", "gpu"}
        Where to train.
    announce : callable, optional
        Called with a name and a total; returns what to call with the number done.
    **settings
        Fields of ``config`` and ``labels`` by name, in their place, those of their
        parts too: ``epochs=5``, ``size="xs"``, ``votes="smooth,disc"``...; and
        arguments of `lightning.Trainer`: ``devices``, ``num_nodes``...

    Returns
    -------
    Run
        The weights, and how the training went.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        As `dmagnet.galaxies.load_galaxies` and `dmagnet.training.fit`.
    """
    from lightning import Trainer

    from dmagnet.classes import CLASS_NAMES
    from dmagnet.config.recipes import as_trained
    from dmagnet.config.recipes import recipe as recipe_named
    from dmagnet.galaxies import coarse, load_galaxies, read_meanings
    from dmagnet.network import load
    from dmagnet.network.checkpoint import Checkpoint
    from dmagnet.training import fit, history, what_is_kept

    if "accelerator" in settings:
        raise ConfigError("expected device, auto, cpu or gpu; got accelerator")
    if device not in get_args(Device):
        raise ConfigError(f"device: expected auto, cpu or gpu, got {device!r}")
    parent = start if isinstance(start, Checkpoint | None) else load(start)
    if config is None:
        config = recipe_named(recipe or ("finetune" if parent else "laptop"))
        config = as_trained(config, parent.config) if parent else config
    parts = config.model, config.augment
    refuse_unknown(train, settings, config, labels, *parts, Trainer)
    config, labels = _with(config, settings), _with(labels, settings)
    for part in ("model", "augment"):
        config = replace(config, **{part: _with(getattr(config, part), settings)})
    galaxies = load_galaxies(
        Path(data), image_size=config.frame_size, radii=config.frame_radii,
        strict=labels.strict, seed=config.seed, votes=labels.votes,
        source=labels.source,
    )  # fmt: skip
    if labels.meanings:
        fine = parent.class_names if parent else CLASS_NAMES
        galaxies = coarse(galaxies, read_meanings(Path(labels.meanings)), fine)
    _note((*galaxies.notes, *galaxies.skipped))
    if parent:
        _note(what_is_kept(parent, galaxies.class_names))
    weights = fit(
        galaxies, config, Path(out), start_from=parent, accelerator=device,
        progress=False, announce=announce or bars(), **settings,
    )  # fmt: skip
    return Run(weights, history(Path(out)))


def evaluate(
    weights: Place,
    data: Place,
    out: Place,
    *,
    views: int | None = None,
    announce: Announce | None = None,
    **which: Any,
) -> "Assessment":
    """Judge a network on labeled galaxies: metrics.json, figures and a page.

    Parameters
    ----------
    weights : path or str
        A run folder, a .safetensors file, or s or xs of the package.
    data : path
        As for `train`.
    out : path
        Folder for the results.
    views : {1, 2, 4, 8}, optional
        Flips and quarter turns to average over; as calibrated if not given.
    announce : callable, optional
        As of `train`.
    **which
        Galaxies to judge on: ``split``, ``strict``, ``meanings``, ``votes``,
        ``source``, ``include_training`` as of
        `dmagnet.reporting.assess.galaxies_to_judge`.

    Returns
    -------
    Assessment
        Scores with intervals, probabilities and the folder.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If there is nothing to judge, or it cannot be written.
    """
    from dmagnet.reporting.assess import assess
    from dmagnet.training.run_folder import history

    checkpoint, galaxies = _opened(evaluate, weights, data, out, which)
    went = history(Path(weights)) if Path(weights).is_dir() else ()
    told = counter(announce or bars(), "Judging", len(galaxies))
    return assess(
        checkpoint, galaxies, Path(out), views=views, history=went, progress=told
    )


def failures(
    weights: Place,
    data: Place,
    out: Place,
    *,
    views: int | None = None,
    announce: Announce | None = None,
    **which: Any,
) -> "Failures":
    """Show the labeled galaxies that a network gets wrong, one sheet per confusion.

    Parameters
    ----------
    weights, data : path or str
        As of `evaluate`.
    out : path
        Folder for the sheets and failures.ecsv.
    views : {1, 2, 4, 8}, optional
        As of `evaluate`.
    announce : callable, optional
        As of `train`.
    **which
        As of `evaluate`.

    Returns
    -------
    Failures
        How many were wrong, and the files.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        As `evaluate`.
    """
    from dmagnet.reporting.failures import show_failures

    checkpoint, galaxies = _opened(failures, weights, data, out, which)
    told = counter(announce or bars(), "Judging", len(galaxies))
    return show_failures(checkpoint, galaxies, Path(out), views=views, progress=told)


def calibrate(
    weights: Place,
    data: Place,
    out: Place | None = None,
    *,
    split: str = "val",
    views: int | None = None,
    announce: Announce | None = None,
    **labels: Any,
) -> "Checkpoint":
    """Fit temperature, sets and the out-of-distribution flag on labeled galaxies.

    Parameters
    ----------
    weights : path or str
        A .safetensors file or a run folder; s or xs for those of the package.
    data : path
        As for `evaluate`. Its train part says what galaxies look like; the rest is
        fitted on galaxies that trained nothing.
    out : path, optional
        File for the calibrated weights; without one, they are written in their place.
    split : {"train", "val", "test", "all"}
        Part to fit on.
    views : {1, 2, 4, 8}, optional
        Flips and quarter turns now and whenever these weights are used; if not given,
        as they were calibrated before, else 1.
    announce : callable, optional
        As of `train`.
    **labels
        Fields of `LabelsConfig` by name: ``meanings``, ``votes``...

    Returns
    -------
    Checkpoint
        The network with its calibration, as written.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If weights of the package would be replaced, and as `evaluate`.
    """
    from dmagnet.judging.trust import fit_calibration
    from dmagnet.network.bundled import ALIASES, BUNDLED, load, path_of
    from dmagnet.network.checkpoint import WEIGHTS, save
    from dmagnet.reporting.assess import galaxies_to_judge

    refuse_unknown(calibrate, labels, LABELS)
    if out is None and str(weights) in (*BUNDLED, *ALIASES):
        raise ConfigError(
            f"{weights}: expected a place for the calibrated weights, those of the "
            "package stay as they are; give -o WEIGHTS.safetensors"
        )
    if out is not None:
        refuse_replacing(Path(out), Path(data))
        make_way(Path(out), says_so)
    checkpoint = load(weights)
    # Those of the training say what galaxies look like.
    which = {**labels, "split": "all", "include_training": True}
    whole = galaxies_to_judge(checkpoint, Path(data), **which)
    held, known = whole.subset(split), whole.subset("train")
    known_parts = [known] if len(known) and split != "all" else []
    total = len(held) + sum(map(len, known_parts))
    own = checkpoint.provenance.get("data_hash") == whole.data_hash
    sure = "fitted on galaxies that it was trained on: it will be too sure"
    _note((
        *whole.skipped,
        *([sure] if own and split in ("train", "all") else ()),
        f"{len(held)} galaxies fit; {total - len(held)} are known",
    ))  # fmt: skip
    told = counter(announce or bars(), "Looking", total)
    calibration = fit_calibration(
        checkpoint, [held], known_parts, views=views, progress=told
    )
    place = path_of(weights)
    if place.is_dir():
        place /= WEIGHTS
    calibrated = replace(checkpoint, calibration=calibration)
    save(Path(out) if out else place, calibrated)
    return calibrated


def embed(
    inputs: Any,
    out: Place | None = None,
    *,
    map: Place | None = None,  # noqa: A002, as the command line has it
    weights: Place | None = None,
    config: ClassifyConfig = CLASSIFY,
    announce: Announce | None = None,
    tell: Callable[[str], None] | None = None,
    **settings: Any,
) -> "Answers":
    """Embed galaxies: classes and features in a table; `nearest` finds what is alike.

    Parameters
    ----------
    inputs : path, image, or a sequence of these
        As for `classify`.
    out : path, optional
        Write the table there too.
    map : path, optional
        Write a map of the galaxies there, the most unusual first: one .html file;
        none of fewer than eight galaxies.
    weights, config, announce, tell : optional
        As for `classify`.
    **settings
        As for `classify`.

    Returns
    -------
    Answers
        As of `classify`, with a column ``embedding``.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        As `classify`.
    """
    from dmagnet.classifying.catalog_run import classify
    from dmagnet.pictures.inputs.memory import as_files
    from dmagnet.reporting.map_page import make_way_for_map, no_map, write_map

    config = settled(embed, config, {**settings, "embeddings": True})
    told = announce or bars()
    with ExitStack() as stack:
        paths = stack.enter_context(as_files(inputs))
        page = None if map is None else Path(map)
        if page:
            make_way_for_map(page, [paths] if isinstance(paths, Place) else paths)
        table = classify(
            paths, out=out, weights=weights, config=config, announce=told, tell=tell
        )
        if page and (line := no_map(table, page)):
            _note([line])
        elif page:
            write_map(table, page, inputs=paths, config=config, announce=told)
        # As in classify: its pictures can be shown for as long as there is a table.
        weakref.finalize(table, stack.pop_all().close)
        return table


def _with(config: Any, settings: dict[str, Any]) -> Any:
    """Take the settings that a configuration knows, in its place."""
    known = {field.name for field in fields(config)} & {*settings}
    return replace(config, **{name: settings.pop(name) for name in known})


def _opened(
    verb: Callable[..., Any], weights: Place, data: Place, out: Place, which: Any
) -> tuple["Checkpoint", "Galaxies"]:
    """Load a network and the galaxies to judge it on; note what to know of them."""
    from dmagnet.network.bundled import load
    from dmagnet.reporting.assess import galaxies_to_judge

    refuse_unknown(verb, which, LABELS, galaxies_to_judge)
    refuse_replacing(Path(out), data)
    checkpoint = load(weights)
    galaxies = galaxies_to_judge(checkpoint, Path(data), **which)
    _note((*galaxies.notes, *galaxies.skipped))
    return checkpoint, galaxies


def _note(lines: Iterable[str]) -> None:
    """Note what to know about a result."""
    for line in lines:
        log.info("%s", line)
