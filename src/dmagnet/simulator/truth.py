"""The true parameters of a batch of simulated galaxies.

All values are (N,) tensors unless a comment says otherwise; lengths are in arcsec,
angles in radians, fluxes in nanomaggies.
"""

from dataclasses import dataclass, fields, is_dataclass, replace
from operator import attrgetter
from typing import Any, TypeVar

from torch import Tensor

from dmagnet.simulator.grid import Pose

Record = TypeVar("Record")


def pick(
    record: Record, chosen: Tensor | slice | tuple[int | slice | None, ...]
) -> Record:
    """Return some rows of a record, and of the records within it."""
    values = {}
    for entry in fields(record):  # type: ignore[arg-type]
        value = getattr(record, entry.name)
        inner = is_dataclass(value)
        values[entry.name] = pick(value, chosen) if inner else value[chosen]
    return type(record)(**values)


def get(record: Any, name: str) -> Any:
    """Read a parameter of a record, or of one within it: ``bars.share``."""
    return attrgetter(name)(record)


def put(record: Record, name: str, value: Any) -> Record:
    """Change a parameter; gradients pass."""
    first, _, rest = name.partition(".")
    inner = put(getattr(record, first), rest, value) if rest else value
    return replace(record, **{first: inner})  # type: ignore[type-var]


@dataclass(frozen=True)
class Spheroids:
    """Smooth galaxies of one Sersic profile each."""

    pose: Pose
    axis_ratio: Tensor
    r_e: Tensor
    n: Tensor
    flux: Tensor  # (N, 3) g, r, z


@dataclass(frozen=True)
class Bars:
    """Flat bars in the plane of a disc; `share` is of the galaxy's light."""

    share: Tensor
    length: Tensor
    width: Tensor
    boxiness: Tensor
    angle: Tensor


@dataclass(frozen=True)
class Arms:
    """Logarithmic spirals in the plane of a disc, and a ring."""

    number: Tensor
    winding: Tensor  # 1 / tan(pitch), signed
    phase: Tensor
    strength: Tensor
    sharpness: Tensor  # of the von Mises ridge
    start: Tensor  # radius where the arms begin
    end: Tensor
    uneven: Tensor  # how much one side is stronger
    ragged: Tensor  # radians of random phase: flocculence
    bumps: Tensor  # (N, 22, 22) where that phase goes astray
    knots: Tensor  # share of the young light in star-forming regions
    ring: Tensor  # strength of a ring at `start`
    dust: Tensor  # optical depth in g along the inner edge of the arms


@dataclass(frozen=True)
class Tides:
    """Faint streams, arcs and plumes around a disc: (N, F), F features each."""

    share: Tensor
    radius: Tensor
    width: Tensor
    angle: Tensor
    sharpness: Tensor
    winding: Tensor


@dataclass(frozen=True, kw_only=True)
class AnyDisc:
    """What all disc galaxies have."""

    pose: Pose
    scale_length: Tensor
    flux: Tensor  # (N,) r band, all components
    bulge_share: Tensor
    bulge_r_e: Tensor
    bulge_n: Tensor
    break_radius: Tensor  # beyond it the disc falls twice as fast
    young_share: Tensor  # of the disc's light
    colors: Tensor  # (N, 3 bands, 3) flux over r flux: old, disc, young


@dataclass(frozen=True, kw_only=True)
class Discs(AnyDisc):
    """Disc galaxies that are not edge-on; see `Arms`, `Bars`, `Tides`."""

    axis_ratio: Tensor
    bulge_shift: Tensor  # (N, 2) from the disc's center
    hole: Tensor  # share of the disc's light that is missing within the bar
    lopsided: Tensor
    lopsided_angle: Tensor
    twist: Tensor  # radians by which the isophotes turn per scale length
    bow: Tensor  # how far the disc bends aside, in scale lengths one of them out
    patchy: Tensor  # scatter of the young light in e-folds, in bumps of 3 arcsec
    bars: Bars
    arms: Arms
    tides: Tides


@dataclass(frozen=True, kw_only=True)
class EdgeOns(AnyDisc):
    """Disc galaxies seen from the side."""

    scale_height: Tensor
    bulge_axis_ratio: Tensor
    warp: Tensor
    dust: Tensor
    dust_shift: Tensor
    knots: Tensor
