"""Labeled galaxies as the Parquet files that `datasets` and the hub know."""

import io
import json
from pathlib import Path

import pyarrow as pa
from PIL import Image
from pyarrow import parquet

from dmagnet import __version__
from dmagnet.errors import DataError
from dmagnet.galaxies.galaxies import PARTS, PLACES, Galaxies
from dmagnet.galaxies.votes import ONE
from dmagnet.storage.disk import beside

FILES = {"train": "train", "val": "validation", "test": "test"}  # by part
GROUP = 100  # rows that are read together, as `datasets` has it for images


def write_parquet(galaxies: Galaxies, folder: Path) -> Path:
    """Write labeled galaxies so that `datasets.load_dataset` reads the folder.

    Parameters
    ----------
    galaxies : Galaxies
        Images become PNG; votes stand beside the label, masks are left out.
    folder : Path
        For ``data/train-00000-of-00001.parquet``, and ``validation`` and ``test``.

    Returns
    -------
    Path
        The folder; `load_galaxies` reads it too.

    Raises
    ------
    DataError
        If files of others, or of other parts, are in the way, or the disk refuses.
    """
    names = galaxies.class_names
    several = ("|".join(names[k] for k in some) for some in galaxies.label_sets)
    label = {"names": [*names, *several], "_type": "ClassLabel"}
    features = {"image": {"_type": "Image"}, "label": label}
    told = {
        "huggingface": json.dumps({"info": {"features": features}}),
        "made by": f"dmagnet: {__version__}",
    }
    places = {n: folder / f"data/{n}-00000-of-00001.parquet" for n in FILES.values()}
    there = {PARTS[code] for code in set(galaxies.split.tolist())}
    wanted = {places[FILES[part]] for part in there}
    if left := [p for p in (folder / "data").glob("*.parquet") if p not in wanted]:
        raise DataError(
            f"{min(left)}: expected a folder of no other galaxies, which would be read "
            "with these; give another -o, or move them away"
        )
    for part in there:
        some, cells = galaxies.subset(part), []
        for pixels, own in zip(some.images, some.ids, strict=True):
            Image.fromarray(pixels).save(png := io.BytesIO(), "PNG")
            cells.append({"bytes": png.getvalue(), "path": f"{own}.png"})
        columns = {key: getattr(some, key) for key in PLACES}
        columns |= {"image": cells, "label": some.labels, "id": some.ids}
        if galaxies.votes is not None and some.votes is not None:
            kind = "votes" if galaxies.votes.sum(1).max() > ONE else "fraction"
            votes = zip(names, some.votes.T, strict=True)
            columns |= {f"{name}_{kind}": each for name, each in votes}
        table = pa.table(columns).replace_schema_metadata(told)
        with beside(places[FILES[part]]) as new:
            parquet.write_table(table, new, row_group_size=GROUP)
    return folder
