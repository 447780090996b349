"""The command line: one verb for each chapter, each a call of one function.

Only this module prints, parses, or chooses an exit status: 0 done, 1 something the
user can fix (one line), 2 wrong usage.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import tyro
from tyro.conf import OmitArgPrefixes, Positional, arg

from dmagnet import __version__
from dmagnet.config import SimulateConfig, SplitName, TrainConfig
from dmagnet.errors import DmagnetError
from dmagnet.recipes import laptop
from dmagnet.recipes import recipe as recipe_named

Out = Annotated[Path, arg(aliases=["-o"])]
MaybeOut = Annotated[Path | None, arg(aliases=["-o"])]
SIMULATE, TRAIN = SimulateConfig(), laptop()
INTERRUPTED = 130  # what shells expect after Ctrl-C


def demo(*, out: Out = Path("demo"), seed: int = 0) -> None:
    """Show the whole story on simulated galaxies, in minutes, with no download.

    Parameters
    ----------
    out : Path
        Folder for the run and its page; a stopped demo goes on there.
    seed : int
        Seed of everything random.
    """
    from dmagnet.demo import demo as run

    with _bars() as bar:
        result = run(out, seed=seed, announce=bar, progress=sys.stderr.isatty())
    _print_scores(result.metrics)
    print(f"page: {out / 'report.html'}")


def fetch(*, out: MaybeOut = None) -> None:
    """Download Galaxy10 DECaLS (2.5 GB), check it, go on after a cut connection.

    Parameters
    ----------
    out : Path
        Folder; without one, $DMAGNET_DATA_DIR or the user's cache.
    """
    from dmagnet.data import data_folder
    from dmagnet.data import fetch as run

    print(run(out or data_folder()))


def prepare(source: Positional[Path], *, out: Out, seed: int = 0) -> None:
    """Repack a Galaxy10 file once, so that training reads it at full speed.

    Parameters
    ----------
    source : Path
        Galaxy10_DECals.h5, or a file like it.
    out : Path
        Folder to make.
    seed : int
        Seed of the split, for files that are not the published one.
    """
    from dmagnet.data import prepare as run

    with _bars() as bar:
        count = bar("Repacking", 17736)
        print(run(source, out, seed=seed, progress=lambda done, _: count(done)))


def audit(source: Positional[Path], *, out: MaybeOut = None) -> None:
    """List galaxies that appear twice, overlap on the sky, or have two labels.

    Parameters
    ----------
    source : Path
        An .h5 file or a table with columns ra, dec and label.
    out : Path
        Table of the pairs to write (.ecsv, .csv, .fits, ...).
    """
    from dmagnet.data import audit as run
    from dmagnet.data import read_positions

    found = run(*read_positions(source))
    for name, count in found.summary().items():
        print(f"{name.replace('_', ' '):18} {count:6}")
    if out:
        found.to_table().write(out, overwrite=True)
        print(out)


def simulate(config: SimulateConfig = SIMULATE, *, out: Out) -> None:
    """Draw labeled galaxies of all ten classes into an .h5 file like Galaxy10's.

    Parameters
    ----------
    config : SimulateConfig
        How many and how large.
    out : Path
        The .h5 file to write.
    """
    from dmagnet.simulate import write_hdf5

    with _bars() as bar:
        progress = bar("Drawing galaxies", config.num)
        print(write_hdf5(out, config, progress=progress))


def train(
    data: Positional[Path],
    config: TrainConfig = TRAIN,
    *,
    out: Out,
    recipe: Literal["smoke", "laptop", "gpu", "demo"] = "laptop",  # noqa: ARG001
    device: Literal["auto", "cpu", "gpu"] = "auto",
    devices: int = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    strict: bool = False,
) -> None:
    """Train DMAGNet; a stopped run goes on when the same command is given again.

    Parameters
    ----------
    data : Path
        Prepared folder, .h5, folder or zip of classes, or table of paths and labels.
    config : TrainConfig
        Knobs; each starts from the recipe's value.
    out : Path
        Folder of the run.
    recipe : str
        Where the knobs start from.
    device : str
        Where to train.
    devices : int
        Devices on each node.
    num_nodes : int
        Nodes.
    strategy : str
        Lightning's name, for example ddp.
    strict : bool
        Refuse unreadable images instead of leaving them out.
    """
    from dmagnet.data import load_galaxies
    from dmagnet.train import fit, history

    galaxies = load_galaxies(
        data, image_size=config.frame_size, strict=strict, seed=config.seed
    )
    _print_notes(galaxies)
    weights = fit(
        galaxies,
        config,
        out,
        accelerator=device,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        progress=sys.stderr.isatty(),
    )
    for row in history(out)[-1:]:
        if "val_accuracy" in row:
            print(
                f"validation: accuracy {row['val_accuracy']:.3f}, "
                f"macro F1 {row['val_macro_f1']:.3f}"
            )
    print(weights)


def evaluate(
    weights: Positional[Path],
    data: Positional[Path],
    *,
    out: Out,
    split: SplitName | None = None,
    views: Literal[1, 8] = 1,
    strict: bool = False,
) -> None:
    """Judge a network on labeled galaxies: metrics.json, figures and a page.

    Parameters
    ----------
    weights : Path
        A .safetensors file or a run folder.
    data : Path
        As for train.
    out : Path
        Folder for the results.
    split : str
        Part to judge on; if not given, all of data that the network was not trained
        on, and the val part of those it was.
    views : int
        Average over 8 flips and quarter turns, or look once.
    strict : bool
        Refuse unreadable images instead of leaving them out.
    """
    from dmagnet.assess import assess, galaxies_to_judge
    from dmagnet.checkpoint import load
    from dmagnet.train import history

    checkpoint = load(weights)
    galaxies = galaxies_to_judge(checkpoint, data, split=split, strict=strict)
    _print_notes(galaxies)
    with _bars() as bar:
        result = assess(
            checkpoint,
            galaxies,
            out,
            views=views,
            history=history(weights) if weights.is_dir() else (),
            progress=bar("Judging", len(galaxies)),
        )
    _print_scores(result.metrics)
    print(f"page: {out / 'report.html'}")


def cite(*, style: Literal["text", "bibtex"] = "text") -> None:
    """Say what to cite: package, data, surveys, software.

    Parameters
    ----------
    style : str
        Plain text or BibTeX.
    """
    from dmagnet.cite import citation

    print(citation(style))


VERBS: dict[str, Callable[..., None]] = {
    verb.__name__: verb
    for verb in (demo, fetch, prepare, audit, simulate, train, evaluate, cite)
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : list of str, optional
        Arguments after the program's name.

    Returns
    -------
    int
        Exit status.
    """
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        _print_overview(sys.stdout if argv else sys.stderr)
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(__version__)
        return 0
    if argv[0] not in VERBS:
        _print_overview(sys.stderr)
        print(f"dmagnet: no verb {argv[0]!r}", file=sys.stderr)
        return 2
    try:
        _run(argv[0], argv[1:])
        sys.stdout.flush()
    except DmagnetError as error:
        print(f"dmagnet: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("\ndmagnet: stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    return 0


def _run(verb: str, argv: list[str]) -> None:
    """Parse what follows the verb, and call it."""
    defaults = {"config": _recipe_in(argv)} if verb == "train" else {}
    tyro.cli(
        _with_defaults(VERBS[verb], defaults),
        args=argv,
        prog=f"dmagnet {verb}",
        config=(OmitArgPrefixes,),
    )


def _recipe_in(argv: list[str]) -> TrainConfig:
    """Find the recipe among the arguments, since other defaults follow from it."""
    for i, word in enumerate(argv):
        if word == "--recipe" and i + 1 < len(argv):
            return recipe_named(argv[i + 1])
        if word.startswith("--recipe="):
            return recipe_named(word.partition("=")[2])
    return laptop()


def _with_defaults(verb: Callable[..., None], defaults: dict[str, Any]) -> Any:
    """Return the verb with other defaults for keyword arguments."""
    import inspect
    from functools import wraps

    @wraps(verb)
    def _call(*args: Any, **kwargs: Any) -> None:
        verb(*args, **kwargs)

    signature = inspect.signature(verb)
    _call.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            p.replace(default=defaults[p.name]) if p.name in defaults else p
            for p in signature.parameters.values()
        ]
    )
    return _call


