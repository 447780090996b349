"""The verb that says why."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from dmagnet.cli.screen import Out, bars, print_notes
from dmagnet.config.classify_config import CutoutConfig, SourceConfig
from dmagnet.network.bundled import DEFAULT

# As dmagnet.explaining has them, which would load torch; a test compares them.
Method = Literal[
    "evidence",
    "needed",
    "lam",
    "scales",
    "integrated_gradients",
    "grad_cam",
    "occlusion",
    "smoothgrad",
]
USUAL: tuple[Method, ...] = ("evidence", "lam")
SOURCE, CUTOUT = SourceConfig(), CutoutConfig()


def explain(
    images: Positional[tuple[str, ...]],
    source: Annotated[SourceConfig, arg(name="")] = SOURCE,
    cutout: CutoutConfig = CUTOUT,
    *,
    out: Out,
    weights: str = DEFAULT,
    target: str | None = None,
    against: str | None = None,
    methods: tuple[Method, ...] = USUAL,
    cache: Path | None = None,
) -> None:
    """Show which places speak for the class of each galaxy.

    Parameters
    ----------
    images : tuple of str
        As for classify: files, folders, globs, zips, stacks, tables.
    source : SourceConfig
        What the inputs do not say themselves.
    cutout : CutoutConfig
        Where images of positions come from.
    out : Path
        Folder for pictures, FITS files with the WCS of the view, and explain.json.
    weights : str
        Run folder, .safetensors file, or s or xs of the package.
    target : str
        Class to explain, by name or number; the likeliest if not given.
    against : str
        Explain why that class rather than this.
    methods : tuple of str
        How: evidence adds up to the score, needed searches what the class cannot do
        without; the last four need captum.
    cache : Path
        Folder of the cut-outs; without one, the user's cache.
    """
    from dmagnet.explaining.explanations import explain as run
    from dmagnet.pictures.inputs.listing import refuse_absent

    refuse_absent(images)
    notes: list[str] = []
    with bars() as bar:
        counters: dict[str, Callable[[int], None]] = {
            name: bar(name.replace("_", " "), None) for name in methods
        }
        found = run(
            images,
            weights=weights,
            methods=methods,
            target=target,
            against=against,
            config=source,
            cutouts=cutout,
            cache=cache,
            out=out,
            progress=lambda name, done: counters[name](done),
            tell=notes.append,
        )
    print_notes(notes)
    for each in found:
        sure = each.probabilities[each.target]
        print(f"{each.item.id}: {each.question} ({100 * sure:.0f} %)")
    print(out / "explain.json")
