"""CKA by its definition, dimensions that are known, probes of planted facts."""

import numpy as np
import pytest
import torch
from scipy.stats import ortho_group
from sklearn.metrics import f1_score, r2_score
from torch import nn

from dmagnet.config import ModelConfig
from dmagnet.dreaming import read
from dmagnet.errors import DataError
from dmagnet.measuring.probes import probe_classes, probe_parameter
from dmagnet.measuring.representations import (
    cka,
    cka_table,
    features_by_depth,
    participation_ratio,
)
from dmagnet.network import DMAGNet


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def song(k, m):
    """Unbiased HSIC as Song et al. (2012), equation 5, write it."""
    n, ones = len(k), np.ones(len(k))
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    return (
        np.trace(k @ m)
        + (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (ones @ k @ m @ ones)
    ) / (n * (n - 3))


def test_debiased_cka_is_that_of_the_definition(rng):
    x, y = rng.standard_normal((40, 7)) + 3, rng.standard_normal((40, 5))
    y[:, :3] += x[:, :3]
    k, m = x @ x.T, y @ y.T
    expected = song(k, m) / np.sqrt(song(k, k) * song(m, m))
    assert cka(x, y) == pytest.approx(expected, abs=1e-9)


def test_biased_cka_is_that_of_the_definition(rng):
    x, y = rng.standard_normal((30, 7)), rng.standard_normal((30, 5))
    y[:, :3] += x[:, :3]
    a, b = x - x.mean(0), y - y.mean(0)
    expected = np.linalg.norm(b.T @ a) ** 2 / (
        np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b)
    )
    assert cka(x, y, debiased=False) == pytest.approx(expected)


@pytest.mark.parametrize("debiased", [True, False])
def test_cka_of_a_representation_turned_scaled_and_shifted_is_one(rng, debiased):
    x = rng.standard_normal((50, 8)) * np.arange(1, 9)
    turned = 3 * x @ ortho_group.rvs(8, random_state=0) - 5
    assert cka(x, turned, debiased=debiased) == pytest.approx(1)


def test_cka_changes_when_axes_are_stretched(rng):
    x = rng.standard_normal((50, 8))
    assert cka(x, x * np.arange(1, 9)) < 0.95


def test_of_unrelated_features_only_debiased_cka_is_zero(rng):
    pairs = [rng.standard_normal((2, 60, 200)) for _ in range(20)]
    debiased = [cka(x, y) for x, y in pairs]
    assert abs(np.mean(debiased)) < 0.02
    assert np.mean([cka(x, y, debiased=False) for x, y in pairs]) > 0.5


def test_cka_of_a_constant_layer_is_nan(rng):
    assert np.isnan(cka(np.ones((10, 3)), rng.standard_normal((10, 3))))


def test_a_table_compares_every_layer_with_every_layer(rng):
    layers = {f"layer{i}": rng.standard_normal((20, i + 2)) for i in range(3)}
    table = cka_table(layers)
    assert table == pytest.approx(table.T)
    assert np.diag(table) == pytest.approx(np.ones(3))
    assert table[0, 2] == pytest.approx(cka(layers["layer0"], layers["layer2"]))
    assert cka_table(layers, {"one": layers["layer1"]}).shape == (3, 1)


def test_features_of_other_galaxies_cannot_be_compared(rng):
    with pytest.raises(DataError, match="got 20 and 21"):
        cka(rng.standard_normal((20, 3)), rng.standard_normal((21, 3)))


@pytest.mark.parametrize(
    "bad", [np.full((9, 2), np.nan), np.zeros((3, 2)), np.zeros(9)]
)
def test_features_that_are_none_are_refused(bad):
    with pytest.raises(DataError, match="features: expected"):
        participation_ratio(bad)


def test_the_participation_ratio_counts_equal_directions(rng):
    x = np.zeros((5000, 10))
    x[:, :4] = rng.standard_normal((5000, 4))
    assert participation_ratio(x) == pytest.approx(4, rel=0.01)
    assert participation_ratio(x[:, :1]) == pytest.approx(1)


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
    assert probe.selectivity_interval[0] > 0.3
    assert probe.interval[0] < probe.score < probe.interval[1]


def test_a_probe_finds_no_classes_in_noise(rng):
    probe = probe_classes(rng.standard_normal((150, 20)), rng.integers(0, 3, 150))
    low, high = probe.selectivity_interval
    assert low < 0 < high


def test_a_probe_reads_a_planted_number_whatever_its_scale(rng):
    features, _, value = planted(rng)
    probe = probe_parameter(features, 100 * value - 7)
    assert probe.score == pytest.approx(1 / (1 + 0.5**2), abs=0.12)
    assert probe.control < 0.05
    assert probe.selectivity_interval[0] > 0.4


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


def test_draws_of_each_galaxy_once_give_the_scores_of_sklearn(rng, monkeypatch):
    from dmagnet.measuring import probes

    def every_galaxy_once(n, num_draws, seed):
        yield np.ones((1, n))

    monkeypatch.setattr(probes, "bootstrap_weights", every_galaxy_once)
    labels, guesses = rng.integers(0, 4, 90), rng.integers(0, 4, 90)
    value, guess = rng.standard_normal(90), rng.standard_normal(90)
    f1 = f1_score(labels, guesses, average="macro")
    assert probes._f1_draws(labels, guesses, 0) == pytest.approx([f1])
    r2 = r2_score(value, guess)
    assert probes._r2_draws(value, (value - guess) ** 2, 0) == pytest.approx([r2])


def test_a_galaxy_without_a_value_is_left_out_and_keeps_its_place(rng):
    features, _, value = planted(rng)
    value[7] = np.nan
    probe = probe_parameter(features, value)
    assert probe.n == 149
    assert np.isnan(probe.per_galaxy[7])


def test_the_same_seed_gives_the_same_probe(rng):
    features, labels, _ = planted(rng)
    first, second = (probe_classes(features, labels, seed=3) for _ in range(2))
    assert (first.score, first.interval) == (second.score, second.interval)


def test_too_few_galaxies_for_the_folds_are_refused(rng):
    features, labels, value = planted(rng, n=12)
    labels[:] = np.arange(12) % 4
    with pytest.raises(DataError, match="5 or more galaxies"):
        probe_classes(features, labels)
    with pytest.raises(DataError, match="10 or more"):
        probe_parameter(features[:8], value[:8])
