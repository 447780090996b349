"""Linear probes: reading class and shape off a layer, or off the light alone."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from dmagnet.dreaming.layers import private_copy, read
from dmagnet.dreaming.statistics import check_pictures
from dmagnet.errors import DataError
from dmagnet.judging.predict import batches_of
from dmagnet.storage.arrays import Floats, Ints, Pixels, Singles

IMAGES_AT_ONCE = 64
NUM_FOLDS = 5
ALPHAS = np.logspace(-1, 5, 13)  # from hardly any to nearly full shrinkage
NUM_RINGS = 16  # from the center to the nearest edge


@torch.no_grad()
def features_by_depth(
    model: nn.Module, images: Pixels, layers: Sequence[str]
) -> dict[str, Singles]:
    """Read what layers say of galaxies, averaged over places."""
    check_pictures(images)
    network = private_copy(model, layers)
    weights = next(network.parameters(), torch.empty(0))
    pooled: dict[str, list[Singles]] = {name: [] for name in layers}
    for part in batches_of(images, IMAGES_AT_ONCE, weights.device):
        for name, output in read(network, part, layers).items():
            mean = output.flatten(2).mean(dim=2) if output.ndim > 2 else output
            pooled[name].append(mean.float().cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in pooled.items()}


def light_in_rings(images: Pixels) -> Singles:
    """Average galaxies over rings around the middle: (N, 16 rings x 3 colors).

    What a probe can read without any shape but a radial profile, in 0 to 1.
    """
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in images.shape[1:3])
    distance = np.hypot(rows[:, None], columns)
    ring = (distance / (min(images.shape[1:3]) / 2 / NUM_RINGS)).astype(int)
    chosen = np.stack([(ring == k) / (ring == k).sum() for k in range(NUM_RINGS)])
    each = [np.tensordot(chosen, image / 255, 2).ravel() for image in images]
    return np.asarray(each, np.float32)


@dataclass(frozen=True, eq=False)
class Probe:
    """How well a linear model reads something off a layer, and off shuffled values."""

    metric: str
    per_galaxy: Floats
    control_per_galaxy: Floats

    @property
    def score(self) -> float:
        """Average over galaxies."""
        return float(np.nanmean(self.per_galaxy))

    @property
    def control(self) -> float:
        """Return the score where values are shuffled."""
        return float(np.nanmean(self.control_per_galaxy))

    @property
    def n(self) -> int:
        """Count the galaxies that have a value."""
        return int(np.isfinite(self.per_galaxy).sum())


def probe_classes(features: ArrayLike, labels: ArrayLike, *, seed: int = 0) -> Probe:
    """Read the class off a layer.

    Parameters
    ----------
    features : (N, C) float
        Of one layer; rows are galaxies.
    labels : (N,) int
        Classes, each with five galaxies or more.
    seed : int
        Of the folds and the shuffle.

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
    Logistic regression (scikit-learn's, C = 0.1) on standardized features, five
    stratified folds (Alain & Bengio 2017). The control follows Hewitt & Liang (2019,
    EMNLP): the same probe where there is nothing to read but chance. Deviation: their
    control gives each word type one random label; galaxies do not come twice, so ours
    shuffles labels over galaxies. A contribution is 2N/(K (n_k + p_k)) for a galaxy of
    class k that is named right, with n_k galaxies and p_k guesses of that class.
    """
    x, truth = _checked(features), np.asarray(labels)
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
    results = [
        _f1_contributions(target, cross_val_predict(model, x, target, cv=folds))
        for target in (truth, np.random.default_rng(seed).permutation(truth))
    ]
    return Probe("macro_f1", *results)


def _f1_contributions(truth: Ints, guesses: Ints) -> Floats:
    k = int(truth.max()) + 1
    both = np.bincount(truth, minlength=k) + np.bincount(guesses, minlength=k)
    parts: Floats = 2 * len(truth) * (truth == guesses) / (k * both[truth])
    return parts


def probe_parameter(features: ArrayLike, values: ArrayLike, *, seed: int = 0) -> Probe:
    """Read a number, such as a concentration or an asymmetry, off a layer.

    Parameters
    ----------
    features : (N, C) float
        Of one layer; rows are galaxies.
    values : (N,) float
        The number to read; a galaxy with NaN is left out.
    seed : int
        Of the folds and the shuffle.

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
    x, y = _checked(features), np.asarray(values, dtype=np.float64)
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
    results = []
    for target in (y, np.random.default_rng(seed).permutation(y)):
        full = np.full(len(known), np.nan)
        guesses = cross_val_predict(model, x, target, cv=folds)
        full[known] = 1 - (target - guesses) ** 2
        results.append(full)
    return Probe("r2", *results)


def _checked(features: ArrayLike) -> Floats:
    """Return features in double precision, or say what is wrong with them."""
    x = np.asarray(features, dtype=np.float64)
    if x.ndim != 2 or x.shape[0] < 4 or x.shape[1] < 1:
        raise DataError(
            f"features: expected shape (N, C) with four galaxies or more, got {x.shape}"
        )
    if not np.isfinite(x).all():
        raise DataError("features: expected finite numbers, got NaN or infinity")
    return x
