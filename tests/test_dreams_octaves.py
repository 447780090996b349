"""The dream itself: exact where it must be, local, seeded, and polite to the model."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from dream_nets import conv, dmagnet_xs, foreign, galaxies, last
from torch import nn

from dmagnet.config import DreamConfig
from dmagnet.dreaming import Channel, Energy, Logit, dream_frames, octaves, resample
from dmagnet.dreaming.octaves import octave_sizes, step_rates
from dmagnet.dreaming.scorer import Scorer
from dmagnet.dreaming.steps import laplacian_normalize, pixel_step
from dmagnet.dreaming.views import Views, warp
from dmagnet.errors import ConfigError, DataError

LATE = Energy("late")
NORMALIZERS = ["mean-abs", "std", "laplacian"]


def dream(images, objective=LATE, *, model=None, seed=None, **knobs):
    config = DreamConfig.plain(**{"steps": 2, **knobs})
    return last(dream_frames(model or foreign(), images, objective, config, seed=seed))


@pytest.mark.parametrize("side", [16, 27, 45, 90, 128])
def test_resampled_white_is_never_brighter_than_white(side):
    assert resample(torch.ones(1, 3, 64, 64), (side, side)).max() <= 1


@pytest.mark.parametrize("basis", ["pixel", "fourier"])
@pytest.mark.parametrize("octaves", [None, 1, 2])
@pytest.mark.parametrize("size", [(97, 131), (150, 90), (201, 201)])
def test_a_dream_of_no_steps_is_the_image_bit_for_bit(size, octaves, basis):
    images = galaxies(2, size)
    for knobs in ({"steps": 0}, {"steps": 2, "step_size": 0}):
        dreamed = dream(images, octaves=octaves, basis=basis, **knobs).images
        assert torch.equal(dreamed, images)


def test_the_octaves_are_those_of_2015():
    sizes = octave_sizes((256, 256), DreamConfig.plain(), stride=16)
    assert sizes == [(93, 93), (131, 131), (183, 183), (256, 256)]


@pytest.mark.parametrize(("size", "scale"), [((97, 211), 1.05), ((300, 100), 1.3)])
def test_octaves_grow_to_the_very_size_of_the_image_and_start_from_64_px(size, scale):
    sizes = octave_sizes(size, DreamConfig.plain(scale=scale), stride=8)
    assert sizes[-1] == size
    assert sizes == sorted(sizes)
    assert all(min(s) >= 64 for s in sizes)


def test_frames_count_steps_and_octaves_and_stay_in_range():
    images = galaxies(1, (70, 140))
    config = DreamConfig.plain(steps=2, octaves=2, scale=1.05, step_size=0.2)
    frames = list(dream_frames(foreign(), images, LATE, config))
    assert [(f.octave, f.step) for f in frames] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [tuple(f.images.shape[2:]) for f in frames[1:3]] == [(67, 133), (70, 140)]
    assert all(f.images.min() >= 0 and f.images.max() <= 1 for f in frames)


@pytest.mark.parametrize("normalize", NORMALIZERS)
@pytest.mark.parametrize("basis", ["pixel", "fourier"])
@pytest.mark.parametrize("seed", [7, [7, 8, 9]])
def test_a_batch_dreams_as_its_images_do_alone(normalize, basis, seed):
    images = galaxies(3, (72, 96))
    images[1] *= 0.01  # its gradient is weaker by far
    knobs = {"octaves": 2, "scale": 1.1, "normalize": normalize, "basis": basis}
    together = dream(images, seed=seed, **knobs).images
    seeds = seed if isinstance(seed, list) else [seed] * 3
    alone = [
        dream(image[None], seed=s, **knobs).images
        for image, s in zip(images, seeds, strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


def test_a_batch_of_dmagnet_dreams_as_its_images_do_alone():
    images, model = galaxies(3), dmagnet_xs()
    together = dream(images, Energy("lam"), model=model, seed=[1, 2, 3]).images
    alone = [
        dream(images[i : i + 1], Energy("lam"), model=model, seed=i + 1).images
        for i in range(3)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


def test_the_same_seed_gives_the_same_image_and_another_seed_another():
    images = galaxies(2, (96, 96))
    one, again, other = (dream(images, seed=s).images for s in (1, 1, 2))
    assert torch.equal(one, again)
    assert float((one - other).abs().mean()) > 1e-4
    torch.testing.assert_close(dream(images, seed=np.int64(1)).images, one)


def test_the_seed_of_the_configuration_counts_where_no_other_is_given():
    images = galaxies()
    fifth = last(
        dream_frames(foreign(), images, LATE, DreamConfig.plain(steps=2, seed=5))
    )
    assert torch.equal(fifth.images, dream(images, seed=5).images)
    assert not torch.equal(fifth.images, dream(images).images)


def test_one_seed_for_each_image_or_one_for_all():
    with pytest.raises(ConfigError, match=r"one for each of the 3 images, got 2"):
        dream(galaxies(3), seed=[1, 2])


class Itself(nn.Module):
    """A network whose layer is the image: the gradient of its energy is the image."""

    def __init__(self):
        super().__init__()
        self.same = nn.Identity()

    def forward(self, images):
        return self.same(images * 1.0)


@pytest.mark.parametrize("seed", [3, [3, 4]])
def test_jitter_is_undone_exactly(seed):
    images = torch.zeros(2, 3, 70, 90)
    images[0, :, 10:20, 60:80] = 0.2  # no place but these has a gradient
    images[1, 1, 50:55, 5:9] = 0.3
    knobs = {"model": Itself(), "steps": 5, "octaves": 1, "step_size": 1e-3}
    still = dream(images, Energy("same"), jitter=0, **knobs).images
    jittered = dream(images, Energy("same"), jitter=0.5, seed=seed, **knobs).images
    torch.testing.assert_close(jittered, still, rtol=0, atol=1e-6)
    assert torch.equal(jittered > 0, images > 0)


def test_jitter_changes_the_dream_of_a_network_with_borders():
    images = galaxies()
    a, b = (dream(images, jitter=j, octaves=1).images for j in (0, 0.125))
    assert float((a - b).abs().mean()) > 1e-4


def fields(model):
    """All of a model that a dream could disturb."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    return {
        "state": copy.deepcopy(model.state_dict()),
        "flags": [p.requires_grad for p in model.parameters()],
        "grads": [p.grad is None for p in model.parameters()],
        "modes": [m.training for m in model.modules()],
        "hooks": [len(getattr(m, h)) for m in model.modules() for h in hooks],
        "random": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].copy(),  # noqa: NPY002 (the global one)
        "grad enabled": torch.is_grad_enabled(),
    }


