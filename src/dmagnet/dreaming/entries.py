"""One dream of one image as files, and what the record says of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image

from dmagnet.config.dream_config import RedreamConfig
from dmagnet.dreaming.redream import Pass
from dmagnet.dreaming.runs import Dream, Moment
from dmagnet.dreaming.sheets import Film, can_write_mp4, to_bytes, write_gif, write_mp4
from dmagnet.figures.dream_plots import detail_picture, detail_reach
from dmagnet.pictures.cutout import Cutout
from dmagnet.pictures.fits_image import rgb_hdu
from dmagnet.storage.disk import beside

DIGITS = 7  # a float32 has no more


def write_dream(
    dreamed: Dream,
    folder: Path,
    names: Sequence[str],
    films: Mapping[str, Sequence[Film]] | None = None,
) -> list[dict[str, Any]]:
    """Write the dreams of a batch: pictures, FITS copies, films.

    Parameters
    ----------
    dreamed : Dream or Redream
        Of B images.
    folder : Path
        Each image gets a folder in it.
    names : sequence of str
        Of the B images.
    films : mapping of str to sequence of Film, optional
        For each suffix of a name (the dream's own is empty) a film for each image.

    Returns
    -------
    list of dict
        What the record says of each: its files, scores and class probabilities.

    Raises
    ------
    DataError
        If the disk refuses.
    """
    entries = []
    for i, name in enumerate(names):
        files = _pictures(dreamed, i, folder, name)
        for suffix, each in (films or {}).items():
            files |= _film(each[i], folder, f"{name}/{dreamed.target.slug}", suffix)
        entries.append(
            {
                "image": name,
                "target": dreamed.target.slug,
                "target_name": dreamed.target.name,
                "size": list(dreamed.start.shape[2:]),
                "notes": list(dreamed.cutouts[i].notes),
                "score": _ends(dreamed.scores, i),
                "probabilities": _ends(dreamed.probabilities, i),
                "detail": {
                    "mean_abs": _plain(dreamed.detail[i].abs().mean().item()),
                    "reach": _plain(detail_reach(dreamed.detail[i].cpu().numpy())),
                },
                **_course(dreamed, i),
                "files": files,
            }
        )
    return entries


def _pictures(dreamed: Dream, i: int, folder: Path, name: str) -> dict[str, str]:
    """Write galaxy, dream and detail as PNG, and dream and detail as FITS."""
    stem = f"{name}/{dreamed.target.slug}"
    detail = dreamed.detail[i].cpu().numpy()
    pictures = {
        "galaxy": (f"{name}/galaxy.png", to_bytes(dreamed.start[i])),
        "dream": (f"{stem}.png", to_bytes(dreamed.images[i])),
        "detail": (f"{stem}_detail.png", detail_picture(detail)),
    }
    for one in dreamed.passes[:-1]:
        path = f"{stem}_pass{one.number + 1}.png"
        pictures[f"pass{one.number + 1}"] = (path, to_bytes(one.images[i]))
    for path, picture in pictures.values():
        with beside(folder / path) as part:
            Image.fromarray(np.ascontiguousarray(picture)).save(part, format="PNG")
    with beside(folder / f"{stem}.fits") as part, part.open("wb") as file:
        _hdus(dreamed, i).writeto(file)
    files = {kind: path for kind, (path, _) in pictures.items()}
    return files | {"fits": f"{stem}.fits"}


def _hdus(dreamed: Dream, i: int) -> fits.HDUList:
    """Make the FITS copy: the dream, then what it added, both where the galaxy is."""
    wcs = dreamed.cutouts[i].wcs
    layers = (("PRIMARY", dreamed.images[i]), ("DETAIL", dreamed.detail[i]))
    hdus = []
    for name, image in layers:
        rgb = image.cpu().permute(1, 2, 0).contiguous().numpy()
        hdu = rgb_hdu(Cutout(rgb, wcs), name)
        hdu.header["TARGET"] = (dreamed.target.slug, "layer or class that was dreamed")
        start = dreamed.provenance["weights_hash"][:16]
        hdu.header["WEIGHTS"] = (start, "first of the SHA-256 of the weights")
        hdu.header["CREATOR"] = f"dmagnet {dreamed.provenance['dmagnet']}"
        hdus.append(hdu)
    return fits.HDUList(hdus)


def _film(film: Film, folder: Path, stem: str, suffix: str) -> dict[str, str]:
    """Write a film in all the formats there are."""
    files = {f"gif{suffix}": f"{stem}{suffix}.gif"}
    if suffix:  # the dream itself has pictures of its own
        files[f"strip{suffix}"] = f"{stem}{suffix}.png"
        with beside(folder / f"{stem}{suffix}.png") as part:
            Image.fromarray(film.strip()).save(part, format="PNG")
    with beside(folder / f"{stem}{suffix}.gif") as part:
        write_gif(film.frames, part)
    if can_write_mp4():
        files[f"mp4{suffix}"] = f"{stem}{suffix}.mp4"
        with beside(folder / f"{stem}{suffix}.mp4") as part:
            write_mp4(film.frames, part)
    return files


def _course(dreamed: Dream, i: int) -> dict[str, Any]:
    """Say how score and probabilities went along the way."""
    if isinstance(dreamed.config, RedreamConfig):
        return {"passes": [_pass(one, i) for one in dreamed.passes]}
    octaves: list[dict[str, Any]] = []
    for moment in dreamed.trace:
        if len(octaves) == moment.octave:
            octaves.append(
                {"size": list(moment.size), "scores": [], "probabilities": []}
            )
        octaves[-1]["scores"].append(_plain(moment.scores[i]))
        octaves[-1]["probabilities"] += _verdict(moment, i)
    return {"octaves": octaves}


def _verdict(moment: Moment, i: int) -> list[dict[str, Any]]:
    if moment.probabilities is None:
        return []
    return [{"step": moment.step, "p": _plain(moment.probabilities[i])}]


def _pass(one: Pass, i: int) -> dict[str, Any]:
    judged = one.probabilities
    return {
        "side": one.side,
        "score": _plain(one.scores[i]),
        "residual": _plain(one.residual[i]),
        "probabilities": _plain(None if judged is None else judged[i]),
    }


def _ends(values: NDArray[Any] | None, i: int) -> dict[str, Any] | None:
    if values is None:
        return None
    return {"galaxy": _plain(values[0, i]), "dream": _plain(values[1, i])}


def _plain(value: Any) -> Any:
    """Return numbers as JSON has them: short, and null for none and NaN."""
    if value is None:
        return None
    if np.ndim(value):
        return [_plain(one) for one in value]
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None
