"""Temperature, sets of classes and a space of features, kept beside the weights."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from dmagnet.calibration.space import FeatureSpace
from dmagnet.errors import CheckpointError
from dmagnet.storage.arrays import Bools, Floats, Singles
from dmagnet.storage.records import as_written

VIEWS = (1, 2, 4, 8)  # flips and quarter turns that answers may be averaged over
PREFIX = "calibration."  # of tensors in a file of weights
ARRAYS = ("mean", "axes", "variances")
_AGAIN = "the file was altered: copy it or calibrate the weights again"
PLAIN = ("temperature", "thresholds", "views", "provenance", "space")

TINY = np.finfo(np.float64).tiny  # floor of a probability


@dataclass(frozen=True, eq=False)
class Calibration:
    """Honest uncertainty from the scores of a network.

    Attributes
    ----------
    temperature : float
        Logits are divided by it; above 0.
    thresholds : tuple of float
        Least calibrated probability of a class in the 90 and in the 95 % set, 0 to 1.
    space : FeatureSpace or None
        Flags pictures unlike the galaxies of training.
    provenance : dict
        What it was fitted on: names, numbers, date, scores before and after.
    views : {1, 2, 4, 8}
        Over how many views answers were averaged for it, and are if nobody asks.
    """

    temperature: float = 1.0
    thresholds: tuple[float, float] = (0.0, 0.0)
    space: FeatureSpace | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    views: int = 1

    def __post_init__(self) -> None:
        """Refuse what no fit finds."""
        for name, is_well, expected in (
            ("views", self.views in VIEWS, "1, 2, 4 or 8"),
            ("temperature", 0 < self.temperature < math.inf, "a number above 0"),
            ("thresholds", [0 <= t <= 1 for t in self.thresholds] == [True, True],
             "two from 0 to 1"),
        ):  # fmt: skip
            if not is_well:
                raise CheckpointError(
                    f"{name}: expected {expected}, got {getattr(self, name)}; "
                    "calibrate the weights again"
                )

    def probabilities(self, raw: npt.ArrayLike) -> Floats:
        """Calibrate the answers of the network.

        Parameters
        ----------
        raw : (N, K) float in [0, 1]
            Softmax of the logits, of one view or averaged over views.

        Returns
        -------
        (N, K) float
            Calibrated; rows add up to 1.
        """
        return tempered(raw, self.temperature)

    def sets(self, calibrated: npt.ArrayLike) -> tuple[Bools, Bools]:
        """List the classes that a galaxy may have.

        Parameters
        ----------
        calibrated : (N, K) float in [0, 1]
            What `probabilities` returned.

        Returns
        -------
        tuple of (N, K) bool
            The 90 and the 95 % set, never empty.
        """
        low, high = (prediction_sets(calibrated, t) for t in self.thresholds)
        return low, high


def tempered(probabilities: npt.ArrayLike, temperature: float) -> Floats:
    """Divide log-probabilities by a temperature and normalize.

    Parameters
    ----------
    probabilities : (..., K) float in [0, 1]
        Each row adding up to 1, of one view or averaged over views.
    temperature : float
        Above 0; above 1 makes the network less sure.

    Returns
    -------
    (..., K) float
        Each row adding up to 1, in the same order of classes.

    Notes
    -----
    Guo et al. 2017 (ICML, eq. 9). For one view this divides the logits; on an average
    over views it acts as Ashukha et al. 2020 (ICLR, sec. 4) find best for ensembles.
    """
    each: Floats = softmax(logs_of(probabilities) / temperature, axis=-1)
    return each


def prediction_sets(
    probabilities: npt.ArrayLike, threshold: float, *, never_empty: bool = True
) -> Bools:
    """List the classes that a galaxy may have.

    Parameters
    ----------
    probabilities : (N, K) float in [0, 1]
        Calibrated.
    threshold : float
        What `conformal_threshold` found.
    never_empty : bool
        Let the most probable class always belong.

    Returns
    -------
    (N, K) bool
        True for the classes in the set.

    Notes
    -----
    Where the network is right more often than the level asks, the sets of the theorem
    keep the promise by being empty for the galaxies it is least sure of. Nobody gains
    from that, so here the most probable class belongs to every set; coverage is then
    at least the accuracy.
    """
    probs = np.asarray(probabilities, np.float64)
    # A hair of slack: the galaxy that set the threshold belongs, in float32 as well.
    sets: Bools = probs >= threshold - 1e-6
    if never_empty:
        sets[np.arange(len(probs)), probs.argmax(axis=1)] = True
    return sets


def to_parts(calibration: Calibration) -> tuple[dict[str, Any], dict[str, Singles]]:
    """Take a calibration apart, for a file.

    Parameters
    ----------
    calibration : Calibration
        What was fitted.

    Returns
    -------
    header : dict
        Plain values for JSON, with a SHA-256 over all of it.
    arrays : dict
        Float32 by name (``calibration.axes``...); empty without a space.
    """
    space = calibration.space
    header = {name: getattr(calibration, name) for name in PLAIN}
    header["thresholds"] = list(calibration.thresholds)
    arrays: dict[str, Singles] = {}
    if space is not None:
        # JSON knows no infinity: a space without a limit has none.
        limit = space.limit if math.isfinite(space.limit) else None
        header["space"] = {"noise": space.noise, "limit": limit}
        arrays = {
            PREFIX + name: np.ascontiguousarray(getattr(space, name), np.float32)
            for name in ARRAYS
        }
    return {**header, "hash": _digest(header, arrays)}, arrays


def from_parts(
    header: Mapping[str, Any] | None, arrays: Mapping[str, npt.NDArray[Any]]
) -> Calibration | None:
    """Put a calibration together again, and check that it is whole.

    Parameters
    ----------
    header : mapping or None
        As `to_parts` wrote it; None where the weights have no calibration.
    arrays : mapping
        As `to_parts` wrote them.

    Returns
    -------
    Calibration or None
        The same calibration.

    Raises
    ------
    CheckpointError
        If a part is missing, altered or left over.
    """
    if header is None:
        if arrays:
            raise CheckpointError(
                f"calibration: expected none, found {', '.join(sorted(arrays))}; the "
                "file was altered: copy it again"
            )
        return None
    with as_written(
        "calibration", "what 'dmagnet calibrate' writes", _AGAIN, error=CheckpointError
    ):
        plain = {name: header[name] for name in PLAIN}
        expected = {PREFIX + name for name in ARRAYS} if plain["space"] else set()
        if set(arrays) != expected:
            raise ValueError(
                f"{', '.join(sorted(arrays)) or 'no arrays'} in place of "
                f"{', '.join(sorted(expected)) or 'none'}"
            )
        if _digest(plain, arrays) != header["hash"]:
            raise ValueError("one that differs from its recorded hash")
        space = plain["space"]
        if space is not None:
            limit = math.inf if space["limit"] is None else float(space["limit"])
            parts = {n: np.asarray(arrays[PREFIX + n], np.float32) for n in ARRAYS}
            space = FeatureSpace(**parts, noise=float(space["noise"]), limit=limit)
        return Calibration(
            temperature=float(plain["temperature"]),
            thresholds=tuple(map(float, plain["thresholds"])),  # type: ignore[arg-type]
            provenance=dict(plain["provenance"]),
            views=int(plain["views"]),
            space=space,
        )


def _digest(header: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> str:
    """Fingerprint plain values and arrays; numbers as JSON spells them."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}{array.shape}{array.dtype}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def logs_of(probabilities: npt.ArrayLike) -> Floats:
    """Take logarithms, with a floor where a probability has underflowed to 0."""
    return np.log(np.maximum(np.asarray(probabilities, np.float64), TINY))
