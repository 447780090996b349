"""Layers by name, and what they say about an image: a forward pass that stops there."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dmagnet.errors import ConfigError
from dmagnet.network.blocks import fold_norms, without_hooks

Activations = Mapping[str, Tensor]


class _Stop(BaseException):
    """All layers that were asked for have spoken; the rest need not run."""


def layer_names(model: nn.Module) -> tuple[str, ...]:
    """Name what can be dreamed in a network.

    Parameters
    ----------
    model : nn.Module
        Any network.

    Returns
    -------
    tuple of str
        ``layer_names`` of the network where it has them, in order of depth;
        else the names of all its modules.
    """
    if _names_its_layers(model):
        return tuple(model.layer_names)  # type: ignore[arg-type]
    return tuple(name for name, _ in model.named_modules() if name)


def _names_its_layers(model: nn.Module) -> bool:
    return hasattr(model, "layer_names") and hasattr(model, "layer")


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """Find a layer by its name.

    Parameters
    ----------
    model : nn.Module
        Any network.
    name : str
        One of `layer_names`, or the name of any module of the network.

    Returns
    -------
    nn.Module
        The layer.

    Raises
    ------
    ConfigError
        If there is no such layer; the message lists those there are.
    """
    names = layer_names(model)
    if name in names and _names_its_layers(model):
        layer: nn.Module = model.layer(name)  # type: ignore[operator]
        return layer
    modules = dict(model.named_modules())
    if name and name in modules:
        module: nn.Module = modules[name]
        return module
    raise ConfigError(f"no layer {name!r}; the layers are: {', '.join(names)}")


def private_copy(model: nn.Module, layers: Iterable[str] = ()) -> nn.Module:
    """Copy a network for looking at, so that the user's own stays as it is.

    Parameters
    ----------
    model : nn.Module
        Any network, in any mode.
    layers : iterable of str
        Layers whose outputs must stay what they are.

    Returns
    -------
    nn.Module
        A copy in evaluation mode, without hooks, with frozen weights;
        where a convolution is followed by a batch norm in an `nn.Sequential` the two
        are one convolution, which computes the same with fewer passes over memory.

    Raises
    ------
    ConfigError
        If there is no layer of such a name.
    """
    copied = without_hooks(model).eval().requires_grad_(False)
    kept = {find_layer(copied, name) for name in layers}
    for module in copied.modules():
        if isinstance(module, nn.SiLU):
            # Its gradient needs its input: in place means one more copy of that.
            module.inplace = False
    fold_norms(copied, kept)
    return copied


def read(model: nn.Module, images: Tensor, names: Iterable[str]) -> dict[str, Tensor]:
    """Run a network up to the deepest of some layers.

    Parameters
    ----------
    model : nn.Module
        Any network; use a `private_copy` where gradients are wanted cheaply.
    images : (B, 3, H, W) float
        What the network takes.
    names : iterable of str
        Layers.

    Returns
    -------
    dict of str to Tensor
        The output of each layer, at its first call.

    Raises
    ------
    ConfigError
        If there is no such layer, if the network never calls it, if its output is
        no tensor, or if the network cannot take images of this size.

    Notes
    -----
    Layers behind the last one that was asked for do not run: the forward pass ends
    with an exception that a hook raises. The hooks are gone afterwards, whatever
    happened.
    """
    wanted = {name: find_layer(model, name) for name in names}
    found: dict[str, Tensor] = {}
    handles = []

    def _keep(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def _hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if not isinstance(output, Tensor):
                raise ConfigError(
                    f"layer {name!r}: expected a tensor, got {type(output).__name__}; "
                    "choose a layer inside it"
                )
            if name in found:
                return
            # The layers that follow may write into it.
            found[name] = output if len(found) + 1 == len(wanted) else output.clone()
            if len(found) == len(wanted):
                raise _Stop

        return _hook

    try:
        handles += [m.register_forward_hook(_keep(n)) for n, m in wanted.items()]
        model(images)
    except _Stop:
        pass
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError) as error:
        side = "x".join(map(str, images.shape[2:]))
        line = " ".join(str(error).split())[:160]
        raise ConfigError(
            f"the network cannot take images of {side} px ({line}); if they are "
            "too small for it use larger ones or fewer octaves"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if missing := wanted.keys() - found.keys():
        raise ConfigError(f"layer {min(missing)!r} is never called by this network")
    return found
