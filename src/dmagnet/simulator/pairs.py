"""The same galaxy with one thing changed: exact counterfactuals, and their places."""

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from dmagnet.errors import ConfigError
from dmagnet.pictures.bands import legacy_rgb
from dmagnet.simulator.dice import Dice
from dmagnet.simulator.grid import PIXEL_ARCSEC, Grid
from dmagnet.simulator.scene import Change, Members, light_of_galaxies, margin_px
from dmagnet.simulator.sky import add_neighbors, add_stars, blur, draw_seeing
from dmagnet.simulator.truth import Discs, EdgeOns, Spheroids, get, put

FAINTEST = 0.035  # of white: where pictures.standard takes a galaxy to end
LEAST_SHARE = 0.15  # of the light at a place that a bar or arms must have added
DECIDED = ("owner", "label", "smooth", "second")  # who is drawn: no parameters
ARMS = ("arms.strength", "arms.ring", "arms.knots", "arms.dust")
COMPONENTS = (
    *("bulge", "bar", "arms", "knots", "dust", "tides", "companion"),
    *("neighbor", "star", "sky"),
)
Value = float | Callable[[Tensor], Tensor]


def parameter_names() -> tuple[str, ...]:
    """Name what `with_parameter` can change.

    Returns
    -------
    tuple of str
        Fields of `Members` and of the records of `dmagnet.simulator.truth`; those of
        a record within one follow its name and a dot: ``bars.share``.
    """
    names = [
        name
        for record in (Members, Spheroids, Discs, EdgeOns)
        for name in _field_names(record)
        if name not in DECIDED
    ]
    return tuple(dict.fromkeys(names))


def _field_names(record: Any) -> list[str]:
    names = []
    for field in fields(record):
        inner = _field_names(field.type) if is_dataclass(field.type) else []
        names += [f"{field.name}.{name}" for name in inner] or [field.name]
    return names


def with_parameter(name: str, value: Value) -> Change:
    """Change one parameter of every galaxy that has it.

    Parameters
    ----------
    name : str
        One of `parameter_names`.
    value : float or callable
        The new value, in the unit of the record, or what makes it of the old ones.

    Returns
    -------
    callable
        The ``change`` of `dmagnet.simulator.draw`.

    Raises
    ------
    ConfigError
        If the simulator has no such parameter (the message lists those it has), or if
        the value is not finite.

    Examples
    --------
    >>> from dmagnet.simulator import draw
    >>> labels = torch.tensor([5])
    >>> change = with_parameter("bars.share", 0.0)
    >>> draw(labels, generator=torch.Generator(), change=change).shape
    torch.Size([1, 3, 256, 256])
    """
    if name not in (known := parameter_names()):
        raise ConfigError(
            f"no parameter {name!r} in the simulator; it has: {', '.join(known)}"
        )
    if not callable(value) and not math.isfinite(value):
        raise ConfigError(f"{name}: expected a finite value, got {value}")

    def _change(_labels: Tensor, galaxies: Any) -> Any:
        if name not in _field_names(galaxies):
            return galaxies
        old = get(galaxies, name)
        new = value(old) if callable(value) else torch.full_like(old, value)
        return put(galaxies, name, new)

    return _change


def together(*changes: Change) -> Change:
    """Make one change of several, one after the other.

    Parameters
    ----------
    *changes : callable
        As `with_parameter` makes them; none leave galaxies as they are.

    Returns
    -------
    callable
        The ``change`` of `dmagnet.simulator.draw`.
    """

    def _all(labels: Tensor, galaxies: Any) -> Any:
        for change in changes:
            galaxies = change(labels, galaxies)
        return galaxies

    return _all


def without(*names: str) -> Change:
    """Set parameters to zero."""
    return together(*(with_parameter(name, 0.0) for name in names))


