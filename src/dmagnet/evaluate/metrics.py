"""Accuracy, F1 and the rest of a set of guesses, each with its interval.

Every measure is a function of sums over galaxies, so a bootstrap draw is the same
sums with other weights, and a thousand draws are one matrix product.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import confusion_matrix

from dmagnet.disk import write_whole
from dmagnet.errors import DataError
from dmagnet.evaluate.calibration import NUM_BINS, equal_mass_bins
from dmagnet.evaluate.sampling import (
    NOWHERE,
    Floats,
    Interval,
    Ints,
    bootstrap_weights,
    checked,
    interval_of,
)

SCALARS = ("accuracy", "balanced_accuracy", "macro_f1", "top2", "nll", "brier", "ece")
TINY = np.finfo(np.float64).eps  # floor of a probability in the NLL: 36 nats
Table = dict[str, Floats]


@dataclass(frozen=True)
class ClassScore:
    """How well one class is found.

    Attributes
    ----------
    name : str
        The class.
    correct, support : int
        Galaxies of the class that were named right, and all galaxies of it.
    precision : float
        Share of right ones among the galaxies given this name; NaN if none was.
    recall : float
        ``correct / support``.
    f1 : float
        Harmonic mean of both. Recall and F1 are NaN in a class without a galaxy.
    f1_interval : tuple of float
        95 % bootstrap interval of ``f1``.
    """

    name: str
    correct: int
    support: int
    precision: float
    recall: float
    f1: float
    f1_interval: Interval = NOWHERE


@dataclass(frozen=True, eq=False)
class Metrics:
    """How well the guesses fit the labels.

    Attributes
    ----------
    n : int
        Number of galaxies.
    accuracy : float
        Share of galaxies named right.
    balanced_accuracy, macro_f1 : float
        Means of the classes' recall and F1, over the classes that have a galaxy.
    top2 : float
        Share of galaxies whose label is the first or the second guess.
    nll, brier : float
        Mean of -ln p(label), and of the squared distance to the one-hot label (0 to 2).
    ece : float
        Expected calibration error of the first guess, in bins of equal mass.
    per_class : tuple of ClassScore
        One entry per class, in the order of ``class_names``.
    confusion : (K, K) int
        Counts; row is the label, column the guess.
    class_names : tuple of str
        The K names.
    intervals : dict
        95 % bootstrap interval of each of the seven numbers above.
    """

    n: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    top2: float
    nll: float
    brier: float
    ece: float
    per_class: tuple[ClassScore, ...]
    confusion: Ints
    class_names: tuple[str, ...]
    intervals: dict[str, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with null for what is not a number.

        Returns
        -------
        dict
            The fields by name.
        """
        values = {name: getattr(self, name) for name in ("n", *SCALARS)}
        values["per_class"] = [asdict(entry) for entry in self.per_class]
        values["confusion"] = self.confusion.tolist()
        values["class_names"] = list(self.class_names)
        values["intervals"] = {
            name: list(pair) for name, pair in self.intervals.items()
        }
        plain: dict[str, Any] = _null_for_nan(values)
        return plain


def score(
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str],
    *,
    num_bootstrap: int = 1000,
    seed: int = 0,
) -> Metrics:
    """Measure guesses against labels, each number with its 95 % interval.

    Parameters
    ----------
    labels : (N,) int in 0 to K - 1
        The true classes.
    probabilities : (N, K) float in [0, 1]
        Of each class, each row adding up to 1.
    class_names : sequence of str
        The K names.
    num_bootstrap : int
        Draws of the bootstrap over galaxies, at least 1.
    seed : int
        Of the draws.

    Returns
    -------
    Metrics
        All measures; a class without a galaxy has NaN and counts in no mean.

    Raises
    ------
    DataError
        If shapes, labels or probabilities are not as above.
    ConfigError
        If ``num_bootstrap`` is below 1.

    Notes
    -----
    Percentile intervals (Efron & Tibshirani 1993, An Introduction to the Bootstrap,
    ch. 13), save for the ECE: resampling adds noise to its bins and so raises it, and
    the percentile interval of a calibrated network lies wholly above the truth. With
    the bins kept, the lower end here is the estimate less the noise of its bins, the
    upper end that of the basic interval. On simulated guesses both cover the truth in
    92 to 98 % of cases. Macro F1 is scikit-learn's over the classes that have a galaxy;
    a probability of 0 costs 36 nats, also as there.
    """
    truth, probs = checked(labels, probabilities)
    if len(class_names) != probs.shape[1]:
        raise DataError(
            f"class_names: expected {probs.shape[1]} names, one per column of "
            f"probabilities, got {len(class_names)}"
        )
    table = _per_galaxy(truth, probs)
    point = _measures({name: block.sum(axis=0) for name, block in table.items()})
    draws = [
        _measures({name: weights @ block for name, block in table.items()})
        for weights in bootstrap_weights(len(truth), num_bootstrap, seed)
    ]
    spread = {name: np.concatenate([part[name] for part in draws]) for name in point}
    intervals = {name: interval_of(spread[name]) for name in SCALARS}
    noise = interval_of(np.abs(spread["gap"] - point["gap"]).sum(axis=1))[1]
    intervals["ece"] = (
        max(float(point["ece"]) - noise, 0.0),
        float(point["ece"]) + max(float(point["ece"]) - intervals["ece"][0], 0.0),
    )
    support, hits = (
        table[name].sum(axis=0).astype(int) for name in ("support", "hits")
    )
    return Metrics(
        n=len(truth),
        per_class=tuple(
            ClassScore(
                name=str(name),
                correct=int(hits[k]),
                support=int(support[k]),
                precision=float(point["precision"][k]),
                recall=float(point["recall"][k]),
                f1=float(point["f1"][k]),
                f1_interval=interval_of(spread["f1"][:, k]),
            )
            for k, name in enumerate(class_names)
        ),
        confusion=confusion_matrix(
            truth, probs.argmax(axis=1), labels=np.arange(probs.shape[1])
        ),
        class_names=tuple(str(name) for name in class_names),
        intervals=intervals,
        **{name: float(point[name]) for name in SCALARS},
    )


