"""Dreams in the space of galaxies: every step is a galaxy that the simulator draws."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmagnet.config.checks import settled
from dmagnet.config.dream_config import GalaxyConfig
from dmagnet.dreaming.objectives import Objective
from dmagnet.dreaming.octaves import DreamFrame
from dmagnet.dreaming.scorer import Scorer, check_gradient
from dmagnet.dreaming.sheets import to_bytes
from dmagnet.dreaming.targets import Network, Target
from dmagnet.errors import ConfigError
from dmagnet.pictures.bands import legacy_rgb
from dmagnet.pictures.inputs.framing import framed
from dmagnet.pictures.standard import CONTRAST, RADII, SKY, find_extent
from dmagnet.simulator.dice import Dice
from dmagnet.simulator.grid import PIXEL_ARCSEC, Grid
from dmagnet.simulator.parameters import (
    PARAMETERS,
    Galaxy,
    Parameter,
    draw_neutral,
    light_of,
    values_of,
    with_values,
)
from dmagnet.simulator.scene import as_jpeg
from dmagnet.simulator.sky import add_noise, blur, draw_seeing
from dmagnet.storage.records import brief

GALAXY = GalaxyConfig()
MEASURED_PX, FRAME_PX = 128, 256  # of a frame of 67 arcsec, to measure and to judge
INSIDE = 0.02  # of its range that a parameter keeps from its limits at the start
NIGHTS = 4  # pictures of each galaxy that are judged
SHOWN = (0.0, 0.25, 0.5, 1.0)  # of the way
CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class GalaxyFrame(DreamFrame):
    """Galaxies after some steps, with their scores then.

    Attributes
    ----------
    parameters : dict of (B,) Tensor
        In the units of `dmagnet.simulator.parameters.PARAMETERS`; lengths in scale
        lengths.
    pixel_arcsec : (B,) Tensor
        Side of a pixel of the pictures.
    galaxies : tuple of record
        What was drawn, to be drawn elsewhere.
    """

    parameters: dict[str, Tensor]
    pixel_arcsec: Tensor
    galaxies: tuple[Galaxy, ...]

    __repr__ = brief


class Camera:
    """Takes galaxies as a network sees them; each picture is of another night."""

    def __init__(self, side: int, radii: float | None, seed: int) -> None:
        self.side, self.radii = side, radii
        self.generator = torch.Generator().manual_seed(seed)

    def _exposed(self, light: Tensor, grid: Grid) -> Tensor:
        dice = Dice(self.generator, len(light), CPU)
        fwhm, beta = draw_seeing(dice)
        flux = blur(light, fwhm / grid.scale, beta) * PIXEL_ARCSEC**2
        return legacy_rgb(add_noise(flux, grid, dice))

    def views(
        self, galaxy: Galaxy, num: int, *, framed_on: Galaxy | None = None
    ) -> tuple[Tensor, float]:
        """Draw the network's view itself; gradients pass, but not to its frame."""
        grid = Grid.of_frame(self.side, CPU)
        sky, gain = torch.zeros(3), 1.0
        if self.radii is not None:
            frame = Grid.of_frame(MEASURED_PX, CPU)
            with torch.no_grad():
                whole = self._exposed(light_of(framed_on or galaxy, frame), frame)
            extent = find_extent(to_bytes(whole[0]))
            sky, gain = torch.from_numpy(extent.sky), extent.gain
            side_arcsec = self.radii * extent.radius * frame.scale
            grid = Grid(self.side, side_arcsec / self.side, CPU)
        light = light_of(galaxy, grid).expand(num, -1, -1, -1)
        seen = self._exposed(light, grid)
        if self.radii is not None:
            above = seen - sky[:, None, None]
            seen = (above * (gain * CONTRAST) + SKY).clamp(0, 1)
        return seen, grid.scale

    @torch.no_grad()
    def pictures(self, galaxy: Galaxy, num: int) -> Tensor:
        """Draw whole frames, as JPEG, and frame them as classify does."""
        grid = Grid.of_frame(FRAME_PX, CPU)
        light = light_of(galaxy, grid).expand(num, -1, -1, -1)
        drawn = (self._exposed(light, grid) * 255).round().to(torch.uint8)
        drawn = as_jpeg(drawn, grid, Dice(self.generator, num, CPU))
        seen = [
            framed(rgb, self.side, 1.0, None, radii=self.radii).rgb
            for rgb in drawn.permute(0, 2, 3, 1).contiguous().numpy()
        ]
        return torch.from_numpy(np.stack(seen)).permute(0, 3, 1, 2) / 255


