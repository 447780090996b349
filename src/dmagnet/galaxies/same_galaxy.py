"""Positions on the sky: which galaxies are the same, or share a frame."""

import re
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord, search_around_sky
from astropy.io.registry import identify_format
from astropy.table import QTable
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from dmagnet import __version__
from dmagnet.config.classify_config import ColumnsConfig
from dmagnet.errors import DataError
from dmagnet.galaxies.galaxy10 import SUFFIXES, read_catalog
from dmagnet.pictures.tables.columns import find_columns, read_rows
from dmagnet.storage.arrays import Bools, Floats, Ints
from dmagnet.storage.disk import beside, open_file, says_so

FRAME_ARCSEC = 67.0  # 256 px of 0.262": closer pairs show each other
SAME_ARCSEC = 0.1  # below the astrometric scatter of any catalog of galaxies


@dataclass(frozen=True, eq=False)
class Audit:
    """Pairs of images that show the same sky.

    Attributes
    ----------
    index_a, index_b : (P,) int64
        Rows of the two images, ``index_a < index_b``, closest pair first.
    separation_arcsec : (P,) float64
        Distance on the sky.
    label_a, label_b : (P,) int64
        Their labels.
    num : int
        Images looked at.
    num_unknown : int
        Images without a position, which were left out.
    """

    index_a: Ints
    index_b: Ints
    separation_arcsec: Floats
    label_a: Ints
    label_b: Ints
    num: int
    num_unknown: int

    @property
    def same_label(self) -> Bools:
        """Whether both images of a pair carry one label.

        Returns
        -------
        (P,) bool
            False where the labels contradict each other.
        """
        return np.equal(self.label_a, self.label_b)

    @property
    def duplicates(self) -> Bools:
        """Whether a pair is one galaxy twice.

        Returns
        -------
        (P,) bool
            True where the positions are closer than `SAME_ARCSEC`.
        """
        return self.separation_arcsec < SAME_ARCSEC

    def to_table(self) -> QTable:
        """Return the pairs as a table.

        Returns
        -------
        astropy.table.QTable
            Columns ``index_a index_b separation label_a label_b same_label``,
            the separation in arcsec.
        """
        return QTable(
            {
                "index_a": self.index_a,
                "index_b": self.index_b,
                "separation": self.separation_arcsec * u.arcsec,
                "label_a": self.label_a,
                "label_b": self.label_b,
                "same_label": self.same_label,
            },
            meta={
                "dmagnet": __version__,
                "images": self.num,
                "unknown_positions": self.num_unknown,
            },
        )

    def write(self, path: Path) -> Path:
        """Write the pairs as a table.

        Parameters
        ----------
        path : Path
            Its ending says the format, as astropy knows it: .ecsv, .csv, .fits, .vot,
            .parquet...

        Returns
        -------
        Path
            The file.

        Raises
        ------
        DataError
            If no table is called so, a file is there that is not such a table, or the
            disk refuses.
        """
        table = self.to_table()
        formats = identify_format("write", QTable, str(path), None, [table], {})
        if path.suffix.lower() == ".csv":
            formats = ["ascii.csv"]
        elif "votable" in formats:  # and not its form around Parquet
            formats = ["votable"]
        if len(formats) != 1:
            raise DataError(
                f"{path}: expected a table's name, such as pairs.ecsv, got "
                f"{path.suffix or 'no ending'!r}"
            )
        first = ",".join(table.colnames).encode()

        def _is_ours(there: Path) -> bool:
            with open_file(there) as file:
                return file.read(len(first)) == first or says_so(there)

        with beside(path, _is_ours) as part:
            table.write(part, format=formats[0])
        return path

    def summary(self) -> dict[str, int]:
        """Count what was found.

        Returns
        -------
        dict
            Number of images, of unknown positions, of close pairs, of exact
            duplicates among them, and of duplicates with two different labels.
        """
        return {
            "images": self.num,
            "unknown_positions": self.num_unknown,
            "close_pairs": len(self.index_a),
            "duplicates": int(self.duplicates.sum()),
            "contradictory": int((self.duplicates & ~self.same_label).sum()),
        }


def known_positions(ra: Floats, dec: Floats) -> Bools:
    """Return which positions can be on the sky."""
    return np.isfinite(ra) & np.isfinite(dec) & (np.abs(dec) <= 90)