def assert_same(before, after):
    for name, value in before.items():
        if name == "state":
            assert all(torch.equal(value[k], after[name][k]) for k in value)
        elif name in ("random", "numpy"):
            assert (np.asarray(value) == np.asarray(after[name])).all()
        else:
            assert value == after[name], name


@pytest.fixture
def used():
    """A model in the middle of its user's work: mixed modes, flags, hooks."""
    model = foreign().train()
    model.late.eval()
    model.head.bias.requires_grad_(False)
    model.early.register_forward_hook(lambda *_: None)
    return model


def test_the_model_is_left_as_it_was(used):
    before = fields(used)
    dream(galaxies(2, (96, 96)), model=used)
    assert_same(before, fields(used))


def test_the_model_is_left_as_it_was_by_ctrl_c(used):
    before = fields(used)
    frames = dream_frames(used, galaxies(), LATE)
    next(frames)
    with pytest.raises(KeyboardInterrupt):
        frames.throw(KeyboardInterrupt)
    assert_same(before, fields(used))


def test_the_model_is_left_as_it_was_by_a_dream_that_is_given_up(used):
    before = fields(used)
    frames = dream_frames(used, galaxies(), LATE)
    next(frames)
    assert_same(before, fields(used))
    frames.close()
    assert_same(before, fields(used))


class Fails(nn.Module):
    """Works while a dream is prepared, fails in its third gradient."""

    calls = 0

    def forward(self, images):
        if images.requires_grad:
            Fails.calls += 1
        if Fails.calls == 3:
            raise ZeroDivisionError
        return images


def test_the_model_is_left_as_it_was_by_a_module_that_raises(used):
    model = nn.Sequential(conv(3, 4), Fails(), used.late[1:]).train()
    Fails.calls = 0
    before = fields(model)
    with pytest.raises(ZeroDivisionError):
        dream(galaxies(), Energy("1"), model=model, steps=5, octaves=1)
    assert Fails.calls == 3
    assert_same(before, fields(model))


def test_the_model_is_left_as_it_was_by_an_objective_that_fails(used):
    before = fields(used)
    with pytest.raises(ConfigError):
        dream(galaxies(), Channel("late", 99), model=used)
    assert_same(before, fields(used))