def _print_overview(stream: TextIO) -> None:
    print(
        "usage: dmagnet VERB ...   (dmagnet VERB --help tells the rest)\n", file=stream
    )
    for name, verb in VERBS.items():
        print(f"  {name:10} {(verb.__doc__ or '').splitlines()[0]}", file=stream)
    print(file=stream)


def _print_notes(galaxies: Any) -> None:
    for note in (*galaxies.notes, *galaxies.skipped):
        print(f"note: {note}", file=sys.stderr)


def _print_scores(metrics: Any) -> None:
    low, high = metrics.intervals["accuracy"]
    print(
        f"n = {metrics.n}: accuracy {metrics.accuracy:.3f} [{low:.3f}, {high:.3f}], "
        f"macro F1 {metrics.macro_f1:.3f}, balanced accuracy "
        f"{metrics.balanced_accuracy:.3f}, ECE {metrics.ece:.3f}"
    )


@contextmanager
def _bars() -> Iterator[Callable[[str, int | None], Callable[[int], None]]]:
    """Show progress where a person watches: name and total in, a counter out."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = [
        TextColumn("{task.description:17}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(
        *columns, disable=not sys.stderr.isatty(), transient=True
    ) as progress:

        def _begin(name: str, total: int | None) -> Callable[[int], None]:
            task = progress.add_task(name, total=total)
            return lambda done: progress.update(task, completed=done)

        yield _begin
