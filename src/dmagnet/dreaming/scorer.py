"""One network and one objective: scores of images, and which way is up."""

import itertools
from collections.abc import Iterable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmagnet.config.train_config import SMALLEST_SIDE
from dmagnet.dreaming.layers import private_copy, read
from dmagnet.dreaming.objectives import Objective
from dmagnet.errors import ConfigError, DataError


class Scorer:
    """A private copy of a network, with an objective that has seen the start images.

    `own` is False for a network that is a private copy already; below `smallest` px
    it recognizes nothing.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, start: Tensor, *,
        own: bool = True, smallest: int = SMALLEST_SIDE,
    ) -> None:  # fmt: skip
        self.smallest = smallest
        _check_device(model, start)
        # Inference mode would make weights that gradients cannot pass.
        with torch.inference_mode(False), torch.no_grad():
            network = private_copy(model, objective.layers) if own else model
            self.network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            weights = _weights(self.network)
            self.dtype = next(
                (w.dtype for w in weights if w.is_floating_point()), start.dtype
            )
            self.objective = objective.bind(self.read, start)
            self.stride = self._find_stride(start[:1])

    def read(self, images: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
        """Run the network up to the deepest of some layers."""
        images = images.to(self.dtype, memory_format=torch.channels_last)
        activations = read(self.network, images, names)
        for activation in activations.values():
            _keep_layout(activation)
        return activations

    def _find_stride(self, image: Tensor) -> int:
        side = min(image.shape[2:])
        places = self._places(image)
        strides = [round(side / number) for number in places.values() if number > 1]
        if 1 in places.values():
            # One place: a global layer, or an image of the size of its stride?
            try:
                wider = self._places(F.interpolate(image, scale_factor=2))
            except ConfigError:  # a network of one size
                wider = {}
            strides += [side for n in places if places[n] == 1 < wider.get(n, 1)]
        return max(strides, default=1)

    def _places(self, image: Tensor) -> dict[str, int]:
        """Count the places of each map along its shorter side."""
        outputs = self.read(image, self.objective.layers)
        return {n: min(o.shape[2:]) for n, o in outputs.items() if o.ndim == 4}

    @torch.no_grad()
    def score(self, images: Tensor) -> Tensor:
        """Score images."""
        return self.objective(self.read(images, self.objective.layers))

    def gradient(self, images: Tensor, views: int = 1) -> tuple[Tensor, Tensor]:
        """Score images (views x B, 3, H, W) and say which way is up.

        The scores (B,), of one view after the other, are averaged.
        """
        with torch.inference_mode(False), torch.enable_grad():
            images = images.detach()
            images = images.clone() if images.is_inference() else images
            images.requires_grad_()
            seen = self.read(images, self.objective.layers)
            # An objective may hold something for each image: it sees B at a time.
            parts = {name: output.chunk(views) for name, output in seen.items()}
            each = [
                self.objective({name: part[i] for name, part in parts.items()})
                for i in range(views)
            ]
            scores = torch.stack(each).mean(dim=0)
            if not scores.requires_grad:
                raise ConfigError(_flat(self.objective))
            (gradient,) = torch.autograd.grad(scores.sum(), images)
        return scores.detach(), gradient


def _weights(model: nn.Module) -> Iterator[Tensor]:
    return itertools.chain(model.parameters(), model.buffers())


def _check_device(model: nn.Module, images: Tensor) -> None:
    devices = {weight.device for weight in _weights(model)}
    if devices and images.device not in devices:
        raise DataError(
            f"the images are on {images.device}, the network is on "
            f"{min(map(str, devices))}; move one of them"
        )


def _keep_layout(activation: Tensor) -> None:
    """Lay the gradient out as the activation, or each layer below copies it anew."""
    if activation.requires_grad and activation.ndim == 4:
        layout = (
            torch.channels_last
            if activation.is_contiguous(memory_format=torch.channels_last)
            else torch.contiguous_format
        )
        activation.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: gradient.contiguous(memory_format=layout)
        )


def check_gradient(gradient: Tensor, objective: Objective) -> None:
    """Refuse to dream where there is no way up."""
    largest = gradient.abs().amax(dim=(1, 2, 3))
    if not bool(largest.isfinite().all()):
        raise ConfigError(
            f"the gradient of {', '.join(objective.layers)} is not finite; "
            "check the weights and choose smaller steps"
        )
    if bool((largest == 0).any()):
        raise ConfigError(_flat(objective))


def _flat(objective: Objective) -> str:
    return (
        f"the objective on {', '.join(objective.layers)} has zero gradient here: no "
        "change of the image changes it; choose another channel, or the layer before "
        "its activation"
    )