def test_the_images_are_not_written_to():
    images = galaxies(2)
    before = images.clone()
    for steps in (0, 2):
        frame = dream(images, steps=steps, octaves=1)
        frame.images.fill_(0)
        assert torch.equal(images, before)


def test_a_frame_keeps_its_images_while_the_dream_goes_on():
    frames = dream_frames(foreign(), galaxies(), LATE, DreamConfig.plain(steps=3))
    first = next(frames)
    seen = first.images.clone()
    list(frames)
    assert torch.equal(first.images, seen)


@pytest.mark.parametrize("normalize", ["mean-abs", "laplacian"])
@pytest.mark.parametrize("strength", [1e-32, 1e-9, 1, 1e20])
def test_the_mean_change_of_a_step_is_the_step_size(normalize, strength):
    gradient = torch.randn(3, 3, 50, 70, generator=torch.manual_seed(0))
    gradient *= strength * torch.tensor([1.0, 1e-3, 10])[:, None, None, None]
    sizes = pixel_step(gradient, 0.01, normalize).abs().mean(dim=(1, 2, 3))
    torch.testing.assert_close(sizes, torch.full((3,), 0.01))


@pytest.mark.parametrize("strength", [1e-32, 1, 1e20])
def test_the_spread_of_a_std_step_is_the_step_size(strength):
    gradient = strength * torch.randn(3, 3, 50, 70, generator=torch.manual_seed(0))
    spreads = pixel_step(gradient, 0.01, "std").std(dim=(1, 2, 3))
    torch.testing.assert_close(spreads, torch.full((3,), 0.01))


def test_steps_go_uphill():
    gradient = torch.randn(2, 3, 64, 64, generator=torch.manual_seed(0))
    for normalize in NORMALIZERS:
        step = pixel_step(gradient, 0.01, normalize)
        assert ((step * gradient).sum(dim=(1, 2, 3)) > 0).all()


@pytest.mark.parametrize("normalize", NORMALIZERS)
def test_a_gradient_that_is_the_same_everywhere_makes_a_small_even_step(normalize):
    gradient = torch.full((1, 3, 64, 64), 1e-6)
    step = pixel_step(gradient, 0.001, normalize)
    assert float(step.std()) < 1e-3 * float(step.mean())
    assert float(step.mean()) <= 0.1001


def share_of_fine_waves(images):
    power = torch.fft.rfft2(images).abs().square()
    down = torch.fft.fftfreq(images.shape[2]).abs()[:, None]
    fine = torch.maximum(down, torch.fft.rfftfreq(images.shape[3])) > 0.25
    return float(power[..., fine].sum() / power.sum())


def test_laplacian_normalization_brings_weak_scales_up():
    fine = torch.randn(1, 3, 128, 128, generator=torch.manual_seed(0))
    coarse = resample(
        torch.randn(1, 3, 8, 8, generator=torch.manual_seed(1)), (128, 128)
    )
    uneven = 1e-6 * (0.1 * fine + coarse)
    assert share_of_fine_waves(uneven) < 0.02
    assert share_of_fine_waves(laplacian_normalize(uneven)) > 0.06


def test_octaves_carry_the_detail_of_the_coarser_ones():
    images = galaxies(1, (96, 96))
    config = DreamConfig.plain(steps=3, octaves=2, step_size=0.01)
    frames = list(dream_frames(foreign(), images, LATE, config))
    coarse, fine = frames[2].images, frames[3].images
    detail = coarse - resample(images, coarse.shape[2:])
    carried = resample(images, (96, 96)) + resample(detail, (96, 96))
    assert float((fine - carried).abs().mean()) <= 0.01 * 1.001  # one step away
    assert float((fine - images).abs().mean()) > 0.012


def test_fine_detail_of_the_galaxy_survives_octaves():
    board = torch.ones(1, 3, 132, 132)
    board[..., ::2, ::2] = board[..., 1::2, 1::2] = 0  # finest there is
    dreamed = dream(board, octaves=3, scale=1.25, steps=3, step_size=1e-4).images
    assert float((dreamed - board).abs().mean()) < 9.5e-4
    blurred = resample(resample(board, (84, 84)), (132, 132))
    assert float((blurred - board).abs().mean()) > 0.4


