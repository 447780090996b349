"""Maps that are reasons: they add up, follow classes, and find what was planted."""

import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import dmagnet
from dmagnet.config import ModelConfig, SimulateConfig
from dmagnet.dreaming.layers import private_copy
from dmagnet.errors import ConfigError, DataError
from dmagnet.explaining import (
    attribute,
    evidence_maps,
    explain_images,
    methods,
    scale_weights,
    sky_fill,
)
from dmagnet.explaining.borrowed import (
    TargetScore,
    integrated_gradients,
    occlusion,
    smoothgrad,
)
from dmagnet.explaining.curves import find_sky
from dmagnet.explaining.maps import blocks_of, enlarged
from dmagnet.explaining.methods import BORROWED, maps_of
from dmagnet.explaining.needed import Search, needed
from dmagnet.galaxies.augment import dihedral_views
from dmagnet.judging.predict import on_picture
from dmagnet.network import DMAGNet
from dmagnet.pictures import standardize
from dmagnet.simulator import simulate

RNG = np.random.default_rng(5)


def alone(*targets):
    """Classes that are held against none."""
    return torch.tensor([[target, -1] for target in targets])


@pytest.fixture(scope="module")
def network():
    return dmagnet.load("xs")


@pytest.fixture(scope="module")
def views(network):
    """Two simulated galaxies as the network wants to see them."""
    drawn, _ = simulate(SimulateConfig(num=10, image_size=192, seed=3))
    side, radii = network.config.image_size, network.config.radii
    return np.stack([standardize(drawn[i], side, radii) for i in (3, 6)])


@pytest.fixture(scope="module")
def images(views):
    return torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def logits(network, images):
    with torch.no_grad():
        return network.model(images)


