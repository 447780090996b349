"""Calibration keeps its promises on data drawn to test them."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from dmagnet.calibration import (
    Calibration,
    FeatureSpace,
    Labeled,
    conformal_threshold,
    conformal_thresholds,
    disagreement,
    fallback,
    family_members,
    family_sums,
    fit_space,
    fit_temperature,
    fit_vector,
    from_parts,
    grouped,
    label_groups,
    prediction_sets,
    tempered,
    to_groups,
    to_parts,
    vector_scaled,
)
from dmagnet.calibration.judgement import views_to_take
from dmagnet.errors import CheckpointError, ConfigError, DataError

GROUPS = ((2,), (3,), (4,), (8, 9), (5, 6, 7))


def guesses(n, num_classes=10, seed=0, sharpen=1.0):
    """Labels drawn from probabilities, which are then made over-sure by a power."""
    rng = np.random.default_rng(seed)
    probs = softmax(rng.normal(0, 2, (n, num_classes)), axis=1)
    labels = (probs.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    powers = np.maximum(probs, 1e-12) ** sharpen
    return labels, powers / powers.sum(axis=1, keepdims=True)


# temperature


def test_the_temperature_undoes_a_power():
    labels, probs = guesses(6000, sharpen=2.5)
    assert fit_temperature([Labeled(probs, labels)]) == pytest.approx(2.5, rel=0.05)


def test_no_other_temperature_makes_the_labels_likelier():
    labels, probs = guesses(300, sharpen=1.7)
    best = fit_temperature([Labeled(probs, labels)])
    loss = log_loss(labels, tempered(probs, best))
    for factor in (0.5, 0.9, 0.999, 1.001, 1.1, 2):
        assert log_loss(labels, tempered(probs, best * factor)) >= loss - 1e-12


def test_for_one_view_the_temperature_divides_the_logits():
    logits = np.random.default_rng(0).normal(0, 3, (5, 4))
    np.testing.assert_allclose(
        tempered(softmax(logits, axis=1), 1.6), softmax(logits / 1.6, axis=1)
    )


def test_a_probability_of_zero_stays_finite_at_any_temperature():
    probs = tempered([[1.0, 0.0, 0.0]], 3.0)
    assert np.isfinite(probs).all()
    assert probs[0, 0] == pytest.approx(1)


def test_sets_weigh_the_same_however_many_galaxies_they_have():
    small, large = guesses(100, seed=1, sharpen=3), guesses(1000, seed=2)
    parts = [Labeled(p, y) for y, p in (small, large)]
    doubled = [parts[0], Labeled(np.tile(large[1], (3, 1)), np.tile(large[0], 3))]
    assert fit_temperature(parts) == pytest.approx(fit_temperature(doubled), rel=1e-5)
    one = fit_temperature(parts[:1]), fit_temperature(parts[1:])
    assert min(one) < fit_temperature(parts) < max(one)


def test_coarse_labels_find_the_temperature_too():
    labels, probs = guesses(12_000, sharpen=2.0, seed=3)
    inside = np.isin(labels, range(2, 10))
    group_of = {k: g for g, group in enumerate(GROUPS) for k in group}
    coarse = np.array([group_of[k] for k in labels[inside]])
    part = Labeled(probs[inside], coarse, GROUPS)
    assert fit_temperature([part]) == pytest.approx(2.0, rel=0.05)


def test_vector_scaling_undoes_a_shift_that_a_temperature_cannot():
    labels, probs = guesses(20_000, num_classes=4, seed=4)
    shifted = vector_scaled(probs, np.full(4, 2.0), [1.5, 0, 0, -1])
    part = Labeled(shifted, labels)
    fitted = vector_scaled(shifted, *fit_vector([part]))
    np.testing.assert_allclose(fitted, probs, atol=0.03)
    warm = tempered(shifted, fit_temperature([part]))
    assert log_loss(labels, fitted) < log_loss(labels, warm) - 0.05


def test_the_slope_of_vector_scaling_is_that_of_its_loss():
    labels, probs = guesses(50, num_classes=5, seed=5)
    part = Labeled(probs, labels % 2, ((0, 1), (3,)))
    scale, shift = fit_vector([part])
    # At the optimum small steps in any direction cost.
    assert np.isfinite([*scale, *shift]).all()
    best = _coarse_loss(part, scale, shift)
    for step in np.random.default_rng(0).normal(0, 0.05, (40, 10)):
        assert _coarse_loss(part, scale + step[:5], shift + step[5:]) >= best - 1e-9


def _coarse_loss(part, scale, shift):
    probs = grouped(vector_scaled(part.probabilities, scale, shift), part.groups)
    away = ((scale - 1) ** 2).sum() + (shift**2).sum()
    return 1e-3 * away - np.log(probs[np.arange(50), part.labels]).mean()


# labels


def test_groups_share_out_what_the_groups_have():
    _, probs = guesses(20)
    sums = grouped(probs, GROUPS)
    np.testing.assert_allclose(sums.sum(axis=1), 1)
    np.testing.assert_allclose(
        sums[:, 3] / sums[:, 0], probs[:, 8:].sum(axis=1) / probs[:, 2]
    )


def test_a_row_with_nothing_for_any_group_is_even():
    np.testing.assert_allclose(grouped([[1.0, 0, 0]], [[1], [2]]), [[0.5, 0.5]])


def test_labels_name_their_groups_in_the_order_of_classes():
    groups, labels = label_groups([11, 2, 10, 2], [(8, 9), (5, 6, 7)], 10)
    assert groups == ((2,), (5, 6, 7), (8, 9))
    assert labels.tolist() == [1, 0, 2, 0]


def test_labels_that_share_a_class_are_refused():
    with pytest.raises(DataError, match="share none"):
        label_groups([10, 11], [(2, 3, 4), (4, 8, 9)], 10)


@pytest.mark.parametrize("groups", [[[0, 0]], [[10]], [[]], [[-1]]])
def test_groups_that_are_none_are_refused(groups):
    with pytest.raises(DataError, match="expected groups of the classes 0 to 9"):
        grouped(np.full((1, 10), 0.1), groups)


def test_a_label_without_a_group_is_refused():
    with pytest.raises(DataError, match="expected 0 to 1, got 0 to 2"):
        Labeled(np.full((2, 4), 0.25), np.array([0, 2]), ((0, 1), (2,)))


# conformal sets


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_sets_cover_as_often_as_they_promise_and_hardly_more(level):
    covered = []
    n = 99
    for seed in range(300):
        labels, probs = guesses(n + 100, seed=seed, sharpen=1.5)
        threshold = conformal_threshold(labels[:n], probs[:n], level)
        sets = prediction_sets(probs[n:], threshold, never_empty=False)
        covered.append(sets[np.arange(100), labels[n:]].mean())
    error = np.std(covered) / np.sqrt(len(covered))
    assert level - 4 * error <= np.mean(covered) <= level + 1 / (n + 1) + 4 * error


def test_the_threshold_has_the_rank_of_the_theorem():
    probs = np.tile(np.linspace(0.99, 0.01, 99)[:, None], (1, 2))
    probs[:, 1] = 1 - probs[:, 0]
    # Of 99 sorted by nonconformity, rank ceil(100 * 0.9) = 90: probability 0.1.
    labels = np.zeros(99, int)
    assert conformal_threshold(labels, probs, 0.9) == pytest.approx(0.10)
    assert conformal_threshold(labels, probs, 0.95) == pytest.approx(0.05)


def test_nine_galaxies_promise_90_percent_and_eight_cannot():
    labels, probs = guesses(9)
    assert conformal_threshold(labels, probs, 0.9) > 0
    assert conformal_threshold(labels[:8], probs[:8], 0.9) == 0
    assert prediction_sets(probs, 0.0).all()


def test_the_95_percent_set_holds_the_90_percent_set():
    labels, probs = guesses(200)
    low, high = (prediction_sets(probs, t) for t in conformal_thresholds(labels, probs))
    assert (high >= low).all()


def test_the_most_probable_class_is_in_every_set_unless_said_otherwise():
    _, probs = guesses(50)
    sets = prediction_sets(probs, 1.0)
    assert (sets.sum(axis=1) == 1).all()
    assert sets[np.arange(50), probs.argmax(axis=1)].all()
    assert not prediction_sets(probs, 1.0, never_empty=False).any()


def test_a_set_that_holds_the_class_becomes_one_that_holds_its_group():
    _, probs = guesses(200)
    sets = prediction_sets(probs, 0.2)
    groups = to_groups(sets, GROUPS)
    for g, members in enumerate(GROUPS):
        np.testing.assert_array_equal(groups[:, g], sets[:, members].any(axis=1))


def test_no_galaxies_and_no_level_are_refused():
    with pytest.raises(DataError, match="one galaxy or more"):
        conformal_threshold([], np.empty((0, 3)), 0.9)
    with pytest.raises(DataError, match="between 0 and 1"):
        conformal_threshold([0], [[1.0, 0.0]], 90)


# families and views


def test_families_hold_every_class_once_in_the_order_of_the_table():
    assert family_members() == ((0, 1), (2, 3, 4), (5, 6, 7), (8, 9))


def test_the_fallback_names_a_class_a_family_or_nothing():
    sure = np.full(10, 0.01)
    sure[6] = 0.91
    torn = np.zeros(10)
    torn[[5, 6, 7, 1]] = 0.3, 0.25, 0.3, 0.15
    lost = np.full(10, 0.1)
    merger = np.zeros(10)
    merger[[1, 5, 7]] = 0.38, 0.31, 0.31  # the likeliest class is of another family
    found = fallback([sure, torn, lost, merger], 0.6)
    assert found.level.tolist() == [0, 1, 2, 1]
    assert found.index.tolist() == [6, 2, -1, 2]
    np.testing.assert_allclose(found.confidence, [0.91, 0.85, 0.3, 0.62])


def test_families_of_other_classes_are_refused():
    with pytest.raises(DataError, match="other classes have none"):
        family_sums(np.full((2, 5), 0.2))


def test_views_that_agree_have_no_disagreement_and_opposite_ones_all():
    same = np.tile([[0.7, 0.3]], (8, 1, 1))
    assert disagreement(same) == pytest.approx(0)
    assert disagreement([[[1.0, 0.0]], [[0.0, 1.0]]]) == pytest.approx(1)
    # One view of four against three: 3 of 6 pairs.
    odd = np.array([[[1.0, 0.0]]] * 3 + [[[0.0, 1.0]]])
    assert disagreement(odd) == pytest.approx(0.5)


# the space of features


@pytest.fixture(scope="module")
def galaxies():
    rng = np.random.default_rng(0)
    spread = np.concatenate([np.linspace(5, 1, 8), np.full(32, 0.2)])
    turn = np.linalg.qr(rng.normal(size=(40, 40)))[0]
    return (rng.normal(size=(4000, 40)) * spread) @ turn + 3, turn


def test_the_score_is_the_mahalanobis_distance_of_its_gaussian(galaxies):
    points, _ = galaxies
    space = fit_space(points, rank=8)
    rest = np.eye(40) - space.axes.T @ space.axes
    covariance = space.axes.T @ np.diag(space.variances) @ space.axes
    inverse = np.linalg.inv(covariance + space.noise * rest)
    off = points[:50] - space.mean
    want = np.sqrt(np.einsum("ij,jk,ik->i", off, inverse, off) / 40)
    np.testing.assert_allclose(space.score(points[:50]), want, rtol=1e-3)


def test_galaxies_score_about_one_and_strangers_more(galaxies):
    points, turn = galaxies
    space = fit_space(points[:3000], rank=8)
    inside = space.score(points[3000:])
    assert np.sqrt((inside**2).mean()) == pytest.approx(1, abs=0.05)
    # Small beside what galaxies vary by, but in a direction in which they do not.
    strange = points[3000:] + 2.0 * turn[-1]
    assert (space.score(strange) > inside.max()).mean() > 0.9


def test_the_limit_leaves_a_twentieth_of_every_set_flagged_on_average(galaxies):
    points, _ = galaxies
    space = fit_space(points[:2000], rank=8)
    few, many = points[2000:2040], points[2100:] * 1.02
    limited = space.limited(few, many)
    flagged = [limited.flag(each).mean() for each in (few, many)]
    assert np.mean(flagged) == pytest.approx(0.05, abs=0.015)
    assert limited.limit != space.limited(np.concatenate([few, many])).limit
    views = np.stack([many, many * 1.5])
    mean = (space.score(many) + space.score(many * 1.5)) / 2
    assert (mean > space.limited(views).limit).mean() == pytest.approx(0.05, abs=1e-3)


def test_features_that_never_vary_are_no_division_by_zero():
    points = np.random.default_rng(0).normal(size=(100, 30))
    points[:, 3:] = 0.5
    space = fit_space(points)
    assert np.isfinite(space.score(points)).all()


def test_a_space_of_size_s_takes_less_than_300_kilobytes():
    points = np.random.default_rng(0).normal(size=(500, 352))
    _, arrays = to_parts(Calibration(space=fit_space(points)))
    assert sum(array.nbytes for array in arrays.values()) < 300_000


def test_features_of_another_network_are_refused(galaxies):
    with pytest.raises(DataError, match=r"expected shape \(N, 40\)"):
        fit_space(galaxies[0]).score(np.zeros((2, 39)))


# the record


def some_calibration():
    points = np.random.default_rng(0).normal(size=(200, 12))
    return Calibration(
        temperature=1.3,
        thresholds=(0.2, 0.1),
        space=fit_space(points, rank=3).limited(points),
        provenance={"sets": [{"name": "é <val>", "n": 3}]},
        views=8,
    )


def test_a_calibration_comes_back_from_its_parts():
    want = some_calibration()
    got = from_parts(*to_parts(want))
    assert (got.temperature, got.thresholds) == (want.temperature, want.thresholds)
    assert (got.provenance, got.views) == (want.provenance, 8)
    points = np.random.default_rng(1).normal(size=(5, 12))
    np.testing.assert_array_equal(got.space.score(points), want.space.score(points))
    assert got.space.limit == want.space.limit


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 1.31},
        {"thresholds": [0.2, 0.11]},
        {"provenance": {}},
        {"views": 1},
        {"hash": "0" * 64},
        {"space": {"noise": 1.0, "limit": 2.0}},
    ],
)
def test_an_altered_header_is_refused(change):
    header, arrays = to_parts(some_calibration())
    with pytest.raises(CheckpointError, match="differs from its recorded hash"):
        from_parts(header | change, arrays)


def test_an_altered_array_is_refused():
    header, arrays = to_parts(some_calibration())
    arrays["calibration.axes"][0, 0] += 1e-6
    with pytest.raises(CheckpointError, match="differs from its recorded hash"):
        from_parts(header, arrays)


def test_missing_and_left_over_arrays_are_refused():
    header, arrays = to_parts(some_calibration())
    mean = arrays.pop("calibration.mean")
    with pytest.raises(CheckpointError, match=r"expected.*calibration\.mean"):
        from_parts(header, arrays)
    with pytest.raises(CheckpointError, match="expected none, found"):
        from_parts(None, {"calibration.mean": mean})
    assert from_parts(None, {}) is None


@pytest.mark.parametrize("header", [{}, {"temperature": 1}, {"hash": 1}])
def test_a_header_of_something_else_is_refused_in_one_line(header):
    with pytest.raises(CheckpointError, match="what 'dmagnet calibrate' writes") as e:
        from_parts(header, {})
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("temperature", [0, -1, np.nan, np.inf])
def test_a_temperature_that_cannot_be_is_refused(temperature):
    with pytest.raises(CheckpointError, match="temperature: expected a number above 0"):
        Calibration(temperature=temperature)


def test_views_are_those_of_the_question_else_of_the_calibration_else_one():
    eight = Calibration(views=8)
    assert [views_to_take(asked, eight) for asked in (None, 1, 8)] == [8, 1, 8]
    assert [views_to_take(asked, None) for asked in (None, 1, 8)] == [1, 1, 8]
    with pytest.raises(ConfigError, match="views: expected 1, 2, 4 or 8, got 3"):
        views_to_take(3, eight)
    with pytest.raises(CheckpointError, match="views: expected 1, 2, 4 or 8, got 3"):
        Calibration(views=3)


def test_a_threshold_that_is_no_probability_is_refused():
    with pytest.raises(CheckpointError, match="thresholds: expected two from 0 to 1"):
        Calibration(thresholds=(0.5, 1.5))


def test_a_space_that_is_no_gaussian_is_refused():
    mean, axes = np.zeros(4, np.float32), np.eye(2, 4, dtype=np.float32)
    with pytest.raises(CheckpointError, match="variances"):
        FeatureSpace(mean, axes, np.array([1, -1], np.float32), 1.0)
    with pytest.raises(CheckpointError, match="expected axes of shape"):
        FeatureSpace(mean, axes[:, :3], np.ones(2, np.float32), 1.0)
