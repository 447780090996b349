"""One dream of one image as files, and what the record says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from dmagnet import __version__
from dmagnet.config.dream_config import RedreamConfig
from dmagnet.dreaming.objectives import Logit
from dmagnet.dreaming.redream import Pass
from dmagnet.dreaming.request import RECORD, Request, read_record
from dmagnet.dreaming.runs import Dream
from dmagnet.dreaming.sheets import (
    Film,
    can_write_mp4,
    to_bytes,
    write_gif,
    write_mp4,
    write_png,
)
from dmagnet.dreaming.targets import Network, Target, provenance_of
from dmagnet.errors import DataError
from dmagnet.figures.overlays import detail_picture, detail_reach
from dmagnet.pictures import Cutout, rgb_hdu
from dmagnet.storage.disk import beside, refuse_others
from dmagnet.storage.records import as_written, write_json

DIGITS = 7  # a float32 has no more
Entry = dict[str, Any]  # of a record


def write_dream(
    dreamed: Dream,
    folder: Path,
    names: Sequence[str],
    films: Mapping[str, Sequence[Film]] | None = None,
    judge: tuple[str, Network] | None = None,
) -> list[Entry]:
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
    judge : (str, Network), optional
        A second network with its name; says how likely the dreamed class is.

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
    said, judged = _second_opinions(dreamed, judge), dreamed.probabilities
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
                "probabilities": None if judged is None else _ends(judged, i),
                **said[i],
                "detail": {
                    "mean_abs": _plain(dreamed.detail[i].abs().mean().item()),
                    "reach": _plain(detail_reach(dreamed.detail[i].cpu().numpy())),
                },
                **_course(dreamed, i),
                "files": files,
            }
        )
    return entries


def _second_opinions(dreamed: Dream, judge: tuple[str, Network] | None) -> list[Entry]:
    """Ask another network how likely the dreamed class is, before and after."""
    objective, num = dreamed.target.objective, len(dreamed.images)
    if judge is None or not isinstance(objective, Logit):
        return [{}] * num
    name, network = judge
    answers = [network.judge(images) for images in (dreamed.start, dreamed.images)]
    p = np.stack(
        [each[:, objective.class_index] for each in answers if each is not None]
    )
    return [{"judge": {"weights": name, **_ends(p, i)}} for i in range(num)]


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
        write_png(Image.fromarray(np.ascontiguousarray(picture)), folder / path)
    with beside(folder / f"{stem}.fits") as part, part.open("wb") as file:
        target, wcs = dreamed.target, dreamed.cutouts[i].wcs
        weights = dreamed.provenance["weights_hash"]
        both = dreamed.images[i], dreamed.detail[i]
        dream_hdus(target, *both, wcs, weights).writeto(file)
    files = {kind: path for kind, (path, _) in pictures.items()}
    return files | {"fits": f"{stem}.fits"}


def dream_hdus(
    target: Target,
    dream: Tensor,
    detail: Tensor,
    wcs: WCS | None,
    weights_hash: str,
    **more: Any,
) -> fits.HDUList:
    """Make the FITS copy: the dream, then what it added, both where the galaxy is."""
    hdus = []
    for name, image in (("PRIMARY", dream), ("DETAIL", detail)):
        rgb = image.cpu().permute(1, 2, 0).contiguous().numpy()
        hdu = rgb_hdu(Cutout(rgb, wcs), name)
        hdu.header["TARGET"] = (target.slug, "layer or class that was dreamed")
        hdu.header.update(more)
        start = weights_hash[:16]
        hdu.header["WEIGHTS"] = (start, "first of the SHA-256 of the weights")
        hdu.header["CREATOR"] = f"dmagnet {__version__}"
        hdus.append(hdu)
    return fits.HDUList(hdus)


def _film(film: Film, folder: Path, stem: str, suffix: str) -> dict[str, str]:
    """Write a film in all the formats there are."""
    files = {f"gif{suffix}": f"{stem}{suffix}.gif"}
    if suffix:  # the dream itself has pictures of its own
        files[f"strip{suffix}"] = f"{stem}{suffix}.png"
        write_png(Image.fromarray(film.strip()), folder / f"{stem}{suffix}.png")
    with beside(folder / f"{stem}{suffix}.gif") as part:
        write_gif(film.frames, part)
    if can_write_mp4():
        files[f"mp4{suffix}"] = f"{stem}{suffix}.mp4"
        with beside(folder / f"{stem}{suffix}.mp4") as part:
            write_mp4(film.frames, part)
    return files


def _course(dreamed: Dream, i: int) -> Entry:
    """Return score and probabilities along the way."""
    if isinstance(dreamed.config, RedreamConfig):
        return {"passes": [_pass(one, i) for one in dreamed.passes]}
    octaves: list[Entry] = []
    for moment in dreamed.trace:
        # A dream of no steps has one moment, of its last octave.
        if not octaves or len(octaves) == moment.octave:
            octaves.append(
                {"size": list(moment.size), "scores": [], "probabilities": []}
            )
        octaves[-1]["scores"].append(_plain(moment.scores[i]))
        if moment.probabilities is not None:
            judged = {"step": moment.step, "p": _plain(moment.probabilities[i])}
            octaves[-1]["probabilities"].append(judged)
    return {"octaves": octaves}


def _pass(one: Pass, i: int) -> Entry:
    numbers = {
        "score": one.scores, "residual": one.residual,
        "random_residual": one.control, "probabilities": one.probabilities,
    }  # fmt: skip
    known = {k: None if v is None else _plain(v[i]) for k, v in numbers.items()}
    return {"side": one.side, **known}


def _ends(values: NDArray[Any], i: int) -> Entry:
    return {"galaxy": _plain(values[0, i]), "dream": _plain(values[1, i])}


def _plain(value: Any) -> Any:
    """Return numbers as JSON has them: short, and null for NaN."""
    if np.ndim(value):
        return [_plain(one) for one in value]
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


@dataclass(eq=False)
class Folder:
    """The folder and record of one run."""

    path: Path  # the folder
    request: Request  # what is dreamed
    status: Literal["running", "stopped", "finished"] = "running"
    entries: list[Entry] = field(default_factory=list)  # one for each dream written
    sheets: list[str] = field(default_factory=list)  # pictures of the whole run
    notes: list[str] = field(default_factory=list)  # what a person should know

    def find(self, image: str, target: Target) -> Entry | None:
        """Return what is written of the dream of a target on an image, if it is."""
        wanted = (image, target.slug)
        return next((e for e in self.entries if _of(e) == wanted), None)

    def add(self, entries: list[Entry]) -> None:
        """Note what was written in place of older dreams of the same, and save."""
        new = {_of(entry) for entry in entries}
        self.entries = [e for e in self.entries if _of(e) not in new] + entries
        self.save()

    def save(self) -> None:
        """Write the record."""
        record = {
            "status": self.status,
            "request": self.request.to_dict(),
            "provenance": provenance_of(self.request.network),
            "class_names": list(self.request.network.class_names),
            "notes": self.notes,
            "sheets": self.sheets,
            "dreams": self.entries,
        }
        write_json(self.path / self.request.record_name, record)


def _of(entry: Entry) -> tuple[str, str]:
    return entry["image"], entry["target"]


def open_folder(path: Path, request: Request) -> Folder:
    """Begin a run, or go on with the same one."""
    record_path = path / request.record_name
    if not record_path.is_file():
        refuse_others(path)
        return Folder(path, request)
    record = read_record(record_path)
    if _what_counts(record["request"]) != _what_counts(request.to_dict()):
        raise DataError(
            f"{path}: holds the dreams of another command; choose a new -o or delete it"
        )
    folder = Folder(path, request)
    if record.get("provenance") == provenance_of(request.network):
        with as_written(record_path, RECORD):
            folder.entries = [e for e in record["dreams"] if _whole(path, e)]
    return folder


def _what_counts(request: Any) -> Any:
    """Leave out where files lie: what they hold is known by their hashes."""
    if isinstance(request, dict):
        return {k: _what_counts(v) for k, v in request.items() if k != "path"}
    return [_what_counts(v) for v in request] if isinstance(request, list) else request


def _whole(path: Path, entry: Entry) -> bool:
    known = all(isinstance(name, str) for name in _of(entry))
    return known and all((path / name).is_file() for name in entry["files"].values())
