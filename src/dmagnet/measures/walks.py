"""Random walks in place of dreams: the same octaves, jitter and steps, no network."""

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from dmagnet.config import DreamConfig
from dmagnet.dreams import Frame, Objective, check_images
from dmagnet.dreams.octaves import octave_frames
from dmagnet.dreams.scorer import Scorer
from dmagnet.errors import ConfigError

STREAM = 2**32


class RandomDirection(Scorer):
    """Scores as a `Scorer`, but steps at random.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] in; it is copied and never touched.
    objective : Objective
        What is scored.
    start : (B, 3, H, W) float in [0, 1]
        Where the walk starts.
    seed : int or sequence of int
        Of the steps: one for all images, or one for each.
    keep_spectrum : bool
        Keep the gradient's magnitudes of all waves and draw their phases only.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: Objective,
        start: Tensor,
        seed: int | Sequence[int],
        *,
        keep_spectrum: bool = False,
    ) -> None:
        super().__init__(model, objective, start)
        seeds = [seed] if isinstance(seed, int) else list(seed)
        if len(seeds) not in (1, len(start)):
            raise ConfigError(
                f"seed: expected one, or one for each of the {len(start)} images, got "
                f"{len(seeds)}"
            )
        self.keep_spectrum = keep_spectrum
        # Another stream than the jitter's, which starts from the same seed.
        self.generators = [torch.Generator().manual_seed(s + STREAM) for s in seeds]

    def gradient(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Score images, and draw a direction.

        Parameters
        ----------
        images : (B, 3, H, W) float in [0, 1]
            Where the walk stands.

        Returns
        -------
        tuple of (B,) Tensor and (B, 3, H, W) Tensor
            Scores, and white noise; or noise with the spectrum of the gradient.
        """
        shape = images.shape[1:]
        noise = [torch.randn(shape, generator=g) for g in self.generators]
        drawn = torch.stack(noise).to(images).expand_as(images)
        if not self.keep_spectrum:
            return self.score(images), drawn
        scores, gradient = super().gradient(images)
        # One phase for all three colors, or else the colors of the gradient are lost.
        phase = torch.fft.rfft2(drawn[:, :1]).angle()
        waves = torch.polar(torch.ones_like(phase), phase) * torch.fft.rfft2(gradient)
        return scores, torch.fft.irfft2(waves, s=images.shape[2:])


def random_direction_frames(
    model: nn.Module,
    images: Tensor,
    objective: Objective,
    config: DreamConfig | None = None,
    *,
    seed: int | Sequence[int] | None = None,
    keep_spectrum: bool = False,
) -> Iterator[Frame]:
    """Walk at random where a dream would climb: the same chain, the same step size.

    Parameters
    ----------
    model : nn.Module
        Images in [0, 1] in; it is copied and never touched.
    images : (B, 3, H, W) float in [0, 1]
        Where the walk starts, on the device of the network.
    objective : Objective
        What is scored on the way.
    config : DreamConfig, optional
        As for `dream_frames`; tiles are not needed, hence not used.
    seed : int or sequence of int, optional
        Of the steps and the jitter: one for all images or one for each; the config's
        if not given.
    keep_spectrum : bool
        False: white noise. True: steps with the gradient's magnitude at each wave and
        random phases, which have its scales and colors but not its forms.

    Yields
    ------
    Frame
        As `dream_frames`.

    Raises
    ------
    ConfigError
        As `dream_frames`.
    DataError
        If the images are not of this form.

    Notes
    -----
    What of a dream's measures comes from octaves, jitter, clamping and step size alone.
    Random steps do not add up as gradients do: the detail grows with the square root of
    the number of steps.
    """
    config = dataclasses.replace(config or DreamConfig(), tile=0)
    check_images(images)
    seed = config.seed if seed is None else seed
    walker = RandomDirection(
        model, objective, images, seed, keep_spectrum=keep_spectrum
    )
    yield from octave_frames(walker, images, config, seed=seed)
