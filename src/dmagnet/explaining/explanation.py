"""Explanations on disk: pictures for people, FITS for DS9 and Aladin, and JSON."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from PIL import Image

from dmagnet import __version__
from dmagnet.dreaming.sheets import write_png
from dmagnet.dreaming.sources import numbered
from dmagnet.figures.overlays import evidence_figure, overlay
from dmagnet.figures.saving import inline, to_png
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.pictures import Cutout, rgb_hdu
from dmagnet.pictures.inputs.item import Item, Picture
from dmagnet.storage.arrays import Pixels, Singles
from dmagnet.storage.disk import beside, write_whole
from dmagnet.storage.records import brief, plain_json, stamp, write_json

PICTURE_PX = 384  # least side of a picture for people
DIGITS = 6
NUM_SHOWN = 12  # explanations of a list in a notebook


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why the network gave a galaxy its class.

    Attributes
    ----------
    item : Item
        Which input it is, with flags and reasons.
    picture : Picture
        The input as the network sees it.
    rgb : (S, S, 3) uint8
        The pixels of ``picture``.
    class_names : tuple of str
        The K classes.
    probabilities : (K,) float32
        Calibrated where the weights were.
    set90, set95 : tuple of int
        Classes of the conformal sets; empty without a calibration.
    ood : float or None
        How unlike the galaxies of training it is; None if the weights cannot say.
    ood_flag : bool or None
        Whether that is above the limit of the weights.
    target : int
        The class that is explained.
    against : int or None
        The class it is held against.
    maps : dict of str to (S, S) float32
        By method; see `dmagnet.explaining.attribute`.
    scale_weights : dict of str to (branches,) float32
        For each DMA block, how much it listens to each of its scales.
    wcs : astropy.wcs.WCS or None
        Of the pixels of ``rgb``, as FITS counts them from the bottom; None where the
        input does not say.
    notes : tuple of str
        What to know about it.
    """

    item: Item
    picture: Picture
    rgb: Pixels
    class_names: tuple[str, ...]
    probabilities: Singles
    set90: tuple[int, ...]
    set95: tuple[int, ...]
    ood: float | None
    ood_flag: bool | None
    target: int
    against: int | None
    maps: dict[str, Singles]
    scale_weights: dict[str, Singles]
    wcs: WCS | None = None
    notes: tuple[str, ...] = field(default=())

    __repr__ = brief

    @property
    def class_name(self) -> str:
        """Name of the class that is explained.

        Returns
        -------
        str
            As the weights spell it.
        """
        return self.class_names[self.target]

    @property
    def question(self) -> str:
        """What the maps answer, in words.

        Returns
        -------
        str
            ``why Merging`` or ``why Merging rather than Disturbed``.
        """
        words = f"why {self.class_name}"
        if self.against is not None:
            words += f" rather than {self.class_names[self.against]}"
        return words

    def _repr_html_(self) -> str:
        """Show the galaxy and its maps in a notebook."""
        p = self.probabilities
        told = f"{self.item.id}: {self.class_names[p.argmax()]} ({p.max():.2f})"
        if others := [self.class_names[k] for k in self.set90 if k != p.argmax()]:
            told += f", or {', '.join(others)} (90 % set)"
        figure = evidence_figure(self.rgb, self.maps, title=self.question)
        return inline(figure, told)


class Explanations(list[Explanation]):
    """A list that shows its first galaxies in a notebook."""

    def _repr_html_(self) -> str:
        """Show the first ones, one below the other."""
        rest = len(self) - NUM_SHOWN
        more = f"<p>and {rest:,} more in the list</p>" if rest > 0 else ""
        return "".join(each._repr_html_() for each in self[:NUM_SHOWN]) + more


