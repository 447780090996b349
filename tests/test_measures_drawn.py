"""Exact pairs, and details compared at the best rotation."""

import numpy as np
import pytest
import torch
from drawn import at_size

from dmagnet.dreaming.galaxy import Camera
from dmagnet.errors import ConfigError
from dmagnet.measuring import drawn
from dmagnet.measuring.drawn import (
    BARRED,
    BULGED,
    LOOSE,
    MERGING,
    TIGHT,
    compare_details,
    draw_pairs,
)
from dmagnet.simulator.parameters import PARAMETERS, draw_neutral, values_of


@pytest.fixture(scope="module")
def barred_starts():
    return draw_pairs(BARRED, 3, 128)


@pytest.fixture(scope="module")
def barred(barred_starts):
    return barred_starts[:2]


def turned(images, times):
    return torch.rot90(images, times, (2, 3))


def test_a_pair_differs_by_its_bar_and_nothing_else(barred):
    plain, whole = barred
    assert plain.shape == whole.shape == (3, 3, 128, 128)
    change = (whole - plain).abs().mean(dim=1)
    assert bool((change[:, 48:80, 48:80].amax(dim=(1, 2)) > 0.05).all())
    assert float(change[:, :16].mean()) < 0.005  # the sky, but for compression


def test_the_true_detail_correlates_with_itself_also_when_turned(barred):
    plain, whole = barred
    same = compare_details(plain, whole, whole)
    assert same["correlation"] == pytest.approx(1)
    assert same["smoothed"] == pytest.approx(1)
    other = plain + turned(whole - plain, 1)
    found = compare_details(plain, other, whole)
    assert (found["correlation"] > 0.95).all()
    assert (found["smoothed"] > 0.9).all()


def test_noise_and_a_brighter_galaxy_have_not_the_shape_of_a_bar(barred):
    plain, whole = barred
    noise = torch.randn(plain.shape, generator=torch.Generator().manual_seed(0))
    found = compare_details(plain, plain + 0.02 * noise, whole)
    assert (found["correlation"] < 0.15).all()
    spot = torch.hypot(*torch.meshgrid(*2 * [torch.arange(128) - 63.5], indexing="ij"))
    glow = (-(spot**2) / 200).exp()
    found = compare_details(plain, plain + 0.1 * glow, whole)
    assert (found["correlation"] < 0.5).all()


def test_a_bar_raises_a2_within_its_radius(barred):
    plain, whole = barred
    found = compare_details(plain, whole, whole)
    assert np.median(found["a2_true"] - found["a2_before"]) > 0.02
    assert found["a2"] == pytest.approx(found["a2_true"])


def test_tight_arms_have_a_smaller_pitch_than_loose_ones():
    pitch = {}
    for label in (TIGHT, LOOSE):
        plain, whole, _ = draw_pairs(label, 8, 128)
        pitch[label] = np.median(compare_details(plain, whole, whole)["pitch_true"])
    assert pitch[TIGHT] + 5 < pitch[LOOSE]


def test_a_merger_has_a_companion_and_its_pair_has_none():
    plain, whole, _ = draw_pairs(MERGING, 5, 128)
    light = (whole - plain).sum(dim=(1, 2, 3))
    assert bool((light > 0).all())
    found = compare_details(plain, whole, whole)
    assert found["nuclei_true"].mean() > found["nuclei_before"].mean()


def test_dreams_are_brought_to_one_size(barred):
    plain, whole = barred
    size = torch.tensor([0.01, 0.02, 0.03])
    found = at_size(plain, whole, size) - plain
    assert found.square().mean(dim=(1, 2, 3)).sqrt().tolist() == pytest.approx(
        size.tolist(), rel=0.02
    )


@pytest.mark.parametrize("label", [BARRED, TIGHT, MERGING, BULGED])
def test_nothing_in_a_start_tells_what_was_taken_away(label, monkeypatch):
    monkeypatch.setattr(drawn, "draw_neutral", lambda kind, _: draw_neutral(kind, 5))
    (start,) = draw_pairs(label, 1, 64)[2]
    kind = "edge-on" if label == BULGED else "disc"
    names = {BARRED: "bar_length", TIGHT: "pitch", MERGING: "companion_distance"}
    own = {name: PARAMETERS[kind][name] for name in (names.get(label, "bulge_extent"),)}
    neutral = values_of(draw_neutral(kind, 5), own)
    for name, value in values_of(start, own).items():
        assert float(value) == pytest.approx(float(neutral[name]), rel=1e-4)


def test_a_start_is_the_galaxy_without(barred_starts):
    plain, _, starts = barred_starts
    seen = torch.cat([Camera(128, 3.0, 0).views(one, 1)[0] for one in starts])
    both = torch.cat([seen, plain]).mean(dim=1).flatten(1)
    alike = torch.corrcoef(both)[:3, 3:]  # of each start with each galaxy without
    assert float(alike.diagonal().min()) > 0.85
    assert alike.argmax(dim=1).tolist() == [0, 1, 2]


def test_too_many_pairs_are_refused(monkeypatch):
    monkeypatch.setattr(drawn, "LEAST_RMS", 1.0)
    monkeypatch.setattr(drawn, "MOST_TRIED", 1)
    with pytest.raises(ConfigError, match="num: expected at most 0 pairs of class 5"):
        draw_pairs(BARRED, 1, 64)


def test_a_class_without_pairs_is_refused():
    with pytest.raises(ConfigError, match="expected a class with pairs, 0, 1, 5"):
        draw_pairs(2, 1, 128)
