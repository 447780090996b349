"""Dose and response, the direction of a change, and what concepts share."""

import numpy as np
import pytest
from concepts import CONCEPTS, NUISANCES

from dmagnet.errors import DataError
from dmagnet.judging.predict import judge
from dmagnet.measuring.causal import (
    Concept,
    consistency,
    cross_talk,
    dosed_views,
    response,
)
from dmagnet.network import load

DOSES = (0, 1, 2, 3)


@pytest.fixture(scope="module")
def bars():
    """Two doses of a bar in twenty galaxies, and the network they are framed for."""
    checkpoint = load("xs")
    concept = Concept("bar share", "bars.share", (0.0, 0.35), (5,), (5,))
    views, labels = dosed_views(concept, 20, checkpoint.config, seed=1)
    return checkpoint, views, labels


def test_doses_rise_and_their_parameters_are_the_simulators():
    for concept in (*CONCEPTS, *NUISANCES):
        concept.change(concept.doses[0])
        assert list(concept.doses) == sorted(set(concept.doses)), concept.name


def test_a_galaxy_with_a_bar_is_called_barred_and_without_it_is_not(bars):
    checkpoint, views, labels = bars
    assert views.shape == (2, 20, 128, 128, 3)
    assert (labels == 5).all()
    without, with_bar = (judge(checkpoint, v).probabilities[:, 5] for v in views)
    assert without.mean() < 0.1
    assert with_bar.mean() > 0.8


def rising(steps, scatter=0.01, num=40):
    rng = np.random.default_rng(0)
    return np.array(steps)[:, None] + rng.normal(0, scatter, (len(steps), num))


def test_a_probability_that_rises_is_monotone_and_one_that_falls_is_not():
    r = response(DOSES, rising((0.1, 0.3, 0.5, 0.7)))
    assert r.verdict == "monotone"
    assert r.effect == pytest.approx(0.6, abs=0.01)
    assert r.effect_interval[0] < r.effect < r.effect_interval[1]
    assert response(DOSES, rising((0.7, 0.5, 0.3, 0.1))).verdict == "not monotone"


def test_what_is_to_fall_is_monotone_where_it_falls():
    falls = response(DOSES, rising((0.7, 0.5, 0.3, 0.1)), falls=True)
    assert falls.verdict == "monotone"
    assert falls.effect < 0
    assert response(DOSES, rising((0.1, 0.3)[:1] * 4), falls=True).verdict != "monotone"


def test_one_step_down_on_the_way_up_is_not_monotone():
    assert response(DOSES, rising((0.1, 0.6, 0.4, 0.8))).verdict == "not monotone"


def test_a_step_down_by_less_than_a_hundredth_is_none():
    values = rising((0.1, 0.3, 0.295, 0.8), scatter=1e-4)
    assert response(DOSES, values).verdict == "monotone"


def test_noise_is_undecided():
    assert response(DOSES, rising((0.5,) * 4, scatter=0.2)).verdict == "undecided"


def test_values_of_other_doses_are_refused_in_a_line():
    with pytest.raises(DataError, match=r"expected shape \(4, N\)"):
        response(DOSES, np.zeros((3, 5)))


def test_changes_that_point_one_way_have_consistency_one_and_random_ones_none():
    rng = np.random.default_rng(0)
    one_way = rng.uniform(1, 2, (30, 1)) * np.ones((30, 50))
    assert consistency(one_way)[0] == pytest.approx(1)
    mean, (low, high) = consistency(rng.normal(size=(30, 50)))
    assert abs(mean) < 0.05
    assert low < 0.02
    assert high > -0.02


def test_a_galaxy_is_not_compared_with_itself():
    mean, interval = consistency(np.eye(10))
    assert mean == pytest.approx(0)
    assert interval == pytest.approx((0, 0))


def test_cross_talk_is_the_cosine_of_directions_and_its_diagonal_that_of_halves():
    east, north = np.eye(2)
    table = cross_talk([(east, 2 * east), (north, north), (east, north)])
    assert table[0] == pytest.approx([1, 0, 0.5])
    assert table[2, 2] == pytest.approx(0)
    assert table == pytest.approx(table.T)
