"""Colors and waves of galaxies: statistics, the waves' basis, the pyramid, MACO."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import nn

from dmagnet.dreaming import Channel, Energy
from dmagnet.dreaming.maco import compose, fourier_start, maco_frames
from dmagnet.dreaming.statistics import (
    Statistics,
    color_matrix,
    cycles_per_frame,
    decorrelate,
    galaxy_statistics,
    magnitude_spectrum,
    mean_color,
    measure_statistics,
    recolor,
)
from dmagnet.dreaming.steps import Waves, laplacian_normalize
from dmagnet.errors import ConfigError, DataError
from dmagnet.network.dmagnet import GALAXY10_MEAN, GALAXY10_STD


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def as_uint8(images):
    images = (images.clamp(0, 1) * 255).round().byte()
    return images.permute(0, 2, 3, 1).contiguous().numpy()


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, 2, 2), nn.SiLU(), nn.Conv2d(8, 6, 3, 2, 1), nn.SiLU()
    )


# What galaxies have in common


def test_the_packaged_statistics_are_of_many_galaxies_and_like_the_real_ones():
    ours = galaxy_statistics()
    assert ours.num >= 2000
    assert ours.side == 256
    assert np.allclose(ours.mean, GALAXY10_MEAN, atol=0.015)
    spread = np.sqrt(np.diag(np.array(ours.covariance)))
    assert np.allclose(spread, GALAXY10_STD, atol=0.015)


def test_colors_of_galaxies_are_mostly_brightness():
    strengths = torch.linalg.svdvals(color_matrix())
    assert float(strengths[0]) == pytest.approx(1, abs=1e-6)
    assert float(strengths[1]) < 0.6
    assert bool((color_matrix()[:, 0] > 0.4).all())


def test_the_color_matrix_is_a_root_of_the_covariance():
    root = color_matrix().double()
    covariance = torch.tensor(galaxy_statistics().covariance, dtype=torch.float64)
    ratio = (root @ root.t()) / covariance
    assert torch.allclose(ratio, ratio.mean().expand(3, 3), rtol=1e-5)


def test_decorrelated_colors_of_measured_images_are_uncorrelated():
    mix = torch.tensor([[0.1, 0.05, 0], [0.1, 0, 0.03], [0.1, -0.05, 0.02]])
    noise = torch.randn(8, 3, 32, 32, generator=seeded())
    images = as_uint8(0.5 + torch.einsum("dc,bchw->bdhw", mix, noise))
    measured = measure_statistics(images)
    rgb = torch.from_numpy(images).permute(0, 3, 1, 2).double() / 255
    colors = decorrelate(rgb, measured).transpose(0, 1).flatten(1)
    correlations = torch.corrcoef(colors)
    assert torch.allclose(correlations, torch.eye(3).double(), atol=1e-4)
    assert float(colors.mean(dim=1).abs().max()) < 1e-6


def test_recolor_undoes_decorrelate():
    images = torch.rand(2, 3, 20, 24, generator=seeded())
    assert torch.allclose(recolor(decorrelate(images)), images, atol=1e-5)


def test_a_measured_spectrum_is_the_one_that_was_put_in():
    side = 48
    amplitude = 0.05 / cycles_per_frame(side, side).clamp(min=1) ** 1.5
    noise = torch.randn(300, 1, side, side, generator=seeded(), dtype=torch.float64)
    phases = torch.fft.rfft2(noise).angle()
    waves = torch.polar(amplitude.expand_as(phases), phases)
    waves[..., 0, 0] = 0
    grey = torch.fft.irfft2(waves, s=(side, side), norm="forward")
    images = as_uint8(0.5 + grey.expand(-1, 3, -1, -1))
    measured = measure_statistics(images)
    # In decorrelated colors a grey wave is sqrt(3) times as long.
    found = np.array(measured.profile[0])[1:13] / np.sqrt(3)
    ring = cycles_per_frame(side, side).round().long().flatten()
    sums = torch.zeros(int(ring.max()) + 1, dtype=torch.float64)
    put_in = sums.index_add(0, ring, amplitude.flatten()) / ring.bincount()
    assert np.allclose(found, put_in[1:13].numpy(), rtol=0.02)


def test_a_wave_has_the_same_amplitude_at_any_number_of_pixels():
    small, large = magnitude_spectrum(64, 64), magnitude_spectrum(256, 256)
    assert torch.allclose(small[:, :30, :30], large[:, :30, :30], rtol=1e-5)
    profile = torch.tensor(galaxy_statistics().profile).float()
    assert torch.allclose(large[:, 0, 1:129], profile[:, 1:129], rtol=1e-4)


def test_waves_of_oblong_images_are_counted_along_the_larger_side():
    for size in [(60, 120), (120, 60)]:
        cycles = cycles_per_frame(*size)
        assert float(cycles[1, 0]) == pytest.approx(120 / size[0])
        assert float(cycles[0, 1]) == pytest.approx(120 / size[1])


def test_the_spectrum_goes_on_above_what_was_measured():
    spectrum = magnitude_spectrum(600, 400)
    assert spectrum.shape == (3, 600, 201)
    assert bool((spectrum[:, 1:] > 0).all())
    assert bool((spectrum[:, 0, 0] == 0).all())
    beyond, within = spectrum[:, 290], spectrum[:, 100]
    assert bool((beyond < within).all())


def test_noise_in_galaxies_waves_has_galaxies_statistics():
    noise = fourier_start(40, 128, seed=3)
    assert noise.shape == (40, 3, 128, 128)
    assert 0 <= float(noise.min()) <= float(noise.max()) <= 1
    assert torch.allclose(noise.mean(dim=(0, 2, 3)), mean_color(), atol=0.01)
    waves = torch.fft.rfft2(decorrelate(noise), norm="forward").abs().mean(dim=0)
    wanted = magnitude_spectrum(128, 128)
    # Cut at black, so not the same to the last digit.
    ratio = waves[:, 1:40, 1:40] / wanted[:, 1:40, 1:40]
    assert torch.allclose(ratio.mean(dim=(1, 2)), torch.ones(3), atol=0.1)


def test_noise_is_seeded_and_each_image_is_its_own():
    noise = fourier_start(2, 64, 80, seed=1)
    assert torch.equal(noise, fourier_start(2, 64, 80, seed=1))
    assert not torch.equal(noise, fourier_start(2, 64, 80, seed=2))
    assert not torch.equal(noise[0], noise[1])
    assert torch.equal(noise[:1], fourier_start(1, 64, 80, seed=1))


def test_statistics_survive_a_file(tmp_path):
    path = tmp_path / "mine.json"
    galaxy_statistics().write(path)
    assert Statistics.read(path) == galaxy_statistics()


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="got nothing"):
        Statistics.read(tmp_path / "nothing.json")
    (tmp_path / "other.json").write_text('{"mean": [1, 2, 3]}')
    with pytest.raises(
        DataError, match=r"expected what runs/dream_statistics\.py writes"
    ):
        Statistics.read(tmp_path / "other.json")


def test_what_has_no_statistics_is_refused():
    with pytest.raises(DataError, match="one color only"):
        measure_statistics(np.full((3, 8, 8, 3), 40, np.uint8))
    with pytest.raises(DataError, match="uint8"):
        measure_statistics(np.zeros((3, 8, 8, 3)))
    with pytest.raises(DataError, match="shape"):
        measure_statistics(np.zeros((3, 8, 8), np.uint8))


def test_grey_images_have_a_color_matrix_of_one_color():
    grey = np.random.default_rng(0).integers(0, 255, (4, 16, 16, 1), np.uint8)
    measured = measure_statistics(np.repeat(grey, 3, axis=3))
    strengths = torch.linalg.svdvals(color_matrix(measured))
    assert torch.allclose(strengths, torch.tensor([1.0, 0, 0]), atol=1e-6)


# Steps in waves


def seen_gradient(seed=0, size=(32, 24)):
    return torch.randn(2, 3, *size, generator=seeded(seed))


@pytest.mark.parametrize("decay", [0.0, 1.0, 1.5])
def test_the_first_step_in_waves_changes_the_image_by_its_size(decay):
    gradient = seen_gradient(size=(96, 128))
    change = Waves(gradient, decay)(gradient, 0.02)
    rms = change.square().mean(dim=(1, 2, 3)).sqrt()
    torch.testing.assert_close(rms, torch.full((2,), 0.02), rtol=0.05, atol=0)


def test_steps_in_waves_go_uphill_whatever_the_scale_of_the_gradient():
    for scale in (1e-30, 1.0, 1e20):
        gradient = seen_gradient() * scale
        change = Waves(gradient, 1.0)(gradient, 0.02)
        even = gradient / scale
        assert ((change * even).sum(dim=(1, 2, 3)) > 0).all()


def test_waves_fall_with_frequency_by_their_decay():
    gradient = seen_gradient(size=(64, 64))
    change = Waves(gradient, 1.0)(gradient, 1.0)
    amplitude = torch.fft.rfft2(change, norm="ortho").abs().mean(dim=(0, 1))
    cycles = cycles_per_frame(64, 64)
    low = amplitude[(cycles > 3) & (cycles < 5)].mean()
    high = amplitude[(cycles > 14) & (cycles < 18)].mean()
    assert float(low / high) == pytest.approx(4, rel=0.15)


def test_waves_remember_the_steps_before():
    gradient = seen_gradient()
    steps = Waves(gradient, 1.0)
    first, second = steps(gradient, 0.1), steps(-gradient, 0.1)
    # Adam's mean is still uphill: 0.9 x 0.1 - 0.1 over 0.19.
    assert float((second * first).sum() / (first * first).sum()) == pytest.approx(
        -0.0526, abs=0.01
    )


# Steps in bands


def explicit_bands(gradient, levels):
    """A Laplacian pyramid by scipy's convolutions."""
    taps = np.array([1, 4, 6, 4, 1]) / 16
    bands, current = [], gradient
    for _ in range(levels - 1):
        low = ndimage.convolve1d(current.numpy(), taps, axis=2, mode="mirror")
        low = ndimage.convolve1d(low, taps, axis=3, mode="mirror")[..., ::2, ::2]
        low = torch.from_numpy(low)
        bands.append(current - enlarge(low, current))
        current = low
    return [*bands, current]


