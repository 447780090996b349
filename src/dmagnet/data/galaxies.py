"""What every reader returns: labeled galaxy images with their positions and parts."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dmagnet.errors import DataError

PARTS = ("train", "val", "test")  # the index is the code in `Galaxies.split`
PART_CODES = {"train": 0, "val": 1, "valid": 1, "validation": 1, "test": 2}

HASH_WHOLE_BYTES = 2**28  # larger stacks are hashed by a sample
HASH_SAMPLE = 64

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Galaxies:
    """Labeled galaxy images and what is known about each.

    Attributes
    ----------
    images : (N, H, W, 3) uint8
        RGB, in memory or as a read-only memory map.
    labels : (N,) int64
        Indices into `class_names`.
    class_names : tuple of str
        One name a class, in the order of the labels.
    ids : (N,) str
        File name relative to the source, or ``h5:`` and the row.
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
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
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

    def __post_init__(self) -> None:
        """Fingerprint what was given without a hash."""
        if not self.data_hash:
            object.__setattr__(self, "data_hash", content_hash(self))

    def __len__(self) -> int:
        return len(self.labels)

    def indices(self, part: str) -> npt.NDArray[np.int64]:
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
        chosen = self.indices(part)
        if len(chosen) == len(self):
            return self
        columns = (
            "images",
            "labels",
            "ids",
            "ra",
            "dec",
            "redshift",
            "pxscale",
            "split",
        )
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    def counts(self) -> dict[str, dict[str, int]]:
        """Count the images of each class in each part.

        Returns
        -------
        dict
            Part to class name to number of images.
        """
        return {
            part: dict(
                zip(self.class_names, self._per_class(code).tolist(), strict=True)
            )
            for code, part in enumerate(PARTS)
        }

    def _per_class(self, code: int) -> npt.NDArray[np.int64]:
        return np.bincount(
            self.labels[self.split == code], minlength=len(self.class_names)
        )


def content_hash(galaxies: Galaxies) -> str:
    """Fingerprint a data set, cheaply also where it holds gigabytes.

    Parameters
    ----------
    galaxies : Galaxies
        Labels, class names, positions and split all count. So does every pixel up to
        256 MiB; of more images, 64 evenly spaced from the first to the last.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    images = galaxies.images
    digest = hashlib.sha256(repr((images.shape, galaxies.class_names)).encode())
    for column in (galaxies.labels, galaxies.ra, galaxies.dec, galaxies.split):
        digest.update(np.ascontiguousarray(column).tobytes())
    if images.nbytes > HASH_WHOLE_BYTES:
        sample = np.linspace(0, len(images) - 1, HASH_SAMPLE).round().astype(int)
        images = images[sample]
    digest.update(np.ascontiguousarray(images).tobytes())
    return digest.hexdigest()
