"""Views of galaxies: where the pixels go, and what stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from dmagnet.config import AugmentConfig
from dmagnet.galaxies.augment import (
    augment,
    dihedral_views,
    mixup,
    random_affine,
    sky_level,
    turned_back,
)

STILL = AugmentConfig(rotate=False, zoom=1, shift=0, brightness=0, gain=0, noise=0)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def frames(num=3, side=64):
    noise = torch.rand(num, 3, side, side, generator=seeded(9))
    smooth = torch.nn.functional.avg_pool2d(noise, 7, 1, 3)
    return (255 * smooth).to(torch.uint8)


def test_with_everything_off_the_view_is_the_image():
    images = frames()
    view = augment(images, STILL, image_size=64, generator=seeded())
    torch.testing.assert_close(view, images / 255, atol=1e-5, rtol=0)


def test_with_everything_off_a_smaller_view_is_the_middle():
    images = frames()
    view = augment(images, STILL, image_size=48, generator=seeded())
    torch.testing.assert_close(view, images[..., 8:56, 8:56] / 255, atol=1e-5, rtol=0)


def test_a_view_at_half_the_side_shows_the_same_sky():
    images = frames()
    small = augment(images, STILL, image_size=64, view_size=32, generator=seeded())
    pooled = torch.nn.functional.avg_pool2d(images / 255, 2)
    torch.testing.assert_close(small, pooled, atol=0.05, rtol=0)


@pytest.mark.parametrize("num", [1, 2, 4, 8])
def test_views_turned_back_are_the_images(num):
    images = torch.rand(2, 3, 5, 5, generator=seeded())
    back = turned_back(dihedral_views(images, num))
    assert torch.equal(back, images.expand(num, *images.shape))


def test_a_smaller_view_averages_the_grain_away():
    grain = torch.rand(3, 3, 64, 64, generator=seeded(9))
    images = (255 * grain).to(torch.uint8)
    small = augment(images, STILL, image_size=64, view_size=32, generator=seeded())
    assert small.std() < 0.6 * grain.std()  # picking pixels would keep all of it


def test_the_same_seed_gives_the_same_view_and_another_another():
    images, config = frames(), AugmentConfig()
    one = augment(images, config, image_size=64, generator=seeded(1))
    again = augment(images, config, image_size=64, generator=seeded(1))
    other = augment(images, config, image_size=64, generator=seeded(2))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other, atol=0.01)


def test_views_stay_between_black_and_white():
    images = torch.full((8, 3, 64, 64), 250, dtype=torch.uint8)
    view = augment(images, AugmentConfig(), image_size=64, generator=seeded())
    assert view.min() >= 0
    assert view.max() <= 1


def test_beyond_the_frame_there_is_sky_not_black():
    images = torch.full((16, 3, 64, 64), 40, dtype=torch.uint8)
    config = AugmentConfig(brightness=0, gain=0, noise=0)
    view = augment(images, config, image_size=64, generator=seeded())
    torch.testing.assert_close(view, torch.full_like(view, 40 / 255))


def test_the_map_agrees_with_scipy():
    images = frames(1)
    config = AugmentConfig(brightness=0, gain=0, noise=0)
    view = augment(images, config, image_size=64, generator=seeded(3))
    matrix = random_affine(images / 255, config, 64, 64, seeded(3))[0].double().numpy()
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))  # view to source, x first
    swap = inverse[:2, :2][::-1, ::-1]
    red = ndimage.affine_transform(
        images[0, 0].double().numpy() / 255,
        swap,
        inverse[:2, 2][::-1],
        order=1,
        cval=sky_level(images / 255)[0, 0].item(),
    )
    inner = slice(16, 48)  # beyond, the two fill the outermost half pixel differently
    np.testing.assert_allclose(
        view[0, 0].numpy()[inner, inner], red[inner, inner], atol=2e-3
    )


def test_rotations_and_flips_are_even():
    maps = random_affine(
        torch.zeros(20000, 1, 8, 8), AugmentConfig(zoom=1), 8, 8, seeded()
    )
    linear = maps[:, :, :2]
    assert torch.linalg.det(linear).mean().abs() < 0.03  # as many flipped as not
    assert linear.mean(0).abs().max() < 0.03  # no direction preferred


def test_zoom_and_shift_stay_within_their_limits():
    config = AugmentConfig(zoom=1.3, shift=0.1)
    maps = random_affine(torch.zeros(5000, 1, 65, 65), config, 65, 65, seeded())
    zoom = torch.linalg.det(maps[:, :, :2]).abs().sqrt()
    assert 1.25 < zoom.max() <= 1.3001
    assert 1 / 1.3001 <= zoom.min() < 0.8
    center = maps @ torch.tensor([32.0, 32.0, 1.0])
    offset = (center - 32).abs()
    assert 6 < offset.max() <= 6.5001


def test_dihedral_views_are_eight_and_keep_every_pixel():
    images = torch.arange(2 * 3 * 16).float().reshape(2, 3, 4, 4)
    views = dihedral_views(images)
    assert torch.equal(views[0], images)
    assert len({tuple(view.flatten().tolist()) for view in views}) == 8
    for view in views:
        assert torch.equal(
            view.flatten(2).sort().values, images.flatten(2).sort().values
        )


def test_views_are_turned_back_to_how_the_images_stand():
    images = torch.arange(2 * 3 * 16).float().reshape(2, 3, 4, 4)
    for view in turned_back(dihedral_views(images)):
        assert torch.equal(view, images)


def test_mixup_keeps_targets_adding_up_to_one_and_blends_alike():
    images = torch.eye(4)[:, :, None, None].repeat(1, 1, 2, 2)
    mixed, targets = mixup(images, torch.eye(4), 1.0, seeded(4))
    torch.testing.assert_close(targets.sum(1), torch.ones(4))
    torch.testing.assert_close(mixed[:, :, 0, 0], targets)
    assert not torch.equal(targets, torch.eye(4))


@pytest.mark.parametrize("field", ["brightness", "gain", "noise"])
def test_a_light_setting_changes_the_light(field):
    images = frames()
    config = AugmentConfig(
        **(
            {
                "rotate": False,
                "zoom": 1,
                "shift": 0,
                "brightness": 0,
                "gain": 0,
                "noise": 0,
            }
            | {field: 0.1}
        )
    )
    view = augment(images, config, image_size=64, generator=seeded())
    assert (view - images / 255).abs().mean() > 1e-3


def test_every_other_batch_is_blurred_as_the_stated_share_of_the_side_at_most():
    points = torch.zeros(4, 3, 65, 65, dtype=torch.uint8)
    points[..., 32, 32] = 255
    blurred = replace(STILL, blur=0.03)
    peaks = []
    for seed in range(40):
        view = augment(points, blurred, image_size=65, generator=seeded(seed))
        torch.testing.assert_close(
            view.sum((2, 3)), torch.ones(4, 3), atol=1e-3, rtol=0
        )
        peaks.append(view.max().item())
    peaks = torch.tensor(peaks)
    assert 10 <= (peaks < 0.99).sum() <= 30
    # The peak of a Gaussian of 0.03 of 65 px.
    assert peaks.min() > 0.9 / (2 * torch.pi * (0.03 * 65) ** 2)
