"""The same galaxy with one thing changed, and where that shows."""

import numpy as np
import pytest
import torch
from simulated_masks import (
    class_masks,
    simulate_masked,
    without_arms,
    without_bars,
)

from dmagnet.config import SimulateConfig
from dmagnet.errors import ConfigError
from dmagnet.simulator import (
    components,
    draw,
    parameter_names,
    simulate,
    together,
    with_parameter,
)
from dmagnet.simulator.pairs import COMPONENTS
from dmagnet.simulator.parameters import draw_neutral

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


def test_a_bar_of_no_light_is_no_bar(pictures):
    change = with_parameter("bars.share", 0.0)
    barless = draw(LABELS, generator=seeded(), change=change).float()
    assert torch.equal(barless[LABELS == 5], pictures[1][LABELS == 5])


def test_a_dimmed_companion_changes_mergers_only(pictures):
    change = with_parameter("companion", 0.0)
    alone = draw(LABELS, generator=seeded(), change=change).float()
    lost = (pictures[0] - alone).mean(1).flatten(1).amax(1)
    assert (lost[LABELS == 1] > 10).all()  # levels of 255
    assert not lost[LABELS != 1].any()


def test_parameters_set_to_what_they_were_change_no_bit():
    same = [with_parameter(name, lambda value: value) for name in parameter_names()]
    labels = torch.tensor([0, 1, 2, 5, 8])
    first, second = (
        draw(labels, image_size=64, generator=seeded(), change=how)
        for how in (None, together(*same))
    )
    assert torch.equal(first, second)


def test_a_parameter_that_the_simulator_lacks_is_named_with_those_it_has():
    with pytest.raises(ConfigError, match=r"'bars\.shape'.*bars\.share"):
        with_parameter("bars.shape", 1.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -np.inf])
def test_a_parameter_is_not_set_to_what_is_no_number(value):
    with pytest.raises(ConfigError, match=r"bars\.share: expected a finite value, got"):
        with_parameter("bars.share", value)


def test_changes_together_are_made_one_after_the_other():
    half = with_parameter("bars.share", lambda share: share / 2)
    change = together(with_parameter("bars.share", 0.4), half, half)
    disc = draw_neutral("disc", 0).disc
    assert float(change(torch.tensor([5]), disc).bars.share) == pytest.approx(0.1)


@pytest.fixture(scope="module")
def parts():
    return components(LABELS, generator=seeded())


def test_each_galaxy_is_made_of_what_its_class_has(parts):
    assert tuple(parts) == COMPONENTS
    there = {k: (v > 0.15).sum((1, 2)) > 30 for k, v in parts.items()}
    assert there["bar"][LABELS == 5].all()
    assert not there["bar"][LABELS == 6].any()
    assert there["companion"][LABELS == 1].all()
    assert not there["companion"][LABELS != 1].any()
    assert there["arms"][(LABELS == 6) | (LABELS == 7)].all()
    assert there["bulge"][LABELS == 9].all()
    smooth = (LABELS >= 2) & (LABELS <= 4)
    assert not there["tides"][smooth].any()


def test_the_light_of_all_parts_is_no_more_than_there_is(parts):
    other = ("dust", "arms", "companion", "sky")  # of others' light, or of none
    light = sum(v for k, v in parts.items() if k not in other)
    assert light.max() < 1.001


def test_stars_and_the_bar_lie_where_the_picture_has_them(parts, pictures):
    whole, barless, _ = pictures
    lost = (whole - barless)[LABELS == 5].mean(1)
    bar = parts["bar"][LABELS == 5]
    rest = bar < 0.01
    assert lost[bar > 0.3].mean() > 3 * lost[rest].abs().mean()
    light = whole.mean(1)
    sky = light[parts["sky"] > 0].mean()
    assert light[parts["star"] > 0.9].median() > sky + 20


def test_components_do_not_move_the_random_numbers_on():
    generator, other = seeded(), seeded()
    components(LABELS[:4], image_size=128, generator=generator)
    assert torch.equal(generator.get_state(), other.get_state())