def enlarge(low, like):
    """Put every pixel back where it was, zeros between, and blur by scipy."""
    wide = np.zeros((*low.shape[:2], 2 * low.shape[2] + 8, 2 * low.shape[3] + 8))
    padded = F.pad(low, (2, 2, 2, 2), mode="replicate").numpy()
    wide[..., ::2, ::2] = padded
    taps = np.array([1, 4, 6, 4, 1]) / 8
    for axis in (2, 3):
        wide = ndimage.convolve1d(wide, taps, axis=axis)
    height, width = like.shape[2:]
    return torch.from_numpy(wide[..., 4 : 4 + height, 4 : 4 + width])


def merge(bands):
    merged = bands[-1]
    for band in bands[-2::-1]:
        merged = enlarge(merged, band) + band
    return merged


def test_bands_that_are_not_normalized_give_the_gradient_back():
    gradient = torch.randn(2, 3, 64, 80, generator=seeded(), dtype=torch.float64)
    assert torch.allclose(merge(explicit_bands(gradient, 4)), gradient)


@pytest.mark.parametrize(("size", "levels"), [((64, 80), 4), ((65, 71), 4)])
def test_each_band_of_a_gradient_gets_the_same_strength(size, levels):
    gradient = torch.randn(2, 3, *size, generator=seeded(), dtype=torch.float64)
    bands = explicit_bands(gradient, levels)
    alike = [b / b.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() for b in bands]
    found = laplacian_normalize(gradient, levels)
    assert torch.allclose(found, merge(alike), rtol=1e-6, atol=1e-6)