class Linear(nn.Module):
    """Two classes; the first counts the light in a corner of the middle."""

    def __init__(self, side, gain=40.0):
        super().__init__()
        weight = torch.zeros(3, side, side)
        weight[:, side // 2 : side * 3 // 4, side // 2 : side * 3 // 4] = 1
        self.register_buffer("weight", gain * weight / weight.sum())

    def forward(self, x):
        score = (x * self.weight).sum(dim=(1, 2, 3)) - 6
        return torch.stack((score, -score), dim=1)


def test_evidence_adds_up_to_the_logit_of_every_class(network, images, logits):
    with torch.no_grad():
        maps = evidence_maps(network.model, images)
    assert maps.shape == (2, 10, 16, 16)
    assert (maps.sum(dim=(2, 3)) - logits).abs().max() < 1e-4


def test_evidence_adds_up_in_a_network_without_lam_at_an_odd_side():
    torch.manual_seed(0)
    model = DMAGNet(ModelConfig(size="xs", num_classes=3, lam=False)).eval()
    pictures = torch.rand(2, 3, 88, 88)
    with torch.no_grad():
        gap = evidence_maps(model, pictures).sum(dim=(2, 3)) - model(pictures)
    assert gap.abs().max() < 1e-4


@pytest.mark.parametrize("side", [64, 96, 100])
def test_enlarging_keeps_the_sum(side):
    maps = torch.from_numpy(RNG.normal(size=(3, 6, 6)))
    large = enlarged(maps, side)
    assert large.shape == (3, side, side)
    assert (large.sum(dim=(1, 2)) - maps.sum(dim=(1, 2))).abs().max() < 1e-9


def test_evidence_of_a_contrast_adds_up_to_the_difference(network, views, logits):
    asked = {"target": [2, 5], "against": "merging"}
    maps = attribute(network, views, "evidence", **asked, views=1)
    expected = logits[[0, 1], [2, 5]] - logits[:, 1]
    assert np.abs(maps.sum(axis=(1, 2)) - expected.numpy()).max() < 1e-4


def test_evidence_of_eight_views_adds_up_to_their_mean_logit(network, views, images):
    maps = attribute(network, views, "evidence", target=[2, 5], views=8)
    with torch.no_grad():
        each = [network.model(view)[[0, 1], [2, 5]] for view in dihedral_views(images)]
    gap = maps.sum(axis=(1, 2)) - torch.stack(each).mean(0).numpy()
    assert np.abs(gap).max() < 1e-4


@pytest.mark.parametrize("method", ["evidence", "lam", "scales"])
def test_a_turned_galaxy_has_the_same_map_turned(network, views, method):
    turned = np.rot90(views, axes=(1, 2))[:, :, ::-1]
    maps = attribute(network, views, method, target=2, views=8)
    others = attribute(network, turned, method, target=2, views=8)
    want = np.rot90(maps, axes=(1, 2))[:, :, ::-1]
    np.testing.assert_allclose(others, want, atol=1e-4 * np.abs(maps).max())


@pytest.mark.parametrize("against", [None, 3])
def test_integrated_gradients_add_up_within_one_percent(
    network, views, images, against
):
    method, rows, classes = "integrated_gradients", [0, 1], [2, 6]
    maps = attribute(network, views, method, target=classes, against=against)
    sky = find_sky(images).level.expand_as(images)
    with torch.no_grad():
        gain = network.model(images) - network.model(sky)
    rise = gain[rows, classes]
    if against is not None:
        rise = rise - gain[:, against]
    gap = maps.sum(axis=(1, 2)) - rise.numpy()
    assert (np.abs(gap) <= 0.01 * np.abs(rise.numpy())).all()


def test_grad_cam_before_pooling_is_evidence_without_bias_and_negative_parts(
    network, images
):
    targets = torch.tensor([2, 6])
    cam = maps_of(network.model, images, "grad_cam", alone(2, 6))
    with torch.no_grad():
        maps = evidence_maps(network.model, images)[[0, 1], targets]
    bias = network.model.head.bias[targets].detach()
    bare = (maps - bias[:, None, None] / maps[0].numel()).clamp(min=0)
    large = on_picture(bare, images.shape[2:])
    assert torch.allclose(cam, large, atol=1e-4)


def test_borrowed_maps_of_a_linear_network_are_its_weights(images):
    side = images.shape[2]
    model = Linear(side)
    score, first = TargetScore(model), alone(0, 0)
    sky = find_sky(images).level
    exact = ((images - sky) * model.weight).sum(dim=1)
    gradients = integrated_gradients(score, images, first)
    assert torch.allclose(gradients, exact, atol=1e-5)
    weights = model.weight.abs().sum(dim=0).expand_as(exact)
    assert torch.allclose(smoothgrad(score, images, first), weights, atol=1e-6)
    covered = occlusion(score, images, first)
    assert (covered[:, : side // 4] == 0).all()
    assert (covered[:, side // 2 + 4 : side * 3 // 4 - 4] != 0).any()


def test_the_search_finds_what_was_planted_and_adds_up(images):
    side = images.shape[2]
    model, first = Linear(side).eval(), alone(0, 0)
    bright = images.clone()
    bright[:, :, side // 4 : side * 3 // 4, side // 4 : side * 3 // 4] = 0.6
    found = needed(model, bright, first, Search(steps=10))
    planted = torch.zeros(side, side, dtype=torch.bool)
    planted[side // 2 : side * 3 // 4, side // 2 : side * 3 // 4] = True
    for values in found:
        best = values.flatten().topk(int(planted.sum()) // 2).indices
        assert planted.flatten()[best].float().mean() > 0.95
    fill = sky_fill(bright, seed=10_000)
    with torch.no_grad():
        rise = (model(bright).softmax(1) - model(fill).softmax(1))[:, 0]
    assert torch.allclose(found.sum(dim=(1, 2)), rise, atol=1e-4)


def test_a_map_does_not_depend_on_the_pictures_beside_it(network, images):
    model, classes = private_copy(network.model), alone(2, 6)
    quick = Search(steps=1, fills=1)
    for name in ("evidence", "needed", "integrated_gradients", "smoothgrad"):

        def _maps(part, name=name):
            if name == "needed":
                return needed(model, images[part], classes[part], quick)
            return maps_of(model, images[part], name, classes[part])

        single, together = _maps(slice(1, 2))[0], _maps(slice(0, 2))[1]
        assert (single - together).abs().max() < 1e-3 * together.abs().max()


def test_maps_leave_the_network_and_the_random_numbers_alone(
    network, views, monkeypatch
):
    monkeypatch.setattr(methods, "needed", partial(needed, search=Search(steps=1)))
    before = dmagnet.network.checkpoint.weights_hash(network.model)
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    for method in ("needed", "smoothgrad"):
        attribute(network, views[:1], method, target=2)
    assert torch.equal(torch.rand(3), expected)
    assert dmagnet.network.checkpoint.weights_hash(network.model) == before
    assert all(p.requires_grad for p in network.model.parameters())


@pytest.mark.parametrize("method", ["evidence", "lam", "scales", "grad_cam"])
def test_a_map_is_finite_and_has_the_side_of_the_picture(network, views, method):
    maps = attribute(network, views[:1], method, target=3)
    assert maps.shape == (1, *views.shape[1:3])
    assert maps.dtype == np.float32
    assert np.isfinite(maps).all()


def test_fill_looks_like_the_sky_of_the_picture(images):
    fill, sky = sky_fill(images, seed=0), find_sky(images)
    for i in range(2):
        real, drawn = images[i][:, sky.free[i]], fill[i].flatten(1)
        assert (real.median(1).values - drawn.median(1).values).abs().max() < 0.01
        spread = [1.48 * (x - x.median(1, True).values).abs().median(1).values
                  for x in (real, drawn)]  # fmt: skip
        assert torch.allclose(*spread, rtol=0.3)
    assert (fill < 0.01).float().mean() < 0.01  # black is no sky
    middle = slice(48, 80)  # of 128 px
    galaxy = images[:, :, middle, middle].mean()
    assert fill[:, :, middle, middle].mean() < galaxy - 0.1


def test_fill_is_as_smooth_as_the_sky():
    side = 96
    noise = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    smooth = nn.functional.avg_pool2d(noise, 3, 1, 1) * 0.05 + 0.2

    def _alike(x):
        x = x - x.mean()
        return float((x[..., 1:] * x[..., :-1]).mean() / x.square().mean())

    assert abs(_alike(sky_fill(smooth, seed=0)) - _alike(smooth)) < 0.1
    rough = noise * 0.05 + 0.2
    assert abs(_alike(sky_fill(rough, seed=0))) < 0.1


def test_fill_of_a_picture_without_sky_is_finite():
    full = torch.rand(1, 3, 64, 64) * 0.2 + 0.7
    flat = torch.full((1, 3, 64, 64), 0.1)
    for pictures in (full, flat):
        fill = sky_fill(pictures, seed=0)
        assert torch.isfinite(fill).all()
        assert (fill >= 0).all()


def test_scale_weights_of_every_block_add_up_to_one(network, images):
    with torch.no_grad():
        weights = scale_weights(network.model, images)
    assert tuple(weights) == tuple(blocks_of(network.model))
    assert len(weights) == 9
    for rows in weights.values():
        assert rows.shape == (2, 3)
        assert torch.allclose(rows.sum(dim=1), torch.ones(2), atol=1e-5)


def test_an_explanation_says_class_sets_and_scales(network, views, logits):
    found = explain_images(network, views, methods=("evidence", "lam", "scales"))
    for i, each in enumerate(found):
        assert each.target == int(logits[i].argmax())
        assert each.question == f"why {network.class_names[each.target]}"
        assert abs(float(each.probabilities.sum()) - 1) < 1e-5
        assert each.target in each.set95
        assert set(each.set90) <= set(each.set95)
        assert np.array_equal(each.rgb, views[i])
        assert list(each.maps) == ["evidence", "lam", "scales"]
        assert np.abs(each.maps["scales"]).max() <= 1
    bare = replace(network, calibration=None)
    (one,) = explain_images(bare, views[:1], methods=())
    assert (one.set90, one.ood, one.ood_flag, one.maps) == ((), None, None, {})


def test_wrong_questions_are_answered_in_one_line(network, views):
    for settings, words in (
        ({"target": "quasar"}, "the classes are: Disturbed"),
        ({"target": 10}, "numbers from 0 to 9"),
        ({"methods": ("guess",)}, "the methods are: evidence"),
        ({"target": "merging", "against": "1"}, "same twice"),
    ):
        with pytest.raises(ConfigError, match=words) as error:
            explain_images(network, views, **settings)
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match=r"expected \(N, 128, 128, 3\) uint8"):
        explain_images(network, views[:, :32])


@pytest.mark.parametrize("method", BORROWED)
def test_without_captum_one_line_says_how_to_get_it(
    network, views, method, monkeypatch
):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ConfigError, match=r"pip install 'dmagnet\[explain\]'"):
        attribute(network, views[:1], method, target=0)


def test_captum_brings_no_torchvision(network, views):
    attribute(network, views[:1], "smoothgrad", target=0)
    assert "torchvision" not in sys.modules


def test_a_map_of_no_class_is_refused(network, views):
    with pytest.raises(ConfigError, match="expected one for all or one for each"):
        attribute(network, views, "evidence", target=None)
