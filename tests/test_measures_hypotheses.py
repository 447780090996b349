"""The statistics of the claims: oracles, false alarms, and every verdict."""

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from dmagnet.errors import DataError
from dmagnet.measuring.hypotheses import HYPOTHESES, Hypothesis
from dmagnet.measuring.trends import (
    holm,
    level_difference,
    level_p_values,
    level_power,
    spearman_by_galaxy,
    trend_difference,
    trend_p_values,
    trend_power,
)
from dmagnet.measuring.verdicts import Measured, judge

DEPTHS = np.arange(7.0)
RISES = Hypothesis("rises", "claim", "It rises.", "m", "trend", 1)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def rising(rng, slope, n=20, layers=7):
    return slope * np.arange(layers) + rng.standard_normal((n, layers))


@pytest.mark.parametrize("ties", [False, True])
def test_rho_is_that_of_scipy_galaxy_by_galaxy(rng, ties):
    values = rng.standard_normal((5, 7))
    values = values.round() if ties else values
    depths = rng.permutation(7)
    expected = [stats.spearmanr(depths, row).statistic for row in values]
    assert spearman_by_galaxy(depths, values) == pytest.approx(expected)


def test_a_galaxy_without_changes_shows_no_trend_and_one_with_a_gap_is_unknown():
    rho = spearman_by_galaxy(DEPTHS, [[2.0] * 7, [1, 2, 3, np.nan, 5, 6, 7]])
    assert rho[0] == 0
    assert np.isnan(rho[1])


def test_p_of_one_galaxy_is_that_of_scipys_exact_permutation_test(rng):
    values = rng.standard_normal(6)

    def rho(depths):
        return stats.spearmanr(depths, values).statistic

    found = trend_p_values(np.arange(6), values[None])
    for p, side in zip(found, ("greater", "less"), strict=True):
        expected = stats.permutation_test(
            (np.arange(6),), rho, permutation_type="pairings", n_resamples=np.inf,
            vectorized=False, alternative=side,
        )  # fmt: skip
        assert p == pytest.approx(expected.pvalue, abs=0.01)


def test_a_perfect_trend_has_the_smallest_p_that_its_layers_allow(rng):
    values = np.arange(7.0) + rng.uniform(-0.4, 0.4, (9, 7))
    rise, fall = trend_p_values(DEPTHS, values)
    assert rise == pytest.approx(1 / math.factorial(7), abs=2e-4)
    assert fall == 1
    assert trend_p_values(DEPTHS, -values) == (fall, rise)


def test_more_galaxies_do_not_make_three_layers_evidence(rng):
    p, _ = trend_p_values(range(3), rising(rng, 9, n=500, layers=3))
    assert p == pytest.approx(1 / 6, abs=0.01)


@pytest.mark.parametrize("pooled", [False, True])
def test_without_a_trend_five_percent_are_false_alarms(rng, pooled, monkeypatch):
    from dmagnet.measuring import trends

    monkeypatch.setattr(trends, "NUM_ORDERINGS", 2000)
    found = []
    for _ in range(300):
        odd = 2 * rng.standard_normal(6)  # layers differ, for all galaxies alike
        values = odd + rng.standard_normal((12, 6))
        found.append(trend_p_values(np.arange(6), values, pooled=pooled)[0])
    assert 0.02 < np.mean(np.array(found) < 0.05) < 0.09
    assert 0.4 < np.mean(found) < 0.6


def test_pooled_values_are_averaged_before_they_are_ranked(rng):
    values = rng.standard_normal((200, 7)) * 50 + 10 * np.arange(7)
    pooled = trend_difference(DEPTHS, values, values, pooled=True).trained
    expected = stats.spearmanr(DEPTHS, values.mean(axis=0)).statistic
    assert pooled == pytest.approx(expected)
    assert trend_difference(DEPTHS, values, values).trained < pooled - 0.3


def test_one_loud_galaxy_rules_a_pooled_trend_and_no_other(rng):
    values = rising(rng, 5)
    values[0] = 1e4 * np.array([4, 1, 6, 0, 3, 5, 2])
    loud, _ = trend_p_values(DEPTHS, values[:1])
    assert trend_p_values(DEPTHS, values, pooled=True)[0] == pytest.approx(loud)
    assert trend_p_values(DEPTHS, values)[0] < 0.01 < loud


