"""Named configurations: a recipe is a function, and may start from another."""

from collections.abc import Callable
from dataclasses import replace

from dmagnet.config.train_config import ModelConfig, TrainConfig
from dmagnet.errors import ConfigError


def gpu() -> TrainConfig:
    """Train at full resolution for long: what a GPU does in an hour or so.

    Returns
    -------
    TrainConfig
        Size s, 256 px, 300 epochs, batches of 256.

    Notes
    -----
    The recipe of ``docs/science.md``, where its choices have their reasons.
    """
    return TrainConfig()


def laptop() -> TrainConfig:
    """Train on half the resolution and fewer epochs, for two cores and an evening.

    Returns
    -------
    TrainConfig
        Size s, 128 px, 60 epochs, batches of 64.
    """
    return replace(
        gpu(),
        image_size=128,  # half the frame's pixels: a quarter of the work
        epochs=60,
        batch_size=64,
        lr=1.5e-3,  # smaller batches, smaller steps; as in docs/results/first
        warmup_epochs=3.0,
        ema_decay=0.998,  # a memory of 500 steps
    )


def smoke() -> TrainConfig:
    """Train just long enough to see that everything works.

    Returns
    -------
    TrainConfig
        Size xs, 64 px, 2 epochs, batches of 32.
    """
    return replace(
        laptop(),
        image_size=64,
        epochs=2,
        batch_size=32,
        warmup_epochs=0.5,
        ema_decay=0.9,  # a longer memory than the run would hold its first weights
        scales=(1.0, 1.0),
        progressive=False,
        model=ModelConfig(size="xs"),
    )


def demo() -> TrainConfig:
    """Train what `dmagnet demo` shows, in two minutes on two cores.

    Returns
    -------
    TrainConfig
        Three epochs from the smaller weights of the package, whose size, side, field
        and radii the demo takes (`as_trained`).
    """
    return replace(
        laptop(),
        image_size=64,
        field=0.706,  # 1 / sqrt(2): turned views keep corners of real sky
        radii=3.0,  # one size for all made real galaxies look simulated: docs/log.md
        epochs=3,
        lr=5e-4,  # the weights are trained already
        warmup_epochs=0.5,
        ema_decay=0.98,
        label_smoothing=0.05,
        progressive=False,
        model=ModelConfig(size="xs"),
    )


def finetune() -> TrainConfig:
    """Go on from trained weights, on as few as a hundred images.

    Returns
    -------
    TrainConfig
        20 epochs in batches of 32; size, side, field and radii are those of the
        weights (`as_trained`).

    Notes
    -----
    ``runs/finetune.py`` has the curve against training from scratch, and
    ``docs/log.md`` what else was tried.
    """
    return replace(
        laptop(),
        epochs=20,
        batch_size=32,  # a hundred images make three steps
        lr=1e-3,  # 0.88 right, 0.85 at 3e-4: docs/log.md
        warmup_epochs=1.0,
        ema_decay=0.99,
        progressive=False,
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    "smoke": smoke,
    "laptop": laptop,
    "gpu": gpu,
    "demo": demo,
    "finetune": finetune,
}


def recipe(name: str) -> TrainConfig:
    """Look up a recipe.

    Parameters
    ----------
    name : str
        One of `RECIPES`.

    Returns
    -------
    TrainConfig
        All knobs filled in.

    Raises
    ------
    ConfigError
        If there is no such recipe; the message lists those there are.
    """
    if name not in RECIPES:
        raise ConfigError(f"no recipe {name!r}; the recipes are: {', '.join(RECIPES)}")
    return RECIPES[name]()


def as_trained(config: TrainConfig, parent: TrainConfig) -> TrainConfig:
    """Let a network see galaxies as it saw them before.

    Parameters
    ----------
    config : TrainConfig
        How to train now.
    parent : TrainConfig
        How the weights to start from were trained.

    Returns
    -------
    TrainConfig
        ``config`` with the network, image side, field and radii of ``parent``.
    """
    return replace(
        config,
        image_size=parent.image_size,
        field=parent.field,
        radii=parent.radii,
        model=parent.model,
    )