def test_bands_do_not_move_a_blob():
    down, right = torch.meshgrid(*[torch.arange(128.0)] * 2, indexing="ij")
    blob = (-((down - 64) ** 2 + (right - 64) ** 2) / 200).exp().expand(1, 3, -1, -1)
    found = laplacian_normalize(blob)[0, 0].clamp(min=0)
    assert float((found * right).sum() / found.sum()) == pytest.approx(64, abs=0.02)


def test_small_gradients_have_fewer_bands():
    gradient = torch.randn(1, 3, 20, 20, generator=seeded(), dtype=torch.float64)
    alike = [
        b / b.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        for b in explicit_bands(gradient, 2)
    ]
    assert torch.allclose(laplacian_normalize(gradient), merge(alike), atol=1e-6)


def test_bands_are_normalized_for_each_image_alone_whatever_its_scale():
    gradient = torch.randn(3, 3, 48, 48, generator=seeded())
    gradient[1] *= 1e-12
    together = laplacian_normalize(gradient)
    for i in range(3):
        alone = laplacian_normalize(gradient[i : i + 1])
        assert torch.allclose(together[i : i + 1], alone, atol=1e-5)
    louder = laplacian_normalize(gradient * 1e6)
    assert torch.allclose(together, louder, atol=1e-3)


