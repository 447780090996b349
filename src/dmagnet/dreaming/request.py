"""Everything that fixes a run of dreams, as a record that can be asked for again."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from dmagnet.config.checks import from_dict, settled, to_dict, typed
from dmagnet.config.classify_config import DEFAULT
from dmagnet.config.dream_config import DreamConfig, GalleryConfig, RedreamConfig
from dmagnet.dreaming.sources import ROUND, Source, gather, open_source
from dmagnet.dreaming.targets import (
    Network,
    Target,
    class_target,
    layer_target,
    open_network,
    second_opinion,
    to_tensor,
)
from dmagnet.errors import CheckpointError, ConfigError, DataError
from dmagnet.network.bundled import load, path_of
from dmagnet.storage.records import as_written, json_record

DREAM_FILE, REDREAM_FILE = "dream.json", "redream.json"
ALL = "all"
GALLERY = GalleryConfig()
RECORD = "a dream.json that dmagnet wrote"


@dataclass(frozen=True, eq=False, kw_only=True)
class Request:
    """What to dream, of what, with which network, and how."""

    sources: tuple[Source, ...]  # the images
    weights: Path  # run folder or weights file, absolute
    network: Network  # what it holds
    layers: tuple[str, ...] = ()  # layers to dream
    classes: tuple[str, ...] = ()  # classes to dream, by the names of the network
    guide: Source | None = None  # what the layers take after
    config: DreamConfig | RedreamConfig  # how to dream, or to dream again and again
    image_size: int | None = None  # side to which images were brought
    animate: bool = False  # make films
    zoom: int = 0  # frames of the zoom loop

    @property
    def inner(self) -> DreamConfig:
        """How a pass is dreamed; of a dream, its config itself."""
        config = self.config
        return config.dream if isinstance(config, RedreamConfig) else config

    @property
    def record_name(self) -> str:
        """The file of the record: ``dream.json`` or ``redream.json``."""
        return REDREAM_FILE if isinstance(self.config, RedreamConfig) else DREAM_FILE

    @cached_property
    def targets(self) -> tuple[Target, ...]:
        """What is dreamed of each image: layers, then classes."""
        guide = None if self.guide is None else to_tensor(self.guide.cutout)
        guide = guide if guide is None else guide.to(self.network.device)
        layers = [layer_target(self.network, name, guide) for name in self.layers]
        return (*layers, *(class_target(self.network, name) for name in self.classes))

    @cached_property
    def judge(self) -> tuple[str, Network] | None:
        """A second network, which says what it thinks of dreamed classes."""
        return second_opinion(self.network) if self.classes else None

    def to_dict(self) -> dict[str, Any]:
        """Write down in plain values what fixes the result; `read_request` reads it."""
        return {
            "images": [source.to_dict() for source in self.sources],
            "weights": {
                "path": str(self.weights),
                "hash": self.network.weights_hash,
            },
            "layers": list(self.layers),
            "classes": list(self.classes),
            "guide": None if self.guide is None else self.guide.to_dict(),
            # As JSON gives it back, so that records compare equal: tuples are lists.
            "config": json.loads(json.dumps(to_dict(self.config))),
            "image_size": self.image_size,
            "animate": self.animate,
            "zoom": self.zoom,
        }


def make_request(
    paths: Sequence[Path],
    weights: Path | str | None,
    config: DreamConfig | RedreamConfig,
    gallery: GalleryConfig = GALLERY,
    **settings: Any,
) -> Request:
    """Open images and weights, and check that all that is asked for exists.

    Parameters
    ----------
    paths : sequence of Path
        Images, as `gather` takes them.
    weights : Path, str or None
        Run folder or weights file, ``s`` or ``xs``; None for ``s``.
    config : DreamConfig or RedreamConfig
        How to dream.
    gallery : GalleryConfig
        What to dream, on what, and what to make of it.
    **settings
        Fields of ``gallery`` by name, in its place: ``layers=("lam",)``...

    Returns
    -------
    Request
        Ready to dream.

    Raises
    ------
    DataError
        If an image is missing or none.
    ConfigError
        If a layer or class does not exist, or there is nothing to dream.
    CheckpointError
        If there are no whole weights.
    """
    gallery = settled(make_request, gallery, settings)
    if not paths and getattr(config, "basis", "") == "maco":
        paths = [ROUND]  # whose phases favor no other class
    weights = path_of(DEFAULT if weights is None else weights)
    network = open_weights(weights, gallery.device)
    wanted = network.class_names if ALL in gallery.classes else gallery.classes
    classes = [class_target(network, name).name for name in wanted]
    radii, image_size, guide = network.radii, gallery.image_size, gallery.guide
    if image_size is None and radii is not None:
        image_size = network.canvas
        if isinstance(config, RedreamConfig):  # finer passes go beyond its last side
            image_size = config.schedule[-1] if config.schedule else network.image_size
    seen = partial(gather, image_size=image_size, radii=radii)
    request = Request(
        sources=seen(paths, index=gallery.index),
        weights=weights.resolve(),
        network=network,
        layers=tuple(dict.fromkeys(gallery.layers)),
        classes=tuple(dict.fromkeys(classes)),
        guide=None if guide is None else (seen if radii else gather)([guide])[0],
        config=config,
        image_size=image_size,
        animate=gallery.animate,
        zoom=gallery.zoom,
    )
    if not request.targets:
        raise ConfigError("expected one or more --layers or --classes, got none")
    return request


def open_weights(weights: Path, device: str) -> Network:
    """Open a network where it is to run."""
    found = torch.cuda.is_available()
    if device == "gpu" and not found:
        raise ConfigError("device: expected a CUDA GPU, found none; use --device cpu")
    checkpoint = load(weights)
    checkpoint.model.to("cpu" if device == "cpu" or not found else "cuda")
    return open_network(checkpoint)


@dataclass(frozen=True, kw_only=True)
class _Wanted:
    """What a record asks for, in plain values."""

    images: tuple[dict[str, Any], ...]
    weights: dict[str, str]
    layers: tuple[str, ...]
    classes: tuple[str, ...]
    guide: dict[str, Any] | None
    config: dict[str, Any]
    image_size: int | None
    animate: bool
    zoom: int


def read_request(
    path: Path, *, weights: Path | str | None = None, device: str = "auto"
) -> Request:
    """Read what a record asks for, to dream it again.

    Parameters
    ----------
    path : Path
        A ``dream.json`` or ``redream.json``.
    weights : Path or str, optional
        Where the weights are now, if they were moved.
    device : {"auto", "cpu", "gpu"}
        Where the network runs.

    Returns
    -------
    Request
        The same.

    Raises
    ------
    DataError
        If this is no such record, or an image is gone or changed.
    CheckpointError
        If the weights are gone or others.
    """
    with as_written(path, RECORD):
        wanted = from_dict(_Wanted, read_record(path)["request"])
        known = wanted.weights["hash"]
        place = path_of(wanted.weights["path"] if weights is None else weights)
        config = (
            from_dict(RedreamConfig, wanted.config)
            if "dream" in wanted.config
            else from_dict(DreamConfig, wanted.config)
        )
    GalleryConfig(image_size=wanted.image_size, zoom=wanted.zoom)  # its limits
    inner = wanted.config.get("dream", wanted.config)
    if missing := {field.name for field in fields(DreamConfig)} - set(inner):
        # Today's defaults would make it another dream.
        raise DataError(
            f"{path}: expected settings for {', '.join(sorted(missing))}; an older "
            "dmagnet wrote it: dream anew"
        )
    network = open_weights(place, device)
    if network.weights_hash != known:
        raise CheckpointError(
            f"{place}: expected the weights of hash {known[:12]}..., got "
            f"{network.weights_hash[:12]}...; name the right ones with --weights"
        )
    size, guide = wanted.image_size, wanted.guide
    return Request(
        sources=tuple(
            open_source(entry, size, network.radii) for entry in wanted.images
        ),
        weights=place.resolve(),
        network=network,
        layers=wanted.layers,
        classes=wanted.classes,
        guide=None
        if guide is None
        else open_source(guide, size if network.radii else None, network.radii),
        config=config,
        image_size=size,
        animate=wanted.animate,
        zoom=wanted.zoom,
    )


def read_record(path: Path) -> dict[str, Any]:
    """Read a ``dream.json`` or ``redream.json``."""
    with json_record(path, RECORD) as record:
        typed(dict[str, Any], record["request"], "request")
        return record
