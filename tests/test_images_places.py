"""A map of the network is drawn where the network looked."""

import numpy as np
import pytest
import torch

from dmagnet.config import ModelConfig
from dmagnet.network import DMAGNet
from dmagnet.pictures import middles, on_pixels, shares


@pytest.mark.parametrize("side", [64, 70, 81, 96, 256])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_places_lie_in_the_middle_of_what_convolutions_of_stride_2_see(side, depth):
    pixels = torch.zeros(1, 1, side, side, requires_grad=True)
    seen = pixels
    for _ in range(depth):
        seen = torch.nn.functional.conv2d(seen, torch.ones(1, 1, 3, 3), None, 2, 1)
    at = middles(seen.shape[3], side)
    inner = [i for i in range(len(at)) if 2**depth <= at[i] < side - 2**depth]
    assert inner
    for i in inner:
        (reach,) = torch.autograd.grad(seen[0, 0, i, i], pixels, retain_graph=True)
        columns = torch.nonzero(reach[0, 0].sum(0))[:, 0].double()
        assert columns.mean() == at[i]


def test_places_of_dmagnet_lie_where_their_gradients_do():
    torch.manual_seed(0)
    model = DMAGNet(ModelConfig(size="xs")).eval()
    pixels = torch.rand(4, 3, 128, 128, requires_grad=True)
    maps = model.stages["stage2"](model.stages["stage1"](model.stem(pixels)))
    at = middles(maps.shape[3], 128)
    chosen = len(at) // 2
    lot = torch.randn(maps.shape[:2])
    total = (maps[:, :, chosen, chosen] * lot).sum()
    weight = torch.autograd.grad(total, pixels)[0].square().sum((0, 1, 2)).double()
    centroid = (weight * torch.arange(128)).sum() / weight.sum()
    tile = (chosen + 0.5) * 128 / len(at) - 0.5
    assert abs(centroid - at[chosen]) < 1 < abs(centroid - tile)


def test_on_its_own_middle_a_place_has_its_own_value():
    values = np.random.default_rng(0).normal(size=(2, 4, 6)).astype(np.float32)
    large = on_pixels(values, (64, 96))
    assert large.shape == (2, 64, 96)
    np.testing.assert_allclose(large[:, ::16, ::16], values, rtol=1e-6)
    halfway = (values[:, 1, 2] + values[:, 2, 2]) / 2
    np.testing.assert_allclose(large[:, 24, 32], halfway, rtol=1e-5)


def test_a_map_of_one_value_stays_so_and_nothing_overshoots():
    np.testing.assert_allclose(shares(4, 64).sum(1), 1, rtol=1e-6)
    assert shares(4, 64).min() == 0
    np.testing.assert_allclose(on_pixels(np.full((4, 4), 0.7), (64, 64)), 0.7, 1e-6)


def test_a_map_as_large_as_the_picture_is_left_alone():
    values = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    np.testing.assert_array_equal(on_pixels(values, (20, 30)), values)


def test_maps_of_no_such_network_fill_tiles():
    np.testing.assert_allclose(middles(3, 30), [4.5, 14.5, 24.5])
    np.testing.assert_allclose(middles(6, 4), [-1 / 6, 0.5, 7 / 6, 11 / 6, 2.5, 19 / 6])
