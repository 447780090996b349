"""What a value may be, and a configuration as plain values."""

import dataclasses
from typing import Any

from dmagnet.errors import ConfigError


def check_range(owner: object, name: str, low: float, high: float) -> None:
    """Refuse a number out of its range.

    Parameters
    ----------
    owner : dataclass
        The configuration.
    name : str
        Its field.
    low, high : float
        Smallest and largest value.

    Raises
    ------
    ConfigError
        If the value lies outside.
    """
    value = getattr(owner, name)
    if not low <= value <= high:
        raise ConfigError(f"{name}: expected {low} to {high}, got {value}")


def check_choice(owner: object, name: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that is not one of a few.

    Parameters
    ----------
    owner : dataclass
        The configuration.
    name : str
        Its field.
    choices : tuple of str
        What it may be.

    Raises
    ------
    ConfigError
        If it is another.
    """
    value = getattr(owner, name)
    if value not in choices:
        raise ConfigError(
            f"{name}: expected one of {', '.join(choices)}, got {value!r}"
        )


def to_dict(config: Any) -> dict[str, Any]:
    """Return a configuration as plain values for JSON.

    Parameters
    ----------
    config : dataclass
        Any configuration of this module.

    Returns
    -------
    dict
        Names to values; nested configurations as nested dictionaries.
    """
    return dataclasses.asdict(config)
