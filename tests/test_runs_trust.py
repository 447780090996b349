"""The script of trust does all its steps on real galaxies, with few of everything."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from dmagnet.classes import CLASS_NAMES
from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, load, save

pytestmark = pytest.mark.slow

RUNS = Path(__file__).parents[1] / "runs"


@pytest.fixture(scope="module")
def data(shared, galaxy_zoo, tmp_path_factory):
    """The real sets, one of them a part."""
    folder = tmp_path_factory.mktemp("data")
    for path in shared.glob("*.*"):
        whole = path if path.name != galaxy_zoo.name else galaxy_zoo
        (folder / path.name).symlink_to(whole)
    return folder


@pytest.fixture(scope="module", autouse=True)
def threads():
    """Leave the number of threads as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    """What the script writes for an untrained network of ten classes."""
    torch.manual_seed(0)
    config = TrainConfig(
        image_size=64, radii=3.0, model=ModelConfig(size="xs", num_classes=10)
    )
    network = Checkpoint(DMAGNet(config.model).eval(), config, CLASS_NAMES)
    out = tmp_path_factory.mktemp("trust")
    weights = save(out / "w.safetensors", network)
    sys.path.insert(0, str(RUNS))
    try:
        from trust import main

        words = ["--weights", str(weights), "--data", str(data), "--quick"]
        words += ["--threads", "1", "--out", str(out), "--save", str(out / "c.st")]
        main(words)
    finally:
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


@pytest.mark.parametrize(
    ("kind", "strength"),
    [("rotation", 45), ("rotation", 300), ("flip", 0), ("flip", 1)],
)
def test_maps_are_turned_back_as_their_pictures_were_turned(found, kind, strength):
    sys.path.insert(0, str(RUNS))
    try:
        from degrade import degraded
        from stress import correlations, turned_back
    finally:
        sys.path.remove(str(RUNS))
    smooth = gaussian_filter(
        np.random.default_rng(0).normal(size=(2, 64, 64)), (0, 4, 4)
    )
    gray = ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
    after = degraded(np.repeat(gray[..., None], 3, 3), kind, strength)[..., 0]
    back = turned_back(after.astype(float), kind, strength)
    assert correlations(gray.astype(float), back).min() > 0.95
    assert correlations(gray.astype(float), after.astype(float)).max() < 0.5


def test_weights_are_stressed_in_every_way_and_a_second_run_goes_on(
    found, data, monkeypatch
):
    out, _ = found
    monkeypatch.syspath_prepend(str(RUNS))
    import stress

    few = {"rotation": (90.0,), "flip": (1.0,)}
    monkeypatch.setattr(stress, "EVERY", few)
    words = [
        "--weights",
        str(out / "w.safetensors"),
        "--data",
        str(out.parent / "data0"),
    ]
    words += ["--out", str(out / "stress"), "--most", "8", "--trials", "2"]
    stress.main(words)
    path = out / "stress" / "w.safetensors.json"
    before = json.loads(path.read_text())
    for name in ("galaxyzoo2", "real60"):
        assert [(w["kind"], w["strength"]) for w in before[name]["ways"]] == [
            ("rotation", 90.0), ("flip", 1.0)
        ]  # fmt: skip
        low, high = before[name]["ways"][0]["fall"][1:]
        assert -1 <= low <= high <= 1
    monkeypatch.setattr(stress, "one_way", None)  # nothing is left to do
    stress.main(words)
    assert json.loads(path.read_text()) == before
    assert (out / "stress" / "stress.png").is_file()
