"""The verbs that ask what the network looks for."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, arg

from dmagnet.cli.screen import Out, bars, print_notes
from dmagnet.config.dream_config import DreamConfig, MeasureConfig, RedreamConfig
from dmagnet.config.train_config import SplitName
from dmagnet.errors import ConfigError

DREAM, REDREAM, MEASURE = DreamConfig(), RedreamConfig(), MeasureConfig()
LAYER = "lam"
LAYERS = ("stem", "stage1", "stage2", "stage3", "stage4", LAYER)

Images = Positional[tuple[Path, ...]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """On what to dream, and with what.

    Attributes
    ----------
    weights : str | None
        Run folder, .safetensors file, or s or xs of the package; s if not given.
    guide : Path | None
        Let the layers take after this image.
    index : tuple[int, ...]
        Rows of .h5 files.
    image_size : int | None
        Bring the central square of each image to this side, in px; otherwise images
        are dreamed at their own size.
    animate : bool
        Make GIF and MP4 films of the steps.
    device : Literal["auto", "cpu", "gpu"]
        Where to dream.
    """

    weights: str | None = None
    guide: Path | None = None
    index: tuple[int, ...] = ()
    image_size: int | None = None
    animate: bool = False
    device: Literal["auto", "cpu", "gpu"] = "auto"


ASKED = Asked()


def dream(
    images: Images,
    asked: Annotated[Asked, arg(name="")] = ASKED,
    config: DreamConfig = DREAM,
    *,
    out: Out,
    layers: tuple[str, ...] = LAYERS,
    classes: tuple[str, ...] = (),
) -> None:
    """Show what each layer, or each class, sees in galaxies.

    Parameters
    ----------
    images : tuple of Path
        FITS, JPEG, PNG..., folders of them, .h5 files like Galaxy10's with --index; or
        one dream.json, to dream it again.
    asked : Asked
        On what, and with what.
    config : DreamConfig
        How to dream.
    out : Path
        New folder; a stopped run goes on there when the same command is given again.
    layers : tuple of str
        Layers to dream; a wrong name lists the right ones.
    classes : tuple of str
        Classes to dream, by name or number, or all.
    """
    _write(images, config, asked, out=out, layers=layers, classes=classes)


def redream(
    images: Images,
    asked: Annotated[Asked, arg(name="")] = ASKED,
    config: RedreamConfig = REDREAM,
    *,
    out: Out,
    layers: tuple[str, ...] = (LAYER,),
    class_name: str | None = None,
    zoom: int = 0,
) -> None:
    """Dream again and again at several resolutions, without blurring the galaxy.

    Parameters
    ----------
    images : tuple of Path
        As for dream; or one redream.json, to dream it again.
    asked : Asked
        On what, and with what.
    config : RedreamConfig
        The schedule, and how to dream.
    out : Path
        New folder; a stopped run goes on there when the same command is given again.
    layers : tuple of str
        Layers to dream; a wrong name lists the right ones.
    class_name : str
        Dream this class instead.
    zoom : int
        Make also a film of this many frames that zooms into its own dream.
    """
    classes = (class_name,) if class_name else ()
    layers = () if class_name else layers
    _write(images, config, asked, out=out, layers=layers, classes=classes, zoom=zoom)


def measure(
    weights: Positional[Path],
    data: Positional[Path],
    config: MeasureConfig = MEASURE,
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
        checkpoint, data, split=split, include_training=split is not None
    )
    print_notes((*galaxies.notes, *galaxies.skipped))
    with bars() as bar:
        study = run(checkpoint, galaxies, out, config, count=bar)
    for result in study.verdicts:
        print(f"{result.hypothesis.name:32} {result.verdict}")
    print(out / "measure.json")


def _write(
    images: tuple[Path, ...],
    config: DreamConfig | RedreamConfig,
    asked: Asked,
    *,
    out: Path,
    **targets: Any,
) -> None:
    """Open what is asked for, dream it, and say where it is."""
    from dmagnet.dreaming.gallery import write_dreams
    from dmagnet.dreaming.request import make_request, read_request

    targets |= asdict(asked)
    weights, where = targets.pop("weights"), _device(targets.pop("device"))
    if [path.suffix for path in images] == [".json"]:
        given = [v for v in targets.values() if v and v not in (LAYERS, (LAYER,))]
        if given or config not in (DREAM, REDREAM):
            raise ConfigError(
                f"{images[0]} fixes every setting; give only -o, --weights and --device"
            )
        request = read_request(images[0], weights=weights, device=where)
    else:
        request = make_request(images, weights, config, device=where, **targets)
    with bars() as bar:
        folder = write_dreams(request, out, announce=bar)
    print_notes(folder.notes)
    for name in (*folder.sheets, request.record_name):
        print(out / name)


def _device(wanted: str) -> str:
    from torch.cuda import is_available

    if wanted == "gpu" and not is_available():
        raise ConfigError("device: expected a CUDA GPU, found none; use --device cpu")
    return "cpu" if wanted == "cpu" or not is_available() else "cuda"
