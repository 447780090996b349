import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[1] / "runs" / "realism.py"


@pytest.fixture(scope="module")
def realism():
    spec = importlib.util.spec_from_file_location("realism", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def noisy_sky(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(40, 8, (2, 256, 256, 3)).clip(0, 255).round().astype(np.uint8)


def test_nobody_separates_draws_from_one_distribution(realism):
    values = np.random.default_rng(0).normal(size=(300, 50))
    for judge, columns in ((realism.trees(), 6), (realism.line(), 50)):
        some = values[:, :columns]
        area, _ = realism.auc(judge, some[:150], some[150:])
        assert area == pytest.approx(0.5, abs=0.1)


def test_a_shift_of_all_statistics_is_seen_by_both_judges(realism):
    values = np.random.default_rng(0).normal(size=(200, 50))
    values[100:] += 1.5
    for judge, columns in ((realism.trees(), 6), (realism.line(), 50)):
        some = values[:, :columns]
        assert realism.auc(judge, some[:100], some[100:])[0] > 0.95


def test_the_level_and_the_noise_of_a_plain_sky_are_found(realism):
    found = realism.background(noisy_sky())
    assert found["sky_g"] == pytest.approx(40, abs=1)
    assert found["noise_grey"] == pytest.approx(8 / 3**0.5, rel=0.05)
    assert found["noise_color"] == pytest.approx(8 * 2**0.5, rel=0.05)
    assert found["lag1_grey"] == pytest.approx(0, abs=0.03)


def test_the_distance_of_equal_distributions_is_small(realism):
    values = np.random.default_rng(0).normal(size=2000)
    found = realism.distances(
        {"same": values[:1000], "other": values[:1000]},
        {"same": values[1000:], "other": values[1000:] + 3},
    )
    assert list(found) == ["other", "same"]
    assert found["same"]["ks"] < 0.08
    assert found["other"]["ks"] > 0.8
