"""What objectives on one layer have in common."""

from dataclasses import dataclass

from torch import Tensor

from dmagnet.dreaming.compose import LocalObjective, Objective
from dmagnet.dreaming.layers import Activations
from dmagnet.errors import ConfigError


@dataclass(frozen=True)
class OneLayer(Objective):
    """Base of objectives on one layer."""

    layer: str

    @property
    def layers(self) -> tuple[str, ...]:
        """Name the layer."""
        return (self.layer,)

    def _output(self, activations: Activations) -> Tensor:
        """Return the layer's output with axes (B, C, h, w)."""
        output = activations[self.layer]
        if output.ndim == 2:  # a vector is a map of one place
            return output[..., None, None]
        if output.ndim == 3:  # tokens (B, N, C), as of a transformer, are N places
            return output.transpose(1, 2)[..., None]
        if output.ndim != 4:
            raise ConfigError(
                f"layer {self.layer!r}: expected maps (B, C, h, w), vectors (B, C) or "
                f"tokens (B, N, C), got {tuple(output.shape)}; choose another layer"
            )
        return output


@dataclass(frozen=True)
class OneMap(OneLayer, LocalObjective):
    """Base of local objectives on one layer; they say how a place is scored."""

    def maps(self, activations: Activations) -> Tensor:
        """Score each place."""
        return self._map(self._output(activations))

    def _map(self, output: Tensor) -> Tensor:
        raise NotImplementedError
