"""Dreams at several resolutions: the galaxy is read anew, so that it never blurs."""

import pytest
import torch
from dream_nets import conv, dmagnet_xs, foreign, galaxies
from torch import nn

from dmagnet.config import DreamConfig, RedreamConfig
from dmagnet.dreaming import (
    DreamFrame,
    Energy,
    Logit,
    Pass,
    default_schedule,
    dream_frames,
    redream_frames,
    resample,
    zoom_frames,
)
from dmagnet.dreaming.redream import pass_frames
from dmagnet.dreaming.scorer import Scorer
from dmagnet.errors import ConfigError, DataError

LATE = Energy("late")
SCHEDULES = [(96,), (96, 96), (64, 96, 144, 96), (144, 64, 96), (97, 71, 96), ()]


def passes(images, objective=LATE, *, model=None, schedule=(), keep=1.0, **knobs):
    seed = knobs.pop("seed", None)
    config = RedreamConfig(
        schedule=schedule, keep=keep, dream=DreamConfig.plain(**{"steps": 2, **knobs})
    )
    events = redream_frames(model or foreign(), images, objective, config, seed=seed)
    return [event for event in events if isinstance(event, Pass)]


def size(images):
    return tuple(images.shape[2:])


@pytest.mark.parametrize("basis", ["pixel", "fourier"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_chain_of_no_steps_is_the_galaxy_bit_for_bit(schedule, basis):
    images = galaxies(2, (96, 75))
    for knobs in ({"steps": 0}, {"steps": 1, "step_size": 0}):
        done = passes(images, schedule=schedule, basis=basis, octaves=1, **knobs)
        assert torch.equal(done[-1].images, images)
        assert all(float(each.detail.abs().max()) == 0 for each in done)


def test_the_default_schedule_goes_down_home_up_and_home():
    assert default_schedule(256) == (128, 256, 384, 256)


def test_the_schedule_sets_the_larger_side_and_keeps_the_shape():
    done = passes(galaxies(1, (80, 120)), schedule=(102, 180, 120), octaves=1)
    assert [each.side for each in done] == [102, 180, 120]
    assert [size(each.images) for each in done] == [(68, 102), (120, 180), (80, 120)]


def test_each_pass_comes_after_its_frames():
    config = RedreamConfig(
        schedule=(96, 80), dream=DreamConfig.plain(steps=2, octaves=1)
    )
    events = list(redream_frames(foreign(), galaxies(1, (80, 80)), LATE, config))
    assert [type(e) for e in events] == [DreamFrame, DreamFrame, Pass] * 2
    assert events[2].frame is events[1]
    assert events[2].images is events[1].images


def test_detail_is_the_dream_less_the_galaxy_at_the_side_of_the_pass():
    images = galaxies(2, (96, 96))
    for each in passes(images, schedule=(64, 144, 96)):
        wanted = each.images - resample(images, size(each.images))
        assert torch.equal(each.detail, wanted)


def test_the_residual_is_the_change_of_the_detail_over_the_detail():
    done = passes(galaxies(2, (96, 96)), schedule=(64, 144, 96))
    home = [resample(each.detail, (96, 96)).double() for each in done]
    assert done[0].residual.isnan().all()
    for old, new, each in zip(home, home[1:], done[1:], strict=False):
        change = (new - old).flatten(1).norm(dim=1) / old.flatten(1).norm(dim=1)
        torch.testing.assert_close(each.residual.double(), change, rtol=1e-5, atol=0)


def test_a_pass_starts_from_the_galaxy_and_the_detail_of_the_pass_before():
    images = galaxies(1, (96, 96))
    config = RedreamConfig(
        schedule=(144, 96), dream=DreamConfig.plain(steps=1, octaves=1, step_size=0.01)
    )
    events = list(redream_frames(foreign(), images, LATE, config))
    carried = images + resample(events[1].detail, (96, 96))
    step = events[2].images - carried.clamp(0, 1)
    assert 0.009 < float(step.abs().mean()) <= 0.01 * 1.0001


def test_a_chain_that_keeps_nothing_ends_with_a_dream_of_the_galaxy():
    images = galaxies(2, (96, 96))
    done = passes(images, schedule=(64, 144, 96), keep=0.0)
    # The third pass rolls by the seed plus two.
    fresh = list(
        dream_frames(foreign(), images, LATE, DreamConfig.plain(steps=2), seed=2)
    )
    assert torch.equal(done[-1].images, fresh[-1].images)


@pytest.fixture(scope="module")
def board():
    """The finest detail an image can have; any resampling of it shows."""
    board = torch.full((1, 3, 96, 96), 0.3)
    board[..., ::2, ::2] = board[..., 1::2, 1::2] = 0.7
    return board


def test_a_chain_of_tiny_steps_never_blurs(board):
    tiny, steps = 1e-5, 2
    done = passes(board, schedule=(64, 144, 80, 144, 96), steps=steps, step_size=tiny)
    octaves = 5 * 2  # at most two at these sides
    moved = float((done[-1].images - board).abs().mean())
    assert 0 < moved <= octaves * steps * tiny


def test_a_zoom_loop_of_tiny_steps_forgets_the_galaxy(board):
    config = DreamConfig.plain(steps=1, octaves=1, step_size=1e-5)
    frames = list(zoom_frames(foreign(), board, LATE, config, num_frames=8, rate=0.05))
    assert len(frames) == 8
    assert float((frames[0] - board).abs().mean()) < 1e-4
    assert float((frames[-1] - board).abs().mean()) > 0.1
    assert all(size(frame) == (96, 96) for frame in frames)


def test_a_zoom_loop_dreams_on_from_what_it_dreamed():
    images, config = galaxies(), DreamConfig.plain(steps=1, octaves=1, jitter=0)
    frames = list(zoom_frames(foreign(), images, LATE, config, num_frames=4, rate=0))
    first, last = (float((f - images).abs().mean()) for f in (frames[0], frames[-1]))
    assert last > 2 * first


def test_a_zoom_looks_at_the_middle():
    images = torch.zeros(1, 3, 80, 100)
    images[..., 20:60, 25:75] = 1  # half of each side
    config = DreamConfig.plain(steps=0, octaves=1)
    *_, zoomed = zoom_frames(foreign(), images, LATE, config, num_frames=2, rate=0.5)
    assert float(zoomed.mean()) > 0.97


def test_a_batch_redreams_as_its_galaxies_do_alone():
    images, seeds = galaxies(3, (96, 72)), [4, 5, 6]
    together = passes(images, schedule=(120, 96), seed=seeds)[-1]
    for i, seed in enumerate(seeds):
        alone = passes(images[i : i + 1], schedule=(120, 96), seed=seed)[-1]
        torch.testing.assert_close(
            together.images[i], alone.images[0], rtol=0, atol=1e-5
        )
        torch.testing.assert_close(
            together.residual[i], alone.residual[0], rtol=1e-3, atol=1e-4
        )


def test_the_same_seed_gives_the_same_chain_and_each_pass_rolls_anew():
    images = galaxies(1, (96, 96))
    one, again, other = (
        passes(images, schedule=(96, 96), keep=0.0, octaves=1, seed=s)
        for s in (1, 1, 2)
    )
    assert torch.equal(one[1].images, again[1].images)
    assert not torch.equal(one[1].images, other[1].images)
    assert not torch.equal(one[0].images, one[1].images)
    assert torch.equal(one[1].images, other[0].images)


def test_dmagnet_redreams_a_class():
    images, model = galaxies(1, (96, 96)), dmagnet_xs()
    done = passes(images, Logit(2), model=model, schedule=(64, 96), jitter=0)
    with torch.no_grad():
        gain = model(done[-1].images)[:, 2] - model(images)[:, 2]
    assert float(gain) > 0


class Fails(nn.Module):
    def forward(self, images):
        if images.requires_grad and images.shape[-1] > 48:
            raise ZeroDivisionError
        return images


def test_a_chain_that_fails_half_way_leaves_the_model_as_it_was():
    model = nn.Sequential(conv(3, 4), Fails()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    with pytest.raises(ZeroDivisionError):
        passes(galaxies(1, (96, 96)), Energy("1"), model=model, schedule=(64, 128, 96))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(
    ("schedule", "octaves", "line"),
    [
        ((128, 64), None, r"schedule: expected .* 96 px, got 64; add 96 at the end"),
        ((128, 64, 96), 2, r"octaves=2 would start at"),
    ],
)
def test_a_chain_that_cannot_be_run_whole_is_refused_at_once(schedule, octaves, line):
    dream = DreamConfig.plain(steps=1, octaves=octaves)
    config = RedreamConfig(schedule=schedule, dream=dream)
    with pytest.raises(ConfigError, match=line) as caught:
        next(redream_frames(foreign(), galaxies(1, (96, 96)), LATE, config))
    assert "\n" not in str(caught.value)


def test_a_pass_too_small_for_the_layer_is_refused_before_the_first_step():
    config = RedreamConfig(schedule=(128, 24, 96), dream=DreamConfig.plain(steps=1))
    coarse = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 16, 1))
    events = redream_frames(coarse, galaxies(1, (96, 96)), Energy("0"), config)
    with pytest.raises(ConfigError, match=r"at least 32 px .* stride 16, got 24 px"):
        next(events)


@pytest.mark.parametrize("frames", [redream_frames, zoom_frames])
def test_what_is_no_image_is_refused(frames):
    with pytest.raises(DataError, match="finite pixels"):
        next(frames(foreign(), galaxies() * torch.nan, LATE))


def test_a_zoom_rate_outside_its_range_is_refused():
    with pytest.raises(ConfigError, match=r"rate: expected 0 to 0\.5, got 0\.7"):
        next(zoom_frames(foreign(), galaxies(), LATE, rate=0.7))


def test_maco_dreams_images_of_a_batch_exactly_as_alone():
    images, config = galaxies(2), DreamConfig(basis="maco", steps=2)

    def maco(some):
        *_, end = pass_frames(Scorer(foreign(), LATE, some), some, config)
        return end.images

    alone = torch.cat([maco(image) for image in images.split(1)])
    assert torch.equal(maco(images), alone)


@pytest.mark.parametrize("basis", ["maco", "galaxy"])
@pytest.mark.parametrize("frames", [dream_frames, zoom_frames])
def test_octaves_refuse_a_basis_that_has_none(frames, basis):
    config = DreamConfig(basis=basis)
    with pytest.raises(ConfigError, match=f"expected fourier or pixel, got {basis}"):
        next(frames(foreign(), galaxies(), LATE, config))


def test_passes_keep_color_where_one_channel_is_white():
    images = galaxies(1, (96, 96))
    images[:, 0, 40:50] = 1
    knobs = {"keep_color": True, "octaves": 1, "step_size": 0.1}
    for each in passes(images, schedule=(64, 144, 96), **knobs):
        alike = each.detail[:, :1].expand_as(each.detail)
        torch.testing.assert_close(each.detail, alike, rtol=0, atol=1e-6)


def test_passes_together_add_no_more_than_the_strength():
    images = galaxies(1, (96, 96))
    dream = DreamConfig(steps=4, octaves=1, strength=0.02, step_size=0.05)
    config = RedreamConfig(schedule=(64, 96, 96), dream=dream)
    passes = [
        event
        for event in redream_frames(foreign(), images, LATE, config)
        if isinstance(event, Pass)
    ]
    rms = [float(one.detail.square().mean().sqrt()) for one in passes]
    assert rms == pytest.approx([0.02] * 3, rel=1e-3)
