"""How far layers see, and gradients in tiles that are those of the whole."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dmagnet.config import DreamConfig, ModelConfig
from dmagnet.dreaming import (
    Attention,
    Channel,
    Diversity,
    Energy,
    Guide,
    Logit,
    Neuron,
    balanced,
    dream_frames,
)
from dmagnet.dreaming.receptive import ReceptiveField, receptive_field
from dmagnet.dreaming.scorer import Scorer
from dmagnet.dreaming.tiles import TiledScorer
from dmagnet.errors import ConfigError
from dmagnet.network import DMAGNet


def awake(network):
    """Give norms weights as after training: as built, some are zero."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.2, 0.2, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def dmagnet():
    torch.manual_seed(0)
    return awake(DMAGNet(ModelConfig(size="xs")))


@pytest.fixture(scope="module")
def local():
    """Blocks that add their branches without looking at the whole image."""
    torch.manual_seed(0)
    return awake(DMAGNet(ModelConfig(size="xs", fusion="mean")))


class Residual(nn.Module):
    def __init__(self, channels, out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1)
        self.skip = nn.Conv2d(channels, out, 1, stride)

    def forward(self, x):
        return F.relu(self.skip(x) + self.conv2(F.relu(self.conv1(x))))


class Foreign(nn.Module):
    """A small ResNet that knows nothing of dmagnet."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = Residual(8, 8, 1)
        self.layer2 = Residual(8, 12, 2)
        self.fc = nn.Linear(12, 4)

    def forward(self, x):
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        return self.fc(self.layer2(self.layer1(x)).mean(dim=(2, 3)))


@pytest.fixture(scope="module")
def foreign():
    torch.manual_seed(0)
    return Foreign().eval()


def conv(kernel, stride=1, dilation=1, padding=None, channels=4):
    if padding is None:
        padding = dilation * (kernel // 2)
    return nn.Conv2d(3, channels, kernel, stride, padding, dilation)


def stack(*convs):
    torch.manual_seed(0)
    for later in convs[1:]:
        later.in_channels, out = 4, later.out_channels
        later.weight = nn.Parameter(torch.randn(out, 4, *later.kernel_size))
    return nn.Sequential(*convs)


class Gate(nn.Module):
    """A gate that goes coarser and comes back, as that of GALD."""

    def __init__(self, channels):
        super().__init__()
        layers = []
        for stride in (1, 2, 2):
            layers.append(
                nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
            )
            layers += [nn.BatchNorm2d(channels), nn.SiLU()]
        self.gate = nn.Sequential(*layers[:-1])

    def forward(self, x):
        coarse = self.gate(x)
        size = x.shape[2:]
        back = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        return x * (0.5 + back.sigmoid())


@pytest.fixture(scope="module")
def coarser():
    """A network that ends with a gate that goes coarser and comes back."""
    return awake(stack(conv(3, stride=2), conv(3, stride=2)).append(Gate(4)))


# How far a layer sees


@pytest.mark.parametrize(
    ("convs", "stride", "radius"),
    [
        ((conv(1),), 1, 0),
        ((conv(3),), 1, 1),
        ((conv(3, stride=2),), 2, 1),
        ((conv(3, dilation=4),), 1, 4),
        ((conv(3, stride=2), conv(3, stride=2), conv(3, dilation=2)), 4, 1 + 2 + 8),
        ((conv(5, stride=3), conv(3)), 3, 2 + 3),
        ((conv(7, stride=2), conv(1), conv(5, dilation=3)), 2, 3 + 12),
        ((conv(5, padding=0),), 1, 4),  # looks only ahead of its own pixel
        ((conv(2, padding=1),), 1, 1),
        ((conv(1, stride=5),), 5, 0),
    ],
)
def test_the_field_of_stacked_convolutions_is_the_one_by_hand(convs, stride, radius):
    field = receptive_field(stack(*convs), str(len(convs) - 1))
    assert field == ReceptiveField(stride, radius, stride)


def test_zero_weights_hide_no_part_of_a_field():
    network = stack(conv(3), nn.Conv2d(4, 4, 5, padding=2))
    nn.init.zeros_(network[1].weight)
    assert receptive_field(network, "1").radius == 3


@pytest.mark.parametrize(
    ("layer", "stride", "radius"),
    [("conv1", 2, 3), ("maxpool", 4, 5), ("layer1", 4, 13), ("layer2", 8, 25)],
)
def test_the_field_of_a_foreign_network_is_the_one_by_hand(
    foreign, layer, stride, radius
):
    assert receptive_field(foreign, layer) == ReceptiveField(stride, radius, stride)


@pytest.mark.parametrize(
    ("layer", "stride", "radius"),
    [("stem", 2, 1), ("stage1.block1.d1", 4, 7), ("stage1.block1.d4", 4, 19)],
)
def test_the_field_of_dmagnets_first_layers_is_the_one_by_hand(
    dmagnet, layer, stride, radius
):
    assert receptive_field(dmagnet, layer) == ReceptiveField(stride, radius, stride)


def test_rows_and_columns_count_both():
    network = nn.Sequential(nn.Conv2d(3, 2, (1, 7), padding=(0, 3)))
    assert receptive_field(network, "0").radius == 3
    with pytest.raises(ConfigError, match="row to row"):
        receptive_field(nn.Sequential(nn.Conv2d(3, 2, 3, (1, 2), 1)), "0")


def test_a_layer_that_comes_back_from_coarser_places_repeats_at_their_stride(coarser):
    # By hand, in places of 4 px: coarse place c sees 4 to each side of place 4c, and
    # place 4c + 1 looks at c - 1 and c, that is 9 back; the convolutions see 3 px.
    assert receptive_field(coarser, "2") == ReceptiveField(4, 4 * 9 + 3, 16)


def test_measuring_a_field_leaves_the_network_and_the_generator_alone(foreign):
    before = torch.get_rng_state()
    receptive_field(foreign.train(), "layer1")
    assert torch.equal(torch.get_rng_state(), before)
    assert foreign.training
    assert next(foreign.parameters()).dtype == torch.float32
    foreign.eval()


def test_behind_a_global_operation_the_first_is_named(dmagnet):
    with pytest.raises(ConfigError, match=r"block1\.attend.*tile=0"):
        receptive_field(dmagnet, "stage1.block1")
    with pytest.raises(ConfigError, match="whole image"):
        receptive_field(dmagnet, "lam")
    group = nn.Sequential(conv(3), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3))
    with pytest.raises(ConfigError, match="first to see it is '1'"):
        receptive_field(group, "2")


def test_scores_are_no_map_of_places(dmagnet):
    with pytest.raises(ConfigError, match="no map of places"):
        receptive_field(dmagnet, "logits")


class Coordinates(nn.Module):
    def forward(self, x):
        rows = torch.linspace(0, 1, x.shape[2], dtype=x.dtype)
        return x + rows[:, None]


def test_a_layer_that_knows_where_it_is_cannot_be_tiled():
    with pytest.raises(ConfigError, match="same way"):
        receptive_field(nn.Sequential(Coordinates(), conv(3)), "1")


class Embedded(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 8, 8)
        self.places = nn.Parameter(torch.zeros(1, 4, 8, 8))

    def forward(self, x):
        return self.conv(x) + self.places


def test_a_network_of_one_size_only_cannot_be_tiled():
    with pytest.raises(ConfigError, match=r"takes no strips.*tile=0"):
        receptive_field(nn.Sequential(Embedded(), conv(3, channels=4)), "0")


# The gradient in tiles


def compare(network, objective, size, tile, *, halo=None, dtype=torch.float32):
    """Return the relative errors of scores and gradient."""
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    scorer = Scorer(network.to(dtype), objective, images.to(dtype))
    network.float()
    scores, gradient = scorer.gradient(images.to(dtype))
    tiled = TiledScorer(scorer, tile)
    if halo is not None:
        tiled.halo = halo
    found, slope = tiled.gradient(images.to(dtype))
    wrong = (gradient - slope).abs().amax(dim=(1, 2, 3))
    wrong = wrong / gradient.abs().amax(dim=(1, 2, 3))
    return float(((found - scores) / scores).abs().max()), float(wrong.max())


SIZES = [(200, 264), (137, 203)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layer", ["stem", "stage1.block1.d4"])
def test_tiled_equals_whole_for_dmagnet(dmagnet, layer, size):
    assert max(compare(dmagnet, Energy(layer), size, 64)) < 1e-6


@pytest.mark.parametrize("size", SIZES)
def test_tiled_equals_whole_for_a_deep_local_layer(local, size):
    assert max(compare(local, Energy("stage2"), size, 64)) < 1e-6


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("layer", ["maxpool", "layer2"])
def test_tiled_equals_whole_for_a_foreign_network(foreign, layer, size):
    assert max(compare(foreign, Energy(layer), size, 64)) < 1e-6


def test_tiled_equals_whole_behind_a_coarser_gate(coarser):
    assert max(compare(coarser, Energy("2"), (144, 192), 64)) < 1e-6
    # Squared ratios of norms lose digits of float32 by themselves.
    attention = Attention("2", "1")
    wrong = compare(coarser, attention, (144, 192), 64, dtype=torch.float64)
    assert max(wrong) < 1e-12


def test_tiled_equals_whole_without_padding_and_with_too_much():
    for padding in (0, 4):
        network = stack(conv(5, stride=2, padding=padding), nn.Conv2d(4, 4, 3))
        assert max(compare(network, Energy("1"), (130, 151), 64)) < 1e-6


def test_tiled_equals_whole_for_sums_of_layers_of_different_strides(local):
    guide = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(3))
    objectives = [
        -Energy("stage1") + 0.3 * Channel("stage2", (1, 5)),
        balanced([Energy("stem"), Energy("stage2"), Guide("stage1", guide)], [1, 2, 3]),
        Energy("stem") + balanced([Channel("stage1", 2)]) * 0.5,
    ]
    for objective in objectives:
        assert max(compare(local, objective, (136, 200), 64)) < 1e-6


def test_tiles_without_a_halo_would_be_wrong(dmagnet):
    _, gradient = compare(dmagnet, Energy("stage1.block1.d4"), (200, 264), 64, halo=0)
    assert gradient > 0.01


def test_tiles_smaller_than_the_layers_period_grow_to_it(foreign):
    tiled = TiledScorer(
        Scorer(foreign, Energy("layer2"), torch.rand(1, 3, 64, 64)), tile=5
    )
    assert tiled.tile == 8
    assert tiled.halo == 32  # 25 px, rounded up to the stride


def test_a_dream_in_tiles_is_the_dream(dmagnet):
    images = torch.rand(1, 3, 150, 190, generator=torch.Generator().manual_seed(2))
    whole, tiled = (
        list(
            dream_frames(
                dmagnet,
                images,
                Energy("stage1.block1.d2"),
                DreamConfig.plain(steps=3, octaves=2, tile=tile),
            )
        )
        for tile in (0, 64)
    )
    assert len(whole) == len(tiled) == 6
    for one, other in zip(whole, tiled, strict=True):
        assert torch.allclose(one.images, other.images, atol=1e-5)
        assert torch.allclose(one.scores, other.scores, rtol=1e-5)


@pytest.mark.parametrize(
    "objective",
    [
        Logit(1),
        Neuron("stem", 1),
        Energy("stem") + Diversity("stem"),
        2 * (Energy("stem") + Logit(0)),
    ],
)
def test_what_no_tile_can_score_is_refused(dmagnet, objective):
    scorer = Scorer(dmagnet, objective, torch.rand(2, 3, 64, 64))
    with pytest.raises(ConfigError, match=r"no mean over places.*tile=0"):
        TiledScorer(scorer, 64)


def test_global_layers_are_refused(dmagnet):
    scorer = Scorer(dmagnet, Energy("stage2"), torch.rand(1, 3, 64, 64))
    with pytest.raises(ConfigError, match=r"depends on the whole image.*tile=0"):
        TiledScorer(scorer, 64)


def test_a_global_layer_is_refused_before_the_first_step(dmagnet):
    frames = dream_frames(
        dmagnet,
        torch.rand(1, 3, 128, 128),
        Energy("stage2"),
        DreamConfig.plain(tile=100),
    )
    with pytest.raises(ConfigError, match="tile=0"):
        next(frames)


def test_sides_whose_tiles_do_not_fit_together_are_refused(coarser):
    images = torch.rand(1, 3, 128, 200)
    tiled = TiledScorer(Scorer(coarser, Energy("2"), images), 64)
    with pytest.raises(ConfigError, match="multiples of 16 px"):
        tiled.gradient(images)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_tiled_equals_whole_on_a_gpu(dmagnet):
    images = torch.rand(2, 3, 200, 264, device="cuda")
    scorer = Scorer(dmagnet.cuda().double(), Energy("stem"), images.double())
    dmagnet.cpu().float()
    scores, gradient = scorer.gradient(images.double())
    found, slope = TiledScorer(scorer, 64).gradient(images.double())
    assert torch.allclose(scores, found, rtol=1e-12)
    assert torch.allclose(gradient, slope, rtol=1e-9, atol=1e-15)
