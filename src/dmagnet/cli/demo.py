"""The whole story on simulated galaxies: draw, train, dream, judge, show."""

from dataclasses import replace
from pathlib import Path

from PIL import Image

from dmagnet import __version__
from dmagnet.classes import CLASSES
from dmagnet.config import DreamConfig, SimulateConfig, to_dict
from dmagnet.config.recipes import as_trained
from dmagnet.config.recipes import demo as demo_recipe
from dmagnet.dreaming import make_request, write_dreams
from dmagnet.dreaming.sheets import write_png
from dmagnet.explaining.explanations import explain
from dmagnet.galaxies.simulated import as_galaxies, draw_views
from dmagnet.network.bundled import load as load_weights
from dmagnet.network.checkpoint import load
from dmagnet.reporting.assess import Assessment, assess
from dmagnet.simulator.datasets import simulate
from dmagnet.storage.environment import Announce, counter
from dmagnet.training import fit, history

NUM_TRAIN = 2000
NUM_HELD_OUT = 1000
SHOWN = (1, 5, 8)  # classes that differ: Merging, Barred Spiral, Edge-on without Bulge
NEXT = {  # commands to go on with
    "dmagnet classify IMAGES... -o TABLE": "classify your own galaxies",
    "dmagnet page {} -o DIR": "see one page for each of three galaxies",
    "dmagnet fetch": "download Galaxy10 DECaLS, 17,736 real galaxies (2.5 GB)",
    "dmagnet train DATA -o RUN": "train on real or your own labeled galaxies",
    "dmagnet evaluate RUN DATA -o DIR": "judge a network on labeled galaxies",
    "dmagnet cite": "what to cite",
}
LAYERS = ("stage1", "stage2", "stage3", "stage4", "lam")


def demo(
    out: str | Path,
    *,
    num_train: int = NUM_TRAIN,
    num_held_out: int = NUM_HELD_OUT,
    seed: int = 0,
    announce: Announce | None = None,
) -> Assessment:
    """Simulate galaxies, go on training with them, dream, judge on others, and report.

    Parameters
    ----------
    out : path
        Folder for the run and the page; a stopped demo goes on there.
    num_train : int
        Galaxies to train on.
    num_held_out : int
        Galaxies to judge on.
    seed : int
        Of everything random.
    announce : callable, optional
        Called at the start of each stage with its name and the number of its steps;
        returns what to call with the number done.

    Returns
    -------
    Assessment
        Scores on the held-out galaxies; ``report.html`` is in ``out``.

    Raises
    ------
    CheckpointError
        If the folder holds another run.
    DataError
        If it holds dreams of another run.
    """
    out = Path(out)
    parent = load_weights("xs")
    config = replace(as_trained(demo_recipe(), parent.config), seed=seed)
    drawn = SimulateConfig(
        num=num_train + num_held_out, image_size=config.image_size, field=config.field,
        seed=seed,
    )  # fmt: skip
    count = counter(announce, "Drawing galaxies", drawn.num)
    galaxies = as_galaxies(
        draw_views(drawn, config.radii, count), seed,
        f"simulated {__version__} {to_dict(drawn)} {config.radii}",
        num_train=num_train,
        notes=(f"{num_held_out} simulated galaxies that the network never saw",),
    )  # fmt: skip
    weights = fit(
        galaxies, config, out, start_from=parent, accelerator="cpu", progress=False,
        announce=announce,
    )  # fmt: skip
    _look_closer(out, seed, announce)
    return assess(
        load(weights),
        galaxies.subset("val"),
        out,
        history=history(out),
        title="DMAGNet on simulated galaxies",
        summary=f"The smaller network of the package went on for {config.epochs} "
        f"epochs on {num_train:,} simulated galaxies of ten classes and was judged on "
        f"{num_held_out:,} others that it never saw.",
        next_commands=[
            (c.format(out / "galaxies"), words) for c, words in NEXT.items()
        ],
        progress=counter(announce, "Judging", num_held_out),
    )


def _look_closer(out: Path, seed: int, announce: Announce | None) -> None:
    """Dream and explain some galaxies that lie in the folder as files, to play with."""
    folder = out / "galaxies"
    folder.mkdir(parents=True, exist_ok=True)
    images, _ = simulate(SimulateConfig(num=len(CLASSES), seed=seed + 1))
    files = []
    for number in SHOWN:
        files.append(folder / f"{CLASSES[number].slug}.png")
        write_png(Image.fromarray(images[number]), files[-1])
    quick = DreamConfig(octaves=2, views=2)  # a quarter of the time
    request = make_request(files, out, quick, layers=LAYERS)
    write_dreams(request, out / "dreams", announce=announce)
    count = counter(announce, "Explaining", len(files))
    explain(files, weights=out, out=out / "why")
    count(len(files))