def free_parameters(kind: str, names: tuple[str, ...]) -> dict[str, Parameter]:
    """Choose what may climb in galaxies of a kind."""
    if kind not in PARAMETERS:
        raise ConfigError(f"kinds: expected {', '.join(PARAMETERS)}, got {kind!r}")
    own = PARAMETERS[kind]
    for name in names:
        if not any(name in each for each in PARAMETERS.values()):
            raise ConfigError(
                f"parameters: the simulator has no {name!r}; a galaxy of kind {kind} "
                f"has {', '.join(own)}"
            )
    return {name: own[name] for name in own if name in names or not names}


def kinds_of(config: GalaxyConfig) -> list[str]:
    """List the kinds that have any of the free parameters."""
    kinds = [k for k in config.kinds if free_parameters(k, config.parameters)]
    if not kinds:
        there = "; ".join(f"{k} has {', '.join(PARAMETERS[k])}" for k in config.kinds)
        raise ConfigError(
            f"parameters: no galaxy of kind {' or '.join(config.kinds)} has "
            f"{' or '.join(config.parameters)}; {there}"
            if config.kinds
            else f"kinds: expected one or more of {', '.join(PARAMETERS)}, got none"
        )
    return kinds


def galaxy_frames(
    model: nn.Module,
    objective: Objective,
    *,
    kind: str = "disc",
    galaxies: Sequence[Galaxy] = (),
    side: int = 128,
    radii: float | None = RADII,
    config: GalaxyConfig = GALAXY,
    **settings: Any,
) -> Iterator[GalaxyFrame]:
    """Climb an objective through the simulator: the parameters of galaxies change.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] in; it is copied and never touched.
    objective : Objective
        What to climb.
    kind : {"disc", "edge-on", "spheroid"}
        Of the galaxies; a disc has arms, a bar and a companion, all of them faint at
        the start.
    galaxies : sequence of record
        Of that kind, one each, to start from, as many as there are; drawn if not given.
    side : int
        Of the view that the network was trained on, in px.
    radii : float or None
        Side of that view in isophotal radii of the galaxy; None for a frame of 67
        arcsec.
    config : GalaxyConfig
        Starts, steps and the rest.
    **settings
        Fields of ``config`` by name, in its place: ``steps=20``...

    Yields
    ------
    GalaxyFrame
        The start, then one for each step.

    Raises
    ------
    ConfigError
        If the simulator has no such kind or parameter, if the network has no such
        layer, if the objective has no gradient, or if a setting is out of range.

    Notes
    -----
    A parameter is a sigmoid between its limits, and climbs by Adam (Kingma & Ba 2015)
    with a cosine schedule. Each galaxy is drawn in the view that the network would
    see: the isophotal radius, the sky and the gain are measured anew at each step in
    the frame of 67 arcsec, and count as constants. Each step has another seeing and
    noise, and turns and flips the picture at random. Angles, colors, the scale length
    and the number of arms stay those of the start. Knots, stars and neighbors are left
    out.
    """
    config = settled(galaxy_frames, config, {**settings, "kinds": (kind,)})
    kinds_of(config)  # refuses a kind without any of the parameters
    free = free_parameters(kind, config.parameters)
    device = next((p.device for p in model.parameters()), CPU)
    camera = Camera(side, radii, config.seed)
    starts = list(galaxies) or [
        draw_neutral(kind, config.seed + i) for i in range(config.starts)
    ]
    limits = torch.tensor([(one.low, one.high) for one in free.values()])
    low, high = limits.T[..., None]
    found = torch.cat([torch.stack([*values_of(s, free).values()]) for s in starts], 1)
    inside = ((found - low) / (high - low)).clamp(INSIDE, 1 - INSIDE)
    climbing = inside.logit().requires_grad_()
    optimizer = torch.optim.Adam([climbing], lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps + 1)
    scorer: Scorer | None = None
    for step in range(config.steps + 1):
        with torch.enable_grad():
            values = low + (high - low) * climbing.sigmoid()
            drawn = [
                camera.views(galaxy, config.nights)
                for galaxy in _changed(starts, free, values)
            ]
            pictures = torch.stack([views for views, _ in drawn])
            seen = _turned(pictures.flatten(0, 1), camera.generator)
        shown = seen.detach().to(device)
        scorer = scorer or Scorer(model, objective, shown)
        scores, slope = scorer.gradient(shown)
        yield GalaxyFrame(
            images=pictures[:, 0].detach(),
            scores=scores.view(len(starts), -1).mean(dim=1),
            octave=0, step=step, octaves=1,
            parameters=dict(zip(free, values.detach(), strict=True)),
            pixel_arcsec=torch.tensor([scale for _, scale in drawn]),
            galaxies=_changed(starts, free, values.detach()),
        )  # fmt: skip
        if step < config.steps:
            check_gradient(slope, scorer.objective)
            (climbing.grad,) = torch.autograd.grad(seen, climbing, -slope.to(CPU))
            optimizer.step()
            schedule.step()


