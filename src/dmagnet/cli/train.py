"""The verbs from galaxies to a trained network."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from dmagnet.cli.screen import LABELS, MaybeOut, Out, bars, print_notes, print_scores
from dmagnet.config.classify_config import ColumnsConfig, FilesConfig, LabelsConfig
from dmagnet.config.recipes import laptop
from dmagnet.config.train_config import SimulateConfig, TrainConfig


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Training on several devices.

    Attributes
    ----------
    devices : int
        Devices on each node.
    num_nodes : int
        Nodes.
    strategy : str
        Lightning's name, for example ddp.
    """

    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"


NODES = Nodes()
COLUMNS, FILES = ColumnsConfig(), FilesConfig()
SIMULATE, TRAIN = SimulateConfig(), laptop()


def demo(*, out: Out = Path("demo"), seed: int = 0) -> None:
    """Show the whole story on simulated galaxies, in minutes, with no download.

    Parameters
    ----------
    out : Path
        Folder for the run and its page; a stopped demo goes on there.
    seed : int
        Seed of everything random.
    """
    with bars() as bar:
        loaded = bar("Starting", 1)
        from dmagnet.cli.demo import demo as run  # takes seconds

        loaded(1)
        result = run(out, seed=seed, announce=bar)
    print_scores(result.metrics)
    print(f"page: {out / 'report.html'}")


def fetch(*, out: MaybeOut = None) -> None:
    """Download Galaxy10 DECaLS (2.5 GB), check it, go on after a cut connection.

    Parameters
    ----------
    out : Path
        Folder; without one, $DMAGNET_DATA_DIR or the user's cache.
    """
    from dmagnet.galaxies.download import fetch as run
    from dmagnet.storage.disk import data_folder

    print(run(out or data_folder()))


def prepare(
    source: Positional[Path],
    files: Annotated[FilesConfig, arg(name="")] = FILES,
    *,
    out: Out,
    seed: int = 0,
    parquet: bool = False,
) -> None:
    """Repack a Galaxy10 file once, so that training reads it at full speed.

    Parameters
    ----------
    source : Path
        Galaxy10_DECals.h5, or a file like it; with --parquet, all that train takes.
    files : FilesConfig
        How to read image files and tables, with --parquet.
    out : Path
        Folder to make.
    seed : int
        Seed of the split, for files that are not the published one.
    parquet : bool
        Write images and labels as Parquet files, as Hugging Face's datasets and hub
        know them.
    """
    if parquet:
        from dmagnet.galaxies import load_galaxies, write_parquet

        galaxies = load_galaxies(source, seed=seed, source=files)
        print_notes((*galaxies.notes, *galaxies.skipped))
        print(write_parquet(galaxies, out))
        return
    from dmagnet.galaxies.repack import prepare as run

    with bars() as bar:
        folder = run(source, out, seed=seed, progress=bar)
    print(folder)


def audit(
    source: Positional[Path],
    columns: Annotated[ColumnsConfig, arg(name="")] = COLUMNS,
    *,
    out: MaybeOut = None,
) -> None:
    """List galaxies that appear twice, overlap on the sky, or have two labels.

    Parameters
    ----------
    source : Path
        An .h5 file or a table with columns ra, dec and label.
    columns : ColumnsConfig
        What its columns are called.
    out : Path
        Table of the pairs to write (.ecsv, .csv, .fits, ...).
    """
    from dmagnet.galaxies.same_galaxy import audit_file

    found = audit_file(source, out, columns=columns)
    for name, count in found.summary().items():
        print(f"{name.replace('_', ' '):18} {count:6}")
    if out:
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
    from dmagnet.simulator.datasets import write_hdf5

    with bars() as bar:
        progress = bar("Drawing galaxies", config.num)
        path = write_hdf5(out, config, progress=progress)
    print(path)


def train(
    data: Positional[Path],
    labels: Annotated[LabelsConfig, arg(name="")] = LABELS,
    config: TrainConfig = TRAIN,
    cluster: Nodes = NODES,
    *,
    out: Out,
    start: Annotated[str | None, arg(name="from")] = None,
    recipe: Literal["smoke", "laptop", "gpu", "demo", "finetune"] = "laptop",  # noqa: ARG001
    device: Literal["auto", "cpu", "gpu"] = "auto",
) -> None:
    """Train DMAGNet, anew or from weights; the same command goes on with a stopped run.

    With more epochs, it goes on with a finished one.

    Parameters
    ----------
    data : Path
        Prepared folder, .h5, folder, zip or tar of classes, pattern of one file a band,
        or table of paths and labels or votes.
    labels : LabelsConfig
        How to read it.
    config : TrainConfig
        Knobs; each starts from the recipe's value.
    cluster : Nodes
        More devices than one.
    out : Path
        Folder of the run.
    start : str
        Weights to go on from: bundled, s, xs, a run folder or a .safetensors file;
        network, image size, field and radii are theirs, and the recipe is finetune.
    recipe : str
        Where the knobs start from.
    device : str
        Where to train.
    """
    from dmagnet.cli import verbs

    with bars() as bar:
        run = verbs.train(
            data, out, config=config, start=start, device=device, announce=bar,
            labels=labels, **vars(cluster),
        )  # fmt: skip
    for row in run.history[-1:]:
        if "val_accuracy" in row:
            print(
                f"validation: accuracy {row['val_accuracy']:.3f}, "
                f"macro F1 {row['val_macro_f1']:.3f}"
            )
    print_notes([f"next: dmagnet report {shlex.quote(str(out))}"], "")
    print(run.weights)


def cite(*, style: Literal["text", "bibtex"] = "text") -> None:
    """Print what to cite: package, data, surveys, software.

    Parameters
    ----------
    style : str
        Plain text or BibTeX.
    """
    from dmagnet.cli.cite import citation

    print(citation(style))