def test_the_context_of_the_caller_does_not_matter():
    images, model = galaxies(), foreign()
    wanted = dream(images, model=model).images
    for context in (torch.no_grad(), torch.inference_mode()):
        with context:
            found = dream(images * 1.0, model=model).images
            assert torch.equal(found, wanted)


def test_images_in_a_graph_are_dreamed_outside_of_it():
    images = galaxies().requires_grad_()
    frame = dream(images * 1.0)
    assert not frame.images.requires_grad
    assert images.grad is None


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_images_keep_their_precision_whatever_the_networks_is(dtype):
    images = galaxies().to(dtype)
    for model in (foreign(), foreign().bfloat16(), foreign().double()):
        dreamed = dream(images, model=model).images
        assert dreamed.dtype == dtype
        assert float((dreamed - images).abs().mean()) > 1e-3
        assert torch.equal(dream(images, model=model, steps=0).images, images)


class Watched(nn.Module):
    layouts = ()  # of the class: copies write to the same

    def forward(self, maps):
        if maps.requires_grad:
            maps.register_hook(self.watch)
        return maps + 1

    @staticmethod
    def watch(gradient):
        kept = gradient.is_contiguous(memory_format=torch.channels_last)
        Watched.layouts += (kept,)


def test_gradients_flow_in_the_memory_layout_of_the_network():
    model = nn.Sequential(conv(3, 8), Watched(), Watched())
    dream(galaxies(), Energy("2"), model=model)
    assert Watched.layouts == (True,) * 4


def test_a_network_without_any_weights_can_be_dreamed():
    model = nn.Sequential(nn.AvgPool2d(4), nn.Hardswish())
    assert float((dream(galaxies(), Energy("1"), model=model).images).mean()) > 0


class Buffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("kernel", torch.randn(4, 3, 3, 3).double())
        self.map = nn.Identity()

    def forward(self, images):
        return self.map(nn.functional.conv2d(images, self.kernel, stride=2))


def test_a_network_of_buffers_alone_can_be_dreamed():
    dreamed = dream(galaxies(), Energy("map"), model=Buffers()).images
    assert float((dreamed - galaxies()).abs().mean()) > 1e-3


@pytest.mark.parametrize("layer", ["pool", "head"])
def test_a_global_layer_has_no_stride(layer):
    assert Scorer(foreign(), Energy(layer), galaxies()).stride == 1


def test_the_stride_is_that_of_the_coarsest_layer():
    objective = Energy("stem") + Energy("stage2")
    assert Scorer(dmagnet_xs(), objective, galaxies()).stride == 8


