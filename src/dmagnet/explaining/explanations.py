"""Galaxies in, the reasons for their classes out."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dmagnet.config.checks import settled
from dmagnet.config.classify_config import (
    DEFAULT,
    CutoutConfig,
    ExplainConfig,
    SourceConfig,
)
from dmagnet.dreaming.layers import private_copy
from dmagnet.errors import ConfigError, DataError
from dmagnet.explaining.explanation import (
    Explanation,
    Explanations,
    write_explanations,
)
from dmagnet.explaining.maps import scale_weights
from dmagnet.explaining.methods import BATCH, Class, attribute, class_numbers
from dmagnet.judging.predict import batches_of, judge
from dmagnet.network import DMAGNet, load
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.pictures.inputs import Item, Picture, as_files, list_items, read_picture
from dmagnet.pictures.inputs.cutouts import fetched
from dmagnet.storage.arrays import Pixels, Singles
from dmagnet.storage.disk import claimed
from dmagnet.storage.environment import Announce, bars, counter

EXPLAIN = ExplainConfig()
USUAL = EXPLAIN.methods
Inputs = Any  # paths or images, as `dmagnet.pictures.inputs.memory` takes them


def explain_images(
    checkpoint: Checkpoint,
    images: Pixels,
    *,
    methods: Sequence[str] = USUAL,
    target: Class | None = None,
    against: Class | None = None,
    items: Sequence[Item] = (),
    announce: Announce | None = None,
) -> list[Explanation]:
    """Explain pictures that are in memory.

    Parameters
    ----------
    checkpoint : Checkpoint
        The network.
    images : (N, S, S, 3) uint8
        As the network wants to see them.
    methods : sequence of str
        Some of `dmagnet.explaining.METHODS`.
    target : str or int, optional
        Class to explain; the likeliest of each picture if not given.
    against : str or int, optional
        Explain why ``target`` rather than this class.
    items : sequence of Item, optional
        Where the pictures come from; numbers if not given.
    announce : callable, optional
        Called with a method and the number of pictures; returns what to call with the
        number done.

    Returns
    -------
    list of Explanation
        One a picture, in order.

    Raises
    ------
    ConfigError
        If there is no such class or method, a method needs captum and it is not
        installed, or both classes are the same.
    DataError
        If the pictures are not as the network wants them.
    """
    side = checkpoint.config.image_size
    if images.dtype != np.uint8 or images.shape[1:] != (side, side, 3):
        raise DataError(
            f"images: expected (N, {side}, {side}, 3) uint8, got {images.shape} "
            f"{images.dtype}; bring them to the network's view first"
        )
    num, names = len(images), checkpoint.class_names
    judgement = judge(checkpoint, images)
    likeliest = judgement.probabilities.argmax(axis=1)
    targets = likeliest if target is None else class_numbers(names, target, num)
    others = None if against is None else class_numbers(names, against, num)
    if others is not None and (targets == others).any():
        name = names[int(targets[targets == others][0])]
        raise ConfigError(
            f"{name}: expected two classes to tell apart, got the same twice; give "
            "another --against, or a --target"
        )
    maps = {}
    for method in methods:
        told = counter(announce, method, num)
        maps[method] = attribute(
            checkpoint, images, method, target=targets, against=others, progress=told
        )
    scales = _scales(checkpoint, images)
    calibration = checkpoint.calibration
    none = np.zeros((num, len(names)), bool)
    sets = calibration.sets(judgement.probabilities) if calibration else (none, none)
    set90, set95 = ([tuple(np.flatnonzero(row).tolist()) for row in s] for s in sets)
    limit = calibration.space.limit if calibration and calibration.space else None
    found = []
    for i in range(num):
        item = items[i] if items else Item(id=str(i), path="")
        ood = None if judgement.ood is None else float(judgement.ood[i])
        found.append(
            Explanation(
                item=item,
                picture=Picture(item, images[i]),
                rgb=images[i],
                class_names=tuple(names),
                probabilities=judgement.probabilities[i],
                set90=set90[i],
                set95=set95[i],
                ood=ood,
                ood_flag=None if ood is None or limit is None else ood > limit,
                target=int(targets[i]),
                against=None if others is None else int(others[i]),
                maps={name: values[i] for name, values in maps.items()},
                scale_weights={name: values[i] for name, values in scales.items()},
            )
        )
    return found


def explain(
    inputs: Inputs,
    *,
    weights: str | Path | Checkpoint = DEFAULT,
    out: str | Path | None = None,
    config: ExplainConfig = EXPLAIN,
    announce: Announce | None = None,
    tell: Callable[[str], None] | None = None,
    **settings: Any,
) -> Explanations:
    """Explain galaxies of any form: which places speak for the class.

    Parameters
    ----------
    inputs : path, image, or a sequence of these
        Images, folders, globs, zips, stacks, tables of paths or positions, see
        `dmagnet.pictures.inputs.list_items`; PIL images, arrays, tensors, HDUs or
        Cutout2D, see `dmagnet.pictures.inputs.as_files`.
    weights : str, Path or Checkpoint
        ``s`` or ``xs`` of the package, a .safetensors file or a run folder.
    out : path, optional
        Folder for pictures, FITS files and ``explain.json``.
    config : ExplainConfig
        What to explain, and how to read the inputs.
    announce : callable, optional
        Called with a method and the number of pictures; returns what to call with the
        number done.
    tell : callable, optional
        Called with a line for each input that is no picture, and for each doubt.
    **settings
        Fields of ``config`` by name, in its place: ``methods=("needed",)``...

    Returns
    -------
    Explanations
        A list, one for each input that is a picture, in order.

    Raises
    ------
    DataError
        If there is no picture among the inputs, or the disk refuses.
    ConfigError
        If there is no such class or method, or a method needs captum and it is not
        installed.
    CheckpointError
        If the weights cannot be opened.
    """
    config = settled(explain, config, settings)
    checkpoint = weights if isinstance(weights, Checkpoint) else load(weights)
    with nullcontext() if out is None else claimed(Path(out), "explain.json"):
        images, pictures, left_out, notes = read_inputs(
            checkpoint, inputs, config.source, config.cutout, cache=config.cache
        )
        found = explain_images(
            checkpoint,
            images,
            methods=config.methods,
            target=config.target,
            against=config.against,
            items=[each.item for each in pictures],
            announce=announce or bars(),
        )
        for i, picture in enumerate(pictures):
            wcs, lost = picture.view_wcs()
            found[i] = replace(found[i], wcs=wcs, notes=lost)
        if tell:
            for line in (*notes, *_doubts(left_out, found)):
                tell(line)
        if out is not None:
            write_explanations(Path(out), found, checkpoint, left_out=left_out)
        return Explanations(found)


def read_inputs(
    checkpoint: Checkpoint,
    inputs: Inputs,
    source: SourceConfig,
    cutout: CutoutConfig | None = None,
    *,
    cache: Path | None = None,
) -> tuple[Pixels, list[Picture], list[Item], tuple[str, ...]]:
    """Return inputs as a network sees them, those that are no pictures, and notes."""
    trained = checkpoint.config
    view = trained.image_size, trained.field, source
    with as_files(inputs) as paths:
        listing = list_items(paths, source)
        listing.note_fetching(cutout)
        items: Iterable[Item] = listing
        if listing.has_positions:
            items = fetched(listing, cutout, source=source, cache=cache)
        seen = [read_picture(item, *view, radii=trained.radii) for item in items]
    left_out = [each.item for each in seen if each.rgb is None]
    images = [each.rgb for each in seen if each.rgb is not None]
    if not images:
        reasons = "; ".join(dict.fromkeys(item.reason for item in left_out[:3]))
        raise DataError(
            f"{_named(left_out[0])}: expected a picture, got none; {reasons}"
        )
    pictures = [each for each in seen if each.rgb is not None]
    return np.stack(images), pictures, left_out, listing.notes


def _doubts(left_out: Sequence[Item], found: Sequence[Explanation]) -> list[str]:
    """List the inputs that were left out, and doubts about the others."""
    lines = [f"{_named(item)}: left out, {item.reason}" for item in left_out]
    for each in found:
        told = [*filter(None, [each.item.reason]), *each.notes]
        lines += [f"{_named(each.item)}: {'; '.join(told)}"] if told else []
    return lines


def _named(item: Item) -> str:
    """Name a galaxy by the file that is named like it, or by its id in a table."""
    return item.path if Path(item.path).name.startswith(item.id) else item.id


def _scales(checkpoint: Checkpoint, images: Pixels) -> dict[str, Singles]:
    """Read the scale weights of all pictures."""
    model = private_copy(checkpoint.model)
    assert isinstance(model, DMAGNet)
    device = next(model.parameters()).device
    with torch.inference_mode():
        parts = [scale_weights(model, b) for b in batches_of(images, BATCH, device)]
    return {
        name: torch.cat([part[name] for part in parts]).cpu().numpy()
        for name in parts[0]
    }
