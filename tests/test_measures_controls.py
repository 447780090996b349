"""Controls: forgetful networks, random walks, and how alike two dreams are."""

import pytest
import torch
from skimage.metrics import structural_similarity
from torch import nn

from dmagnet.config import DreamConfig, ModelConfig
from dmagnet.dreaming import Energy, dream_frames, read
from dmagnet.errors import ConfigError, DataError
from dmagnet.measuring.chains import random_direction_frames
from dmagnet.measuring.controls import calibrate_norms, cascade, randomized
from dmagnet.measuring.representations import seed_stability, similarity
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


def test_only_the_layers_asked_for_forget(trained):
    found = randomized(trained, 3, layers=["stage2", "logits"])
    changed = {
        name.split(".weight")[0].split(".bias")[0]
        for name, value in found.named_parameters()
        if not torch.equal(value, trained.state_dict()[name])
    }
    assert changed
    assert all(name.startswith(("stages.stage2.", "head")) for name in changed)
    assert "head" in changed


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
    built = randomized(
        network, 0, build=lambda: nn.Sequential(Token(), nn.Conv2d(3, 2, 1))
    )
    assert not same(built.parameters(), network.parameters())


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


def test_calibrating_some_layers_leaves_the_other_norms(trained):
    found = calibrate_norms(trained, images(4, 64), layers=["stage4"])
    for name, value in found.state_dict().items():
        if "running_mean" in name:
            moved = not torch.equal(value, trained.state_dict()[name])
            assert moved == name.startswith("stages.stage4."), name


def test_a_cascade_forgets_from_the_top_down(trained):
    x = images(2, 64)
    names, untouched = (
        [],
        ("stem", "stage1", "stage2", "stage3", "stage4", "lam", "logits"),
    )
    with torch.no_grad():
        before = read(trained, x, untouched)
        for name, network in cascade(trained, 0, x):
            names.append(name)
            after = read(network, x, untouched)
            depth = untouched.index(name)
            equal = [torch.allclose(before[n], after[n], atol=1e-5) for n in untouched]
            assert equal == [True] * depth + [False] * (len(untouched) - depth)
    assert names == list(reversed(untouched))


def test_a_cascade_of_a_foreign_network_skips_layers_without_weights():
    names = [name for name, _ in cascade(small(), 0, images(2, 32))]
    assert names == ["3", "1", "0"]


def last(frames):
    return list(frames)[-1]


def test_random_steps_are_as_large_as_those_of_a_dream(trained):
    base, objective = 0.25 + 0.5 * images(), Energy("stage1")
    config = DreamConfig.plain(steps=1, octaves=1)
    walk = last(random_direction_frames(trained, base, objective, config)).images - base
    dream = last(dream_frames(trained, base, objective, config)).images - base
    size = (walk.abs().mean(dim=(1, 2, 3)), dream.abs().mean(dim=(1, 2, 3)))
    torch.testing.assert_close(*size, rtol=1e-3, atol=0)
    assert size[0].tolist() == pytest.approx([1.5 / 255] * 2, rel=1e-3)


def test_a_random_walk_climbs_less_than_a_dream(trained):
    base, objective = images(), Energy("stage1")
    walk = last(random_direction_frames(trained, base, objective, QUICK))
    dream = last(dream_frames(trained, base, objective, QUICK))
    assert bool((walk.scores < dream.scores).all())


def test_a_walk_of_no_steps_is_the_image(trained):
    base = images()
    config = DreamConfig.plain(steps=0)
    walk = last(random_direction_frames(trained, base, Energy("stage1"), config))
    assert torch.equal(walk.images, base)


def test_an_image_larger_than_a_tile_walks_as_one(trained):
    base, objective = images(), Energy("stem")
    whole, tiled = (
        last(
            random_direction_frames(
                trained,
                base,
                objective,
                DreamConfig.plain(steps=1, octaves=1, tile=tile),
            )
        )
        for tile in (0, 64)
    )
    assert torch.equal(whole.images, tiled.images)


