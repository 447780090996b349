"""What a network gets wrong is shown, the surest mistakes first."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from astropy.table import Table
from blobs import blobs
from PIL import Image

from dmagnet.calibration import Calibration
from dmagnet.config import ModelConfig, TrainConfig
from dmagnet.errors import ConfigError
from dmagnet.judging.trust import judge_labeled
from dmagnet.network import DMAGNet
from dmagnet.network.checkpoint import Checkpoint
from dmagnet.reporting.failures import confusions, show_failures


@pytest.fixture(scope="module")
def checkpoint():
    torch.manual_seed(1)
    config = TrainConfig(image_size=64, model=ModelConfig(size="xs", num_classes=3))
    model = DMAGNet(config.model).eval()
    made = Checkpoint(model, config, ("round", "in/between", "cigar"))
    return replace(made, calibration=Calibration(1.0, (0.3, 0.2), None, {}))


@pytest.fixture(scope="module")
def labeled(checkpoint):
    return replace(blobs(30), class_names=checkpoint.class_names)


@pytest.fixture(scope="module")
def shown(checkpoint, labeled, tmp_path_factory):
    out = tmp_path_factory.mktemp("failures")
    return show_failures(checkpoint, labeled, out)


def test_every_wrong_galaxy_has_one_row(checkpoint, labeled, shown):
    judged = judge_labeled(checkpoint, labeled)
    wrong = judged.probabilities.argmax(1) != labeled.labels
    table = Table.read(shown.table)
    assert sorted(table["id"]) == sorted(labeled.ids[wrong])
    assert (shown.num, shown.num_wrong) == (30, wrong.sum())


def test_sheets_go_from_the_most_frequent_confusion_down(shown):
    table = Table.read(shown.table)
    sheets, counts = np.unique(table["sheet"], return_counts=True)
    assert [path.name for path in shown.sheets] == sorted(sheets)
    assert list(counts) == sorted(counts, reverse=True)
    assert all(path.is_file() for path in shown.sheets)


def test_within_a_sheet_the_surest_mistake_comes_first(shown):
    table = Table.read(shown.table)
    for name in set(table["sheet"]):
        sure = table["probability"][table["sheet"] == name]
        assert list(sure) == sorted(sure, reverse=True)
        assert (sure > table["probability_of_label"][table["sheet"] == name]).all()


def test_the_names_of_sheets_are_safe_as_files(shown):
    names = "".join(path.name for path in shown.sheets)
    assert "in-between" in names
    assert "/" not in names


def test_the_table_has_the_90_percent_set_of_calibrated_weights(
    checkpoint, labeled, shown
):
    table = Table.read(shown.table)
    judged = judge_labeled(checkpoint, labeled)
    row = table[0]
    (one,) = np.flatnonzero(labeled.ids == row["id"])
    wanted = np.flatnonzero(judged.trust.set90[one])
    assert str(row["set90"]) == "|".join(map(str, wanted))


def test_without_calibration_the_set_is_masked(checkpoint, labeled, tmp_path):
    found = show_failures(replace(checkpoint, calibration=None), labeled, tmp_path)
    assert Table.read(found.table)["set90"].mask.all()


@pytest.mark.slow
def test_sheets_of_an_earlier_call_do_not_stay(checkpoint, labeled, tmp_path):
    (tmp_path / "998-a-as-b.png").write_bytes(b"of others, with a name like ours")
    show_failures(checkpoint, labeled, tmp_path)
    (tmp_path / "999-a-as-b.png").write_bytes(b"of an earlier call")
    show_failures(checkpoint, labeled, tmp_path)
    assert not (tmp_path / "999-a-as-b.png").exists()
    assert (tmp_path / "998-a-as-b.png").exists()


def test_a_network_that_is_always_right_has_no_sheets(checkpoint, labeled, tmp_path):
    judged = judge_labeled(checkpoint, labeled)
    right = replace(labeled, labels=judged.probabilities.argmax(1))
    found = show_failures(checkpoint, right, tmp_path)
    assert (found.num_wrong, found.sheets) == (0, ())
    assert len(Table.read(found.table)) == 0
    assert not list(confusions(judge_labeled(checkpoint, right)))


def test_a_sheet_has_at_most_twenty_pictures_and_the_table_all(checkpoint, tmp_path):
    many = blobs(90)
    judged = judge_labeled(checkpoint, many)
    answer = int(np.bincount(judged.probabilities.argmax(1)).argmax())
    other = np.full(90, (answer + 1) % 3)
    found = show_failures(
        checkpoint,
        replace(many, labels=other, class_names=checkpoint.class_names),
        tmp_path,
    )
    with Image.open(found.sheets[0]) as sheet:
        largest = sheet.size
    assert len(Table.read(found.table)) > 20
    assert largest[1] < largest[0] * 1.2  # four rows of five


def test_views_other_than_one_and_eight_are_refused(checkpoint, labeled, tmp_path):
    with pytest.raises(ConfigError, match="views: expected 1, 2, 4 or 8"):
        show_failures(checkpoint, labeled, tmp_path, views=3)
