"""Divide galaxies into train, val and test so that no sky stands on both sides."""

import hashlib
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from dmagnet.galaxies.galaxies import PARTS
from dmagnet.galaxies.same_galaxy import FRAME_ARCSEC, known_positions, sky_groups
from dmagnet.storage.arrays import Floats, Ints

FRACTIONS = (0.8, 0.1, 0.1)
PUBLISHED_NUM = 17_736
INDEX_FILE = "galaxy10_decals_split.csv"

Codes = npt.NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Split:
    """Which part and which fold each galaxy belongs to.

    Attributes
    ----------
    codes : (N,) int8
        0 train, 1 val, 2 test.
    folds : (N,) int8
        Fold of a cross-validation over all galaxies, independent of `codes`.
    groups : (N,) int64
        Galaxies of one group share their sky, and therefore part and fold.
    notes : tuple of str
        What the division could not know.
    """

    codes: Codes
    folds: Codes
    groups: Ints
    notes: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """Fingerprint of the division.

        Returns
        -------
        str
            SHA-256 of the bytes of codes and folds.
        """
        return hashlib.sha256(self.codes.tobytes() + self.folds.tobytes()).hexdigest()


def leak_safe_split(
    labels: Ints,
    ra: Floats,
    dec: Floats,
    *,
    radius_arcsec: float = FRAME_ARCSEC,
    fractions: tuple[float, ...] = FRACTIONS,
    num_folds: int = 5,
    seed: int = 0,
) -> Split:
    """Split by class, keeping galaxies that share their sky together.

    Parameters
    ----------
    labels : (N,) int64
        Class of each galaxy, from 0.
    ra, dec : (N,) float64
        ICRS degrees; NaN where unknown: such a galaxy stands for itself.
    radius_arcsec : float
        Galaxies closer than this, directly or through others, stay together.
    fractions : tuple of float
        Shares of train, val and test; they sum to 1.
    num_folds : int
        Number of equal folds.
    seed : int
        Same seed, same split.

    Returns
    -------
    Split
        Each class as near to the fractions as whole groups allow; a class of three
        galaxies or more has one in each part.

    Notes
    -----
    Groups of several galaxies are placed first, the largest first, each where the
    classes in it are furthest from their share; single galaxies then fill up every
    class to its exact share. Unlike StratifiedGroupKFold of scikit-learn: unequal
    parts, small classes, and the same shuffling in every version.
    """
    labels = np.asarray(labels, np.int64)
    groups = sky_groups(ra, dec, radius_arcsec)
    rng = np.random.default_rng(seed)
    codes = _allocate(labels, groups, fractions, rng)
    folds = _allocate(labels, groups, (1 / num_folds,) * num_folds, rng)
    unknown = int((~known_positions(ra, dec)).sum())
    note = (
        f"positions unknown for {unknown} of {len(labels)} galaxies: images of the "
        "same sky may stand on both sides of the split"
    )
    return Split(codes, folds, groups, (note,) if unknown else ())


def _allocate(
    labels: Ints, groups: Ints, fractions: tuple[float, ...], rng: np.random.Generator
) -> Codes:
    """Give each group one part, stratified by class."""
    num_classes = int(labels.max(initial=-1)) + 1
    sizes = np.bincount(labels, minlength=num_classes)
    # (K, parts) galaxies that each part still wants of each class
    wanted = np.array([_quotas(n, fractions) for n in sizes]).reshape(num_classes, -1)
    codes = np.full(len(labels), -1, np.int8)
    shuffled = np.argsort(rng.random(len(labels)), kind="stable")

    group_sizes = np.bincount(groups)
    for group in np.argsort(-group_sizes, kind="stable"):
        if group_sizes[group] < 2:
            break
        members = np.flatnonzero(groups == group)
        content = np.bincount(labels[members], minlength=num_classes)
        # the part with the largest unmet share of these classes; ties at random
        need = content @ (wanted / np.maximum(1, sizes)[:, None] / np.array(fractions))
        part = int(np.argmax(need + 1e-9 * rng.random(len(fractions))))
        codes[members] = part
        wanted[:, part] -= content

    for label in range(num_classes):
        rest = shuffled[(labels[shuffled] == label) & (codes[shuffled] < 0)]
        codes[rest] = np.repeat(
            np.arange(len(fractions)), _fill(wanted[label], len(rest))
        )
    return codes


def _quotas(num: int, fractions: tuple[float, ...]) -> Ints:
    """Divide a number of galaxies; no part stays empty if there are enough."""
    edges = np.round(np.cumsum(fractions) * num).astype(np.int64)
    edges[-1] = num
    quotas = np.diff(edges, prepend=0)
    if num >= len(fractions):
        for part in np.flatnonzero((quotas == 0) & (np.array(fractions) > 0)):
            quotas[np.argmax(quotas)] -= 1
            quotas[part] += 1
    return quotas


def _fill(wanted: Ints, num: int) -> Ints:
    """Cut wishes that groups have overdrawn, so that they sum to what is left."""
    taken = np.maximum(wanted, 0)
    while (excess := int(taken.sum()) - num) > 0:
        taken[np.argmax(taken)] -= min(excess, int(taken.max()))
    return taken


def positions_hash(ra: Floats, dec: Floats) -> str:
    """Fingerprint positions, to know a published catalog again."""
    rounded = np.round(np.stack([ra, dec]) * 1e4)
    return hashlib.sha256(rounded.astype("<i8").tobytes()).hexdigest()


def published_split(labels: Ints, ra: Floats, dec: Floats) -> Split | None:
    """Return the split of Galaxy10 DECaLS that comes with this package.

    Parameters
    ----------
    labels : (N,) int64
        Class of each galaxy.
    ra, dec : (N,) float64
        ICRS degrees.

    Returns
    -------
    Split or None
        None unless these are the 17,736 positions of the published file in order.
    """
    if len(labels) != PUBLISHED_NUM or not known_positions(ra, dec).all():
        return None
    lines = (resources.files(__package__) / INDEX_FILE).read_text("utf-8").splitlines()
    if f"# positions: {positions_hash(ra, dec)}" not in lines:
        return None
    listed = [line for line in lines if line[:1].isdigit()]
    rows = np.loadtxt(listed, delimiter=",", dtype=str)
    codes = np.array([PARTS.index(part) for part in rows[:, 1]], np.int8)
    return Split(codes, rows[:, 2].astype(np.int8), sky_groups(ra, dec))


def split_of(labels: Ints, ra: Floats, dec: Floats, seed: int = 0) -> Split:
    """Return the published split where it applies, else compute one."""
    published = published_split(labels, ra, dec) if seed == 0 else None
    return published or leak_safe_split(labels, ra, dec, seed=seed)
