"""The same galaxy with and without its bar or arms, and where they were."""

import numpy as np
import pytest
import torch

from dmagnet.config import SimulateConfig
from dmagnet.simulator import (
    class_masks,
    draw,
    simulate,
    simulate_masked,
    without_arms,
    without_bars,
)

LABELS = torch.arange(10).repeat(2)
SPECIAL = torch.isin(LABELS, torch.tensor([5, 6, 7]))


def seeded():
    return torch.Generator().manual_seed(4)


@pytest.fixture(scope="module")
def pictures():
    """As they are, without bars, without arms: (20, 3, 256, 256) each."""
    return tuple(
        draw(LABELS, generator=seeded(), change=change).float()
        for change in (None, without_bars, without_arms)
    )


@pytest.fixture(scope="module")
def masks():
    return class_masks(LABELS, generator=seeded())


def test_other_classes_do_not_change_by_a_bit(pictures):
    whole, barless, armless = pictures
    assert torch.equal(whole[LABELS != 5], barless[LABELS != 5])
    assert torch.equal(whole[~SPECIAL], armless[~SPECIAL])
    assert torch.equal(whole[LABELS == 5], armless[LABELS == 5])


def test_what_was_taken_away_lies_under_the_mask(pictures, masks):
    whole, barless, armless = pictures
    for rows, other in ((LABELS == 5, barless), (SPECIAL & (LABELS > 5), armless)):
        lost = (whole - other)[rows].mean(1)
        inside = masks[rows]
        there = (lost * inside).sum((1, 2)) / inside.sum((1, 2))
        elsewhere = lost.abs().mean((1, 2))
        # Arms of little contrast vanish in the JPEG.
        assert (there > 4 * elsewhere).float().mean() >= 0.75


def test_sky_and_stars_stay_when_a_galaxy_changes(pictures):
    whole, barless, _ = pictures
    rim = (whole - barless)[LABELS == 5][..., :40]
    assert rim.abs().mean() < 0.5  # levels of 255; noise alone has 5


def test_the_mask_of_a_bar_is_smaller_than_its_galaxy(masks):
    share = (masks > 0).float().mean((1, 2))
    assert (share[LABELS == 5] < 0.5 * share[~SPECIAL].median()).all()
    assert (masks.amax((1, 2)) == 1).all()


def test_a_smooth_galaxy_shows_its_class_in_its_middle_and_not_on_the_rim(masks):
    smooth = masks[(LABELS >= 2) & (LABELS <= 4)]
    assert (smooth[:, 127:129, 127:129] == 1).all()
    assert not smooth[:, :8].any()


def test_masked_sets_have_the_same_images_and_their_own_masks():
    config = SimulateConfig(num=25, image_size=128, seed=3)
    images, labels = simulate(config)
    parts = list(simulate_masked(config))
    for k, whole in enumerate((images, labels)):
        np.testing.assert_array_equal(np.concatenate([p[k] for p in parts]), whole)
    masks = np.concatenate([part[2] for part in parts])
    assert masks.shape == (25, 128, 128)
    assert masks.dtype == np.uint8
    assert (masks.max((1, 2)) == 255).all()


def test_masks_do_not_move_the_random_numbers_on():
    generator, other = seeded(), seeded()
    class_masks(LABELS[:4], generator=generator)
    assert torch.equal(generator.get_state(), other.get_state())
