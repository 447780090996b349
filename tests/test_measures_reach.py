"""How far a unit looks, on networks whose answer is known."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from dmagnet.config import ModelConfig
from dmagnet.errors import ConfigError
from dmagnet.measuring.reach import effective_field
from dmagnet.network import DMAGNet


def images(num=2, side=64, seed=0):
    return torch.rand(num, 3, side, side, generator=torch.Generator().manual_seed(seed))


def box(depth):
    """Layers of 3x3 convolutions with equal weights: the reach is a binomial."""
    layers = nn.Sequential(
        *(nn.Conv2d(3, 3, 3, padding=1, groups=3) for _ in range(depth))
    )
    for layer in layers:
        nn.init.constant_(layer.weight, 1 / 9)
    return layers


def test_the_field_of_one_convolution_is_its_kernel():
    reach = effective_field(box(1), "0", images())
    expected = torch.zeros(64, 64)
    expected[31:34, 31:34] = 1 / 9
    torch.testing.assert_close(reach.energy, expected)
    assert reach.rms.tolist() == pytest.approx([(4 / 3) ** 0.5] * 2)
    assert (reach.x.tolist(), reach.y.tolist()) == ([32, 32], [32, 32])


def test_the_rms_radius_of_stacked_convolutions_is_that_of_their_kernel():
    network = box(6)
    kernel = torch.tensor([1.0])
    for _ in range(6):
        kernel = torch.nn.functional.conv1d(
            kernel.view(1, 1, -1), torch.ones(1, 1, 3) / 3, padding=2
        ).flatten()
    energy = kernel.square() / kernel.square().sum()
    place = torch.arange(len(energy)) - len(energy) // 2
    expected = float((2 * (energy * place.square()).sum()).sqrt())  # both axes
    reach = effective_field(network, "5", images())
    assert reach.rms.tolist() == pytest.approx([expected] * 2, rel=1e-4)


def test_the_radii_hold_68_and_95_percent_of_the_energy():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 1, 41, padding=20))
    reach = effective_field(network, "0", images(1))
    y, x = torch.meshgrid(*[torch.arange(64.0)] * 2, indexing="ij")
    distance = torch.hypot(x - reach.x, y - reach.y)
    for radius, part in ((reach.radius68, 0.68), (reach.radius95, 0.95)):
        assert float(reach.energy[distance <= radius + 1e-4].sum()) >= part
        assert float(reach.energy[distance < radius - 1e-4].sum()) < part


def test_random_signs_measure_the_energy_of_all_channels():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 5, padding=2), nn.SiLU(), nn.Conv2d(4, 6, 3)
    )
    x = images(1, side=24).requires_grad_()
    y = network(x)
    exact = torch.zeros(24, 24)
    for channel in range(6):
        (g,) = torch.autograd.grad(y[0, channel, 11, 11], x, retain_graph=True)
        exact += g.square().sum(dim=(0, 1))
    found = effective_field(network, "2", x.detach(), num_probes=400).energy
    assert float((found - exact / exact.sum()).abs().sum()) < 0.05


def test_the_reach_of_an_untrained_network_grows_over_its_stages():
    torch.manual_seed(0)
    network = DMAGNet(ModelConfig(size="xs"))
    names = ("stem", "stage1", "stage2", "stage3", "stage4")
    sizes = [
        float(effective_field(network, n, images()).radius68.mean()) for n in names
    ]
    # Stage 4 begins as wide as stage 3 ends: only its blocks see farther.
    assert all(b > 0.95 * a for a, b in pairwise(sizes))
    assert sizes[3] > 3 * sizes[0]


def test_lam_and_logits_are_measured_too():
    torch.manual_seed(0)
    network = DMAGNet(ModelConfig(size="xs"))
    for layer in ("lam", "logits"):
        reach = effective_field(network, layer, images(), num_probes=2)
        assert float(reach.energy.sum()) == pytest.approx(1, abs=1e-4)
    assert bool((reach.radius68 > 15).all())  # logits pool the whole frame


def test_a_batch_measures_as_its_images_alone():
    torch.manual_seed(0)
    network = DMAGNet(ModelConfig(size="xs"))
    x = images(20)
    together = effective_field(network, "stage2", x, num_probes=2)
    alone = effective_field(network, "stage2", x[17:18], num_probes=2)
    assert float(together.rms[17]) == pytest.approx(float(alone.rms), rel=1e-4)


def test_a_blind_unit_has_no_radius():
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    nn.init.constant_(network[0].bias, -100)
    reach = effective_field(network, "1", images())
    assert bool(torch.stack([reach.rms, reach.radius68, reach.x]).isnan().all())


def test_the_network_is_left_as_it_was():
    network = DMAGNet(ModelConfig(size="xs")).train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    effective_field(network, "stage2", images(), num_probes=1)
    assert network.training
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def test_an_unknown_layer_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="stage4"):
        effective_field(DMAGNet(ModelConfig(size="xs")), "stage9", images())
