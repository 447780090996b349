"""Galaxies made of real pixels: pairs share their light, outskirts move."""

import numpy as np
import pytest
from composites import Warp, disturb, merge_pair
from scipy import ndimage
from statmorph import source_morphology

from dmagnet.pictures import find_extent


def disc(radius=30.0, color=(1, 0.8, 0.6)):
    y, x = np.mgrid[:256, :256] - 127.5
    light = 0.6 * np.exp(-3 * np.hypot(x, y / 0.8) / radius)[..., None]
    noise = np.random.default_rng(1).normal(0, 0.008, (256, 256, 3))
    image = light * np.asarray(color) + 0.05 + noise
    return (image.clip(0, 1) * 255).astype(np.uint8)


def asymmetry(image):
    """Statmorph's asymmetry of the grey picture."""
    grey = image.mean(2) - np.median(image[:16])
    segments, _ = ndimage.label(ndimage.gaussian_filter(grey, 2) > 8)
    segments = (segments == segments[128, 128]).astype(int)
    return source_morphology(grey, segments, gain=1.0)[0].asymmetry


@pytest.fixture(params=range(4))
def rng(request):
    return np.random.default_rng(request.param)


def test_a_pair_has_two_peaks_within_two_radii(rng):
    image = merge_pair(disc(), disc(), rng)
    smooth = ndimage.gaussian_filter(image.mean(2), 2)
    peaks = (ndimage.maximum_filter(smooth, 15) == smooth) & (smooth > 90)
    places = np.argwhere(peaks)
    assert len(places) == 2
    assert np.linalg.norm(places[0] - places[1]) < 2 * 55


def test_a_pair_keeps_the_colors_of_its_galaxies(rng):
    image = merge_pair(disc(color=(1, 0.5, 0.2)), disc(color=(0.2, 0.5, 1)), rng)
    above = image.astype(float) - np.median(image[:8].reshape(-1, 3), axis=0)
    lit = above[above.max(2) > 60]
    assert (lit[:, 0] > 1.5 * lit[:, 2]).any()
    assert (lit[:, 2] > 1.5 * lit[:, 0]).any()


@pytest.mark.filterwarnings("ignore")
def test_a_disturbed_disc_is_less_symmetric_than_it_was(rng):
    assert asymmetry(disturb(disc(), rng)) > asymmetry(disc()) + 0.02


def test_the_center_of_a_warped_disc_stays():
    warp = Warp(radius=40, toward=1.0, drift=20, bend=0.4, twist=0.5)
    x, y = warp(np.zeros(1, np.float32), np.zeros(1, np.float32))
    assert np.hypot(x, y)[0] < 1e-6


def test_the_same_numbers_give_the_same_picture():
    one, two = (disturb(disc(), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


def test_both_have_a_galaxy_in_the_middle_of_the_frame(rng):
    for image in (merge_pair(disc(), disc(20), rng), disturb(disc(), rng)):
        assert image.shape == (256, 256, 3)
        assert 20 < find_extent(image).radius < 128
