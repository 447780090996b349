"""Linear probes: reading the class and the shape off a layer."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dmagnet.errors import DataError
from dmagnet.judging.sampling import Interval, bootstrap_weights, interval_of
from dmagnet.measuring.representations import checked_features

Floats = NDArray[np.float64]
NUM_FOLDS = 5
NUM_BOOTSTRAP = 1000
ALPHAS = np.logspace(-1, 5, 13)  # from hardly any to nearly full shrinkage


@dataclass(frozen=True, eq=False)
class Probe:
    """How well a linear model reads something off a layer."""

    metric: str
    score: float
    interval: Interval
    control: float
    selectivity: float
    selectivity_interval: Interval
    per_galaxy: Floats
    control_per_galaxy: Floats
    n: int


def probe_classes(features: ArrayLike, labels: ArrayLike, *, seed: int = 0) -> Probe:
    """Read the class off a layer.

    Parameters
    ----------
    features : (N, C) float
        Of one layer; rows are galaxies.
    labels : (N,) int
        Classes, each with five galaxies or more.
    seed : int
        Of the folds, the shuffle and the bootstrap: the same seed pairs the draws of
        several layers and networks.

    Returns
    -------
    Probe
        Macro-F1 over the classes that there are.

    Raises
    ------
    DataError
        If the features are not of this form, or a class has fewer than five galaxies.

    Notes
    -----
    Logistic regression (scikit-learn's, C = 1) on standardized features, five
    stratified folds (Alain & Bengio 2017). The control follows Hewitt & Liang (2019,
    EMNLP): the same probe where there is nothing to read but chance. Deviation: their
    control gives each word type one random label; galaxies do not come twice, so ours
    shuffles labels over galaxies. A contribution is 2N/(K (n_k + p_k)) for a galaxy of
    class k that is named right, with n_k galaxies and p_k guesses of that class.
    """
    x, truth = checked_features(features), np.asarray(labels)
    if truth.shape != x.shape[:1] or truth.dtype.kind not in "iu":
        raise DataError(
            f"labels: expected {len(x)} integers, one per galaxy, got {truth.dtype} "
            f"of shape {truth.shape}"
        )
    truth = np.unique(truth, return_inverse=True)[1]
    counts = np.bincount(truth)
    if len(counts) < 2 or counts.min() < NUM_FOLDS:
        raise DataError(
            f"labels: expected two or more classes of {NUM_FOLDS} or more galaxies, "
            f"got classes of {counts.tolist()}"
        )
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=seed)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=3000))
    results, draws = [], []
    for target in (truth, np.random.default_rng(seed).permutation(truth)):
        guesses = cross_val_predict(model, x, target, cv=folds)
        results.append(_f1_contributions(target, guesses))
        draws.append(_f1_draws(target, guesses, seed))
    return _probe("macro_f1", results, draws)


def _f1_contributions(truth: NDArray[np.int64], guesses: NDArray[np.int64]) -> Floats:
    k = int(truth.max()) + 1
    both = np.bincount(truth, minlength=k) + np.bincount(guesses, minlength=k)
    parts: Floats = 2 * len(truth) * (truth == guesses) / (k * both[truth])
    return parts


def _f1_draws(
    truth: NDArray[np.int64], guesses: NDArray[np.int64], seed: int
) -> Floats:
    """Return the macro-F1 of each bootstrap draw."""
    k = int(truth.max()) + 1
    is_truth, is_guess = np.eye(k)[truth], np.eye(k)[guesses]
    parts = []
    for weights in bootstrap_weights(len(truth), NUM_BOOTSTRAP, seed):
        hits = weights @ (is_truth * is_guess)
        both = weights @ (is_truth + is_guess)
        parts.append((2 * hits / both.clip(min=1)).mean(axis=1))
    return np.concatenate(parts)


def probe_parameter(features: ArrayLike, values: ArrayLike, *, seed: int = 0) -> Probe:
    """Read a number, such as a concentration or an asymmetry, off a layer.

    Parameters
    ----------
    features : (N, C) float
        Of one layer; rows are galaxies.
    values : (N,) float
        The number to read; a galaxy with NaN is left out.
    seed : int
        Of the folds, the shuffle and the bootstrap: the same seed pairs the draws of
        several layers and networks.

    Returns
    -------
    Probe
        R^2, below 0 where the probe is worse than the mean value.

    Raises
    ------
    DataError
        If the features are not of this form, or fewer than ten galaxies have a value
        or all have the same.

    Notes
    -----
    Ridge regression on standardized features, its strength chosen by leave-one-out
    within each of five folds. The control is that of `probe_classes`. A contribution is
    1 - (error of the galaxy)^2 / variance of the values.
    """
    x, y = checked_features(features), np.asarray(values, dtype=np.float64)
    if y.shape != x.shape[:1]:
        raise DataError(f"values: expected {len(x)}, one per galaxy, got {y.shape}")
    known = np.isfinite(y)
    x, y = x[known], y[known]
    if len(y) < 2 * NUM_FOLDS or np.ptp(y) == 0:
        raise DataError(
            f"values: expected {2 * NUM_FOLDS} or more that differ, got {len(y)} "
            "finite ones, or all the same"
        )
    y = (y - y.mean()) / y.std()
    folds = KFold(NUM_FOLDS, shuffle=True, random_state=seed)
    model: BaseEstimator = make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
    results, draws = [], []
    for target in (y, np.random.default_rng(seed).permutation(y)):
        errors = (target - cross_val_predict(model, x, target, cv=folds)) ** 2
        full = np.full(len(known), np.nan)
        full[known] = 1 - errors
        results.append(full)
        draws.append(_r2_draws(target, errors, seed))
    return _probe("r2", results, draws)


def _r2_draws(target: Floats, errors: Floats, seed: int) -> Floats:
    """Return the R^2 of each bootstrap draw."""
    parts = []
    for weights in bootstrap_weights(len(target), NUM_BOOTSTRAP, seed):
        spread = weights @ target**2 - (weights @ target) ** 2 / len(target)
        parts.append(1 - weights @ errors / spread)
    return np.concatenate(parts)


def _probe(metric: str, results: list[Floats], draws: list[Floats]) -> Probe:
    score, control = (float(np.nanmean(result)) for result in results)
    return Probe(
        metric=metric,
        score=score,
        interval=interval_of(draws[0]),
        control=control,
        selectivity=score - control,
        selectivity_interval=interval_of(draws[0] - draws[1]),
        per_galaxy=results[0],
        control_per_galaxy=results[1],
        n=int(np.isfinite(results[0]).sum()),
    )