def test_the_difference_from_itself_is_nothing(rng):
    values = rising(rng, 0.3)
    found = trend_difference(DEPTHS, values, values)
    assert (found.difference, found.interval) == (0, (0, 0))


@pytest.mark.parametrize("pooled", [False, True])
def test_a_trend_beyond_the_control_is_seen_with_its_sign(rng, pooled):
    up, flat = rising(rng, 0.5), rising(rng, 0, n=20)
    found = trend_difference(DEPTHS, up, [flat, flat], pooled=pooled)
    turned = trend_difference(DEPTHS, -up, [flat, flat], pooled=pooled)
    assert found.interval[0] > 0
    assert turned.difference < 0
    assert found.difference == pytest.approx(found.trained - found.control)


def test_the_interval_covers_the_true_difference(rng):
    covered = 0
    for k in range(100):
        trained, control = rng.normal(0.3, 1, (1, 40)), rng.normal(0, 1, (1, 40))
        low, high = level_difference(trained, control, seed=k).interval
        covered += low <= 0.3 <= high
    assert 88 <= covered <= 99


def test_other_random_networks_widen_the_interval(rng):
    values = rng.normal(1, 0.1, 50)
    one = rng.normal(0, 0.1, 50)
    several = one + np.array([[-1.0], [0], [1]])
    narrow, wide = level_difference(values, one), level_difference(values, several)
    assert np.ptp(wide.interval) > 5 * np.ptp(narrow.interval)


def test_galaxies_with_gaps_are_left_out_of_both_sides(rng):
    values, control = rising(rng, 1), rising(rng, 0)
    values[3, 2] = control[5, 0] = np.nan
    assert trend_difference(DEPTHS, values, control).n == 18


def test_other_galaxies_in_the_control_are_refused(rng):
    with pytest.raises(DataError, match="the same galaxies, got 20 and 19"):
        trend_difference(DEPTHS, rising(rng, 1), rising(rng, 1, n=19))
    with pytest.raises(DataError, match="a column per layer"):
        trend_p_values(DEPTHS, rising(rng, 1, layers=6))
    with pytest.raises(DataError, match="three or more"):
        trend_p_values([0, 1], rising(rng, 1, layers=2))


def test_the_test_of_a_level_agrees_with_a_t_test(rng):
    values = rng.normal(1.2, 1, 60)
    above, below = level_p_values(values, 1.0)
    for p, side in ((above, "greater"), (below, "less")):
        expected = stats.ttest_1samp(values, 1, alternative=side).pvalue
        assert p == pytest.approx(expected, abs=0.02)


def test_the_power_of_a_trend_is_the_share_of_such_tables_that_pass(rng):
    # One galaxy of ten layers whose values correlate with depth.
    depths = np.arange(10)
    order = (depths - 4.5) / np.std(depths)
    r = 2 * math.sin(math.pi * 0.7 / 6)
    passed = []
    for _ in range(200):
        values = r * order + math.sqrt(1 - r**2) * rng.standard_normal(10)
        passed.append(stats.spearmanr(depths, values, alternative="greater").pvalue)
    expected = np.mean(np.array(passed) < 0.05)
    assert trend_power(depths, 0.7, 0.05) == pytest.approx(expected, abs=0.1)
    assert trend_power(depths, 1e-9, 0.05) == pytest.approx(0.05, abs=0.01)
    assert trend_power(range(20), 0.8, 0.05 / 19) > trend_power(
        range(7), 0.8, 0.05 / 19
    )


def test_the_power_of_a_level_is_that_of_a_z_test(rng):
    values = rng.normal(0, 1, 400)
    error = values.std(ddof=1) / 20
    expected = stats.norm.cdf(0.1 / error - 1.6449)
    assert level_power(values, 0.1, 0.05) == pytest.approx(expected, abs=1e-3)


def test_holms_correction_is_that_of_the_textbook():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1, 1])


@pytest.mark.parametrize(
    ("trained", "random", "verdict", "reason"),
    [
        (0.8, 0.0, "holds", ""),
        (0.8, 0.8, "contradicted", "random as well"),
        (0.5, 9.0, "contradicted", "random as well"),
        (-0.8, 0.0, "contradicted", "the opposite is so"),
        (0.0, -0.9, "undecided", "may be chance"),
    ],
)
def test_a_trend_gets_its_verdict(trained, random, verdict, reason):
    rng = np.random.default_rng(4)
    control = [rising(rng, random) for _ in range(4)]
    (result,) = judge(
        {"m": Measured(rising(rng, trained), {"random": control})}, [RISES]
    )
    assert (result.verdict, result.reason) == (verdict, reason)
    assert result.n == 20


