"""Controls: networks that forgot, and steps at random."""

import numpy as np
import pytest
import torch
from torch import nn

from dmagnet.config import DreamConfig, ModelConfig, RedreamConfig
from dmagnet.dreaming import Energy, dream_frames
from dmagnet.dreaming.octaves import octave_frames
from dmagnet.dreaming.redream import (
    RandomSteps,
    random_residuals,
    redream_residuals,
)
from dmagnet.dreaming.scorer import Scorer
from dmagnet.errors import ConfigError
from dmagnet.measuring.controls import calibrate_norms, randomized
from dmagnet.network import DMAGNet

QUICK = DreamConfig.plain(steps=3, octaves=2, step_size=4 / 255)


def images(num=2, side=96, seed=0):
    return torch.rand(num, 3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def trained():
    """A network whose weights and norms are not those of any fresh one."""
    torch.manual_seed(5)
    network = DMAGNet(ModelConfig(size="xs")).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.1).add_(0.01)
    return calibrate_norms(network, images(8, 64, seed=9))


def small():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)
    )


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_randomized_dmagnet_starts_as_a_fresh_one_does(trained):
    torch.manual_seed(3)
    fresh = DMAGNet(trained.config)
    found = randomized(trained, 3)
    assert same(found.state_dict().values(), fresh.state_dict().values())
    assert not found.training


def test_a_foreign_network_is_reset_module_by_module():
    network = small()
    found = randomized(network, 0)
    for name in ("0.weight", "0.bias", "3.weight"):
        assert not torch.equal(found.state_dict()[name], network.state_dict()[name])
    assert same(found.parameters(), randomized(network, 0).parameters())
    assert not same(found.parameters(), randomized(network, 1).parameters())


def test_shuffling_keeps_the_values_of_each_tensor(trained):
    found = randomized(trained, 0, how="shuffled")
    before, after = trained.head.weight, found.head.weight
    assert not torch.equal(before, after)
    torch.testing.assert_close(before.flatten().sort()[0], after.flatten().sort()[0])
    assert same(found.buffers(), trained.buffers())


def test_neither_the_network_nor_the_random_state_is_touched(trained):
    before = {k: v.clone() for k, v in trained.state_dict().items()}
    state = torch.random.get_rng_state()
    randomized(trained, 1)
    randomized(trained, 1, how="shuffled")
    calibrate_norms(trained, images(2, 64))
    assert torch.equal(state, torch.random.get_rng_state())
    assert same(before.values(), trained.state_dict().values())


def test_weights_that_cannot_be_reset_are_named():
    class Token(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.ones(3, 1, 1))

        def forward(self, x):
            return x + self.token

    network = nn.Sequential(Token(), nn.Conv2d(3, 2, 1))
    with pytest.raises(ConfigError, match=r"module '0' \(Token\)"):
        randomized(network, 0)
    shuffled = randomized(network, 0, how="shuffled")
    assert not same(shuffled.parameters(), network.parameters())


def test_calibrated_norms_give_activations_of_mean_zero_and_spread_one():
    network = small()
    network[1].running_var.fill_(100.0)
    x = images(50, 32)
    found = calibrate_norms(network, x)
    with torch.no_grad():
        output = found[1](found[0](x))
    assert output.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0] * 4, abs=1e-4)
    assert output.std(dim=(0, 2, 3)).tolist() == pytest.approx([1] * 4, abs=1e-3)
    assert found[1].momentum == 0.1


def last(frames):
    return list(frames)[-1]


def random_frames(model, base, objective, config, seed=0):
    walker = RandomSteps(Scorer(model, objective, base), seed)
    return octave_frames(walker, base, config, seed=seed)


def test_random_steps_are_as_large_as_those_of_a_dream(trained):
    base, objective = 0.25 + 0.5 * images(), Energy("stage1")
    config = DreamConfig.plain(steps=1, octaves=1)
    walk = last(random_frames(trained, base, objective, config)).images - base
    dream = last(dream_frames(trained, base, objective, config)).images - base
    size = (walk.abs().mean(dim=(1, 2, 3)), dream.abs().mean(dim=(1, 2, 3)))
    torch.testing.assert_close(*size, rtol=1e-3, atol=0)
    assert size[0].tolist() == pytest.approx([1.5 / 255] * 2, rel=1e-3)


def test_a_random_walk_climbs_less_than_a_dream(trained):
    base, objective = images(), Energy("stage1")
    walk = last(random_frames(trained, base, objective, QUICK))
    dream = last(dream_frames(trained, base, objective, QUICK))
    assert bool((walk.scores < dream.scores).all())


def test_a_walk_of_no_steps_is_the_image(trained):
    base = images()
    config = DreamConfig.plain(steps=0)
    walk = last(random_frames(trained, base, Energy("stage1"), config))
    assert torch.equal(walk.images, base)


def test_a_walk_is_seeded(trained):
    base, objective = images(), Energy("stage1")

    def walk(x, seed):
        return last(random_frames(trained, x, objective, QUICK, seed=seed)).images

    assert torch.equal(walk(base, 7), walk(base, 7))
    assert not torch.equal(walk(base, 7), walk(base, 8))


def test_random_steps_settle_as_a_redream_does_without_any_network(trained):
    base = 0.25 + 0.5 * images(2, 64)
    config = RedreamConfig(schedule=(64, 64, 64), dream=DreamConfig.plain(steps=4))
    scorer = Scorer(trained, Energy("stage1"), base)
    found = redream_residuals(scorer, base, config)
    steps = found["random steps"]
    assert np.isnan(steps[0]).all()
    # Independent steps of one size add up: 1, then 1 / sqrt(2) of what is there.
    assert steps[1] == pytest.approx(1, abs=0.1)
    assert steps[2] == pytest.approx(0.71, abs=0.1)
    assert found["dream"].shape == steps.shape
    assert not np.allclose(found["dream"][1:], steps[1:])


class Asked(nn.Module):
    """A network that may score an image, but gives no direction."""

    def forward(self, images):
        assert not images.requires_grad, "asked for a gradient"
        return images.square()


@pytest.mark.parametrize("tile", [0, 64])
def test_steps_at_random_ask_no_network_in_tiles_either(tile):
    base = images(1, 96)
    dream = DreamConfig.plain(steps=1, octaves=1, tile=tile)
    config = RedreamConfig(schedule=(96, 96), dream=dream)
    scorer = Scorer(nn.Sequential(Asked()), Energy("0"), base)
    assert np.isfinite(random_residuals(scorer, base, config)[1:]).all()
