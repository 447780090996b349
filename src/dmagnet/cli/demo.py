"""The whole story on simulated galaxies: draw, train, dream, judge, show."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from dmagnet import __version__
from dmagnet.classes import CLASS_NAMES, CLASSES
from dmagnet.config.checks import to_dict
from dmagnet.config.dream_config import DreamConfig
from dmagnet.config.recipes import as_trained
from dmagnet.config.recipes import demo as demo_recipe
from dmagnet.config.train_config import SimulateConfig
from dmagnet.dreaming.gallery import write_dreams
from dmagnet.dreaming.request import make_request
from dmagnet.explaining.explanations import explain
from dmagnet.galaxies.galaxies import Galaxies
from dmagnet.network.bundled import load as load_weights
from dmagnet.network.checkpoint import load
from dmagnet.pictures.standard import standardize
from dmagnet.reporting.assess import Assessment, assess
from dmagnet.simulator.datasets import simulate
from dmagnet.storage.disk import beside
from dmagnet.storage.environment import Announce
from dmagnet.training.fit import fit
from dmagnet.training.run_folder import history

NUM_TRAIN = 2000
NUM_HELD_OUT = 1000
SHOWN = (1, 5, 8)  # classes that differ: Merging, Barred Spiral, Edge-on without Bulge
LAYERS = ("stage1", "stage2", "stage3", "stage4", "lam")


def simulated_galaxies(
    num_train: int,
    num_held_out: int,
    *,
    image_size: int,
    seed: int = 0,
    field: float = 1.0,
    radii: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Galaxies:
    """Draw a labeled set, in memory."""
    config = SimulateConfig(
        num=num_train + num_held_out, image_size=image_size, field=field, seed=seed
    )
    if radii is not None:
        config = replace(config, image_size=2 * image_size, field=1.0)
    images, labels = simulate(config, progress=progress)
    if radii is not None:
        images = np.stack([standardize(image, image_size, radii) for image in images])
    unknown = np.full(len(labels), np.nan)
    return Galaxies(
        images=images,
        labels=labels,
        class_names=CLASS_NAMES,
        ids=np.array([f"simulated:{seed}:{i}" for i in range(len(labels))]),
        ra=unknown,
        dec=unknown,
        redshift=unknown,
        pxscale=unknown,
        split=(np.arange(len(labels)) >= num_train).astype(np.int8),
        source="simulated galaxies",
        data_hash=f"simulated {__version__} {to_dict(config)} {radii}",
        notes=(f"{num_held_out} simulated galaxies that the network never saw",),
    )


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
    galaxies = simulated_galaxies(
        num_train,
        num_held_out,
        image_size=config.image_size,
        seed=seed,
        field=config.field,
        radii=config.radii,
        progress=announce("Drawing galaxies", num_train + num_held_out)
        if announce
        else None,
    )
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
        next_commands=(
            ("dmagnet classify IMAGES... -o TABLE", "classify your own galaxies"),
            (
                f"dmagnet page {out / 'galaxies'} -o DIR",
                "see one page for each of three galaxies",
            ),
            (
                "dmagnet fetch",
                "download Galaxy10 DECaLS, 17,736 real galaxies (2.5 GB)",
            ),
            (
                "dmagnet train DATA -o RUN",
                "train on real or your own labeled galaxies",
            ),
            (
                "dmagnet evaluate RUN DATA -o DIR",
                "judge a network on labeled galaxies",
            ),
            ("dmagnet cite", "what to cite"),
        ),
        progress=announce("Judging", num_held_out) if announce else None,
    )


def _look_closer(out: Path, seed: int, announce: Announce | None) -> None:
    """Dream and explain some galaxies that lie in the folder as files, to play with."""
    folder = out / "galaxies"
    folder.mkdir(parents=True, exist_ok=True)
    images, _ = simulate(SimulateConfig(num=len(CLASSES), seed=seed + 1))
    files = []
    for number in SHOWN:
        files.append(folder / f"{CLASSES[number].slug}.png")
        with beside(files[-1]) as part:
            Image.fromarray(images[number]).save(part, format="PNG")
    quick = DreamConfig(octaves=2, views=2)  # a quarter of the time
    request = make_request(files, out, quick, layers=LAYERS)
    write_dreams(request, out / "dreams", announce=announce)
    count = announce("Explaining", len(files)) if announce else None
    explain(files, weights=out, out=out / "why")
    if count:
        count(len(files))
