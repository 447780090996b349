"""What surrounds a job: variables of the environment, and who watches how far it is."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

# Called with the name and length of a stage; what it returns, with the number done.
Announce = Callable[[str, int | None], Callable[[int], None]]


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables, and put back what was there."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
