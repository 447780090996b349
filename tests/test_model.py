"""The network: shapes, names, and what its parts promise."""

import pytest
import torch

from dmagnet.config import ModelConfig
from dmagnet.errors import ConfigError
from dmagnet.network import DMA, LAM, DMAGNet
from dmagnet.network.blocks import DropPath

MILLIONS = {"xs": 0.58, "s": 1.65, "b": 4.16}


def network(size="xs", **changes):
    torch.manual_seed(0)
    return DMAGNet(ModelConfig(size=size, **changes)).eval()


def images(num=2, side=64):
    return torch.rand(num, 3, side, side, generator=torch.Generator().manual_seed(1))


def wake(model):
    """Make attention modules say something; at the start they are neutral."""
    generator = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, LAM):
            module.gate[-1].weight.data.normal_(generator=generator)
            module.gate[-1].bias.data.normal_(generator=generator)
    return model


@pytest.mark.parametrize("size", MILLIONS)
def test_a_size_has_about_the_parameters_it_names(size):
    count = sum(p.numel() for p in network(size).parameters()) / 1e6
    assert count == pytest.approx(MILLIONS[size], rel=0.15)


@pytest.mark.parametrize("side", [64, 65, 96, 200])
@pytest.mark.parametrize("num_classes", [2, 10, 37])
def test_any_side_from_64_and_any_number_of_classes_work(side, num_classes):
    model = network(num_classes=num_classes)
    assert model(images(side=side)).shape == (2, num_classes)


def test_one_image_scores_as_it_does_in_a_batch():
    model, batch = network(), images(4)
    alone = torch.cat([model(image[None]) for image in batch])
    torch.testing.assert_close(alone, model(batch), rtol=1e-4, atol=1e-5)


def test_the_network_owns_its_normalization():
    model, seen = network(), []
    handle = model.stem.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    model(model.mean.expand(1, 3, 64, 64))
    handle.remove()
    assert seen[0].abs().max() < 1e-6


def test_evidence_maps_sum_to_the_logit():
    model, batch = wake(network()), images()
    features = model.features(batch)
    evidence = torch.einsum("kc,bchw->bkhw", model.head.weight, features)
    scores = evidence.mean((2, 3)) + model.head.bias
    torch.testing.assert_close(scores, model(batch), rtol=1e-4, atol=1e-4)


def test_every_named_layer_runs_once_when_the_network_does_and_in_order():
    model, seen = network(), []
    for name in model.layer_names:
        model.layer(name).register_forward_hook(lambda *_, name=name: seen.append(name))
    model(images())
    assert tuple(seen) == model.layer_names


def test_layer_names_go_from_stem_to_logits_through_every_branch():
    names = network().layer_names
    assert names[0] == "stem"
    assert names[-2:] == ("lam", "logits")
    assert "stage2.block1.d4" in names
    assert names.index("stage1") < names.index("stage2.block1")


def test_a_wrong_layer_name_lists_the_right_ones():
    with pytest.raises(ConfigError, match=r"no layer 'stage9'.*stem.*lam, logits"):
        network().layer("stage9")


def test_scale_weights_are_shares_of_one():
    torch.manual_seed(0)
    block = DMA(32)
    scales = [torch.randn(5, 8, 6, 6) for _ in range(3)]
    weights = block.scale_weights(scales)
    assert weights.shape == (5, 3, 8)
    torch.testing.assert_close(weights.sum(1), torch.ones(5, 8))
    assert (weights > 0).all()
    assert weights.std() > 1e-3  # it listens to the galaxy


def test_a_branch_with_larger_dilation_sees_farther():
    block = DMA(32).eval()
    reach = {}
    for name, branch in block.branches.items():
        x = torch.zeros(1, 8, 33, 33, requires_grad=True)
        branch(x)[0, :, 16, 16].sum().backward()
        rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
        reach[name] = (rows.max() - rows.min()).item() + 1
    assert reach == {"d1": 3, "d2": 5, "d4": 9}


def test_lam_starts_as_the_identity():
    x = torch.randn(2, 16, 9, 9)
    torch.testing.assert_close(LAM(16).eval()(x), x)


def test_lam_shares_out_among_the_places_of_each_picture():
    lam = wake(torch.nn.Sequential(LAM(16)))[0].eval()
    factor = lam.factor(3 * torch.randn(4, 16, 16, 16))
    assert factor.shape == (4, 1, 16, 16)
    torch.testing.assert_close(factor.mean((2, 3)), torch.ones(4, 1))
    assert factor.min() > 0
    assert factor.max() > 1.1


@pytest.mark.parametrize("side", [64, 96, 128, 256])
def test_lam_has_as_many_places_as_the_features_at_every_side(side):
    model = wake(network())
    maps = model.attention_maps(images(side=side))
    assert maps.shape == (2, side // 8, side // 8)
    assert (maps.flatten(1).std(1) > 1e-3).all(), "a gate of one place"


def test_a_map_of_fewer_than_8x8_places_is_refused_in_one_line():
    with pytest.raises(ConfigError, match=r"sides from 64 px.* got 56x64 px"):
        network().attention_maps(torch.rand(1, 3, 56, 64))


def test_attention_maps_are_refused_without_lam():
    with pytest.raises(ConfigError, match="no LAM"):
        network(lam=False).attention_maps(images())


def test_stages_three_and_four_keep_the_map_of_stage_two():
    assert network().attention_maps(images(side=128)).shape == (2, 16, 16)


def test_drop_path_keeps_the_mean_and_is_off_in_evaluation():
    torch.manual_seed(0)
    drop, x = DropPath(0.3), torch.ones(4000, 2, 1, 1)
    assert drop.train()(x).mean().item() == pytest.approx(1, abs=0.05)
    assert drop.train()(x).min() == 0
    assert drop.eval()(x) is x


@pytest.mark.parametrize(
    "changes",
    [
        {"lam": False},
        {"dilations": (1,)},
        {"fusion": "mean"},
        {"dilations": (1, 2, 3)},
        {"reduction": 2},
    ],
)
def test_every_ablation_trains(changes):
    model = network(**changes).train()
    model(images()).logsumexp(1).sum().backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all() for p in model.parameters()
    )
