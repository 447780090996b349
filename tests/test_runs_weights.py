"""The script of the weights goes all its way, with drawn galaxies for real ones."""

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


def pack(path, classes):
    """A zip like Galaxy Zoo's: three drawn galaxies a class to train, two to judge."""
    images, _ = simulate(SimulateConfig(num=5 * len(classes), image_size=64, seed=1))
    with zipfile.ZipFile(path, "w") as archive:
        for k, image in enumerate(images):
            part = "train" if k % 5 < 3 else "val"
            file = io.BytesIO()
            Image.fromarray(image).save(file, "PNG")
            archive.writestr(f"{part}/{classes[k // 5]}/{k}.png", file.getvalue())


@pytest.fixture(scope="module")
def script():
    """The script as a module, asking for little."""
    sys.path.insert(0, str(RUNS))
    try:
        import weights

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(weights, "NUM_DRAWN", 20)
            patch.setattr(weights, "NUM_VAL", 10)
            patch.setattr(weights, "NUM_COMPOSITES", 2)
            yield weights
    finally:
        sys.path.remove(str(RUNS))


@pytest.fixture(scope="module")
def made(script, tmp_path_factory):
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("out")
    pack(data / script.GZ2, sorted(script.MEANINGS_GZ2))
    pack(data / script.GZ1, sorted(script.MEANINGS_GZ1))
    write_hdf5(data / script.REAL60, SimulateConfig(num=20, image_size=64, seed=3))
    words = ["--data", str(data), "--out", str(out), "--size", "xs", "--side", "64"]
    words += [
        "--epochs",
        "1",
        "--branch-epochs",
        "1",
        "--seeds",
        "0",
        "--threads",
        str(torch.get_num_threads()),
    ]
    script.main(words)
    return words, out


def test_every_part_is_trained_on_and_judged(made):
    _, out = made
    result = json.loads((out / "xs64-0/judged.json").read_text())
    assert {"real60", "families", "groups", "gz2_val", "nll"} <= set(result)
    assert np.shape(result["probabilities_real60"]) == (20, 10)
    # 30 simulated, 15 of each real set (one three times), 2 of each composite
    assert load(out / "xs64-0").provenance["num_train"] == 30 + 3 * 15 + 15 + 2 * 2


def test_the_same_command_again_makes_nothing_anew(made, script):
    words, out = made
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    before |= {path: path.stat().st_mtime_ns for path in out.glob("*.npz")}
    script.main(words)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_mean_lies_between_the_trunk_and_its_branches(made):
    _, out = made
    files = ["xs64-0", "xs64-0a", "xs64-0b", "xs64-0/mean.safetensors"]
    *parts, mean = (load(out / name).model.head.weight for name in files)
    torch.testing.assert_close(mean, torch.stack(parts).mean(0))


def test_evened_answers_are_shared_more_evenly_between_the_classes(made, script):
    _, out = made
    run = out / "xs64-0"
    real = script.kept(next(out.glob("real60-*.npz")), None)
    before, after = (
        script.views(load(path), real).mean(0)
        for path in (run, script.evened(run, real))
    )
    assert np.abs(after - 0.1).max() < 0.8 * np.abs(before - 0.1).max()


def test_what_is_judged_on_is_never_trained_on(script, tmp_path):
    write_hdf5(tmp_path / "g.h5", SimulateConfig(num=20, image_size=72, seed=9))
    galaxies = load_galaxies(tmp_path / "g.h5")
    kept = script.without_same_sky(galaxies, galaxies.take(np.arange(6)))
    np.testing.assert_array_equal(kept.ids, galaxies.ids[6:])
