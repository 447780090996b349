"""Measures agree with scikit-learn, and intervals hold what they promise."""

import json
import re
import warnings

import numpy as np
import pytest
from scipy.stats import binom
from sklearn import metrics as sk

from dmagnet.errors import ConfigError, DataError
from dmagnet.judging import (
    Trust,
    choose_examples,
    compare,
    compare_seeds,
    read_metrics,
    reliability,
    risk_coverage,
    score,
    separation,
    write_metrics,
)
from dmagnet.judging.judged_record import MEASURES

NAMES = tuple("abcdefghij")


def guesses(n, num_classes=10, seed=0, sharpen=1.0):
    """Labels drawn from probabilities, which are then made over-sure by a power."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(num_classes, 0.5), size=n)
    labels = (probs.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    probs = np.maximum(probs, 1e-12) ** sharpen
    return labels, probs / probs.sum(axis=1, keepdims=True)


def test_measures_agree_with_scikit_learn():
    labels, probs = guesses(525)
    got = score(labels, probs, NAMES, num_bootstrap=1)
    named = probs.argmax(axis=1)
    onehot = np.eye(10)[labels]
    want = {
        "accuracy": sk.accuracy_score(labels, named),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, named),
        "macro_f1": sk.f1_score(labels, named, average="macro"),
        "top2": sk.top_k_accuracy_score(labels, probs, k=2),
        "nll": sk.log_loss(labels, probs),
        "brier": ((probs - onehot) ** 2).sum(axis=1).mean(),
    }
    assert {name: getattr(got, name) for name in want} == pytest.approx(want)


def test_classes_agree_with_scikit_learn():
    labels, probs = guesses(525)
    got = score(labels, probs, NAMES, num_bootstrap=1)
    want = sk.precision_recall_fscore_support(labels, probs.argmax(axis=1))
    table = [[c.precision, c.recall, c.f1, c.support] for c in got.per_class]
    np.testing.assert_allclose(np.transpose(table), want)


def test_rows_of_the_confusion_are_labels_and_columns_are_guesses():
    labels, probs = guesses(300)
    got = score(labels, probs, NAMES, num_bootstrap=1).confusion
    np.testing.assert_array_equal(got.sum(axis=1), np.bincount(labels))
    np.testing.assert_array_equal(got.sum(axis=0), np.bincount(probs.argmax(axis=1)))


def test_a_class_without_a_galaxy_is_nan_in_no_mean_and_no_warning():
    labels, probs = guesses(200)
    keep = labels != 3
    labels, probs = labels[keep], probs[keep]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = score(labels, probs, NAMES, num_bootstrap=50)
    empty = got.per_class[3]
    assert np.isnan([empty.precision, empty.recall, empty.f1, *empty.f1_interval]).all()
    present = [k for k in range(10) if k != 3]
    named = probs.argmax(axis=1)
    assert got.macro_f1 == pytest.approx(
        sk.f1_score(labels, named, labels=present, average="macro")
    )
    assert got.balanced_accuracy == pytest.approx(
        sk.recall_score(labels, named, labels=present, average="macro")
    )


def test_a_class_that_is_never_guessed_has_an_f1_of_zero():
    probs = np.tile([0.9, 0.1], (4, 1))
    got = score([0, 0, 1, 1], probs, "ab", num_bootstrap=10)
    assert got.per_class[1].f1 == 0
    assert np.isnan(got.per_class[1].precision)


def test_a_flat_row_is_no_free_second_guess():
    probs = np.full((10, 10), 0.1)
    assert score(np.arange(10), probs, NAMES, num_bootstrap=1).top2 == 0.2


def test_ece_of_a_hand_made_case():
    # 30 galaxies said 0.9, 15 of them right; 30 said 0.6, 24 of them right
    probs = np.repeat([[0.9, 0.1], [0.6, 0.4]], 30, axis=0)
    labels = np.repeat([0, 1, 0, 1], [15, 15, 24, 6])
    want = (abs(0.9 - 0.5) + abs(0.6 - 0.8)) / 2
    assert score(labels, probs, "ab", num_bootstrap=1).ece == pytest.approx(want)


def test_bins_hold_equal_numbers_and_every_galaxy_once():
    labels, probs = guesses(525)
    bins = reliability(labels, probs)
    assert bins.count.sum() == 525
    assert len(bins.count) == 15
    assert np.ptp(bins.count) <= 1
    assert (np.diff(bins.confidence) > 0).all()
    assert ((bins.low < bins.accuracy) & (bins.accuracy < bins.high)).all()


def test_the_diagram_and_the_metrics_tell_the_same_ece():
    labels, probs = guesses(400, sharpen=3)
    got = score(labels, probs, NAMES, num_bootstrap=1)
    assert reliability(labels, probs).ece == pytest.approx(got.ece)


def test_order_of_the_galaxies_does_not_matter():
    labels, probs = guesses(300)
    probs = np.round(probs, 1)  # many equal confidences
    probs /= probs.sum(axis=1, keepdims=True)
    turned = score(labels[::-1], probs[::-1], NAMES, num_bootstrap=1)
    assert turned.ece == pytest.approx(score(labels, probs, NAMES, num_bootstrap=1).ece)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    truth = score(*guesses(200_000, 4, sharpen=2), "abcd", num_bootstrap=1)
    names = ("accuracy", "macro_f1", "nll", "brier", "ece")
    held = dict.fromkeys(names, 0)
    for seed in range(1, 161):
        got = score(*guesses(200, 4, seed, 2), "abcd", num_bootstrap=200)
        for name in names:
            low, high = got.intervals[name]
            held[name] += low <= getattr(truth, name) <= high
    # 95 % of 160, less four binomial standard deviations, as bootstraps run short
    assert min(held.values()) >= binom.ppf(3e-5, 160, 0.95)
    assert max(held[name] for name in ("accuracy", "macro_f1", "brier")) < 160


def test_a_calibrated_network_keeps_a_small_ece_in_the_interval():
    held = 0
    for seed in range(60):
        low, _ = score(*guesses(200, 4, seed), "abcd", num_bootstrap=200).intervals[
            "ece"
        ]
        held += low < 0.01
    assert held >= 54


def test_the_interval_of_accuracy_matches_the_binomial():
    probs = np.tile([0.7, 0.3], (400, 1))
    labels = np.repeat([0, 1], [300, 100])
    got = score(labels, probs, "ab", num_bootstrap=4000).intervals["accuracy"]
    assert got == pytest.approx(binom.ppf([0.025, 0.975], 400, 0.75) / 400, abs=0.006)


def test_every_number_lies_in_its_interval():
    got = score(*guesses(525), NAMES)
    measured = [name for name in got.intervals if np.isfinite(getattr(got, name))]
    assert measured == [*MEASURES, "aurc"]
    for name in measured:
        low, high = got.intervals[name]
        assert low <= getattr(got, name) <= high, name
    for entry in got.per_class:
        assert entry.f1_interval[0] <= entry.f1 <= entry.f1_interval[1]


def test_same_seed_same_intervals_other_seed_others():
    labels, probs = guesses(100)
    first = score(labels, probs, NAMES, seed=1).to_dict()
    assert first == score(labels, probs, NAMES, seed=1).to_dict()
    assert first != score(labels, probs, NAMES, seed=2).to_dict()


def test_draws_in_pieces_are_the_draws_in_one(monkeypatch):
    labels, probs = guesses(100)
    want = score(labels, probs, NAMES, num_bootstrap=37).intervals
    monkeypatch.setattr("dmagnet.judging.sampling.DRAWS_AT_ONCE", 500)
    got = score(labels, probs, NAMES, num_bootstrap=37).intervals
    for name, pair in want.items():
        assert got[name] == pytest.approx(pair, nan_ok=True), name


def test_the_file_has_the_published_keys_and_reads_back(tmp_path):
    labels, probs = guesses(60)
    labels[labels == 3] = 4
    got = score(labels, probs, NAMES)
    path = write_metrics(tmp_path / "metrics.json", got, {"seed": 0})
    content = json.loads(path.read_text())
    assert set(content) == {
        *("accuracy", "macro_f1", "balanced_accuracy", "n", "intervals", "per_class"),
        *("ece", "nll", "brier", "top2", "confusion", "class_names", "provenance"),
        *("aurc", "risk_coverage", "coverage90", "coverage95", "set_size90"),
        *("set_size95", "disagreement", "ood_share"),
    }
    assert content["per_class"][3]["f1"] is None
    assert read_metrics(path).to_dict() == got.to_dict()
    assert [entry.name for entry in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"n": 1}'])
def test_a_file_without_metrics_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(DataError, match="expected the metrics of") as caught:
        read_metrics(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "probs", "message"),
    [
        ([0, 1], [[0.5, 0.6], [0.5, 0.5]], "add up to 1"),
        ([0, 1], [[1.5, -0.5], [0.5, 0.5]], "add up to 1"),
        ([0, 1], [[np.nan, 1.0], [0.5, 0.5]], "expected finite numbers"),
        ([0, 1], [0.5, 0.5], "expected shape (N, K)"),
        ([0, 1], [[1.0], [1.0]], "expected shape (N, K)"),
        ([], np.empty((0, 2)), "expected shape (N, K)"),
        ([0], [[0.5, 0.5], [0.5, 0.5]], "expected 2 integers"),
        ([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], "expected 2 integers"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "expected 0 to 1, got 0 to 2"),
        ([-1, 1], [[0.5, 0.5], [0.5, 0.5]], "expected 0 to 1, got -1 to 1"),
    ],
)
def test_bad_input_is_refused(labels, probs, message):
    with pytest.raises(DataError, match=re.escape(message)):
        score(labels, probs, "ab")


def test_a_name_too_few_is_refused():
    with pytest.raises(DataError, match="expected 2 names"):
        score([0], [[0.5, 0.5]], ["only"])


def test_no_draws_are_refused():
    with pytest.raises(ConfigError, match="num_bootstrap"):
        score([0], [[0.5, 0.5]], "ab", num_bootstrap=0)


def single(choices):
    """Probabilities of a classifier that names these classes."""
    return np.eye(2)[choices]


def test_a_comparison_counts_who_alone_is_right_and_tests_it_exactly():
    labels = np.zeros(100, int)
    a, b = single(np.zeros(100, int)), single(np.repeat([0, 1], [88, 12]))
    b_first = np.repeat([1, 0], [4, 96])
    got = compare(labels, single(b_first), b)
    assert (got.only_a, got.only_b, got.n) == (12, 4, 100)
    assert got.difference == pytest.approx(0.08)
    assert got.p_value == pytest.approx(2 * binom.cdf(4, 16, 0.5))
    assert compare(labels, a, b).interval[0] > 0


def test_swapping_a_and_b_changes_only_the_sign():
    labels, probs = guesses(200)
    _, other = guesses(200, seed=1)
    one, two = compare(labels, probs, other), compare(labels, other, probs)
    assert one.difference == -two.difference
    assert one.interval == pytest.approx(tuple(-x for x in reversed(two.interval)))
    assert one.p_value == pytest.approx(two.p_value)


def test_a_classifier_does_not_differ_from_itself():
    labels, probs = guesses(50)
    got = compare(labels, probs, probs)
    assert (got.difference, got.interval, got.p_value) == (0, (0, 0), 1)


def test_runs_that_disagree_widen_the_interval():
    labels = np.zeros(400, int)
    base = single(np.repeat([0, 1], [200, 200]))
    steady = [single(np.repeat([0, 1], [240, 160]))] * 4
    varied = [single(np.repeat([0, 1], [k, 400 - k])) for k in (160, 220, 260, 320)]
    same = compare_seeds(labels, steady, [base] * 4)
    wide = compare_seeds(labels, varied, [base] * 4)
    assert same.difference == pytest.approx(wide.difference)
    assert wide.per_seed == pytest.approx((-0.1, 0.05, 0.15, 0.3))
    assert np.ptp(wide.interval) > 2 * np.ptp(same.interval)
    assert wide.interval[0] < 0 < same.interval[0]


def test_unpaired_runs_are_refused():
    with pytest.raises(DataError, match="pair them by seed"):
        compare_seeds([0], [[[1.0, 0.0]]], [])


def test_examples_are_right_over_all_classes_and_the_surest_mistakes():
    labels, probs = guesses(500)
    right, wrong = choose_examples(labels, probs, num=10)
    named, sure = probs.argmax(axis=1), probs.max(axis=1)
    assert sorted(labels[right]) == list(range(10))
    assert (named[right] == labels[right]).all()
    assert (named[wrong] != labels[wrong]).all()
    assert sure[wrong].min() >= np.sort(sure[named != labels])[-10]


def test_examples_of_a_perfect_set_have_no_mistakes():
    right, wrong = choose_examples([0, 1], np.eye(2))
    assert (len(right), len(wrong)) == (2, 0)


def test_the_risk_at_full_coverage_is_the_share_of_mistakes():
    labels, probs = guesses(300)
    curve = risk_coverage(labels, probs, num_bootstrap=20)
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(1 - score(labels, probs, NAMES).accuracy)


def test_the_area_is_the_mean_risk_of_every_number_of_surest_galaxies():
    labels, probs = guesses(60)
    order = np.argsort(-probs.max(axis=1))
    wrong = (probs.argmax(axis=1) != labels)[order]
    want = np.mean([wrong[:k].mean() for k in range(1, 61)])
    got = risk_coverage(labels, probs, num_bootstrap=200)
    assert got.aurc == pytest.approx(want)
    assert got.interval[0] <= want <= got.interval[1]


def test_equal_confidence_sorts_nothing_in_whatever_order_galaxies_come():
    probs = np.tile([0.6, 0.4], (10, 1))
    labels = np.repeat([0, 1], 5)
    for order in (slice(None), slice(None, None, -1)):
        curve = risk_coverage(labels[order], probs, num_bootstrap=5)
        assert curve.aurc == pytest.approx(0.5)
        assert curve.coverage.tolist() == [1]


def test_coverage_and_size_of_sets_are_counted():
    labels, probs = guesses(200)
    sets = probs > 0.2
    got = score(labels, probs, NAMES, trust=Trust(set90=sets, set95=probs > 0.1))
    assert got.coverage90 == pytest.approx(sets[np.arange(200), labels].mean())
    assert got.set_size90 == pytest.approx(sets.sum(axis=1).mean())
    assert got.coverage95 >= got.coverage90
    for name in ("coverage90", "coverage95", "set_size90", "set_size95"):
        assert got.intervals[name][0] < getattr(got, name) < got.intervals[name][1]
    assert np.isnan(got.ood_share)


def test_flags_and_disagreement_are_averaged():
    labels, probs = guesses(50)
    flagged, apart = np.arange(50) < 5, np.linspace(0, 1, 50)
    trust = Trust(flagged=flagged, disagreement=apart)
    got = score(labels, probs, NAMES, trust=trust)
    assert (got.ood_share, got.disagreement) == pytest.approx((0.1, 0.5))


def test_sets_of_other_galaxies_are_refused():
    labels, probs = guesses(50)
    with pytest.raises(DataError, match="set90: expected shape"):
        score(labels, probs, NAMES, trust=Trust(set90=np.ones((49, 10), bool)))
    with pytest.raises(DataError, match="disagreement: expected 50"):
        score(labels, probs, NAMES, trust=Trust(disagreement=np.ones(49)))


def test_a_file_of_an_earlier_version_reads_with_what_it_has(tmp_path):
    labels, probs = guesses(60)
    path = write_metrics(tmp_path / "m.json", score(labels, probs, NAMES))
    content = json.loads(path.read_text())
    for name in ("aurc", "risk_coverage", "coverage90", "ood_share"):
        del content[name]
        content["intervals"].pop(name, None)
    path.write_text(json.dumps(content))
    found = read_metrics(path)
    assert found.accuracy == content["accuracy"]
    assert np.isnan(found.aurc)
    assert found.risk is None


def test_separation_is_the_area_under_the_roc_curve():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(size=200).round(1), rng.normal(1, 1, 150).round(1)
    area, (low, high) = separation(inside, outside)
    truth = np.repeat([0, 1], [200, 150])
    assert area == pytest.approx(sk.roc_auc_score(truth, [*inside, *outside]))
    # Hanley & McNeil 1982: a standard error of about 0.025 here.
    assert low < area < high
    assert 0.06 < high - low < 0.14


def test_a_score_that_is_not_finite_is_refused():
    with pytest.raises(DataError, match="expected finite ones of both kinds"):
        separation([1.0, np.nan], [2.0])
    with pytest.raises(DataError, match="expected finite ones of both kinds"):
        separation([1.0], [])
