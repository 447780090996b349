"""Dream many images and targets into a folder, and stop or go on where one likes."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dmagnet.config.dream_config import DreamConfig, RedreamConfig
from dmagnet.dreaming.entries import write_dream
from dmagnet.dreaming.octaves import DreamFrame
from dmagnet.dreaming.overview import write_overview
from dmagnet.dreaming.redream import pass_frames, zoomed
from dmagnet.dreaming.request import RECORD, Request, read_record
from dmagnet.dreaming.runs import dream_target
from dmagnet.dreaming.sheets import NO_MP4, Film, can_write_mp4, to_bytes
from dmagnet.dreaming.sources import Source
from dmagnet.dreaming.targets import Target, provenance_of, to_tensor
from dmagnet.errors import ConfigError, DataError, DmagnetError
from dmagnet.storage.disk import beside, claimed, is_own
from dmagnet.storage.records import as_written

RUNNING, STOPPED, FINISHED = "running", "stopped", "finished"


@dataclass(eq=False)
class Folder:
    """The folder and record of one run."""

    path: Path  # the folder
    request: Request  # what is dreamed
    status: str = RUNNING  # ``running``, ``stopped`` or ``finished``
    # one for each dream that is written
    entries: list[dict[str, Any]] = field(default_factory=list)
    sheets: list[str] = field(default_factory=list)  # pictures of the whole run
    notes: list[str] = field(default_factory=list)  # what a person should know

    def has(self, image: str, target: str) -> bool:
        """Whether the dream of a target's slug on an image is written."""
        return any((e["image"], e["target"]) == (image, target) for e in self.entries)

    def add(self, entries: list[dict[str, Any]]) -> None:
        """Note what was written in place of older dreams of the same, and save."""
        new = {(entry["image"], entry["target"]) for entry in entries}
        old = [e for e in self.entries if (e["image"], e["target"]) not in new]
        self.entries = old + entries
        self.save()

    def save(self) -> None:
        """Write the record."""
        record = {
            "status": self.status,
            "request": self.request.to_dict(),
            "provenance": provenance_of(self.request.network),
            "class_names": list(self.request.network.class_names),
            "notes": self.notes,
            "sheets": self.sheets,
            "dreams": self.entries,
        }
        with beside(self.path / self.request.record_name) as part:
            text = json.dumps(record, indent=1, allow_nan=False)
            part.write_text(text + "\n", encoding="utf-8")


def open_folder(path: Path, request: Request) -> Folder:
    """Begin a run, or go on with the same one."""
    record_path = path / request.record_name
    if not record_path.is_file():
        if any(not is_own(one.name) for one in path.iterdir()):
            raise DataError(
                f"{path}: this folder holds other files; choose a new -o, nothing is "
                "overwritten"
            )
        return Folder(path, request)
    record = read_record(record_path)
    if _what_counts(record["request"]) != _what_counts(request.to_dict()):
        raise DataError(
            f"{path}: holds the dreams of another command; choose a new -o or delete it"
        )
    folder = Folder(path, request)
    if record.get("provenance") == provenance_of(request.network):
        with as_written(record_path, RECORD):
            folder.entries = [e for e in record["dreams"] if _whole(path, e)]
    return folder


def _what_counts(request: Any) -> Any:
    """Leave out where files lie: what they hold is known by their hashes."""
    if isinstance(request, dict):
        return {k: _what_counts(v) for k, v in request.items() if k != "path"}
    return [_what_counts(v) for v in request] if isinstance(request, list) else request


def _whole(path: Path, entry: dict[str, Any]) -> bool:
    known = isinstance(entry["image"], str) and isinstance(entry["target"], str)
    return known and all((path / name).is_file() for name in entry["files"].values())


BATCH = {"cpu": 8, "cuda": 64}  # images at a time
BATCH_PIXELS = 8 * 512 * 512  # and no more pixels than this, for memory

Announce = Callable[[str, int | None], Callable[[int], None]]


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
        count = announce("Dreaming", total) if announce else lambda _: None
        done = 0
        folder.save()
        try:
            for task in tasks:
                if not all(folder.has(s.name, task.target.slug) for s in task.sources):
                    _do(task, folder, done, count)
                done += task.steps
                count(done)
            folder.status = FINISHED
        except (KeyboardInterrupt, DmagnetError):
            folder.status = STOPPED
            raise
        finally:
            if folder.status != RUNNING:
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
    config: DreamConfig | RedreamConfig
    config = none = replace(inner, steps=0)
    if isinstance(request.config, RedreamConfig):
        config = replace(request.config, dream=none)
    image = to_tensor(source.cutout)[None].to(request.network.device)
    try:
        scorer = request.network.scorer(target.objective, image)
        frames = pass_frames(scorer, image, config)
        octaves = [frame.octaves for frame in frames if isinstance(frame, DreamFrame)]
    except (ConfigError, DataError) as error:
        raise type(error)(f"{source.path.name}: {error}") from error
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
    folder.add(write_dream(dreamed, folder.path, names, films))


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
    trained = request.network.image_size
    sides = {max(source.cutout.rgb.shape[:2]) for source in request.sources}
    unlike = trained and (max(sides) > 1.5 * trained or min(sides) < trained / 1.5)
    if unlike and request.image_size is None:
        between = " to ".join(map(str, sorted({min(sides), max(sides)})))
        notes.append(
            f"images are dreamed at their own size ({between} px), but the network was "
            f"trained at {trained} px; --image-size {trained} shows them that large"
        )
    if (request.animate or request.zoom) and not can_write_mp4():
        notes.append(NO_MP4)
    return notes
