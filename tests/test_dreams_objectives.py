"""Objectives: each is what it says, each is climbed, and each mirror is walked down."""

import numpy as np
import pytest
import torch
from dream_nets import dmagnet_xs, foreign, galaxies, last
from torch import nn

from dmagnet.config import DreamConfig
from dmagnet.dreaming import (
    Attention,
    Channel,
    Direction,
    Diversity,
    Energy,
    Guide,
    Logit,
    Neuron,
    balanced,
    dream_frames,
    read,
    relations,
)
from dmagnet.dreaming.scorer import Scorer
from dmagnet.errors import ConfigError

GUIDE = galaxies(seed=5)[0]
OBJECTIVES = {
    "dmagnet": {
        "energy": Energy("stage2"),
        "energy of lam": Energy("lam"),
        "channel": Channel("stage1.block1.d2", 3),
        "a channel each": Channel("stage3", (0, 7)),
        "neuron": Neuron("stage2", 5),
        "direction": Direction("stage4", torch.linspace(-1, 1, 256)),
        "logit": Logit(2),
        "a logit each": Logit((4, 0)),
        "attention": Attention(),
        "guide": Guide("stage1", GUIDE),
        "balanced layers": balanced([Energy("stem"), Energy("lam"), Logit(1)]),
        "weighted balance": balanced([Energy("stage1"), Channel("stage2", 1)], [3, 1]),
        "diversity": Diversity("stage1"),
        "sum": Energy("stage1") + 0.5 * Logit(3) - Energy("stem"),
    },
    "foreign": {
        "energy": Energy("late"),
        "energy before its ReLU": Energy("late.1"),
        "channel": Channel("early.0", 2),
        "neuron": Neuron("late.0", 3, place=(0.3, 0.7)),
        "direction": Direction("late", torch.linspace(-1, 1, 16)),
        "logit": Logit(2, layer="head"),
        "attention": Attention(layer="gate", before="late"),
        "guide": Guide("early", GUIDE),
        "balanced layers": balanced([Energy("early"), Energy("pool")]),
        "diversity": Diversity("late"),
        "sum": Energy("early") + 0.5 * Logit(3, layer="head"),
    },
}
NETS = {"dmagnet": dmagnet_xs, "foreign": foreign}
CASES = [(net, name) for net, each in OBJECTIVES.items() for name in each]


def unlike(num):
    """Galaxies of different textures, so that they can become more alike."""
    images = galaxies(num)
    images[0, :, ::2] *= 0.5
    images[1, :, :, ::4] *= 0.2
    return images


@pytest.mark.parametrize(("net", "name"), CASES)
def test_a_dream_climbs_and_its_mirror_falls(net, name):
    model, objective, images = NETS[net](), OBJECTIVES[net][name], unlike(2)
    config = DreamConfig.plain(steps=5, octaves=1, jitter=0)
    up = last(dream_frames(model, images, objective, config)).images
    down = last(dream_frames(model, images, -objective, config)).images
    judge = Scorer(model, objective, images)
    assert (judge.score(down) < judge.score(images)).all()
    assert (judge.score(images) < judge.score(up)).all()


@pytest.mark.parametrize("layer", ["early", "late"])
def test_energy_climbs_with_jitter_and_octaves(layer):
    model, images = foreign(), galaxies(1, size=(96, 96))
    frames = dream_frames(model, images, Energy(layer), DreamConfig.plain(steps=8))
    judge = Scorer(model, Energy(layer), images)
    assert (judge.score(last(frames).images) > 1.05 * judge.score(images)).all()


def test_a_neuron_is_dreamed_without_jitter_also_in_a_sum():
    images, still = galaxies(), DreamConfig.plain(steps=2, octaves=1, jitter=0)
    for objective in (Neuron("late", 1), Energy("early") - 2 * Neuron("late", 1)):
        jittered = DreamConfig.plain(steps=2, octaves=1, jitter=0.5)
        a, b = (
            last(dream_frames(foreign(), images, objective, config)).images
            for config in (still, jittered)
        )
        assert torch.equal(a, b)


