"""A network is calibrated on labeled galaxies, and judged as they are labeled."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from blobs import blobs

from dmagnet.calibration import Calibration, Labeled, fit_temperature
from dmagnet.classes import CLASS_NAMES
from dmagnet.cli import main
from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.errors import CheckpointError, DataError
from dmagnet.judging import read_metrics, score
from dmagnet.judging.predict import judge, look, predict
from dmagnet.judging.trust import fit_calibration, group_names, judge_labeled
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint, load, save
from dmagnet.reporting.assess import assess


@pytest.fixture(scope="module")
def galaxies():
    """Eighty blobs of four classes, twenty of them held back."""
    return blobs(num=80, num_classes=4)


@pytest.fixture(scope="module")
def checkpoint(galaxies):
    """A network whose last layer alone has learned, and is far too sure."""
    torch.manual_seed(0)
    config = TrainConfig(image_size=64, model=ModelConfig(size="xs", num_classes=4))
    model = DMAGNet(config.model).eval()
    train = galaxies.subset("train")
    _, features = look(model, train.images)
    points = torch.from_numpy(features[0])
    aims = torch.eye(4)[torch.from_numpy(train.labels)]
    gram = points.T @ points + 1e-4 * torch.eye(points.shape[1])
    with torch.no_grad():
        model.head.weight.copy_(40 * torch.linalg.solve(gram, points.T @ aims).T)
        model.head.bias.zero_()
    provenance = {"data_hash": galaxies.data_hash}
    return Checkpoint(model, config, galaxies.class_names, provenance)


@pytest.fixture(scope="module")
def calibrated(checkpoint, galaxies):
    held, known = galaxies.subset("val"), galaxies.subset("train")
    return replace(checkpoint, calibration=fit_calibration(checkpoint, [held], [known]))


def coarse(galaxies):
    """The same galaxies, the first two classes not told apart, the third unknown."""
    keep = galaxies.take(np.flatnonzero(galaxies.labels != 2))
    labels = np.where(keep.labels < 2, 4, keep.labels)
    return replace(keep, labels=labels, label_sets=((0, 1),), data_hash="")


def test_calibration_makes_the_held_back_labels_likelier(calibrated, galaxies):
    held = galaxies.subset("val")
    raw = predict(calibrated.model, held.images)
    warm = judge_labeled(calibrated, held)
    before = score(held.labels, raw, held.class_names, num_bootstrap=1)
    after = score(held.labels, warm.probabilities, held.class_names, num_bootstrap=1)
    assert after.nll < before.nll
    assert after.accuracy == before.accuracy
    recorded = calibrated.calibration.provenance["sets"][0]
    assert recorded["before"]["nll"] == pytest.approx(before.nll, abs=1e-4)
    assert recorded["after"]["nll"] == pytest.approx(after.nll, abs=1e-4)


def test_predict_at_the_temperature_is_what_judge_says(calibrated, galaxies):
    images = galaxies.images[:6]
    temperature = calibrated.calibration.temperature
    assert temperature != pytest.approx(1, abs=0.01)
    for views in (1, 8):
        want = judge(calibrated, images, views=views).probabilities
        got = predict(calibrated.model, images, views=views, temperature=temperature)
        np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.slow
def test_a_calibration_for_eight_views_is_fitted_on_them_and_asks_for_them(
    checkpoint, galaxies
):
    held = galaxies.subset("val")
    fitted = fit_calibration(checkpoint, [held], [galaxies.subset("train")], views=8)
    eight = replace(checkpoint, calibration=fitted)
    found = judge(eight, held.images)
    assert found.disagreement is not None
    mean = predict(checkpoint.model, held.images, views=8)
    want = fit_temperature([Labeled(mean, held.labels)])
    assert fitted.temperature == pytest.approx(want, rel=1e-5)
    np.testing.assert_allclose(found.probabilities, fitted.probabilities(mean), 1e-4)
    assert (found.ood > fitted.space.limit).mean() <= 0.05
    assert fit_calibration(eight, [held]).views == 8
    assert judge(eight, held.images, views=1).disagreement is None


def test_sets_cover_the_galaxies_they_were_fitted_on(calibrated, galaxies):
    held = galaxies.subset("val")
    judged = judge_labeled(calibrated, held)
    found = score(held.labels, judged.probabilities, judged.names, trust=judged.trust)
    assert found.coverage90 >= 0.9
    assert found.coverage95 >= 0.95
    assert found.ood_share <= 0.05


def test_noise_is_flagged_and_galaxies_are_not(calibrated, galaxies):
    noise = np.random.default_rng(0).integers(0, 256, (10, 64, 64, 3), np.uint8)
    limit = calibrated.calibration.space.limit
    assert (judge(calibrated, noise).ood > limit).all()
    assert (judge(calibrated, galaxies.images).ood > limit).mean() < 0.1


def test_the_score_of_eight_views_is_the_mean_of_their_scores(calibrated, galaxies):
    images, space = galaxies.images[:4], calibrated.calibration.space
    _, features = look(calibrated.model, images, views=8)
    each = [space.score(seen) for seen in features]
    assert np.ptp(each, axis=0).max() > 1e-3  # the views do differ
    found = judge(calibrated, images, views=8).ood
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-4)


def test_one_view_has_no_disagreement_and_eight_have(calibrated, galaxies):
    assert judge(calibrated, galaxies.images[:4]).disagreement is None
    apart = judge(calibrated, galaxies.images[:4], views=8).disagreement
    assert ((apart > 0) & (apart < 1)).all()


def test_coarse_labels_are_judged_by_group(calibrated, galaxies):
    some = coarse(galaxies.subset("val"))
    judged = judge_labeled(calibrated, some)
    assert judged.names == ("class 0 or class 1", "class 3")
    assert set(judged.labels.tolist()) == {0, 1}
    each = judged.judgement.probabilities
    want = each[:, :2].sum(axis=1) / each[:, [0, 1, 3]].sum(axis=1)
    np.testing.assert_allclose(judged.probabilities[:, 0], want, rtol=1e-5)
    np.testing.assert_array_equal(
        judged.trust.set90[:, 0],
        (each[:, :2] >= calibrated.calibration.thresholds[0] - 1e-6).any(axis=1)
        | (each.argmax(axis=1) < 2),
    )
    assert "1 class is no label here" in judged.notes[0]


def test_groups_are_named_by_class_family_or_both():
    groups = ((2,), (5, 6, 7), (4, 8, 9))
    assert group_names(groups, CLASS_NAMES) == (
        *("Round Smooth", "face-on disc"),
        "Cigar Shaped Smooth or Edge-on without Bulge or Edge-on with Bulge",
    )


def test_thresholds_come_from_full_labels_where_there_are_some(checkpoint, galaxies):
    held = galaxies.subset("val")
    some = coarse(galaxies)
    both = fit_calibration(checkpoint, [some, held])
    assert both.provenance["thresholds_from"] == "classes"
    assert both.provenance["num_thresholds"] == len(held)
    alone = fit_calibration(checkpoint, [some])
    assert alone.provenance["thresholds_from"] == "groups of classes"
    assert both.space is None


def test_a_space_stays_where_no_known_galaxies_are_given(calibrated, galaxies):
    again = fit_calibration(calibrated, [galaxies.subset("val")])
    space = calibrated.calibration.space
    np.testing.assert_array_equal(again.space.axes, space.axes)


def test_too_few_galaxies_are_refused(checkpoint, galaxies):
    few = galaxies.take(np.arange(19))
    with pytest.raises(DataError, match=r"20 labeled galaxies or more.*got 19"):
        fit_calibration(checkpoint, [few])
    with pytest.raises(DataError, match="got none"):
        fit_calibration(checkpoint, [])


# the page and the verb


def test_the_page_and_the_file_tell_coverage_and_risk(calibrated, galaxies, tmp_path):
    found = assess(calibrated, galaxies.subset("val"), tmp_path, views=8)
    assert read_metrics(tmp_path / "metrics.json").coverage90 == (
        found.metrics.coverage90
    )
    page = (tmp_path / "report.html").read_text()
    assert "Conformal prediction sets" in page
    assert "If it may stay silent" in page
    assert "flagged as unlike" in page
    assert "Turning and flipping" in page
    assert (tmp_path / "risk_coverage.png").is_file()


def test_an_uncalibrated_network_is_judged_without_sets(checkpoint, galaxies, tmp_path):
    found = assess(checkpoint, galaxies.subset("val"), tmp_path)
    assert np.isnan(found.metrics.coverage90)
    page = (tmp_path / "report.html").read_text()
    assert "Conformal prediction sets" not in page
    assert "flagged as unlike" not in page


def test_coarse_labels_make_a_page_over_groups(calibrated, galaxies, tmp_path):
    found = assess(calibrated, coarse(galaxies.subset("val")), tmp_path)
    assert found.metrics.class_names == ("class 0 or class 1", "class 3")
    assert found.probabilities.shape[1] == 4
    assert "labels are coarse" in (tmp_path / "metrics.json").read_text()


@pytest.fixture(scope="module")
def folder(galaxies, tmp_path_factory):
    """The galaxies as files."""
    from PIL import Image

    root = tmp_path_factory.mktemp("galaxies")
    for i, (image, label, part) in enumerate(
        zip(galaxies.images, galaxies.labels, galaxies.split, strict=True)
    ):
        place = root / ("train", "val", "test")[part] / f"class {label}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f"{i}.png")
    return root


def test_the_verb_writes_calibrated_weights_in_their_place(
    checkpoint, folder, tmp_path, capsys
):
    path = save(tmp_path / "w.safetensors", checkpoint)
    before = checkpoint.model.head.weight.clone()
    assert main(["calibrate", str(path), str(folder)]) == 0
    found = load(path)
    assert torch.equal(found.model.head.weight, before)
    assert found.calibration.space is not None
    assert found.calibration.provenance["sets"][0]["n"] == 20
    out = capsys.readouterr().out
    assert f"temperature {found.calibration.temperature:.3f}" in out
    assert str(path) in out


def test_the_verb_leaves_the_weights_alone_where_it_gets_a_place(
    checkpoint, folder, tmp_path
):
    path = save(tmp_path / "w.safetensors", checkpoint)
    other = tmp_path / "new" / "c.safetensors"
    asked = ["calibrate", str(path), str(folder), "-o", str(other), "--views", "8"]
    assert main(asked) == 0
    assert load(path).calibration is None
    found = load(other).calibration
    assert (found.temperature > 1, found.views) == (True, 8)


@pytest.mark.parametrize("name", ["s", "xs", "bundled"])
def test_the_verb_does_not_write_over_weights_of_the_package(folder, capsys, name):
    assert main(["calibrate", name, str(folder)]) == 1
    assert "those of the package stay as they are" in capsys.readouterr().err


def test_a_calibration_that_cannot_be_is_a_checkpoint_error():
    with pytest.raises(CheckpointError, match="above 0"):
        Calibration(0.0)
