"""Spectra and azimuthal modes, against scipy and against images made to order."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from dmagnet.errors import DataError
from dmagnet.measuring import spectra
from dmagnet.measuring.spectra import (
    azimuthal_modes,
    radial_power,
    share_below,
    spectral_centroid,
)

SIDE = 96


def noise(slope=0.0, num=4, side=SIDE, seed=0):
    """Random waves whose power falls as frequency to the slope."""
    rng = np.random.default_rng(seed)
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side))
    f[0, 0] = 1
    waves = np.fft.rfft2(rng.standard_normal((num, side, side))) * f ** (slope / 2)
    return torch.from_numpy(np.fft.irfft2(waves, s=(side, side)))


def wave(cycles, side=SIDE):
    x = torch.arange(side, dtype=torch.float64)
    return torch.sin(2 * torch.pi * cycles * x / side).expand(1, side, side)


def spiral(arms, pitch=20.0, strength=0.5):
    """An exponential disc with logarithmic arms, and no noise."""
    center = (46.3, 50.1)
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    r = np.hypot(x - center[0], y - center[1]) + 1e-6
    theta = np.arctan2(y - center[1], x - center[0])
    phase = arms * (theta - np.log(r) / np.tan(np.radians(pitch)))
    image = np.exp(-r / 12) * (1 + strength * np.cos(phase))
    return torch.from_numpy(image)[None], [torch.tensor([c]) for c in center]


@pytest.fixture
def no_window(monkeypatch):
    monkeypatch.setattr(spectra, "_taper", lambda x: x.new_ones(x.shape[2:]))


def test_the_level_of_white_noise_is_its_variance_at_every_frequency():
    _, power = radial_power(noise(num=400, side=32) * 0.3)
    smeared = 2  # they lose what the mean takes
    assert power.mean(dim=0)[smeared:].numpy() == pytest.approx(0.09, rel=0.1)


def test_without_a_window_the_power_of_all_waves_is_the_variance(no_window):
    images = torch.randn(3, 2, 20, 20, generator=torch.Generator().manual_seed(0))
    smooth = torch.fft.fft2(images.double())
    f = torch.fft.fftfreq(20, dtype=torch.float64)
    distance = torch.hypot(f[:, None], f)
    smooth[..., distance > 0.46] = 0  # nothing in the corners, which are left out
    images = torch.fft.ifft2(smooth).real
    _, power = radial_power(images)
    annulus = (distance * 20).round().long().flatten()
    cells = torch.bincount(annulus)[1:11]
    variance = images.var(dim=(2, 3), correction=0).mean(dim=1)
    assert ((power * cells).sum(1) / 400).numpy() == pytest.approx(variance.numpy())


@pytest.mark.parametrize("shape", [(40, 40), (41, 41), (36, 50)])
def test_the_power_is_that_of_numpys_fft_by_definition(shape):
    image = np.random.default_rng(1).standard_normal(shape)
    weight = np.outer(np.hanning(shape[0]), np.hanning(shape[1]))
    centered = image - (image * weight).sum() / weight.sum()
    density = np.abs(np.fft.fft2(centered * weight)) ** 2 / (weight**2).sum()
    f = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    side = min(shape)
    labels = np.round(f * side).astype(int)
    index = np.arange(1, side // 2 + 1)
    frequency, power = radial_power(torch.from_numpy(image)[None])
    assert power[0].numpy() == pytest.approx(ndimage.mean(density, labels, index))
    assert frequency.numpy() == pytest.approx(ndimage.mean(f, labels, index))


@pytest.mark.parametrize("cycles", [5, 12.5, 30])
def test_the_centroid_of_a_wave_is_its_frequency(cycles):
    centroid = spectral_centroid(*radial_power(wave(cycles)))
    assert float(centroid) == pytest.approx(cycles / SIDE, rel=0.05)


@pytest.mark.parametrize("slope", [0.0, -1.0, -3.0])
def test_the_slope_of_power_law_noise_comes_back(slope):
    frequency, power = radial_power(noise(slope, num=32))
    logs = (x[2:].log().numpy() for x in (frequency, power.mean(dim=0)))
    assert np.polyfit(*logs, 1)[0] == pytest.approx(slope, abs=0.1)


def test_without_the_window_a_smooth_ramp_looks_rough(request):
    ramp = torch.linspace(0, 1, SIDE, dtype=torch.float64).expand(1, SIDE, SIDE)
    smooth = spectral_centroid(*radial_power(ramp))
    request.getfixturevalue("no_window")
    assert smooth < 0.5 * spectral_centroid(*radial_power(ramp))


def test_cycles_per_galaxy_are_cycles_per_px_times_its_radius():
    images, radius = noise(-2.0), torch.tensor([10.0, 20, 30, 40], dtype=torch.float64)
    per_px = spectral_centroid(*radial_power(images))
    per_galaxy = spectral_centroid(*radial_power(images, radius=radius))
    torch.testing.assert_close(per_galaxy, per_px * radius)


def test_a_slow_wave_is_coherent_and_a_fast_one_is_not():
    images = torch.cat([wave(2), wave(20), wave(2) + wave(20)])
    spectrum = radial_power(images, radius=torch.full((3,), 10.0))  # limit: 9.6 cycles
    assert share_below(*spectrum).numpy() == pytest.approx([1, 0, 0.5], abs=0.01)


def test_a_constant_image_has_no_centroid():
    assert spectral_centroid(*radial_power(torch.full((1, 32, 32), 0.25))).isnan()


def test_a_batch_measures_as_its_images_alone():
    images = noise(-2.0).float()
    together = radial_power(images)[1]
    alone = torch.cat([radial_power(image[None])[1] for image in images])
    torch.testing.assert_close(together, alone)


def test_images_of_other_axes_are_refused():
    with pytest.raises(DataError, match="expected floating-point images"):
        radial_power(torch.zeros(32, 32))
    with pytest.raises(DataError, match="got uint8"):
        radial_power(torch.zeros(1, 32, 32, dtype=torch.uint8))


@pytest.mark.parametrize("arms", [1, 2, 3, 4])
def test_the_arms_of_a_spiral_are_counted_and_weighed(arms):
    image, (x, y) = spiral(arms, pitch=35, strength=0.4)
    modes = azimuthal_modes(image, x, y, torch.tensor([30.0]))[0]
    expected = [0.4 if m == arms else 0 for m in (1, 2, 3, 4)]
    assert modes.numpy() == pytest.approx(expected, abs=0.02)


def test_in_an_image_without_a_mean_the_arms_have_their_share_of_the_variance():
    two, (x, y) = spiral(2, strength=0.4)
    three, _ = spiral(3, strength=0.4)
    detail = two - spiral(2, strength=0.0)[0] + 0.5 * (three - spiral(3, strength=0)[0])
    shares = azimuthal_modes(detail, x, y, torch.tensor([30.0]), signed=True)[0]
    assert shares.numpy() == pytest.approx([0, 0.8, 0.2, 0], abs=0.02)


def test_the_shares_of_all_modes_and_of_rings_add_up_to_one():
    detail = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    center, radius = torch.tensor([31.0, 33.0]), torch.tensor([20.0, 25.0])
    every = tuple(range(1, 64))
    shares = azimuthal_modes(detail, center, center, radius, every, signed=True)
    assert bool((shares.sum(dim=1) < 1).all())
    assert bool((shares.sum(dim=1) > 0.85).all())  # rings hold the rest


def test_turning_and_mirroring_an_image_keeps_its_modes():
    image = noise(-2.0, num=1)
    radius = torch.tensor([30.0])
    x, y = torch.tensor([40.0]), torch.tensor([50.0])
    modes = azimuthal_modes(image, x, y, radius, signed=True)
    mirrored = azimuthal_modes(image.flip(2), SIDE - 1 - x, y, radius, signed=True)
    turned = azimuthal_modes(
        image.rot90(1, (1, 2)), y, SIDE - 1 - x, radius, signed=True
    )
    torch.testing.assert_close(mirrored, modes, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(turned, modes, rtol=1e-3, atol=1e-4)


def test_rings_are_sampled_as_scipy_samples_them():
    image = noise(-3.0, num=1)
    x, y, radius = 40.2, 51.7, 25.0
    share = 0.2 * 5 ** np.linspace(0, 1, 24)
    angle = np.arange(128) * 2 * np.pi / 128
    r = radius * share[:, None]
    places = [y + r * np.sin(angle), x + r * np.cos(angle)]
    rings = ndimage.map_coordinates(image[0].numpy(), places, order=1)
    waves = np.fft.fft(rings, axis=1) / 128
    w = r[:, 0] ** 2
    total = w @ ((rings - w @ rings.mean(axis=1) / w.sum()) ** 2).mean(axis=1)
    expected = [w @ (2 * np.abs(waves[:, m]) ** 2) / total for m in (1, 2, 3, 4)]
    args = [torch.tensor([v]) for v in (x, y, radius)]
    found = azimuthal_modes(image, *args, signed=True)[0]
    assert found.numpy() == pytest.approx(np.array(expected), rel=1e-3)


def test_rings_outside_the_frame_are_left_out_and_none_left_is_nan():
    image, (x, y) = spiral(2, strength=0.4)
    radius = torch.tensor([90.0, 2000.0])
    found = azimuthal_modes(image.expand(2, -1, -1), x.expand(2), y.expand(2), radius)
    assert float(found[0, 1]) == pytest.approx(0.4, abs=0.02)
    assert bool(found[1].isnan().all())


def test_a_mode_that_128_angles_cannot_tell_is_refused():
    image, (x, y) = spiral(2)
    with pytest.raises(DataError, match="expected 1 to 63"):
        azimuthal_modes(image, x, y, torch.tensor([30.0]), modes=(64,))


def test_slopes_order_as_the_centroids_do():
    images = torch.cat([noise(slope, num=1) for slope in (-4, -3, -2, -1, 0)])
    assert bool((spectral_centroid(*radial_power(images)).diff() > 0).all())
