"""Light within circles and ellipses, its radii, moments, Gini and M20; in batches."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

ETA = 0.2  # of the Petrosian radius, as Lotz et al. (2004) have it
RING_PX = 1.0  # width of the annuli of the Petrosian ratio
PLACES = 100  # where the ratio is looked at first
BIN_PX = 0.5
SAMPLES = 3  # a side, within a pixel, for ellipses; circles look twice and need fewer


@dataclass(frozen=True, eq=False)
class Light:
    """Images above the sky, and which of their pixels count."""

    planes: Tensor

    @classmethod
    def above(cls, images: Tensor, sky: Tensor, valid: Tensor) -> "Light":
        """Take the sky off."""
        values = (images - sky[:, None, None]) * valid
        return cls(torch.stack((values, valid.to(values.dtype)), dim=1))

    @property
    def values(self) -> Tensor:
        """Return the light."""
        return self.planes[:, 0]

    @property
    def valid(self) -> Tensor:
        """Return the pixels that count."""
        return self.planes[:, 1]

    def near(
        self, x: Tensor, y: Tensor, reach: float
    ) -> tuple["Light", Tensor, Tensor]:
        """Cut out what lies around the centers."""
        height, width = self.planes.shape[-2:]
        half = math.ceil(reach) + 1
        if 2 * half + 1 >= min(height, width):
            return self, x, y
        left, top = x.round().long() - half, y.round().long() - half
        places = torch.arange(2 * half + 1, device=x.device)
        columns, rows = left[:, None] + places, top[:, None] + places
        inside = ((rows >= 0) & (rows < height))[:, :, None]
        inside = inside & ((columns >= 0) & (columns < width))[:, None, :]
        index = rows.clamp(0, height - 1)[:, :, None] * width
        index = (index + columns.clamp(0, width - 1)[:, None, :]).flatten(1)
        index = index[:, None].expand(-1, 2, -1)
        cut = self.planes.flatten(2).gather(2, index)
        cut = cut.reshape(-1, 2, *inside.shape[1:])
        return Light(cut * inside[:, None]), x - left, y - top


def pixel_offsets(x: Tensor, y: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Return where pixels lie as seen from a center."""
    height, width = size[-2:]
    right = torch.arange(width, dtype=x.dtype, device=x.device) - x[:, None]
    down = torch.arange(height, dtype=y.dtype, device=y.device) - y[:, None]
    return right[:, None, :], down[:, :, None]


def circle_overlap(x: Tensor, y: Tensor, radius: Tensor, size: torch.Size) -> Tensor:
    """Return which share of each pixel lies within a circle, exactly."""
    corners = _corner_areas(x, y, radius[:, None], size)[:, 0]
    return corners.diff(dim=1).diff(dim=2).clamp(0, 1)


def _corner_areas(x: Tensor, y: Tensor, radii: Tensor, size: torch.Size) -> Tensor:
    """Find the area of circles in the rectangle from their center to a pixel corner."""
    grown = torch.Size((size[-2] + 1, size[-1] + 1))
    right, down = pixel_offsets(x + 0.5, y + 0.5, grown)
    r = radii[..., None, None].clamp(min=1e-9)
    u = right[:, None].clamp(-r, r)
    v = down[:, None].clamp(-r, r)
    inside = u.square() + v.square() <= r.square()
    beyond = _half_segment(u, r) + _half_segment(v, r) - math.pi / 4 * r.square()
    return torch.where(inside, u * v, beyond * u.sign() * v.sign())


def _half_segment(u: Tensor, r: Tensor) -> Tensor:
    """Find the area under the upper half of a circle from its axis to u, unsigned."""
    u = u.abs()
    root = (r.square() - u.square()).clamp(min=0).sqrt()
    return 0.5 * (u * root + r.square() * (u / r).clamp(max=1).asin())


def enclosed(
    light: Light, x: Tensor, y: Tensor, radii: Tensor
) -> tuple[Tensor, Tensor]:
    """Sum up the light within concentric circles, cutting pixels exactly."""
    light, x, y = light.near(x, y, float(radii.max()))
    corners = _corner_areas(x, y, radii, light.planes.shape)
    # Summation by parts: differences of the image once, areas at corners per radius.
    steps = F.pad(light.planes, (1, 1, 1, 1)).diff(dim=2).diff(dim=3)
    light_in, area_in = torch.bmm(corners.flatten(2), steps.flatten(2).mT).unbind(2)
    return light_in, area_in


