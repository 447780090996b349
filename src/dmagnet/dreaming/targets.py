"""What to dream, as a person says it: a layer, a class, a guide, on which network."""

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet import __version__
from dmagnet.classes import CLASSES
from dmagnet.dreaming.compose import Objective
from dmagnet.dreaming.layers import find_layer, private_copy
from dmagnet.dreaming.objectives import Energy, Logit
from dmagnet.dreaming.relations import Guide
from dmagnet.errors import ConfigError
from dmagnet.network.bundled import load
from dmagnet.network.checkpoint import Checkpoint, weights_hash
from dmagnet.pictures.cutout import Cutout, from_array
from dmagnet.pictures.front import read_image
from dmagnet.pictures.inputs.framing import cutout_of_one_size

Picture = Path | str | NDArray[Any] | Tensor | Cutout
AnyModel = Checkpoint | Path | str | nn.Module


@dataclass(frozen=True, eq=False)
class Network:
    """A network, and what is known about it.

    Attributes
    ----------
    model : nn.Module
        Images in [0, 1] in.
    class_names : tuple of str
        Name of each output; empty where they are not known.
    image_size : int or None
        Side of the images it was trained on, in px, if known.
    weights_hash : str
        SHA-256 of its weights.
    radii : float or None
        Side of its images in isophotal radii, if it sees all galaxies at one size.
    """

    model: nn.Module
    class_names: tuple[str, ...]
    image_size: int | None
    weights_hash: str
    radii: float | None = None

    @property
    def device(self) -> torch.device:
        """Say where it runs.

        Returns
        -------
        torch.device
            Of its first weight; the CPU if it has none.
        """
        first = next(self.model.parameters(), None)
        return torch.device("cpu") if first is None else first.device

    @cached_property
    def _judge(self) -> nn.Module:
        """Copy the network once for many judgments."""
        return private_copy(self.model).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]

    @torch.inference_mode()
    def judge(self, images: Tensor) -> NDArray[Any] | None:
        """Judge images, dreams for example, at any side.

        Parameters
        ----------
        images : (B, 3, H, W) float in [0, 1]
            On the device of the network.

        Returns
        -------
        (B, K) float32 ndarray or None
            Class probabilities; None where the classes have no names.
        """
        if not self.class_names:
            return None
        images = images.contiguous(memory_format=torch.channels_last)
        probabilities: Tensor = self._judge(images).float().softmax(1)
        return probabilities.cpu().numpy()


def open_network(model: AnyModel) -> Network:
    """Open a network in any form.

    Parameters
    ----------
    model : Checkpoint, path or nn.Module
        What `dmagnet.load` returns or takes (``s``, a run folder, a weights file), or
        any network that takes images in [0, 1].

    Returns
    -------
    Network
        With its class names if it is one of dmagnet's.

    Raises
    ------
    CheckpointError
        If there are no whole weights.
    """
    if isinstance(model, nn.Module):
        return Network(model, (), None, weights_hash(model))
    checkpoint = model if isinstance(model, Checkpoint) else load(model)
    return Network(
        checkpoint.model,
        checkpoint.class_names,
        checkpoint.config.image_size,
        checkpoint.weights_hash or weights_hash(checkpoint.model),
        checkpoint.config.radii,
    )


@dataclass(frozen=True, eq=False)
class Target:
    """What a dream climbs, with its name.

    Attributes
    ----------
    name : str
        In words, for example ``stage 2, block 1`` or ``Merging``.
    slug : str
        As a file calls it.
    objective : Objective
        What scores images.
    """

    name: str
    slug: str
    objective: Objective


def layer_target(network: Network, layer: str, guide: Tensor | None = None) -> Target:
    """Dream a layer: all it sees, or what it sees in a guide.

    Parameters
    ----------
    network : Network
        Where the layer is.
    layer : str
        Its name.
    guide : (3, H, W) Tensor in [0, 1], optional
        An image to take after.

    Returns
    -------
    Target
        `Energy` of the layer, or `Guide`.

    Raises
    ------
    ConfigError
        If there is no such layer; the message lists those there are.
    """
    find_layer(network.model, layer)
    if guide is None:
        return Target(plain_name(layer), layer, Energy(layer))
    return Target(
        f"{plain_name(layer)}, guided", f"{layer}-guided", Guide(layer, guide)
    )


def class_target(network: Network, wanted: str) -> Target:
    """Dream a class.

    Parameters
    ----------
    network : Network
        One that knows its classes.
    wanted : str
        The name of a class in any spelling, its short name or its number.

    Returns
    -------
    Target
        `Logit` of the class.

    Raises
    ------
    ConfigError
        If there is no such class; the message lists those there are.
    """
    names = network.class_names
    if not names:
        raise ConfigError(
            "this network does not know the names of its classes; give an objective, "
            "for example Logit(3, layer='fc')"
        )
    keys = [{_plain(name), str(i)} for i, name in enumerate(names)]
    for key in keys:
        key |= {_plain(c.slug) for c in CLASSES if _plain(c.name) in key}
    found = [i for i, key in enumerate(keys) if _plain(wanted) in key]
    if not found:
        raise ConfigError(f"no class {wanted!r}; the classes are: {', '.join(names)}")
    # As folders call classes: 4_spiral_galaxy.
    name = re.sub(r"^\d+[\s_.-]+(?=\D)", "", names[found[0]]).replace("_", " ")
    slug = "class-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return Target(name, slug, Logit(found[0]))


def _plain(name: str) -> str:
    """Reduce a name to letters and digits, without a number in front of a name."""
    bare = re.sub(r"^\d+[\s_.-]+(?=\D)", "", name)
    return re.sub(r"[^a-z0-9]", "", bare.lower())


def plain_name(layer: str) -> str:
    """Say a layer's name in words.

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
    cutout = picture if isinstance(picture, Cutout) else read_image(picture)
    if network is None or network.radii is None or network.image_size is None:
        return cutout
    return cutout_of_one_size(cutout, side or network.image_size, network.radii)


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
