"""Limits of settings, and settings as plain values."""

import dataclasses
import difflib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from dmagnet.errors import ConfigError

Record = TypeVar("Record")
# One thing each, as one call or another has it.
SAME = (("target", "class_name", "classes"), ("weights", "start"))


class Between(NamedTuple):
    """The least and the largest value of a setting, in its annotation."""

    low: float
    high: float


class Checked:
    """A dataclass whose values are held to its annotations."""

    def __post_init__(self) -> None:
        """Refuse a number out of its range, and a word that is not one of a few."""
        for name, limit in _limits(type(self)):  # type: ignore[arg-type]
            value = getattr(self, name)
            if isinstance(limit, Between):
                if value is not None:
                    check_range(self, name, *limit)
            elif value not in limit:
                choices = [str(choice) for choice in limit if choice is not None]
                expected = (
                    " or ".join(choices)
                    if len(choices) == 2
                    else f"one of {', '.join(choices)}"
                )
                raise ConfigError(f"{name}: expected {expected}, got {value!r}")


@cache
def _limits(kind: type) -> list[tuple[str, Between | tuple[Any, ...]]]:
    """List the limits of a dataclass's fields."""
    return [
        (name, limit)
        for name, hint in get_type_hints(kind, include_extras=True).items()
        for limit in _limits_in(hint)
    ]


def _limits_in(hint: Any, *more: Any) -> Iterator[Any]:
    """Find the limits of one annotation; None may be allowed beside them."""
    if get_origin(hint) is Literal:
        yield (*get_args(hint), *more)
    elif get_origin(hint) is Annotated:
        yield from (one for one in hint.__metadata__ if isinstance(one, Between))
        yield from _limits_in(hint.__origin__, *more)
    elif get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from _limits_in(part, None)


def check_range(owner: object, name: str, low: float, high: float) -> None:
    """Refuse a number out of its range."""
    value = getattr(owner, name)
    try:
        inside = low <= value <= high
    except TypeError:
        inside = False
    if not inside:
        raise ConfigError(f"{name}: expected {low} to {high}, got {str(value)[:60]}")


def settled(
    call: Callable[..., Any], config: Record, given: Mapping[str, Any]
) -> Record:
    """Put what a call was given by name in the place of a configuration's own."""
    refuse_unknown(call, given, config)
    return dataclasses.replace(config, **given)  # type: ignore[type-var]


def refuse_unknown(
    call: Callable[..., Any], given: Mapping[str, Any], *takers: Any
) -> None:
    """Refuse names that no configuration or function takes; say which may be meant."""
    for taker in takers:
        if not dataclasses.is_dataclass(taker) and not callable(taker):
            line = f"expected settings by name, or a record of them, got {taker!r:.60}"
            raise ConfigError(f"{call.__name__}: {line}")
    if not given:
        return
    parts: dict[str, str] = {}
    names: list[str] = []
    for taker in takers:
        if not dataclasses.is_dataclass(taker):
            names += _keywords(taker, "KEYWORD_ONLY")
            continue
        for field in dataclasses.fields(taker):
            names.append(field.name)
            if dataclasses.is_dataclass(part := getattr(taker, field.name, None)):
                kind = type(part).__name__
                for inner in dataclasses.fields(part):
                    meant = f"{field.name}={kind}({inner.name}=...)"
                    parts.setdefault(inner.name, meant)
    for name in given:
        if name in names:
            continue
        every = [*_keywords(call, "POSITIONAL_OR_KEYWORD", "KEYWORD_ONLY"), *names]
        near = [s for same in SAME if name in same for s in same if s in every]
        near += [parts[name]] if name in parts else []
        near += difflib.get_close_matches(name, every, n=1)
        hint = f"perhaps you meant {near[0]}" if near else f"it has {', '.join(every)}"
        line = f"expected settings by name, got {name}; {hint}"
        raise ConfigError(f"{call.__name__}: {line}")


def _keywords(call: Callable[..., Any], *kinds: str) -> list[str]:
    """Name the parameters of some kinds."""
    import inspect  # slow to load

    every = inspect.signature(call).parameters.values()
    return [each.name for each in every if each.kind.name in kinds]


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


def from_dict(kind: type[Record], values: Any, *, more: bool = False) -> Record:
    """Read back what `to_dict` wrote, and check that each value is of its type.

    Parameters
    ----------
    kind : type
        A dataclass: a configuration, or a record of plain values.
    values : dict
        As loaded from JSON.
    more : bool
        Leave aside what is no field, instead of refusing it.

    Returns
    -------
    dataclass
        The same.

    Raises
    ------
    ConfigError
        If a value is missing, unknown, of another type or out of its range.
    """
    if not isinstance(values, dict):
        raise ConfigError(f"expected values by name, got {str(values)[:60]!r}")
    hints = get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown and not more:
        raise ConfigError(f"{unknown[0][:60]!r}: no such setting")
    missing = [
        field.name
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]
        if field.name not in values
        and field.default is field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{missing[0]!r}: missing")
    return kind(**{n: typed(hints[n], values[n], n) for n in hints if n in values})


def typed(hint: Any, value: Any, name: str) -> Any:
    """Check that a value of JSON is of a type.

    Parameters
    ----------
    hint : type
        As in an annotation; a dataclass is made of a dictionary.
    value : object
        As loaded from JSON.
    name : str
        For the message.

    Returns
    -------
    object
        The value; a tuple where the type asks for one, which JSON does not have.

    Raises
    ------
    ConfigError
        If it is of another type.
    """
    from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)  # nothing is annotated with an instance
        return from_dict(hint, value)
    if isinstance(value, list) and "tuple[" in str(hint):
        value = tuple(value)
    try:
        check_type(
            value, hint, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS
        )
    except TypeCheckError as error:
        raise ConfigError(f"{name}: {' '.join(str(error).split())[:160]}") from error
    return value
