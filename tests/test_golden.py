"""What four verbs give, as it was: moving code about changes nothing.

Numbers may differ by `TOLERANCE` between processors. After a wanted change, write the
record anew: ``GOLDEN=write pytest tests/test_golden.py``, and look at its diff.
"""

import csv
import hashlib
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from dmagnet.cli import main

RECORD = Path(__file__).with_name("golden.json")
TOLERANCE = 2e-3
FORMS = {
    "ecsv": "ascii.ecsv", "csv": "ascii.csv", "fits": "fits", "vot": "votable",
    "parquet": "parquet",
}  # fmt: skip
BY = ("--weights", "xs")


@pytest.fixture(scope="module")
def galaxy(tmp_path_factory):
    """A barred disk with two arms, by formula."""
    y, x = (np.mgrid[:128, :128] - 63.5) / 128
    radius, angle = np.hypot(x, y / 0.8), np.arctan2(y / 0.8, x)
    arms = 1 + 0.6 * np.cos(2 * angle - 9 * np.log(radius + 0.05))
    light = np.exp(-radius / 0.1) * arms
    light += np.exp(-((x / 0.12) ** 2) - (y / 0.03) ** 2)
    colors = np.stack([light, 0.9 * light, 0.75 * light], -1)
    path = tmp_path_factory.mktemp("golden") / "galaxy.png"
    Image.fromarray((255 * np.clip(colors, 0, 1)).astype(np.uint8)).save(path)
    return path


def check(name, found):
    """Compare with the record, or write it."""
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if os.environ.get("GOLDEN") == "write":
        record[name] = found
        RECORD.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")
    told = record[name]
    assert found.keys() == told.keys()
    for key, value in told.items():
        if isinstance(value, float | list):
            near = pytest.approx(value, rel=TOLERANCE, abs=TOLERANCE, nan_ok=True)
            assert found[key] == near, key
        else:
            assert found[key] == value, key


def plain(value):
    if np.ma.is_masked(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    value = value.decode() if isinstance(value, bytes) else value
    return "nan" if isinstance(value, float) and math.isnan(value) else value


@pytest.mark.parametrize("form", FORMS)
def test_the_row_of_a_galaxy_is_as_it_was_in_every_format(galaxy, tmp_path, form):
    out = tmp_path / f"t.{form}"
    assert main(["classify", str(galaxy), "-o", str(out), *BY]) == 0
    table = Table.read(out, format=FORMS[form])
    row = {name: plain(table[name][0]) for name in table.colnames}
    row["path"] = Path(row["path"]).name
    row["reason"] = row["reason"] or ""  # text files have no empty text
    check("row", {k: v for k, v in row.items() if v is not None and v != "nan"})


def test_a_dream_is_as_it_was(galaxy, tmp_path):
    words = ["--layers", "stage2", "lam", "--steps", "2", "--device", "cpu"]
    assert main(["dream", str(galaxy), "-o", str(tmp_path / "d"), *BY, *words]) == 0
    files = [p for p in sorted((tmp_path / "d").rglob("*")) if p.is_file()]
    found = {"files": " ".join(p.name for p in files if p.name[0] != ".")}
    for path in files:
        if path.suffix == ".png":
            pixels = np.asarray(Image.open(path).convert("RGB"), float)
            found[path.name] = [*pixels.mean((0, 1)), *pixels.std((0, 1))]
    check("dream", found)


def test_a_short_training_is_as_it_was(tmp_path):
    data, run = str(tmp_path / "g.h5"), tmp_path / "run"
    draw = ["--num", "40", "--image-size", "64", "--seed", "0"]
    assert main(["simulate", *draw, "-o", data]) == 0
    words = [
        *("--size", "xs", "--epochs", "1", "--batch-size", "10", "--device", "cpu"),
        *("--image-size", "64", "--warmup-epochs", "1", "--no-progressive"),
    ]
    assert main(["train", data, "-o", str(run), *words]) == 0
    (metrics,) = run.rglob("metrics.csv")
    with metrics.open() as file:
        rows = [*csv.DictReader(file)]
    last = {k: float(v) for row in rows for k, v in row.items() if v}
    last = {k: v for k, v in last.items() if "time" not in k and "per_s" not in k}
    check("training", last)


def test_a_page_is_as_it_was(galaxy, tmp_path):
    words = ["--no-compare", "--steps", "0"]
    assert main(["page", str(galaxy), "-o", str(tmp_path / "p"), *BY, *words]) == 0
    found = {}
    for path in sorted((tmp_path / "p").rglob("*.html")):
        text = re.sub(r"data:[^\"')]+", "", path.read_text())
        text = re.sub(r"-?\d+(\.\d+)?(e-?\d+)?", "#", text.replace(str(tmp_path), ""))
        text = re.sub(r"[0-9a-f#]{12,}", "#", text)
        found[path.name] = hashlib.sha256(text.encode()).hexdigest()
    check("page", found)