def test_a_constant_image_is_dreamed():
    dreamed = dream(torch.full((1, 3, 64, 64), 0.3)).images
    assert float(dreamed.std()) > 1e-3


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (torch.rand(3, 64, 64), r"shape \(B, 3, H, W\), got float32 of shape \(3, 64"),
        (torch.rand(1, 1, 64, 64), r"repeat a grey image three times"),
        (torch.rand(1, 4, 64, 64), r"drop alpha"),
        (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), r"floating-point .* got uint8"),
        (torch.rand(1, 3, 64, 64) * torch.nan, r"finite pixels, got NaN"),
        (torch.rand(1, 3, 64, 64) * 255, r"pixels from 0 to 1, got .* divide 8-bit"),
        (torch.rand(1, 3, 64, 64) - 1, r"pixels from 0 to 1, got -"),
        (torch.zeros(0, 3, 64, 64), r"at least one image"),
        (torch.zeros(1, 3, 0, 64), r"at least one image"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(images, line):
    with pytest.raises(DataError, match=line) as caught:
        dream(images)
    assert "\n" not in str(caught.value)


def test_images_on_another_device_are_refused():
    with pytest.raises(DataError, match=r"images are on meta, the network is on cpu"):
        Scorer(foreign(), LATE, torch.empty(1, 3, 64, 64, device="meta"))


class Deaf(nn.Module):
    """Gives the same whatever it sees."""

    def __init__(self):
        super().__init__()
        self.map = nn.Identity()
        self.weight = nn.Parameter(torch.ones(1, 4, 8, 8))

    def forward(self, images):
        return self.map(self.weight.expand(len(images), -1, -1, -1))


def dead():
    """A ReLU that no input wakes."""
    layer = nn.Conv2d(3, 4, 3)
    nn.init.constant_(layer.bias, -100)
    return nn.Sequential(layer, nn.ReLU())


def ill():
    model = foreign()
    nn.init.constant_(model.late[0].weight, torch.nan)
    return model


@pytest.mark.parametrize(
    ("model", "objective", "size", "knobs", "line"),
    [
        (foreign(), Energy("latest"), 64, {}, r"no layer 'latest'; the layers are: "),
        (dmagnet_xs(), Logit(5), 64, {}, r"channel from 0 to 4, got 5"),
        (
            dmagnet_xs(),
            Energy("stage3"),
            8,
            {},
            r"at least 16 px .* 8, got 8",
        ),
        (dmagnet_xs(), Energy("stem"), 64, {"octaves": 2}, r"octaves=2 would start at"),
        (dead(), Energy("1"), 64, {}, r"zero gradient"),
        (
            dead(),
            Channel("1", 2),
            64,
            {},
            r"choose another channel",
        ),
        (Deaf(), Energy("map"), 64, {}, r"zero gradient"),
        (ill(), LATE, 64, {}, r"gradient of late is not finite"),
        (nn.Sequential(nn.Linear(7, 7)), Energy("0"), 64, {}, r"cannot take images of"),
    ],
)
def test_what_cannot_be_dreamed_is_refused_in_one_line(
    model, objective, size, knobs, line
):
    with pytest.raises(ConfigError, match=line) as caught:
        dream(galaxies(1, (size, size)), objective, model=model, **knobs)
    assert "\n" not in str(caught.value)


class OneSize(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = conv(3, 4)

    def forward(self, images):
        assert images.shape[2:] == (96, 96), "wrong image size"
        return self.body(images)


def test_a_network_of_one_size_dreams_in_one_octave():
    model, images = OneSize(), galaxies(1, (96, 96))
    assert dream(images, Energy("body"), model=model, octaves=1).step == 2
    with pytest.raises(ConfigError, match=r"69x69 px \(wrong .*fewer octaves"):
        dream(images, Energy("body"), model=model)


ROBUST = {"octaves": 1, "steps": 4}


def robust(images, objective=LATE, *, model=None, seed=None, **knobs):
    config = DreamConfig(**{**ROBUST, **knobs})
    return last(dream_frames(model or foreign(), images, objective, config, seed=seed))


@pytest.mark.parametrize("octaves", [1, 2])
def test_a_dream_adds_no_more_than_its_strength(octaves):
    images = galaxies(2, (96, 96))
    dreamed = robust(images, octaves=octaves, strength=0.01, step_size=0.1).images
    rms = (dreamed - images).square().mean(dim=(1, 2, 3)).sqrt()
    torch.testing.assert_close(rms, torch.full((2,), 0.01), rtol=1e-3, atol=0)


@pytest.mark.parametrize("seed", [7, [7, 8, 9]])
def test_a_batch_of_many_views_dreams_as_its_images_do_alone(seed):
    images = galaxies(3, (72, 96))
    together = robust(images, seed=seed).images
    seeds = seed if isinstance(seed, list) else [seed] * 3
    alone = [
        robust(image[None], seed=s).images
        for image, s in zip(images, seeds, strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-4)


def test_objectives_of_one_class_for_each_image_see_every_view():
    images = galaxies(2)
    both = robust(images, Logit((0, 2), layer="head")).images
    for i, number in enumerate((0, 2)):
        alone = robust(images[i : i + 1], Logit(number, layer="head")).images
        torch.testing.assert_close(both[i : i + 1], alone, rtol=0, atol=1e-4)


class Middle(nn.Module):
    """A network that looks at one blurred spot right of the middle."""

    def forward(self, images):
        return images.mean(dim=(1, 2, 3), keepdim=True) * 0 + images[..., 40:56, 60:76]


def test_views_undo_their_rotation_in_the_gradient():
    images = torch.full((1, 3, 96, 96), 0.5)
    knobs = {"basis": "pixel", "model": nn.Sequential(Middle()), "steps": 1}
    turned = robust(images, Energy("0"), views=64, rescale=0, shift=0, **knobs).images
    added = (turned - images)[0].mean(dim=0)
    down, right = torch.meshgrid(*[torch.arange(96.0) - 47.5] * 2, indexing="ij")
    radius = torch.hypot(down, right)
    ring = (radius > 15) & (radius < 25)
    quarters = [added[ring & (down * a + right * b > 0) & (down * b - right * a > 0)]
                for a, b in ((1, 0), (0, 1), (-1, 0), (0, -1))]  # fmt: skip
    means = torch.stack([quarter.mean() for quarter in quarters])
    assert float(means.min()) > 0.5 * float(means.max())  # seen from every side
    assert float(added[radius < 8].abs().mean()) < 0.1 * float(means.mean())


def test_a_view_turns_in_pixels_whatever_the_shape():
    images = torch.zeros(1, 1, 60, 120)
    images[..., 30, 75] = 1.0  # 15 px right of the middle, half a pixel low
    quarter = torch.tensor([[[0.0, -1, 0], [1, 0, 0]]])
    seen = warp(images, quarter)[..., 35:85]  # beyond, the frame mirrors itself
    row, column = divmod(int(seen.argmax()), 50)
    assert abs(abs(row - 29.5) - 15.5) <= 1
    assert abs(column - 24.5) <= 1.5


def test_without_anything_random_there_is_one_view():
    still = DreamConfig.plain(views=9, jitter=0)
    assert Views(0, still).num == 1
    assert Views(0, replace(still, jitter=0.1), still=True).num == 1
    assert Views(0, DreamConfig(views=9), still=True).num == 1


@pytest.mark.parametrize("name", ["jitter", "rotate", "shift", "rescale", "noise"])
def test_views_are_many_where_one_thing_is_random(name):
    still = DreamConfig.plain(views=9, jitter=0)
    assert Views(0, replace(still, **{name: 0.1})).num == 9


class Counted(nn.Module):
    sizes = ()  # of the class: copies write to the same

    def forward(self, images):
        if images.requires_grad:
            Counted.sizes += (len(images),)
        return images.square()


# A roll by at most one px leaves every ninth view as it is.
ROLLED = {"rotate": 0, "rescale": 0, "shift": 0, "flip": False, "jitter": 0.02}


@pytest.mark.parametrize("knobs", [{}, ROLLED])
@pytest.mark.parametrize("most", [1, 3])
def test_views_in_several_batches_dream_as_in_one(monkeypatch, most, knobs):
    images = galaxies(2)
    model = nn.Sequential(conv(3, 4), Counted()).eval()
    Counted.sizes = ()
    whole = robust(images, Energy("1"), model=model, views=20, **knobs).images
    assert set(Counted.sizes) == {2 * 20}
    monkeypatch.setattr(octaves, "BATCH_PIXELS", most * images[:, 0].numel())
    Counted.sizes = ()
    parts = robust(images, Energy("1"), model=model, views=20, **knobs).images
    assert max(Counted.sizes) == 2 * most
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-6)


def test_steps_fade_along_a_cosine():
    rates = step_rates(DreamConfig(step_size=1, fade=0.2), 10)
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(1)
    assert 0.2 < rates[-1] < 0.23
    assert step_rates(DreamConfig.plain(step_size=0.5), 3) == [0.5] * 3


def test_color_is_kept_where_it_is_asked_for():
    images = galaxies(1) * 0.5 + 0.2
    dreamed = robust(images, keep_color=True, strength=0.02).images
    added = dreamed - images
    torch.testing.assert_close(added[:, 0], added[:, 2], rtol=0, atol=1e-6)
    assert float(added.abs().mean()) > 1e-3


@pytest.mark.parametrize("basis", ["fourier", "pixel"])
def test_color_is_kept_where_one_channel_is_black_or_white(basis):
    images = galaxies(2, (96, 96))
    images[:, 0, 40:50], images[:, 2, :, 30:50] = 1, 0
    knobs = {"octaves": 2, "basis": basis, "step_size": 0.2, "strength": 0}
    added = robust(images, keep_color=True, **knobs).images - images
    torch.testing.assert_close(added, added[:, :1].expand_as(added), rtol=0, atol=1e-6)
    assert float(added.abs().mean()) > 1e-2


def test_total_variation_smooths_what_is_added():
    images = galaxies(1)
    rough, smooth = (
        robust(images, basis="pixel", tv=tv, steps=12, strength=0.05).images - images
        for tv in (0.0, 1.0)
    )
    assert share_of_fine_waves(smooth) < 0.8 * share_of_fine_waves(rough)


def test_a_robust_dream_in_tiles_is_that_of_the_whole():
    images, model = galaxies(1, (150, 150)), dmagnet_xs()
    knobs = {"model": model, "views": 2, "basis": "pixel", "steps": 2}
    whole = robust(images, Energy("stem"), tile=0, **knobs).images
    tiled = robust(images, Energy("stem"), tile=64, **knobs).images
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-4)
