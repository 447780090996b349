"""How far a network contradicts itself when the same galaxy is turned and flipped."""

import numpy as np
import numpy.typing as npt


def disagreement(each: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Compare what the views of a galaxy say, two by two.

    Parameters
    ----------
    each : (V, N, K) float in [0, 1]
        Probabilities of each of V views, two or more, before the temperature.

    Returns
    -------
    (N,) float32 in [0, 1]
        Total-variation distance (half the sum of absolute differences) between two
        views, averaged over all pairs: the share of probability that moves when the
        galaxy is turned.
    """
    views = np.asarray(each, np.float64)
    first, second = np.triu_indices(len(views), k=1)
    distance = np.zeros(views.shape[1])
    for i, j in zip(first, second, strict=True):
        distance += 0.5 * np.abs(views[i] - views[j]).sum(axis=1)
    mean: npt.NDArray[np.float32] = (distance / len(first)).astype(np.float32)
    return mean