def score(objective, images, model=None):
    return Scorer(model or foreign(), objective, images).score(images)


def said(name, images, model=None):
    with torch.no_grad():
        return read(model or foreign(), images, [name])[name]


def test_energy_is_half_the_mean_square():
    images = galaxies(2)
    wanted = 0.5 * said("late", images).square().flatten(1).mean(1)
    torch.testing.assert_close(score(Energy("late"), images), wanted)


def test_a_channel_is_the_mean_of_its_map_and_can_differ_from_image_to_image():
    images = galaxies(2)
    maps = said("late", images)
    wanted = torch.stack([maps[0, 5].mean(), maps[1, 2].mean()])
    torch.testing.assert_close(score(Channel("late", (5, 2)), images), wanted)


def test_a_neuron_is_one_place_of_a_channel_by_default_the_center():
    images = galaxies(1)
    maps = said("late", images)
    assert maps.shape[2:] == (16, 16)
    torch.testing.assert_close(score(Neuron("late", 4), images), maps[:, 4, 8, 8])
    corner = Neuron("late", 4, place=(0.0, 1.0))
    torch.testing.assert_close(score(corner, images), maps[:, 4, 0, 15])


def test_a_direction_is_a_projection_whatever_its_length():
    images, vector = galaxies(2), torch.randn(16, generator=torch.manual_seed(1))
    maps = said("late", images)
    wanted = np.tensordot(maps.numpy(), (vector / vector.norm()).numpy(), (1, 0))
    for length in (1, 1000):
        found = score(Direction("late", length * vector), images)
        np.testing.assert_allclose(found, wanted.mean((1, 2)), rtol=1e-4, atol=1e-6)


def test_a_logit_is_what_the_network_gives_for_the_class():
    model, images = dmagnet_xs(), galaxies(2)
    with torch.no_grad():
        wanted = model(images)[:, 3]
    torch.testing.assert_close(score(Logit(3), images, model), wanted)


def test_attention_is_the_mean_square_of_the_attention_map():
    model, images = dmagnet_xs(), galaxies(2)
    with torch.no_grad():
        wanted = model.attention_maps(images).square().mean((1, 2))
    torch.testing.assert_close(score(Attention(), images, model), wanted)


def best_matches(images, guide):
    ours = said("early", images).flatten(2).numpy()
    theirs = said("early", guide[None]).flatten(2)[0].numpy()
    return np.einsum("bcp,cq->bpq", ours, theirs).max(2).mean(1)


def test_a_guide_is_the_largest_dot_product_for_each_place():
    images = galaxies(2, size=(64, 80))
    guide = galaxies(size=(48, 32), seed=3)[0]
    found = score(Guide("early", guide), images)
    np.testing.assert_allclose(found, best_matches(images, guide), rtol=1e-4)


def test_a_guide_in_parts_is_the_guide_at_once(monkeypatch):
    images = galaxies(2)
    at_once = score(Guide("early", GUIDE), images)
    monkeypatch.setattr(relations, "GUIDE_PAIRS", 2 * 32 * 32 * 7)
    torch.testing.assert_close(score(Guide("early", GUIDE), images), at_once)


def test_diversity_is_minus_the_mean_cosine_of_gram_matrices():
    images = galaxies(3)
    features = said("late", images).flatten(2).numpy()
    grams = [(f @ f.T).ravel() for f in features]
    grams = np.array([g / np.linalg.norm(g) for g in grams])
    cosines = grams @ grams.T
    wanted = [-(cosines[i].sum() - 1) / 2 for i in range(3)]
    np.testing.assert_allclose(score(Diversity("late"), images), wanted, rtol=1e-4)