def against(values, control):
    return {"m": Measured(values, {"random": control})}


def test_a_prediction_of_a_fall_holds_when_it_falls(rng):
    falls = dataclasses.replace(RISES, sign=-1)
    measured = against(rising(rng, -0.8), rising(rng, 0))
    assert judge(measured, [falls])[0].verdict == "holds"
    assert judge(measured, [RISES])[0].verdict == "contradicted"


def test_a_peak_is_found_in_the_middle_only(rng):
    peak = dataclasses.replace(RISES, kind="peak")
    hill = -np.abs(np.arange(15) - 7) + 0.3 * rng.standard_normal((20, 15))
    flat = rng.standard_normal((20, 15))
    up = rising(rng, 2, layers=15)
    assert judge(against(hill, flat), [peak])[0].verdict == "holds"
    assert judge(against(-hill, flat), [peak])[0].verdict == "contradicted"
    assert judge(against(up, flat), [peak])[0].verdict != "holds"


def test_a_level_is_judged_against_its_reference_and_every_control(rng):
    level = dataclasses.replace(RISES, kind="level", reference=1.0, effect=0.2)
    above, at = rng.normal(1.5, 0.2, 40), rng.normal(1, 0.2, 40)
    below = rng.normal(0.5, 0.1, 40)
    assert judge(against(above, at), [level])[0].verdict == "holds"
    assert judge(against(below, 0 * below), [level])[0].reason == "the opposite is so"
    both = {"m": Measured(above, {"random": at, "light": above})}
    (result,) = judge(both, [level])
    assert (result.verdict, result.reason) == ("contradicted", "light as well")
    assert result.closest[0] == "light"


def test_a_control_that_varies_leaves_a_level_undecided(rng):
    level = dataclasses.replace(RISES, kind="level", effect=0.2)
    trained = rng.normal(0.6, 0.1, 12)
    (result,) = judge(against(trained, rng.normal(0.4, 1.0, (2, 12))), [level])
    assert result.verdict == "undecided"
    assert result.reason == "not clearly beyond random"


def test_what_passes_alone_can_be_undecided_in_a_larger_table(rng):
    weak = rng.standard_normal((6, 5)) * 0.1 + np.arange(5)
    many = [dataclasses.replace(RISES, name=str(k), measure=str(k)) for k in range(9)]
    flat = rng.standard_normal((6, 5)) - np.arange(5)
    noise = {
        str(k): Measured(rng.standard_normal((6, 5)), {"random": flat})
        for k in range(9)
    }
    mine = {"0": Measured(weak, {"random": flat})}
    alone, among = judge(mine, many[:1])[0], judge(noise | mine, many)[0]
    assert alone.p_value == among.p_value == pytest.approx(1 / 120, abs=0.002)
    assert (alone.verdict, among.verdict) == ("holds", "undecided")
    assert among.power < alone.power


def test_a_missing_or_empty_measure_is_refused(rng):
    with pytest.raises(DataError, match="expected m too"):
        judge({}, [RISES])
    nothing = np.full((20, 7), np.nan)
    with pytest.raises(DataError, match=r"m: expected numbers, got NaN only \(random"):
        judge(against(rising(rng, 1), nothing), [RISES])
    with pytest.raises(DataError, match="expected a control"):
        judge({"m": Measured(rising(rng, 1), {})}, [RISES])


def test_the_table_states_each_claim_once_or_more_and_names_nothing_twice():
    assert len({h.claim for h in HYPOTHESES}) == 5
    assert len({h.name for h in HYPOTHESES}) == len(HYPOTHESES) == 19
    assert all(h.prediction.endswith(".") for h in HYPOTHESES)


def test_the_blocks_of_a_network_are_enough_for_the_whole_table():
    alpha = 0.05 / len(HYPOTHESES)
    assert trend_power(range(15), 0.8, alpha) > 0.6
    assert trend_power(range(7), 0.8, alpha) < 0.4