def close_pairs(
    ra: Floats, dec: Floats, radius_arcsec: float = FRAME_ARCSEC
) -> tuple[Ints, Ints, Floats]:
    """Find all pairs of positions closer than a radius."""
    rows = np.flatnonzero(known_positions(ra, dec))
    if len(rows) < 2:
        return rows[:0], rows[:0], np.empty(0)
    sky = SkyCoord(ra[rows], dec[rows], unit="deg")
    first, second, separation, _ = search_around_sky(sky, sky, radius_arcsec * u.arcsec)
    once = first < second
    first, second = rows[first[once]], rows[second[once]]
    arcsec = separation[once].to_value(u.arcsec)
    order = np.lexsort((second, first, arcsec))
    return first[order], second[order], arcsec[order]


def sky_groups(ra: Floats, dec: Floats, radius_arcsec: float = FRAME_ARCSEC) -> Ints:
    """Label the connected components of positions within a radius."""
    first, second, _ = close_pairs(ra, dec, radius_arcsec)
    links = coo_array((np.ones(len(first)), (first, second)), shape=(len(ra), len(ra)))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def audit(labels: Ints, ra: Floats, dec: Floats) -> Audit:
    """Look for duplicates, overlapping frames and contradictory labels.

    Parameters
    ----------
    labels : (N,) int64
        Class of each image.
    ra, dec : (N,) float64
        ICRS degrees, NaN where unknown.

    Returns
    -------
    Audit
        All pairs closer than one frame of Galaxy10, 67 arcsec.

    Raises
    ------
    DataError
        If the columns differ in length.
    """
    if not len(labels) == len(ra) == len(dec):
        raise DataError(
            "audit: expected as many labels as positions, got "
            f"{len(labels)} labels, {len(ra)} ra, {len(dec)} dec"
        )
    labels = np.asarray(labels, np.int64)
    first, second, arcsec = close_pairs(ra, dec)
    unknown = int((~known_positions(ra, dec)).sum())
    return Audit(
        first, second, arcsec, labels[first], labels[second], len(labels), unknown
    )


def read_positions(
    path: Path, columns: ColumnsConfig | None = None
) -> tuple[Ints, Floats, Floats]:
    """Read labels and positions from a Galaxy10 file or any table.

    Parameters
    ----------
    path : Path
        HDF5 with ``ra``, ``dec`` and ``ans``, or a table (text, FITS, VOTable,
        Parquet) with positions and perhaps a ``label``.
    columns : ColumnsConfig, optional
        What the columns of a table are called.

    Returns
    -------
    tuple of arrays
        Labels (N,) int64, -1 where there is none; right ascension and declination
        in degrees (N,) float64.

    Raises
    ------
    DataError
        If the file cannot be read or has no positions.
    """
    if path.suffix.lower() in SUFFIXES:
        catalog = read_catalog(path)
        ra, dec = catalog.places["ra"], catalog.places["dec"]
        if not known_positions(ra, dec).any():
            raise DataError(f"{path}: expected positions in 'ra' and 'dec', found none")
        return catalog.labels, ra, dec
    found = find_columns(path, columns, ("ra", "dec"))
    rows = list(read_rows(path, found, labeled=True))
    ra, dec = (np.array([getattr(row, c) for row in rows]) for c in ("ra", "dec"))
    if not known_positions(ra, dec).any():
        line = f"expected positions in {found.ra!r} and {found.dec!r}, found none"
        raise DataError(f"{path}: {line}")
    labels = [row.label for row in rows]
    names = sorted({label for label in labels if label})
    codes = {"": -1} | {name: code for code, name in enumerate(names)}
    if all(re.fullmatch(r"-?\d{1,18}", name) for name in names):
        codes |= {name: int(name) for name in names}
    return np.array([codes[label] for label in labels], np.int64), ra, dec


def audit_file(
    source: Path | str,
    out: Path | str | None = None,
    *,
    columns: ColumnsConfig | None = None,
) -> Audit:
    """List galaxies that appear twice, overlap on the sky, or have two labels.

    Parameters
    ----------
    source : path
        As of `read_positions`.
    out : path, optional
        Write the pairs there too (.ecsv, .csv, .fits, ...).
    columns : ColumnsConfig, optional
        What the columns of a table are called.

    Returns
    -------
    Audit
        The pairs; `Audit.to_table` makes a table of them.

    Raises
    ------
    DataError
        If the source cannot be read, or the table not written.
    """
    found = audit(*read_positions(Path(source), columns))
    if out is not None:
        found.write(Path(out))
    return found
