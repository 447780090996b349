"""Which part of a galaxy a unit or a map finds."""

import numpy as np
import pytest
import torch
from dissection import light_and_center
from sklearn.metrics import roc_auc_score

from dmagnet.config import TrainConfig
from dmagnet.errors import DataError
from dmagnet.measuring.dissection import (
    coarse_masks,
    dissected,
    iou_of,
    map_areas,
    matched_area,
    radii_of,
    roc_area,
    unit_overlaps,
)


@pytest.fixture(scope="module")
def galaxies():
    return dissected(20, TrainConfig(image_size=128, radii=3.0), seed=1)


@pytest.fixture(scope="module")
def masks(galaxies):
    return coarse_masks(galaxies.parts)


def test_masks_are_framed_as_their_pictures_are(galaxies):
    light = galaxies.views.mean(3)
    sky, bar = galaxies.parts["sky"], galaxies.parts["bar"]
    assert np.median(light[sky]) < 40  # 10 % of white, and noise
    barred = galaxies.labels == 5
    assert light[barred][bar[barred]].mean() > 100
    assert not bar[(galaxies.labels >= 2) & (galaxies.labels <= 4)].any()


def test_a_unit_that_is_the_mask_overlaps_it_wholly_and_noise_by_chance(masks):
    names = np.flatnonzero(masks.any((1, 2)))
    units = torch.from_numpy(masks.reshape(*masks.shape[:2], 64, 64)).float()
    noise = torch.rand(1, *units.shape[1:], generator=torch.Generator().manual_seed(0))
    overlaps = unit_overlaps(torch.cat([units, noise]).transpose(0, 1), masks)
    found = overlaps.iou[:, names]
    assert np.diag(found[names]) == pytest.approx(1)
    cover = masks.mean((1, 2))[names]
    assert found[-1] == pytest.approx(cover / (2 - cover), abs=0.02)


def test_counts_of_two_halves_add_up_to_those_of_all_galaxies(masks):
    units = torch.rand(20, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    o = unit_overlaps(units, masks)
    assert o.iou == pytest.approx(iou_of(o.both, o.either), nan_ok=True)
    assert (o.both <= o.either).all()


def test_masks_of_other_galaxies_are_refused_in_a_line(masks):
    with pytest.raises(DataError, match="expected those of the 3 galaxies"):
        unit_overlaps(torch.rand(3, 2, 16, 16), masks)


def test_the_area_is_scikit_learns():
    rng = np.random.default_rng(0)
    truth = rng.random(500) < 0.2
    score = rng.normal(size=500).round(1) + truth
    assert roc_area(score, truth) == pytest.approx(roc_auc_score(truth, score))


def test_light_and_center_find_a_bar_and_once_matched_they_find_little(galaxies):
    simple = light_and_center(galaxies.views)
    for unit in (0, 1):
        plain, matched = np.nanmean(map_areas(simple[:, unit], galaxies)["bar"], axis=0)
        assert plain > 0.95
        assert abs(matched - 0.5) < 0.12


def test_matched_to_light_light_itself_is_worth_nothing():
    rng = np.random.default_rng(0)
    light, radius = rng.integers(0, 30, 4000) * 2.0, radii_of(64).ravel()[:4000]
    truth = rng.random(4000) < light / 120
    assert roc_area(light, truth) > 0.65
    assert matched_area(light, truth, light, radius) == pytest.approx(0.5)
    assert matched_area(light + 9 * truth, truth, light, radius) == 1
