"""The pictures of a whole run: sheets of dreams and details, curves of passes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dmagnet.dreaming.entries import Folder
from dmagnet.dreaming.request import REDREAM_FILE
from dmagnet.dreaming.sheets import SheetRow, pages, to_size
from dmagnet.dreaming.targets import Target
from dmagnet.figures.plots import redream_passes
from dmagnet.figures.saving import save
from dmagnet.storage.disk import beside

Bytes = NDArray[np.uint8]
Entry = dict[str, Any]

GALAXY = "galaxy"
DETAILS = "what the dream added: orange brighter, blue darker, each on its own scale"


def write_overview(folder: Folder) -> None:
    """Write the sheets of all dreams that there are."""
    folder.sheets = []
    if not folder.entries:
        return
    request, targets = folder.request, folder.request.targets
    if request.record_name == REDREAM_FILE:
        _write_redream(folder, targets[0])
        return
    layers, classes = targets[: len(request.layers)], targets[len(request.layers) :]
    guided = ", guided" if request.guide else ""
    if layers:
        _write_targets(folder, layers, "sheet", f"Deep Dream by layer{guided}")
    if classes:
        _write_targets(folder, classes, "classes", "Deep Dream by class")


def _write_targets(
    folder: Folder, targets: Sequence[Target], name: str, title: str
) -> None:
    """Write one sheet of dreams and one of details, a target a column."""
    dreams, details = [], []
    for source in folder.request.sources:
        found = [_entry(folder, source.name, target) for target in targets]
        galaxy = _any_picture(folder, found, "galaxy")
        seen = [_picture(folder, entry, "dream") for entry in found]
        added = [_picture(folder, entry, "detail") for entry in found]
        dreams.append(SheetRow(source.name, [galaxy, *seen]))
        details.append(SheetRow(source.name, [galaxy, *added]))
    columns = [GALAXY, *(target.name for target in targets)]
    _write_pages(folder, dreams, columns, name, title=title)
    _write_pages(
        folder, details, columns, f"{name}_details", title=title, footer=DETAILS
    )


def _write_redream(folder: Folder, target: Target) -> None:
    """Write a sheet with a pass a column, and the curves."""
    found = [
        entry
        for source in folder.request.sources
        if (entry := _entry(folder, source.name, target))
    ]
    for sides in dict.fromkeys(_sides(entry) for entry in found):
        same = [entry for entry in found if _sides(entry) == sides]
        kinds = [
            "galaxy",
            *(f"pass{n}" for n in range(1, len(sides))),
            "dream",
            "detail",
        ]
        rows = [
            SheetRow(entry["image"], _passes(folder, entry, kinds)) for entry in same
        ]
        passes = [f"pass {n}: {side} px" for n, side in enumerate(sides, start=1)]
        columns = [GALAXY, *passes, "what it added"]
        name = "" if sides == _sides(found[0]) else f"_{sides[-1]}px"
        title = f"Multi-resolution re-dream of {target.name}"
        _write_pages(folder, rows, columns, f"sheet{name}", title=title)
        figure = redream_passes(
            sides,
            np.array([_scores(entry) for entry in same]).T,
            np.array([[_float(p["residual"]) for p in e["passes"]] for e in same]).T,
            [entry["image"] for entry in same],
        )
        save(figure, folder.path / f"passes{name}.png")
        folder.sheets.append(f"passes{name}.png")


def _passes(folder: Folder, entry: Entry, kinds: Sequence[str]) -> list[Bytes]:
    """Read the pictures of the passes, all as large as the galaxy."""
    size = tuple(entry["size"])
    found = (_picture(folder, entry, kind) for kind in kinds)
    return [to_size(picture, size) for picture in found if picture is not None]


def _sides(entry: Entry) -> tuple[int, ...]:
    return tuple(one["side"] for one in entry["passes"])


def _scores(entry: Entry) -> list[float]:
    return [entry["score"]["galaxy"], *(one["score"] for one in entry["passes"])]


def _float(value: float | None) -> float:
    return np.nan if value is None else value


def _write_pages(
    folder: Folder,
    rows: Sequence[SheetRow],
    columns: Sequence[str],
    name: str,
    *,
    title: str,
    footer: str = "",
) -> None:
    rows = [row for row in rows if any(p is not None for p in row.pictures)]
    footer = "; ".join(filter(None, (footer, _settings(folder))))
    for number, page in enumerate(pages(rows, columns, title, footer), start=1):
        file = f"{name}.png" if number == 1 else f"{name}-{number}.png"
        with beside(folder.path / file) as part:
            page.save(part, format="PNG")
        folder.sheets.append(file)


def _settings(folder: Folder) -> str:
    """Say in short how it was dreamed."""
    request, inner = folder.request, folder.request.inner
    return (
        f"{inner.steps} steps an octave, {inner.normalize}, seed {inner.seed}; "
        f"weights {request.network.weights_hash[:8]}"
    )


def _entry(folder: Folder, image: str, target: Target) -> Entry | None:
    for entry in folder.entries:
        if (entry["image"], entry["target"]) == (image, target.slug):
            return entry
    return None


def _any_picture(
    folder: Folder, entries: Sequence[Entry | None], kind: str
) -> Bytes | None:
    return next((_picture(folder, entry, kind) for entry in entries if entry), None)


def _picture(folder: Folder, entry: Entry | None, kind: str) -> Bytes | None:
    if entry is None:
        return None
    with Image.open(folder.path / entry["files"][kind]) as image:
        return np.asarray(image.convert("RGB"))
