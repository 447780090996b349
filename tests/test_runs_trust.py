"""The script of trust does all its steps on real galaxies, with few of everything."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dmagnet.classes import CLASS_NAMES
from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, load, save

pytestmark = pytest.mark.slow

RUNS = Path(__file__).parents[1] / "runs"


@pytest.fixture(scope="module")
def found(shared, galaxy_zoo, tmp_path_factory):
    """What the script writes for an untrained network of ten classes."""
    data = tmp_path_factory.mktemp("data")
    for path in shared.glob("*.*"):
        whole = path if path.name != galaxy_zoo.name else galaxy_zoo
        (data / path.name).symlink_to(whole)
    torch.manual_seed(0)
    config = TrainConfig(
        image_size=64, radii=3.0, model=ModelConfig(size="xs", num_classes=10)
    )
    network = Checkpoint(DMAGNet(config.model).eval(), config, CLASS_NAMES)
    out = tmp_path_factory.mktemp("trust")
    weights = save(out / "w.safetensors", network)
    sys.path.insert(0, str(RUNS))
    threads = torch.get_num_threads()
    try:
        from trust import main

        words = ["--weights", str(weights), "--data", str(data), "--quick"]
        words += ["--threads", "1", "--out", str(out), "--save", str(out / "c.st")]
        main(words)
    finally:
        torch.set_num_threads(threads)
        sys.path.remove(str(RUNS))
    return out, json.loads((out / "trust.json").read_text())


def test_real_sets_are_judged_in_halves(found):
    _, content = found
    assert set(content["sets"]) == {"galaxyzoo2", "real60"}
    for entry in content["sets"].values():
        assert 0 <= entry["halves"]["coverage90_bare"]["mean"] <= 1
        assert entry["halves"]["size90_shipped"]["mean"] >= 1


def test_a_perfect_calibration_of_few_galaxies_has_an_ece_and_of_sure_ones_none(found):
    measure = sys.modules["trust"].ece_if_perfect
    unsure = np.random.default_rng(0).dirichlet(np.ones(3), 2000)
    few, many = measure(unsure[:45], 20), measure(unsure, 20)
    assert few[1] <= few[0] <= few[2]
    assert few[0] > 0.08
    assert many[0] < 0.04
    assert measure(np.eye(3)[unsure.argmax(1)], 20) == [0, 0, 0]


def test_every_degradation_has_three_strengths_beside_the_clean_one(found):
    _, content = found
    for name in ("galaxyzoo2", "real60"):
        entry = content["degraded"][name]
        assert len(entry["clean"]) == 1
        for kind in ("blur", "noise", "rotation", "dimming", "smaller"):
            assert len(entry[kind]) == 3


def test_every_kind_of_impostor_has_its_area_and_interval(found):
    _, content = found
    for entry in content["ood"]["space"].values():
        low, high = entry["interval"]
        assert 0 <= low <= entry["auroc"] <= high <= 1
    assert "not_galaxies_300" in content["ood"]["space"]


def test_the_calibrated_weights_and_the_figures_are_there(found):
    out, content = found
    calibration = load(out / "c.st").calibration
    assert calibration.temperature == content["calibration"]["temperature"]
    names = {path.name for path in out.glob("*.png")}
    assert {"ood.png", "coverage.png", "degraded_real60.png"} <= names