def _changed(
    starts: list[Galaxy], free: dict[str, Parameter], values: Tensor
) -> tuple[Galaxy, ...]:
    """Give each galaxy its column of values."""
    each = [dict(zip(free, column[:, None], strict=True)) for column in values.T]
    return tuple(
        with_values(start, free, own) for start, own in zip(starts, each, strict=True)
    )


def _turned(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn each picture by quarters, and flip it, at random."""
    draws = torch.randint(8, (len(images),), generator=generator).tolist()
    flipped = [i.flip(-1) if d >= 4 else i for i, d in zip(images, draws, strict=True)]
    turned = [i.rot90(d % 4, (1, 2)) for i, d in zip(flipped, draws, strict=True)]
    return torch.stack(turned)


@dataclass(frozen=True, eq=False)
class Climb:
    """Galaxies of one kind on their way."""

    frames: tuple[GalaxyFrame, ...]  # some of the way, from the start to the end
    # of the classes at the start and at the end, (2, B, K), if they have names: means
    # over nights, drawn and framed as classify sees them
    probabilities: NDArray[Any] | None
    judged: NDArray[Any] | None  # the same by another network


def dream_galaxies(
    network: Network,
    target: Target,
    config: GalaxyConfig = GALAXY,
    *,
    judge: Network | None = None,
    count: Callable[[], None] = lambda: None,
) -> dict[str, Climb]:
    """Dream one target in galaxies of each kind; the kind that scores highest first."""
    climbs = {}
    for kind in kinds_of(config):
        wanted = {round(share * config.steps) for share in SHOWN}
        kept = []
        for frame in galaxy_frames(
            network.model, target.objective, kind=kind, config=config,
            side=network.image_size or MEASURED_PX, radii=network.radii,
        ):  # fmt: skip
            kept += [frame] if frame.step in wanted else []
            count()
        ends = (kept[0], kept[-1])
        climbs[kind] = Climb(
            tuple(kept), _judged(network, ends, config), _judged(judge, ends, config)
        )
    ordered = sorted(climbs, key=lambda k: -float(climbs[k].frames[-1].scores.mean()))
    return {kind: climbs[kind] for kind in ordered}


def _judged(
    network: Network | None, frames: tuple[GalaxyFrame, ...], config: GalaxyConfig
) -> NDArray[Any] | None:
    """Classify the galaxies of some frames: (frames, B, K)."""
    if network is None or not network.class_names:
        return None
    # Nights that no step has seen.
    camera = Camera(network.image_size or MEASURED_PX, network.radii, config.seed + 1)
    found = []
    for frame in frames:
        for galaxy in frame.galaxies:
            pictures = _turned(camera.pictures(galaxy, NIGHTS), camera.generator)
            probabilities = network.judge(pictures.to(network.device))
            assert probabilities is not None  # its classes have names
            found.append(probabilities.mean(axis=0))
    return np.stack(found).reshape(len(frames), config.starts, -1)