def growth(
    light: Light, x: Tensor, y: Tensor,
    shape: tuple[Tensor, Tensor], samples: int = SAMPLES,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Sum up the light within concentric ellipses, on sampled pixels."""
    planes = light.planes
    elongation, theta = (value[:, None, None] for value in shape)
    right, down = pixel_offsets(x, y, planes.shape)
    num_bins = math.ceil(math.hypot(*planes.shape[-2:]) / BIN_PX)
    sums = planes.new_zeros(2, len(planes), num_bins + 1)
    steps = [(i + 0.5) / samples - 0.5 for i in range(samples)]
    for dy in steps:
        for dx in steps:
            along = (right + dx) * theta.cos() + (down + dy) * theta.sin()
            across = (down + dy) * theta.cos() - (right + dx) * theta.sin()
            a = along.hypot(across * elongation)
            index = (a / BIN_PX).long().clamp_(max=num_bins).flatten(1)
            for total, plane in zip(sums, planes.unbind(1), strict=True):
                total.scatter_add_(1, index, plane.flatten(1))
    light_in, area_in = F.pad((sums[..., :-1] / samples**2).cumsum(dim=-1), (1, 0))
    a = torch.arange(num_bins + 1, dtype=planes.dtype, device=planes.device) * BIN_PX
    return a, light_in, area_in


def petrosian(
    light: Light, x: Tensor, y: Tensor, shape: tuple[Tensor, Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Find the Petrosian radius."""
    # Where the mean light in an annulus 1 px wide falls to 0.2 of the mean within it
    # (Lotz et al. 2004, AJ 128, 163, eq. 4), the first time on the way out. As in
    # statmorph a hundred places from 1 px to the diagonal of the frame are tried first,
    # since every further look finds more dips that are noise. Circles cut pixels
    # exactly, ellipses by 3 x 3 samples in a pixel.
    round_ = torch.ones_like(x), torch.zeros_like(x)
    samples = 2 if shape is None else SAMPLES
    a, *sums = growth(light, x, y, shape or round_, samples)
    half = round(RING_PX / 2 / BIN_PX)
    a = a[half:-half]
    edges = (slice(None, -2 * half), slice(half, -half), slice(2 * half, None))
    ratio = _petrosian_ratio(*([s[:, edge] for edge in edges] for s in sums))
    farthest = math.hypot(*light.planes.shape[-2:]) * (shape or round_)[0]
    share = torch.linspace(0, 1, PLACES, dtype=a.dtype, device=a.device)
    places = RING_PX + (farthest - RING_PX)[:, None] * share
    places = ((places - a[0]) / BIN_PX).round().long().clamp(max=len(a) - 1)
    fallen = ratio.gather(1, places) < ETA
    found = fallen.any(dim=1) & ~fallen[:, 0]
    last = places.gather(1, fallen.int().argmax(dim=1, keepdim=True).clamp(min=1) - 1)
    bins = torch.arange(len(a), device=a.device)
    index = ((ratio < ETA) & (bins > last)).int().argmax(dim=1).clamp(min=1)
    if shape is not None:
        low, high = (ratio.gather(1, (index + i)[:, None])[:, 0] for i in (-1, 0))
        radius = a[index - 1] + BIN_PX * ((low - ETA) / (low - high)).clamp(0, 1)
        return radius.where(found, torch.nan), found

    def _above(radii: Tensor) -> Tensor:
        offsets = radii.new_tensor([-RING_PX / 2, 0, RING_PX / 2])
        edges = (radii[..., None] + offsets).flatten(1)
        sums = (s.reshape(len(s), -1, 3) for s in enclosed(light, x, y, edges))
        return _petrosian_ratio(*(s.unbind(2) for s in sums)) - ETA

    low, high = a[index - 1] - BIN_PX, a[index] + BIN_PX
    radius = root(_above, low[:, None], high[:, None])[:, 0]
    return radius.where(found, torch.nan), found


def _petrosian_ratio(
    light: list[Tensor] | tuple[Tensor, ...], area: list[Tensor] | tuple[Tensor, ...]
) -> Tensor:
    """Divide the mean in a ring by that within its middle; zero beyond the frame."""
    ring = (light[2] - light[0]) / (area[2] - area[0])
    ratio: Tensor = ring / (light[1] / area[1])
    return ratio.nan_to_num(0.0, 0.0, 0.0)


def root(
    function: Callable[[Tensor], Tensor], low: Tensor, high: Tensor, rounds: int = 4
) -> Tensor:
    """Find where functions fall through zero."""
    # The Illinois method (Dowell & Jarratt 1971, BIT 11, 168): a straight line through
    # both ends, in which an end that stays counts half.
    above, below = function(low), function(high)
    kept = torch.zeros_like(low)
    for i in range(rounds + 1):
        part = (above / (above - below)).nan_to_num(0.5).clamp(0, 1)
        middle = low + (high - low) * part
        if i == rounds:
            break
        value = function(middle)
        rises = value > 0
        # +1 where the upper end has stayed once already, -1 for the lower one.
        below = torch.where(rises, torch.where(kept > 0, below / 2, below), value)
        above = torch.where(rises, value, torch.where(kept < 0, above / 2, above))
        low, high = torch.where(rises, middle, low), torch.where(rises, high, middle)
        kept = torch.where(rises, 1.0, -1.0).to(low)
    return middle


def radii_of_shares(
    light: Light, x: Tensor, y: Tensor, total_radius: Tensor, shares: tuple[float, ...]
) -> Tensor:
    """Find the circles that hold shares of the light."""
    total, _ = enclosed(light, x, y, total_radius[:, None])
    wanted = total * total.new_tensor(shares)
    round_ = torch.ones_like(x), torch.zeros_like(x)
    a, light_in, _ = growth(light, x, y, round_, samples=1)
    index = (light_in[:, None] > wanted[..., None]).int().argmax(dim=2).clamp(min=1)

    def _missing(radii: Tensor) -> Tensor:
        return wanted - enclosed(light, x, y, radii)[0]

    low, high = (a[index - 1] - 2 * BIN_PX).clamp(min=0), a[index] + 2 * BIN_PX
    return root(_missing, low, high, rounds=6).where(total > 0, torch.nan)


BRIGHTEST = 0.2  # share of the light that M20 looks at


def centroid(light: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean place of the light."""
    total = light.sum(dim=(1, 2))
    total = total.where(total > 0, torch.nan)
    zero = torch.zeros_like(total)
    right, down = pixel_offsets(zero, zero, light.shape)
    x, y = ((light * axis).sum(dim=(1, 2)) / total for axis in (right, down))
    return x, y


def ellipse(light: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Measure ellipticity and orientation from second moments."""
    # The ellipse with the same second moments (Bertin & Arnouts 1996, A&AS 117, 393).
    right, down = pixel_offsets(x, y, light.shape)
    total = light.sum(dim=(1, 2))
    xx, yy, xy = (
        (light * product).sum(dim=(1, 2)) / total
        for product in (right**2, down**2, right * down)
    )
    mean, spread = (xx + yy) / 2, ((xx - yy) / 2).hypot(xy)
    axes = torch.stack((mean + spread, mean - spread)).abs().sqrt()
    ratio = axes.amin(dim=0) / axes.amax(dim=0)
    return 1 - ratio, 0.5 * torch.atan2(2 * xy, xx - yy)


def gini(light: Tensor, segmentation: Tensor) -> Tensor:
    """Measure how unequally light is shared out among pixels."""
    # Lotz et al. (2004, AJ 128, 163), eq. 6, with their absolute values.
    values = light.abs().where(segmentation, -1.0).flatten(1).sort(dim=1).values
    num = segmentation.sum(dim=(1, 2))
    places = torch.arange(1, values.shape[1] + 1, device=light.device)
    rank = places - (values.shape[1] - num)[:, None]  # the galaxy's come last
    values = values.clamp(min=0)
    weighted = ((2 * rank - num[:, None] - 1) * values).sum(dim=1)
    total = values.sum(dim=1)
    return (weighted / ((num - 1) * total)).where((num > 1) & (total > 0), torch.nan)


def m20(light: Tensor, segmentation: Tensor) -> Tensor:
    """Measure how far out the brightest fifth of the light is."""
    # Lotz et al. (2004, AJ 128, 163), eq. 7-8. The moments are about the centroid,
    # which makes that of all light the least.
    light = light * segmentation
    x, y = centroid(light)
    right, down = pixel_offsets(x, y, light.shape)
    moments = light * (right.square() + down.square())
    values = light.flatten(1).sort(dim=1).values
    fainter = values.cumsum(dim=1)
    reached = fainter >= (1 - BRIGHTEST) * fainter[:, -1:]
    faintest = values.gather(1, reached.int().argmax(dim=1, keepdim=True))
    bright = light >= faintest[:, :, None]
    share = (moments * bright).sum(dim=(1, 2)) / moments.sum(dim=(1, 2))
    return share.where(share > 0, torch.nan).log10()
