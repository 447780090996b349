"""Probabilities of stacks of images."""

import numpy as np
import pytest
import torch

from dmagnet.config import ModelConfig
from dmagnet.errors import ConfigError
from dmagnet.judging.predict import attention, predict
from dmagnet.network import DMAGNet


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return DMAGNet(ModelConfig(size="xs", num_classes=4)).eval()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 255, (7, 64, 64, 3), np.uint8)


def test_probabilities_sum_to_one(model, images):
    np.testing.assert_allclose(predict(model, images).sum(1), 1, atol=1e-12)


def test_the_size_of_the_batches_does_not_matter(model, images):
    one, many = predict(model, images, batch_size=1), predict(model, images)
    np.testing.assert_allclose(one, many, atol=1e-6)


def test_eight_views_do_not_depend_on_flips_and_quarter_turns(model, images):
    turned = np.ascontiguousarray(np.rot90(images, axes=(1, 2))[:, :, ::-1])
    eight, again = predict(model, images, views=8), predict(model, turned, views=8)
    np.testing.assert_allclose(eight, again, atol=1e-6)
    one = predict(model, images)
    assert abs(one - predict(model, turned)).max() > 1e-5  # one view does depend


def test_another_number_of_views_is_refused(model, images):
    with pytest.raises(ConfigError, match="expected 1, 2, 4 or 8, got 3"):
        predict(model, images, views=3)


@pytest.mark.parametrize("views", [2, 4])
def test_two_and_four_views_are_means_over_flips_and_turns(model, images, views):
    seen = [images, images[:, :, ::-1]]
    seen += [np.rot90(images, axes=(1, 2)), np.rot90(images, axes=(1, 2))[:, :, ::-1]]
    each = [predict(model, np.ascontiguousarray(one)) for one in seen[:views]]
    found = predict(model, images, views=views)
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-5)


def test_the_mode_of_the_network_is_restored(model, images):
    model.train()
    predict(model, images[:1])
    assert model.training
    model.eval()


def test_progress_counts_up_to_all_images(model, images):
    seen = []
    predict(model, images, batch_size=3, progress=seen.append)
    assert seen == [3, 6, 7]


def test_attention_of_a_fresh_network_is_neutral(model, images):
    maps = attention(model, images)
    assert maps.shape == (7, 64, 64)
    np.testing.assert_allclose(maps, 1, atol=1e-6)
