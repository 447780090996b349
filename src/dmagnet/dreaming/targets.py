"""Targets of dreams, as a person names them: a layer, a class, a guide."""

import platform
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet import __version__
from dmagnet.classes import find_class, plain_names
from dmagnet.config.train_config import SMALLEST_SIDE
from dmagnet.dreaming.layers import find_layer, private_copy
from dmagnet.dreaming.objectives import Energy, LogOdds, Objective
from dmagnet.dreaming.octaves import resample
from dmagnet.dreaming.relations import Guide
from dmagnet.dreaming.scorer import Scorer
from dmagnet.errors import ConfigError
from dmagnet.judging.predict import probabilities_of
from dmagnet.network.bundled import BUNDLED, load
from dmagnet.network.checkpoint import Checkpoint, weights_hash
from dmagnet.pictures import Cutout, from_array, read_image
from dmagnet.pictures.inputs.framing import cutout_of_one_size
from dmagnet.pictures.inputs.memory import as_files

Picture = Any  # what `as_files` takes, or a Cutout
AnyModel = Checkpoint | Path | str | nn.Module


@dataclass(frozen=True, eq=False)
class Network:
    """A network, and what is known about it."""

    model: nn.Module  # images in [0, 1] in
    class_names: tuple[str, ...]  # name of each output; empty where they are not known
    image_size: int | None  # side of the images it was trained on, in px, if known
    weights_hash: str  # SHA-256 of its weights
    # side of its images in isophotal radii, if it sees all galaxies at one size
    radii: float | None = None
    # smallest and largest side that it recognizes galaxies at, in px, if known
    sides: tuple[int, int] | None = None

    @property
    def canvas(self) -> int | None:
        """The side at which galaxies of one size are dreamed: its largest, in px."""
        return self.sides[1] if self.sides else self.image_size

    @property
    def device(self) -> torch.device:
        """The device of its first weight; the CPU if it has none."""
        first = next(self.model.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    @cached_property
    def _copies(self) -> dict[frozenset[str], nn.Module]:
        """Hold the private copies that were made."""
        return {}

    def private(self, layers: Iterable[str] = ()) -> nn.Module:
        """Return a private copy, made once, in which these layers are what they are."""
        folds = (nn.Conv2d, nn.BatchNorm2d)  # what a copy may merge
        kept = frozenset(
            name for name in layers if isinstance(find_layer(self.model, name), folds)
        )
        if kept not in self._copies:
            with torch.inference_mode(False):  # gradients pass these weights
                copied = private_copy(self.model, kept)
                copied.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
                self._copies[kept] = copied
        return self._copies[kept]

    def scorer(self, objective: Objective, images: Tensor) -> Scorer:
        """Prepare to climb an objective from these images."""
        copied = self.private(objective.layers)
        smallest = self.sides[0] if self.sides else SMALLEST_SIDE
        return Scorer(copied, objective, images, own=False, smallest=smallest)

    @torch.inference_mode()
    def judge(self, images: Tensor) -> NDArray[Any] | None:
        """Return class probabilities (B, K); None where classes have no names.

        A network that sees all galaxies at one size sees them at its own side, and
        mirrored too, as when it classifies.
        """
        if not self.class_names:
            return None
        views = 1
        if self.radii is not None and self.image_size is not None:
            images = resample(images, (self.image_size, self.image_size))
            views = 2
        return probabilities_of(self.private(), images, views=views).cpu().numpy()


def open_network(model: AnyModel) -> Network:
    """Open a network in any form."""
    if isinstance(model, nn.Module):
        return Network(model, (), None, weights_hash(model))
    checkpoint = model if isinstance(model, Checkpoint) else load(model)
    return Network(
        checkpoint.model,
        checkpoint.class_names,
        checkpoint.config.image_size,
        checkpoint.weights_hash or weights_hash(checkpoint.model),
        checkpoint.config.radii,
        None if checkpoint.config.radii is None else checkpoint.config.sides,
    )


def second_opinion(
    network: Network, judge: Path | str | None = None
) -> tuple[str, Network] | None:
    """Open the judge that is asked for, or another network of the package if it fits.

    Those of the package cannot judge where galaxies are dreamed as they are, without
    ``radii``: they see all galaxies at one size.
    """
    if judge is None and network.radii is None:
        return None
    for name in [judge] if judge else [*reversed(BUNDLED)]:
        other = open_network(name)
        if plain_names(other.class_names) != plain_names(network.class_names):
            if judge:
                raise ConfigError(
                    f"judge: expected a network of the same classes, got {judge}; name "
                    "other weights, or none"
                )
            return None
        if judge or other.weights_hash != network.weights_hash:
            other.model.to(network.device)
            # both call the classes alike
            return str(name), replace(other, class_names=network.class_names)
    return None


@dataclass(frozen=True, eq=False)
class Target:
    """What a dream climbs, with its name."""

    name: str  # in words, for example ``stage 2, block 1`` or ``Merging``
    slug: str  # as a file calls it
    objective: Objective  # what scores images


def layer_target(network: Network, layer: str, guide: Tensor | None = None) -> Target:
    """Dream a layer: all it sees, or what it sees in a guide."""
    find_layer(network.model, layer)
    if guide is None:
        return Target(plain_name(layer), layer, Energy(layer))
    return Target(
        f"{plain_name(layer)}, guided", f"{layer}-guided", Guide(layer, guide)
    )


def class_target(network: Network, wanted: str) -> Target:
    """Dream a class."""
    names = network.class_names
    if not names:
        raise ConfigError(
            "this network does not know the names of its classes; give an objective, "
            "for example Logit(3, layer='fc')"
        )
    number = find_class(names, wanted)
    # As folders call classes: 4_spiral_galaxy.
    name = re.sub(r"^\d+[\s_.-]+(?=\D)", "", names[number]).replace("_", " ")
    slug = "class-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return Target(name, slug, LogOdds(number))


def plain_name(layer: str) -> str:
    """Write a layer's name in words.

    Parameters
    ----------
    layer : str
        For example ``stage2.block1.d4``.

    Returns
    -------
    str
        For example ``stage 2, block 1, dilation 4``; names that are not DMAGNet's
        come back as they are.
    """
    whole = {"lam": "local attention", "logits": "class scores"}
    words = {"stage": "stage", "block": "block", "d": "dilation"}
    said = []
    for part in layer.split("."):
        match = re.fullmatch(r"([a-z]+)(\d+)", part)
        if not match or match[1] not in words:
            return whole.get(layer, layer)
        said.append(f"{words[match[1]]} {match[2]}")
    return ", ".join(said)


def as_batch(
    picture: Picture | Sequence[Picture],
    *,
    network: Network | None = None,
    side: int | None = None,
) -> tuple[tuple[Cutout, ...], Tensor]:
    """Bring pictures in any form to one batch."""
    if isinstance(picture, Tensor):
        images = picture[None] if picture.ndim == 3 else picture
        whole = images.detach().float().cpu()
        rgb = whole.permute(0, 2, 3, 1).numpy() if whole.ndim == 4 else ()
        return tuple(Cutout(pixels) for pixels in rgb), images
    if isinstance(picture, str) or not isinstance(picture, Sequence):
        picture = [picture]
    cutouts = tuple(_seen(one, network, side) for one in picture)
    sizes = {cutout.rgb.shape[:2] for cutout in cutouts}
    if len(sizes) != 1:
        raise ConfigError(
            f"expected one or more images of one size, got sizes {sorted(sizes)}; "
            "dream them one after the other"
        )
    return cutouts, torch.stack([to_tensor(cutout) for cutout in cutouts])


def _seen(picture: Any, network: Network | None, side: int | None) -> Cutout:
    """Read a picture, as a network sees it that sees all galaxies at one size."""
    if isinstance(picture, Tensor):
        return from_array(picture.detach().float().cpu().permute(1, 2, 0).numpy())
    if isinstance(picture, Cutout):
        cutout = picture
    elif isinstance(picture, str | Path | np.ndarray):
        cutout = read_image(picture)
    else:
        with as_files([picture]) as (path,):
            cutout = read_image(path)
    if network is None or network.radii is None or network.image_size is None:
        return cutout
    return cutout_of_one_size(
        cutout, side or network.canvas or network.image_size, network.radii
    )


def to_tensor(cutout: Cutout) -> Tensor:
    """Bring a cut-out into the form that networks take."""
    return torch.from_numpy(cutout.rgb.transpose(2, 0, 1).copy())


def provenance_of(network: Network) -> dict[str, Any]:
    """Collect what a dream depends on besides its settings."""
    return {
        "dmagnet": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": network.device.type,
        "threads": torch.get_num_threads(),
        "weights_hash": network.weights_hash,
    }
