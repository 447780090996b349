"""Dream many images and targets into a folder, and stop or go on where one likes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dmagnet.config.dream_config import DreamConfig, RedreamConfig
from dmagnet.dreaming.entries import Entry, Folder, open_folder, write_dream
from dmagnet.dreaming.maco import MACO_STEPS
from dmagnet.dreaming.octaves import BATCH_PIXELS, DreamFrame
from dmagnet.dreaming.redream import default_schedule, pass_frames, zoomed
from dmagnet.dreaming.request import REDREAM_FILE, Request
from dmagnet.dreaming.runs import dream_target
from dmagnet.dreaming.sheets import (
    NO_MP4,
    Film,
    SheetRow,
    can_write_mp4,
    to_bytes,
    to_size,
    write_pages,
)
from dmagnet.dreaming.sources import Source
from dmagnet.dreaming.targets import Target, to_tensor
from dmagnet.errors import ConfigError, DataError, DmagnetError
from dmagnet.figures.plots import redream_passes
from dmagnet.figures.saving import save
from dmagnet.storage.arrays import Pixels
from dmagnet.storage.disk import claimed
from dmagnet.storage.environment import Announce, counter

GALAXY = "galaxy"
DETAILS = "what the dream added: orange brighter, blue darker, each on its own scale"
BATCH = {"cpu": 8, "cuda": 64}  # images at a time


@dataclass(frozen=True, eq=False)
class DreamTask:
    """One target on images of one size."""

    target: Target
    sources: tuple[Source, ...]
    steps: int


def write_dreams(
    request: Request, out: Path, *, announce: Announce | None = None
) -> Folder:
    """Dream all that a request asks for into a folder.

    Parameters
    ----------
    request : Request
        Images, network, targets and settings.
    out : Path
        New or empty, or left by the same request, which then goes on.
    announce : callable, optional
        Called with a name and the number of steps; returns what to call with the
        number of steps done.

    Returns
    -------
    Folder
        Where all is: contact sheets, a folder for each image, and the record
        (``dream.json`` or ``redream.json``) from which it can be dreamed again.

    Raises
    ------
    DataError
        If the folder holds something else, or the disk refuses.
    ConfigError
        If a target cannot be dreamed on an image.
    KeyboardInterrupt
        As it came; what is done is written, and the record says ``stopped``.
    """
    with claimed(out):
        folder = open_folder(out, request)
        tasks = list(plan(request))
        folder.notes = _notes(request)
        total = sum(task.steps for task in tasks)
        count = counter(announce, "Dreaming", total)
        done = 0
        folder.save()
        try:
            for task in tasks:
                if not all(folder.find(s.name, task.target) for s in task.sources):
                    _do(task, folder, done, count)
                done += task.steps
                count(done)
            folder.status = "finished"
        except (KeyboardInterrupt, DmagnetError):
            folder.status = "stopped"
            raise
        finally:
            if folder.status != "running":
                write_overview(folder)
                folder.save()
        return folder


def plan(request: Request) -> Iterator[DreamTask]:
    """Lay out the work, and refuse early what could not be done."""
    most = BATCH.get(request.network.device.type, 1)

    def _size(source: Source) -> tuple[int, ...]:
        return source.cutout.rgb.shape[:2]

    for size, same in groupby(sorted(request.sources, key=_size), _size):
        group = list(same)
        rows = max(1, min(most, BATCH_PIXELS // (size[0] * size[1])))
        costs = [_steps(request, target, group[0]) for target in request.targets]
        for start in range(0, len(group), rows):
            batch = tuple(group[start : start + rows])
            for target, cost in zip(request.targets, costs, strict=True):
                yield DreamTask(target, batch, cost * len(batch))


def _steps(request: Request, target: Target, source: Source) -> int:
    """Count the steps by dreaming none: what cannot be dreamed is refused."""
    inner = request.inner
    if inner.basis != "maco" or request.zoom:
        inner.check_climbs()
    config: DreamConfig | RedreamConfig
    config = none = replace(inner, steps=0, basis="pixel")
    if isinstance(request.config, RedreamConfig):
        config = replace(request.config, dream=none)
    image = to_tensor(source.cutout)[None].to(request.network.device)
    try:
        scorer = request.network.scorer(target.objective, image)
        frames = pass_frames(scorer, image, config)
        octaves = [frame.octaves for frame in frames if isinstance(frame, DreamFrame)]
    except (ConfigError, DataError) as error:
        raise type(error)(f"{source.path.name}: {error}") from error
    if inner.basis == "maco":
        octaves = [MACO_STEPS]
    return inner.steps * (sum(octaves) + request.zoom * octaves[-1])


def _do(
    task: DreamTask, folder: Folder, done: int, count: Callable[[int], None]
) -> None:
    """Dream one task and write it."""
    request, network = folder.request, folder.request.network
    images = torch.stack([to_tensor(source.cutout) for source in task.sources])
    images = images.to(network.device)
    films = {"": _films(images)} if request.animate else {}
    end = done + task.steps

    def _watch(frame: DreamFrame) -> None:
        nonlocal done
        done += len(images)
        count(done)
        if request.animate:
            _add(films[""], frame.images)

    dreamed = dream_target(
        network, images, task.target, request.config,
        cutouts=tuple(source.cutout for source in task.sources),
        trajectory="octave" if request.config is request.inner else "none",
        watch=_watch,
    )  # fmt: skip
    if request.zoom:
        films["_zoom"] = _films(images)
        scorer = network.scorer(task.target.objective, images)
        pictures = zoomed(scorer, images, request.inner, num_frames=request.zoom)
        for number, picture in enumerate(pictures, start=1):
            _add(films["_zoom"], picture)
            count(done + number * (end - done) // request.zoom)
    names = [source.name for source in task.sources]
    judge = (
        request.judge if task.target in request.targets[len(request.layers) :] else None
    )
    folder.add(write_dream(dreamed, folder.path, names, films, judge))


def _films(images: Tensor) -> list[Film]:
    """Begin a film for each image, with the galaxy."""
    height, width = images.shape[2:]
    films = [Film((height, width)) for _ in images]
    _add(films, images)
    return films


def _add(films: list[Film], images: Tensor) -> None:
    for film, image in zip(films, images, strict=True):
        film.add(to_bytes(image))


def _notes(request: Request) -> list[str]:
    """Collect what a person should know."""
    notes = [
        f"{source.path.name}: {note}"
        for source in request.sources
        for note in source.cutout.notes
    ]
    notes += _out_of_domain(request)
    if (request.animate or request.zoom) and not can_write_mp4():
        notes.append(NO_MP4)
    return notes


def _out_of_domain(request: Request) -> list[str]:
    """Say which sides the network was never shown."""
    network, config = request.network, request.config
    home = {max(source.cutout.rgb.shape[:2]) for source in request.sources}
    if isinstance(config, RedreamConfig) and network.sides:
        smallest = network.sides[0]
        home |= {
            s for h in home for s in config.schedule or default_schedule(h, smallest)
        }
    trained = network.image_size or 0
    low, high = network.sides or (trained / 1.5, trained * 1.5)
    odd = sorted(side for side in home if not low <= side <= high) if trained else []
    if not odd:
        return []
    known = f"{low} to {high} px" if network.sides else f"{trained} px"
    return [
        f"dreamed at {', '.join(map(str, odd))} px, but the network was trained at "
        f"{known} and may see no galaxies there; --image-size {trained} and sides "
        "near it are what it knows"
    ]


def write_overview(folder: Folder) -> None:
    """Write the sheets of all dreams that there are."""
    folder.sheets = []
    if not folder.entries:
        return
    request, targets = folder.request, folder.request.targets
    if request.record_name == REDREAM_FILE:
        for target in targets:
            _write_redream(folder, target)
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
        found = [folder.find(source.name, target) for target in targets]
        some = next((entry for entry in found if entry), None)
        galaxy = _picture(folder, some, "galaxy")
        seen = [_picture(folder, entry, "dream") for entry in found]
        said = ["", *(_opinion(entry) for entry in found)]
        added = [_picture(folder, entry, "detail") for entry in found]
        dreams.append(SheetRow(source.name, [galaxy, *seen], said))
        details.append(SheetRow(source.name, [galaxy, *added]))
    columns = [GALAXY, *(target.name for target in targets)]
    judge = folder.request.judge if name == "classes" else None
    footer = f"p: of the dreamed class, by the network {judge[0]}" if judge else ""
    _write_pages(folder, dreams, columns, name, title=title, footer=footer)
    _write_pages(
        folder, details, columns, f"{name}_details", title=title, footer=DETAILS
    )


def _write_redream(folder: Folder, target: Target) -> None:
    """Write a sheet with a pass a column, and the curves, named if there are more."""
    of = f"_{target.slug}" if len(folder.request.targets) > 1 else ""
    found = [
        entry
        for source in folder.request.sources
        if (entry := folder.find(source.name, target))
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
        name = of + ("" if sides == _sides(found[0]) else f"_{sides[-1]}px")
        title = f"Multi-resolution re-dream of {target.name}"
        _write_pages(folder, rows, columns, f"sheet{name}", title=title)
        residuals, control, last = (
            np.array([[p[name] for p in e["passes"]] for e in same], float).T
            for name in ("residual", "random_residual", "score")
        )
        scores = np.vstack([[e["score"]["galaxy"] for e in same], last])
        named = [entry["image"] for entry in same]
        figure = redream_passes(sides, scores, residuals, named, control=control)
        save(figure, folder.path / f"passes{name}.png")
        folder.sheets.append(f"passes{name}.png")


def _passes(folder: Folder, entry: Entry, kinds: Sequence[str]) -> list[Pixels]:
    """Read the pictures of the passes, all as large as the galaxy."""
    size = tuple(entry["size"])
    found = (_picture(folder, entry, kind) for kind in kinds)
    return [to_size(picture, size) for picture in found if picture is not None]


def _sides(entry: Entry) -> tuple[int, ...]:
    return tuple(one["side"] for one in entry["passes"])


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
    footer = "; ".join(filter(None, (footer, *_settings(folder))))
    folder.sheets += write_pages(folder.path / name, rows, columns, title, footer)


def _settings(folder: Folder) -> list[str]:
    """Say how it was dreamed."""
    request, inner = folder.request, folder.request.inner
    octaves = sorted({len(e["octaves"]) for e in folder.entries if "octaves" in e})
    scales = " or ".join(map(str, octaves)) + " octaves of " if octaves else ""
    steps = f"{scales}{inner.steps} steps" + ("" if octaves else " an octave")
    if inner.basis == "maco":
        steps = f"{MACO_STEPS * inner.steps} steps in phases"
    views = f"{inner.views} random views a step" if inner.views > 1 else "one view"
    how = inner.normalize if inner.basis == "pixel" else f"{inner.basis} basis"
    return [steps, views, how, f"seed {inner.seed}",
            f"weights {request.network.weights_hash[:8]}"]  # fmt: skip


def _opinion(entry: Entry | None) -> str:
    """Say what a second network thinks of a dreamed class."""
    judged = (entry or {}).get("judge")
    return f"p {judged['dream']:.2f}" if judged else ""


def _picture(folder: Folder, entry: Entry | None, kind: str) -> Pixels | None:
    if entry is None:
        return None
    with Image.open(folder.path / entry["files"][kind]) as image:
        return np.asarray(image.convert("RGB"))
