"""Receptive fields: measured on any network, refused where a layer sees everything."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from dmagnet.dreaming.layers import private_copy, read
from dmagnet.errors import ConfigError

FIRST_LENGTH = 128  # px; of the strips that layers are probed with
LAST_LENGTH = 8192  # px; what sees all of such a strip sees every image whole
WIDTHS = (16, 32, 64, 128, 256)  # px; some networks refuse narrow strips
BLOCK = 64  # px that are poisoned at once in the first, coarse look
SHIFTS = (1, 2, 3, 4, 6, 8, 12, 16)  # places by which a layer may repeat itself
SAME = 1e-9  # relative; two float64 computations of the same number
PIXELS_AT_ONCE = 2**18
NO_TILES = "use tile=0, which dreams the whole image at once"


@dataclass(frozen=True)
class ReceptiveField:
    """How a layer looks at an image.

    Attributes
    ----------
    stride : int
        Pixels from one place of the layer to the next.
    radius : int
        Pixels from a place's own pixel, which is its index times the stride, to the
        farthest pixel it depends on.
    period : int
        Cutting so many pixels off the front of an image shifts the layer's output
        and changes nothing else. The stride, or a multiple of it where the network
        goes coarser in between and comes back.
    """

    stride: int
    radius: int
    period: int


def receptive_field(model: nn.Module, layer: str) -> ReceptiveField:
    """Measure how far a layer sees.

    Parameters
    ----------
    model : nn.Module
        Any network that takes images (B, 3, H, W); it is copied and never touched.
    layer : str
        Name of the layer.

    Returns
    -------
    ReceptiveField
        Its stride, radius and period; where rows and columns differ the larger.

    Raises
    ------
    ConfigError
        If there is no such layer, or if it has no finite radius: it stands behind a
        global operation, which the message names. Also if it does not look at all
        parts of an image in the same way.

    Notes
    -----
    One row of pixels is made NaN, and NaN comes out wherever a number depends on it:
    no weight cancels it, no pooling drops it, no unit is too dead to pass it on. That
    is the support of the gradient for almost all weights, in a forward pass. Probes
    are strips, long in one direction, in float64, whose convolutions take no
    shortcuts (Winograd's would spread the NaN). A bilinear interpolation counts as
    seeing both neighbors also where the weight of one is zero.
    """
    fields = [FieldProbe(model, layer, axis).field() for axis in (0, 1)]
    if fields[0].stride != fields[1].stride:
        raise ConfigError(
            f"layer {layer!r} has {fields[0].stride} px from row to row but "
            f"{fields[1].stride} from column to column; {NO_TILES}"
        )
    return ReceptiveField(
        fields[0].stride,
        max(field.radius for field in fields),
        math.lcm(*(field.period for field in fields)),
    )


class FieldProbe:
    """A copy of a network that is asked what one of its layers sees along one axis."""

    def __init__(self, model: nn.Module, layer: str, axis: int) -> None:
        network = private_copy(model, [layer])
        self.network = network.to(device="cpu", dtype=torch.float64)
        self.layer = layer
        self.axis = axis
        self.width = self._narrowest()

    def _narrowest(self) -> int:
        """Find the narrowest strips that the network takes."""
        for width in WIDTHS:
            try:
                output = self._read(torch.zeros(1, 3, FIRST_LENGTH, width))
            except ConfigError as error:
                refused = error
                continue
            if output.ndim == 4:
                return width
            raise ConfigError(
                f"layer {self.layer!r} gives no map of places, so it cannot be "
                f"dreamed in tiles; {NO_TILES}, or an earlier layer"
            )
        raise ConfigError(
            f"layer {self.layer!r} cannot be dreamed in tiles, because the network "
            f"takes no strips of {FIRST_LENGTH}x{WIDTHS[-1]} px ({refused}); {NO_TILES}"
        )

    @torch.no_grad()
    def _read(self, strips: Tensor) -> Tensor:
        images = strips.double()
        images = images.transpose(2, 3) if self.axis == 1 else images
        return read(self.network, images, [self.layer])[self.layer]

    def _output(self, strips: Tensor) -> Tensor:
        """Return the layer's output, (B, C, places along the axis, places across)."""
        output = self._read(strips)
        return output.transpose(2, 3) if self.axis == 1 else output

    def _strips(self, num: int, length: int) -> Tensor:
        return torch.full((num, 3, length, self.width), 0.5)

    def _poisoned(
        self, length: int, blocks: list[range]
    ) -> Iterator[tuple[range, int, int]]:
        """Yield each block of rows with the first and last place that depend on it."""
        at_once = max(1, PIXELS_AT_ONCE // (length * self.width))
        for start in range(0, len(blocks), at_once):
            part = blocks[start : start + at_once]
            strips = self._strips(len(part), length)
            for strip, rows in zip(strips, part, strict=True):
                strip[:, rows.start : rows.stop] = math.nan
            seen = self._output(strips).isnan().any(dim=1).any(dim=2)  # (n, places)
            for rows, places in zip(part, seen, strict=True):
                if bool(places.any()):  # a stride may step over a row
                    index = places.nonzero()
                    yield rows, int(index[0]), int(index[-1])

    def field(self) -> ReceptiveField:
        """Measure the layer along the axis."""
        stride, bound = self._coarse()
        period = self._period(stride, bound)
        middle = -(-(bound + period) // period) * period
        rows = [range(r, r + 1) for r in range(middle, middle + period)]
        length = 2 * middle + period
        radius = 0
        for row, first, last in self._poisoned(length, rows):
            radius = max(radius, row.start - stride * first, stride * last - row.start)
        return ReceptiveField(stride, radius, period)

    def _coarse(self) -> tuple[int, int]:
        """Return the stride, and a bound on the radius for any phase of the layer."""
        length = FIRST_LENGTH
        while length <= LAST_LENGTH:
            middle = range((length - BLOCK) // 2, (length + BLOCK) // 2)
            places = self._output(self._strips(1, length)).shape[2]
            more = self._output(self._strips(1, 2 * length)).shape[2] - places
            for _, first, last in self._poisoned(length, [middle]):
                if more > 0 and first > 0 and last < places - 1:
                    stride = max(1, round(length / more))
                    slack = SHIFTS[-1] * stride
                    return stride, slack + max(
                        middle.start - stride * first, stride * last - middle.stop
                    )
            length *= 2
        raise ConfigError(self._why_global())

    def _period(self, stride: int, bound: int) -> int:
        """Find by how many pixels the image must shift for the layer to follow."""
        unit = math.lcm(*SHIFTS) * stride
        length = -(-(2 * bound + 2 * unit) // unit) * unit
        whole = self._output(self._noise(length))
        for shift in SHIFTS:
            if self._follows(whole, length, shift * stride, stride, bound):
                return shift * stride
        raise ConfigError(
            f"layer {self.layer!r} does not see all parts of an image in the same "
            f"way; {NO_TILES}"
        )

    def _noise(self, length: int) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.rand(
            1, 3, length, self.width, generator=generator, dtype=torch.float64
        )

    def _follows(
        self, whole: Tensor, length: int, cut: int, stride: int, radius: int
    ) -> bool:
        """Compare a strip with one that begins `cut` px later."""
        part = self._output(self._noise(length)[:, :, cut:])
        if whole.shape[2] - part.shape[2] != cut // stride:
            return False
        first = -(-(cut + radius) // stride)
        return _same(whole[:, :, first:], part[:, :, first - cut // stride :])

    def places(self, side: int, field: ReceptiveField) -> int:
        """Count the places of a side, and check that its tiles fit together."""
        stride, period = field.stride, field.period
        halo = -(-field.radius // period) * period
        rest = side % period
        even = 2 * halo + 4 * period
        length = even + rest
        whole = self._output(self._noise(length))
        begins = self._follows(whole, length, period, stride, field.radius)
        part = self._output(self._noise(length)[:, :, : even - period])
        last = (even - period - halo) // stride
        if not begins or not _same(whole[:, :, :last], part[:, :, :last]):
            raise ConfigError(
                f"layer {self.layer!r} goes coarser and comes back by a ratio that "
                f"depends on the side, so tiles of {side} px do not fit together; use "
                f"sides that are multiples of {period} px, or tile=0, which dreams "
                "the whole image at once"
            )
        return whole.shape[2] + (side - length) // stride

    def _why_global(self) -> str:
        """Name the first module that sees all of the longest strip."""
        names = {module: name for name, module in self.network.named_modules() if name}
        found: list[str] = []

        def _note(module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and module in names and not found:
                spoiled = output.isnan()
                if output.ndim == 4:
                    spoiled = spoiled.any(dim=1)
                if bool(spoiled.all()):
                    found.append(names[module])

        strip = self._strips(1, LAST_LENGTH)
        strip[:, :, LAST_LENGTH // 2] = math.nan
        with register_module_forward_hook(_note):
            self._output(strip)
        where = f" (the first to see it is {found[0]!r})" if found else ""
        return (
            f"layer {self.layer!r} cannot be dreamed in tiles, because each of its "
            f"places depends on the whole image{where}; {NO_TILES}, or an earlier layer"
        )


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or not one.numel():
        return False
    return bool((one - other).abs().max() <= SAME * one.abs().max())
