"""Votes of volunteers as labels: shares of them, or counts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dmagnet.errors import DataError
from dmagnet.storage.arrays import Ints, Singles

ONE = 1.5  # where votes of a galaxy add up to less, they are fractions, or one vote
MOST = 1 << 24  # up to it every whole number is a float32
ROUNDED = 0.02  # by which shares of two or three decimals may miss 1

Votes = Singles


def read_votes(
    cells: Sequence[tuple[Any, ...]],
    class_names: Sequence[str],
    where: Callable[[int], str],
) -> Votes:
    """Read votes (N, K): whole numbers are counts, others shares that add up to 1."""
    votes = np.array([[to_number(cell) for cell in row] for row in cells], np.float64)

    def _refuse(bad: npt.ArrayLike, expected: str) -> None:
        for row in np.flatnonzero(bad)[:1]:
            got = zip(class_names, cells[row], strict=True)
            told = ", ".join(f"{name} {cell}" for name, cell in got)
            raise DataError(f"{where(row)}: expected {expected}, got {told[:200]}")

    advice = "leave the row out, or name the answers to one question with --votes"
    _refuse(~np.isfinite(votes).all(1), f"a number of votes for each class; {advice}")
    _refuse((votes < 0).any(1), "votes of 0 or more")
    _refuse((votes > MOST).any(1), f"at most {MOST:,} votes")
    sums = votes.sum(1)
    _refuse(sums == 0, f"votes for some class; {advice}")
    if (votes % 1 == 0).all():
        return votes.astype(np.float32)
    _refuse(
        abs(sums - 1) > ROUNDED,
        "fractions that add up to 1, or whole numbers in all rows; --votes names the "
        "answers to one question",
    )
    return np.asarray(votes / sums[:, None], np.float32)


def to_number(cell: Any) -> float:
    """Read a number; NaN if it is none."""
    try:
        return float("nan" if cell is None else cell)
    except (TypeError, ValueError):
        return float("nan")


def most_voted(
    votes: Votes,
) -> tuple[Ints, tuple[tuple[int, ...], ...]]:
    """Return what most volunteers said; where votes tie, one of several classes."""
    best = votes == votes.max(1, keepdims=True)
    labels = best.argmax(1)
    tied = np.flatnonzero(best.sum(1) > 1)
    rows = [tuple(np.flatnonzero(best[row]).tolist()) for row in tied]
    sets = sorted(set(rows))
    labels[tied] = [votes.shape[1] + sets.index(row) for row in rows]
    return labels, tuple(sets)