def test_objectives_add_up_and_scale():
    images = galaxies(2)
    one, two = Energy("early"), Channel("late", 1)
    a, b = score(one, images), score(two, images)
    torch.testing.assert_close(score(one + 3 * two, images), a + 3 * b)
    torch.testing.assert_close(score(2 * (one - two), images), 2 * (a - b))
    torch.testing.assert_close(score(-one, images), -a)


def test_balanced_terms_are_all_one_on_the_start_image():
    terms = [Energy("early"), Energy("late"), Channel("late.0", 3)]
    found = score(balanced(terms, [1, 2, 0]), galaxies(3))
    torch.testing.assert_close(found, torch.full((3,), 3.0))


def test_a_vector_is_a_map_of_one_place():
    found = score(Channel("head", 2), galaxies(2))
    torch.testing.assert_close(found, said("head", galaxies(2))[:, 2])


class Tokens(nn.Module):
    def forward(self, maps):
        return maps.flatten(2).transpose(1, 2)  # (B, N, C)


def test_tokens_of_a_transformer_are_places():
    model = nn.Sequential(nn.Conv2d(3, 5, 8, 8), Tokens()).eval()
    images = galaxies(2)
    maps = said("0", images, model)
    found = score(Channel("1", 4), images, model)
    torch.testing.assert_close(found, maps[:, 4].mean((1, 2)))


@pytest.mark.parametrize("number", [np.int64(3), torch.tensor(3), (3,)])
def test_any_integer_names_a_class(number):
    found = score(Logit(number, layer="head"), galaxies())
    torch.testing.assert_close(found, said("head", galaxies())[:, 3])


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda: Logit(4, layer="head"), r"'head': expected a channel from 0 to 3.* 4"),
        (lambda: Logit(-1, layer="head"), r"from 0 to 3, got -1"),
        (lambda: Logit(0, layer="late"), r"'late': expected class scores \(B, K\)"),
        (lambda: Channel("late", 16), r"'late': expected a channel from 0 to 15.* 16"),
        (lambda: Channel("late", (1, 2, 3)), r"one for each of the 2 images, got 3"),
        (lambda: Neuron("late", 1, (0.5, 1.5)), r"place: expected shares .* 0 to 1"),
        (lambda: Direction("late", torch.ones(3)), r"direction of 16 numbers, got \(3"),
        (lambda: Direction("late", torch.zeros(16)), r"length above 0, got 0"),
        (lambda: Attention("late", "early"), r"attention: expected maps of one shape"),
        (lambda: Attention("unused", "late"), r"'unused' is never called"),
        (lambda: Guide("late", GUIDE[None]), r"guide: expected .* \(3, H, W\)"),
        (lambda: Guide("late", GUIDE * torch.nan), r"guide: expected a finite image"),
        (lambda: balanced([Energy("late")], [1, 2]), r"one for each of the 1 obj.* 2"),
    ],
)
def test_what_cannot_be_climbed_is_refused_in_one_line(make, line):
    with pytest.raises(ConfigError, match=line) as caught:
        score(make(), galaxies(2))
    assert "\n" not in str(caught.value)


def test_diversity_needs_company():
    with pytest.raises(ConfigError, match="two or more images, got one"):
        score(Diversity("late"), galaxies(1))


def test_attention_that_changes_nothing_is_refused():
    model = dmagnet_xs()
    nn.init.zeros_(model.lam.gate[-1].weight)  # as in a network before training
    nn.init.zeros_(model.lam.gate[-1].bias)
    with pytest.raises(ConfigError, match=r"'lam' passes on 'stage4' unchanged"):
        score(Attention(), galaxies(), model)


def test_a_layer_of_five_axes_is_refused():
    model = nn.Sequential(nn.Unflatten(1, (1, 3)), nn.Identity())
    with pytest.raises(ConfigError, match=r"expected maps .*, got \(1, 1, 3, 64, 64\)"):
        score(Energy("0"), galaxies(), model)