# MACO


def magnitudes(frame):
    return torch.fft.rfft2(decorrelate(frame.unclamped.double()), norm="forward").abs()


@pytest.mark.parametrize("size", [48, 45])
def test_maco_keeps_the_spectrum_of_galaxies_at_every_step(network, size):
    frames = list(
        maco_frames(network, Energy("2"), size=size, steps=6, crops=2, view=32)
    )
    wanted = magnitude_spectrum(size, size).double()
    for frame in frames:
        found = magnitudes(frame)[0]
        assert float((found - wanted).abs().max()) < 1e-5 * float(wanted.max())
    moved = frames[-1].unclamped - frames[0].unclamped
    assert float(moved.abs().mean()) > 0.01


@torch.no_grad()
def score(network, images):
    return network(images)[:, 2].mean()


def test_maco_climbs_and_its_mirror_falls(network):
    settings = {"size": 48, "steps": 24, "crops": 4, "view": 48, "seed": 1}
    *_, up = maco_frames(network, Channel("3", 2), **settings)
    *_, down = maco_frames(network, -Channel("3", 2), **settings)
    start = fourier_start(1, 48, seed=1)
    assert (
        score(network, down.images) < score(network, start) < score(network, up.images)
    )


def test_maco_is_seeded_and_leaves_the_global_generator_alone(network):
    def last(seed):
        *_, frame = maco_frames(
            network, Energy("2"), size=32, steps=3, batch=2, crops=2, seed=seed
        )
        return frame.images

    before = torch.get_rng_state()
    first = last(5)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, last(5))
    assert not torch.equal(first, last(6))
    assert not torch.equal(first[0], first[1])


def test_maco_starts_from_the_phases_of_an_image(network):
    start = torch.rand(1, 3, 40, 56, generator=seeded())
    first = next(maco_frames(network, Energy("2"), start=start, lr=1e-6, view=32))
    phases = torch.fft.rfft2(decorrelate(start)).angle()
    assert torch.allclose(first.unclamped, compose(phases, (40, 56)), atol=1e-4)


def test_importance_is_where_the_network_looked(network):
    *_, frame = maco_frames(
        network, Energy("2"), size=40, steps=3, crops=3, view=32, boxes=(0.9, 1.0)
    )
    assert frame.importance.shape == (1, 40, 40)
    assert bool((frame.importance >= 0).all())
    assert float(frame.importance.mean()) > 0


def test_maco_may_start_within_no_grad_and_leaves_the_network_as_it_was(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with torch.no_grad():
        frame = next(maco_frames(network, Energy("2"), size=32, view=32))
    assert not frame.images.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ({"steps": 0}, "steps: expected 1 to"),
        ({"crops": 0}, "crops: expected 1 to"),
        ({"size": 8}, "size: expected 16 to"),
        ({"boxes": (0.5, 1.5)}, "boxes: expected"),
        ({"noise": -1.0}, "noise: expected"),
        ({"lr": 0.0}, "lr: expected"),
    ],
)
def test_maco_refuses_what_it_cannot_do(network, setting, line):
    with pytest.raises(ConfigError, match=line):
        next(maco_frames(network, Energy("2"), **setting))
