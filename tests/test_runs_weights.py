"""The script of the weights goes all its way, with drawn galaxies for real ones."""

import csv
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dmagnet.config import SimulateConfig
from dmagnet.galaxies import load_galaxies
from dmagnet.network.checkpoint import load
from dmagnet.simulator import simulate, write_hdf5

pytestmark = pytest.mark.slow

RUNS = Path(__file__).parents[1] / "runs"
ROWS = {  # of the tables of labels: column and values
    "gz_decals_real.zip": [
        {"classes": "1", "tag": "Merging-Merger"},
        {"classes": "5|6|7", "tag": "Spiral-Arms-Yes"},
        {"classes": "", "tag": "Ring"},
        {"classes": "", "tag": "No-Ring"},
        {"classes": "", "tag": "Artifact"},
    ],
    "galaxy10_real_train.zip": [
        {"class": str(k % 10), "quality": "clean" if k < 20 else "downsampled64"}
        for k in range(30)
    ],
}


def pictures(num, seed):
    """Drawn galaxies as files."""
    images, _ = simulate(SimulateConfig(num=num, image_size=64, seed=seed))
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        yield file.getvalue()


def pack_classes(path, classes, parts):
    """A zip like Galaxy Zoo's: a few drawn galaxies of each class."""
    with zipfile.ZipFile(path, "w") as archive:
        for k, file in enumerate(pictures(5 * len(classes), seed=1)):
            part = ("train/" if k % 5 < 3 else "val/") if parts else ""
            archive.writestr(f"{part}{classes[k // 5]}/{k}.png", file)


def pack_rows(path, rows):
    """A zip of pictures with a table of labels."""
    table = io.StringIO()
    writer = csv.DictWriter(table, ["file", *rows[0]])
    writer.writeheader()
    with zipfile.ZipFile(path, "w") as archive:
        for k, (row, file) in enumerate(zip(rows, pictures(len(rows), 2), strict=True)):
            archive.writestr(f"{k}.png", file)
            writer.writerow({"file": f"{k}.png", **row})
        archive.writestr("labels.csv", table.getvalue())


@pytest.fixture(scope="module")
def scripts():
    """The scripts as modules, asking for little."""
    sys.path.insert(0, str(RUNS))
    try:
        import training_sets
        import weights

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training_sets, "NUM_DRAWN", 40)
            patch.setattr(training_sets, "NUM_COMPOSITES", {"sdss": 2, "decals": 1})
            patch.setattr(weights, "NUM_VAL", 10)
            patch.setattr(weights, "FOLDS", 2)
            yield weights, training_sets
    finally:
        sys.path.remove(str(RUNS))


@pytest.fixture(scope="module")
def made(scripts, tmp_path_factory):
    weights, sets = scripts
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    for name in (sets.GZ2, sets.GZ1, sets.KAGGLE):
        pack_classes(data / name, sorted(sets.MEANINGS[name]), name != sets.KAGGLE)
    for name, rows in ROWS.items():
        pack_rows(data / name, rows)
    write_hdf5(data / sets.REAL60, SimulateConfig(num=20, image_size=64, seed=3))
    words = ["--data", str(data), "--out", str(out), "--size", "xs", "--epochs", "1"]
    words += ["1", "--seeds", "0", "--folds", "--threads", str(torch.get_num_threads())]
    weights.main(words)
    return words, out


def test_every_part_is_trained_on_and_judged(made):
    _, out = made
    result = json.loads((out / "xs-0/judged.json").read_text())
    assert {"real60", "families", "gz2_val", "nll", "folds_clean"} <= set(result)
    assert np.shape(result["probabilities_real60"]) == (20, 10)
    assert np.shape(result["probabilities_folds"]["galaxy10 degraded"]) == (10, 10)


def test_galaxy10_images_come_in_the_second_half_only(made):
    _, out = made
    first, second = (
        load(out / name).provenance["data"] for name in ("xs-0-base", "xs-0")
    )
    assert "Galaxy10 DECaLS" not in first
    assert second.count("Galaxy10 DECaLS") == 2  # clean and degraded


def test_a_fold_is_trained_without_its_own_images(made):
    _, out = made
    whole, *folds = (
        load(out / f"xs-0{name}").provenance["num_train"]
        for name in ("", "-fold0", "-fold1")
    )
    # 20 clean images are shown 12 times, 10 degraded ones 6 times; half are left out.
    assert [whole - one for one in folds] == [150, 150]


def test_the_same_command_again_makes_nothing_anew(made, scripts):
    words, out = made
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    before |= {path: path.stat().st_mtime_ns for path in out.glob("*.npz")}
    scripts[0].main(words)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_unlabeled_images_get_the_fewest_classes_that_are_sure(made, scripts):
    weights, sets = scripts
    _, out = made
    unlabeled = sets.read(next(out.glob("unlabeled-*.npz")))
    known = weights.guessed(load(out / "xs-0-base"), unlabeled)
    p = weights.views(load(out / "xs-0-base"), unlabeled)
    allowed = known.membership[known.labels]
    held = (p * allowed).sum(1)
    assert (held >= weights.SURE).all()
    least = np.where(allowed, p, 1).min(1)
    assert (held - least < weights.SURE).all()


def test_what_is_judged_on_is_never_trained_on(scripts, tmp_path):
    write_hdf5(tmp_path / "g.h5", SimulateConfig(num=20, image_size=72, seed=9))
    galaxies = load_galaxies(tmp_path / "g.h5")
    kept = scripts[1].without_same_sky(galaxies, galaxies.take(np.arange(6)))
    np.testing.assert_array_equal(kept.ids, galaxies.ids[6:])
