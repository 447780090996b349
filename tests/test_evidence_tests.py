"""Tests of maps: what they say of maps whose worth is known."""

import captum.metrics
import numpy as np
import pytest
import torch
from test_evidence import Linear

import dmagnet
from dmagnet.errors import DataError
from dmagnet.explaining import (
    cascaded_randomization,
    faithfulness,
    insertion_deletion,
    sky_fill,
)
from dmagnet.explaining.faithfulness import (
    energy_share,
    infidelity,
    max_sensitivity,
    square_changes,
)
from dmagnet.explaining.randomized import rank_correlation

SIDE = 48
TARGETS = np.zeros(3, int)


@pytest.fixture(scope="module")
def model():
    return Linear(SIDE).eval()


@pytest.fixture(scope="module")
def images():
    """Three blobs of light on a noisy sky."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    light = 0.6 * np.exp(-(x**2 + y**2) / 120)
    noise = np.random.default_rng(0).normal(0.1, 0.01, (3, 3, SIDE, SIDE))
    return torch.from_numpy((light + noise).clip(0, 1)).float()


@pytest.fixture(scope="module")
def exact(model, images):
    """What each pixel gives the score, against the fill of the tests."""
    fill = sky_fill(images, seed=0)
    return ((images - fill) * model.weight).sum(dim=1).numpy()


def test_curves_run_between_the_picture_and_its_sky(model, images, exact):
    curves = insertion_deletion(model, images, exact, TARGETS)
    with torch.no_grad():
        whole = model(images).softmax(1)[:, 0].numpy()
        empty = model(sky_fill(images, seed=0)).softmax(1)[:, 0].numpy()
    assert np.allclose(curves.deletion[:, 0], whole)
    assert np.allclose(curves.deletion[:, -1], empty)
    assert np.allclose(curves.insertion[:, 0], empty)
    assert np.allclose(curves.insertion[:, -1], whole)


def test_the_opposite_map_swaps_the_curves(model, images, exact):
    one = insertion_deletion(model, images, exact, TARGETS, steps=64)
    other = insertion_deletion(model, images, -exact, TARGETS, steps=64)
    assert np.allclose(one.deletion_auc, other.insertion_auc, atol=0.01)


def test_the_exact_map_is_better_than_any_other_order(model, images, exact):
    best = insertion_deletion(model, images, exact, TARGETS)
    lot = np.random.default_rng(1).random(exact.shape)
    for maps in (lot, images.mean(dim=1).numpy()):
        worse = insertion_deletion(model, images, maps, TARGETS)
        assert (best.insertion_auc > worse.insertion_auc).all()
        assert (best.deletion_auc < worse.deletion_auc).all()


def test_infidelity_is_captums(model, images):
    """Over what an empty map has, on the same squares."""
    fill = sky_fill(images, seed=0)
    maps = images.mean(dim=1).numpy()
    changes = square_changes(model, images, TARGETS, fill=fill, patches=30)
    squares = iter(torch.from_numpy(changes.squares).unsqueeze(2))

    def _lay(seen):
        mask = next(squares).expand_as(seen)
        return mask.float(), torch.where(mask, fill, seen)

    given = torch.from_numpy(maps)[:, None].expand_as(images) / 3
    theirs = captum.metrics.infidelity(
        lambda seen: model(seen)[:, 0], _lay, images, given,
        n_perturb_samples=30, max_examples_per_batch=3, normalize=True,
    )  # fmt: skip
    empty = (changes.losses**2).mean(axis=0)
    assert np.allclose(infidelity(maps, changes), theirs.numpy() / empty, atol=1e-4)


def test_infidelity_is_0_for_the_whole_truth_and_1_for_nothing(model, images, exact):
    fill = sky_fill(images, seed=0)
    changes = square_changes(model, images, TARGETS, fill=fill)
    assert infidelity(exact, changes).max() < 1e-6
    assert (infidelity(np.zeros_like(exact), changes) == 1).all()


def test_a_map_that_never_changes_is_steady(images):
    steady = max_sensitivity(
        lambda seen, _: torch.ones(len(seen), SIDE, SIDE), images, TARGETS
    )
    nervous = max_sensitivity(
        lambda seen, _: (seen.mean(dim=1) * 1e3).sin(), images, TARGETS
    )
    assert (steady == 0).all()
    assert (nervous > 0.5).all()


def test_energy_is_the_share_on_the_galaxy():
    segment = np.zeros((3, 4, 4), bool)
    segment[:2, 1:3, 1:3] = True
    maps = np.ones((3, 4, 4))
    maps[1] = -1.0 * segment[1]
    share = energy_share(maps, segment)
    assert np.allclose(share[:2], [0.25, 1.0])
    assert np.isnan(share[2])
    assert np.isnan(energy_share(0 * maps, segment)).all()


def test_faithfulness_takes_all_measures_together(model, images, exact):
    scores = faithfulness(
        model, images, exact, targets=TARGETS,
        explainer=lambda seen, _: (seen * model.weight).sum(dim=1),
    )  # fmt: skip
    assert (scores.insertion > scores.deletion).all()
    assert (scores.infidelity < 1e-6).all()
    assert (scores.max_sensitivity < 0.2).all()
    assert (scores.energy > 0.5).all()
    assert (scores.area < 0.8).all()
    with pytest.raises(DataError, match=r"expected \(3, 48, 48\), got \(2, 48, 48\)"):
        faithfulness(model, images, exact[:2], targets=TARGETS)


def test_maps_of_a_shuffled_network_lose_their_likeness():
    checkpoint = dmagnet.load("xs")
    before = dmagnet.network.checkpoint.weights_hash(checkpoint.model)
    drawn = np.random.default_rng(2).integers(0, 60, (3, 64, 64, 3)).astype(np.uint8)
    drawn[:, 20:44, 28:36] += 120
    for method in ("evidence", "grad_cam"):
        cascade = cascaded_randomization(checkpoint, drawn, method, target=5)
        assert cascade.layers == (
            *("none", "logits", "lam", "stage4", "stage3", "stage2", "stage1", "stem"),
        )
        assert (cascade.likeness[:, 0] == 1).all()
        assert np.abs(cascade.likeness[:, 1:].mean(axis=0)).max() < 0.95
        assert np.abs(cascade.likeness[:, 1:]).mean() < 0.7
    assert dmagnet.network.checkpoint.weights_hash(checkpoint.model) == before


def test_rank_correlation_is_scipys():
    from scipy.stats import spearmanr

    one, other = np.random.default_rng(0).integers(0, 9, (2, 2, 5, 5))
    found = rank_correlation(one, other)
    for i in range(2):
        expected = spearmanr(one[i].ravel(), other[i].ravel()).statistic
        assert abs(found[i] - expected) < 1e-12
    assert (rank_correlation(one, 0 * other) == 0).all()