def components(
    labels: Tensor,
    *,
    image_size: int = 256,
    field: float = 1.0,
    generator: torch.Generator,
) -> dict[str, Tensor]:
    """Draw what galaxies and their frames are made of, part by part.

    Parameters
    ----------
    labels : (B,) int in {0, ..., 9}
        Class of each galaxy; see `dmagnet.classes`.
    image_size : int, from 128
        Side of the images in pixels.
    field : float in (0, 1]
        As of `draw`.
    generator : torch.Generator
        As it is before `draw` draws these galaxies; it is not moved on.

    Returns
    -------
    dict of str to (B, H, W) float32 in [0, 1]
        For each of `COMPONENTS` its share of the light at a place; of dust the share
        that it takes away. The sky is 1 where all light together is too faint to be
        told from it, and all others are 0 there.

    Notes
    -----
    Each is the exact difference of two scenes that differ in it alone, through the
    seeing of its frame, without noise. Arms are what the disc has above its mean along
    a circle; a companion's bulge is both. Plain discs and smooth galaxies are none.
    """
    grid = Grid.of_frame(image_size, labels.device, field)

    def _scene(*changes: Change) -> Tensor:
        return scene_light(labels, grid, generator, *changes)

    old = with_parameter("colors", lambda c: c * c.new_tensor([1.0, 0.0, 0.0]))
    clear = without("arms.dust", "dust")
    round_disc = without("arms.strength", "arms.ring")
    galaxy, old_stars, dustless = _scene(), _scene(old), _scene(clear)
    light = {
        "bulge": old_stars - _scene(old, without("bulge_share")),
        "bar": old_stars - _scene(old, without("bars.share")),
        "arms": dustless - _scene(clear, round_disc),
        "knots": galaxy - _scene(without("arms.knots", "knots")),
        "dust": dustless - galaxy,
        "tides": galaxy - _scene(without("tides.share")),
        "companion": galaxy - _scene(without("companion")),
    }
    company, fwhm, beta = _company(labels, grid, generator)
    light |= company
    whole = galaxy + company["neighbor"] + company["star"]
    seen = legacy_rgb(blur(whole, fwhm, beta)) - legacy_rgb(torch.zeros_like(whole[:1]))
    seen = (seen.mean(dim=1) > FAINTEST).float()

    def _mean(part: Tensor) -> Tensor:  # the seeing of r stands for all three: to 9 %
        part = part.clamp(min=0).mean(dim=1, keepdim=True)
        return blur(part, fwhm[:, 1:2], beta[:, 1:2])[:, 0]

    total = _mean(whole).clamp(min=1e-9)
    own = {name: _mean(part) for name, part in light.items()}
    own["dust"] = own["dust"] / (1 + own["dust"] / total)  # of what was there before it
    shares = {name: (part / total).clamp(0, 1) * seen for name, part in own.items()}
    return {**shares, "sky": 1 - seen}


def scene_light(
    labels: Tensor, grid: Grid, generator: torch.Generator, *changes: Change
) -> Tensor:
    """Draw the galaxies before the atmosphere, in nanomaggies a survey pixel."""
    state, change = generator.get_state(), together(*changes)
    dice = Dice(generator, len(labels), labels.device)
    light = light_of_galaxies(labels, grid, dice, change)
    generator.set_state(state)
    return light * PIXEL_ARCSEC**2


def _company(
    labels: Tensor, grid: Grid, generator: torch.Generator
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Draw the neighbors and stars of the same frames; FWHM in px, Moffat's beta."""
    state = generator.get_state()
    dice = Dice(generator, len(labels), labels.device)
    unused = light_of_galaxies(labels, grid, dice)  # moves the dice on
    margin = margin_px(grid)
    wider, inside = grid.wider(margin), slice(margin, -margin)
    light = {}
    for name, add in (("neighbor", add_neighbors), ("star", add_stars)):
        drawn = unused.new_zeros(len(labels), 3, wider.size, wider.size)
        add(drawn, wider, dice)
        light[name] = drawn[..., inside, inside] * PIXEL_ARCSEC**2
    fwhm, beta = draw_seeing(dice)
    generator.set_state(state)
    return light, fwhm / grid.scale, beta
