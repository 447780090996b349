"""Labeled galaxy images with their positions and parts: what every reader returns."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dmagnet.errors import DataError
from dmagnet.storage.arrays import Bools, Floats, Ints, Pixels, Singles
from dmagnet.storage.records import brief

# The index is the code in `Galaxies.split`.
PARTS: tuple[str, ...] = ("train", "val", "test")
PART_CODES = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}
PLACES = ("ra", "dec", "redshift", "pxscale")
COLUMNS = ("images", "labels", "ids", *PLACES, "split")
MORE = ("masks", "votes")  # columns that few sets have

HASH_WHOLE_BYTES = 2**28  # larger stacks are hashed by a sample
HASH_SAMPLE = 64

Classes = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Galaxies:
    """Labeled galaxy images and what is known about each.

    Attributes
    ----------
    images : (N, H, W, 3) uint8
        RGB, in memory or as a read-only memory map.
    labels : (N,) int64
        Indices into `class_names`; from their number K on, K + j stands for "one of
        the classes in ``label_sets[j]``".
    class_names : tuple of str
        One name a class, in the order of the labels.
    ids : (N,) str
        As the table names it; else the file name relative to the source, or ``h5:``
        and the row.
    ra, dec : (N,) float64
        ICRS position in degrees; NaN where unknown.
    redshift : (N,) float64
        NaN where unknown.
    pxscale : (N,) float64
        Arcseconds a pixel of `images`, after cropping and resizing; NaN where
        unknown.
    split : (N,) int8
        0 train, 1 val, 2 test.
    source : str
        Where the images came from.
    data_hash : str
        SHA-256 of the content, computed by `content_hash` if empty; a subset keeps
        that of its whole.
    skipped : tuple of str
        One line for each image that could not be read.
    notes : tuple of str
        What a user of these data must know.
    label_sets : tuple of tuple of int
        Coarse labels, each the indices of the classes it may be.
    masks : (N, H, W) uint8, optional
        Where each galaxy shows its class, 0 to 255; all 0 where nobody knows.
    votes : (N, K) float32, optional
        How many volunteers named each class, or their shares, which add up to 1; the
        labels are then what most of them said.
    """

    images: Pixels
    labels: Ints
    class_names: tuple[str, ...]
    ids: npt.NDArray[np.str_]
    ra: Floats
    dec: Floats
    redshift: Floats
    pxscale: Floats
    split: npt.NDArray[np.int8]
    source: str
    data_hash: str = ""
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    label_sets: tuple[tuple[int, ...], ...] = ()
    masks: Pixels | None = None
    votes: Singles | None = None

    __repr__ = brief

    def __post_init__(self) -> None:
        """Refuse labels and votes of no class; fingerprint what has no hash yet."""
        num, labels, votes, line = len(self.class_names), self.labels, self.votes, ""
        most = num + len(self.label_sets) - 1
        if len(labels) and not 0 <= labels.min() <= labels.max() <= most:
            got = f"{labels.min()} to {labels.max()}"
            line = f"expected labels from 0 to {most}, got {got}"
        for some in self.label_sets:
            if not some or not set(some) <= set(range(num)):
                classes = f"some of the classes 0 to {num - 1}"
                line = line or f"expected label sets of {classes}, got {some}"
        form = (len(self), num)
        if votes is not None and not (votes.shape == form and (votes >= 0).all()):
            got = f"{votes.shape}, from {votes.min(initial=np.inf)}"
            line = line or f"expected votes of 0 or more, {form}, got {got}"
        if line:
            raise DataError(f"{self.source}: {line}")
        if not self.data_hash:
            object.__setattr__(self, "data_hash", content_hash(self))

    def __len__(self) -> int:
        return len(self.labels)

    def indices(self, part: str) -> Ints:
        """Return which galaxies belong to a part.

        Parameters
        ----------
        part : str
            ``train``, ``val``, ``test`` or ``all``.

        Returns
        -------
        (M,) int64
            Ascending indices.

        Raises
        ------
        DataError
            If there is no such part.
        """
        if part == "all":
            return np.arange(len(self))
        if part not in PARTS:
            raise DataError(f"part: expected train, val, test or all, got {part!r}")
        return np.flatnonzero(self.split == PARTS.index(part))

    @property
    def membership(self) -> Bools:
        """Return the classes that each label allows.

        Returns
        -------
        (K + M, K) bool
            One row a class, then one row a label set.
        """
        num = len(self.class_names)
        rows = meanings_of(num, self.label_sets)
        return np.array([np.isin(np.arange(num), row) for row in rows])

    def subset(self, part: str) -> "Galaxies":
        """Return one part; the images of a memory map are copied into memory.

        Parameters
        ----------
        part : str
            ``train``, ``val``, ``test`` or ``all``.

        Returns
        -------
        Galaxies
            The galaxies of this part in the same order; possibly none.

        Raises
        ------
        DataError
            If there is no such part.
        """
        return self.take(self.indices(part))

    def fully_labeled(self) -> "Galaxies":
        """Return the galaxies whose label is one class.

        Returns
        -------
        Galaxies
            In the same order; possibly none.
        """
        chosen = self.take(np.flatnonzero(self.labels < len(self.class_names)))
        return replace(chosen, label_sets=())

    def take(self, chosen: Ints) -> "Galaxies":
        """Return some of the galaxies.

        Parameters
        ----------
        chosen : (M,) int64
            Their indices; one may occur more than once.

        Returns
        -------
        Galaxies
            In that order; itself where all are taken in theirs. Neighbors are not
            copied.
        """
        if np.array_equal(chosen, np.arange(len(self))):
            return self
        rows: slice | Ints = chosen
        if len(chosen) and (np.diff(chosen) == 1).all():
            rows = slice(int(chosen[0]), int(chosen[-1]) + 1)
        more = [name for name in MORE if getattr(self, name) is not None]
        columns = [*COLUMNS, *more]
        return replace(self, **{name: getattr(self, name)[rows] for name in columns})

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the images of each class in each part.

        Returns
        -------
        dict
            Part to class name to number of images whose label is this class.
        """
        classes = range(len(self.class_names))
        return {
            part: {
                self.class_names[k]: int((self.labels[self.split == code] == k).sum())
                for k in classes
            }
            for code, part in enumerate(PARTS)
        }


def meanings_of(num: int, label_sets: Iterable[Classes]) -> list[Classes]:
    """Return the classes that each label allows, those of one class first."""
    return [*((k,) for k in range(num)), *label_sets]


def content_hash(galaxies: Galaxies) -> str:
    """Fingerprint a data set, cheaply also where it holds gigabytes."""
    names = (*galaxies.class_names, *galaxies.label_sets)
    digest = hashlib.sha256(repr((galaxies.images.shape, names)).encode())
    known = galaxies.labels, galaxies.ra, galaxies.dec, galaxies.split
    for column in known if galaxies.votes is None else (*known, galaxies.votes):
        digest.update(np.ascontiguousarray(column).tobytes())
    for pixels in (galaxies.images, galaxies.masks):
        if pixels is None:
            continue
        rows: slice | Ints = slice(None)
        if pixels.nbytes > HASH_WHOLE_BYTES:
            rows = np.linspace(0, len(pixels) - 1, HASH_SAMPLE).round().astype(int)
        digest.update(np.ascontiguousarray(pixels[rows]).tobytes())
    return digest.hexdigest()
