"""Distance of a picture from the galaxies that the network knows."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dmagnet.errors import CheckpointError, DataError
from dmagnet.storage.arrays import AnyFloats, Bools, Singles
from dmagnet.storage.records import brief

RANK = 64  # 90 kB for the 352 features of size s
SMALLEST_NOISE = 1e-6  # of the largest variance: features that never vary


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """The features of galaxies, as a Gaussian of few long axes.

    Attributes
    ----------
    mean : (D,) float32
        Of the pooled features behind LAM.
    axes : (R, D) float32
        Orthonormal directions in which galaxies differ most.
    variances : (R,) float32
        Along the axes.
    noise : float
        Variance along all other directions.
    limit : float
        A picture with a higher score is flagged.
    """

    mean: Singles
    axes: Singles
    variances: Singles
    noise: float
    limit: float = float("inf")

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse what is no Gaussian."""
        shape = len(self.variances), len(self.mean)
        if self.mean.ndim != 1 or self.axes.shape != shape:
            raise CheckpointError(
                f"calibration: expected axes of shape {shape}, got {self.axes.shape}; "
                "the file was altered: calibrate again"
            )
        scales = np.array([*self.variances, self.noise])
        whole = all(np.isfinite(each).all() for each in (self.mean, self.axes, scales))
        if not whole or scales.min() <= 0 or not self.limit > 0:
            raise CheckpointError(
                "calibration: expected finite features and variances and a limit above "
                "0; the file was altered: calibrate again"
            )

    def score(self, features: npt.ArrayLike) -> Singles:
        """Measure how far pictures lie from the galaxies.

        Parameters
        ----------
        features : (N, D) float
            Pooled features behind LAM, before the linear layer; with other columns it
            is a DataError.

        Returns
        -------
        (N,) float32
            Root mean square, over the D directions, of the distance in standard
            deviations: about 1 for galaxies like those of training.

        Notes
        -----
        The Mahalanobis distance (Lee et al. 2018, NeurIPS) under the covariance of
        probabilistic PCA (Tipping & Bishop 1999, JRSS B 61, 611): R variances along
        axes and one along all others, a quarter of the numbers of the full matrix and
        as good against impostors. With a center per class the area under the curve
        changed by 0.001.
        """
        points = np.asarray(features, np.float32)
        if points.ndim != 2 or points.shape[1] != len(self.mean):
            raise DataError(
                f"features: expected shape (N, {len(self.mean)}), got {points.shape}; "
                "use the network that was calibrated"
            )
        parts = self.mean, self.axes, self.variances, self.noise
        return np.asarray(distance(points, *parts), np.float32)

    def flag(self, features: npt.ArrayLike) -> Bools:
        """Flag the pictures that lie beyond the limit.

        Parameters
        ----------
        features : (N, D) float
            Pooled features behind LAM.

        Returns
        -------
        (N,) bool
            True for pictures unlike the galaxies.
        """
        return self.score(features) > self.limit

    def limited(self, *parts: npt.ArrayLike, share: float = 0.95) -> "FeatureSpace":
        """Set the limit so that most galaxies stay below it.

        Parameters
        ----------
        *parts : (N, D) or (V, N, D) float
            Features of galaxies that the space was not fitted to, in sets that are not
            empty and weigh the same. Scores of V views are averaged.
        share : float
            Of galaxies below the limit, above 0 to 1.

        Returns
        -------
        FeatureSpace
            The same space with that limit.
        """
        each = [
            np.mean([self.score(view) for view in views], axis=0)
            for part in parts
            for views in [np.reshape(part, (-1, *np.shape(part)[-2:]))]
        ]
        if not each or not all(map(len, each)):
            raise DataError("limit: expected galaxies in every set, got an empty one")
        scores = np.concatenate(each)
        weights = np.concatenate([np.full(len(s), 1 / len(s)) for s in each])
        order = np.argsort(scores)
        reached = np.cumsum(weights[order]) / len(each)
        at = min(int(np.searchsorted(reached, share - 1e-9)), len(order) - 1)
        return replace(self, limit=float(scores[order[at]]))


def distance(features: Any, mean: Any, axes: Any, variances: Any, noise: float) -> Any:
    """Return the score of a `FeatureSpace`; of arrays, or of tensors in a graph."""
    off = features - mean
    along = off @ axes.T  # (N, R)
    rest = off - along @ axes
    squares = (along**2 / variances).sum(1) + (rest**2).sum(1) / noise
    return (squares / len(mean)) ** 0.5


def fit_space(features: npt.ArrayLike, *, rank: int = RANK) -> FeatureSpace:
    """Fit a Gaussian to the features of galaxies.

    Parameters
    ----------
    features : (N, D) float
        Pooled features of training galaxies: 8 (else a DataError), or better several
        times as many as axes.
    rank : int
        Largest number of axes; fewer where there are few galaxies or features.

    Returns
    -------
    FeatureSpace
        Without a limit; `FeatureSpace.limited` sets it.
    """
    points = np.asarray(features, np.float64)
    if points.ndim != 2 or len(points) < 8:
        raise DataError(
            f"features: expected 8 galaxies or more, got shape {points.shape}; "
            "a space needs many to describe"
        )
    from sklearn.decomposition import PCA  # a second to load: only to fit

    axes = max(1, min(rank, len(points) // 4, points.shape[1] // 2))
    found = PCA(axes, svd_solver="full").fit(points)
    floor = SMALLEST_NOISE * max(float(found.explained_variance_[0]), 1e-12)
    return FeatureSpace(
        mean=found.mean_.astype(np.float32),
        axes=found.components_.astype(np.float32),
        variances=np.maximum(found.explained_variance_, floor).astype(np.float32),
        noise=max(float(found.noise_variance_), floor),
    )


def nearest(
    known: Singles, wanted: Singles, num: int
) -> tuple[AnyFloats, npt.NDArray[np.intp]]:
    """Find the galaxies that the network finds most alike.

    Parameters
    ----------
    known : (N, D) float
        Where to look.
    wanted : (M, D) float
        Whose neighbors to find.
    num : int
        How many, or N where there are fewer.

    Returns
    -------
    distances, rows : (M, num) float, (M, num) int
        The nearest first; rows of ``known``.

    Notes
    -----
    Euclidean distance of features in units of their standard deviation over those
    known, divided by the root of their number. The search is exact, and goes over the
    galaxies in pieces: M times N distances are never in memory.
    """
    from sklearn.neighbors import NearestNeighbors

    scale = spread(known) * np.sqrt(known.shape[1], dtype=np.float32)
    search = NearestNeighbors(n_neighbors=min(num, len(known)), algorithm="brute")
    found = search.fit(known / scale).kneighbors(np.asarray(wanted) / scale)
    distances, rows = found
    return distances, rows


def spread(features: Singles) -> Singles:
    """Return the standard deviation (D,) of each feature; 1 of those that are alike."""
    deviations: Singles = features.std(axis=0)
    return np.where(deviations > 0, deviations, np.float32(1))