def write_metrics(
    path: Path, metrics: Metrics, provenance: dict[str, Any] | None = None
) -> Path:
    """Write metrics as JSON, first beside its name and then under it.

    Parameters
    ----------
    path : Path
        The file to write, by custom ``metrics.json``.
    metrics : Metrics
        What `score` returned.
    provenance : dict, optional
        Plain values that say where the numbers come from, stored by that name.

    Returns
    -------
    Path
        The file written.
    """
    content = metrics.to_dict()
    if provenance is not None:
        content["provenance"] = provenance
    text = json.dumps(content, indent=1, allow_nan=False) + "\n"
    write_whole(path, text.encode())
    return path


def read_metrics(path: Path) -> Metrics:
    """Read back what `write_metrics` wrote.

    Parameters
    ----------
    path : Path
        The JSON file; keys that are no field of `Metrics` are left aside.

    Returns
    -------
    Metrics
        The same numbers.

    Raises
    ------
    DataError
        If there is no such file, or it is not such a file.
    """
    try:
        content = json.loads(path.read_text())
        values = {name: _number(content[name]) for name in SCALARS}
        classes = [
            ClassScore(
                **{
                    **{name: _number(value) for name, value in entry.items()},
                    "f1_interval": _pair(entry["f1_interval"]),
                }
            )
            for entry in content["per_class"]
        ]
        return Metrics(
            n=content["n"],
            per_class=tuple(classes),
            confusion=np.array(content["confusion"], dtype=np.int64),
            class_names=tuple(content["class_names"]),
            intervals={name: _pair(content["intervals"][name]) for name in SCALARS},
            **values,
        )
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: expected the metrics of 'dmagnet evaluate', got "
            f"{type(error).__name__}: {error}; evaluate the weights again"
        ) from error


def _per_galaxy(labels: Ints, probs: Floats) -> Table:
    """Return what each galaxy adds to the sums, in blocks (N, width)."""
    n, num_classes = probs.shape
    row = np.arange(n)
    guesses = probs.argmax(axis=1)
    right = (guesses == labels).astype(np.float64)
    chosen = probs[row, labels][:, None]
    # Ties go to the lower index, as in argmax, so that a flat row is no free hit.
    before = np.arange(num_classes) < labels[:, None]
    rank = ((probs > chosen) | ((probs == chosen) & before)).sum(axis=1)
    bins = equal_mass_bins(probs.max(axis=1), NUM_BINS)
    member = np.eye(num_classes)
    gap = np.zeros((n, bins.max() + 1))
    gap[row, bins] = probs.max(axis=1) - right
    return {
        "accuracy": right,
        "top2": (rank < 2).astype(np.float64),
        "nll": -np.log(np.maximum(chosen[:, 0], TINY)),
        "brier": ((probs - member[labels]) ** 2).sum(axis=1),
        "gap": gap,
        "support": member[labels],
        "guessed": member[guesses],
        "hits": member[labels] * right[:, None],
    }


def _measures(sums: Table) -> Table:
    """Turn sums over galaxies, (..., width), into measures, (...) or (..., K)."""
    support, guessed, hits = sums["support"], sums["guessed"], sums["hits"]
    n = support.sum(axis=-1)
    gap = sums["gap"] / n[..., None]
    there = support > 0
    recall = _ratio(hits, support)
    f1 = _ratio(2 * hits, np.where(there, support + guessed, 0))
    return {
        **{name: sums[name] / n for name in ("accuracy", "top2", "nll", "brier")},
        "gap": gap,
        "ece": np.abs(gap).sum(axis=-1),
        "recall": recall,
        "precision": np.where(there, _ratio(hits, guessed), np.nan),
        "f1": f1,
        "balanced_accuracy": np.nansum(recall, axis=-1) / there.sum(axis=-1),
        "macro_f1": np.nansum(f1, axis=-1) / there.sum(axis=-1),
    }


def _ratio(part: Floats, whole: Floats) -> Floats:
    """Divide, with NaN where there is nothing to divide by."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _null_for_nan(value: Any) -> Any:
    """Replace NaN by None, which JSON knows, at any depth."""
    if isinstance(value, dict):
        return {name: _null_for_nan(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_null_for_nan(entry) for entry in value]
    return None if isinstance(value, float) and np.isnan(value) else value


def _number(value: Any) -> Any:
    return float("nan") if value is None else value


def _pair(values: list[Any]) -> Interval:
    low, high = values
    return _number(low), _number(high)