def write_explanations(
    out: Path,
    found: Sequence[Explanation],
    checkpoint: Checkpoint,
    *,
    left_out: Sequence[Item] = (),
) -> Path:
    """Write explanations into a folder.

    Parameters
    ----------
    out : Path
        Made where it is not there; files of the same names are replaced.
    found : sequence of Explanation
        Of one network.
    checkpoint : Checkpoint
        The network.
    left_out : sequence of Item
        Inputs that are no pictures, for the record.

    Returns
    -------
    Path
        ``explain.json`` in the folder. Beside it for each galaxy ``<id>.png`` with all
        maps, ``<id>-<method>.png`` the galaxy under each, and ``<id>.fits``.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    path = Path(out) / "explain.json"
    names = stems([each.item.id for each in found])
    record = {
        **stamp(),
        "weights_hash": checkpoint.weights_hash,
        "image_size": checkpoint.config.image_size,
        "radii": checkpoint.config.radii,
        "class_names": list(checkpoint.class_names),
        "methods": list(found[0].maps) if found else [],
        "galaxies": [
            _entry(each)
            | {"files": _write_files(path.parent, name, each, checkpoint.weights_hash)}
            for each, name in zip(found, names, strict=True)
        ],
        "left_out": [
            {"id": item.id, "path": item.path, "reason": item.reason}
            for item in left_out
        ],
    }
    write_json(path, record)
    return path


def _entry(each: Explanation) -> dict[str, Any]:
    """Return an explanation as plain values, without its maps."""
    names = each.class_names
    answer = {
        "target": each.class_name,
        "against": None if each.against is None else names[each.against],
        "probabilities": dict(zip(names, each.probabilities.tolist(), strict=True)),
    }
    return plain_row(each, answer) | {
        "sums": {name: float(values.sum()) for name, values in each.maps.items()},
        "has_wcs": each.wcs is not None,
        "notes": list(each.notes),
    }


def plain_row(each: Explanation, answer: dict[str, Any]) -> dict[str, Any]:
    """Return what is known of a galaxy, and an answer to it, as plain values."""
    row = each.picture.to_dict() | answer
    row["set90"] = [each.class_names[k] for k in each.set90]
    row["set95"] = [each.class_names[k] for k in each.set95]
    row |= {name: getattr(each, name) for name in ("ood", "ood_flag", "scale_weights")}
    plain: dict[str, Any] = plain_json(row, DIGITS)
    return plain


def maps_hdus(each: Explanation, weights_hash: str = "") -> fits.HDUList:
    """Make a FITS file of an explanation: the galaxy, then each map, with their WCS.

    Parameters
    ----------
    each : Explanation
        Of one galaxy.
    weights_hash : str
        SHA-256 of the weights, for the header.

    Returns
    -------
    astropy.io.fits.HDUList
        Primary (3, S, S) float32, the view in red, green, blue; then one (S, S) float32
        extension a method, named in capitals. Bottom row first.
    """
    rgb = each.rgb.astype(np.float32) / np.float32(255)
    hdus = [rgb_hdu(Cutout(rgb, each.wcs))]
    names = each.class_names
    for method, values in each.maps.items():
        flipped = np.ascontiguousarray(values[::-1], np.float32)
        header = fits.Header()
        if each.wcs is not None:
            header.update(each.wcs.to_header(relax=True))
        hdu = fits.ImageHDU(flipped, header, name=method.upper())
        hdu.header["METHOD"] = (method, "how the map was made")
        hdu.header["TARGET"] = (names[each.target], "class that is explained")
        if each.against is not None:
            hdu.header["AGAINST"] = (names[each.against], "class it is held against")
        hdus.append(hdu)
    for hdu in hdus:
        hdu.header["WEIGHTS"] = (weights_hash[:16], "first of the weights' SHA-256")
        hdu.header["CREATOR"] = f"dmagnet {__version__}"
    return fits.HDUList(hdus)


def stems(ids: Sequence[str]) -> list[str]:
    """Make names of files out of ids."""
    plain = (re.sub(r"[^\w.+-]+", "_", text, flags=re.ASCII) for text in ids)
    return numbered([text.strip("._")[:80] or "galaxy" for text in plain])


def _write_files(
    out: Path, stem: str, each: Explanation, weights_hash: str
) -> dict[str, str]:
    """Write pictures and FITS of one galaxy, and return their names."""
    files = {"all": f"{stem}.png", "fits": f"{stem}.fits"}
    title = f"{each.item.id}: {each.question}"
    figure = evidence_figure(each.rgb, each.maps, title=title)
    write_whole(out / files["all"], to_png(figure))
    for method, values in each.maps.items():
        files[method] = f"{stem}-{method}.png"
        picture = Image.fromarray(overlay(each.rgb, values))
        times = -(-PICTURE_PX // picture.width)
        size = picture.width * times, picture.height * times
        write_png(picture.resize(size, Image.Resampling.BICUBIC), out / files[method])
    with beside(out / files["fits"]) as part, part.open("wb") as file:
        maps_hdus(each, weights_hash).writeto(file)
    return files