def test_a_walk_is_seeded_and_images_alone_walk_as_in_a_batch(trained):
    base, objective = images(), Energy("stage1")

    def walk(x, seed):
        return last(
            random_direction_frames(trained, x, objective, QUICK, seed=seed)
        ).images

    assert torch.equal(walk(base, 7), walk(base, 7))
    assert not torch.equal(walk(base, 7), walk(base, 8))
    torch.testing.assert_close(walk(base, [7, 8])[1:], walk(base[1:], 8))


def test_a_walk_with_the_gradients_spectrum_has_its_magnitudes_and_other_phases(
    trained,
):
    base, objective = 0.25 + 0.5 * images(), Energy("stage1")
    config = DreamConfig.plain(steps=1, octaves=1, jitter=0)
    walk = last(
        random_direction_frames(trained, base, objective, config, keep_spectrum=True)
    )
    dream = last(dream_frames(trained, base, objective, config))
    a, b = (torch.fft.rfft2(frame.images - base).abs() for frame in (walk, dream))
    ratio = a.flatten(1) / b.flatten(1)
    spread = ratio.std(dim=1) / ratio.mean(dim=1)
    assert bool((spread < 0.1).all())  # one factor: both steps have equal mean size
    details = [frame.images - base for frame in (walk, dream)]
    assert float(similarity(*details)["cosine"].abs().max()) < 0.1


def test_a_detail_is_like_itself_and_unlike_its_negative():
    detail = images() - 0.5
    assert similarity(detail, 3 * detail)["ssim"].tolist() == pytest.approx([1, 1])
    assert similarity(detail, 3 * detail)["cosine"].tolist() == pytest.approx([1, 1])
    assert similarity(detail, -detail)["cosine"].tolist() == pytest.approx([-1, -1])
    other = images(seed=1) - 0.5
    assert float(similarity(detail, other)["ssim"].abs().max()) < 0.1


def test_ssim_is_that_of_skimage():
    a, b = images(1) - 0.5, images(1, seed=1) - 0.5
    b = a + 0.5 * b
    expected = structural_similarity(
        (a / a.abs().max())[0].numpy(), (b / b.abs().max())[0].numpy(),
        channel_axis=0, data_range=2, gaussian_weights=True,
        use_sample_covariance=False,
    )  # fmt: skip
    assert float(similarity(a, b)["ssim"]) == pytest.approx(expected, abs=0.01)


def test_no_detail_is_like_nothing():
    blank = torch.zeros(1, 3, 32, 32)
    found = similarity(blank, images(1, 32))
    assert all(value.isnan().all() for value in found.values())


def test_details_of_two_shapes_are_refused():
    with pytest.raises(DataError, match="one shape"):
        similarity(images(2, 32), images(1, 32))
    with pytest.raises(DataError, match="two seeds"):
        seed_stability(images(2, 32)[None])


@pytest.mark.parametrize(
    ("galaxies", "seeds", "rest"), [(2, 0, 1), (0, 2, 1), (1, 1, 0.5), (0, 0, 1)]
)
def test_shares_of_variance_are_those_that_were_put_in(galaxies, seeds, rest):
    draw = torch.Generator().manual_seed(0)

    def normal(s, b):
        return torch.randn(s, b, 1, 12, 12, generator=draw)

    details = galaxies * normal(1, 24) + seeds * normal(10, 1) + rest * normal(10, 24)
    found = seed_stability(details)
    whole = galaxies**2 + seeds**2 + rest**2
    for name, spread in (("galaxies", galaxies), ("seeds", seeds), ("rest", rest)):
        assert float(found[name]) == pytest.approx(spread**2 / whole, abs=0.05)


def test_likeness_over_seeds_is_the_mean_over_pairs():
    details = torch.stack([images(2, 16, seed=k) - 0.5 for k in range(3)])
    found = seed_stability(details.half())["cosine"]
    pairs = [
        similarity(details[i], details[j])["cosine"]
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    torch.testing.assert_close(found, torch.stack(pairs).mean(0), atol=1e-3, rtol=0)
