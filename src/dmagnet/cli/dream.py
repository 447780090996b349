"""The verbs that ask what the network looks for."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, Suppress, arg

from dmagnet.cli.screen import Out, bars, print_notes
from dmagnet.config.checks import Between
from dmagnet.config.classify_config import FilesConfig
from dmagnet.config.dream_config import (
    DreamConfig,
    GalaxyConfig,
    GalleryConfig,
    MeasureConfig,
    RedreamConfig,
)
from dmagnet.config.train_config import SplitName
from dmagnet.errors import ConfigError

DREAM, REDREAM, MEASURE = DreamConfig(), RedreamConfig(), MeasureConfig()
GALAXY, FILES = GalaxyConfig(), FilesConfig()
ATTENTION = ("lam",)
LAYERS = ("stem", "stage1", "stage2", "stage3", "stage4", *ATTENTION)

Images = Positional[
    Annotated[tuple[Path, ...], arg(metavar="IMAGE...", help_behavior_hint="")]
]


@dataclass(frozen=True, kw_only=True)
class DreamFlags(GalleryConfig):
    """What to dream, and on what."""

    layers: tuple[str, ...] = LAYERS
    zoom: Suppress[int] = 0
    plain: Annotated[  # the door sets its defaults
        FlagCreatePairsOff[bool],
        arg(help="The Deep Dream of 2015: one gradient, even steps, in pixels."),
    ] = False


@dataclass(frozen=True, kw_only=True)
class RedreamFlags(GalleryConfig):
    """What to dream again and again, and on what."""

    layers: tuple[str, ...] = ATTENTION
    classes: Annotated[tuple[str, ...], arg(aliases=["--class-name"])] = ()


@dataclass(frozen=True, kw_only=True)
class GalaxyFlags(GalaxyConfig):
    """Galaxies to dream without images, with --basis galaxy and --classes or --layers.

    Attributes
    ----------
    judge : str, optional
        Weights that say what they see; s judges xs and all others xs if not given.
    """

    judge: str | None = None
    steps: Annotated[int, Between(0, 100_000), arg(name="galaxy-steps")] = GALAXY.steps
    nights: Suppress[int] = GALAXY.nights
    lr: Suppress[float] = GALAXY.lr
    seed: Suppress[int] = GALAXY.seed


DREAMS, REDREAMS, GALAXIES = DreamFlags(), RedreamFlags(), GalaxyFlags()


def dream(
    images: Images = (),
    gallery: Annotated[DreamFlags, arg(name="")] = DREAMS,
    config: DreamConfig = DREAM,
    galaxies: GalaxyFlags = GALAXIES,
    *,
    out: Out,
    weights: str | None = None,
) -> None:
    """Show what each layer, or each class, sees in galaxies.

    Parameters
    ----------
    images : tuple of Path
        FITS, JPEG, PNG..., folders of them, .h5 files like Galaxy10's with --index; or
        one dream.json, to dream it again. None for --basis maco, which draws one.
    gallery : DreamFlags
        What to dream, and on what.
    config : DreamConfig
        How to dream.
    galaxies : GalaxyFlags
        How to dream galaxies.
    out : Path
        New folder; a stopped run goes on there when the same command is given again.
    weights : str
        Run folder, .safetensors file, or s or xs of the package; s if not given.
    """
    if gallery.classes and gallery.layers is LAYERS:  # nobody asked for layers
        gallery = replace(gallery, layers=())
    if config.basis == "galaxy":
        if images:
            raise ConfigError(
                f"--basis galaxy draws its own galaxies; leave out {images[0]}"
            )
        usual = replace(
            DREAMS,
            layers=gallery.layers, classes=gallery.classes, device=gallery.device,
        )  # fmt: skip
        if gallery != usual or replace(config, seed=0) != replace(
            DREAM, basis="galaxy"
        ):
            raise ConfigError(
                "--basis galaxy takes --classes, --layers, --seed, --device, --starts, "
                "--kinds, --parameters, --galaxy-steps and --judge, nothing of images"
            )
        galaxies = replace(galaxies, seed=config.seed)
        _write_galaxies(gallery, galaxies, out=out, weights=weights)
        return
    if galaxies != GALAXIES:
        raise ConfigError("--judge, --starts and the like are for --basis galaxy")
    _write(images, config, gallery, out=out, weights=weights, usual=DREAMS)


def redream(
    images: Images,
    gallery: Annotated[RedreamFlags, arg(name="")] = REDREAMS,
    config: RedreamConfig = REDREAM,
    *,
    out: Out,
    weights: str | None = None,
) -> None:
    """Dream again and again at several resolutions, without blurring the galaxy.

    Parameters
    ----------
    images : tuple of Path
        As for dream; or one redream.json, to dream it again.
    gallery : RedreamFlags
        What to dream, and on what.
    config : RedreamConfig
        The schedule, and how to dream.
    out : Path
        New folder; a stopped run goes on there when the same command is given again.
    weights : str
        Run folder, .safetensors file, or s or xs of the package; s if not given.
    """
    if gallery.classes and gallery.layers is ATTENTION:  # nobody asked for layers
        gallery = replace(gallery, layers=())
    _write(images, config, gallery, out=out, weights=weights, usual=REDREAMS)


def measure(
    weights: Positional[Path],
    data: Positional[Path],
    config: MeasureConfig = MEASURE,
    files: Annotated[FilesConfig, arg(name="")] = FILES,
    *,
    out: Out,
    split: SplitName | None = None,
) -> None:
    """Measure the dreams of every depth, and test what is claimed of them.

    Parameters
    ----------
    weights : Path
        A run folder, a .safetensors file, or s or xs.
    data : Path
        Labeled galaxies, as for train.
    config : MeasureConfig
        How many dreams.
    files : FilesConfig
        How to read image files and tables.
    out : Path
        Folder; a stopped study goes on there when the same command is given again.
    split : str
        Part to measure on; if not given, all of data that the network was not trained
        on, and the val part of those it was.
    """
    from dmagnet.measuring.study_folder import measure as run
    from dmagnet.network.bundled import load
    from dmagnet.reporting.assess import galaxies_to_judge

    checkpoint = load(weights)
    galaxies = galaxies_to_judge(
        checkpoint, data, split=split, include_training=split is not None, source=files
    )
    print_notes((*galaxies.notes, *galaxies.skipped))
    with bars() as bar:
        study = run(checkpoint, galaxies, out, config, count=bar)
    for result in study.verdicts:
        print(f"{result.hypothesis.name:32} {result.verdict}")
    print(out / "measure.json")


def _write_galaxies(
    gallery: DreamFlags, galaxies: GalaxyFlags, *, out: Path, weights: str | None
) -> None:
    """Open what is asked for, dream it in galaxies, and say where it is."""
    from dmagnet.dreaming.galaxy_folder import write_galaxies
    from dmagnet.dreaming.request import ALL, open_weights
    from dmagnet.dreaming.targets import class_target, layer_target, second_opinion
    from dmagnet.network.bundled import path_of

    network = open_weights(path_of(weights or "s"), gallery.device)
    judge = second_opinion(network, galaxies.judge)
    classes = network.class_names if ALL in gallery.classes else gallery.classes
    targets = [
        *(layer_target(network, name) for name in gallery.layers),
        *(class_target(network, name) for name in classes),
    ]
    if not targets:
        raise ConfigError("expected one or more --layers or --classes, got none")
    own = {each.name: getattr(galaxies, each.name) for each in fields(GalaxyConfig)}
    with bars() as bar:
        files = write_galaxies(
            network, targets, out, GalaxyConfig(**own),
            judge=judge and judge[1], announce=bar,
        )  # fmt: skip
    for file in files:
        print(file)


def _write(
    images: tuple[Path, ...],
    config: DreamConfig | RedreamConfig,
    gallery: GalleryConfig,
    *,
    out: Path,
    weights: str | None,
    usual: GalleryConfig,
) -> None:
    """Open what is asked for, dream it, and say where it is."""
    from dmagnet.dreaming import make_request, read_request, write_dreams

    device = gallery.device
    if [path.suffix for path in images] == [".json"]:
        given = gallery != replace(usual, device=device)
        if given or config not in (DREAM, REDREAM):
            raise ConfigError(
                f"{images[0]} fixes every setting; give only -o, --weights and --device"
            )
        request = read_request(images[0], weights=weights, device=device)
    else:
        request = make_request(images, weights, config, gallery)
    with bars() as bar:
        folder = write_dreams(request, out, announce=bar)
    print_notes(folder.notes)
    for name in (*folder.sheets, request.record_name):
        print(out / name)
