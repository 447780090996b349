"""Plain values with one thing wrong, one after the other."""

import copy

DEEP: list = []
for _ in range(500):
    DEEP = [DEEP]
# What a value may be by mistake or by malice.
WRONG = (
    None, -1, 0, 10**9, 1e308, float("nan"), "x", "", "é" * 5000, "../../x", "\x00",
    [], {}, [[]], ["x"], {"x": 1}, True, DEEP,
)  # fmt: skip


def altered(values, wrong=WRONG):
    """Yield copies in which one value at any depth is missing or another."""
    for place in places(values):
        yield place, changed(values, place, None, remove=True)
        for value in wrong:
            yield (*place, value), changed(values, place, value)


def places(values, at=()):
    """Yield the keys that lead to each value; of a list to its first only."""
    pairs = values.items() if isinstance(values, dict) else list(enumerate(values))[:1]
    for key, value in pairs:
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from places(value, (*at, key))


def changed(values, place, value, *, remove=False):
    """Return a copy with another value at one place, or without it."""
    new = copy.deepcopy(values)
    inner = new
    for key in place[:-1]:
        inner = inner[key]
    if remove:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return new
