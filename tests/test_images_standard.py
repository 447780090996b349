"""One size and one brightness: what `standardize` takes out, and what it keeps."""

import h5py
import numpy as np
import pytest
from photutils.segmentation import detect_sources
from scipy import ndimage

from dmagnet.pictures import find_extent, standardize
from dmagnet.pictures.standard import standardize_mask


def galaxy(radius=20.0, *, side=256, peak=0.5, sky=0.05, color=(1, 1, 1), ratio=0.6):
    """An exponential disc on a noisy sky; `radius` is three scale lengths."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    r = np.hypot(x, y / ratio)
    light = peak * np.exp(-3 * r / radius)[..., None] * np.asarray(color)
    noise = np.random.default_rng(3).normal(0, 0.01, (side, side, 3))
    return ((light + sky + noise).clip(0, 1) * 255).round().astype(np.uint8)


def longest(view):
    """Length of the galaxy in a standard picture, in px."""
    lit = view.mean(2) > 0.1 * 255 + 15
    regions, _ = ndimage.label(lit)
    rows, columns = np.nonzero(regions == regions[len(view) // 2, len(view) // 2])
    return max(np.ptp(rows), np.ptp(columns))


def test_galaxies_of_three_sizes_become_one_size():
    lengths = [longest(standardize(galaxy(r), 96)) for r in (20, 40, 60)]
    assert max(lengths) <= 1.12 * min(lengths)


def test_galaxies_of_three_brightnesses_become_one_brightness():
    views = [standardize(galaxy(40, peak=p), 96) for p in (0.25, 0.5, 0.8)]
    bright = [np.quantile(view.mean(2), 0.99) for view in views]
    assert max(bright) - min(bright) < 0.06 * 255


def test_a_colored_sky_becomes_a_tenth_of_white_in_every_color():
    image = galaxy(40).astype(int) + np.array([10, 0, 30])
    view = standardize(image.clip(0, 255).astype(np.uint8), 96)
    sky = np.median(view[:8].reshape(-1, 3), axis=0)
    np.testing.assert_allclose(sky, 25.5, atol=2)


def test_colors_keep_their_ratio_above_the_sky():
    view = standardize(galaxy(60, color=(1, 0.7, 0.4)), 96).astype(float) - 25.5
    middle = view[40:56, 40:56].reshape(-1, 3).mean(0)
    np.testing.assert_allclose(middle / middle[0], [1, 0.7, 0.4], atol=0.04)


def test_more_radii_show_more_sky():
    near, far = (longest(standardize(galaxy(40), 96, radii)) for radii in (3, 6))
    assert far == pytest.approx(near / 2, abs=3)


def test_a_quarter_turn_of_the_picture_is_a_quarter_turn_of_the_view():
    image = galaxy(40)
    turned = standardize(np.rot90(image), 96)
    difference = np.abs(turned.astype(int) - np.rot90(standardize(image, 96)))
    assert difference.mean() < 3


def test_the_same_picture_gives_the_same_view_also_beyond_its_edge():
    image = galaxy(120, side=128)
    np.testing.assert_array_equal(standardize(image, 96), standardize(image, 96))


def test_a_companion_on_the_rim_is_not_cut_by_an_edge():
    image = galaxy(120, side=128)  # three radii are wider than this picture
    y, x = np.mgrid[:128, :128]
    companion = 150 * np.exp(-((x - 64) ** 2 + (y - 1) ** 2) / (2 * 6**2))
    image = (image + companion[..., None]).clip(0, 255).astype(np.uint8)
    view = standardize(image, 128).astype(float).mean(2)
    rim = np.abs(np.diff(view[:40, 56:72].mean(1)))
    half = 3 * find_extent(image).radius / 2
    assert half > 64, "the picture is not too small for its galaxy"
    assert rim.max() < 45  # its own light falls by 23 a pixel; a cut is 87


@pytest.mark.parametrize("radius", [30, 120])
def test_a_mask_of_the_galaxy_lies_on_the_galaxy_in_the_view(radius):
    image = galaxy(radius)
    mask = (255 * (image.mean(2) > 30)).astype(np.uint8)
    view = standardize(image, 96).mean(2)
    laid = standardize_mask(mask, 96, 3.0, find_extent(image)) > 127
    assert view[laid].min() > view[~laid].mean()
    assert laid[48, 48]
    assert not laid[0].any()


def test_a_neighbor_does_not_change_the_radius():
    alone, image = find_extent(galaxy(30)), galaxy(30)
    image[20:40, 20:40] = 250
    assert find_extent(image).radius == pytest.approx(alone.radius, rel=0.05)


@pytest.mark.parametrize("side", [8, 9, 64, 255, 512])
def test_pictures_of_any_side_become_views(side):
    assert standardize(galaxy(side / 6, side=side), 64).shape == (64, 64, 3)


def test_of_an_oblong_picture_the_central_square_counts():
    image = galaxy(30)
    wide = np.pad(image, ((0, 0), (20, 20), (0, 0)))
    np.testing.assert_array_equal(standardize(wide, 96), standardize(image, 96))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_an_empty_picture_has_no_galaxy_and_still_a_view(level):
    flat = np.full((64, 64, 3), level, np.uint8)
    assert not find_extent(flat).found
    assert standardize(flat, 64).std() == 0


def test_photutils_finds_the_same_isophotal_radius():
    image = galaxy(45)
    extent = find_extent(image)
    small = image.astype(float).reshape(128, 2, 128, 2, 3).mean((1, 3)) / 255
    above = (small - np.median(small[:8])).mean(2)
    smooth = ndimage.gaussian_filter(above, 0.75)
    peak = smooth[56:73, 56:73].max()
    segments = detect_sources(smooth, max(0.035, 0.06 * peak), n_pixels=5)
    rows, columns = np.nonzero(segments.data == segments.data[64, 64])
    radius = 2 * np.quantile(np.hypot(rows - 64, columns - 64), 0.97)
    assert extent.radius == pytest.approx(radius, rel=0.05)


def test_something_is_found_in_every_real_galaxy10_image(shared):
    with h5py.File(shared / "galaxy10_real60.h5") as file:
        images = file["images"][:]
    assert all(find_extent(image).found for image in images)
