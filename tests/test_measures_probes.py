"""Probes of planted facts, on features of layers and of the light alone."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch import nn

from dmagnet.config import ModelConfig
from dmagnet.dreaming import read
from dmagnet.errors import DataError
from dmagnet.measuring.probes import (
    features_by_depth,
    light_in_rings,
    probe_classes,
    probe_parameter,
)
from dmagnet.network import DMAGNet


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_features_are_channel_means_of_what_the_layers_say(rng):
    torch.manual_seed(0)
    network = DMAGNet(ModelConfig(size="xs")).eval()
    images = rng.integers(0, 256, (70, 64, 64, 3), dtype=np.uint8)  # two parts
    found = features_by_depth(network, images, ["stage1", "logits"])
    batch = torch.from_numpy(images[64:]).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected = read(network, batch, ["stage1", "logits"])
    assert found["logits"].shape == (70, 10)
    means = expected["stage1"].mean(dim=(2, 3)).numpy()
    assert found["stage1"][64:] == pytest.approx(means, rel=1e-3, abs=1e-5)
    logits = expected["logits"].numpy()
    assert found["logits"][64:] == pytest.approx(logits, rel=1e-3, abs=1e-4)


def test_features_of_images_that_are_no_bytes_are_refused():
    with pytest.raises(DataError, match="uint8"):
        features_by_depth(nn.Conv2d(3, 3, 1), np.zeros((2, 8, 8, 3)), [""])


def planted(rng, n=150, channels=20):
    """Features that hold three classes and one number, and nothing else."""
    labels, value = rng.integers(0, 3, n), rng.standard_normal(n)
    features = rng.standard_normal((n, channels))
    features[:, :3] += 3 * np.eye(3)[labels]
    features[:, 5] = 1e-3 * (value + 0.5 * features[:, 5])
    return features, labels, value


def test_a_probe_reads_planted_classes_and_not_shuffled_ones(rng):
    features, labels, _ = planted(rng)
    probe = probe_classes(features, labels)
    assert probe.metric == "macro_f1"
    assert probe.score > 0.85
    assert abs(probe.control - 1 / 3) < 0.15


def test_a_probe_finds_no_classes_in_noise(rng):
    probe = probe_classes(rng.standard_normal((150, 20)), rng.integers(0, 3, 150))
    assert probe.score - probe.control == pytest.approx(0, abs=0.15)


def test_a_probe_reads_a_planted_number_whatever_its_scale(rng):
    features, _, value = planted(rng)
    probe = probe_parameter(features, 100 * value - 7)
    assert probe.score == pytest.approx(1 / (1 + 0.5**2), abs=0.12)
    assert probe.control < 0.05


def test_contributions_of_galaxies_average_to_the_score_of_sklearn(rng):
    features, labels, value = planted(rng)
    of_class, of_value = (
        probe_classes(features, labels),
        probe_parameter(features, value),
    )
    for probe in (of_class, of_value):
        assert np.nanmean(probe.per_galaxy) == pytest.approx(probe.score)
        assert np.nanmean(probe.control_per_galaxy) == pytest.approx(probe.control)
    right = of_class.per_galaxy > 0
    assert right.mean() > 0.85
    from dmagnet.measuring.probes import _f1_contributions

    guesses = rng.integers(0, 3, 150)
    expected = f1_score(labels, guesses, average="macro")
    assert _f1_contributions(labels, guesses).mean() == pytest.approx(expected)


def test_a_galaxy_without_a_value_is_left_out_and_keeps_its_place(rng):
    features, _, value = planted(rng)
    value[7] = np.nan
    probe = probe_parameter(features, value)
    assert probe.n == 149
    assert np.isnan(probe.per_galaxy[7])


def test_the_same_seed_gives_the_same_probe(rng):
    features, labels, _ = planted(rng)
    first, second = (probe_classes(features, labels, seed=3) for _ in range(2))
    assert np.array_equal(first.control_per_galaxy, second.control_per_galaxy)


def test_too_few_galaxies_for_the_folds_are_refused(rng):
    features, labels, value = planted(rng, n=12)
    labels[:] = np.arange(12) % 4
    with pytest.raises(DataError, match="5 or more galaxies"):
        probe_classes(features, labels)
    with pytest.raises(DataError, match="10 or more"):
        probe_parameter(features[:8], value[:8])


@pytest.mark.parametrize(
    "bad", [np.full((9, 2), np.nan), np.zeros((3, 2)), np.zeros(9)]
)
def test_features_that_are_none_are_refused(bad):
    with pytest.raises(DataError, match="features: expected"):
        probe_parameter(bad, np.zeros(len(bad)))


def test_light_in_rings_is_blind_to_turns_and_sees_the_profile(rng):
    images = rng.integers(0, 256, (4, 65, 65, 3), dtype=np.uint8)
    found = light_in_rings(images)
    assert found.shape == (4, 48)
    assert found == pytest.approx(light_in_rings(np.rot90(images, axes=(1, 2))))
    bright = images.copy()
    bright[:, 30:35, 30:35] = 255
    assert (light_in_rings(bright)[:, :3] > 0.99).all()
